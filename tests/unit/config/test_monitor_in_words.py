# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the monitor does is said whole: each field of its policy changes what is said."""

from __future__ import annotations

from typing import Any

import pytest

from pam_sc.config.model import Configuration, MapperSettings, ModuleSettings, TokenSettings, TrustSettings
from pam_sc.config.monitor_in_words import monitor_in_words, policy_in_words
from pam_sc.decision.monitoring import (
    Action,
    Commands,
    Locker,
    MonitorPolicy,
    OnError,
    Otherwise,
    Program,
    Rule,
    RunAs,
    SessionPolicy,
    Sign,
    WatchBy,
)
from pam_sc.decision.policy import Members
from pam_sc.record import replace

LOGGER = Program(arguments=("logger", "x"))
LOCKER = Locker(program=Program(arguments=("swaylock", "-f")))
QUERY = Locker(program=LOCKER.program, sign=Sign.QUERY, query=LOGGER, locked_text="locked")
RUNS = Commands(programs=(LOGGER,))
CHANGES: dict[type, dict[str, Any]] = {
    MonitorPolicy: {
        "watch": WatchBy.PCSC, "poll_s": 2.0, "grace_s": 2.5, "reader_grace_s": 3.0, "resume_grace_s": 11.0, "unwatched_s": 0.0,
        "lock_wait_s": 3.0, "wake": False, "whole": ..., "rules": (Rule(types=frozenset({"tty"}), policy=SessionPolicy()),),
    },
    SessionPolicy: {
        "action": Action.NOTHING, "terminate_after_s": 60.0, "otherwise": Otherwise.TERMINATE,
        "console_otherwise": Otherwise.REPORT, "locker": LOCKER, "console_locker": LOCKER, "on_remove": RUNS, "on_insert": RUNS,
        "on_absent": Commands(programs=(LOGGER, LOGGER)), "absent_s": 7.0,
    },
    Commands: {"programs": (LOGGER, LOGGER), "on_error": OnError.QUIT},
    Program: {"arguments": ("logger",), "limit_s": 11.0, "run_as": RunAs.ROOT},
    Locker: {"program": LOGGER, "sign": Sign.EXIT, "query": LOCKER.program, "locked_text": "shut"},
    Rule: {"services": frozenset({"gdm"}), "members": Members(accounts=frozenset({"alice"})), "types": frozenset({"x11"}),
        "policy": SessionPolicy(action=Action.TERMINATE)},
}  # fmt: skip
BEFORE = SessionPolicy(action=Action.LOCK_THEN_TERMINATE, on_absent=RUNS, absent_s=5.0)
"""A policy of which every field counts."""


def inside(record: object) -> MonitorPolicy:
    """A policy that has this record in it."""
    match record:
        case MonitorPolicy():
            return record
        case Rule():
            return MonitorPolicy(rules=(record,))
        case Commands():
            return MonitorPolicy(whole=SessionPolicy(on_remove=record))
        case Program():
            return MonitorPolicy(whole=SessionPolicy(on_remove=Commands(programs=(record,))))
        case Locker():
            return MonitorPolicy(whole=SessionPolicy(locker=record))
        case SessionPolicy():
            return MonitorPolicy(whole=record)
    raise AssertionError(record)


BEGINNINGS: dict[type, Any] = {
    MonitorPolicy: MonitorPolicy(), SessionPolicy: BEFORE, Commands: RUNS, Program: LOGGER, Locker: QUERY,
    Rule: Rule(types=frozenset({"tty"}), policy=SessionPolicy()),
}  # fmt: skip


def test_every_field_of_the_policy_is_in_the_table() -> None:
    assert {kind: set(changes) for kind, changes in CHANGES.items()} == {kind: set(kind.__annotations__) for kind in BEGINNINGS}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CHANGES for name in CHANGES[kind]])
def test_each_field_changes_what_is_said(kind: type, name: str) -> None:
    change, before = CHANGES[kind][name], BEGINNINGS[kind]
    if change is not ...:
        assert list(policy_in_words(inside(before))) != list(policy_in_words(inside(replace(before, **{name: change}))))


@pytest.mark.parametrize("kind", [Action, Otherwise, OnError, WatchBy])
def test_every_word_has_sentences_of_its_own(kind: type) -> None:
    policies = {
        Action: lambda word: SessionPolicy(action=word), Otherwise: lambda word: SessionPolicy(otherwise=word),
        OnError: lambda word: SessionPolicy(on_remove=Commands(programs=(LOGGER,), on_error=word)),
    }  # fmt: skip
    if kind is WatchBy:
        said = {tuple(policy_in_words(MonitorPolicy(watch=word))) for word in WatchBy}
    else:
        said = {tuple(policy_in_words(MonitorPolicy(whole=policies[kind](word)))) for word in list(kind)}
    assert len(said) == len(list(kind))


def test_it_is_never_said_that_a_session_that_nothing_locks_is_locked() -> None:
    for action in (Action.TERMINATE, Action.COMMAND, Action.NOTHING):
        words = list(policy_in_words(MonitorPolicy(whole=SessionPolicy(action=action, locker=LOCKER, on_remove=RUNS))))
        assert not any("is locked by" in each for each in words)


@pytest.mark.parametrize(("action", "said"), [
    (Action.LOCK, "it stays open and the log has an error"),
    (Action.LOCK_THEN_TERMINATE, "it stays open until it is ended, and the log has an error"),
])  # fmt: skip
def test_how_long_a_session_stays_open_that_was_not_seen_locked(action: Action, said: str) -> None:
    words = list(policy_in_words(MonitorPolicy(whole=SessionPolicy(action=action))))
    assert any(f"where no lock is seen, {said}." in each for each in words)


def test_a_rule_says_only_what_is_otherwise() -> None:
    whole = SessionPolicy(on_remove=RUNS, on_absent=RUNS, absent_s=5.0)
    rules = (
        Rule(services=frozenset({"login"}), policy=whole,
             members=Members(accounts=frozenset({"alice"}), groups=frozenset({"staff"}))),
        Rule(types=frozenset({"tty"}), policy=replace(whole, on_remove=Commands(), absent_s=0.0)),
    )  # fmt: skip
    said = [each for each in policy_in_words(MonitorPolicy(whole=whole, rules=rules)) if each.startswith("For ")]
    assert said == [
        "For sessions opened by login, of alice and @staff (rule 1): the same.",
        "For sessions of the type tty (rule 2): When the card is removed, no program runs.",
        "For sessions of the type tty (rule 2): When the card stays away, no program runs.",
    ]


def test_what_a_program_is_called_cannot_disturb_a_terminal() -> None:
    words = list(policy_in_words(MonitorPolicy(whole=SessionPolicy(locker=Locker(program=Program(arguments=("a", "\x1b[2J")))))))
    assert not any("\x1b" in each for each in words)


def test_a_table_that_contradicts_itself_is_said_to_lock_nothing() -> None:
    configuration = Configuration(
        source="/x.toml", token=TokenSettings(modules=(ModuleSettings(path="/m.so"),)), trust=TrustSettings(anchors="/a"),
        mappers=(MapperSettings(name="cn", table={}, where=""),), monitor={"action": "command"},
    )  # fmt: skip
    assert list(monitor_in_words(configuration)) == ["The monitor cannot use it: it does not start, and locks nothing."]
