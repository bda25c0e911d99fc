# SPDX-License-Identifier: LGPL-2.1-or-later
"""Just enough DER to take a structure apart and put another one together. For tests only: it checks nothing."""

from __future__ import annotations


def tlv(tag: int, body: bytes) -> bytes:
    """One element: tag, length, body."""
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def der_integer(value: int) -> bytes:
    """An INTEGER, two's complement."""
    return tlv(0x02, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True))


def body_of(element: bytes) -> bytes:
    """The body of one element."""
    start, _end = _span(element, 0)
    return element[start:]


def children(element: bytes) -> list[bytes]:
    """The elements inside a constructed one, each whole."""
    inner = body_of(element)
    found, at = [], 0
    while at < len(inner):
        _start, end = _span(inner, at)
        found.append(inner[at:end])
        at = end
    return found


def _span(data: bytes, at: int) -> tuple[int, int]:
    size, start = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start:start + count], "big"), start + count
    return start, start + size
