# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a watcher is told and what it tells, as frames and back."""

from __future__ import annotations

import pytest

from pam_sc.card.fields import nest, u8, u32, u64
from pam_sc.card.messages import Kind, plain
from pam_sc.card.presence import (
    MAX_PLACES,
    Occupancy,
    Presence,
    Way,
    presence_frame,
    read_presence,
    read_watch,
    watch_frame,
    with_own_keys,
)
from pam_sc.errors import ProtocolError
from pam_sc.frames import CARD_PAYLOAD_MAX, Frame, encode


def place(number: int = 0, key: str = "A") -> Occupancy:
    return Occupancy(key=f"{key} {number}", description="Reader", occupied=True, changes=2**64 - 1)


def raw(*places: bytes, source: int = 0) -> Frame:
    return Frame(Kind.PRESENCE, (u8(source), nest(places)))


GOOD = nest((b"A", b"Reader", u8(1), u64(1)))


@pytest.mark.parametrize("way", Way)
def test_an_order_arrives_as_it_was_sent(way: Way) -> None:
    assert read_watch(watch_frame(way, 1000)) == (way, 1000)


@pytest.mark.parametrize("frame", [
    plain(Kind.WATCH), Frame(Kind.WATCH, (u8(3), u32(1))), Frame(Kind.WATCH, (u8(0), u32(0))),
    Frame(Kind.WATCH, (u8(0), u32(3_600_001))), Frame(Kind.WATCH, (u8(0), u32(1), b"")),
    Frame(Kind.REPORT, (u8(0), u32(1))),
])
def test_another_order_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        read_watch(frame)


def test_what_is_seen_arrives_as_it_was_sent() -> None:
    seen = Presence(Way.SLOTS, tuple(place(number) for number in range(MAX_PLACES)))
    frame = presence_frame(seen)
    assert len(encode(frame, CARD_PAYLOAD_MAX)) < CARD_PAYLOAD_MAX
    assert read_presence(frame) == seen


def test_no_place_at_all_can_be_told() -> None:
    assert read_presence(presence_frame(Presence(Way.PCSC, ()))).places == ()


def test_more_places_than_allowed_are_not_sent() -> None:
    with pytest.raises(ProtocolError):
        presence_frame(Presence(Way.PCSC, tuple(place(number) for number in range(MAX_PLACES + 1))))


@pytest.mark.parametrize(("frame", "why"), [
    (plain(Kind.PRESENCE), "a field is missing"),
    (plain(Kind.REPORTED), "in place of PRESENCE"),
    (raw(GOOD, GOOD), "a place twice"),
    (raw(GOOD, source=3), "no way to watch"),
    (raw(nest((b"A", b"Reader", u8(2), u64(1)))), "no truth value"),
    (raw(nest((b"A", b"Reader", u8(1), u32(1)))), "a number has 4 bytes"),
    (raw(nest((b"A", b"Reader", u8(1)))), "a field is missing"),
    (raw(nest((b"A", b"Reader", u8(1), u64(1), b""))), "1 fields too many"),
    (raw(nest((b"\x1b[2J", b"Reader", u8(1), u64(1)))), "control characters"),
    (raw(nest((b"A", b"\xff", u8(1), u64(1)))), "no UTF-8"),
    (raw(nest((b"A" * 257, b"Reader", u8(1), u64(1)))), "too long"),
    (raw(GOOD + b"\0"), "cut off"),
    (Frame(Kind.PRESENCE, (u8(0), nest([GOOD]), b"")), "1 fields too many"),
])
def test_what_is_malformed_is_refused(frame: Frame, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        read_presence(frame)


def test_names_that_are_the_same_get_keys_of_their_own() -> None:
    assert with_own_keys(["A", "B", "A", "A"]) == ("A", "B", "A #2", "A #3")
