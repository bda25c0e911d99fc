# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the home channel: what it believes of a home reader, and what it never lets through."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from pam_sc.decision.reasons import Reason
from pam_sc.decision.request import Request
from pam_sc.errors import MapperError, ProtocolError
from pam_sc.frames import Channel, Frame
from pam_sc.homes import FILE_MAX, HomeFiles, HomeOrder, HomeReader, Kind, is_home_path, order_frame
from pam_sc.services import CannotMap

KEYS = ".ssh/authorized_keys"
ORDER = HomeOrder(paths=("first", KEYS), account="alice")


class Peer:
    """The home reader's end, which answers as the test says, ahead of the question."""

    def __init__(self, order: HomeOrder = ORDER, time_s: float = 5) -> None:
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.socket = theirs
        self.channel = Channel(theirs, FILE_MAX + 100)
        end = time.monotonic() + time_s
        self.reader = HomeReader(ours, order, lambda: end)

    def says(self, kind: int, *fields: bytes) -> None:
        self.channel.send(Frame(kind, fields), time.monotonic() + 5)

    def hears(self) -> Frame:
        return self.channel.receive(time.monotonic() + 5)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.reader.close()
    made.socket.close()


def reading(peer: Peer) -> str:
    with pytest.raises(MapperError) as caught:
        peer.reader.read("alice", KEYS)
    assert not isinstance(caught.value, CannotMap)
    return str(caught.value).removeprefix(f"cannot read {KEYS!r} in the home: ")


# Order and question


def test_the_order_is_sent_before_anything_is_asked(peer: Peer) -> None:
    assert peer.hears() == Frame(Kind.ORDER, (b"\0", b"\xff" * 4, b"alice", b"first", KEYS.encode()))


def test_the_kernel_notes_who_sent_every_byte_of_the_order(peer: Peer) -> None:
    """The home reader starts, and looks at it, when the order may have been written long before."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    _text, ancillary, _flags, _address = peer.socket.recvmsg(4096, 256)
    senders = [struct.unpack("3i", text) for level, kind, text in ancillary
               if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)]
    assert senders == [(os.getpid(), os.getuid(), os.getgid())]


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        (HomeOrder(paths=("a",), uid=1000), (b"\0", struct.pack(">I", 1000), b"", b"a")),
        (HomeOrder(paths=("a",), everybody=True), (b"\2", b"\xff" * 4, b"", b"a")),
        (HomeOrder(paths=("a",), account="root", allow_root=True), (b"\1", b"\xff" * 4, b"root", b"a")),
    ],
)
def test_whose_homes_may_be_read_is_in_the_order(order: HomeOrder, fields: tuple[bytes, ...]) -> None:
    assert order_frame(order) == Frame(Kind.ORDER, fields)


@pytest.mark.parametrize("paths", [(), ("a",) * 5, ("/etc/shadow",), ("../x",), ("a/../../x",)])
def test_an_order_of_other_paths_is_never_sent(paths: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolError):
        order_frame(HomeOrder(paths=paths, account="alice"))


@pytest.mark.parametrize("path", ["a", KEYS, "a" * 255, "...", ".a/b."])
def test_plain_relative_paths_are_paths_in_a_home(path: str) -> None:
    assert is_home_path(path)


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", ".", "..", "a/..", "./a", "a" * 256, "\u00e9" * 128, "a\nb", "a\0b", None]
)
def test_other_paths_are_none(path: object) -> None:
    assert not is_home_path(path)


def test_a_question_names_path_limit_and_account(peer: Peer) -> None:
    peer.says(Kind.FILE, b"content")
    assert peer.reader.read("alice", KEYS) == b"content"
    peer.hears()
    question = peer.hears()
    assert (question.type, question.fields[0], question.fields[2]) == (Kind.READ, b"\1", b"alice")
    assert 1 <= struct.unpack(">I", question.fields[1])[0] <= 5000


@pytest.mark.parametrize(("everybody", "limit_ms"), [(False, 5000), (True, 1000)])
def test_where_homes_are_scanned_one_of_them_takes_a_fifth_of_the_time(everybody: bool, limit_ms: int) -> None:
    """The scan of all homes has 5 s; one home that hangs leaves most of that to the others."""
    peer = Peer(HomeOrder(paths=(KEYS,), account=None if everybody else "alice", everybody=everybody), time_s=60)
    peer.says(Kind.FILE, b"content")
    assert peer.reader.read("alice", KEYS) == b"content"
    peer.hears()
    assert limit_ms - 500 <= struct.unpack(">I", peer.hears().fields[1])[0] <= limit_ms
    peer.reader.close()
    peer.socket.close()


def test_a_home_reader_that_is_not_there_is_an_error_for_who_reads_and_not_for_the_login() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    reader = HomeReader(ours, ORDER, lambda: time.monotonic() + 5)
    with pytest.raises(MapperError, match="the home reader is lost: cannot send a frame"):
        reader.read("alice", KEYS)
    reader.close()


def test_a_path_that_was_not_ordered_is_not_asked_for(peer: Peer) -> None:
    with pytest.raises(MapperError, match="not what the home reader was told"):
        peer.reader.read("alice", "other")


# Answers


@pytest.mark.parametrize("size", [0, 1, FILE_MAX])
def test_content_comes_back_whole(peer: Peer, size: int) -> None:
    peer.says(Kind.FILE, b"x" * size)
    assert peer.reader.read("alice", KEYS) == b"x" * size


@pytest.mark.parametrize("code", [1, 2, 3])
def test_nothing_there_is_none(peer: Peer, code: int) -> None:
    peer.says(Kind.NOT_READ, bytes([code, 2]))
    assert peer.reader.read("alice", KEYS) is None


@pytest.mark.parametrize("code", range(4, 12))
def test_a_file_that_could_be_anybodys_has_a_reason_of_its_own(peer: Peer, code: int) -> None:
    peer.says(Kind.NOT_READ, bytes([code, 4]))
    with pytest.raises(CannotMap) as caught:
        peer.reader.read("alice", KEYS)
    assert caught.value.reason is Reason.HOME_FILE_NOT_BELIEVED


@pytest.mark.parametrize("code", range(12, 18))
def test_a_file_that_cannot_be_read_is_a_failure_and_the_next_is_asked_for(peer: Peer, code: int) -> None:
    peer.says(Kind.NOT_READ, bytes([code, 4]))
    assert "lost" not in reading(peer)
    peer.says(Kind.FILE, b"next")
    assert peer.reader.read("alice", KEYS) == b"next"


# A home reader that lies, hangs or dies


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Kind.FILE, (b"x" * (FILE_MAX + 1),)),
        (Kind.FILE, ()),
        (Kind.FILE, (b"a", b"b")),
        (Kind.NOT_READ, (b"\0\0",)),
        (Kind.NOT_READ, (b"\x12\0",)),
        (Kind.NOT_READ, (b"\4\5",)),
        (Kind.NOT_READ, (b"\4",)),
        (Kind.NOT_READ, (b"\4\0\0",)),
        (Kind.NOT_READ, ()),
        (Kind.READ, (b"a",)),
        (0x83, (b"a",)),
    ],
)
def test_a_message_out_of_its_bounds_loses_the_reader_for_good(peer: Peer, kind: int, fields: tuple[bytes, ...]) -> None:
    peer.says(kind, *fields)
    peer.says(Kind.FILE, b"a good one")
    assert reading(peer).startswith("the home reader is lost: ")
    assert reading(peer).startswith("the home reader is lost: ")


def test_a_payload_over_the_limit_is_not_even_received(peer: Peer) -> None:
    peer.socket.send(struct.pack(">B3xI", Kind.FILE, 0xFFFFFFFF))
    assert reading(peer).startswith("the home reader is lost: frame of type 0x81 is too long")


def test_a_reader_that_dies_is_a_failure(peer: Peer) -> None:
    peer.socket.close()
    assert reading(peer).startswith("the home reader is lost: ")


def test_a_reader_that_dies_in_the_middle_is_a_failure(peer: Peer) -> None:
    peer.hears()
    peer.socket.send(struct.pack(">B3xI", Kind.FILE, 100) + b"\0\0")
    peer.socket.shutdown(socket.SHUT_WR)
    assert reading(peer) == "the home reader is lost: the peer closed the channel 2 bytes into 100"


def test_a_reader_that_says_nothing_is_a_failure_when_the_time_is_over() -> None:
    peer = Peer(time_s=0.1)
    begin = time.monotonic()
    assert reading(peer) == "the home reader is lost: the peer did not answer in time"
    assert time.monotonic() - begin < 3
    peer.reader.close()
    peer.socket.close()


# Whether a file counts


def files(service: str, reader: HomeReader | None) -> HomeFiles:
    request = Request(service=service, account="alice", real_uid=0, effective_uid=0, saved_uid=0)
    return HomeFiles(request, frozenset({"sudo"}), reader, may_scan=False)


def test_a_privileged_service_does_not_even_ask(peer: Peer) -> None:
    peer.says(Kind.FILE, b"content")
    with pytest.raises(CannotMap, match="privileged_services") as caught:
        files("sudo", peer.reader).read("alice", KEYS, believed_for=frozenset({"su"}))
    assert caught.value.reason is Reason.HOME_FILE_NOT_BELIEVED
    assert peer.hears().type == Kind.ORDER
    assert files("sudo", peer.reader).read("alice", KEYS, believed_for=frozenset({"sudo"})) == b"content"


def test_without_a_reader_a_file_that_would_count_is_a_failure() -> None:
    with pytest.raises(MapperError, match="no home reader runs for this login"):
        files("login", None).read("alice", KEYS, believed_for=frozenset())
