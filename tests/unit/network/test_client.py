# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the network channel, against a scripted network process that may say anything."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pam_sc.config.model import VERIFIER_ACCOUNT
from pam_sc.errors import ProtocolError
from pam_sc.frames import Channel, Frame
from pam_sc.network.account import NETWORK_ACCOUNT
from pam_sc.network.client import NetworkClient
from pam_sc.network.messages import (
    NETWORK_PAYLOAD_MAX,
    Answer,
    Done,
    Failed,
    Head,
    Kind,
    Order,
    Piece,
    Unusable,
    answer_frame,
    read_cancel,
    read_order,
)
from pam_sc.transfer import Outcome, Transfer, TransferFailed, Transferred

WANTED = Transfer(url="http://pki.example.test/a.crl", max_bytes=10)
CONDITIONAL = Transfer(url="http://pki.example.test/a.crl", max_bytes=10, etag='"v1"')


def head(number: int, *, not_modified: bool = False) -> Head:
    return Head(number=number, not_modified=not_modified, etag=None, last_modified=None)


@dataclass
class Peer:
    """The network process, played by a thread of the test."""

    sock: socket.socket
    channel: Channel
    client: NetworkClient

    def order(self) -> Order:
        return read_order(self.channel.receive(time.monotonic() + 5))

    def say(self, *answers: Answer) -> None:
        for answer in answers:
            self.channel.send(answer_frame(answer), time.monotonic() + 5)

    def playing(self, play: Callable[[], None], *wanted: Transfer, seconds: float = 5, **options: object) -> (
        tuple[Outcome, ...]
    ):
        """Play while the client wants something."""
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                play()
            except BaseException as error:  # noqa: BLE001 - shown by the test
                errors.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        outcomes = self.client.transfer(wanted, time.monotonic() + seconds, **options)  # type: ignore[arg-type]
        thread.join()
        assert not errors
        return outcomes


@pytest.fixture
def peer() -> Iterator[Peer]:
    ours, theirs = socket.socketpair()
    yield Peer(theirs, Channel(theirs, NETWORK_PAYLOAD_MAX), NetworkClient(ours))
    ours.close()
    theirs.close()


def test_body_is_put_together_from_its_pieces(peer: Peer) -> None:
    def play() -> None:
        number = peer.order().number
        peer.say(head(number), Piece(number, b"12345"), Piece(number, b"67890"), Done(number, 10))

    assert peer.playing(play, WANTED) == (Transferred(body=b"1234567890"),)


def test_bodies_come_in_any_order(peer: Peer) -> None:
    def play() -> None:
        first, second = peer.order().number, peer.order().number
        peer.say(head(second), head(first), Piece(second, b"two"), Piece(first, b"one"), Done(second, 3), Done(first, 3))

    assert peer.playing(play, WANTED, WANTED) == (Transferred(body=b"one"), Transferred(body=b"two"))


def test_order_carries_what_the_caller_asks_for(peer: Peer) -> None:
    orders: list[Order] = []

    def play() -> None:
        orders.append(peer.order())
        peer.say(Failed(orders[0].number, "no"))

    now = time.monotonic()
    peer.playing(play, WANTED, each_s=1.5, proxy="http://proxy.example.test", loopback=True)
    (order,) = orders
    assert (order.transfer, order.limit_ms, order.proxy, order.loopback) == (WANTED, 1500, "http://proxy.example.test", True)
    assert now * 1000 + 4990 < order.end_ms < now * 1000 + 6000


def test_wish_that_cannot_be_sent_fails_alone(peer: Peer) -> None:
    def play() -> None:
        number = peer.order().number
        peer.say(head(number), Done(number, 0))

    odd = Transfer(url="http://ä/", max_bytes=1)
    first, second = peer.playing(play, odd, WANTED)
    assert isinstance(first, TransferFailed)
    assert first.why.startswith("it cannot be asked for: ")
    assert second == Transferred(body=b"")


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([Piece(1, b"x")], "a body without HEAD"),
        ([Done(1, 0)], "a body without HEAD"),
        ([head(1), head(1)], "a second HEAD"),
        ([head(1), Piece(1, b"x"), head(1)], "a second HEAD"),
        ([head(1), Piece(1, b"x" * 11)], "more than 10 bytes of a body"),
        ([head(1), Piece(1, b"x" * 10), Piece(1, b"x")], "more than 10 bytes of a body"),
        ([head(1), Piece(1, b"x"), Done(1, 2)], "2 bytes are said to be 1"),
        ([head(1, not_modified=True)], "not modified, where nothing was at hand"),
        ([head(2)], "about number 2, which nobody ordered"),
        ([Failed(9, "why")], "about number 9, which nobody ordered"),
    ],
)
def test_answer_out_of_turn_is_the_end_of_the_process(peer: Peer, answers: list[Answer], why: str) -> None:
    def play() -> None:
        peer.order()
        peer.say(*answers)

    lost = TransferFailed(f"the network process is lost: network message is out of turn: {why}")
    assert peer.playing(play, WANTED) == (lost,)
    assert peer.client.transfer([WANTED], time.monotonic() + 5) == (lost,)  # and nobody is asked again


def test_not_modified_has_no_body(peer: Peer) -> None:
    def play() -> None:
        number = peer.order().number
        peer.say(head(number, not_modified=True), Done(number, 0))

    assert peer.playing(play, CONDITIONAL) == (Transferred(body=b"", not_modified=True),)


def test_not_modified_with_a_body_is_out_of_turn(peer: Peer) -> None:
    def play() -> None:
        number = peer.order().number
        peer.say(head(number, not_modified=True), Piece(number, b"x"))

    (outcome,) = peer.playing(play, CONDITIONAL)
    assert outcome == TransferFailed("the network process is lost: network message is out of turn: more than 0 bytes of a body")


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "the peer closed the channel 0 bytes into 8"),
        (b"\x84\0\0", "the peer closed the channel 3 bytes into 8"),
        (b"\x84\0\0\0\0\0\0\x10half", "the peer closed the channel 4 bytes into 16"),
        (b"\x84\1\0\0\0\0\0\0", "frame header is malformed: bytes 1 to 3 are not zero"),
        (b"\x84\0\0\0\xff\xff\xff\xff", "frame of type 0x84 is too long: 4294967295 bytes, at most 131072"),
        (b"\x84\0\0\0\0\0\0\4\0\0\0\1", "frame payload is malformed: a field is longer than the payload"),
        (b"\x77\0\0\0\0\0\0\0", "network message is malformed: type 0x77 is unknown"),
    ],
)
def test_malformed_frame_is_the_end_of_the_process(peer: Peer, sent: bytes, why: str) -> None:
    def play() -> None:
        peer.order()
        peer.sock.sendall(sent)
        peer.sock.shutdown(socket.SHUT_WR)

    assert peer.playing(play, WANTED) == (TransferFailed(f"the network process is lost: {why}"),)


def test_process_that_cannot_work_says_why_though_it_is_gone_already(peer: Peer) -> None:
    peer.say(Unusable("no account"))
    peer.sock.close()
    assert peer.client.transfer([WANTED], time.monotonic() + 5) == (TransferFailed("the network process is lost: no account"),)


def test_deadline_gives_the_transfers_up_and_the_process_stays(peer: Peer) -> None:
    def play() -> None:
        number = peer.order().number
        peer.say(head(number), Piece(number, b"x"))

    assert peer.playing(play, WANTED, seconds=0.1) == (TransferFailed("the time for it was over"),)
    assert read_cancel(peer.channel.receive(time.monotonic() + 5)) == 1

    def play_on() -> None:
        peer.say(Piece(1, b"late"), Done(1, 5))  # about what was given up
        number = peer.order().number
        peer.say(head(number), Done(number, 0))

    assert peer.playing(play_on, WANTED) == (Transferred(body=b""),)


def test_frame_that_is_never_finished_is_the_end_of_the_process(peer: Peer) -> None:
    def play() -> None:
        peer.order()
        peer.sock.sendall(b"\x84\0\0")

    begin = time.monotonic()
    assert peer.playing(play, WANTED, seconds=0.1) == (
        TransferFailed("the network process is lost: it did not finish a message"),)
    assert time.monotonic() - begin < 2


def test_process_that_takes_no_orders_is_lost_at_the_deadline(peer: Peer) -> None:
    large = Transfer(url="http://a/", body=bytes(65536), max_bytes=1)
    begin = time.monotonic()
    outcomes = peer.client.transfer([large] * 16, time.monotonic() + 0.1)
    assert set(outcomes) == {TransferFailed("the network process is lost: it took no order in time")}
    assert time.monotonic() - begin < 2


def test_memory_that_is_full_gives_one_up_and_its_room_is_free_again(peer: Peer) -> None:
    def play() -> None:
        numbers = [peer.order().number for _ in range(3)]
        peer.say(head(numbers[0]), Piece(numbers[0], b"12345"), head(numbers[1]), Piece(numbers[1], b"1234"))
        peer.say(Piece(numbers[1], b"56"))
        assert read_cancel(peer.channel.receive(time.monotonic() + 5)) == numbers[1]
        peer.say(Piece(numbers[1], b"late"), head(numbers[2]), Piece(numbers[2], b"12345"), Done(numbers[2], 5))
        peer.say(Done(numbers[0], 5))

    full = TransferFailed("everything together is larger than there is memory for it")
    assert peer.playing(play, *[WANTED] * 3, in_memory_max=10) == (
        Transferred(body=b"12345"), full, Transferred(body=b"12345"))


def test_everything_is_told_as_it_comes(peer: Peer) -> None:
    told: list[object] = []

    def play() -> None:
        first, second = peer.order().number, peer.order().number
        peer.say(head(second), Piece(second, b"12"), Piece(second, b"3"), Done(second, 3), Failed(first, "no"))

    peer.playing(play, WANTED, WANTED, on_done=lambda *one: told.append(one), on_progress=lambda *one: told.append(one))
    assert told == [(1, 2), (1, 3), (1, Transferred(body=b"123")), (0, TransferFailed("no"))]


def test_account_of_the_network_process_is_the_verifiers() -> None:
    assert NETWORK_ACCOUNT == VERIFIER_ACCOUNT


def test_an_answer_is_never_an_order() -> None:
    with pytest.raises(ProtocolError):
        read_order(answer_frame(Done(1, 1)))
    assert Kind.UNUSABLE >= 0x80 > Kind.CANCEL
    assert Frame(Kind.CANCEL, ()).type < 0x80


def test_client_imports_nothing_that_speaks_to_a_network() -> None:
    code = ("import sys, pam_sc.network.client\n"
            "print(sorted({'http.client', 'ssl', 'ldap3', 'threading', 'ipaddress', 'urllib.parse', 'asyncio', 'email',\n"
            "              'concurrent.futures', 'pam_sc.network.http', 'pam_sc.network.serve'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
                          capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
