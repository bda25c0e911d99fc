# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of the network channel (docs/protocol.md), written and read with their bounds on both ends.

The network process speaks to servers that anybody may run, so the verifier believes nothing it says: a message that is
out of its bounds is a ProtocolError. Nothing here knows what a body means.
"""

from __future__ import annotations

import enum
import struct

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import field, record
from pam_sc.transfer import Transfer

NETWORK_PAYLOAD_MAX = 128 * 1024
PIECE_MAX = 64 * 1024
MAX_URL = 4096
MAX_BODY = 64 * 1024
MAX_HEADER = 1024
"""Of an ETag, a Last-Modified, a Content-Type."""
MAX_WHY = 512
MAX_BYTES = 1 << 40
_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")
_CONFIGURED, _LOOPBACK, _BODY, _ETAG, _LAST_MODIFIED = 1, 2, 4, 8, 16
_NOT_MODIFIED = 1


class Kind(enum.IntEnum):
    """The types of the network channel: to the network process below 0x80, from it above."""

    TRANSFER = 0x01
    CANCEL = 0x02
    HEAD = 0x81
    PIECE = 0x82
    DONE = 0x83
    FAILED = 0x84
    UNUSABLE = 0x85


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
        _U32.pack(order.number), bytes([flags]), _packed(_U64, order.end_ms), _packed(_U32, order.limit_ms),
        _packed(_U64, wanted.max_bytes), _ascii(wanted.url), wanted.body or b"", _ascii(wanted.content_type),
        _ascii(wanted.etag or ""), _ascii(wanted.last_modified or ""), _ascii(order.proxy or ""),
    ))
    read_order(frame)  # what we send is what the other end takes
    return frame


def read_order(frame: Frame) -> Order:
    """Read TRANSFER, or raise ProtocolError."""
    number, flag, end, limit, most, url, body, content_type, etag, modified, proxy = _fields(frame, Kind.TRANSFER, 11)
    flags = _small(flag, 31)
    if len(body) > MAX_BODY or (body and not flags & _BODY):
        raise ProtocolError(f"network message is malformed: a body of {len(body)} bytes, at most {MAX_BODY}")
    return Order(
        number=_u32(number),
        transfer=Transfer(
            url=_text(url, MAX_URL), body=body if flags & _BODY else None, content_type=_text(content_type, MAX_HEADER),
            etag=_optional(etag, flags & _ETAG), last_modified=_optional(modified, flags & _LAST_MODIFIED),
            max_bytes=_size(most), configured=bool(flags & _CONFIGURED),
        ),
        end_ms=_u64(end), limit_ms=_u32(limit), proxy=_text(proxy, MAX_URL) or None, loopback=bool(flags & _LOOPBACK),
    )


def cancel_frame(number: int) -> Frame:
    """Return CANCEL: nobody waits for this transfer any longer."""
    return Frame(Kind.CANCEL, (_U32.pack(number),))


def read_cancel(frame: Frame) -> int:
    """Read CANCEL, or raise ProtocolError."""
    (number,) = _fields(frame, Kind.CANCEL, 1)
    return _u32(number)


def answer_frame(answer: Answer) -> Frame:
    """Return the frame of an answer; ProtocolError if it is out of its bounds."""
    match answer:
        case Head(number=number, not_modified=not_modified, etag=etag, last_modified=modified):
            flags = (_NOT_MODIFIED if not_modified else 0) | (0 if etag is None else _ETAG)
            flags |= 0 if modified is None else _LAST_MODIFIED
            frame = _about(Kind.HEAD, number, bytes([flags]), _ascii(etag or ""), _ascii(modified or ""))
        case Piece(number, data):
            frame = _about(Kind.PIECE, number, data)
        case Done(number, size):
            frame = _about(Kind.DONE, number, _packed(_U64, size))
        case Failed(number, why):
            frame = _about(Kind.FAILED, number, _shortened(why))
        case Unusable(why):
            frame = Frame(Kind.UNUSABLE, (_shortened(why),))
    read_answer(frame)
    return frame


def read_answer(frame: Frame) -> Answer:
    """Read what the network process says, or raise ProtocolError."""
    match frame.type:
        case Kind.HEAD:
            number, flag, etag, modified = _fields(frame, Kind.HEAD, 4)
            flags = _small(flag, _NOT_MODIFIED | _ETAG | _LAST_MODIFIED)
            return Head(
                number=_u32(number), not_modified=bool(flags & _NOT_MODIFIED), etag=_optional(etag, flags & _ETAG),
                last_modified=_optional(modified, flags & _LAST_MODIFIED),
            )
        case Kind.PIECE:
            number, data = _fields(frame, Kind.PIECE, 2)
            if not 0 < len(data) <= PIECE_MAX:
                raise ProtocolError(f"network message is malformed: a piece of {len(data)} bytes, at most {PIECE_MAX}")
            return Piece(_u32(number), data)
        case Kind.DONE:
            number, size = _fields(frame, Kind.DONE, 2)
            return Done(_u32(number), _size(size))
        case Kind.FAILED:
            number, why = _fields(frame, Kind.FAILED, 2)
            return Failed(_u32(number), _text(why, MAX_WHY))
        case Kind.UNUSABLE:
            return Unusable(_text(_fields(frame, Kind.UNUSABLE, 1)[0], MAX_WHY))
        case _:
            raise ProtocolError(f"network message is malformed: type {frame.type:#x} is unknown")


def plain_header(value: str | None) -> str | None:
    """Return a header's value if it may go over the channel, None if it is missing, odd or too long."""
    return value if value and len(value) <= MAX_HEADER and value.isascii() and value.isprintable() else None


def _about(kind: Kind, number: int, *fields: bytes) -> Frame:
    return Frame(kind, (_U32.pack(number), *fields))


def _fields(frame: Frame, kind: Kind, count: int) -> tuple[bytes, ...]:
    if frame.type != kind or len(frame.fields) != count:
        raise ProtocolError(f"network message is malformed: expected {kind.name} with {count} fields, "
                            f"got type {frame.type:#x} with {len(frame.fields)}")
    return frame.fields


def _packed(number: struct.Struct, value: int) -> bytes:
    try:
        return number.pack(value)
    except struct.error as error:
        raise ProtocolError(f"network message cannot be sent: the number {value} is out of range") from error


def _ascii(text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as error:
        raise ProtocolError("network message cannot be sent: a text is not ASCII") from error


def _shortened(text: str) -> bytes:
    printable = "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
    return printable.encode()[:MAX_WHY]


def _number(packed: struct.Struct, data: bytes) -> int:
    if len(data) != packed.size:
        raise ProtocolError(f"network message is malformed: a number has {len(data)} bytes, expected {packed.size}")
    return int(packed.unpack(data)[0])


def _u32(data: bytes) -> int:
    return _number(_U32, data)


def _u64(data: bytes) -> int:
    return _number(_U64, data)


def _size(data: bytes) -> int:
    size = _u64(data)
    if size > MAX_BYTES:
        raise ProtocolError(f"network message is malformed: {size} bytes, at most {MAX_BYTES}")
    return size


def _small(data: bytes, known: int) -> int:
    if len(data) != 1 or data[0] & ~known:
        raise ProtocolError("network message is malformed: unknown flags")
    return data[0]


def _text(data: bytes, longest: int) -> str:
    text = data.decode("latin-1")
    if len(text) > longest or not (text.isascii() and text.isprintable()):
        raise ProtocolError(f"network message is malformed: a text is not printable, or longer than {longest}")
    return text


def _optional(data: bytes, present: int) -> str | None:
    if data and not present:
        raise ProtocolError("network message is malformed: a text that is flagged as missing")
    return _text(data, MAX_HEADER) if present else None
