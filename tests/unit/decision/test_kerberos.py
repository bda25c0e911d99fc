# SPDX-License-Identifier: LGPL-2.1-or-later
"""KRB5PrincipalName: decoded to the last byte, and written such that no two principals share a text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.kerberos import KerberosPrincipal, read_principal
from pam_sc.decision.parsing import read_strictly
from tests.support.certificate_spec import principal_der
from tests.support.der import tlv

GOOD = principal_der("alice/admin@EXAMPLE.TEST")
WORDS = st.text(st.sampled_from("a/@\\B "), min_size=1, max_size=5)


def der_of(components: list[bytes], realm: bytes = b"R", tag: int = 0x1B) -> bytes:
    names = tlv(0xA1, tlv(0x30, b"".join(tlv(tag, each) for each in components)))
    principal = tlv(0xA1, tlv(0x30, tlv(0xA0, b"\x02\x01\x01") + names))
    return tlv(0x30, tlv(0xA0, tlv(tag, realm)) + principal)


def test_components_and_realm_are_read() -> None:
    found = read_principal(GOOD)
    assert found == KerberosPrincipal(("alice", "admin"), "EXAMPLE.TEST")
    assert (found.name, found.text) == ("alice/admin", "alice/admin@EXAMPLE.TEST")


def test_name_type_does_not_count() -> None:
    assert read_principal(GOOD.replace(b"\x02\x01\x01", b"\x02\x01\x0a")) == read_principal(GOOD)


@given(st.lists(WORDS, min_size=1, max_size=3), WORDS)
@settings(max_examples=200, deadline=None, database=None)
def test_any_ascii_principal_is_read_as_it_was(components: list[str], realm: str) -> None:
    found = read_principal(der_of([each.encode() for each in components], realm.encode()))
    assert found == KerberosPrincipal(tuple(components), realm)


@given(st.lists(WORDS, min_size=1, max_size=3), WORDS, st.lists(WORDS, min_size=1, max_size=3), WORDS)
@settings(max_examples=500, deadline=None, database=None)
def test_two_principals_share_no_text(one: list[str], realm: str, other: list[str], second: str) -> None:
    first, last = KerberosPrincipal(tuple(one), realm), KerberosPrincipal(tuple(other), second)
    assert (first == last) is (first.text == last.text)


@pytest.mark.parametrize(
    ("components", "realm", "text"),
    [
        (("a/b",), "R", "a\\/b@R"), (("a", "b"), "R", "a/b@R"), (("a@R",), "S", "a\\@R@S"), (("a",), "R@S", "a@R\\@S"),
        (("a\\",), "R", "a\\\\@R"), (("a\\", "b"), "R", "a\\\\/b@R"), (("a\\/b",), "R", "a\\\\\\/b@R"),
    ],
)  # fmt: skip
def test_special_characters_are_escaped(components: tuple[str, ...], realm: str, text: str) -> None:
    assert KerberosPrincipal(components, realm).text == text


@pytest.mark.parametrize(
    ("der", "why"),
    [
        (GOOD + b"\0", "bytes follow it"),
        (GOOD[:-1], "it ends early"),
        (der_of([]), "a principal has no component"),
        (der_of([b"alice"], tag=0x0C), "found tag 0x0c, expected 0x1b"),
        (der_of([b"alice"], tag=0x3B), "found tag 0x3b, expected 0x1b"),
        (der_of([b"zo\xeb"]), "can't decode"),
        (der_of([b"alice"], b"\xc3\xab"), "can't decode"),
        (tlv(0x0C, b"alice@R"), "found tag 0x0c, expected 0x30"),
        (tlv(0x30, b""), "found 0 elements, expected 2"),
        (tlv(0x30, tlv(0xA0, tlv(0x1B, b"R"))), "found 1 elements, expected 2"),
        (tlv(0x30, tlv(0xA0, tlv(0x1B, b"R")) * 2), "found tag 0xa0, expected 0xa1"),
        (tlv(0x30, tlv(0xA0, tlv(0x1B, b"R") * 2) + tlv(0xA1, b"")), "found 0 elements, expected 1"),
    ],
)
def test_anything_else_is_refused(der: bytes, why: str) -> None:
    found = read_strictly(lambda: read_principal(der))
    assert isinstance(found, Unparsable)
    assert why in found.why


@given(st.data())
@settings(max_examples=500, deadline=None, database=None)
def test_every_octet_but_the_name_type_counts(data: st.DataObject) -> None:
    der = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    found = read_strictly(lambda: read_principal(bytes(der)))
    if isinstance(found, KerberosPrincipal):
        der[GOOD.index(b"\x02\x01\x01") + 2] = 1
        assert der_of([each.encode() for each in found.components], found.realm.encode()) == bytes(der)
