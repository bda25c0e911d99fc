# SPDX-License-Identifier: LGPL-2.1-or-later
"""Character strings of DER (X.680, section 41; X.690, section 8.23), decoded as their type says and not otherwise. Pure.

A TeletexString may hold anything; here it is ASCII or malformed.
"""

from __future__ import annotations

import re

from pam_sc.decision.der import element

_ANY = re.compile(r".*", re.DOTALL)
_TYPES: dict[int, tuple[str, re.Pattern[str]]] = {
    0x0C: ("utf-8", _ANY),
    0x12: ("ascii", re.compile(r"[0-9 ]*")),
    0x13: ("ascii", re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")),
    0x14: ("ascii", _ANY),
    0x16: ("ascii", _ANY),
    0x1A: ("ascii", re.compile(r"[ -~]*")),
    0x1C: ("utf-32-be", _ANY),
    0x1E: ("utf-16-be", re.compile(r"[\0-\uFFFF]*")),
}
"""Tag -> encoding and allowed characters: UTF8, Numeric, Printable, Teletex, IA5, Visible, Universal, BMPString."""


def read_text(der: bytes) -> str | None:
    """Return the text of one string, None for an element of another type.

    ValueError or IndexError for what is not one whole element, has a size that is not the shortest, or is not what its
    type says; only to be called inside `read_strictly`.
    """
    tag, start, end = element(der, 0)
    if end != len(der) or der[1:start] != _shortest_size(end - start):
        raise ValueError("it is not one whole element of DER")
    if tag not in _TYPES:
        return None
    encoding, allowed = _TYPES[tag]
    text = der[start:end].decode(encoding)
    if not allowed.fullmatch(text):
        raise ValueError("it holds characters that its type does not have")
    return text


def _shortest_size(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
