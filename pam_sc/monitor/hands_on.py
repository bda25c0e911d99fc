# SPDX-License-Identifier: LGPL-2.1-or-later
"""acting.py with the hands that this process has: logind as it is connected now, and for a user unit bus and programs.

| unit     | logind | session bus | programs                     | user units |
|----------|--------|-------------|------------------------------|------------|
| system   | yes    | no          | no                           | yes        |
| user     | yes    | its own     | as its own account           | no         |
| by hand, | yes    | no          | as the session's account, or | yes        |
| as root  |        |             | as root where run_as says so |            |

Root connects to nobody's session bus: the bus belongs to the account, lets nobody else in, and what it says would be read
by a privileged process. Programs that need it find its address in their environment.
"""

from __future__ import annotations

from collections.abc import Callable

from pam_sc.decision.monitoring import Locker, MonitorPolicy, Program
from pam_sc.errors import MonitorError
from pam_sc.monitor.acting import Hands, absent, act, welcome
from pam_sc.monitor.doing import Deed
from pam_sc.monitor.facts import Outcome, SessionFacts, Side, Step, Way
from pam_sc.monitor.hands import LogindHand
from pam_sc.monitor.locking import Attempt, Lockers
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Programs, Ran
from pam_sc.monitor.steps import plan

_ON_THE_BUS = frozenset({Way.GNOME, Way.SCREEN_SAVER})


class LogindNow:
    """Logind by whatever connection there is; MonitorError without one."""

    def __init__(self, connection: Callable[[], LogindHand | None]) -> None:
        self._connection = connection

    def _now(self) -> LogindHand:
        connection = self._connection()
        if connection is None:
            raise MonitorError("logind is not connected")
        return connection

    async def session(self, session: str) -> SessionFacts | None:
        """As Logind."""
        return await self._now().session(session)

    async def lock(self, session: str) -> None:
        """As Logind."""
        await self._now().lock(session)

    async def terminate(self, session: str) -> None:
        """As Logind."""
        await self._now().terminate(session)

    async def await_locked(self, session: str, within_s: float) -> bool:
        """As Logind."""
        return await self._now().await_locked(session, within_s)

    async def await_end(self, session: str, within_s: float) -> bool:
        """As Logind."""
        return await self._now().await_end(session, within_s)


class ProgramsNow:
    """Programs and lockers together."""

    def __init__(self, programs: Programs) -> None:
        self._programs, self._lockers = programs, Lockers(programs)

    async def run(self, program: Program, occasion: Occasion) -> Ran:
        """As Programs."""
        return await self._programs.run(program, occasion)

    async def lock(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        """As Lockers."""
        return await self._lockers.lock(locker, occasion, within_s)

    async def lock_console(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        """As Lockers."""
        return await self._lockers.lock_console(locker, occasion, within_s)


class HandsOn:
    """What carries deeds out. A `doing.Actor`."""

    def __init__(
        self, hands: Hands, tell: Callable[[Step], None], policy: Callable[[], MonitorPolicy],
        known: Callable[[Deed, Outcome], None] = lambda _deed, _outcome: None,
    ) -> None:  # fmt: skip
        self._hands, self._tell, self._policy, self._known = hands, tell, policy, known

    async def gone(self, deed: Deed, known: Callable[[Outcome], None], /) -> Outcome:
        """Act on a card that is gone."""

        def heard(outcome: Outcome) -> None:
            known(outcome)
            self._known(deed, outcome)

        return await act(
            deed.facts, deed.card, deed.policy, deed.side, self._hands, self._tell,
            lock_wait_s=self._policy().lock_wait_s, cause=deed.cause, known=heard,
            reader=deed.reader,
        )  # fmt: skip

    async def back(self, deed: Deed, /) -> None:
        """Wake the dialog, run what the policy says."""
        await welcome(
            deed.facts, deed.card, deed.policy, deed.side, self._hands, self._tell, wake=self._policy().wake,
            reader=deed.reader,
        )

    async def absent(self, deed: Deed, /) -> None:
        """Run what the policy says of a card that stays away."""
        await absent(deed.facts, deed.card, deed.policy, deed.side, self._hands, self._tell, reader=deed.reader)


class HandsOff:
    """--dry-run: says what would be done, and does nothing. A `doing.Actor`."""

    def __init__(self, hands: Hands, tell: Callable[[Step], None]) -> None:
        self._hands, self._tell = hands, tell

    async def gone(self, deed: Deed, known: Callable[[Outcome], None], /) -> Outcome:
        """Say which ways would be tried."""
        todo = plan(deed.policy, deed.facts, deed.side)
        missing = _ON_THE_BUS if self._hands.bus is None else frozenset()
        ways = [way.value for way in todo.ways if way not in missing]
        if todo.terminate or todo.terminate_unseen:
            ways.append("terminate" if todo.terminate else "terminate if no lock is seen")
        if todo.commands is not None:
            ways += [f"run {program.arguments[0]}" for program in todo.commands.programs]
        said = todo.why_nothing or "would try: " + (", ".join(ways) or "nothing, that is the other unit's part")
        self._tell(Step(session=deed.card.session, way=Way.COMMAND, outcome=Outcome.LEFT_ALONE, detail=said))
        known(Outcome.LEFT_ALONE)
        return Outcome.LEFT_ALONE

    async def back(self, deed: Deed, /) -> None:
        """Say nothing: nothing would be locked."""

    async def absent(self, deed: Deed, /) -> None:
        """Say what would be run."""
        programs = [program.arguments[0] for program in deed.policy.on_absent.programs]
        if deed.side is not Side.SYSTEM and programs:
            step = Step(session=deed.card.session, way=Way.COMMAND, outcome=Outcome.LEFT_ALONE, detail=f"would run {programs}")
            self._tell(step)
