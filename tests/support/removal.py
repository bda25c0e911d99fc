# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session, its card, and hands that do nothing real: for tests of what happens when a card is gone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pam_sc.decision.monitoring import Locker, Program
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Outcome, SessionFacts, Step
from pam_sc.monitor.locking import Attempt
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Ran
from pam_sc.monitor.session_bus import SAVERS, Saver
from pam_sc.record import replace
from pam_sc.session import SessionCard

CARD = SessionCard(uid=4001, account="alice", service="login", label="Alice's card", serial="0001", manufacturer="M",
                   model="PIV", certificate_sha256="ab" * 32, session="c1")
GRAPHICAL = SessionFacts(id="c1", path="/org/freedesktop/login1/session/c1", uid=4001, account="alice", type="wayland",
                         session_class="user", remote=False, state="active", tty="", display="", locked=False)
CONSOLE = replace(GRAPHICAL, type="tty", tty="tty3")


def facts(**changes: Any) -> SessionFacts:
    """A graphical session of alice's, with what a test is about."""
    return replace(GRAPHICAL, **changes)


@dataclass
class FakeLogind:
    """Logind as a test wants it; `called` has what was asked for, in order."""

    facts: SessionFacts | None = GRAPHICAL
    locks: bool = False
    """Whether a lock that was asked for is seen."""
    ends: bool = True
    hint_comes: bool = False
    """Whether LockedHint is set by somebody else while it is waited for."""
    fails: tuple[str, ...] = ()
    hangs: tuple[str, ...] = ()
    called: list[str] = field(default_factory=list)

    async def _begin(self, what: str) -> None:
        self.called.append(what)
        if what in self.fails:
            raise MonitorError(f"cannot call {what}: logind is gone")
        if what in self.hangs:
            await asyncio.Event().wait()

    async def session(self, session: str) -> SessionFacts | None:
        await self._begin("session")
        return self.facts

    async def lock(self, session: str) -> None:
        await self._begin("lock")
        if self.locks and self.facts is not None:
            self.facts = replace(self.facts, locked=True)

    async def terminate(self, session: str) -> None:
        await self._begin("terminate")
        if self.ends:
            self.facts = None

    async def await_locked(self, session: str, within_s: float) -> bool:
        await self._begin("await_locked")
        return self.hint_comes or (self.facts is not None and self.facts.locked)

    async def await_end(self, session: str, within_s: float) -> bool:
        await self._begin("await_end")
        return self.facts is None


@dataclass
class FakeBus:
    """A session bus with savers that end as a test says."""

    ends: dict[str, Outcome] = field(default_factory=dict)
    """By name; HANG is one that never answers."""
    owned: tuple[str, ...] = ()
    takes_wake: bool = False
    lost: bool = False
    asked: list[str] = field(default_factory=list)

    async def owner(self, name: str, limit_s: float = 2.0) -> str | None:
        return ":1.7" if name in self.owned else None

    async def savers(self) -> tuple[Saver, ...]:
        if self.lost:
            raise MonitorError("cannot list the names on the session bus: the connection was lost")
        return tuple(saver for saver in SAVERS if saver.name in self.ends)

    async def lock(self, saver: Saver, within_s: float) -> tuple[Outcome, str]:
        self.asked.append(saver.name)
        if self.ends[saver.name] is Outcome.ELSEWHERE:  # here: never answers
            await asyncio.Event().wait()
        return self.ends[saver.name], saver.name

    async def wake(self) -> str:
        return "org.mate.ScreenSaver" if self.takes_wake else ""


@dataclass
class FakePrograms:
    """Programs that end as a test says."""

    statuses: dict[str, int | None] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    locker: Outcome = Outcome.STARTED
    hangs: bool = False
    started: list[str] = field(default_factory=list)
    ended_early: list[str] = field(default_factory=list)
    occasions: list[Occasion] = field(default_factory=list)

    async def run(self, program: Program, occasion: Occasion) -> Ran:
        name = program.arguments[0]
        if name not in self.statuses:
            raise MonitorError(f"cannot start {name!r}: there is no such program")
        self.started.append(name)
        self.occasions.append(occasion)
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended_early.append(name)
        return Ran(status=self.statuses[name], output=self.outputs.get(name, ""))

    async def lock(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        self.started.append(locker.program.arguments[0])
        return Attempt(self.locker, "")

    async def lock_console(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        self.started.append(f"console {locker.program.arguments[0]}")
        return Attempt(self.locker, "")


@dataclass
class FakePartner:
    """A user unit."""

    is_there: bool = True
    says: Outcome | None = None

    def present(self, uid: int) -> bool:
        return self.is_there

    async def outcome(self, session: str, within_s: float) -> Outcome | None:
        return self.says


@dataclass
class Told:
    """Collects the steps."""

    steps: list[Step] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        self.steps.append(step)

    def __str__(self) -> str:
        return ", ".join(f"{step.way.value} {step.outcome.value}" for step in self.steps)
