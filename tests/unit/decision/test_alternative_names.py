# SPDX-License-Identifier: LGPL-2.1-or-later
"""The subjectAltName: each name with its kind, usable as it is or listed with what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.alternative_names import AlternativeName, NameKind
from pam_sc.decision.distinguished_name import VALUE_MAX
from pam_sc.decision.identity import Subject, read_subject
from tests.support.certificate_spec import SAN_KINDS, issue
from tests.support.der import tlv


def subject_with(*names: dict[str, Any]) -> Subject:
    return read_subject(issue({"san": names}).der)


ALL: list[dict[str, Any]] = [
    {"kind": "mail", "value": "alice@example.test"},
    {"kind": "dns", "value": "host.example.test"},
    {"kind": "uri", "value": "https://example.test/"},
    {"kind": "ip", "hex": "7f000001"},
    {"kind": "rid", "value": "1.2.3.4"},
    {"kind": "directory", "value": "alice"},
    {"kind": "upn", "value": "alice@example.test"},
    {"kind": "krb", "value": "alice@EXAMPLE.TEST"},
    {"kind": "other", "oid": "1.2.3.4", "hex": "0c0161"},
]


def test_every_kind_is_read_in_the_order_of_the_encoding() -> None:
    found = subject_with(*ALL)
    assert [(name.kind, name.value) for name in found.alternative_names] == [
        (NameKind.MAIL, "alice@example.test"),
        (NameKind.DNS, "host.example.test"),
        (NameKind.URI, "https://example.test/"),
        (NameKind.IP, "127.0.0.1"),
        (NameKind.REGISTERED_ID, "1.2.3.4"),
        (NameKind.DIRECTORY, "CN=alice,O=Example"),
        (NameKind.UPN, "alice@example.test"),
        (NameKind.KERBEROS, "alice@EXAMPLE.TEST"),
        (NameKind.OTHER, "0c0161"),
    ]
    assert found.unusable == ()
    assert (found.mails, found.upns) == (("alice@example.test",), ("alice@example.test",))
    assert [principal.text for principal in found.principals] == ["alice@EXAMPLE.TEST"]


def test_other_names_keep_their_type_and_octets() -> None:
    upn, other = subject_with(ALL[6], ALL[8]).alternative_names
    assert (upn.oid, upn.der[:2]) == ("1.3.6.1.4.1.311.20.2.3", b"\x0c\x12")
    assert (other.oid, other.der) == ("1.2.3.4", bytes.fromhex("0c0161"))


def test_certificate_without_the_extension_has_no_alternative_name() -> None:
    assert read_subject(issue({}).der).alternative_names == ()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("alice\0@example.test", "holds a control character"),
        ("alice@example.test\n", "holds a control character"),
        ("\x7f", "holds a control character"),
        ("", "is empty"),
        ("a" * (VALUE_MAX + 1), "has 257 characters, expected at most 256"),
    ],
)
@pytest.mark.parametrize("kind", ["mail", "dns", "uri", "upn"])
def test_value_that_could_be_taken_for_another_is_unusable(kind: str, value: str, why: str) -> None:
    found = subject_with({"kind": kind, "value": value}, {"kind": "mail", "value": "bob@example.test"})
    assert [name.value for name in found.alternative_names] == ["bob@example.test"]
    assert len(found.unusable) == 1
    assert found.unusable[0].endswith(why)
    assert found.unusable[0].isprintable()


@pytest.mark.parametrize("value", ["ali\u200bce@x", "\u202ealice@x", "al\ufe0fice@x", "al\u3164ice@x", "a\u034fb", "\u2800"])
def test_invisible_character_makes_a_upn_unusable(value: str) -> None:
    found = subject_with({"kind": "upn", "value": value})
    assert found.upns == ()
    assert found.unusable[0].endswith("holds a control character")
    assert found.unusable[0].isascii()


@pytest.mark.parametrize("tag", [0x13, 0x14, 0x16, 0x1B, 0x1C, 0x1E, 0x04, 0x2C, 0x8C])
def test_upn_of_another_type_than_utf8string_is_unusable(tag: int) -> None:
    found = subject_with({"kind": "upn", "hex": tlv(tag, b"a@bc").hex()})
    assert found.upns == ()
    assert f"is malformed: found tag {tag:#04x}, expected a UTF8String" in found.unusable[0]


@pytest.mark.parametrize("content", ["ff", "c0af", "eda080", "f4908080", "61c3"])
def test_upn_that_is_no_utf8_is_unusable(content: str) -> None:
    found = subject_with({"kind": "upn", "hex": tlv(0x0C, bytes.fromhex(content)).hex()})
    assert found.upns == ()
    assert "is malformed" in found.unusable[0]


@pytest.mark.parametrize("kind", ["upn", "krb"])
@pytest.mark.parametrize("trailing", ["00", "0500", "0c0162"])
def test_octets_behind_the_value_of_an_other_name_never_leave_it_usable(kind: str, trailing: str) -> None:
    good = SAN_KINDS[kind]({"kind": kind, "value": "alice@EXAMPLE.TEST"})
    inner = good[2:]
    at = inner.index(b"\xa0")
    value = inner[at + 2 :] + bytes.fromhex(trailing)
    found = subject_with({"kind": "raw", "hex": tlv(0xA0, inner[:at] + tlv(0xA0, value)).hex()})
    assert (found.upns, found.principals) == ((), ())
    assert len(found.unusable) == 1


@pytest.mark.parametrize(
    "san",
    ["", "30", "3000", "3005a0", "0c0161", "3003810161ff", "308003810161", "30058103616c69ff", "300481ff6161", "30038101ff",
     "3006a30430020500", "3003890161"],
)  # fmt: skip
def test_malformed_extension_leaves_nothing_usable_and_says_so(san: str) -> None:
    found = read_subject(issue({"cn": "alice", "raw_san": san}).der)
    assert found.alternative_names == ()
    if san != "3000":  # an empty list is no name, and nothing that is malformed
        assert found.common_names == ()
        assert found.unusable[0].startswith("the certificate cannot be read: ")


def test_extension_that_occurs_twice_leaves_nothing_usable_and_says_so() -> None:
    twice = [{"oid": "2.5.29.17", "hex": "30048102 6140"}, {"oid": "2.5.29.17", "hex": "30048102 6240"}]
    assert_refused_twice(twice)
    assert_refused_twice([{"oid": "1.2.3.4", "hex": "0500"}, {"oid": "1.2.3.4", "hex": "0500"}])


def assert_refused_twice(extensions: list[dict[str, str]]) -> None:
    """The library does not build such a certificate: one octet of the second type is put right afterwards."""
    before, _dot, last = extensions[1]["oid"].rpartition(".")
    other = {**extensions[1], "oid": f"{before}.99"}
    der = bytearray(issue({"extensions": [extensions[0], other]}).der)
    der[der.rindex(bytes((99, 4, len(bytes.fromhex(other["hex"])))))] = int(last)
    found = read_subject(bytes(der))
    assert (found.common_names, found.alternative_names, found.extensions) == ((), (), ())
    assert "uplicate" in found.unusable[0]


def test_directory_name_with_an_unusable_value_is_unusable() -> None:
    found = subject_with({"kind": "directory", "value": "alice\0"})
    assert found.alternative_names == ()
    assert found.unusable == ("directoryName 'CN=alice\\00,O=Example' holds a value that cannot be used",)


@given(st.data())
@settings(max_examples=400, deadline=None, database=None)
def test_no_mutation_of_the_extension_yields_anything_but_values_and_notes(data: st.DataObject) -> None:
    octets = bytearray(tlv(0x30, b"".join(SAN_KINDS[name["kind"]](name) for name in ALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    require_plain(read_subject(issue({"raw_san": octets.hex()}).der))


def require_plain(subject: Subject) -> None:
    """Every value is visible text of a bounded size, and every note too."""
    for value in (*subject.mails, *subject.upns, *(name.value for name in subject.alternative_names)):
        assert value
        assert value.isprintable()
    for name in subject.alternative_names:
        assert isinstance(name, AlternativeName)
        assert name.problem is None
        assert name.kind is NameKind.OTHER or name.kind is NameKind.DIRECTORY or len(name.value) <= VALUE_MAX
    for principal in subject.principals:
        assert principal.text.isascii()
        assert all(principal.components)
        assert principal.realm
    assert all(note.isprintable() for note in subject.unusable)
