# SPDX-License-Identifier: LGPL-2.1-or-later
"""The framing: what was sent arrives whole or not at all, within bounds and within time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.frames import HEADER, MAX_FIELDS, Channel, Frame, decode_fields, decode_header, encode

FIELDS = st.lists(st.binary(max_size=200), max_size=MAX_FIELDS).map(tuple)


def soon() -> float:
    return time.monotonic() + 5


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield Channel(ours, 1024), theirs
    ours.close()
    theirs.close()


@given(kind=st.integers(0, 255), fields=FIELDS)
def test_what_is_encoded_decodes_to_itself(kind: int, fields: tuple[bytes, ...]) -> None:
    data = encode(Frame(kind, fields), 1 << 20)
    assert decode_header(data[: HEADER.size], 1 << 20) == (kind, len(data) - HEADER.size)
    assert decode_fields(data[HEADER.size :]) == fields


@given(payload=st.binary(max_size=300))
def test_any_payload_gives_fields_that_use_every_byte_or_a_protocol_error(payload: bytes) -> None:
    try:
        fields = decode_fields(payload)
    except ProtocolError:
        return
    assert encode(Frame(0, fields), 1 << 20)[HEADER.size :] == payload


def test_a_frame_of_the_largest_size_passes_and_one_byte_more_does_not() -> None:
    assert len(encode(Frame(1, (b"x" * 60,)), 64)) == HEADER.size + 64
    with pytest.raises(ProtocolError, match="65 bytes, at most 64"):
        encode(Frame(1, (b"x" * 61,)), 64)


def test_a_header_that_announces_too_much_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ProtocolError, match="too long: 65 bytes, at most 64"):
        decode_header(HEADER.pack(1, 65), 64)


def test_a_header_with_reserved_bytes_set_is_refused() -> None:
    with pytest.raises(ProtocolError, match="bytes 1 to 3"):
        decode_header(b"\x01\0\x01\0\0\0\0\0", 64)


def test_a_frame_arrives_whole_even_byte_by_byte(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    for byte in encode(Frame(5, (b"a", b"", b"bc")), 1024):
        theirs.send(bytes([byte]))
    assert channel.receive(soon()) == Frame(5, (b"a", b"", b"bc"))


@pytest.mark.parametrize("cut", [0, 1, HEADER.size, HEADER.size + 3])
def test_end_of_file_inside_a_frame_is_an_error_of_its_own(pair: tuple[Channel, socket.socket], cut: int) -> None:
    channel, theirs = pair
    theirs.send(encode(Frame(5, (b"abc",)), 1024)[:cut])
    theirs.close()
    with pytest.raises(ChannelClosed):
        channel.receive(soon())


def test_half_a_frame_is_waited_for_until_the_deadline_and_no_longer(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.send(encode(Frame(5, (b"abc",)), 1024)[:9])
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        channel.receive(started + 0.05)
    assert time.monotonic() - started < 1


def test_sending_to_nobody_is_an_error_and_no_signal(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.close()
    with pytest.raises(ChannelClosed):
        channel.send(Frame(1, (b"x",)), soon())


def test_sending_to_a_full_socket_ends_at_the_deadline(pair: tuple[Channel, socket.socket]) -> None:
    channel, _theirs = pair
    with pytest.raises(DeadlineExceeded):
        while True:
            channel.send(Frame(1, (b"x" * 1000,)), time.monotonic() + 0.05)


def test_shutdown_reaches_the_peer_though_a_copy_of_the_descriptor_is_open(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    copy = socket.socket(fileno=socket.dup(channel.fileno()))
    channel.shutdown()
    assert theirs.recv(1) == b""
    copy.close()
