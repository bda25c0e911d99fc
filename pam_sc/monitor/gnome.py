# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether GNOME's own gsd-smartcard is going to act on the removal of the card, so that it is not done twice.

It is asked of its setting (removal-action), by gsettings, and only while it owns its name on the session bus. What is
missing, malformed or too slow counts as not set: then we act at once. Nothing is ever written.
"""

from __future__ import annotations

from typing import Protocol

from pam_sc.decision.monitoring import Program
from pam_sc.errors import MonitorError
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Ran

NAME = "org.gnome.SettingsDaemon.Smartcard"
_ASK = ("gsettings", "get", "org.gnome.settings-daemon.peripherals.smartcard", "removal-action")
_ACTIONS = ("lock-screen", "force-logout")


class Names(Protocol):
    """What is asked of the session bus."""

    async def owner(self, name: str, limit_s: float = ...) -> str | None:
        """Return who owns a name; None for nobody."""


class Runner(Protocol):
    """What runs gsettings."""

    async def run(self, program: Program, occasion: Occasion) -> Ran:
        """Run a program to its end or its limit."""


async def removal_action(names: Names, runner: Runner, occasion: Occasion, limit_s: float) -> str | None:
    """Return "lock-screen" or "force-logout" where gsd-smartcard runs and is set to that; else None. Never raises."""
    try:
        if await names.owner(NAME) is None:
            return None
        ran = await runner.run(Program(arguments=_ASK, limit_s=limit_s), occasion)
    except MonitorError:
        return None
    said = ran.output.strip().strip("'")
    return said if ran.status == 0 and said in _ACTIONS else None
