# SPDX-License-Identifier: LGPL-2.1-or-later
"""Elements of DER (X.690, section 8.1), for the few places that the library parses but does not show.

Tags of one byte and sizes up to four bytes, each in its shortest form (section 10.1). What is not well-formed raises
ValueError or IndexError, so callers that read a stranger's bytes do it inside `read_strictly`.
"""

from __future__ import annotations

SEQUENCE, INTEGER, OBJECT_IDENTIFIER, UTC_TIME, GENERALIZED_TIME = 0x30, 0x02, 0x06, 0x17, 0x18
OCTET_STRING, UTF8_STRING = 0x04, 0x0C
TIMES = (UTC_TIME, GENERALIZED_TIME)

_LONG_TAG = 0x1F
_OID_MAX = 64
"""Octets of an object identifier; the library takes 63."""


def element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start of the contents and end of the element at an offset."""
    size, body = der[at + 1], at + 2
    if size >= 0x80:
        body, size = long_size(der, at + 1)
    if der[at] & _LONG_TAG == _LONG_TAG:
        raise ValueError("a tag has more than one byte")
    if body + size > len(der):
        raise ValueError("it ends early")
    return der[at], body, body + size


def long_size(der: bytes, at: int) -> tuple[int, int]:
    """Return where the contents start and their size, for a size in the long form at an offset."""
    octets = der[at] & 0x7F
    if not 1 <= octets <= 4:
        raise ValueError("a size is malformed")
    size = int.from_bytes(der[at + 1 : at + 1 + octets], "big")
    if size < max(0x80, 1 << 8 * (octets - 1)):
        raise ValueError("a size is not in its shortest form")
    return at + 1 + octets, size


def elements(content: bytes) -> list[bytes]:
    """Return the elements that follow each other, each whole; every byte belongs to one."""
    found: list[bytes] = []
    at = 0
    while at < len(content):
        after = element(content, at)[2]
        found.append(content[at:after])
        at = after
    return found


def body(whole: bytes) -> bytes:
    """Return the contents of an element that stands alone."""
    _tag, start, end = element(whole, 0)
    if end != len(whole):
        raise ValueError("bytes follow it")
    return whole[start:]


def children(constructed: bytes) -> list[bytes]:
    """Return the elements within an element that stands alone."""
    return elements(body(constructed))


def read_oid(whole: bytes) -> str:
    """Return an OBJECT IDENTIFIER in dotted form (X.690, section 8.19)."""
    content = body(whole)
    if whole[0] != OBJECT_IDENTIFIER or not 0 < len(content) <= _OID_MAX or content[-1] & 0x80:
        raise ValueError("an object identifier is malformed")
    arcs, value = [], 0
    for at, octet in enumerate(content):
        if octet == 0x80 and (at == 0 or not content[at - 1] & 0x80):  # a padded arc
            raise ValueError("an object identifier is malformed")
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
