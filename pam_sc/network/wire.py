# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fields of the network channel's messages: numbers, flags and texts, packed and read with their bounds.

Whatever is out of its bounds is a ProtocolError. Nothing here knows a message.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame

MAX_HEADER = 1024
"""Of an ETag, a Last-Modified, a Content-Type."""
MAX_WHY = 512
MAX_BYTES = 1 << 40
U32, U64 = struct.Struct(">I"), struct.Struct(">Q")


def about(kind: enum.IntEnum, number: int, *fields: bytes) -> Frame:
    """Return a frame whose first field is a number."""
    return Frame(kind, (U32.pack(number), *fields))


def fields_of(frame: Frame, kind: enum.IntEnum, count: int) -> tuple[bytes, ...]:
    """Return the fields of a frame, which must be of this kind and have this many."""
    if frame.type != kind or len(frame.fields) != count:
        raise ProtocolError(f"network message is malformed: expected {kind.name} with {count} fields, "
                            f"got type {frame.type:#x} with {len(frame.fields)}")
    return frame.fields


def packed(number: struct.Struct, value: int) -> bytes:
    """Return a number in its width."""
    try:
        return number.pack(value)
    except struct.error as error:
        raise ProtocolError(f"network message cannot be sent: the number {value} is out of range") from error


def ascii_bytes(text: str) -> bytes:
    """Return an ASCII text as bytes."""
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as error:
        raise ProtocolError("network message cannot be sent: a text is not ASCII") from error


def shortened(text: str) -> bytes:
    """Return a text as printable ASCII of at most MAX_WHY bytes."""
    printable = "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
    return printable.encode()[:MAX_WHY]


def _number(packed: struct.Struct, data: bytes) -> int:
    if len(data) != packed.size:
        raise ProtocolError(f"network message is malformed: a number has {len(data)} bytes, expected {packed.size}")
    return int(packed.unpack(data)[0])


def read_u32(data: bytes) -> int:
    """Read a number of four bytes."""
    return _number(U32, data)


def read_u64(data: bytes) -> int:
    """Read a number of eight bytes."""
    return _number(U64, data)


def read_size(data: bytes) -> int:
    """Read a number of bytes, at most MAX_BYTES."""
    size = read_u64(data)
    if size > MAX_BYTES:
        raise ProtocolError(f"network message is malformed: {size} bytes, at most {MAX_BYTES}")
    return size


def read_flags(data: bytes, known: int) -> int:
    """Read a byte of flags, of which only these are known."""
    if len(data) != 1 or data[0] & ~known:
        raise ProtocolError("network message is malformed: unknown flags")
    return data[0]


def read_text(data: bytes, longest: int) -> str:
    """Read a printable ASCII text of at most this many characters."""
    text = data.decode("latin-1")
    if len(text) > longest or not (text.isascii() and text.isprintable()):
        raise ProtocolError(f"network message is malformed: a text is not printable, or longer than {longest}")
    return text


def read_optional(data: bytes, present: int) -> str | None:
    """Read a text that a flag says to be present, else None."""
    if data and not present:
        raise ProtocolError("network message is malformed: a text that is flagged as missing")
    return read_text(data, MAX_HEADER) if present else None


def pack_items(items: Sequence[bytes]) -> bytes:
    """Return a field that holds a list of byte strings."""
    return b"".join(U32.pack(len(item)) + item for item in items)


def read_items(data: bytes, most: int) -> tuple[bytes, ...]:
    """Read a list of byte strings; every byte belongs to exactly one."""
    items: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + U32.size
        if start > len(data) or len(items) == most:
            raise ProtocolError(f"network message is malformed: a list is cut off, or has more than {most} items")
        at = start + read_u32(data[at:start])
        if at > len(data):
            raise ProtocolError("network message is malformed: an item is longer than its list")
        items.append(data[start:at])
    return tuple(items)
