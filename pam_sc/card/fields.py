# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fields of a card message, one by one and bounded: what a frame's bytes may be, before anybody knows what they mean.

Every reader raises ProtocolError for a value outside its bounds; nothing is repaired or cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pam_sc.card.constants import MAX_TEXT
from pam_sc.card.text import is_clean
from pam_sc.errors import ProtocolError
from pam_sc.frames import MAX_FIELDS, decode_fields

U8_MAX = 0xFF
U32_MAX = 0xFFFFFFFF
U64_MAX = 0xFFFFFFFFFFFFFFFF


def u8(value: int) -> bytes:
    """One byte."""
    return _number(value, 1)


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return _number(value, 4)


def u64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return _number(value, 8)


def nest(fields: Iterable[bytes]) -> bytes:
    """Several fields as one, each with its length before it."""
    parts = tuple(fields)
    if len(parts) > MAX_FIELDS:
        raise ProtocolError(f"cannot send {len(parts)} values in a field: at most {MAX_FIELDS}")
    return b"".join(u32(len(part)) + part for part in parts)


def _number(value: int, width: int) -> bytes:
    try:
        return value.to_bytes(width, "big")
    except OverflowError:
        raise ProtocolError(f"cannot send {value} as a number of {width} bytes") from None


class Fields:
    """The fields of one message, taken in order; `end` makes sure that none is left."""

    def __init__(self, fields: Sequence[bytes]) -> None:
        self._fields = list(reversed(fields))

    def octets(self, limit: int) -> bytes:
        """The next field, at most `limit` bytes."""
        if not self._fields:
            raise ProtocolError("card message is malformed: a field is missing")
        field = self._fields.pop()
        if len(field) > limit:
            raise ProtocolError(f"card message is malformed: a field has {len(field)} bytes, at most {limit}")
        return field

    def number(self, width: int) -> int:
        """The next field as an unsigned number of exactly `width` bytes."""
        field = self.octets(width)
        if len(field) != width:
            raise ProtocolError(f"card message is malformed: a number has {len(field)} bytes, expected {width}")
        return int.from_bytes(field, "big")

    def flag(self) -> bool:
        """The next field as a truth value: one byte, 0 or 1."""
        value = self.number(1)
        if value > 1:
            raise ProtocolError(f"card message is malformed: {value} is no truth value")
        return value == 1

    def text(self, limit: int = MAX_TEXT) -> str:
        """The next field as a clean text of at most `limit` characters."""
        text = self.any_text(4 * limit)
        if len(text) > limit or not is_clean(text):
            raise ProtocolError("card message is malformed: a text is too long or holds control characters")
        return text

    def any_text(self, limit: int) -> str:
        """The next field as UTF-8 without NUL, at most `limit` bytes."""
        try:
            text = self.octets(limit).decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("card message is malformed: a text is no UTF-8") from None
        if "\0" in text:
            raise ProtocolError("card message is malformed: a text holds NUL")
        return text

    def nested(self, limit: int) -> Fields:
        """The next field as fields of their own."""
        return Fields(decode_fields(self.octets(limit)))

    @property
    def left(self) -> int:
        """How many fields have not been taken."""
        return len(self._fields)

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._fields:
            raise ProtocolError(f"card message is malformed: {len(self._fields)} fields too many")
