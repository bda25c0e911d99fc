# SPDX-License-Identifier: LGPL-2.1-or-later
"""The loop with fakes in the place of readers, logind and hands: order, failures, and what is never forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pam_sc.decision.monitoring import Action, MonitorPolicy, SessionPolicy
from pam_sc.errors import ConfigError, MonitorError, PamScError
from pam_sc.monitor import doing as doing_module
from pam_sc.monitor import upkeep
from pam_sc.monitor.acquaintance import Acquaintance
from pam_sc.monitor.doing import Deed, Doing
from pam_sc.monitor.facts import CardBack, CardGone, Cause, Outcome, SessionFacts, Side
from pam_sc.monitor.judging import Whereabouts
from pam_sc.monitor.logind import Asleep, Awake, Event, LogindLost, Unlocked
from pam_sc.monitor.parts import Parts, Settings
from pam_sc.monitor.service import Service
from pam_sc.monitor.sight import Identified, Place, SeenToken, Snapshot, Source, Trouble
from pam_sc.record import replace
from pam_sc.session import SessionCard

CARD = SessionCard(uid=4001, account="alice", service="login", label="Alice's card", serial="0001", manufacturer="M",
                   model="PIV", certificate_sha256="ab" * 32, session="1")
FACTS = SessionFacts(id="1", path="/1", uid=4001, account="alice", type="wayland", session_class="user", remote=False,
                     state="active", tty="", display="", locked=False)
TOKEN = SeenToken(place="reader", removable=True, label="Alice's card", serial="0001", manufacturer="M", model="PIV",
                  certificates=frozenset({"ab" * 32}))
POLICY = MonitorPolicy(grace_s=0.01, reader_grace_s=0.01, resume_grace_s=0.05, unwatched_s=0.0)
LIMIT_S = 10.0


def _view(changes: int, *, here: bool) -> Snapshot:
    return Snapshot(Source.PCSC, (Place(key="reader", description="reader", occupied=here, changes=changes),))


class _Logind:
    """A connection to a logind that knows one session."""

    def __init__(self, facts: SessionFacts | None) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.facts = facts
        self.hangs = False

    async def session(self, session: str) -> SessionFacts | None:
        if self.hangs:
            raise MonitorError("no answer in 2 s")
        return self.facts

    async def lock(self, session: str) -> None: ...

    async def terminate(self, session: str) -> None: ...

    async def await_locked(self, session: str, within_s: float) -> bool:
        return False

    async def await_end(self, session: str, within_s: float) -> bool:
        return False

    async def close(self) -> None: ...


class _Monitor:
    """The service, its fakes, and all that they were told, in order."""

    def __init__(self, policy: MonitorPolicy = POLICY, *, acted: bool = False) -> None:
        """`acted`: an earlier run acted on the absence of the card."""
        self.policy = policy
        self.said: list[str] = []
        self.deeds: list[Deed] = []
        self.outcomes: list[Outcome] = []
        self.losses = 0
        self.side = Side.SYSTEM
        self.news = asyncio.Event()
        self.identify_dies = self.logind_dies = self.seeing_dies = 0
        self.config_error = ""
        self.identified = 0
        self.logind = _Logind(FACTS)
        self.hold: asyncio.Event | None = None
        self.watching: asyncio.Future[None]
        """What the watchers that run wait for."""
        self.facts = FACTS
        self.act: Callable[[Deed], Awaitable[Outcome]] = self._locked
        self.tell: Callable[[Snapshot | Trouble], None] = lambda _: None
        self.met: Callable[[Iterable[SessionCard]], None] = lambda _: None
        acquaintance = Acquaintance(lambda _: frozenset())
        parts = Parts(read=self._read, seeing=self._seeing, identify=self._identify, logind=self._connect,
                      sessions=self._sessions)
        self.acted, self.since_s = acted, 0.0
        self.service = Service(parts, self._settings(), acquaintance, self, lambda _: frozenset({"1"} if acted else ()))
        self.doing = Doing(
            acquaintance, self, self, policy=lambda: self.service.settings.policy, logind=lambda: self.service.bus,
            side=self._side, losses=lambda: self.losses, is_here=self._is_here, changed=self.news.set)

    # parts

    def _settings(self) -> Settings:
        return Settings(configuration=None, policy=self.policy)  # type: ignore[arg-type]

    def _read(self) -> Settings:
        if self.config_error:
            raise ConfigError(self.config_error)
        return self._settings()

    def _seeing(self, _settings: Settings, tell: Callable[[Snapshot | Trouble], None]) -> Any:
        self.tell = tell
        return _Part(self, "seeing")

    def _sessions(self, tell: Callable[[Iterable[SessionCard]], None]) -> Any:
        self.met = tell
        tell((CARD,))
        return _Part(self, "sessions")

    async def _identify(self, _settings: Settings, snapshot: Snapshot) -> Identified:
        self.identified += 1
        if self.identify_dies:
            self.identify_dies -= 1
            raise RuntimeError("a defect in identifying")
        here = snapshot.places and snapshot.places[0].occupied
        return Identified(snapshot, (TOKEN,) if here else ())

    async def _connect(self) -> _Logind:
        if self.logind_dies:
            self.logind_dies -= 1
            raise MonitorError("cannot reach logind")
        return self.logind

    async def _side(self, _card: SessionCard) -> Side:
        return self.side

    def _is_here(self, session: str) -> bool:
        return self.service.judge.whereabouts(session) is Whereabouts.HERE

    # the actor

    async def _locked(self, _deed: Deed) -> Outcome:
        return Outcome.LOCKED

    async def gone(self, deed: Deed, known: Callable[[Outcome], None], /) -> Outcome:
        self.deeds.append(deed)
        self._say(f"act {deed.policy.action.value} {deed.side.value}")
        outcome = await self.act(deed)
        known(outcome)
        if self.hold is not None:
            await self.hold.wait()
        return outcome

    async def back(self, deed: Deed, /) -> None:
        self._say("welcome")

    async def absent(self, deed: Deed, /) -> None:
        self._say("absent")

    # who is told

    def _say(self, text: str) -> None:
        self.said.append(text)
        self.news.set()

    def order(self, order: CardGone | CardBack, _card: SessionCard, /) -> None:
        self._say(f"gone {order.cause.value}" if isinstance(order, CardGone) else "back")

    def done(self, _deed: Deed, outcome: Outcome, /) -> None:
        self.outcomes.append(outcome)
        self._say(outcome.value)

    def again(self, _session: str, why: str, _delay_s: float, /) -> None:
        self._say(f"again: {why}")

    def view(self, view: Snapshot | Trouble, /) -> None:
        if isinstance(view, Trouble):
            self._say(f"trouble: {view.why}")

    def part_died(self, name: str, why: str, _delay_s: float, /) -> None:
        self._say(f"{name} died: {why}")

    def problem(self, text: str, /) -> None:
        self._say(f"problem: {text}")

    def logind_change(self, *, connected: bool) -> None:
        self._say("logind" if connected else "no logind")

    def reloaded(self) -> None:
        self._say("reloaded")

    def unlocked(self, _session: str, /) -> None: ...

    def unfinished(self, _session: str, /) -> tuple[Cause, float] | None:
        return (Cause.REMOVED, self.since_s) if self.acted else None

    def sessions_ended(self, sessions: set[str], /) -> None:
        for session in sessions:
            self._say(f"ended {session}")

    async def until(self, *texts: str, count: int = 1) -> None:
        """Wait until each was said so often."""
        async with asyncio.timeout(LIMIT_S):
            while not all(sum(said.startswith(text) for said in self.said) >= count for text in texts):
                self.news.clear()
                await self.news.wait()

    async def here(self, changes: int = 1) -> None:
        """Put the card in, and wait until it is known."""
        self.tell(_view(changes, here=True))
        async with asyncio.timeout(LIMIT_S):
            while self.service.judge.whereabouts("1") is not Whereabouts.HERE or not self.service.knows:
                self.service.changed.clear()
                await self.service.changed.wait()


class _Hears:
    """What Service tells, passed on: `logind` is a method there and a connection here."""

    def __init__(self, monitor: _Monitor) -> None:
        self._monitor = monitor

    def logind(self, *, connected: bool, why: str = "") -> None:
        self._monitor.logind_change(connected=connected)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._monitor, name)


class _Part:
    def __init__(self, monitor: _Monitor, name: str) -> None:
        self._monitor, self._name = monitor, name

    async def run(self) -> None:
        if self._name == "seeing" and self._monitor.seeing_dies:
            self._monitor.seeing_dies -= 1
            raise PamScError("the watchers cannot be started")
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._name == "seeing":
            self._monitor.watching = ended
        self._monitor._say(f"{self._name} runs")
        await ended

    def look(self) -> None:
        self._monitor._say("looked")


@asynccontextmanager
async def _running(policy: MonitorPolicy = POLICY, *, acted: bool = False, **more: Any) -> AsyncIterator[_Monitor]:
    monitor = _Monitor(policy, acted=acted)
    monitor.service._hears = _Hears(monitor)  # type: ignore[assignment]
    for name, value in more.items():
        setattr(monitor, name, value)
    running = asyncio.ensure_future(monitor.service.run(monitor.doing))
    await monitor.until("seeing runs", "sessions runs")
    try:
        yield monitor
    finally:
        if monitor.hold is not None:
            monitor.hold.set()
        monitor.service.stop()
        await running


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FIRST_S", 0.01)
    monkeypatch.setattr(doing_module, "AGAIN_S", (0.02, 0.02, 0.02, 0.02, 0.02))


def test_a_removed_card_locks_its_session() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            assert monitor.said[-3:] == ["gone removed", "act lock system", "locked"]

    asyncio.run(story())


def test_between_the_news_of_a_removal_and_acting_nothing_is_slow() -> None:
    async def story() -> None:
        async with _running(replace(POLICY, grace_s=0.0)) as monitor:
            await monitor.until("logind")
            await monitor.here()
            began = time.monotonic()
            monitor.tell(_view(2, here=False))
            await monitor.until("act")
            assert time.monotonic() - began < 0.05

    asyncio.run(story())


def test_a_card_that_was_removed_while_its_screen_is_locked_is_locked_again_after_its_return() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            await monitor.here(3)
            await monitor.until("welcome")
            monitor.tell(_view(4, here=False))
            await monitor.until("locked", count=2)

    asyncio.run(story())


def test_commands_that_take_long_do_not_hold_up_a_second_lock() -> None:
    async def story() -> None:
        async with _running(hold=asyncio.Event()) as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            monitor.logind.events.put_nowait(Unlocked("1"))
            await monitor.until("gone unlocked-meanwhile", "locked")
            await monitor.until("locked", count=2)

    asyncio.run(story())


@pytest.mark.parametrize(("part", "why"), [
    ("identify_dies", "identifying died: defect: RuntimeError: a defect in identifying"),
    ("logind_dies", "logind died: cannot reach logind"),
    ("seeing_dies", "seeing died: the watchers cannot be started"),
])  # fmt: skip
def test_a_part_that_dies_is_told_and_begins_again(part: str, why: str) -> None:
    async def story() -> None:
        async with _running(**{part: 2}) as monitor:
            await monitor.until("logind")
            await monitor.here()
            await monitor.until(why, count=2)
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            assert monitor.service.healthy

    asyncio.run(story())


def test_acting_that_dies_is_told_and_tried_again() -> None:
    async def story() -> None:
        async def dies_once(_deed: Deed) -> Outcome:
            if len(monitor.deeds) == 1:
                raise RuntimeError("a defect in acting")
            return Outcome.LOCKED

        async with _running() as monitor:
            monitor.act = dies_once
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            assert any(said.startswith("again: defect: RuntimeError: a defect in acting") for said in monitor.said)

    asyncio.run(story())


def test_what_could_not_be_asked_is_asked_again_and_what_was_asked_and_not_seen_is_not() -> None:
    async def story() -> None:
        outcomes = iter([Outcome.FAILED, Outcome.NOT_SEEN])

        async def next_one(_deed: Deed) -> Outcome:
            return next(outcomes)

        async with _running() as monitor:
            monitor.act = next_one
            await monitor.until("logind")
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("not-seen")
            await asyncio.sleep(0.1)  # what must not come has no event
            assert monitor.outcomes == [Outcome.FAILED, Outcome.NOT_SEEN]

    asyncio.run(story())


def test_a_logind_that_does_not_answer_is_asked_again_although_something_was_tried() -> None:
    async def story() -> None:
        async def unseen_while_it_hangs(_deed: Deed) -> Outcome:
            return Outcome.NOT_SEEN if monitor.logind.hangs else Outcome.LOCKED

        async with _running() as monitor:
            monitor.act = unseen_while_it_hangs
            await monitor.until("logind")
            await monitor.here()
            async with asyncio.timeout(LIMIT_S):
                while "1" not in monitor.service.acquaintance.facts:
                    await asyncio.sleep(0.01)
            monitor.logind.hangs = True
            monitor.tell(_view(2, here=False))
            await monitor.until("not-seen")
            monitor.logind.hangs = False
            await monitor.until("locked")

    asyncio.run(story())


def test_a_logind_that_is_lost_is_connected_to_again_and_what_failed_is_tried_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doing_module, "AGAIN_S", (3600.0,))

    async def story() -> None:
        async def fails_without_it(_deed: Deed) -> Outcome:
            return Outcome.FAILED if monitor.service.bus is None else Outcome.LOCKED

        async with _running() as monitor:
            monitor.act = fails_without_it
            await monitor.here()
            async with asyncio.timeout(LIMIT_S):
                while "1" not in monitor.service.acquaintance.facts:
                    await asyncio.sleep(0.01)
            monitor.logind_dies = 4
            monitor.logind.events.put_nowait(LogindLost("logind has ended"))
            await monitor.until("no logind")
            monitor.tell(_view(2, here=False))
            await monitor.until("failed", "locked")

    asyncio.run(story())


def test_where_the_system_unit_is_lost_in_the_middle_the_user_unit_does_its_part_too() -> None:
    async def story() -> None:
        async def loses(deed: Deed) -> Outcome:
            if deed.side is Side.USER:
                monitor.losses += 1
                return Outcome.NOT_SEEN
            return Outcome.LOCKED

        async with _running(side=Side.USER) as monitor:
            monitor.act = loses
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            assert [deed.side for deed in monitor.deeds] == [Side.USER, Side.ALONE]
            assert monitor.outcomes == [Outcome.LOCKED]

    asyncio.run(story())


_THEN_END = replace(POLICY, whole=SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=0.15))


def test_a_session_is_ended_when_its_card_stays_away_although_it_was_unlocked() -> None:
    async def story() -> None:
        async with _running(_THEN_END) as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            monitor.logind.events.put_nowait(Unlocked("1"))
            await monitor.until("act terminate")
            assert [deed.policy.action for deed in monitor.deeds] == [Action.LOCK, Action.LOCK, Action.TERMINATE]

    asyncio.run(story())


def test_a_session_is_not_ended_when_its_card_is_back_in_time() -> None:
    async def story() -> None:
        async with _running(_THEN_END) as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            await monitor.here(3)
            await asyncio.sleep(0.3)  # what must not come has no event
            assert [deed.policy.action for deed in monitor.deeds] == [Action.LOCK]

    asyncio.run(story())


def test_a_session_whose_card_came_back_over_a_restart_has_all_of_its_time_at_the_next_removal() -> None:
    async def story() -> None:
        policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=0.5)
        async with _running(replace(POLICY, whole=policy), acted=True, since_s=0.4) as monitor:
            await monitor.until("logind")
            await monitor.here()
            await monitor.until("back")
            await asyncio.sleep(0.2)  # longer than was left of the first absence
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            await asyncio.sleep(0.2)  # what must not come has no event
            assert "act terminate system" not in monitor.said
            await monitor.until("act terminate")

    asyncio.run(story())


@pytest.mark.parametrize("hangs", [False, True])
def test_an_end_that_an_earlier_run_put_off_comes_also_where_logind_hangs_at_the_start(*, hangs: bool) -> None:
    async def story() -> None:
        policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=0.2)
        logind = _Logind(FACTS)
        logind.hangs = hangs
        async with _running(replace(POLICY, whole=policy), acted=True, logind=logind) as monitor:
            monitor.tell(_view(1, here=False))
            if hangs:
                await monitor.until("acquaintance died")
                logind.hangs = False
            await monitor.until("act terminate")
            assert "act lock system" not in monitor.said

    asyncio.run(story())


def test_a_card_that_goes_while_the_watchers_are_dead_is_not_believed_to_be_here() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.here()
            monitor.watching.set_exception(RuntimeError("a defect in watching"))
            await monitor.until("trouble: nobody watches", "seeing died", "seeing runs")
            assert not monitor.service.able
            assert monitor.service.judge.whereabouts("1") is Whereabouts.UNSEEN

    asyncio.run(story())


def test_another_card_that_came_while_the_configuration_was_read_again_is_read_although_its_count_is_the_same() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.here()
            await monitor.service.reload()
            await monitor.until("seeing runs", count=2)
            await asyncio.sleep(0.05)  # whatever is read of what was seen before the reload is read now
            before = monitor.identified
            await monitor.here()
            assert monitor.identified > before

    asyncio.run(story())


def test_nothing_seen_for_long_counts_as_gone_where_the_policy_says_so() -> None:
    async def story() -> None:
        async with _running(replace(POLICY, unwatched_s=0.05)) as monitor:
            await monitor.here()
            monitor.tell(Trouble("pcscd is gone"))
            await monitor.until("trouble: pcscd is gone", "gone not-watched", "locked")

    asyncio.run(story())


def test_a_card_that_is_back_in_its_reader_when_the_machine_wakes_is_not_gone_and_one_that_is_not_is() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.until("logind")
            await monitor.here()
            monitor.logind.events.put_nowait(Asleep())
            await asyncio.sleep(0)
            monitor.tell(_view(2, here=False))
            monitor.tell(_view(3, here=True))
            monitor.logind.events.put_nowait(Awake())
            await asyncio.sleep(0.1)  # what must not come has no event
            assert not monitor.deeds
            monitor.tell(_view(4, here=False))
            await monitor.until("locked")

    asyncio.run(story())


def test_a_bad_configuration_keeps_the_old_and_a_good_one_changes_what_a_removal_means() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.here()
            monitor.config_error = "unknown key"
            await monitor.service.reload()
            await monitor.until("problem: the configuration stays as it was: unknown key")
            monitor.config_error = ""
            monitor.policy = replace(POLICY, whole=SessionPolicy(action=Action.TERMINATE))
            await monitor.service.reload()
            await monitor.until("seeing runs", count=2)
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("act terminate")

    asyncio.run(story())


def test_a_configuration_that_is_read_again_does_not_lock_again_what_was_acted_on() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            await monitor.service.reload()
            await monitor.until("seeing runs", count=2)
            monitor.tell(_view(2, here=False))
            await asyncio.sleep(0.1)  # what must not come has no event
            assert len(monitor.deeds) == 1

    asyncio.run(story())


def test_a_session_of_another_account_than_its_file_says_is_left_alone() -> None:
    async def story() -> None:
        async with _running() as monitor:
            monitor.logind.facts = replace(FACTS, uid=4002)
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("left-alone")
            assert not monitor.deeds

    asyncio.run(story())


def test_a_session_that_logind_has_no_more_is_left_alone() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.until("logind")
            monitor.logind.facts = None
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("gone removed")
            monitor.met(())
            await monitor.until("ended 1")
            assert not monitor.deeds

    asyncio.run(story())


def test_a_session_whose_name_is_used_again_has_all_of_its_time() -> None:
    async def story() -> None:
        policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=0.3)
        async with _running(replace(POLICY, whole=policy)) as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            monitor.met(())
            await asyncio.sleep(0.4)  # longer than the first session had
            monitor.met((CARD,))
            await monitor.until("locked", count=2)
            await asyncio.sleep(0.05)  # what must not come has no event
            assert Action.TERMINATE not in [deed.policy.action for deed in monitor.deeds]

    asyncio.run(story())


def test_a_session_whose_name_goes_to_another_one_without_a_break_has_all_of_its_time() -> None:
    async def story() -> None:
        policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=1.0)
        async with _running(replace(POLICY, whole=policy)) as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            await asyncio.sleep(0.7)  # most of what the first session has
            monitor.met((replace(CARD, serial="0002"),))
            await monitor.until("locked", count=2)
            await asyncio.sleep(0.5)  # what must not come has no event
            assert Action.TERMINATE not in [deed.policy.action for deed in monitor.deeds]

    asyncio.run(story())


@pytest.mark.parametrize(("uid", "ended"), [(4001, True), (4002, False)])
def test_a_session_whose_name_another_account_has_by_now_is_not_ended(uid: int, ended: bool) -> None:
    async def story() -> None:
        async with _running(_THEN_END) as monitor:
            await monitor.here()
            monitor.tell(_view(2, here=False))
            await monitor.until("locked")
            monitor.logind.facts = replace(FACTS, uid=uid)
            await asyncio.sleep(0.4)  # what must not come has no event
            assert (Action.TERMINATE in [deed.policy.action for deed in monitor.deeds]) is ended

    asyncio.run(story())


def test_sessions_are_looked_at_again_when_logind_was_away() -> None:
    async def story() -> None:
        async with _running() as monitor:
            await monitor.until("logind")
            monitor.logind.events.put_nowait(LogindLost("logind was started again"))
            await monitor.until("no logind")
            monitor.said.clear()
            await monitor.until("logind", "looked")

    asyncio.run(story())
