# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `generic`: every item, and every step from a value to an account."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.alternative_names import AlternativeName, NameKind
from pam_sc.decision.identity import Extension, Subject, read_subject
from pam_sc.decision.sid import SID_EXTENSION
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.generic import ITEMS, GenericMapper
from pam_sc.mapping import MapperContext
from pam_sc.services import Services
from tests.support.der import tlv as der
from tests.support.mapper_services import ListedPeople
from tests.support.pki import CertificateAuthority
from tests.support.subjects import subject_of

AUTHORITY = CertificateAuthority()
PEOPLE = ListedPeople([{"name": "alice", "gecos": "Alice Example"}, {"name": "bob", "gecos": "Bob,1"}])
SID = "S-1-5-21-1004336348-1177238915-682003330-512"
OID = "1.3.6.1.4.1.99999.1"


def mapper(**table: Any) -> GenericMapper:
    services = Services(people=PEOPLE, why_not_believed=lambda _services: None)
    context = MapperContext("conf:1", frozenset({0, os.getuid()}), services)
    return GenericMapper.from_table(table, context)


def extended(*values: bytes, oid: str = OID) -> Subject:
    return Subject(extensions=tuple(Extension(oid, each) for each in values))


def other_name(value: bytes, oid: str = OID) -> Subject:
    return Subject(alternative_names=(AlternativeName(kind=NameKind.OTHER, value=value.hex(), oid=oid, der=value),))


def sid_extension(text: bytes, oid: bytes = bytes.fromhex("2b060104018237190201")) -> bytes:
    other = der(0x06, oid) + der(0xA0, der(0x04, text))
    return der(0x30, der(0xA0, other))


# ---------------------------------------------------------------- the items


@pytest.mark.parametrize(("item", "kind"), [
    ("mail", NameKind.MAIL), ("upn", NameKind.UPN), ("krb", NameKind.KERBEROS), ("dns", NameKind.DNS),
    ("uri", NameKind.URI),
])
def test_an_alternative_name_is_an_item(item: str, kind: NameKind) -> None:
    names = [(each, f"alice.{each.name}") for each in NameKind]
    assert mapper(item=item).sees(subject_of("x", names=names)) == (f"alice.{kind.name}",)


def test_an_attribute_is_an_item_by_name_or_by_oid() -> None:
    subject = subject_of("alice", attributes=[("0.9.2342.19200300.100.1.1", "u1"), ("2.5.4.5", "42"), ("2.5.4.5", "43")])
    assert mapper().accounts(subject) == ("alice",)
    assert mapper(item="cn").accounts(subject) == ("alice",)
    assert mapper(item="uid").accounts(subject) == ("u1",)
    assert mapper(item="attribute:2.5.4.5").accounts(subject) == ("42", "43")
    assert mapper(item="attribute:2.5.4.6").accounts(subject) == ()


def test_names_and_serial_number_of_a_certificate_are_items() -> None:
    subject = read_subject(AUTHORITY.issue(common_name="alice").der)
    assert subject.facts is not None
    serial = mapper(item="serial_number").sees(subject)[0]
    assert int(serial, 16) == subject.facts.serial_number
    assert len(serial) % 2 == 0
    assert mapper(item="subject").sees(subject) == (subject.subject.rfc4514,)
    assert mapper(item="issuer").sees(subject) == (subject.issuer.rfc4514,)


@pytest.mark.parametrize("item", sorted(ITEMS))
def test_a_certificate_that_says_nothing_has_no_item(item: str) -> None:
    assert mapper(item=item).sees(Subject()) == ()
    assert mapper(item=item).accounts(Subject()) == ()
    assert not mapper(item=item).claims(Subject(), "alice")


@pytest.mark.parametrize(("tag", "octets", "text"), [
    (0x0C, "j\u00f6rg".encode(), "j\u00f6rg"), (0x12, b"0 1", "0 1"), (0x13, b"alice", "alice"), (0x14, b"alice", "alice"),
    (0x16, b"alice@x", "alice@x"), (0x1A, b"a~", "a~"), (0x1E, "al\u0101".encode("utf-16-be"), "al\u0101"),
    (0x1C, "al".encode("utf-32-be"), "al"),
])
def test_a_string_of_an_extension_or_other_name_is_its_text(tag: int, octets: bytes, text: str) -> None:
    assert mapper(item=f"extension:{OID}").sees(extended(der(tag, octets))) == (text,)
    assert mapper(item=f"san:{OID}").sees(other_name(der(tag, octets))) == (text,)


@pytest.mark.parametrize(("tag", "octets"), [
    (0x0C, b"\xff"), (0x0C, b""), (0x0C, b"a\0b"), (0x12, b"x"), (0x13, b"a@b"), (0x13, b"a_b"), (0x14, b"\xe9"),
    (0x16, b"\xe9"), (0x1A, b"a\x1b"), (0x1E, b"\xd8\x00\xdc\x00"), (0x1E, b"a"), (0x1C, b"abc"), (0x0C, b"a" * 257),
], ids=str)  # fmt: skip
def test_a_string_that_is_not_what_its_type_says_is_not_used(tag: int, octets: bytes) -> None:
    assert mapper(item=f"extension:{OID}").sees(extended(der(tag, octets))) == ()
    assert mapper(item=f"san:{OID}").sees(other_name(der(tag, octets))) == ()


@pytest.mark.parametrize("value", [b"", b"\x0c", b"\x0c\x05al", b"\x0c\x02al\x00", b"\x0c\x81\x02al", b"\x0c\x82\x00\x02al"])
def test_what_is_no_single_element_of_der_is_not_used(value: bytes) -> None:
    assert mapper(item=f"extension:{OID}").sees(extended(value)) == ()


@settings(deadline=None, max_examples=300)
@given(value=st.binary(max_size=40))
def test_whatever_an_extension_holds_nothing_is_raised_and_what_is_seen_is_usable(value: bytes) -> None:
    subject = Subject(extensions=(Extension(OID, value), Extension(SID_EXTENSION, value)))
    for item in (f"extension:{OID}", "sid"):
        assert all(each and each.isprintable() for each in mapper(item=item).sees(subject))


def test_another_element_is_hexadecimal_digits() -> None:
    assert mapper(item=f"extension:{OID}").sees(extended(b"\x04\x02\xab\xcd")) == ("0x0402abcd",)


@pytest.mark.parametrize("text", [b"0x0402abcd", b"0X0402ABCD", b"0x"])
def test_string_that_spells_out_another_element_is_not_that_element(text: bytes) -> None:
    for ignored in (False, True):
        for item, subject in (("extension", extended(der(0x0C, text))), ("san", other_name(der(0x0C, text)))):
            assert mapper(item=f"{item}:{OID}", ignore_case=ignored).sees(subject) == ()
    assert mapper(item=f"extension:{OID}").sees(extended(der(0x0C, b"0402abcd"))) == ("0402abcd",)


def test_only_the_named_oid_counts() -> None:
    assert mapper(item=f"extension:{OID}").sees(extended(der(0x0C, b"alice"), oid=f"{OID}.1")) == ()
    assert mapper(item=f"san:{OID}").sees(other_name(der(0x0C, b"alice"), oid=f"{OID}.1")) == ()


def test_a_sid_is_an_item() -> None:
    subject = extended(sid_extension(SID.encode()), oid=SID_EXTENSION)
    assert mapper(item="sid").accounts(subject) == (SID,)
    assert mapper(item="sid").claims(subject, SID)


@pytest.mark.parametrize("value", [
    b"", sid_extension(b"S-1-5-"), sid_extension(b"S-2-5-21"), sid_extension(b"s-1-5-21"), sid_extension(b"S-1-5-021"),
    sid_extension(SID.encode() + b"\n"), sid_extension(b"root"), sid_extension(SID.encode(), bytes.fromhex("550403")),
    sid_extension(SID.encode()) + b"\0", der(0x04, SID.encode()), der(0x30, b""), sid_extension(b"S-1-5-\xff"),
    der(0x30, der(0xA0, der(0x06, bytes.fromhex("2b060104018237190201")))),
], ids=bytes.hex)  # fmt: skip
def test_a_malformed_sid_is_not_used(value: bytes) -> None:
    assert mapper(item="sid").sees(extended(value, oid=SID_EXTENSION)) == ()


# ---------------------------------------------------------------- the steps


def test_prefix_and_suffix_are_stripped() -> None:
    stripped = mapper(strip_prefix="CORP\\", strip_suffix="@x")
    assert stripped.accounts(subject_of("CORP\\alice@x")) == ("alice",)
    assert stripped.claims(subject_of("CORP\\alice@x"), "alice")


@pytest.mark.parametrize(
    "value", ["alice", "CORP\\alice", "alice@x", "corp\\alice@x", "CORP\\@x", "CORP\\x", "", "xCORP\\alice@x"]
)
def test_a_value_without_prefix_and_suffix_or_between_them_is_not_used(value: str) -> None:
    stripped = mapper(strip_prefix="CORP\\", strip_suffix="@x")
    assert stripped.sees(subject_of(value)) == ()
    assert stripped.accounts(subject_of(value)) == ()
    assert not stripped.claims(subject_of(value), "alice")


def test_prefix_and_suffix_must_not_overlap() -> None:
    assert mapper(strip_prefix="ab", strip_suffix="bc").sees(subject_of("abc")) == ()
    assert mapper(strip_prefix="ab", strip_suffix="bc").sees(subject_of("abxbc")) == ("x",)


def test_case_of_prefix_and_suffix_is_ignored_with_the_rest() -> None:
    assert mapper(strip_prefix="CORP\\", ignore_case=True).accounts(subject_of("corp\\ALICE")) == ("alice",)


def test_prefix_and_suffix_are_added() -> None:
    added = mapper(add_prefix="u-", add_suffix="-x")
    assert added.accounts(subject_of("alice")) == ("u-alice-x",)
    assert added.claims(subject_of("alice"), "u-alice-x")
    assert not added.claims(subject_of("alice"), "alice")


def test_a_hash_is_cut_after_it_was_made_and_before_anything_is_added() -> None:
    digits = hashlib.sha256(b"alice").hexdigest()
    assert mapper(hash="sha256").accounts(subject_of("alice")) == (digits,)
    assert mapper(hash="sha256", length=24, add_prefix="u").accounts(subject_of("alice")) == (f"u{digits[:24]}",)
    assert mapper(hash="sha384").accounts(subject_of("alice")) == (hashlib.sha384(b"alice").hexdigest(),)
    assert mapper(hash="sha512", length=128).accounts(subject_of("alice")) == (hashlib.sha512(b"alice").hexdigest(),)
    assert mapper(hash="sha256", strip_suffix="@x").accounts(subject_of("alice@x")) == (digits,)
    assert mapper(hash="sha256", ignore_case=True).accounts(subject_of("ALICE")) == (digits,)
    assert mapper(hash="sha256").accounts(subject_of("ALICE")) != (digits,)


def test_a_mapfile_lists_what_was_stripped_and_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("alice -> carol\n")
    path.chmod(0o644)
    listed = mapper(mapfile=str(path), strip_suffix="@x", add_prefix="u-")
    assert listed.accounts(subject_of("alice@x")) == ("carol",)
    assert listed.accounts(subject_of("bob@x")) == ()
    same = mapper(mapfile=str(path), unlisted="same", strip_suffix="@x", add_prefix="u-")
    assert same.accounts(subject_of("bob@x")) == ("u-bob",)


@pytest.mark.parametrize("name", ["a/b", "-x"])
def test_what_is_no_account_never_maps(name: str) -> None:
    assert mapper().accounts(subject_of(name)) == ()
    assert not mapper().claims(subject_of(name), name)


# ---------------------------------------------------------------- through NSS


def test_through_nss_a_value_means_an_account() -> None:
    through = mapper(through_nss=True)
    for name in ("alice", "Alice Example"):
        assert through.accounts(subject_of(name)) == ("alice",)
        assert through.claims(subject_of(name), "alice")
        assert not through.claims(subject_of(name), "bob")
    assert through.accounts(subject_of("carol")) == ()
    assert not through.claims(subject_of("carol"), "carol")


def test_through_nss_comes_after_all_other_steps(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("42 -> Bob\n")
    path.chmod(0o644)
    through = mapper(item="attribute:2.5.4.5", strip_prefix="n", mapfile=str(path), through_nss=True)
    assert through.accounts(subject_of(attributes=[("2.5.4.5", "n42")])) == ("bob",)
    assert mapper(through_nss=True, add_suffix=" Example").accounts(subject_of("Alice")) == ("alice",)


def test_through_nss_nobody_to_ask_is_an_error() -> None:
    through = GenericMapper.from_table({"through_nss": True}, MapperContext("conf:1", frozenset({0})))
    with pytest.raises(MapperError, match="nobody here to ask"):
        through.accounts(subject_of("alice"))


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize(("table", "message"), [
    ({"item": "mial"}, r"conf:1: unknown item 'mial' \(did you mean 'mail'\?\)"),
    ({"item": ""}, "conf:1: unknown item ''"),
    ({"item": "extension:"}, "expected attribute:, san: or extension:"),
    ({"item": "extension:1"}, "expected attribute:, san: or extension:"),
    ({"item": "extension:1.02"}, "expected attribute:, san: or extension:"),
    ({"item": "extension:3.1"}, "expected attribute:, san: or extension:"),
    ({"item": "extension:1.2.3\n"}, "expected attribute:, san: or extension:"),
    ({"item": "other:1.2"}, "expected attribute:, san: or extension:"),
    ({"hash": "md5"}, "conf:1: hash is 'md5', expected one of sha256"),
    ({"hash": "sha1"}, "conf:1: hash is 'sha1'"),
    ({"length": 20}, "conf:1: length says how many digits of a hash"),
    ({"hash": "sha256", "length": 23}, "conf:1: length is 23, expected from 24 to 64"),
    ({"hash": "sha256", "length": 65}, "conf:1: length is 65, expected from 24 to 64"),
    ({"hash": "sha256", "length": True}, "conf:1: length is True"),
    ({"cert_item": "cn"}, "conf:1: unknown key 'cert_item'"),
    ({"through_nss": 1}, "conf:1: through_nss is 1, expected true or false"),
])
def test_a_wrong_table_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mapper(**table)
