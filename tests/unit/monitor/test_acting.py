# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done when a card is gone or back, with hands that do nothing real. Nothing here takes time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pam_sc.decision.monitoring import Action, Commands, Locker, OnError, Otherwise, Program, SessionPolicy
from pam_sc.monitor.acting import absent, act, welcome
from pam_sc.monitor.facts import Cause, Outcome, SessionFacts, Side
from pam_sc.monitor.gnome import NAME as GSD
from pam_sc.monitor.hands import Hands
from tests.support.removal import (
    CARD,
    CONSOLE,
    GRAPHICAL,
    FakeBus,
    FakeLogind,
    FakePartner,
    FakePrograms,
    Told,
    facts,
)

LOCKER = Locker(program=Program(arguments=("locker",)))
TERMINATE = SessionPolicy(otherwise=Otherwise.TERMINATE)
WAIT_S = 0.01


def run(policy: SessionPolicy, side: Side, *, session: SessionFacts = GRAPHICAL, told: Told | None = None,
        known: Callable[[Outcome], None] = lambda _outcome: None, **hands: Any) -> tuple[Outcome, str]:
    """Act, and return what it came to and the steps."""
    told = told or Told()
    hands.setdefault("logind", FakeLogind(facts=session))
    outcome = asyncio.run(act(session, CARD, policy, side, Hands(**hands), told, lock_wait_s=WAIT_S, cause=Cause.REMOVED,
                              known=known))
    return outcome, str(told)


def test_a_lock_that_logind_takes_and_shows_is_locked() -> None:
    logind = FakeLogind(locks=True)
    assert run(SessionPolicy(), Side.SYSTEM, logind=logind) == (Outcome.LOCKED, "logind locked")
    assert "terminate" not in logind.called


def test_a_lock_that_logind_takes_and_nothing_shows_is_not_seen() -> None:
    logind = FakeLogind(locks=False)
    assert run(SessionPolicy(), Side.SYSTEM, logind=logind) == (Outcome.NOT_SEEN, "logind not-seen")
    assert "terminate" not in logind.called


def test_what_is_not_seen_to_be_locked_is_ended_where_the_policy_says_so() -> None:
    assert run(TERMINATE, Side.SYSTEM) == (Outcome.TERMINATED, "logind not-seen, terminate terminated")


def test_an_end_that_nothing_shows_is_not_claimed() -> None:
    logind = FakeLogind(ends=False)
    assert run(TERMINATE, Side.SYSTEM, logind=logind) == (Outcome.NOT_SEEN, "logind not-seen, terminate not-seen")


@pytest.mark.parametrize("how", ["", "fails", "hangs"])
def test_a_session_that_is_locked_already_is_asked_all_the_same(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A locker that crashed leaves LockedHint set, and the screen open."""
    monkeypatch.setattr("pam_sc.monitor.removal._SPARE_S", WAIT_S)
    logind = FakeLogind(facts=facts(locked=True), **({how: ("lock",)} if how else {}))
    assert run(TERMINATE, Side.SYSTEM, logind=logind) == (Outcome.LOCKED, "locked-hint locked")
    assert logind.called == ["session", "lock"]


def test_beside_a_system_unit_the_user_unit_does_not_ask_logind_for_a_session_that_is_locked() -> None:
    logind = FakeLogind(facts=facts(locked=True))
    assert run(TERMINATE, Side.USER, logind=logind) == (Outcome.LOCKED, "locked-hint locked")
    assert "lock" not in logind.called


def test_a_hint_that_was_known_earlier_is_not_believed() -> None:
    logind = FakeLogind(facts=facts(locked=False), locks=True)
    assert run(SessionPolicy(), Side.SYSTEM, session=facts(locked=True), logind=logind)[1] == "logind locked"


def test_a_session_that_has_ended_meanwhile_needs_nothing() -> None:
    assert run(TERMINATE, Side.SYSTEM, logind=FakeLogind(facts=None))[0] is Outcome.TERMINATED


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_logind_that_fails_or_hangs_leaves_the_other_ways(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pam_sc.monitor.removal._SPARE_S", WAIT_S)
    every = ("session", "lock", "await_locked", "terminate", "await_end")
    logind = FakeLogind(**{how: every})
    bus = FakeBus(ends={"org.mate.ScreenSaver": Outcome.LOCKED})
    outcome, steps = run(TERMINATE, Side.ALONE, logind=logind, bus=bus, programs=FakePrograms())
    assert outcome is Outcome.LOCKED
    assert steps.endswith("screen-saver locked")
    assert "logind" in steps


@pytest.mark.parametrize(("how", "expected"), [("fails", Outcome.FAILED), ("hangs", Outcome.NOT_SEEN)])
def test_without_logind_nothing_is_claimed(how: str, expected: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pam_sc.monitor.removal._SPARE_S", WAIT_S)
    every = ("session", "lock", "await_locked", "terminate", "await_end")
    assert run(TERMINATE, Side.SYSTEM, logind=FakeLogind(**{how: every}))[0] is expected


def test_savers_are_asked_one_after_the_other_until_one_has_locked() -> None:
    bus = FakeBus(ends={"org.freedesktop.ScreenSaver": Outcome.FAILED, "org.gnome.ScreenSaver": Outcome.NOT_SEEN,
                        "org.mate.ScreenSaver": Outcome.LOCKED, "org.xfce.ScreenSaver": Outcome.LOCKED})
    outcome, steps = run(SessionPolicy(locker=LOCKER), Side.USER, bus=bus, programs=FakePrograms())
    assert outcome is Outcome.LOCKED
    assert steps == "locked-hint not-seen, screen-saver failed, screen-saver not-seen, screen-saver locked"
    assert bus.asked[-1] == "org.mate.ScreenSaver"


def test_a_saver_that_never_answers_costs_its_limit_and_the_locker_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pam_sc.monitor.removal._SPARE_S", WAIT_S)
    bus = FakeBus(ends={"org.mate.ScreenSaver": Outcome.ELSEWHERE})
    outcome, steps = run(SessionPolicy(locker=LOCKER), Side.USER, bus=bus, programs=FakePrograms(locker=Outcome.LOCKED))
    assert (outcome, steps) == (Outcome.LOCKED, "locked-hint not-seen, screen-saver not-seen, locker locked")


def test_a_lost_session_bus_leaves_the_locker() -> None:
    outcome, steps = run(SessionPolicy(locker=LOCKER), Side.USER, bus=FakeBus(lost=True), programs=FakePrograms())
    assert (outcome, steps) == (Outcome.STARTED, "locked-hint not-seen, screen-saver failed, locker started")


def test_a_locker_that_merely_runs_is_started_and_the_session_ends_where_the_policy_says_so() -> None:
    policy = SessionPolicy(locker=LOCKER, otherwise=Otherwise.TERMINATE)
    assert run(SessionPolicy(locker=LOCKER), Side.ALONE, programs=FakePrograms())[0] is Outcome.STARTED
    assert run(policy, Side.ALONE, programs=FakePrograms()) == (
        Outcome.TERMINATED, "logind not-seen, locker started, terminate terminated")


def test_a_hint_that_comes_late_is_seen_in_the_end() -> None:
    logind = FakeLogind()

    class Late(FakePrograms):
        async def lock(self, *arguments: Any) -> Any:
            logind.facts = facts(locked=True)
            return await super().lock(*arguments)

    outcome, steps = run(SessionPolicy(locker=LOCKER), Side.ALONE, logind=logind, programs=Late())
    assert (outcome, steps) == (Outcome.LOCKED, "logind not-seen, locker started, locked-hint locked")


def test_gsd_smartcard_is_left_its_time_first() -> None:
    logind = FakeLogind()
    programs = FakePrograms(statuses={"gsettings": 0}, outputs={"gsettings": "'lock-screen'\n"})

    class Gsd(FakeLogind):
        async def await_locked(self, session: str, within_s: float) -> bool:
            self.facts = facts(locked=True)
            return True

    logind = Gsd()
    outcome, steps = run(SessionPolicy(), Side.ALONE, logind=logind, bus=FakeBus(owned=(GSD,)), programs=programs)
    assert (outcome, steps) == (Outcome.LOCKED, "gnome locked")
    assert "lock" not in logind.called


def test_where_gsd_smartcard_does_not_lock_we_do() -> None:
    programs = FakePrograms(statuses={"gsettings": 0}, outputs={"gsettings": "'lock-screen'\n"})
    logind = FakeLogind(locks=True)
    outcome, steps = run(SessionPolicy(), Side.ALONE, logind=logind, bus=FakeBus(owned=(GSD,)), programs=programs)
    assert (outcome, steps) == (Outcome.LOCKED, "gnome not-seen, logind locked")


@pytest.mark.parametrize(("said", "expected"), [
    (Outcome.LOCKED, Outcome.LOCKED), (Outcome.STARTED, Outcome.TERMINATED), (None, Outcome.TERMINATED),
    (Outcome.TERMINATED, Outcome.TERMINATED), (Outcome.DONE, Outcome.TERMINATED),
    (Outcome.LEFT_ALONE, Outcome.TERMINATED), (Outcome.NOT_SEEN, Outcome.TERMINATED),
])
def test_of_a_user_unit_only_a_lock_is_enough(said: Outcome | None, expected: Outcome) -> None:
    outcome, steps = run(TERMINATE, Side.SYSTEM, partner=FakePartner(says=said))
    assert outcome is expected
    assert ("terminate" in steps) is (said is not Outcome.LOCKED)


def test_a_user_unit_that_claims_the_end_of_the_session_is_not_believed() -> None:
    logind = FakeLogind(ends=False)
    assert run(SessionPolicy(), Side.SYSTEM, logind=logind, partner=FakePartner(says=Outcome.TERMINATED))[0] is Outcome.NOT_SEEN


def test_a_user_unit_that_is_not_there_is_not_waited_for() -> None:
    partner = FakePartner(is_there=False, says=Outcome.LOCKED)
    assert run(SessionPolicy(), Side.SYSTEM, partner=partner) == (Outcome.NOT_SEEN, "logind not-seen")


def test_a_console_without_a_locker_is_ended_and_logind_is_not_asked_to_lock() -> None:
    logind = FakeLogind(facts=CONSOLE)
    assert run(SessionPolicy(), Side.ALONE, session=CONSOLE, logind=logind) == (Outcome.TERMINATED, "terminate terminated")
    assert "lock" not in logind.called


def test_a_console_with_a_locker_that_holds_it_goes_on() -> None:
    programs = FakePrograms(locker=Outcome.LOCKED)
    assert run(SessionPolicy(console_locker=LOCKER), Side.ALONE, session=CONSOLE, programs=programs) == (
        Outcome.LOCKED, "console-locker locked")
    assert programs.started == ["console locker"]


def test_a_console_whose_locker_gave_no_sign_is_ended() -> None:
    outcome = run(SessionPolicy(console_locker=LOCKER), Side.ALONE, session=CONSOLE, programs=FakePrograms())[0]
    assert outcome is Outcome.TERMINATED


def test_on_remove_runs_after_the_lock_was_asked_for() -> None:
    policy = SessionPolicy(on_remove=Commands(programs=(Program(arguments=("sound",)),)))
    programs = FakePrograms(statuses={"sound": 0})
    assert run(policy, Side.ALONE, logind=FakeLogind(locks=True), programs=programs) == (
        Outcome.LOCKED, "logind locked, command done")
    assert programs.occasions[0].event == "card_remove"


def test_a_command_that_hangs_does_not_keep_an_open_session() -> None:
    policy = SessionPolicy(on_remove=Commands(programs=(Program(arguments=("sound",)),)), otherwise=Otherwise.TERMINATE)
    programs, told, logind = FakePrograms(statuses={"sound": 0}, hangs=True), Told(), FakeLogind()

    async def main() -> Outcome:
        known: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        acting = asyncio.create_task(act(
            GRAPHICAL, CARD, policy, Side.ALONE, Hands(logind=logind, programs=programs), told, lock_wait_s=WAIT_S,
            cause=Cause.REMOVED, known=known.set_result))
        outcome = await known
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        return outcome

    assert asyncio.run(main()) is Outcome.TERMINATED
    assert programs.ended_early == ["sound"]


@pytest.mark.parametrize(("on_error", "started", "quits"), [
    (OnError.IGNORE, ["bad", "good"], 0), (OnError.RETURN, ["bad"], 0), (OnError.QUIT, ["bad"], 1),
])
def test_what_follows_a_failed_command_is_the_policys_to_say(on_error: OnError, started: list[str], quits: int) -> None:
    commands = Commands(programs=(Program(arguments=("bad",)), Program(arguments=("good",))), on_error=on_error)
    programs, quit_calls = FakePrograms(statuses={"bad": 1, "good": 0}), []
    outcome, _ = run(SessionPolicy(action=Action.COMMAND, on_remove=commands), Side.ALONE, programs=programs,
                     quit=lambda: quit_calls.append(1))
    assert (outcome, programs.started, len(quit_calls)) == (Outcome.FAILED, started, quits)


@pytest.mark.parametrize("status", [1, None])
def test_a_command_that_fails_or_is_killed_is_not_done(status: int | None) -> None:
    commands = Commands(programs=(Program(arguments=("bad",)),))
    told = Told()
    run(SessionPolicy(action=Action.COMMAND, on_remove=commands), Side.ALONE, told=told,
        programs=FakePrograms(statuses={"bad": status}))
    assert [step.detail for step in told.steps] == [
        "bad: ended with status 1, expected 0" if status else "bad: killed: its time was over"]


def test_a_command_policy_locks_nothing() -> None:
    logind = FakeLogind(locks=True)
    policy = SessionPolicy(action=Action.COMMAND, on_remove=Commands(programs=(Program(arguments=("good",)),)))
    assert run(policy, Side.ALONE, logind=logind, programs=FakePrograms(statuses={"good": 0})) == (
        Outcome.DONE, "command done")
    assert logind.called == []


@pytest.mark.parametrize(("action", "side"), [(Action.COMMAND, Side.SYSTEM), (Action.TERMINATE, Side.USER)])
def test_what_is_the_other_sides_is_left_to_it(action: Action, side: Side) -> None:
    logind = FakeLogind()
    assert run(SessionPolicy(action=action), side, logind=logind, programs=FakePrograms())[0] is Outcome.ELSEWHERE
    assert logind.called == []


def test_terminate_ends_the_session_at_once() -> None:
    assert run(SessionPolicy(action=Action.TERMINATE), Side.SYSTEM) == (Outcome.TERMINATED, "terminate terminated")


@pytest.mark.parametrize("session_class", ["user", "user-early", "user-incomplete", "user-light", "user-early-light"])
def test_every_class_of_persons_sessions_is_locked(session_class: str) -> None:
    """As listed in pam_systemd(8), class=."""
    logind = FakeLogind(facts=facts(session_class=session_class), locks=True)
    assert run(SessionPolicy(), Side.SYSTEM, session=facts(session_class=session_class), logind=logind)[0] is Outcome.LOCKED


@pytest.mark.parametrize("change", [{"session_class": "greeter"}, {"remote": True}, {"state": "closing"},
                                    {"session_class": "background"}])
@pytest.mark.parametrize("side", Side)
def test_sessions_that_are_no_persons_here_are_left_alone(change: dict[str, Any], side: Side) -> None:
    logind, programs = FakeLogind(), FakePrograms(statuses={"good": 0})
    policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, on_remove=Commands(programs=(Program(arguments=("good",)),)))
    assert run(policy, side, session=facts(**change), logind=logind, programs=programs) == (
        Outcome.LEFT_ALONE, "locked-hint left-alone")
    assert (logind.called, programs.started) == ([], [])


class Clock:
    """Sleeps until it is let go on."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.over.wait()


def test_lock_then_terminate_ends_a_locked_session_after_its_time() -> None:
    async def main() -> None:
        clock, logind, known = Clock(), FakeLogind(locks=True), []
        policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=300)
        acting = asyncio.create_task(act(
            GRAPHICAL, CARD, policy, Side.SYSTEM, Hands(logind=logind, sleep=clock.sleep), Told(), lock_wait_s=WAIT_S,
            cause=Cause.REMOVED, known=known.append))
        while not clock.slept:
            await asyncio.sleep(0)
        assert known == [Outcome.LOCKED]
        assert 290 < clock.slept[0] <= 300
        assert "terminate" not in logind.called
        clock.over.set()
        assert await acting is Outcome.TERMINATED
        assert "terminate" in logind.called

    asyncio.run(main())


def test_the_cards_return_prevents_that_end() -> None:
    async def main() -> None:
        clock, logind = Clock(), FakeLogind(locks=True)
        policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE)
        acting = asyncio.create_task(act(
            GRAPHICAL, CARD, policy, Side.SYSTEM, Hands(logind=logind, sleep=clock.sleep), Told(), lock_wait_s=WAIT_S,
            cause=Cause.REMOVED))
        while not clock.slept:
            await asyncio.sleep(0)
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        assert "terminate" not in logind.called

    asyncio.run(main())


def greet(side: Side, session: SessionFacts = GRAPHICAL, policy: SessionPolicy | None = None, *, wake: bool = True,
          **hands: Any) -> tuple[Outcome, str]:
    told = Told()
    made = Hands(**{"logind": FakeLogind(), **hands})
    return asyncio.run(welcome(session, CARD, policy or SessionPolicy(), side, made, told, wake=wake)), str(told)


def test_the_cards_return_wakes_the_screen_and_asks_logind_for_nothing() -> None:
    logind = FakeLogind()
    assert greet(Side.USER, logind=logind, bus=FakeBus(takes_wake=True)) == (Outcome.DONE, "wake done")
    assert logind.called == []


def test_where_nothing_wakes_the_screen_that_is_said() -> None:
    assert greet(Side.USER, bus=FakeBus()) == (Outcome.NOT_SEEN, "wake not-seen")


def test_xscreensaver_is_woken_on_x11_alone() -> None:
    for kind, expected in (("x11", ["xscreensaver-command"]), ("wayland", [])):
        programs = FakePrograms(statuses={"xscreensaver-command": 0})
        greet(Side.USER, facts(type=kind), programs=programs)
        assert programs.started == expected


def test_on_insert_runs_also_where_nothing_is_woken() -> None:
    policy = SessionPolicy(on_insert=Commands(programs=(Program(arguments=("hello",)),)))
    programs = FakePrograms(statuses={"hello": 0})
    assert greet(Side.USER, policy=policy, programs=programs, wake=False) == (Outcome.DONE, "command done")
    assert programs.occasions[0].event == "card_insert"
    assert programs.occasions[0].cause is None


def test_the_system_side_wakes_nothing() -> None:
    assert greet(Side.SYSTEM, bus=FakeBus(takes_wake=True)) == (Outcome.ELSEWHERE, "")


def test_on_absent_runs_the_policys_programs() -> None:
    policy = SessionPolicy(on_absent=Commands(programs=(Program(arguments=("bye",)),)), absent_s=1)
    programs, told = FakePrograms(statuses={"bye": 0}), Told()
    assert asyncio.run(absent(GRAPHICAL, CARD, policy, Side.USER, Hands(logind=FakeLogind(), programs=programs),
                              told)) is Outcome.DONE
    assert programs.occasions[0].event == "expire_time"
