# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events as JSON for a program that reads them, and what becomes of one that does not."""

from __future__ import annotations

import datetime
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.decision.reasons import Severity
from pam_sc.events import cleaned
from pam_sc.monitor.stream import PIECE_MAX, EventStream, json_line

AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
PAIRS = [("session", "3"), ("cause", "removed")]
LINE = b'{"at": "2026-01-02T03:04:05.678Z", "event": "card-removed", "severity": "notice", "session": "3", "cause": "removed"}\n'


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_CLOEXEC)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass  # the test has closed it


def write(stream: EventStream) -> None:
    stream.write(AT, "card-removed", Severity.NOTICE, PAIRS)


def test_an_event_is_one_line_with_the_time_in_utc() -> None:
    assert json_line(AT, "card-removed", Severity.NOTICE, PAIRS) == LINE
    there = AT.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    assert json_line(there, "card-removed", Severity.NOTICE, PAIRS) == LINE


def test_events_are_read_one_by_one(pipe: tuple[int, int]) -> None:
    stream = EventStream(pipe[1])
    write(stream)
    assert os.read(pipe[0], 4096) == LINE
    write(stream)
    assert os.read(pipe[0], 4096) == LINE


def test_a_file_takes_them_all(tmp_path: Path) -> None:
    with open(tmp_path / "events", "wb") as file:
        stream = EventStream(file.fileno())
        for _ in range(1000):
            write(stream)
    assert (tmp_path / "events").read_bytes() == LINE * 1000


def test_a_reader_that_stopped_holds_nothing_up_and_is_told_what_it_missed(pipe: tuple[int, int]) -> None:
    stream = EventStream(pipe[1])
    for _ in range(2000):
        write(stream)
    assert stream.lost == ""
    read = os.read(pipe[0], 1 << 20)
    write(stream)
    last = json.loads(os.read(pipe[0], 4096))
    assert read.endswith(LINE)
    assert int(last["missed"]) == 2000 - read.count(b"\n")
    write(stream)
    assert os.read(pipe[0], 4096) == LINE


def test_a_reader_that_has_gone_is_noted_and_nothing_is_written_any_more(pipe: tuple[int, int]) -> None:
    stream = EventStream(pipe[1])
    os.close(pipe[0])
    write(stream)
    assert stream.lost == "its reader has gone"
    write(stream)
    assert stream.lost == "its reader has gone"


def test_a_descriptor_that_is_none_is_noted(pipe: tuple[int, int]) -> None:
    stream = EventStream(pipe[1])
    os.close(pipe[1])
    write(stream)
    assert stream.lost == "its reader has gone"


def test_a_full_file_system_is_noted() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        stream = EventStream(full.fileno())
        write(stream)
    assert stream.lost == "No space left on device"


def test_a_line_that_was_taken_in_part_ends_the_stream() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stream = EventStream(ours.fileno())
        for _ in range(100):
            stream.write(AT, "e", Severity.INFO, [("detail", "x" * 50000)])
    assert stream.lost == "its reader takes no whole lines"


@given(st.lists(st.tuples(st.sampled_from(["session", "detail", "account"]), st.text(max_size=1000)), max_size=3))
def test_a_line_of_cleaned_values_is_json_on_one_line_and_fits_at_once(pairs: list[tuple[str, str]]) -> None:
    line = json_line(AT, "e", Severity.DEBUG, cleaned(pairs), missed=10**9)
    assert len(line) <= PIECE_MAX
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "at": "2026-01-02T03:04:05.678Z", "event": "e", "severity": "debug", **dict(cleaned(pairs)), "missed": "1000000000",
    }  # fmt: skip
