# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is being done about each session, and what a later order means for it.

    order     while a session is acted on                 while its card is away
    CardGone  is done after it; of several, the last      is done; what waits goes on
    CardBack  is done after it: a lock is never undone    what waits is dropped
    Later     is done after it                            waits for its time first; the card's return ends it

Sessions do not wait for each other, and what was begun for a session is finished.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable

from pam_sc.monitor.facts import CardBack, CardGone, Cause, Order
from pam_sc.record import record


class What(enum.Enum):
    """What is left to do for a session while its card is away."""

    AGAIN = "again"
    """Lock: an earlier attempt could not even ask for it."""
    TERMINATE = "terminate"
    """`terminate_after_s` is over."""
    ABSENT = "absent"
    """`absent_s` is over."""


@record(kw_only=True)
class Later:
    """Something that is due when the card has been away for a while."""

    session: str
    what: What
    cause: Cause
    attempt: int = 0


Task = Order | Later
Do = Callable[[Task], Awaitable[None]]
TellFailure = Callable[[str, BaseException], None]


class _Errand:
    """One session."""

    def __init__(self) -> None:
        self.due: list[Task] = []
        self.work: asyncio.Task[None] | None = None
        self.waiting: dict[What, tuple[asyncio.TimerHandle, Later]] = {}
        self.away = False


class Errands:
    """All sessions that something is done about. `do` carries one order out; what it dies of is told."""

    def __init__(self, do: Do, tell: TellFailure, changed: Callable[[], None] = lambda: None) -> None:
        self._do, self._tell, self._changed = do, tell, changed
        self._errands: dict[str, _Errand] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is being done; what waits for its time does not count."""
        return all(errand.work is None for errand in self._errands.values())

    def is_waiting(self, session: str, what: What) -> bool:
        """Say whether something waits for its time."""
        return session in self._errands and what in self._errands[session].waiting

    def take(self, order: Order) -> None:
        """Have an order carried out, now or after what is being done for that session."""
        errand = self._errands.setdefault(order.session, _Errand())
        errand.away = isinstance(order, CardGone)
        if isinstance(order, CardBack):
            _stop(errand)
        self._add(errand, order)

    def after(self, delay_s: float, later: Later) -> None:
        """Have something done in so many seconds, unless the card comes back before; nothing if it is back already."""
        errand = self._errands.get(later.session)
        if errand is None or not errand.away:
            return
        before = errand.waiting.pop(later.what, None)
        if before is not None:
            before[0].cancel()
        handle = asyncio.get_running_loop().call_later(max(delay_s, 0.0), self._fall_due, errand, later)
        errand.waiting[later.what] = (handle, later)

    def resume(self, delay_s: float, later: Later) -> None:
        """Have something wait again that an earlier run of the monitor had begun to wait for."""
        self._errands.setdefault(later.session, _Errand()).away = True
        self.after(delay_s, later)

    def hurry(self) -> None:
        """Try again now what waits to be tried again: logind is back."""
        for errand in self._errands.values():
            if What.AGAIN in errand.waiting:
                handle, later = errand.waiting[What.AGAIN]
                handle.cancel()
                self._fall_due(errand, later)

    def _fall_due(self, errand: _Errand, later: Later) -> None:
        errand.waiting.pop(later.what, None)
        self._add(errand, later)

    def _add(self, errand: _Errand, task: Task) -> None:
        errand.due = [one for one in errand.due if _kind(one) != _kind(task)] + [task]
        if errand.work is None:
            errand.work = asyncio.ensure_future(self._work(task.session, errand))

    async def _work(self, session: str, errand: _Errand) -> None:
        try:
            while errand.due:
                try:
                    await self._do(errand.due.pop(0))
                except Exception as error:  # noqa: BLE001 - told; the next order for this session must be carried out
                    self._tell(session, error)
        finally:
            errand.work = None
            self._changed()

    def forget(self, sessions: set[str]) -> None:
        """Drop sessions that have ended; what is being done for them is finished."""
        for session in sessions & self._errands.keys():
            errand = self._errands[session]
            _stop(errand)
            errand.due.clear()
            if errand.work is None:
                del self._errands[session]

    async def end(self, within_s: float) -> None:
        """Let what is being done be finished, as far as it is in time; stop all that waits."""
        for errand in self._errands.values():
            _stop(errand)
        works = [errand.work for errand in self._errands.values() if errand.work is not None]
        if works:
            _, late = await asyncio.wait(works, timeout=within_s)
            for work in late:
                work.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _kind(task: Task) -> object:
    return task.what if isinstance(task, Later) else type(task)


def _stop(errand: _Errand) -> None:
    """Drop what waits, and what has waited and is not begun."""
    for handle, _ in errand.waiting.values():
        handle.cancel()
    errand.waiting.clear()
    errand.due = [one for one in errand.due if not isinstance(one, Later)]
