# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the frames channel, against a scripted shim and a scripted supervisor."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pam_sc.conversation import (
    Conversation,
    Extension,
    Fact,
    FrameType,
    Function,
    MachineClock,
    MessageKind,
    Option,
    OptionalProcess,
    PamFlag,
    ShimRequest,
    clean,
    read_request,
)
from pam_sc.decision.possession import Answer
from pam_sc.decision.reasons import PamCode, Severity
from pam_sc.decision.request import Request
from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.frames import SHIM_PAYLOAD_MAX, Channel, Frame, encode


def request_fields(**changes: bytes) -> tuple[bytes, ...]:
    fields = {
        "version": struct.pack(">I", 3), "nonce": b"n" * 32, "function": b"\x01", "flags": bytes(4),
        "service": b"sudo", "account": b"alice", "rhost": b"", "ruser": b"bob", "tty": b"pts/1",
        "ids": struct.pack(">6I", 4002, 0, 0, 4002, 4002, 4002), "at_secure": b"\x01",
        "options": struct.pack(">I", 4), "config": b"/c.toml", "time": struct.pack(">I", 20),
        "arguments": b"", "language": b"de_DE.UTF-8", "login_token": b"", "extensions": bytes(4),
    }
    return tuple({**fields, **changes}.values())


@dataclass
class Shim:
    """The other ends of the verifier's channels."""

    frames: Channel
    control: socket.socket
    verifier: Channel
    verifier_control: socket.socket

    def conversation(self, clock: MachineClock | None = None) -> Conversation:
        asked = ShimRequest(
            request=Request(service="sudo", account="alice", real_uid=0, effective_uid=0, saved_uid=0),
            nonce=b"n" * 32, function=Function.AUTHENTICATE, options=Option(0), config_path="", machine_time_s=5,
        )
        return Conversation(self.verifier, self.verifier_control, asked, clock or MachineClock(5))

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
        real_uid=4002, effective_uid=0, saved_uid=0, at_secure=True, try_first_pass=True,
    )
    assert (asked.nonce, asked.options, asked.config_path) == (b"n" * 32, Option.TRY_FIRST_PASS, "/c.toml")
    assert asked.arguments == ()
    assert (asked.language, asked.login_token, asked.extensions) == ("de_DE.UTF-8", "", Extension(0))
    assert asked.flags == PamFlag(0)
    assert asked.request.privileged


@pytest.mark.parametrize(
    ("changes", "first", "use", "no_null"),
    [
        ({"options": struct.pack(">I", 0)}, False, False, False),
        ({"options": struct.pack(">I", 4)}, True, False, False),
        ({"options": struct.pack(">I", 8)}, False, True, False),
        ({"options": struct.pack(">I", 16), "flags": struct.pack(">I", 1)}, False, False, True),
    ],
)
def test_the_decision_learns_what_may_be_done_with_a_stacked_or_empty_password(
    shim: Shim, changes: dict[str, bytes], first: bool, use: bool, no_null: bool
) -> None:
    shim.frames.send(Frame(FrameType.REQUEST, request_fields(**changes)), soon())
    request = read_request(shim.verifier, soon()).request
    assert (request.try_first_pass, request.use_first_pass, request.disallow_null) == (first, use, no_null)


def test_the_arguments_of_pam_pkcs11_are_read_line_by_line(shim: Shim) -> None:
    shim.frames.send(Frame(FrameType.REQUEST, request_fields(arguments=b"nullok\ntoken_type=My card")), soon())
    assert read_request(shim.verifier, soon()).arguments == ("nullok", "token_type=My card")


def test_flags_options_and_extensions_that_nobody_knows_are_left_out(shim: Shim) -> None:
    every_bit = b"\xff" * 4
    shim.frames.send(
        Frame(FrameType.REQUEST, request_fields(
            flags=every_bit, options=every_bit, extensions=every_bit, login_token=b"My card", function=b"\x02")),
        soon(),
    )  # fmt: skip
    asked = read_request(shim.verifier, soon())
    assert set(asked.flags) == set(PamFlag)
    assert (int(asked.options), asked.extensions) == (31, Extension.CHOICE_LIST)
    assert (asked.login_token, asked.function) == ("My card", Function.CHAUTHTOK)


def test_a_request_of_the_version_before_is_refused(shim: Shim) -> None:
    shim.frames.send(Frame(FrameType.REQUEST, request_fields(version=struct.pack(">I", 2))[:15]), soon())
    with pytest.raises(ProtocolError, match="18 fields"):
        read_request(shim.verifier, soon())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": struct.pack(">I", 2)}, {"version": struct.pack(">I", 4)}, {"language": b"\xff"},
        {"login_token": b"a\0b"}, {"extensions": b""}, {"extensions": bytes(5)}, {"flags": bytes(3)},
        {"version": b"\x01"}, {"nonce": b"n" * 31}, {"function": b"\x03"},
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
        (6, Answer.TOO_LONG), (7, Answer.NOT_STACKED), (8, Answer.WAITED),
    ],
)
def test_the_verifier_learns_how_the_prompt_went_and_nothing_else(shim: Shim, status: int, expected: Answer) -> None:
    shim.answer(bytes([status]), b"")
    assert shim.conversation().ask_secret("PIN: ") is expected
    assert shim.frames.receive(soon()) == Frame(FrameType.PROMPT, (b"\x01", b"PIN: "))
    assert shim.control.recv(2) + shim.control.recv(2) == b"HM"


@pytest.mark.parametrize("fields", [(b"\x01", b"1234"), (b"\x09", b""), (b"", b""), (b"\x01",), (b"\x01", b"", b"")])
def test_an_answer_that_carries_more_or_less_is_refused(shim: Shim, fields: tuple[bytes, ...]) -> None:
    shim.answer(*fields)
    with pytest.raises(ProtocolError):
        shim.conversation().ask_secret("PIN: ")


@pytest.mark.parametrize(("status", "expected"), [(1, Answer.ANSWERED), (7, Answer.NOT_STACKED)])
def test_a_stacked_password_is_asked_of_nobody(shim: Shim, status: int, expected: Answer) -> None:
    shim.answer(bytes([status]), b"")
    assert shim.conversation().take_stacked() is expected
    assert shim.frames.receive(soon()) == Frame(FrameType.PROMPT, (b"\x03", b""))


def test_a_persons_time_is_not_the_machines(shim: Shim) -> None:
    clock = MachineClock(5)
    before = clock.deadline
    asked = ShimRequest(
        request=Request(service="s", account=None, real_uid=0, effective_uid=0, saved_uid=0), nonce=bytes(32),
        function=Function.AUTHENTICATE, options=Option(0), config_path="", machine_time_s=5,
    )
    typing = threading.Timer(0.2, lambda: shim.answer(b"\x01", b""))
    typing.start()
    Conversation(shim.verifier, shim.verifier_control, asked, clock).ask_secret("PIN: ")
    typing.join()
    assert clock.deadline - before >= 0.1, "the timer began a little before the question was put"


def test_a_visible_answer_comes_with_its_text(shim: Shim) -> None:
    shim.answer(b"\x01", "r\u00e9mi".encode())
    assert shim.conversation().ask_visibly("Account: ") == (Answer.ANSWERED, "r\u00e9mi")
    assert shim.frames.receive(soon()) == Frame(FrameType.PROMPT, (b"\x02", b"Account: "))
    assert shim.control.recv(2) + shim.control.recv(2) == b"HM"


def test_a_choice_is_a_list_of_pairs_and_comes_back_as_a_key(shim: Shim) -> None:
    shim.answer(b"\x01", b"1")
    choices = [("0", "Alice"), ("1", "B\x1bob")]
    assert shim.conversation().ask_choice("Which?", choices) == (Answer.ANSWERED, "1")
    listed = b"".join(struct.pack(">I", len(text)) + text for text in (b"0", b"Alice", b"1", b"B?ob"))
    assert shim.frames.receive(soon()) == Frame(FrameType.CHOICE, (b"Which?", listed))
    assert shim.control.recv(2) + shim.control.recv(2) == b"HM"


@pytest.mark.parametrize("status", [2, 3, 4, 5])
def test_a_choice_that_was_not_made_has_no_key(shim: Shim, status: int) -> None:
    shim.answer(bytes([status]), b"")
    answer, key = shim.conversation().ask_choice("Which?", [("0", "Alice")])
    assert (answer is not Answer.ANSWERED, key) == (True, "")


def test_a_visible_answer_that_is_no_text_is_refused(shim: Shim) -> None:
    shim.answer(b"\x01", b"\xff")
    with pytest.raises(ProtocolError):
        shim.conversation().ask_visibly("Account: ")


# Waiting


def test_waiting_tells_begins_a_wait_ends_it_and_is_answered(shim: Shim) -> None:
    shim.answer(b"\x08", b"")
    assert shim.conversation().wait("Insert\x1b", lambda _deadline, _fd: True, 30) is Answer.WAITED
    assert shim.frames.receive(soon()) == Frame(FrameType.WAIT, (b"Insert?",))
    assert shim.frames.receive(soon()) == Frame(FrameType.WAITED, ())
    assert shim.control.recv(2) + shim.control.recv(2) == b"WM"


def test_what_did_not_come_in_time_is_a_timeout(shim: Shim) -> None:
    shim.answer(b"\x08", b"")
    assert shim.conversation().wait("Insert", lambda _deadline, _fd: False, 30) is Answer.TIMEOUT


def test_the_deadline_of_a_wait_is_its_limit_and_the_descriptor_says_that_the_person_cancels(shim: Shim) -> None:
    def until(deadline: float, descriptor: int) -> bool:
        assert 25 < deadline - time.monotonic() <= 30
        assert not select.select([descriptor], [], [], 0)[0]
        shim.answer(b"\x03", b"")
        return not select.select([descriptor], [], [], 5)[0]

    assert shim.conversation().wait("Insert", until, 30) is Answer.NOT_GIVEN


def test_a_card_that_came_while_the_person_cancelled_is_cancelled(shim: Shim) -> None:
    shim.answer(b"\x03", b"")
    assert shim.conversation().wait("Insert", lambda _deadline, _fd: True, 30) is Answer.NOT_GIVEN


@pytest.mark.parametrize("fields", [(b"\x08", b"x"), (b"\x08",), (b"\x09", b"")])
def test_another_answer_to_a_wait_is_an_error(shim: Shim, fields: tuple[bytes, ...]) -> None:
    shim.answer(*fields)
    with pytest.raises(ProtocolError):
        shim.conversation().wait("Insert", lambda _deadline, _fd: True, 30)


def test_a_wait_that_fails_gives_the_machine_its_time_back_and_sends_nothing_more(shim: Shim) -> None:
    def lost(_deadline: float, _descriptor: int) -> bool:
        raise DeadlineExceeded("the card process is stuck")

    with pytest.raises(DeadlineExceeded, match="stuck"):
        shim.conversation().wait("Insert", lost, 30)
    assert shim.control.recv(2) + shim.control.recv(2) == b"WM"
    shim.verifier.shutdown()
    assert shim.frames.receive(soon()).type == FrameType.WAIT
    with pytest.raises(ChannelClosed):
        shim.frames.receive(soon())


def test_waiting_is_not_the_machines_time(shim: Shim) -> None:
    clock = MachineClock(5)
    before = clock.deadline
    shim.answer(b"\x08", b"")
    asked = ShimRequest(
        request=Request(service="s", account=None, real_uid=0, effective_uid=0, saved_uid=0), nonce=bytes(32),
        function=Function.AUTHENTICATE, options=Option(0), config_path="", machine_time_s=5,
    )

    def until(_deadline: float, _descriptor: int) -> bool:
        threading.Event().wait(0.2)  # a person's time
        return True

    Conversation(shim.verifier, shim.verifier_control, asked, clock).wait("Insert", until, 30)
    assert clock.deadline - before >= 0.2


def test_a_wait_may_be_longer_than_all_of_the_machines_time(shim: Shim) -> None:
    clock = MachineClock(0.2)

    def until(_deadline: float, _descriptor: int) -> bool:
        threading.Event().wait(0.4)  # a person's time
        shim.answer(b"\x08", b"")
        return True

    assert shim.conversation(clock).wait("Insert", until, 30) is Answer.WAITED
    assert clock.deadline > time.monotonic()


def test_no_wait_is_longer_than_what_is_left_of_the_request(shim: Shim) -> None:
    """Who goes on when the shim has given up has its verdict heard by nobody."""
    deadlines: list[float] = []

    def until(deadline: float, _descriptor: int) -> bool:
        deadlines.append(deadline - time.monotonic())
        shim.answer(b"\x08", b"")
        return False

    clock = MachineClock(20, gone=290)
    clock.pause(290)
    assert shim.conversation(clock).wait("Insert", until, 30) is Answer.TIMEOUT
    assert 6 < deadlines[0] < 9


def test_no_question_stands_longer_than_the_request(shim: Shim) -> None:
    clock = MachineClock(20, gone=297.7)
    clock.pause(290)
    assert shim.conversation(clock).ask_secret("PIN: ") is Answer.TIMEOUT
    assert clock.last_word > time.monotonic()


@pytest.mark.parametrize(("gone", "left"), [(100.0, 20.0), (290.0, 9.0)])
def test_the_last_word_is_out_before_the_request_is_over(gone: float, left: float) -> None:
    clock = MachineClock(20, gone=gone)
    clock.pause(gone)
    assert left - 1 < clock.last_word - time.monotonic() <= left


@pytest.mark.parametrize(
    ("fact", "name", "value", "fields"),
    [
        (Fact.VARIABLE, "PAM_SC_TOKEN", "My card", (b"\x01", b"PAM_SC_TOKEN", b"My card")),
        (Fact.SESSION_CARD, "", "{}", (b"\x02", b"", b"{}")),
        (Fact.PIN_TO_BE_CHANGED, "", "", (b"\x03", b"", b"")),
    ],
)
def test_a_fact_is_left_as_it_stands(
    shim: Shim, fact: Fact, name: str, value: str, fields: tuple[bytes, ...]
) -> None:
    shim.conversation().leave(fact, name, value)
    assert shim.frames.receive(soon()) == Frame(FrameType.FACT, fields)


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
