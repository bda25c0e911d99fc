# SPDX-License-Identifier: LGPL-2.1-or-later
"""Searches at the verifier's end of the network channel, against a scripted network process that may say anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pam_sc.decision.reasons import Reason
from pam_sc.frames import Channel, Frame
from pam_sc.network.client import NetworkClient
from pam_sc.network.directory import NetworkDirectory
from pam_sc.network.messages import NETWORK_PAYLOAD_MAX, Done, Failed, Kind, Piece, Unusable, answer_frame, read_cancel
from pam_sc.network.search_messages import Entry, Refused, entry_frame, read_search, refused_frame
from pam_sc.record import replace
from pam_sc.services import CannotMap, DirectoryEntry, DirectorySearch, DirectoryServers
from pam_sc.transfer import Transfer, TransferFailed

WANTED = DirectorySearch(servers=DirectoryServers(urls=("ldap://x",)), base="", filter="(a=b)", attributes=("uid",))
ALICE = DirectoryEntry("cn=alice", {"uid": (b"alice",)})
SHORT = 0.3


class Peer:
    """The network process, played by a thread of the test."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.sockets = (ours, theirs)
        self.client = NetworkClient(ours)
        self.channel = Channel(theirs, NETWORK_PAYLOAD_MAX)

    def say(self, *frames: Frame) -> None:
        for frame in frames:
            self.channel.send(frame, time.monotonic() + 5)

    def hear(self) -> Frame:
        return self.channel.receive(time.monotonic() + 5)

    def searched(
        self, play: Callable[[int], None], *, seconds: float = 5, wanted: DirectorySearch = WANTED
    ) -> tuple[DirectoryEntry, ...] | Refused:
        """What the client makes of it, when the process does this with the number of the order."""
        thread = threading.Thread(target=lambda: play(read_search(self.hear()).number))
        thread.start()
        try:
            return self.client.search(wanted, time.monotonic() + seconds)
        finally:
            thread.join()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    for sock in made.sockets:
        sock.close()


def entry(number: int) -> Frame:
    return entry_frame(Entry(number, ALICE))


def done(number: int, count: int) -> Frame:
    return answer_frame(Done(number, count))


def refusal(found: object) -> tuple[Reason, str]:
    assert isinstance(found, Refused), found
    return found.reason, found.why


def test_entries_are_what_the_process_says(peer: Peer) -> None:
    assert peer.searched(lambda number: peer.say(entry(number), done(number, 1))) == (ALICE,)
    assert peer.searched(lambda number: peer.say(done(number, 0))) == ()
    two = replace(WANTED, entries_max=2)
    assert peer.searched(lambda number: peer.say(entry(number), entry(number), done(number, 2)), wanted=two) == (ALICE, ALICE)


def test_refusal_is_what_the_process_says(peer: Peer) -> None:
    said = Refused(1, Reason.DIRECTORY_REFERRAL, "elsewhere")
    assert peer.searched(lambda _number: peer.say(refused_frame(said))) == said
    assert peer.searched(lambda number: peer.say(entry(number), refused_frame(replace(said, number=number)))) == (
        replace(said, number=2))


@pytest.mark.parametrize(
    "said",
    [
        lambda number: [entry(number), entry(number), done(number, 2)],
        lambda number: [done(number, 1)],
        lambda number: [entry(number), done(number, 0)],
        lambda number: [entry(number + 1)],
        lambda number: [done(number + 1, 0)],
        lambda number: [entry(0)],
        lambda number: [answer_frame(Failed(number, "why"))],
        lambda number: [answer_frame(Piece(number, b"x"))],
        lambda number: [Frame(Kind.ENTRY, ())],
        lambda number: [Frame(0x99, ())],
        lambda _number: [answer_frame(Unusable("no sandbox"))],
    ],
)
def test_process_that_is_out_of_turn_is_lost_for_good(peer: Peer, said: Callable[[int], list[Frame]]) -> None:
    reason, why = refusal(peer.searched(lambda number: peer.say(*said(number))))
    assert reason is Reason.DIRECTORY_UNREACHABLE and why.startswith("the network process is lost: ")
    assert refusal(peer.client.search(WANTED, time.monotonic() + 5)) == (reason, why)


def test_process_that_dies_is_lost(peer: Peer) -> None:
    assert refusal(peer.searched(lambda _number: peer.sockets[1].close()))[0] is Reason.DIRECTORY_UNREACHABLE


def test_search_that_takes_too_long_is_given_up_and_what_comes_late_is_passed_over(peer: Peer) -> None:
    assert refusal(peer.searched(lambda _number: None, seconds=SHORT)) == (
        Reason.DIRECTORY_TIMEOUT, "the time for it was over")
    assert read_cancel(peer.hear()) == 1
    peer.say(entry(1), done(1, 1))
    assert peer.searched(lambda number: peer.say(entry(1), done(number, 0))) == ()
    peer.say(entry(1), refused_frame(Refused(1, Reason.DIRECTORY_TIMEOUT, "late")), done(1, 0), answer_frame(Failed(3, "no")))
    assert peer.client.transfer([Transfer(url="ldap://x/", max_bytes=1)], time.monotonic() + 5) == (TransferFailed("no"),)


def test_answer_about_a_search_that_nobody_ordered_is_out_of_turn(peer: Peer) -> None:
    peer.say(entry(7))
    (outcome,) = peer.client.transfer([Transfer(url="ldap://x/", max_bytes=1)], time.monotonic() + 5)
    assert isinstance(outcome, TransferFailed) and outcome.why.startswith("the network process is lost")


def test_search_that_cannot_be_sent_loses_nothing(peer: Peer) -> None:
    reason, why = refusal(peer.client.search(replace(WANTED, filter="x" * 20_000), time.monotonic() + 5))
    assert reason is Reason.DIRECTORY_ANSWER_UNUSABLE and why.startswith("it cannot be asked for")
    assert peer.searched(lambda number: peer.say(done(number, 0))) == ()


class Recorded(NetworkClient):
    """A client that only says how long it is given."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def search(self, wanted: DirectorySearch, deadline: float) -> tuple[DirectoryEntry, ...] | Refused:
        self.seconds = deadline - time.monotonic()
        return () if wanted is WANTED else Refused(1, Reason.DIRECTORY_TLS_FAILED, "x: no name")


@pytest.mark.parametrize(("left", "given"), [(100, 8), (10, 5), (2, 1), (0, 0), (-5, 0)])
def test_search_gets_half_of_the_time_that_is_left(left: float, given: float) -> None:
    client = Recorded()
    assert NetworkDirectory(lambda: client, lambda: time.monotonic() + left).search(WANTED) == ()
    assert client.seconds == pytest.approx(given, abs=0.5)


def test_refusal_is_an_error_of_the_mapper_with_its_reason() -> None:
    with pytest.raises(CannotMap, match="the directory cannot be asked: x: no name") as refused:
        NetworkDirectory(Recorded, lambda: 0.0).search(replace(WANTED, base="x"))
    assert refused.value.reason is Reason.DIRECTORY_TLS_FAILED
