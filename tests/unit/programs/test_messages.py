# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of the program channel: there and back, and nothing else."""

from __future__ import annotations

import struct

import pytest

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.programs.messages import (
    ANSWER_MAX,
    LINE_MAX,
    Answer,
    Answered,
    Failure,
    Kind,
    NotAnswered,
    ProgramAccount,
    Ready,
    Run,
    Setup,
    Unusable,
    answer_frame,
    read_answer,
    read_run,
    read_setup,
    run_frame,
    setup_frame,
)

ACCOUNT = ProgramAccount(65534, 65534, (7, 8))
PROGRAMS = (("/a", "x y", "", "j\u00f6"), ("/b",))
IDS = struct.pack(">2I", 5, 5)


@pytest.mark.parametrize("setup", [Setup(ACCOUNT, PROGRAMS), Setup(None, PROGRAMS), Setup(ProgramAccount(1, 1, ()), (("/a",),))])
def test_setup_there_and_back(setup: Setup) -> None:
    assert read_setup(setup_frame(setup)) == setup


@pytest.mark.parametrize("account", [ProgramAccount(0, 1, ()), ProgramAccount(1, 0, ()), ProgramAccount(1, 1, (0,)),
                                     ProgramAccount(1, 0xFFFFFFFF, ())])
def test_no_setup_is_roots(account: ProgramAccount) -> None:
    with pytest.raises(ProtocolError, match="root's uid or group"):
        read_setup(setup_frame(Setup(account, PROGRAMS)))


@pytest.mark.parametrize("frame", [
    Frame(Kind.RUN, (IDS, b"/a")), Frame(Kind.SETUP, ()), Frame(Kind.SETUP, (IDS,)), Frame(Kind.SETUP, (IDS[:4], b"/a")),
    Frame(Kind.SETUP, (IDS + b"\0", b"/a")), Frame(Kind.SETUP, (IDS, b"a")), Frame(Kind.SETUP, (IDS, b"")),
    Frame(Kind.SETUP, (IDS, *[b"/a"] * 33)), Frame(Kind.SETUP, (IDS, b"/a" + b"\0x" * 64)),
], ids=str)  # fmt: skip
def test_a_malformed_setup_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError, match="program message is malformed"):
        read_setup(frame)


def test_run_there_and_back() -> None:
    run = Run(1, 3000, b"x" * LINE_MAX)
    assert read_run(run_frame(run), 2) == run


@pytest.mark.parametrize("frame", [
    run_frame(Run(2, 1, b"")), run_frame(Run(0, 1, b"x" * (LINE_MAX + 1))), Frame(Kind.RUN, ()), Frame(Kind.RUN, (b"", b"")),
    Frame(Kind.SETUP, run_frame(Run(0, 1, b"")).fields), Frame(Kind.RUN, (*run_frame(Run(0, 1, b"")).fields, b"")),
], ids=["number", "line", "empty", "short", "type", "long"])  # fmt: skip
def test_a_malformed_run_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError, match="program message is malformed"):
        read_run(frame, 2)


@pytest.mark.parametrize("answer", [
    Ready(), Answered(b""), Answered(b"\xff\0\n"), Answered(b"x" * ANSWER_MAX), NotAnswered(Failure.TIMEOUT, "why"),
    Unusable("why"),
], ids=["ready", "empty", "bytes", "long", "failed", "unusable"])  # fmt: skip
def test_answers_there_and_back(answer: Answer) -> None:
    assert read_answer(answer_frame(answer)) == answer


@pytest.mark.parametrize("frame", [
    Frame(Kind.READY, (b"",)), Frame(Kind.ANSWER, ()), Frame(Kind.ANSWER, (b"x" * (ANSWER_MAX + 1),)),
    Frame(Kind.ANSWER, (b"", b"")), Frame(Kind.FAILED, (b"\1",)), Frame(Kind.FAILED, (b"\0", b"")),
    Frame(Kind.FAILED, (b"\4", b"")), Frame(Kind.FAILED, (b"", b"")), Frame(Kind.UNUSABLE, ()), Frame(0x99, ()),
    Frame(Kind.SETUP, ()),
], ids=lambda frame: f"{frame.type:#x}-{len(frame.fields)}")  # fmt: skip
def test_a_malformed_answer_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError, match="program message is malformed"):
        read_answer(frame)


def test_why_is_cleaned_and_cut() -> None:
    answer = read_answer(Frame(Kind.UNUSABLE, (b"a\x1b[2J\xff" + b"x" * 500,)))
    assert isinstance(answer, Unusable)
    assert answer.why.startswith("a?[2J")
    assert len(answer.why) <= 200
