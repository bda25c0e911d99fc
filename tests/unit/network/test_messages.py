# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of the network channel: what is written is what is read, and each malformed one is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame, encode
from pam_sc.network.messages import (
    MAX_BODY,
    MAX_HEADER,
    MAX_URL,
    MAX_WHY,
    NETWORK_PAYLOAD_MAX,
    PIECE_MAX,
    Done,
    Failed,
    Head,
    Kind,
    Order,
    Piece,
    Unusable,
    answer_frame,
    cancel_frame,
    order_frame,
    plain_header,
    read_answer,
    read_cancel,
    read_order,
)
from pam_sc.record import replace
from pam_sc.transfer import Transfer

ORDER = Order(
    number=7,
    transfer=Transfer(url="http://pki.example.test/a.crl", body=b"question", content_type="a/b", etag='"v1"',
                      last_modified="then", max_bytes=1000, configured=True),
    end_ms=123456789, limit_ms=5000, proxy="http://proxy.example.test:3128", loopback=True,
)
PLAIN = Order(number=1, transfer=Transfer(url="ldap://x/", max_bytes=0), end_ms=0, limit_ms=0, proxy=None, loopback=False)
U32, U64 = struct.Struct(">I"), struct.Struct(">Q")


@pytest.mark.parametrize("order", [
    ORDER, PLAIN, replace(PLAIN, transfer=replace(PLAIN.transfer, body=b"")),
    replace(PLAIN, transfer=replace(PLAIN.transfer, etag="")), replace(PLAIN, loopback=True),
    replace(PLAIN, transfer=replace(PLAIN.transfer, configured=True)),
])
def test_order_is_read_as_it_was_written(order: Order) -> None:
    assert read_order(order_frame(order)) == order


@pytest.mark.parametrize("answer", [
    Head(number=1, not_modified=False, etag=None, last_modified=None),
    Head(number=1, not_modified=True, etag='"v"', last_modified="then"),
    Head(number=1, not_modified=False, etag="", last_modified=None),
    Piece(2, b"x"), Piece(2, bytes(PIECE_MAX)), Done(3, 0), Done(3, 1 << 40), Failed(4, "why"), Failed(4, ""), Unusable("why"),
])
def test_answer_is_read_as_it_was_written(answer: Head | Piece | Done | Failed | Unusable) -> None:
    assert read_answer(answer_frame(answer)) == answer


def test_longest_messages_fit_the_channel() -> None:
    longest = replace(ORDER, proxy="p" * MAX_URL, transfer=Transfer(
        url="u" * MAX_URL, body=bytes(MAX_BODY), content_type="c" * MAX_HEADER, etag="e" * MAX_HEADER,
        last_modified="l" * MAX_HEADER, max_bytes=1 << 40))
    assert read_order(order_frame(longest)) == longest
    assert encode(order_frame(longest), NETWORK_PAYLOAD_MAX)
    assert encode(answer_frame(Piece(1, bytes(PIECE_MAX))), NETWORK_PAYLOAD_MAX)


def test_reason_is_cut_and_made_printable() -> None:
    assert read_answer(answer_frame(Failed(1, "a\r\nb\x1b[2Jä" + "x" * 1000))) == Failed(1, ("a??b?[2J?" + "x" * 1000)[:MAX_WHY])


def test_cancel_is_read_as_it_was_written() -> None:
    assert read_cancel(cancel_frame(9)) == 9


@pytest.mark.parametrize(
    "changes",
    [{"url": "u" * (MAX_URL + 1)}, {"url": "http://ä/"}, {"url": "http://a/\n"}, {"body": bytes(MAX_BODY + 1)},
     {"etag": "e" * (MAX_HEADER + 1)}, {"etag": "a\r\nX: y"}, {"last_modified": "a\0"}, {"content_type": "a\r\nX: y"},
     {"max_bytes": -1}, {"max_bytes": (1 << 40) + 1}, {"max_bytes": 1 << 64}],
)
def test_order_that_is_out_of_bounds_is_not_sent(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        order_frame(replace(ORDER, transfer=replace(ORDER.transfer, **changes)))


FIELDS = order_frame(ORDER).fields


@pytest.mark.parametrize(
    ("at", "field"),
    [(0, b"123"), (0, b"12345"), (1, b""), (1, b"\x20"), (1, b"\0\0"), (2, b"1234567"), (3, b"123"), (4, U64.pack((1 << 40) + 1)),
     (5, b"u" * (MAX_URL + 1)), (5, b"a\nb"), (5, b"\xff"), (6, bytes(MAX_BODY + 1)), (7, b"\0"), (8, b"e" * (MAX_HEADER + 1)),
     (9, b"\x80"), (10, b"p" * (MAX_URL + 1)), (1, bytes([31 & ~4])), (1, bytes([31 & ~8])), (1, bytes([31 & ~16]))],
)
def test_malformed_order_is_refused(at: int, field: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_order(Frame(Kind.TRANSFER, (*FIELDS[:at], field, *FIELDS[at + 1 :])))


@pytest.mark.parametrize("frame", [
    Frame(Kind.TRANSFER, FIELDS[:-1]), Frame(Kind.TRANSFER, (*FIELDS, b"")), Frame(Kind.CANCEL, FIELDS), Frame(0x03, FIELDS)])
def test_order_of_another_shape_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        read_order(frame)


@pytest.mark.parametrize("frame", [Frame(Kind.CANCEL, ()), Frame(Kind.CANCEL, (b"123",)), Frame(Kind.CANCEL, (b"1234", b""))])
def test_malformed_cancel_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        read_cancel(frame)


ONE = U32.pack(1)


@pytest.mark.parametrize("frame", [
    Frame(Kind.HEAD, (ONE, b"\0", b"")), Frame(Kind.HEAD, (ONE, b"\2", b"", b"")), Frame(Kind.HEAD, (ONE, b"", b"", b"")),
    Frame(Kind.HEAD, (ONE, b"\0", b"etag", b"")), Frame(Kind.HEAD, (ONE, b"\0", b"", b"then")),
    Frame(Kind.HEAD, (ONE, b"\x08", b"a\r\nb", b"")), Frame(Kind.HEAD, (ONE, b"\x08", b"e" * (MAX_HEADER + 1), b"")),
    Frame(Kind.PIECE, (ONE,)), Frame(Kind.PIECE, (ONE, b"")), Frame(Kind.PIECE, (ONE, bytes(PIECE_MAX + 1))),
    Frame(Kind.PIECE, (b"1", b"x")), Frame(Kind.DONE, (ONE,)), Frame(Kind.DONE, (ONE, b"1234")),
    Frame(Kind.DONE, (ONE, U64.pack((1 << 40) + 1))), Frame(Kind.FAILED, (ONE,)), Frame(Kind.FAILED, (ONE, b"a\nb")),
    Frame(Kind.FAILED, (ONE, b"w" * (MAX_WHY + 1))), Frame(Kind.FAILED, (ONE, b"\xc3\xa4")), Frame(Kind.UNUSABLE, ()),
    Frame(Kind.UNUSABLE, (b"a\x1bb",)), Frame(Kind.TRANSFER, FIELDS), Frame(0x86, (ONE,)), Frame(0, ()),
])
def test_malformed_answer_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        read_answer(frame)


@given(st.integers(0, 255), st.lists(st.binary(max_size=20), max_size=12))
def test_whatever_comes_is_read_or_a_protocol_error(kind: int, fields: list[bytes]) -> None:
    for read in (read_answer, read_order, read_cancel):
        try:
            read(Frame(kind, tuple(fields)))
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    ("value", "expected"),
    [('"v1"', '"v1"'), (None, None), ("", None), ("a\tb", None), ("ä", None), ("e" * MAX_HEADER, "e" * MAX_HEADER),
     ("e" * (MAX_HEADER + 1), None)],
)
def test_header_goes_over_the_channel_only_if_it_is_plain(value: str | None, expected: str | None) -> None:
    assert plain_header(value) == expected
