# SPDX-License-Identifier: LGPL-2.1-or-later
"""The home reader's end of its channel: what it takes, and that everything else ends it at once."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.worker_tree import installed_worker

STEP_S = 20.0
ENDED_WELL, ENDED_BADLY = 0, 70
ORDER, READ, FILE, NOT_READ = 0x01, 0x02, 0x81, 0x82
NOBODY_HERE = b"no-such-account"
NO_ACCOUNT = b"\x01\x00"
U32 = struct.Struct(">I")


def frame(kind: int, *fields: bytes) -> bytes:
    payload = b"".join(U32.pack(len(field)) + field for field in fields)
    return struct.pack(">B3xI", kind, len(payload)) + payload


def order(flags: bytes = b"\x02", uid: bytes = b"\xff" * 4, account: bytes = b"", paths: tuple[bytes, ...] = (b"a",)) -> bytes:
    return frame(ORDER, flags, uid, account, *paths)


def question(number: bytes = b"\0", limit: int = 10_000, account: bytes = NOBODY_HERE) -> bytes:
    return frame(READ, number, U32.pack(limit), account)


@contextmanager
def started(first: bytes = b"", *, asks_for_sender: bool = True) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A home reader of our own identity and our end of its channel, on which `first` was said before it started."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(STEP_S)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, asks_for_sender)
        ours.sendall(first)
        high = os.dup(theirs.fileno())

        def prepare() -> None:
            os.dup2(high, 3)

        process = subprocess.Popen([installed_worker(), "homes"], preexec_fn=prepare, pass_fds=(3,), env={})
        os.close(high)
        theirs.close()
        try:
            yield process, ours
        finally:
            process.kill()
            process.wait()


def said(*messages: bytes) -> tuple[bytes, int]:
    """What a home reader answers to these bytes before the channel is closed, and its exit status."""
    with started() as (process, channel):
        try:
            channel.sendall(b"".join(messages))
            channel.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, OSError):
            pass  # it has ended already
        answers, parts = b"", [b"-"]
        while parts[-1]:
            try:
                parts.append(channel.recv(65536))
            except ConnectionResetError:
                continue  # it ended with something unread, which is told once; what it said is still there
            answers += parts[-1]
        return answers, process.wait(STEP_S)


def test_a_channel_that_ends_after_the_order_ends_it_well() -> None:
    assert said(order()) == (b"", ENDED_WELL)


def test_each_question_is_answered_once() -> None:
    assert said(order(), question(), question()) == (frame(NOT_READ, NO_ACCOUNT) * 2, ENDED_WELL)


def test_messages_that_arrive_in_pieces_are_whole_messages() -> None:
    with started() as (process, channel):
        for byte in order() + question():
            channel.send(bytes([byte]))
        expected = frame(NOT_READ, NO_ACCOUNT)
        with channel.makefile("rb") as answers:
            assert answers.read(len(expected)) == expected
        channel.close()
        assert process.wait(STEP_S) == ENDED_WELL


@pytest.mark.parametrize(
    "first",
    [
        b"", question(), order()[:-1], order()[:7],
        b"\x01\x01\0\0" + order()[4:], b"\x03" + order()[1:],
        order(flags=b"\4"), order(flags=b""), order(flags=b"\0\0"), order(uid=b"\0\0\0"), order(uid=b"\0" * 5),
        order(account=b"a" * 257), order(account=b"a\0b"),
        order(paths=()), order(paths=(b"a",) * 5), order(paths=(b"a" * 256,)), order(paths=(b"a\0b",)),
        order(paths=(b"",)), order(paths=(b"/a",)), order(paths=(b"a/",)), order(paths=(b"a//b",)),
        order(paths=(b".",)), order(paths=(b"..",)), order(paths=(b"../a",)), order(paths=(b"a/./b",)),
        order(paths=(b"a/..",)),
        struct.pack(">B3xI", ORDER, 0), struct.pack(">B3xI", ORDER, 2049) + b"\0" * 2049,
        struct.pack(">B3xI", ORDER, 0xFFFFFFFF), frame(ORDER, b"\0"),
        struct.pack(">B3xII", ORDER, 4, 0xFFFFFFFF), struct.pack(">B3xI", ORDER, 3) + b"\0\0\0",
    ],
)  # fmt: skip
def test_anything_but_an_order_ends_it(first: bytes) -> None:
    assert said(first, question()) == (b"", ENDED_BADLY)


@pytest.mark.parametrize("path", [b"a", b"a" * 255, b".ssh/authorized_keys", b"...", b".a", b"a.", b"..a/b..", b"a b"])
def test_plain_paths_are_taken(path: bytes) -> None:
    assert said(order(paths=(path,) * 4), question(number=b"\3")) == (frame(NOT_READ, NO_ACCOUNT), ENDED_WELL)


@pytest.mark.parametrize(
    "wrong",
    [
        order(), question(number=b"\1"), question(number=b""), question(number=b"\0\0"), question(limit=0),
        question(limit=60_001), question(account=b""), question(account=b"a" * 257), question(account=b"a\0"),
        frame(READ, b"\0", U32.pack(1), b"a", b""), frame(READ), frame(FILE, b"a"),
        b"\x02\0\0\x01" + question()[4:],
    ],
)  # fmt: skip
def test_anything_but_a_question_ends_it_after_what_it_has_answered(wrong: bytes) -> None:
    assert said(order(), question(), wrong, question()) == (frame(NOT_READ, NO_ACCOUNT), ENDED_BADLY)


@pytest.mark.parametrize("length", [1, 7, 8, 9, len(question()) - 1])
def test_a_question_that_is_cut_off_ends_it(length: int) -> None:
    assert said(order(), question(), question()[:length]) == (frame(NOT_READ, NO_ACCOUNT), ENDED_BADLY)


# Who may give the order


SENDS = "import os, sys; os.write(3, bytes.fromhex(sys.argv[1]))"


def send_as(channel: socket.socket, message: bytes, uid: int) -> None:
    """Have a process with this uid send on our end of the channel."""
    identity = {} if uid == os.getuid() else {"user": uid, "group": uid, "extra_groups": []}
    subprocess.run(
        ["/usr/bin/python3", "-I", "-c", SENDS, message.hex()],
        preexec_fn=lambda: os.dup2(channel.fileno(), 3), pass_fds=(3,), check=True, timeout=STEP_S, **identity,
    )  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("before", [0, 1, 7, 8, len(order()) - 1])
@pytest.mark.parametrize(("uid", "answers"), [(os.getuid(), True), (64999, False)])
def test_every_byte_of_the_order_comes_from_our_own_uid(before: int, uid: int, answers: bool) -> None:
    with started(order()[:before]) as (process, channel):
        send_as(channel, order()[before:], uid)
        if answers:
            send_as(channel, question(), 64999)  # who has given up root asks the questions
            expected = frame(NOT_READ, NO_ACCOUNT)
            with channel.makefile("rb") as said_by_it:
                assert said_by_it.read(len(expected)) == expected
            channel.close()
        assert process.wait(STEP_S) == (ENDED_WELL if answers else ENDED_BADLY)


@pytest.mark.parametrize(("asks_for_sender", "status"), [(True, ENDED_WELL), (False, ENDED_BADLY)])
def test_an_order_whose_sender_the_kernel_has_not_noted_ends_it(asks_for_sender: bool, status: int) -> None:
    with started(order(), asks_for_sender=asks_for_sender) as (process, channel):
        channel.shutdown(socket.SHUT_WR)
        assert process.wait(STEP_S) == status
