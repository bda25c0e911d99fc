# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the monitor's loop joins, as contracts: tests put their own in. Nothing is done here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from pam_sc.config.model import Configuration
from pam_sc.decision.monitoring import MonitorPolicy
from pam_sc.monitor.facts import Cause
from pam_sc.monitor.hands import LogindHand
from pam_sc.monitor.logind import Event
from pam_sc.monitor.sight import Identified, Snapshot, Trouble
from pam_sc.record import record
from pam_sc.session import SessionCard


class Runs(Protocol):
    """A part that runs until it is cancelled."""

    async def run(self) -> None:
        """Run."""


class Looks(Runs, Protocol):
    """The part that tells of session cards (sessions.py)."""

    def look(self) -> None:
        """Look again: a session came or went."""


class Connection(LogindHand, Protocol):
    """A connection to logind (logind.py)."""

    events: asyncio.Queue[Event]

    async def close(self) -> None:
        """End the connection."""


@record(kw_only=True)
class Settings:
    """What was read from the configuration."""

    configuration: Configuration
    policy: MonitorPolicy


@record(kw_only=True)
class Parts:
    """What the loop joins; tests put their own in."""

    read: Callable[[], Settings]
    """Blocks. PamScError where the configuration is wrong."""
    seeing: Callable[[Settings, Callable[[Snapshot | Trouble], None]], Runs]
    identify: Callable[[Settings, Snapshot], Awaitable[Identified]]
    logind: Callable[[], Awaitable[Connection]]
    sessions: Callable[[Callable[[Iterable[SessionCard]], None]], Looks]
    """Tells of all session cards there are, at once and on each change."""


class Hears(Protocol):
    """Who is told of what happens beside the orders (reporting.py)."""

    def view(self, view: Snapshot | Trouble, /) -> None:
        """The view of the cards has changed."""

    def part_died(self, name: str, why: str, delay_s: float, /) -> None:
        """A part ended, and begins again."""

    def problem(self, text: str, /) -> None:
        """Something is wrong, and does not end the monitor."""

    def logind(self, *, connected: bool, why: str = "") -> None:
        """The connection to logind came or went."""

    def reloaded(self) -> None:
        """The configuration was read again."""

    def unlocked(self, session: str, /) -> None:
        """A session was unlocked: what was seen of its lock before says nothing any more."""

    def unfinished(self, session: str, /) -> tuple[Cause, float] | None:
        """Return what an earlier run of the monitor acted on and may have to go on with."""

    def sessions_ended(self, sessions: set[str], /) -> None:
        """Sessions are no more."""
