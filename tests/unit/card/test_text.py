# SPDX-License-Identifier: LGPL-2.1-or-later
"""Texts of a token cannot move a cursor, hide anything or pretend to be clean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.card.text import clean, is_clean


@pytest.mark.parametrize(("raw", "text"), [
    (b"login               ", "login"),
    (b"login\0\0\0", "login"),
    (b"M\xc3\xbcller", "M\u00fcller"),
    (b"a\0b", "a\ufffdb"),
    (b"\x1b[2Jx", "\ufffd[2Jx"),
    (b"a\r\nb", "a\ufffd\ufffdb"),
    ("a\u202eb".encode(), "a\ufffdb"),
    (b"\xff\xfe", "\ufffd\ufffd"),
    (b"\xc0\xaf", "\ufffd\ufffd"),
    (b"%n$(id)", "%n$(id)"),
    (b"", ""),
])
def test_a_text_is_cleaned(raw: bytes, text: str) -> None:
    assert clean(raw) == text


@given(st.binary(max_size=300))
def test_a_cleaned_text_is_clean_and_short(raw: bytes) -> None:
    assert is_clean(clean(raw))
    assert len(clean(raw)) <= 256
