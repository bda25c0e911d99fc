# SPDX-License-Identifier: LGPL-2.1-or-later
"""One session whose card is gone: how each way to lock it is gone, and what was seen then.

Every way has a limit of its own, tells of itself as it ends, and fails rather than raises. LOCKED is what LockedHint, a
screen saver that was asked to lock, a locker's own sign or the user unit says, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from pam_sc.decision.monitoring import SessionPolicy
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Outcome, Step, Way
from pam_sc.monitor.gnome import removal_action
from pam_sc.monitor.hands import BusHand, Hands
from pam_sc.monitor.locking import Attempt
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.session_bus import Saver
from pam_sc.monitor.steps import SEEN, Plan, best, longest_s

_SPARE_S = 1.0
"""What a way may take beyond its waiting: calls before and after."""
_START_S = 6.0
"""The same where a program is started: its account is looked up first."""
_ASK_S = 2.0


class Removal:
    """One session whose card is gone, and what is tried."""

    def __init__(
        self, occasion: Occasion, policy: SessionPolicy, hands: Hands, tell: Callable[[Step], None], lock_wait_s: float
    ) -> None:
        self.occasion, self.hands, self.tell = occasion, hands, tell
        self._policy, self._wait_s = policy, lock_wait_s
        self._id = occasion.facts.id

    def say(self, way: Way, outcome: Outcome, detail: str = "") -> None:
        """Tell of a step that has ended."""
        self.tell(Step(session=self._id, way=way, outcome=outcome, detail=detail))

    async def lock(self, todo: Plan) -> Outcome:
        """Go the ways until one was seen to lock; the best of what was seen."""
        outcomes: list[Outcome] = []
        for way in todo.ways:
            outcomes += await self._go(way, todo)
            if best(tuple(outcomes)) in SEEN:
                return best(tuple(outcomes))
        if not self.occasion.facts.is_console:
            outcomes += await self._guarded(Way.HINT, self._look, _SPARE_S)
        return best(tuple(outcomes))

    async def terminate(self) -> Outcome:
        """End the session; TERMINATED only where its end was seen."""
        outcomes = await self._guarded(Way.TERMINATE, self._terminate, self._wait_s + _SPARE_S)
        return best(tuple(outcomes))

    async def _go(self, way: Way, todo: Plan) -> list[Outcome]:
        """Go one way; what it came to, several where it has several parts."""
        wait_s = self._wait_s
        match way:
            case Way.HINT if todo.hint_waits:
                return await self._guarded(way, self._await_hint, wait_s + _SPARE_S)
            case Way.HINT:
                return await self._guarded(way, self._look_and_ask, 2 * _SPARE_S)
            case Way.GNOME:
                return await self._guarded(way, self._await_gnome, 2 * wait_s + _START_S)
            case Way.LOGIND:
                return await self._guarded(way, self._ask_logind, wait_s + _SPARE_S)
            case Way.SCREEN_SAVER:
                return await self._ask_savers()
            case Way.LOCKER:
                return await self._guarded(way, self._start_locker, wait_s + _START_S)
            case Way.CONSOLE_LOCKER:
                return await self._guarded(way, self._start_console_locker, wait_s + _START_S)
            case Way.PARTNER:
                return await self._guarded(way, self._ask_partner, longest_s(wait_s) + _SPARE_S)
        return []

    async def _guarded(
        self, way: Way, attempt: Callable[[], Awaitable[Attempt | None]], limit_s: float
    ) -> list[Outcome]:
        """Make an attempt, which fails rather than raises, and tell of it where it came to anything."""
        try:
            async with asyncio.timeout(limit_s):
                made = await attempt()
        except TimeoutError:
            made = Attempt(Outcome.NOT_SEEN, f"no answer in {limit_s:g} s")
        except MonitorError as error:
            made = Attempt(Outcome.FAILED, str(error))
        except OSError as error:
            made = Attempt(Outcome.FAILED, error.strerror or type(error).__name__)
        if made is None:
            return []
        self.say(way, made.outcome, made.detail)
        return [made.outcome]

    async def _look(self) -> Attempt | None:
        """See whether the session is locked, or gone, now; nothing else is worth a word."""
        found = await self.hands.logind.session(self._id)
        if found is None or found.state == "closing":
            return Attempt(Outcome.TERMINATED, "the session has ended")
        return Attempt(Outcome.LOCKED, "LockedHint is set") if found.locked else None

    async def _look_and_ask(self) -> Attempt | None:
        """See whether it is locked already, and have logind ask all the same: a locker that crashed leaves LockedHint set."""
        found = await self._look()
        if found is not None and found.outcome is Outcome.LOCKED:
            with contextlib.suppress(MonitorError, TimeoutError):
                async with asyncio.timeout(_SPARE_S):
                    await self.hands.logind.lock(self._id)
        return found

    async def _await_hint(self) -> Attempt:
        seen = await self.hands.logind.await_locked(self._id, self._wait_s)
        return Attempt(Outcome.LOCKED, "LockedHint is set") if seen else Attempt(Outcome.NOT_SEEN, "LockedHint is not set")

    async def _ask_logind(self) -> Attempt:
        await self.hands.logind.lock(self._id)
        return await self._await_hint()

    async def _await_gnome(self) -> Attempt | None:
        """Leave gsd-smartcard its time where it is set to act."""
        if self.hands.bus is None or self.hands.programs is None:
            return None
        action = await removal_action(self.hands.bus, self.hands.programs, self.occasion, self._wait_s)
        if action is None:
            return None
        await self.hands.logind.await_locked(self._id, self._wait_s)
        return await self._look() or Attempt(Outcome.NOT_SEEN, f"gsd-smartcard, set to {action}, did not lock")

    async def _ask_savers(self) -> list[Outcome]:
        bus = self.hands.bus
        if bus is None:
            return []
        outcomes: list[Outcome] = []
        for saver in await self._savers(bus):

            async def ask(saver: Saver = saver) -> Attempt:
                return Attempt(*await bus.lock(saver, self._wait_s))

            outcomes += await self._guarded(Way.SCREEN_SAVER, ask, self._wait_s + _SPARE_S)
            if Outcome.LOCKED in outcomes:
                break
        return outcomes

    async def _savers(self, bus: BusHand) -> tuple[Saver, ...]:
        try:
            async with asyncio.timeout(_ASK_S):
                return await bus.savers()
        except (MonitorError, TimeoutError) as error:
            self.say(Way.SCREEN_SAVER, Outcome.FAILED, str(error) or "the session bus does not answer")
            return ()

    async def _start_locker(self) -> Attempt | None:
        if self.hands.programs is None or self._policy.locker is None:
            return None
        return await self.hands.programs.lock(self._policy.locker, self.occasion, self._wait_s)

    async def _start_console_locker(self) -> Attempt | None:
        if self.hands.programs is None or self._policy.console_locker is None:
            return None
        return await self.hands.programs.lock_console(self._policy.console_locker, self.occasion, self._wait_s)

    async def _ask_partner(self) -> Attempt | None:
        """Believe the user unit that it locked: it speaks for the account, which could open the screen as well."""
        if self.hands.partner is None:
            return None
        said = await self.hands.partner.outcome(self._id, longest_s(self._wait_s))
        match said:
            case Outcome.LOCKED | Outcome.STARTED:
                return Attempt(said, "the user unit says so")
            case None:
                return Attempt(Outcome.NOT_SEEN, "the user unit said nothing in time")
        return Attempt(Outcome.NOT_SEEN, f"the user unit says: {said.value}")

    async def _terminate(self) -> Attempt:
        logind = self.hands.logind
        if (ended := await self._look()) is not None and ended.outcome is Outcome.TERMINATED:
            return ended
        await logind.terminate(self._id)
        seen = await logind.await_end(self._id, self._wait_s)
        return Attempt(Outcome.TERMINATED if seen else Outcome.NOT_SEEN, "" if seen else "the session goes on")
