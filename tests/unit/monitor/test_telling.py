# SPDX-License-Identifier: LGPL-2.1-or-later
"""The monitor's log: one event for each thing, success only where it was seen, and nothing about the person's card."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pam_sc import journal as login_journal
from pam_sc.decision.reasons import Severity
from pam_sc.events import pseudonym
from pam_sc.journal import Journal
from pam_sc.monitor.facts import CardBack, CardGone, Cause, Outcome, Side, Step, Way
from pam_sc.monitor.stream import EventStream
from pam_sc.monitor.telling import (
    AUTHPRIV,
    MESSAGE_IDS,
    USER,
    MonitorEvent,
    Outlets,
    Teller,
    facility_of,
    syslog_writer,
)
from pam_sc.record import replace
from tests.unit.monitor.sightings import ALICE, HASH
from tests.unit.test_journal import taken_apart

AT = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
GONE = CardGone("3", Cause.REPLACED)
NAME = pseudonym(bytes.fromhex(HASH), "machine")
TOKEN = pseudonym(b"Maker\0Card\x0001\0PIV", "machine")
SESSION = "session=3 account=alice service=gdm-smartcard"
Lines = list[tuple[Severity, str]]


def said(tell: Callable[[Teller], None], *, machine_id: str = "machine", personal: bool = False, dry_run: bool = False) -> Lines:
    lines: Lines = []
    outlets = Outlets(write=lambda severity, line: lines.append((severity, line)))
    tell(Teller(outlets, machine_id=machine_id, personal=personal, dry_run=dry_run, now=lambda: AT))
    return lines


@pytest.mark.parametrize(
    ("tell", "severity", "line"),
    [
        (lambda t: t.started(Side.SYSTEM, "pcsc"), Severity.NOTICE, "monitor-started side=system watch=pcsc"),
        (lambda t: t.stopping("asked to"), Severity.NOTICE, 'monitor-stopping detail="asked to"'),
        (
            lambda t: t.card_gone(GONE, ALICE), Severity.NOTICE,
            f"card-removed {SESSION} cause=replaced certificate={NAME} token={TOKEN}",
        ),
        (
            lambda t: t.card_back(CardBack("3"), ALICE), Severity.INFO,
            f"card-returned {SESSION} certificate={NAME} token={TOKEN}",
        ),
        (lambda t: t.trouble("pcscd has gone"), Severity.WARNING, 'watching-lost detail="pcscd has gone"'),
        (lambda t: t.seen_again("pcsc"), Severity.NOTICE, "watching-again watch=pcsc"),
        (lambda t: t.seen_again("slots", 1.2345), Severity.NOTICE, "watching-again watch=slots ms=1234"),
        (lambda t: t.problem("no locker"), Severity.ERROR, 'monitor-problem detail="no locker"'),
        (lambda t: t.problem("no locker", Severity.WARNING), Severity.WARNING, 'monitor-problem detail="no locker"'),
        (
            lambda t: t.step(Step(session="3", way=Way.LOGIND, outcome=Outcome.LOCKED)), Severity.INFO,
            "lock-step session=3 way=logind outcome=locked",
        ),
        (
            lambda t: t.step(Step(session="3", way=Way.LOCKER, outcome=Outcome.FAILED, detail="no swaylock")),
            Severity.WARNING, 'lock-step session=3 way=locker outcome=failed detail="no swaylock"',
        ),
        (
            lambda t: t.step(Step(session="3", way=Way.LOGIND, outcome=Outcome.NOT_SEEN)), Severity.WARNING,
            "lock-step session=3 way=logind outcome=not-seen",
        ),
    ],
)  # fmt: skip
def test_each_thing_is_one_line(tell: Callable[[Teller], None], severity: Severity, line: str) -> None:
    assert said(tell) == [(severity, line)]


@pytest.mark.parametrize(
    ("outcome", "event", "severity"),
    [
        (Outcome.LOCKED, "session-locked", Severity.INFO),
        (Outcome.TERMINATED, "session-terminated", Severity.NOTICE),
        (Outcome.STARTED, "session-not-locked", Severity.WARNING),
        (Outcome.DONE, "session-not-locked", Severity.INFO),
        (Outcome.LEFT_ALONE, "session-not-locked", Severity.INFO),
        (Outcome.ELSEWHERE, "session-not-locked", Severity.INFO),
        (Outcome.NOT_SEEN, "session-not-locked", Severity.ERROR),
        (Outcome.FAILED, "session-not-locked", Severity.ERROR),
    ],
)
def test_only_what_was_seen_is_said_to_be_locked_or_terminated(outcome: Outcome, event: str, severity: Severity) -> None:
    line = f"{event} {SESSION} cause=replaced outcome={outcome.value}"
    assert said(lambda teller: teller.outcome(GONE, ALICE, outcome)) == [(severity, line)]


def test_the_label_is_said_only_where_the_administrator_wants_it() -> None:
    ((_severity, line),) = said(lambda teller: teller.card_gone(GONE, ALICE), personal=True)
    assert line.endswith(f"token={TOKEN} label=PIV")


@pytest.mark.parametrize("machine_id", ["", "machine"])
def test_nothing_else_of_the_card_is_said(machine_id: str) -> None:
    card = replace(ALICE, label="Alice Example", serial="4711", manufacturer="Maker of it")
    lines = said(lambda teller: teller.card_gone(GONE, card), machine_id=machine_id)
    lines += said(lambda teller: teller.outcome(GONE, card, Outcome.LOCKED), machine_id=machine_id)
    for word in ("Alice Example", "4711", "Maker", HASH[:8]):
        assert word not in str(lines)
    assert ("certificate=" in str(lines)) is bool(machine_id)


def test_a_record_with_a_hash_that_is_none_names_no_card() -> None:
    ((_severity, line),) = said(lambda teller: teller.card_gone(GONE, replace(ALICE, certificate_sha256="x")))
    assert line == f"card-removed {SESSION} cause=replaced"


def test_a_dry_run_says_so_in_each_line() -> None:
    assert said(lambda teller: teller.outcome(GONE, ALICE, Outcome.DONE), dry_run=True)[0][1].endswith(" dry_run=yes")


def test_nothing_breaks_out_of_its_value() -> None:
    step = Step(session='3" way="x', way=Way.LOCKER, outcome=Outcome.FAILED, detail="a\nsession-locked \x1b[2J")
    ((_severity, line),) = said(lambda teller: teller.step(step))
    assert line == (
        'lock-step session="3\\" way=\\"x" way=locker outcome=failed detail="a\\x0asession-locked \\x1b[2J"'
    )


# ---------------------------------------------------------------- where it goes


def test_the_journal_gets_an_entry_with_its_fields_and_syslog_nothing(tmp_path: Path) -> None:
    lines: Lines = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "journal"))
        there.settimeout(5)
        with contextlib.closing(Journal(str(tmp_path / "journal"))) as journal:
            outlets = Outlets(write=lambda severity, line: lines.append((severity, line)), journal=journal, facility=USER)
            Teller(outlets).outcome(GONE, ALICE, Outcome.NOT_SEEN)
        assert taken_apart(there.recv(4096)) == {
            "MESSAGE": f"pam_sc: session-not-locked {SESSION} cause=replaced outcome=not-seen",
            "PRIORITY": "3", "SYSLOG_FACILITY": "1", "SYSLOG_IDENTIFIER": "pam_sc",
            "MESSAGE_ID": MESSAGE_IDS[MonitorEvent.SESSION_NOT_LOCKED], "PAM_SC_RESULT": "session-not-locked",
            "PAM_SC_SESSION": "3", "PAM_SC_ACCOUNT": "alice", "PAM_SC_SERVICE": "gdm-smartcard",
            "PAM_SC_CAUSE": "replaced", "PAM_SC_OUTCOME": "not-seen",
        }  # fmt: skip
    assert lines == []


def test_without_a_journal_the_line_goes_to_syslog(tmp_path: Path) -> None:
    lines: Lines = []
    with contextlib.closing(Journal(str(tmp_path / "nothing"))) as journal:
        Teller(Outlets(write=lambda severity, line: lines.append((severity, line)), journal=journal)).stopping("x")
    assert lines == [(Severity.NOTICE, "monitor-stopping detail=x")]


def test_the_same_facts_go_to_the_stream_with_the_time() -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with open(reader, "rb", buffering=0) as there, open(writer, "wb", buffering=0) as ours:
        outlets = Outlets(write=lambda *line: None, stream=EventStream(ours.fileno()))
        Teller(outlets, now=lambda: AT).card_gone(GONE, ALICE)
        assert json.loads(there.read(4096)) == {
            "at": "2026-01-02T00:00:00.000Z", "event": "card-removed", "severity": "notice", "session": "3",
            "account": "alice", "service": "gdm-smartcard", "cause": "replaced",
        }  # fmt: skip


def test_the_time_in_the_stream_is_now_unless_it_is_given() -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(milliseconds=1)
    with open(reader, "rb", buffering=0) as there, open(writer, "wb", buffering=0) as ours:
        Teller(Outlets(write=lambda *line: None, stream=EventStream(ours.fileno()))).stopping("x")
        at = datetime.datetime.fromisoformat(json.loads(there.read(4096))["at"])
    assert before <= at <= datetime.datetime.now(datetime.UTC)


def test_a_reader_that_has_gone_is_said_in_the_log_once_and_nothing_ends() -> None:
    lines: Lines = []
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.close(reader)
    with open(writer, "wb", buffering=0) as ours:
        outlets = Outlets(write=lambda severity, line: lines.append((severity, line)), stream=EventStream(ours.fileno()))
        teller = Teller(outlets)
        teller.trouble("x")
        teller.trouble("y")
    assert lines == [
        (Severity.WARNING, "watching-lost detail=x"),
        (
            Severity.WARNING,
            'monitor-problem detail="cannot write the events to standard output any more: its reader has gone"',
        ),
        (Severity.WARNING, "watching-lost detail=y"),
    ]


def test_the_facility_is_that_of_logins_for_the_system_and_for_root() -> None:
    assert facility_of(Side.SYSTEM, 990) == AUTHPRIV == login_journal.AUTHPRIV
    assert facility_of(Side.ALONE, 0) == AUTHPRIV
    assert facility_of(Side.USER, 1000) == facility_of(Side.ALONE, 1000) == USER == 1


def test_syslog_takes_a_line_also_where_nobody_listens() -> None:
    syslog_writer(USER)(Severity.DEBUG, "a line of a test")


def test_the_message_ids_are_of_their_kind_and_differ_from_all_others() -> None:
    assert set(MESSAGE_IDS) == set(MonitorEvent)
    every = [*MESSAGE_IDS.values(), *login_journal.MESSAGE_IDS.values()]
    assert len(set(every)) == len(every)
    assert all(re.fullmatch("[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", each) for each in every)


def test_the_page_about_the_log_has_every_event_with_its_message_id() -> None:
    page = (Path(__file__).parents[3] / "docs" / "log.md").read_text()
    for event, message_id in MESSAGE_IDS.items():
        assert f"| {event.value} | {message_id} |" in page
