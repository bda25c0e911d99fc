# SPDX-License-Identifier: LGPL-2.1-or-later
"""Texts that a token wrote, made fit for a screen and a log. What comes out is never an identity."""

from __future__ import annotations

from pam_sc.card.constants import MAX_DETAIL, MAX_TEXT

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_clean(text: str) -> bool:
    """Say whether nothing in the text moves a cursor, hides or reorders: no control, format or unassigned character."""
    return text.isprintable()


def clean(raw: bytes, limit: int = MAX_TEXT) -> str:
    """The text without the padding of PKCS#11; whatever is no UTF-8 or not printable shows as U+FFFD."""
    return clean_text(raw.rstrip(b" \0").decode("utf-8", "replace"), limit)


def clean_text(text: str, limit: int = MAX_DETAIL) -> str:
    """The same for a text that is decoded already, such as the message of an exception."""
    return "".join(char if char.isprintable() else REPLACEMENT for char in text[:limit])
