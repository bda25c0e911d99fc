# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known about the request (step 1 of decide.py): what the application asked for, of whom, and from where."""

from __future__ import annotations

import enum

from pam_sc.record import record


class Purpose(enum.Enum):
    """What a signature is for. A signature for another purpose is never a login."""

    LOGIN = "login"
    UNLOCK = "unlock"
    EXPLAIN = "explain"
    PIN_CHANGE = "pin-change"


@record(kw_only=True)
class Request:
    """What the PAM application asked for, as the shim read it from PAM and from its own process."""

    service: str
    account: str | None
    """PAM_USER; None where the application gave no name (or an empty one)."""
    rhost: str | None = None
    ruser: str | None = None
    tty: str | None = None
    real_uid: int
    effective_uid: int
    saved_uid: int
    at_secure: bool = False
    try_first_pass: bool = False
    """The PAM line has PAM_AUTHTOK tried as the PIN before a person is asked."""
    use_first_pass: bool = False
    """The PAM line has PAM_AUTHTOK used as the PIN, and nobody is asked."""
    disallow_null: bool = False
    """PAM_DISALLOW_NULL_AUTHTOK: the application wants nobody in without a secret."""
    purpose: Purpose = Purpose.LOGIN
    login_token: str = ""
    """Label of the token that opened the session, as a display manager has it in the PAM environment."""

    @property
    def privileged(self) -> bool:
        """The host has or had some privilege: not three equal non-zero uids, or AT_SECURE."""
        same = self.real_uid == self.effective_uid == self.saved_uid
        return self.real_uid == 0 or not same or self.at_secure


@record
class Account:
    """An account of this machine, from NSS. `name` is pw_name as NSS returned it."""

    name: str
    uid: int
    groups: frozenset[str] = frozenset()
    """Names of its groups, its own among them; only where the policy asks for them."""


@record
class NoSuchAccount:
    """NSS answered, and there is no such account."""


@record
class LookupFailed:
    """NSS gave an error. That is not "no such account"."""

    why: str


AccountLookup = Account | NoSuchAccount | LookupFailed


@record
class Locality:
    """Whether the person sits at this machine, and how that was found out."""

    remote: bool
    why: str
