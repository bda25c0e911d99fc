# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries one order out for one session: what is known of it, what the policy says, whose part it is, act, remember.

An attempt that could not even ask for a lock is made again, later each time, until the card is back; one that asked and
saw nothing is not, for asking again would show no more. The times of a policy (the end of the session, on_absent) count
from the removal, also over a restart of the monitor.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from pam_sc.decision.monitoring import Action, Commands, MonitorPolicy, SessionPolicy
from pam_sc.errors import PamScError
from pam_sc.monitor.acquaintance import Acquaintance, Asked
from pam_sc.monitor.errands import Errands, Later, Task, What
from pam_sc.monitor.facts import CardBack, CardGone, Cause, Outcome, SessionFacts, Side
from pam_sc.monitor.steps import SEEN
from pam_sc.monitor.upkeep import reason_of
from pam_sc.record import record, replace
from pam_sc.session import SessionCard

AGAIN_S = (2.0, 5.0, 15.0, 30.0, 60.0)
SETTLED = SEEN | {Outcome.LEFT_ALONE}
"""After these nothing more is to be tried: it was seen, or nothing was wanted."""


@record(kw_only=True)
class Deed:
    """One thing that is to be done now."""

    card: SessionCard
    facts: SessionFacts
    policy: SessionPolicy
    side: Side
    cause: Cause
    answered: bool = True
    """Whether logind answered just now; else `facts` is what it said before."""
    reader: str = ""
    """Where the card is, or was; "" where that is not known."""


class Actor(Protocol):
    """acting.py with its hands, or what only says what it would do."""

    async def gone(self, deed: Deed, known: Callable[[Outcome], None], /) -> Outcome:
        """Act on a card that is gone; `known` is called as soon as it is known whether the screen is locked."""

    async def back(self, deed: Deed, /) -> None:
        """Wake the dialog, run what the policy says."""

    async def absent(self, deed: Deed, /) -> None:
        """Run what the policy says of a card that stays away."""


class Told(Protocol):
    """Who hears what became of an order."""

    def order(self, order: CardGone | CardBack, card: SessionCard, /) -> None:
        """An order is carried out now."""

    def done(self, deed: Deed, outcome: Outcome, /) -> None:
        """It came to this, for good."""

    def again(self, session: str, why: str, delay_s: float, /) -> None:
        """It could not be done, and is tried again."""


class _EndedError(PamScError):
    """The session is no more: there is nothing to do for it."""


class Doing:
    """Orders, one after the other for each session (errands.py)."""

    def __init__(  # noqa: PLR0913 - what it asks, by name
        self, acquaintance: Acquaintance, actor: Actor, told: Told, *, policy: Callable[[], MonitorPolicy],
        logind: Callable[[], Asked | None], side: Callable[[SessionCard], Awaitable[Side]],
        losses: Callable[[], int], is_here: Callable[[str], bool], changed: Callable[[], None],
        reader: Callable[[str], str] = lambda _: "",
    ) -> None:  # fmt: skip
        self._acquaintance, self._actor, self._told = acquaintance, actor, told
        self._policy, self._logind, self._side, self._losses = policy, logind, side, losses
        self._is_here, self._changed, self._reader = is_here, changed, reader
        self._acting: set[asyncio.Task[Outcome]] = set()
        self._gone_at: dict[str, float] = {}
        self.errands = Errands(self._do, self._died, changed)

    async def _do(self, task: Task) -> None:
        card = self._acquaintance.cards.get(task.session)
        if card is not None:
            with contextlib.suppress(_EndedError):
                await self._do_for(card, task)

    async def _do_for(self, card: SessionCard, task: Task) -> None:
        match task:
            case CardBack():
                self._told.order(task, card)
                self._gone_at.pop(task.session, None)
                await self._actor.back(await self._own_deed(card, Cause.REMOVED))
            case CardGone(cause=cause):
                self._told.order(task, card)
                self._gone_at.setdefault(task.session, asyncio.get_running_loop().time())
                await self._lock(card, cause, 0)
            case Later(what=What.AGAIN, cause=cause, attempt=attempt):
                await self._lock(card, cause, attempt)
            case Later(what=What.TERMINATE, cause=cause):
                await self._terminate(card, cause)
            case Later(what=What.ABSENT, cause=cause):
                await self._actor.absent(await self._own_deed(card, cause))

    async def _lock(self, card: SessionCard, cause: Cause, attempt: int) -> None:
        """Act, and say what follows; also where nothing worked as it should."""
        try:
            deed = await self._deed(card, cause)
        except _EndedError:
            raise
        except PamScError as error:
            self._later(card, cause, attempt, str(error))
            return
        if deed.facts.uid != card.uid:
            self._told.done(deed, Outcome.LEFT_ALONE)
            return
        self._set_timers(deed)
        why = "nothing could be asked to lock it"
        try:
            outcome = await self._act(deed if attempt == 0 else _without_commands(deed))
        except Exception as error:  # noqa: BLE001 - a defect in acting must not leave the screen open
            outcome, why = Outcome.FAILED, reason_of(error)
        self._told.done(deed, outcome)
        if self._is_to_be_tried_again(deed, outcome):
            self._later(card, cause, attempt, why)

    @staticmethod
    def _is_to_be_tried_again(deed: Deed, outcome: Outcome) -> bool:
        """Whether nobody was asked, or a logind that did not answer: not where somebody was and nothing was seen."""
        if deed.policy.action is Action.COMMAND:
            return False
        return outcome is Outcome.FAILED or (outcome is Outcome.NOT_SEEN and not deed.answered)

    async def _act(self, deed: Deed) -> Outcome:
        """Act; where the system unit was lost in the middle of it, do its part as well."""
        losses = self._losses()
        outcome = await self._until_known(deed)
        if deed.side is Side.USER and outcome not in SETTLED and self._losses() != losses:
            return await self._until_known(_without_commands(replace(deed, side=Side.ALONE)))
        return outcome

    async def _until_known(self, deed: Deed) -> Outcome:
        """Return what became of the lock; commands go on after that, and hold up no later order for the session."""
        known: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def tell(outcome: Outcome) -> None:
            if not known.done():
                known.set_result(outcome)

        deed = replace(deed, policy=lock_alone(deed.policy))
        acting = asyncio.ensure_future(self._actor.gone(deed, tell))
        self._acting.add(acting)
        acting.add_done_callback(lambda task: self._acted(deed.card.session, task, was_known=known.done()))
        await asyncio.wait({acting, known}, return_when=asyncio.FIRST_COMPLETED)
        return known.result() if known.done() else acting.result()

    def _acted(self, session: str, acting: asyncio.Task[Outcome], *, was_known: bool) -> None:
        self._acting.discard(acting)
        if not acting.cancelled() and (error := acting.exception()) is not None and was_known:
            self._died(session, error)
        self._changed()

    def forget(self, sessions: set[str]) -> None:
        """Drop sessions that have ended: logind may use a name again."""
        self.errands.forget(sessions)
        for session in sessions:
            self._gone_at.pop(session, None)

    @property
    def idle(self) -> bool:
        """Whether nothing is being done, commands included."""
        return self.errands.idle and not self._acting

    async def end(self, within_s: float) -> None:
        """Let what is being done be finished, as far as it is in time."""
        began = asyncio.get_running_loop().time()
        await self.errands.end(within_s)
        if self._acting:
            left = within_s - (asyncio.get_running_loop().time() - began)
            _, late = await asyncio.wait(set(self._acting), timeout=max(0.0, left))
            for acting in late:
                acting.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _later(self, card: SessionCard, cause: Cause, attempt: int, why: str) -> None:
        delay = AGAIN_S[min(attempt, len(AGAIN_S) - 1)]
        self._told.again(card.session, why, delay)
        later = Later(session=card.session, what=What.AGAIN, cause=cause, attempt=attempt + 1)
        self.errands.after(delay, later)

    def _set_timers(self, deed: Deed) -> None:
        """Begin to wait for the policy's times, once for each absence; act() is asked for the lock alone."""
        session, policy = deed.card.session, deed.policy
        gone_at = self._gone_at.setdefault(session, asyncio.get_running_loop().time())
        for what, after_s, wanted in (
            (What.TERMINATE, policy.terminate_after_s, policy.action is Action.LOCK_THEN_TERMINATE),
            (What.ABSENT, policy.absent_s, policy.absent_s > 0),
        ):
            if wanted and not self.errands.is_waiting(session, what):
                delay = gone_at + after_s - asyncio.get_running_loop().time()
                if delay > 0 or what is What.TERMINATE:
                    self.errands.after(delay, Later(session=session, what=what, cause=deed.cause))

    async def _terminate(self, card: SessionCard, cause: Cause) -> None:
        if self._is_here(card.session):
            return  # whatever was missed: a session whose card is seen is not ended
        deed = await self._own_deed(card, cause)
        ending = replace(deed, policy=replace(deed.policy, action=Action.TERMINATE, on_remove=Commands()))
        outcome = await self._until_known(ending)
        self._told.done(ending, outcome)
        if outcome in {Outcome.FAILED, Outcome.NOT_SEEN}:
            self.errands.after(AGAIN_S[-1], Later(session=card.session, what=What.TERMINATE, cause=cause))

    async def resume(self, card: SessionCard, cause: Cause, since_s: float) -> None:
        """Wait again for what an earlier run of the monitor had begun to wait for, so many seconds ago."""
        try:
            policy = (await self._deed(card, cause)).policy
        except _EndedError:
            return
        if self._is_here(card.session):
            return  # it came back while logind was asked
        self._gone_at[card.session] = asyncio.get_running_loop().time() - since_s
        if policy.action is Action.LOCK_THEN_TERMINATE:
            later = Later(session=card.session, what=What.TERMINATE, cause=cause)
            self.errands.resume(policy.terminate_after_s - since_s, later)
        if policy.absent_s > since_s:
            later = Later(session=card.session, what=What.ABSENT, cause=cause)
            self.errands.resume(policy.absent_s - since_s, later)

    async def _deed(self, card: SessionCard, cause: Cause) -> Deed:
        facts, answered = await self._acquaintance.current(card.session, self._logind())
        if facts is None:
            raise _EndedError(f"cannot act on session {card.session}: logind has it no more")
        policy = await self._acquaintance.policy(self._policy(), card, facts)
        return Deed(
            card=card, facts=facts, policy=policy, side=await self._side(card), cause=cause, answered=answered,
            reader=self._reader(card.session),
        )  # fmt: skip

    async def _own_deed(self, card: SessionCard, cause: Cause) -> Deed:
        """The same; _EndedError where the session is another account's by now: logind may use a name again."""
        deed = await self._deed(card, cause)
        if deed.facts.uid != card.uid:
            raise _EndedError(f"cannot act on session {card.session}: it is another account's")
        return deed

    def _died(self, session: str, error: BaseException) -> None:
        self._told.again(session, reason_of(error), 0.0)


def _without_commands(deed: Deed) -> Deed:
    """The same, but what the policy wants run has been run."""
    return replace(deed, policy=replace(deed.policy, on_remove=Commands()))


def lock_alone(policy: SessionPolicy) -> SessionPolicy:
    """Return a policy for one attempt: the end of the session after a while is waited for here, not in acting.py."""
    return replace(policy, action=Action.LOCK) if policy.action is Action.LOCK_THEN_TERMINATE else policy
