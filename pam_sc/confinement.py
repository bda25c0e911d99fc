# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the verifier gives up root: the accounts that the two processes become, and the filter behind which it stays.

After `confine` there is no way back. Whatever cannot be found or done is an error, and then there is no login.
"""

from __future__ import annotations

import os
import pwd

from pam_sc.card.client import RunAs
from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration
from pam_sc.errors import CardIsolationFailed, ConfigError
from pam_sc.record import record


@record
class Identities:
    """Who the two processes become. None: the host has no privilege, and everything runs as the caller."""

    verifier: RunAs | None
    card: RunAs | None


def find_identities(configuration: Configuration) -> Identities:
    """Return the accounts that the two processes become; ConfigError if one is missing, root, or both are the same."""
    verifier, card = _run_as(VERIFIER_ACCOUNT), _run_as(configuration.token.run_as)
    if verifier.uid == card.uid:
        raise ConfigError(f"{configuration.source}: token.run_as is {configuration.token.run_as!r}, "
                          f"which has the same uid as {VERIFIER_ACCOUNT!r}; expected an account of its own")
    return Identities(verifier, card)


def _run_as(name: str) -> RunAs:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"account {name!r} does not exist; pam_sc needs it to give up root (sysusers.d/pam_sc.conf)") from None
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise ConfigError(f"account {name!r} has uid {entry.pw_uid} and gid {entry.pw_gid}; expected neither to be 0")
    groups = tuple(gid for gid in os.getgrouplist(name, entry.pw_gid) if gid != 0)
    return RunAs(entry.pw_uid, entry.pw_gid, groups)


def confine(become: RunAs | None, *writable: str) -> None:
    """Give up root for good (if there is any) and enter the filter; CardIsolationFailed if a step fails.

    `writable`: the folders beneath which files may still be made, written and removed.
    """
    import _pam_sc  # a builtin of pam_sc_worker: exists only there

    try:
        if become is None:
            _pam_sc.drop_and_confine_verifier(-1, -1, [], list(writable))
        else:
            _pam_sc.drop_and_confine_verifier(become.uid, become.gid, list(become.groups), list(writable))
    except (OSError, ValueError) as error:
        raise CardIsolationFailed(f"the verifier cannot be confined: {error}") from error
