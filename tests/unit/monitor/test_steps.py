# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import pytest

from pam_sc.decision.monitoring import Action, Commands, Locker, Otherwise, Program, SessionPolicy
from pam_sc.monitor.facts import Outcome, Side, Way
from pam_sc.monitor.steps import best, longest_s, plan
from tests.support.removal import CONSOLE, GRAPHICAL, facts

LOCKER = Locker(program=Program(arguments=("swaylock", "-f")))
POLICY = SessionPolicy(locker=LOCKER, console_locker=LOCKER)


@pytest.mark.parametrize(("side", "ways"), [
    (Side.SYSTEM, (Way.HINT, Way.LOGIND, Way.PARTNER)),
    (Side.USER, (Way.HINT, Way.GNOME, Way.SCREEN_SAVER, Way.LOCKER)),
    (Side.ALONE, (Way.HINT, Way.GNOME, Way.LOGIND, Way.SCREEN_SAVER, Way.LOCKER)),
])
def test_a_graphical_session_has_these_ways_in_this_order(side: Side, ways: tuple[Way, ...]) -> None:
    assert plan(POLICY, GRAPHICAL, side, partner=True).ways == ways


def test_a_system_unit_without_a_user_unit_asks_logind_alone() -> None:
    assert plan(POLICY, GRAPHICAL, Side.SYSTEM, partner=False).ways == (Way.HINT, Way.LOGIND)


def test_without_a_configured_locker_none_is_started() -> None:
    assert Way.LOCKER not in plan(SessionPolicy(), GRAPHICAL, Side.ALONE).ways
    assert plan(SessionPolicy(), CONSOLE, Side.ALONE).ways == ()


@pytest.mark.parametrize("side", Side)
def test_logind_is_never_asked_to_lock_a_console(side: Side) -> None:
    assert not {Way.LOGIND, Way.HINT, Way.SCREEN_SAVER, Way.LOCKER} & set(plan(POLICY, CONSOLE, side, partner=True).ways)


def test_the_system_side_never_starts_a_program() -> None:
    policy = SessionPolicy(locker=LOCKER, on_remove=Commands(programs=(LOCKER.program,)))
    for action in Action:
        made = plan(SessionPolicy(**{**vars(policy), "action": action}), GRAPHICAL, Side.SYSTEM, partner=True)
        assert made.commands is None
        assert not {Way.LOCKER, Way.CONSOLE_LOCKER, Way.SCREEN_SAVER} & set(made.ways)


@pytest.mark.parametrize("action", Action)
def test_a_user_unit_beside_a_system_unit_never_ends_the_session(action: Action) -> None:
    policy = SessionPolicy(action=action, otherwise=Otherwise.TERMINATE)
    for session in (GRAPHICAL, CONSOLE):
        made = plan(policy, session, Side.USER)
        assert (made.terminate, made.terminate_unseen, made.terminate_after_s) == (False, False, None)


def test_otherwise_is_of_graphical_sessions_and_console_otherwise_of_those_on_a_tty() -> None:
    policy = SessionPolicy(otherwise=Otherwise.REPORT, console_otherwise=Otherwise.TERMINATE)
    assert not plan(policy, GRAPHICAL, Side.SYSTEM).terminate_unseen
    assert plan(policy, CONSOLE, Side.SYSTEM).terminate_unseen


def test_lock_then_terminate_ends_the_session_after_its_time_also_where_it_was_locked() -> None:
    policy = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, terminate_after_s=7)
    assert plan(policy, GRAPHICAL, Side.SYSTEM).terminate_after_s == 7
    assert plan(SessionPolicy(), GRAPHICAL, Side.SYSTEM).terminate_after_s is None


@pytest.mark.parametrize(("change", "why"), [
    ({"session_class": "greeter"}, "a session of class 'greeter'"),
    ({"session_class": "background"}, "a session of class 'background'"),
    ({"remote": True}, "a remote session"),
    ({"state": "closing"}, "the session ends already"),
])
def test_sessions_that_are_no_persons_here_are_left_alone(change: dict[str, object], why: str) -> None:
    for action in (Action.LOCK, Action.TERMINATE, Action.COMMAND):
        made = plan(SessionPolicy(action=action, on_remove=Commands(programs=(LOCKER.program,))), facts(**change),
                    Side.ALONE)
        assert made.why_nothing == why
        assert (made.ways, made.locks, made.terminate, made.commands) == ((), False, False, None)


def test_nothing_is_done_by_a_policy_of_nothing() -> None:
    assert plan(SessionPolicy(action=Action.NOTHING), GRAPHICAL, Side.ALONE).why_nothing


@pytest.mark.parametrize(("outcomes", "expected"), [
    ((), Outcome.NOT_SEEN),
    ((Outcome.NOT_SEEN, Outcome.STARTED), Outcome.STARTED),
    ((Outcome.STARTED, Outcome.NOT_SEEN), Outcome.STARTED),
    ((Outcome.FAILED, Outcome.NOT_SEEN), Outcome.NOT_SEEN),
    ((Outcome.FAILED, Outcome.LOCKED), Outcome.LOCKED),
    ((Outcome.STARTED, Outcome.TERMINATED), Outcome.TERMINATED),
    ((Outcome.DONE, Outcome.NOT_SEEN), Outcome.NOT_SEEN),
])
def test_what_several_ways_came_to_is_the_best_that_was_seen(outcomes: tuple[Outcome, ...], expected: Outcome) -> None:
    assert best(outcomes) is expected


def test_the_user_unit_is_waited_for_as_long_as_all_its_ways_may_take() -> None:
    assert longest_s(2.0) >= len(plan(POLICY, GRAPHICAL, Side.USER).ways) * 2.0
