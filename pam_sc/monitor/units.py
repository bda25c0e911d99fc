# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a monitor is: the system unit, a user unit, or started by hand. The account decides, and what was asked for."""

from __future__ import annotations

import contextlib
import enum
import os
import pwd

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Side
from pam_sc.monitor.partner_link import ACCOUNT
from pam_sc.record import record

USER_SOCKET = "pam_sc/monitor.sock"
"""In $XDG_RUNTIME_DIR: where `pam-sc monitor status` of the account asks its user unit."""


class Unit(enum.Enum):
    """What this process is."""

    SYSTEM = "system"
    USER = "user"
    BY_HAND = "by-hand"


@record(kw_only=True)
class Options:
    """What was asked for."""

    everything: bool
    """All sessions, or those of the own account."""
    once: bool = False
    dry_run: bool = False
    bus_address: str | None = None
    """Of the system bus; None: the usual one."""


def default_everything() -> bool:
    """Say whether this account watches all sessions unless told otherwise: root and the system unit's do."""
    uid = os.geteuid()
    return uid == 0 or _is_system_account(uid)


def unit_of(options: Options) -> Unit:
    """Return what this process is with these options; MonitorError for an account that may not be that."""
    if not options.everything:
        return Unit.USER
    if _is_system_account(os.geteuid()):
        return Unit.SYSTEM
    if os.geteuid() != 0:
        raise MonitorError(f"cannot watch all sessions: only root and {ACCOUNT} can; name --own")
    return Unit.BY_HAND


def side_of(options: Options) -> Side:
    """Return which part of the work is this process's, as long as no other unit is known."""
    return {Unit.SYSTEM: Side.SYSTEM, Unit.USER: Side.USER, Unit.BY_HAND: Side.ALONE}[unit_of(options)]


def runtime_folder(uid: int) -> str:
    """Return the folder of an account's runtime files."""
    own = os.environ.get("XDG_RUNTIME_DIR", "") if uid == os.geteuid() else ""
    return own if own.startswith("/") else f"/run/user/{uid}"


def _is_system_account(uid: int) -> bool:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ACCOUNT).pw_uid == uid
    return False
