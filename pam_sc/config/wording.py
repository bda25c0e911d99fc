# SPDX-License-Identifier: LGPL-2.1-or-later
"""The small words of sentences about a configuration: lists, times and sizes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


def listed(words: Iterable[str]) -> str:
    """Words for a sentence: a, b and c."""
    *first, last = list(words) or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def counted(count: int, what: str) -> str:
    """1 second, 2 seconds."""
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def size(count: int) -> str:
    """A number of bytes in the largest unit that it is a multiple of."""
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"
