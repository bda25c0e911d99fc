# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of the network channel (docs/protocol.md), written and read with their bounds on both ends.

The network process speaks to servers that anybody may run, so the verifier believes nothing it says: a message that is
out of its bounds is a ProtocolError. Nothing here knows what a body means.
"""

from __future__ import annotations

import enum

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.network.wire import (
    MAX_HEADER,
    MAX_WHY,
    U32,
    U64,
    about,
    ascii_bytes,
    fields_of,
    packed,
    read_flags,
    read_optional,
    read_size,
    read_text,
    read_u32,
    read_u64,
    shortened,
)
from pam_sc.record import field, record
from pam_sc.transfer import Transfer

NETWORK_PAYLOAD_MAX = 128 * 1024
PIECE_MAX = 64 * 1024
MAX_URL = 4096
MAX_BODY = 64 * 1024
_CONFIGURED, _LOOPBACK, _BODY, _ETAG, _LAST_MODIFIED = 1, 2, 4, 8, 16
_NOT_MODIFIED = 1


class Kind(enum.IntEnum):
    """The types of the network channel: to the network process below 0x80, from it above."""

    TRANSFER = 0x01
    CANCEL = 0x02
    SEARCH = 0x03
    HEAD = 0x81
    PIECE = 0x82
    DONE = 0x83
    FAILED = 0x84
    UNUSABLE = 0x85
    ENTRY = 0x86
    REFUSED = 0x87


@record(kw_only=True)
class Order:
    """One transfer as the network process gets it. Times are milliseconds; `end_ms` is on CLOCK_MONOTONIC."""

    number: int
    transfer: Transfer
    end_ms: int
    limit_ms: int
    """From its start; 0 for none."""
    proxy: str | None
    loopback: bool


@record(kw_only=True)
class Head:
    """What is known before the first byte of a body."""

    number: int
    not_modified: bool
    etag: str | None
    last_modified: str | None


@record
class Piece:
    """The next bytes of a body."""

    number: int
    data: bytes = field(repr=False)


@record
class Done:
    """A body is complete; its size in bytes."""

    number: int
    size: int


@record
class Failed:
    """A transfer came to nothing."""

    number: int
    why: str


@record
class Unusable:
    """The network process cannot work at all."""

    why: str


Answer = Head | Piece | Done | Failed | Unusable


def order_frame(order: Order) -> Frame:
    """Return TRANSFER; ProtocolError if something in it is too long for the channel."""
    wanted = order.transfer
    flags = (
        (_CONFIGURED if wanted.configured else 0) | (_LOOPBACK if order.loopback else 0)
        | (_BODY if wanted.body is not None else 0) | (_ETAG if wanted.etag is not None else 0)
        | (_LAST_MODIFIED if wanted.last_modified is not None else 0)
    )
    frame = Frame(Kind.TRANSFER, (
        U32.pack(order.number), bytes([flags]), packed(U64, order.end_ms), packed(U32, order.limit_ms),
        packed(U64, wanted.max_bytes), ascii_bytes(wanted.url), wanted.body or b"", ascii_bytes(wanted.content_type),
        ascii_bytes(wanted.etag or ""), ascii_bytes(wanted.last_modified or ""), ascii_bytes(order.proxy or ""),
    ))
    read_order(frame)  # what we send is what the other end takes
    return frame


def read_order(frame: Frame) -> Order:
    """Read TRANSFER, or raise ProtocolError."""
    number, flag, end, limit, most, url, body, content_type, etag, modified, proxy = fields_of(frame, Kind.TRANSFER, 11)
    flags = read_flags(flag, 31)
    if len(body) > MAX_BODY or (body and not flags & _BODY):
        raise ProtocolError(f"network message is malformed: a body of {len(body)} bytes, at most {MAX_BODY}")
    return Order(
        number=read_u32(number),
        transfer=Transfer(
            url=read_text(url, MAX_URL), body=body if flags & _BODY else None, content_type=read_text(content_type, MAX_HEADER),
            etag=read_optional(etag, flags & _ETAG), last_modified=read_optional(modified, flags & _LAST_MODIFIED),
            max_bytes=read_size(most), configured=bool(flags & _CONFIGURED),
        ),
        end_ms=read_u64(end), limit_ms=read_u32(limit), proxy=read_text(proxy, MAX_URL) or None, loopback=bool(flags & _LOOPBACK),
    )


def cancel_frame(number: int) -> Frame:
    """Return CANCEL: nobody waits for this transfer any longer."""
    return Frame(Kind.CANCEL, (U32.pack(number),))


def read_cancel(frame: Frame) -> int:
    """Read CANCEL, or raise ProtocolError."""
    (number,) = fields_of(frame, Kind.CANCEL, 1)
    return read_u32(number)


def answer_frame(answer: Answer) -> Frame:
    """Return the frame of an answer; ProtocolError if it is out of its bounds."""
    match answer:
        case Head(number=number, not_modified=not_modified, etag=etag, last_modified=modified):
            flags = (_NOT_MODIFIED if not_modified else 0) | (0 if etag is None else _ETAG)
            flags |= 0 if modified is None else _LAST_MODIFIED
            frame = about(Kind.HEAD, number, bytes([flags]), ascii_bytes(etag or ""), ascii_bytes(modified or ""))
        case Piece(number, data):
            frame = about(Kind.PIECE, number, data)
        case Done(number, size):
            frame = about(Kind.DONE, number, packed(U64, size))
        case Failed(number, why):
            frame = about(Kind.FAILED, number, shortened(why))
        case Unusable(why):
            frame = Frame(Kind.UNUSABLE, (shortened(why),))
    read_answer(frame)
    return frame


def read_answer(frame: Frame) -> Answer:
    """Read what the network process says, or raise ProtocolError."""
    match frame.type:
        case Kind.HEAD:
            number, flag, etag, modified = fields_of(frame, Kind.HEAD, 4)
            flags = read_flags(flag, _NOT_MODIFIED | _ETAG | _LAST_MODIFIED)
            return Head(
                number=read_u32(number), not_modified=bool(flags & _NOT_MODIFIED), etag=read_optional(etag, flags & _ETAG),
                last_modified=read_optional(modified, flags & _LAST_MODIFIED),
            )
        case Kind.PIECE:
            number, data = fields_of(frame, Kind.PIECE, 2)
            if not 0 < len(data) <= PIECE_MAX:
                raise ProtocolError(f"network message is malformed: a piece of {len(data)} bytes, at most {PIECE_MAX}")
            return Piece(read_u32(number), data)
        case Kind.DONE:
            number, size = fields_of(frame, Kind.DONE, 2)
            return Done(read_u32(number), read_size(size))
        case Kind.FAILED:
            number, why = fields_of(frame, Kind.FAILED, 2)
            return Failed(read_u32(number), read_text(why, MAX_WHY))
        case Kind.UNUSABLE:
            return Unusable(read_text(fields_of(frame, Kind.UNUSABLE, 1)[0], MAX_WHY))
        case _:
            raise ProtocolError(f"network message is malformed: type {frame.type:#x} is unknown")


def plain_header(value: str | None) -> str | None:
    """Return a header's value if it may go over the channel, None if it is missing, odd or too long."""
    return value if value and len(value) <= MAX_HEADER and value.isascii() and value.isprintable() else None
