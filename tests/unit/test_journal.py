# SPDX-License-Identifier: LGPL-2.1-or-later
"""One entry for each attempt in the journal's own protocol, and syslog where there is no journal."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.decision.reasons import Reason, Severity
from pam_sc.decision.request import Request
from pam_sc.decision.verdict import Denied
from pam_sc.events import EventLog
from pam_sc.journal import MESSAGE_IDS, Event, Journal, entry
from pam_sc.record import replace

REQUEST = Request(service="sudo", account="alice", tty="pts/1", rhost="", real_uid=0, effective_uid=0, saved_uid=0)
Lines = list[tuple[Severity, str]]


def taken_apart(datagram: bytes) -> dict[str, str]:
    """The fields of an entry, as the journal reads them."""
    fields: dict[str, str] = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(path)
        there.settimeout(5)
        yield path, there


@contextlib.contextmanager
def log_at(path: str) -> Iterator[tuple[EventLog, Lines]]:
    lines: Lines = []
    with contextlib.closing(Journal(path)) as journal:
        yield EventLog(
            lambda severity, text: lines.append((severity, text)), machine_id="m", journal=journal, elapsed_ms=lambda: 123
        ), lines


def test_a_refusal_is_one_entry_with_its_fields_and_nothing_goes_to_syslog(
    listening: tuple[str, socket.socket],
) -> None:
    path, there = listening
    with log_at(path) as (log, lines):
        log.refused(REQUEST, Denied(Reason.PIN_WRONG))
        assert taken_apart(there.recv(4096)) == {
            "MESSAGE": 'pam_sc: refused reason=pin-wrong step=10 service=sudo tty="pts/1" ms=123',
            "PRIORITY": "5", "SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": "pam_sc",
            "MESSAGE_ID": MESSAGE_IDS[Event.REFUSED], "PAM_SC_RESULT": "refused", "PAM_SC_REASON": "pin-wrong",
            "PAM_SC_STEP": "10", "PAM_SC_SERVICE": "sudo", "PAM_SC_TTY": "pts/1", "PAM_SC_DURATION_MS": "123",
        }  # fmt: skip
        assert lines == []


def test_without_a_journal_the_line_goes_to_syslog(tmp_path: Path) -> None:
    with log_at(str(tmp_path / "nothing")) as (log, lines):
        log.refused(REQUEST, Denied(Reason.PIN_WRONG))
        assert lines == [(Severity.NOTICE, 'refused reason=pin-wrong step=10 service=sudo tty="pts/1" ms=123')]


def test_a_journal_that_has_gone_meanwhile_loses_no_line(listening: tuple[str, socket.socket]) -> None:
    path, there = listening
    with log_at(path) as (log, lines):
        there.close()
        log.refused(REQUEST, Denied(Reason.PIN_WRONG))
        assert len(lines) == 1


def test_a_journal_that_takes_nothing_more_loses_no_line(listening: tuple[str, socket.socket]) -> None:
    path, there = listening
    there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with log_at(path) as (log, lines):
        for _ in range(2000):
            log.refused(REQUEST, Denied(Reason.PIN_WRONG))
        assert lines


def test_the_message_ids_are_of_their_kind_and_differ() -> None:
    assert set(MESSAGE_IDS) == set(Event)
    assert len(set(MESSAGE_IDS.values())) == len(Event)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in MESSAGE_IDS.values())


@given(service=st.text(max_size=100), detail=st.text(max_size=100))
def test_no_value_forges_a_field(service: str, detail: str) -> None:
    pairs = [("service", service), ("detail", detail)]
    fields = taken_apart(entry(Severity.INFO, Event.GRANTED, "granted", pairs))
    assert list(fields) == [
        "MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "MESSAGE_ID", "PAM_SC_RESULT", "PAM_SC_SERVICE",
        "PAM_SC_DETAIL",
    ]  # fmt: skip


def test_what_would_move_a_cursor_is_an_escape_in_a_field_too_and_no_field_is_without_end(
    listening: tuple[str, socket.socket],
) -> None:
    path, there = listening
    with log_at(path) as (log, _lines):
        log.refused(replace(REQUEST, rhost="a\x1b[2J\nPAM_SC_RESULT=granted", tty="t" * 200), Denied(Reason.NO_CARD))
        fields = taken_apart(there.recv(8192))
    assert fields["PAM_SC_RHOST"] == "a\\x1b[2J\\x0aPAM_SC_RESULT=granted"
    assert fields["PAM_SC_RESULT"] == "refused"
    assert fields["PAM_SC_TTY"] == "t" * 61 + "..."


def test_the_name_of_an_unknown_account_is_in_no_field(listening: tuple[str, socket.socket]) -> None:
    path, there = listening
    with log_at(path) as (log, _lines):
        log.refused(Request(service="login", account="hunter2", real_uid=0, effective_uid=0, saved_uid=0),
                    Denied(Reason.ACCOUNT_UNKNOWN))  # fmt: skip
        assert b"hunter2" not in there.recv(4096)
