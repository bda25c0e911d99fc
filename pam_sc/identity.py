# SPDX-License-Identifier: LGPL-2.1-or-later
"""Be the account that a login would be, while its files are read and its certificates are parsed.

For root only, and only for a while: root must come back to kill the card process of another account. A login gives root
up for good (pam_sc_worker); this is so that `pam-sc explain` meets the same permissions as a login, not a sandbox.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pam_sc.card.client import RunAs
from pam_sc.errors import ConfigError


def find_identity(account: str) -> RunAs | None:
    """Return what root becomes as this account; None for a caller that is not root, who stays what they are.

    ConfigError if there is no such account, or if it is root's: a login refuses both.
    """
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(account)
    except KeyError:
        raise ConfigError(f"cannot run a login: there is no account {account!r}, which it needs") from None
    if found.pw_uid == 0 or found.pw_gid == 0:
        raise ConfigError(f"cannot run a login: the account {account!r} has uid or gid 0")
    groups = [gid for gid in os.getgrouplist(account, found.pw_gid) if gid]
    return RunAs(found.pw_uid, found.pw_gid, tuple(groups))


@contextmanager
def acting_as(identity: RunAs | None) -> Iterator[Callable[[], None]]:
    """Be this account inside the block; what is yielded ends that early."""
    if identity is None:
        yield lambda: None
        return
    before = os.getgroups()

    def stop() -> None:
        if os.geteuid() != 0:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(before)

    try:
        os.setgroups(identity.groups)
        os.setegid(identity.gid)
        os.seteuid(identity.uid)
        yield stop
    finally:
        stop()
