# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the status shows, to whom, and how it reads."""

from __future__ import annotations

import pytest

from pam_sc.cli.monitor_report import status_rows, widths
from pam_sc.cli.output import print_rows
from pam_sc.decision.monitoring import Action
from pam_sc.errors import MonitorError
from pam_sc.monitor.status import Last, SessionStatus, Status, as_mapping
from pam_sc.record import replace

ALICE = SessionStatus(session="1", uid=4001, account="alice", type="wayland", card="gone", action=Action.LOCK, user_unit=True,
                      last=Last(at="2026-01-02T03:04:05Z", cause="removed", outcome="locked"))
BOB = replace(ALICE, session="2", uid=4002, account="bob", type="", card="here", action=None, last=None)
STATUS = Status(unit="system", since="2026-01-02T00:00:00Z", watch="pcsc", trouble="", logind=True, system_unit=True,
                sessions=(ALICE, BOB))


def _lines(found: dict[str, object]) -> list[str]:
    return [" ".join([*row.words, row.text]).strip() for row in status_rows(found)]


def test_an_account_is_told_of_its_own_sessions_and_root_of_all() -> None:
    def sessions(uid: int | None) -> list[str]:
        found = STATUS.values(uid)["sessions"]
        assert isinstance(found, list)
        return [each["session"] for each in found]

    assert (sessions(4001), sessions(4002), sessions(4003), sessions(None)) == (["1"], ["2"], [], ["1", "2"])


def test_a_session_is_a_line_with_its_card_its_policy_and_what_was_last_done() -> None:
    assert _lines(STATUS.values(None))[-2:] == [
        "1 alice wayland gone lock locked at 2026-01-02T03:04:05Z (removed)",
        "2 bob ? here ? none",
    ]


def test_what_has_no_outcome_is_shown_without_one() -> None:
    back = replace(ALICE, last=Last(at="2026-01-02T03:04:05Z", cause="card-returned", outcome=""))
    (line,) = _lines(replace(STATUS, sessions=(back,)).values(None))[-1:]
    assert line == "1 alice wayland gone lock card-returned at 2026-01-02T03:04:05Z"


@pytest.mark.parametrize(("changes", "line"), [
    ({}, "cards are watched by pcsc"),
    ({"unit": "none"}, "cards could be watched by pcsc"),
    ({"watch": "", "trouble": "pcscd is gone"}, "no card can be seen: pcscd is gone"),
    ({"logind": False}, "logind is not connected: no session can be locked through it"),
    ({"unit": "user", "system_unit": False}, "alone: no system unit is met"),
    ({"unit": "user"}, "beside the system unit"),
    ({"sessions": ()}, "no session was opened with a card"),
])  # fmt: skip
def test_what_is_wrong_is_said_above_the_sessions(changes: dict[str, object], line: str) -> None:
    assert line in _lines(replace(STATUS, **changes).values(None))


def test_long_names_and_control_characters_leave_the_columns_apart(capsys: pytest.CaptureFixture[str]) -> None:
    long = replace(ALICE, account="a" * 32, type="unspecified", action=Action.LOCK_THEN_TERMINATE, last=None)
    odd = replace(BOB, account="b\x1b[2J\nob", last=Last(at="x", cause="\x1b]0;", outcome="\x07"))
    rows = status_rows(replace(STATUS, sessions=(long, odd)).values(None))
    print_rows(rows, widths(rows))
    said = capsys.readouterr().out
    assert said.splitlines()[-2].split() == ["1", "a" * 32, "unspecified", "gone", "lock-then-terminate", "none"]
    assert said.splitlines()[-1].split()[1] == r"b\x1b[2J\x0aob"
    assert not any(each in said for each in "\x1b\x07")


def test_without_a_monitor_the_first_line_says_that_nothing_is_locked() -> None:
    found = {**STATUS.values(None), "unit": "none"}
    assert _lines(found)[0] == "no monitor runs: nothing is locked when a card is removed"
    assert "logind is not connected" not in "".join(_lines({**found, "logind": False}))
    assert "it does not answer" in _lines({**found, "problem": "it does not answer"})


@pytest.mark.parametrize("said", [None, [], {}, {"unit": 1, "sessions": []}, {"unit": "system", "sessions": {}}])
def test_what_is_no_status_is_refused(said: object) -> None:
    with pytest.raises(MonitorError, match="cannot understand what the monitor says of itself"):
        as_mapping(said)


def test_a_status_with_values_of_the_wrong_kind_is_shown_without_them() -> None:
    found = as_mapping({"unit": "user", "sessions": [7, {"session": 1, "last": "x"}], "pid": "x", "trouble": 3})
    assert _lines(found)[-1].endswith("none")
