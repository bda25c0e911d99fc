# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a certificate says about its owner: a value is usable as it is, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.distinguished_name import VALUE_MAX
from pam_sc.decision.identity import Subject, read_subject
from tests.support.certificate_spec import issue
from tests.support.der import tlv
from tests.support.pki import CertificateAuthority, rewrite
from tests.unit.decision.test_alternative_names import ALL, require_plain

AUTHORITY = CertificateAuthority()
UIDS = [{"oid": "uid", "value": "alice"}, {"oid": "x500uid", "value": "alice", "type": "bits"}]
GOOD = AUTHORITY.issue(common_name="alice", key="p256")
FULL = issue({"cn": ["alice", "Zoë"], "attributes": UIDS, "san": ALL}).der

UTF8, PRINTABLE, TELETEX, IA5, UNIVERSAL, BMP, BITS = 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E, 0x03


def subject_with(*values: tuple[int, bytes]) -> Subject:
    """The subject of a certificate whose common names have these string types and bytes."""
    oid = bytes.fromhex("0603550403")
    parts = [tlv(0x31, tlv(0x30, oid + tlv(tag, content))) for tag, content in values]
    return read_subject(AUTHORITY.issue(raw_subject=tlv(0x30, b"".join(parts)), key="p256").der)


def subject_named(*names: str) -> Subject:
    return subject_with(*((UTF8, name.encode()) for name in names))


def test_common_name_is_read() -> None:
    assert read_subject(GOOD.der).common_names == ("alice",)


def test_all_common_names_are_read_in_their_order_and_once() -> None:
    assert subject_named("carol", "alice", "carol").common_names == ("carol", "alice")


def test_subject_without_common_name_has_none() -> None:
    assert read_subject(AUTHORITY.issue(common_name=None, key="p256").der).common_names == ()


@pytest.mark.parametrize("name", ["alice", "Alice Example", "Zoë", "alice@example.test", "a" * VALUE_MAX, "a.b-c_d"])
def test_plain_value_is_usable(name: str) -> None:
    assert subject_named(name).common_names == (name,)
    assert subject_named(name).unusable == ()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("alice\0", "holds a control character"),
        ("alice\0.evil", "holds a control character"),
        ("\0alice", "holds a control character"),
        ("mallory\nalice", "holds a control character"),
        ("alice\r", "holds a control character"),
        ("alice\x1b[2J", "holds a control character"),
        ("alice\x7f", "holds a control character"),
        ("alice\x85", "holds a control character"),
        ("\u202eecila", "holds a control character"),
        ("alice\u2066", "holds a control character"),
        ("ali\u200bce", "holds a control character"),
        ("alice\u2028", "holds a control character"),
        ("alice\u00a0", "holds a control character"),
        ("alice\ufe0f", "holds a control character"),
        ("ali\u3164ce", "holds a control character"),
        ("ali\u034fce", "holds a control character"),
        ("alice\U000e0100", "holds a control character"),
        ("a" * (VALUE_MAX + 1), "has 257 characters, expected at most 256"),
        ("a" * 65_536, "has 65536 characters, expected at most 256"),
    ],
)
def test_value_that_could_be_taken_for_another_is_unusable(name: str, why: str) -> None:
    found = subject_named(name)
    assert found.common_names == ()
    assert len(found.unusable) == 1
    assert found.unusable[0].startswith("commonName '")
    assert found.unusable[0].endswith(why)
    assert found.unusable[0].isprintable()


def test_unusable_value_does_not_hide_the_others() -> None:
    found = subject_named("alice\0", "bob")
    assert found.common_names == ("bob",)
    assert len(found.unusable) == 1


def test_empty_value_is_unusable() -> None:
    assert subject_with((UTF8, b"")).unusable == ("commonName '' is empty",)


@pytest.mark.parametrize(
    ("tag", "content", "name"),
    [
        (PRINTABLE, b"alice", "alice"),
        (IA5, b"alice", "alice"),
        (TELETEX, b"alice", "alice"),
        (BMP, "Zoë".encode("utf-16-be"), "Zoë"),
        (UNIVERSAL, "Zoë".encode("utf-32-be"), "Zoë"),
    ],
)
def test_each_string_type_is_decoded(tag: int, content: bytes, name: str) -> None:
    assert subject_with((tag, content)).common_names == (name,)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (UTF8, b"\xc0\xafalice"),
        (UTF8, b"alice\xff"),
        (UTF8, b"\xed\xa0\x80"),
        (PRINTABLE, b"alice*"),
        (IA5, b"alic\xe9"),
        (TELETEX, b"M\xfcller"),
        (TELETEX, "Zoë".encode()),
        (BMP, b"abc"),
        (BMP, b"\xd8\x3d"),
        (BMP, "alice\0".encode("utf-16-be")),
        (UNIVERSAL, b"\x00\x11\x00\x00"),
        (BITS, b"\0alice"),
    ],
)
def test_string_that_cannot_be_decoded_for_certain_is_unusable(tag: int, content: bytes) -> None:
    found = subject_with((tag, content))
    assert found.common_names == ()
    assert len(found.unusable) == 1


def test_unreadable_certificate_has_no_usable_value() -> None:
    found = read_subject(b"\x30\x03junk")
    assert found.common_names == ()
    assert found.unusable[0].startswith("the certificate cannot be read: ")


def test_certificate_that_is_refused_as_a_whole_has_no_usable_value() -> None:
    assert read_subject(rewrite(GOOD.der, AUTHORITY.private_key, serial=-1)).common_names == ()


@settings(max_examples=600, deadline=None, database=None)
@given(st.data())
def test_no_mutation_makes_reading_raise_or_yields_anything_but_plain_values(data: st.DataObject) -> None:
    der = bytearray(data.draw(st.sampled_from((GOOD.der, FULL))))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    require_plain(read_subject(bytes(der)))


@settings(max_examples=100, deadline=None, database=None)
@given(st.integers(0, 2_000))
def test_certificate_that_is_cut_is_unreadable(size: int) -> None:
    found = read_subject(FULL[: min(size, len(FULL) - 1)])
    assert found == Subject(unusable=found.unusable)
    assert found.unusable[0].startswith("the certificate cannot be read: ")


def test_octets_behind_the_certificate_make_it_unreadable() -> None:
    assert read_subject(FULL + b"\0").common_names == ()


def test_extensions_are_read_as_they_are_encoded() -> None:
    found = read_subject(issue({"extensions": [{"oid": "1.2.3.4", "hex": "30800000", "critical": True}]}).der)
    assert found.extension_values("1.2.3.4") == (bytes.fromhex("30800000"),)
    assert found.extension_values("1.2.3") == ()


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=40))
def test_any_text_is_usable_unchanged_or_not_at_all(name: str) -> None:
    name = name.encode("utf-8", "ignore").decode()
    found = subject_named(name)
    assert found.common_names in ((name,), ())
    assert bool(found.common_names) is not bool(found.unusable)
