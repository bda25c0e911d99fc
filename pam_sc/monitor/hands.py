# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the monitor acts with, as contracts: logind, a session bus, programs, and the units on the other side.

Each of them raises MonitorError for what it could not do, and nothing else; whoever calls them has limits of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from pam_sc.decision.monitoring import Locker, Program
from pam_sc.monitor.facts import Outcome, SessionFacts
from pam_sc.monitor.locking import Attempt
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Ran
from pam_sc.monitor.session_bus import Saver
from pam_sc.record import record


class LogindHand(Protocol):
    """What is done through logind; each call has its own limit, and raises MonitorError."""

    async def session(self, session: str) -> SessionFacts | None:
        """Return a session as it is now; None where logind has none."""

    async def lock(self, session: str) -> None:
        """Ask for the lock of one session."""

    async def terminate(self, session: str) -> None:
        """Ask for its end."""

    async def await_locked(self, session: str, within_s: float) -> bool:
        """Whether LockedHint was seen in time."""

    async def await_end(self, session: str, within_s: float) -> bool:
        """Whether the session was seen to end in time."""


class BusHand(Protocol):
    """What is done on the session bus."""

    async def owner(self, name: str, limit_s: float = ...) -> str | None:
        """Return who owns a name."""

    async def savers(self) -> tuple[Saver, ...]:
        """Return the screen savers that are there."""

    async def lock(self, saver: Saver, within_s: float) -> tuple[Outcome, str]:
        """Ask one to lock, and watch it."""

    async def wake(self) -> str:
        """Wake the screen; who took it."""


class ProgramsHand(Protocol):
    """What starts programs."""

    async def run(self, program: Program, occasion: Occasion) -> Ran:
        """Run a program to its end or its limit."""

    async def lock(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        """Start a locker in a graphical session."""

    async def lock_console(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        """Start a locker on a terminal."""


class PartnerHand(Protocol):
    """The user units that speak to the system unit."""

    def present(self, uid: int) -> bool:
        """Whether one of this account is there."""

    async def outcome(self, session: str, within_s: float) -> Outcome | None:
        """Return what it says of a session; None where it says nothing in time."""


@record(kw_only=True)
class Hands:
    """What things are done with. The system side has neither bus nor programs, the user side no partner."""

    logind: LogindHand
    bus: BusHand | None = None
    programs: ProgramsHand | None = None
    partner: PartnerHand | None = None
    quit: Callable[[], None] = lambda: None
    """Called where a command failed and on_error is quit."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
