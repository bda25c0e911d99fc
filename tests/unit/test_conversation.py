# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the frames channel, against a scripted shim and a scripted supervisor."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pam_sc.conversation import (
    Conversation,
    FrameType,
    Function,
    MachineClock,
    MessageKind,
    Option,
    OptionalProcess,
    ShimRequest,
    clean,
    read_request,
)
from pam_sc.decision.evidence import Answer, Request
from pam_sc.decision.reasons import PamCode, Severity
from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.frames import SHIM_PAYLOAD_MAX, Channel, Frame, encode


def request_fields(**changes: bytes) -> tuple[bytes, ...]:
    fields = {
        "version": struct.pack(">I", 2), "nonce": b"n" * 32, "function": b"\x01", "flags": bytes(4),
        "service": b"sudo", "account": b"alice", "rhost": b"", "ruser": b"bob", "tty": b"pts/1",
        "ids": struct.pack(">6I", 4002, 0, 0, 4002, 4002, 4002), "at_secure": b"\x01",
        "options": struct.pack(">I", 4), "config": b"/c.toml", "time": struct.pack(">I", 20),
        "arguments": b"",
    }
    return tuple({**fields, **changes}.values())


@dataclass
class Shim:
    """The other ends of the verifier's channels."""

    frames: Channel
    control: socket.socket
    verifier: Channel
    verifier_control: socket.socket

    def conversation(self, options: Option = Option(0)) -> Conversation:
        asked = ShimRequest(
            request=Request(service="sudo", account="alice", real_uid=0, effective_uid=0, saved_uid=0),
            nonce=b"n" * 32, function=Function.AUTHENTICATE, options=options, config_path="", machine_time_s=5,
        )
        return Conversation(self.verifier, self.verifier_control, asked, MachineClock(5))

    def answer(self, *fields: bytes) -> None:
        self.frames.send(Frame(FrameType.ANSWER, fields), soon())


def soon() -> float:
    return time.monotonic() + 5


@pytest.fixture
def shim() -> Iterator[Shim]:
    ours, theirs = socket.socketpair()
    control, verifier_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(5)
    yield Shim(Channel(ours, SHIM_PAYLOAD_MAX), control, Channel(theirs, SHIM_PAYLOAD_MAX), verifier_control)
    for one in (ours, theirs, control, verifier_control):
        one.close()


def test_a_request_is_read_as_it_was_sent(shim: Shim) -> None:
    shim.frames.send(Frame(FrameType.REQUEST, request_fields()), soon())
    asked = read_request(shim.verifier, soon())
    assert asked.request == Request(
        service="sudo", account="alice", rhost=None, ruser="bob", tty="pts/1",
        real_uid=4002, effective_uid=0, saved_uid=0, at_secure=True,
    )
    assert (asked.nonce, asked.options, asked.config_path) == (b"n" * 32, Option.TRY_FIRST_PASS, "/c.toml")
    assert asked.arguments == ()
    assert asked.request.privileged


def test_the_arguments_of_pam_pkcs11_are_read_line_by_line(shim: Shim) -> None:
    shim.frames.send(Frame(FrameType.REQUEST, request_fields(arguments=b"nullok\ntoken_type=My card")), soon())
    assert read_request(shim.verifier, soon()).arguments == ("nullok", "token_type=My card")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": struct.pack(">I", 1)}, {"version": b"\x01"}, {"nonce": b"n" * 31}, {"function": b"\x03"},
        {"function": b""}, {"service": b"\xff"}, {"account": b"alice\0root"}, {"ids": bytes(23)}, {"at_secure": b""},
        {"options": b""}, {"time": bytes(5)}, {"extra": b""},
        {"arguments": b"x" * 769}, {"arguments": b"nullok\0card_only"}, {"arguments": b"\xff"},
    ],
    ids=str,
)
def test_a_request_with_one_malformed_field_is_refused(shim: Shim, changes: dict[str, bytes]) -> None:
    shim.frames.send(Frame(FrameType.REQUEST, request_fields(**changes)), soon())
    with pytest.raises(ProtocolError):
        read_request(shim.verifier, soon())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (1, Answer.ANSWERED), (2, Answer.EMPTY), (3, Answer.NOT_GIVEN), (4, Answer.FAILED), (5, Answer.AGAIN),
        (6, Answer.TOO_LONG), (7, Answer.NOT_STACKED),
    ],
)
def test_the_verifier_learns_how_the_prompt_went_and_nothing_else(shim: Shim, status: int, expected: Answer) -> None:
    shim.answer(bytes([status]), b"")
    assert shim.conversation().ask_pin("PIN: ") is expected
    assert shim.frames.receive(soon()) == Frame(FrameType.PROMPT, (b"\x01", b"PIN: "))
    assert shim.control.recv(2) + shim.control.recv(2) == b"HM"


@pytest.mark.parametrize("fields", [(b"\x01", b"1234"), (b"\x08", b""), (b"", b""), (b"\x01",), (b"\x01", b"", b"")])
def test_an_answer_that_carries_more_or_less_is_refused(shim: Shim, fields: tuple[bytes, ...]) -> None:
    shim.answer(*fields)
    with pytest.raises(ProtocolError):
        shim.conversation().ask_pin("PIN: ")


def test_use_first_pass_never_prompts(shim: Shim) -> None:
    shim.answer(b"\x07", b"")
    assert shim.conversation(Option.USE_FIRST_PASS).ask_pin("PIN: ") is Answer.NOT_STACKED
    assert shim.frames.receive(soon()).fields[0] == b"\x03"


def test_try_first_pass_prompts_only_where_nothing_is_stacked(shim: Shim) -> None:
    shim.answer(b"\x07", b"")
    shim.answer(b"\x01", b"")
    assert shim.conversation(Option.TRY_FIRST_PASS).ask_pin("PIN: ") is Answer.ANSWERED
    assert [shim.frames.receive(soon()).fields[0] for _ in range(2)] == [b"\x03", b"\x01"]


def test_a_stacked_answer_is_not_followed_by_a_prompt(shim: Shim) -> None:
    shim.answer(b"\x01", b"")
    assert shim.conversation(Option.TRY_FIRST_PASS).ask_pin("PIN: ") is Answer.ANSWERED


def test_a_persons_time_is_not_the_machines(shim: Shim) -> None:
    clock = MachineClock(5)
    before = clock.deadline
    asked = ShimRequest(
        request=Request(service="s", account=None, real_uid=0, effective_uid=0, saved_uid=0), nonce=bytes(32),
        function=Function.AUTHENTICATE, options=Option(0), config_path="", machine_time_s=5,
    )
    typing = threading.Timer(0.2, lambda: shim.answer(b"\x01", b""))
    typing.start()
    Conversation(shim.verifier, shim.verifier_control, asked, clock).ask_pin("PIN: ")
    typing.join()
    assert clock.deadline - before >= 0.2


def test_the_verdict_echoes_the_request_and_ends_the_channel(shim: Shim) -> None:
    shim.conversation().verdict("alice", PamCode.SUCCESS)
    assert shim.frames.receive(soon()) == Frame(FrameType.VERDICT, (b"n" * 32, b"\x01", b"alice", b"\x00"))
    with pytest.raises(ChannelClosed):
        shim.frames.receive(soon())


def test_texts_are_cleaned_before_they_leave(shim: Shim) -> None:
    shim.conversation().tell(MessageKind.ERROR, "a\x1b[2Jb\nc\u202ed")
    assert shim.frames.receive(soon()).fields == (b"\x02", b"a?[2Jb?c?d")
    shim.conversation().log(Severity.NOTICE, "x\x00y")
    assert shim.frames.receive(soon()).fields == (b"\x05", b"x?y")


def test_a_cleaned_text_is_never_cut_inside_a_character() -> None:
    assert clean("\u00e4" * 10, 5) == "\u00e4\u00e4"


def test_the_card_process_is_dead_when_the_supervisor_says_so(shim: Shim) -> None:
    shim.control.send(b"k")
    shim.conversation().kill_card_process(soon())
    assert shim.control.recv(2) == b"K"


@pytest.mark.parametrize("answer", [b"K", b"kk", b"x"])
def test_another_answer_of_the_supervisor_is_an_error(shim: Shim, answer: bytes) -> None:
    shim.control.send(answer)
    with pytest.raises(ProtocolError):
        shim.conversation().kill_card_process(soon())


def test_a_silent_supervisor_is_an_error_at_the_deadline(shim: Shim) -> None:
    with pytest.raises(DeadlineExceeded):
        shim.conversation().kill_card_process(time.monotonic() + 0.05)


def test_the_network_process_is_asked_for_and_no_answer_awaited(shim: Shim) -> None:
    shim.conversation().start(OptionalProcess.NETWORK)
    assert shim.control.recv(2) == b"N"


def test_a_supervisor_that_is_gone_starts_nothing(shim: Shim) -> None:
    shim.control.close()
    with pytest.raises(ChannelClosed):
        shim.conversation().start(OptionalProcess.NETWORK)


def test_no_request_at_all_is_an_error(shim: Shim) -> None:
    shim.frames.close()
    with pytest.raises(ChannelClosed):
        read_request(shim.verifier, soon())
    assert encode(Frame(1, ()), 8)  # the codec itself takes an empty frame
