# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a later order means for a session that something is being done about."""

from __future__ import annotations

import asyncio

from pam_sc.monitor.errands import Errands, Later, Task, What
from pam_sc.monitor.facts import CardBack, CardGone, Cause

GONE, BACK = CardGone("1", Cause.REMOVED), CardBack("1")
END = Later(session="1", what=What.TERMINATE, cause=Cause.REMOVED)
AGAIN = Later(session="1", what=What.AGAIN, cause=Cause.REMOVED, attempt=1)


class _Story:
    """Errands whose doing the test holds up: each begun task waits for `let`."""

    def __init__(self) -> None:
        self.begun: list[Task] = []
        self.done: list[Task] = []
        self.died: list[tuple[str, str]] = []
        self.gates: dict[str, asyncio.Semaphore] = {}
        self.dies = False
        self.news = asyncio.Event()
        self.errands = Errands(self._do, lambda session, error: self.died.append((session, str(error))), self.news.set)

    async def _do(self, task: Task) -> None:
        self.begun.append(task)
        self.news.set()
        await self.gates.setdefault(task.session, asyncio.Semaphore(0)).acquire()
        if self.dies:
            raise RuntimeError("a defect")
        self.done.append(task)
        self.news.set()

    def let(self, session: str = "1", count: int = 1) -> None:
        for _ in range(count):
            self.gates.setdefault(session, asyncio.Semaphore(0)).release()

    async def until(self, begun: int = 0, done: int = 0, died: int = 0) -> None:
        async with asyncio.timeout(5):
            while len(self.begun) < begun or len(self.done) < done or len(self.died) < died:
                self.news.clear()
                await self.news.wait()

    async def idle(self) -> None:
        async with asyncio.timeout(5):
            while not self.errands.idle:
                self.news.clear()
                await self.news.wait()


def test_an_order_is_begun_at_once() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.errands.take(GONE)
        await asyncio.sleep(0)
        assert all_of_it.begun == [GONE]
        all_of_it.let()
        await all_of_it.idle()

    asyncio.run(story())


def test_sessions_do_not_wait_for_each_other() -> None:
    async def story() -> None:
        all_of_it, other = _Story(), CardGone("2", Cause.REMOVED)
        all_of_it.errands.take(GONE)
        all_of_it.errands.take(other)
        all_of_it.let("2")
        await all_of_it.until(begun=2, done=1)
        assert all_of_it.done == [other]
        all_of_it.let()
        await all_of_it.idle()

    asyncio.run(story())


def test_a_lock_that_was_begun_is_finished_although_the_card_is_back() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.errands.take(GONE)
        await all_of_it.until(begun=1)
        all_of_it.errands.take(BACK)
        assert all_of_it.begun == [GONE]
        all_of_it.let(count=2)
        await all_of_it.until(done=2)
        assert all_of_it.done == [GONE, BACK]

    asyncio.run(story())


def test_a_lock_that_was_ordered_and_not_begun_is_carried_out_although_the_card_is_back() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.errands.take(GONE)
        all_of_it.errands.take(BACK)
        all_of_it.let(count=2)
        await all_of_it.until(done=2)
        assert all_of_it.done == [GONE, BACK]

    asyncio.run(story())


def test_a_second_removal_while_a_lock_runs_is_acted_on_after_it() -> None:
    async def story() -> None:
        all_of_it, second = _Story(), CardGone("1", Cause.UNLOCKED_MEANWHILE)
        all_of_it.errands.take(GONE)
        await all_of_it.until(begun=1)
        for order in (BACK, GONE, second):
            all_of_it.errands.take(order)
        all_of_it.let(count=3)
        await all_of_it.until(done=3)
        assert all_of_it.done == [GONE, BACK, second], "of several removals that wait, the last"

    asyncio.run(story())


def test_the_cards_return_drops_what_waits_for_its_time() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.let(count=9)
        all_of_it.errands.take(GONE)
        all_of_it.errands.after(0.05, END)
        assert all_of_it.errands.is_waiting("1", What.TERMINATE)
        all_of_it.errands.take(BACK)
        assert not all_of_it.errands.is_waiting("1", What.TERMINATE)
        await asyncio.sleep(0.1)  # what must not come has no event
        assert all_of_it.done == [GONE, BACK]

    asyncio.run(story())


def test_what_waits_for_its_time_is_done_when_the_card_stays_away() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.let(count=9)
        all_of_it.errands.take(GONE)
        all_of_it.errands.after(0.01, END)
        await all_of_it.until(done=2)
        assert all_of_it.done == [GONE, END]

    asyncio.run(story())


def test_nothing_waits_for_a_card_that_is_back_already() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.let(count=9)
        all_of_it.errands.take(GONE)
        all_of_it.errands.take(BACK)
        all_of_it.errands.after(0.0, END)
        assert not all_of_it.errands.is_waiting("1", What.TERMINATE)
        await all_of_it.until(done=2)

    asyncio.run(story())


def test_another_attempt_is_made_at_once_when_there_is_a_reason_to_hurry_and_the_end_of_the_session_is_not() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.let(count=9)
        all_of_it.errands.take(GONE)
        all_of_it.errands.after(3600, AGAIN)
        all_of_it.errands.after(3600, END)
        all_of_it.errands.hurry()
        await all_of_it.until(done=2)
        assert all_of_it.done == [GONE, AGAIN]
        assert all_of_it.errands.is_waiting("1", What.TERMINATE)
        await all_of_it.errands.end(1)

    asyncio.run(story())


def test_an_order_that_dies_is_told_and_the_next_is_carried_out() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.dies = True
        all_of_it.errands.take(GONE)
        all_of_it.let()
        await all_of_it.until(died=1)
        all_of_it.dies = False
        all_of_it.errands.take(GONE)
        all_of_it.let()
        await all_of_it.until(done=1)
        assert all_of_it.died == [("1", "a defect")]

    asyncio.run(story())


def test_a_session_that_has_ended_is_done_with() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.errands.take(GONE)
        await all_of_it.until(begun=1)
        all_of_it.errands.take(CardGone("1", Cause.UNLOCKED_MEANWHILE))
        all_of_it.errands.after(0.01, END)
        all_of_it.errands.forget({"1", "none"})
        all_of_it.let(count=9)
        await all_of_it.idle()
        assert all_of_it.done == [GONE]

    asyncio.run(story())


def test_at_the_end_what_was_begun_has_time_to_be_finished_and_no_more_than_that() -> None:
    async def story() -> None:
        all_of_it = _Story()
        all_of_it.errands.take(GONE)
        all_of_it.errands.take(CardGone("2", Cause.REMOVED))
        await all_of_it.until(begun=2)
        all_of_it.let("2")
        await all_of_it.errands.end(0.05)
        assert [task.session for task in all_of_it.done] == ["2"]
        assert all_of_it.errands.idle

    asyncio.run(story())
