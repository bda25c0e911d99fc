# SPDX-License-Identifier: LGPL-2.1-or-later
"""Distinguished names: which values are usable, and that no two names ever share a text."""

from __future__ import annotations

import subprocess

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import crypto
from OpenSSL._util import ffi, lib

from pam_sc.decision.distinguished_name import (
    _SHORT_NAMES,
    NAME_MAX,
    VALUE_MAX,
    DistinguishedName,
    attribute_label,
    read_name,
)
from pam_sc.decision.windows_name import windows_name
from tests.support.certificate_spec import issue, subject_der
from tests.support.der import children, tlv

OIDS = ["2.5.4.3", "2.5.4.10", "0.9.2342.19200300.100.1.1", "1.2.840.113549.1.9.1", "1.2.3.4.5"]
SPECIAL = 'a/+\\,=";<> #xC3A$^CNUID'
TEXTS = st.text(st.sampled_from(SPECIAL), min_size=1, max_size=8) | st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6
)
ATTRIBUTES = st.tuples(st.sampled_from(OIDS), TEXTS)
NAMES = st.lists(st.lists(ATTRIBUTES, min_size=1, max_size=2, unique=True), min_size=1, max_size=3)
Pairs = list[list[tuple[str, str]]]


def der_of(pairs: Pairs) -> bytes:
    """The DER of a name in UTF8Strings, each SET in the order that DER wants."""
    sets = [sorted(map(encoded, relative)) for relative in pairs]
    return tlv(0x30, b"".join(tlv(0x31, b"".join(each)) for each in sets))


def encoded(pair: tuple[str, str]) -> bytes:
    name = subject_der({"relative_names": [[{"oid": pair[0], "value": pair[1]}]]})
    return children(children(name)[0])[0]


def parsed(der: bytes) -> x509.Name:
    return issue({"raw_subject": der.hex()}).certificate.subject


def name_of(pairs: Pairs) -> DistinguishedName:
    return read_name(parsed(der_of(pairs)))


def openssl_oneline(der: bytes) -> str:
    """X509_NAME_oneline of the library that we run on."""
    certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, issue({"raw_subject": der.hex()}).der)
    buffer = ffi.new("char[]", 8192)
    lib.X509_NAME_oneline(lib.X509_get_subject_name(certificate._x509), buffer, len(buffer))
    return bytes(ffi.string(buffer)).decode("ascii")


@given(NAMES)
@settings(max_examples=150, deadline=None, database=None)
def test_form_of_rfc_4514_is_the_librarys_except_for_a_single_blank(pairs: Pairs) -> None:
    library = parsed(der_of(pairs))
    if all(value != " " for relative in pairs for _oid, value in relative):
        assert read_name(library).rfc4514 in (None, library.rfc4514_string())


@given(NAMES)
@settings(max_examples=150, deadline=None, database=None)
def test_oneline_form_is_openssls_or_none(pairs: Pairs) -> None:
    der = der_of(pairs)
    assert read_name(parsed(der)).oneline in (None, openssl_oneline(der))


@given(NAMES, NAMES)
@settings(max_examples=300, deadline=None, database=None)
def test_two_names_that_differ_share_no_text(one: Pairs, other: Pairs) -> None:
    if der_of(one) == der_of(other):
        return
    first, second = name_of(one), name_of(other)
    for form in (lambda name: name.rfc4514, lambda name: name.oneline, windows_name):
        assert form(first) is None or form(first) != form(second)


COLLISIONS: list[tuple[Pairs, Pairs]] = [
    ([[("2.5.4.10", "a")], [("2.5.4.3", "b")]], [[("2.5.4.10", "a/CN=b")]]),
    ([[("2.5.4.10", "a\\")], [("2.5.4.3", "b")]], [[("2.5.4.10", "a/CN=b")]]),
    ([[("2.5.4.3", "b"), ("2.5.4.10", "a")]], [[("2.5.4.3", "b+O=a")]]),
    ([[("2.5.4.3", "b\\"), ("2.5.4.10", "a")]], [[("2.5.4.3", "b+O=a")]]),
    ([[("2.5.4.3", "b"), ("2.5.4.10", "a")]], [[("2.5.4.3", "b")], [("2.5.4.10", "a")]]),
    ([[("2.5.4.3", "Zoë")]], [[("2.5.4.3", "Zo\\xC3\\xAB")]]),
    ([[("2.5.4.3", "a\\x")]], [[("2.5.4.3", "a\\"), ("2.5.4.10", "x")]]),
    ([[("2.5.4.3", "b")], [("2.5.4.10", "a")]], [[("2.5.4.10", "a,CN=b")]]),
    ([[("2.5.4.3", "b")], [("2.5.4.10", "a")]], [[("2.5.4.10", "a")], [("2.5.4.3", "b")]]),
    ([[("2.5.4.3", " ")]], [[("2.5.4.3", "\\ ")]]),
    ([[("2.5.4.3", " a")]], [[("2.5.4.3", "\\ a")]]),
    ([[("2.5.4.3", '"a"')]], [[("2.5.4.3", "a")]]),
    ([[("2.5.4.3", "a,O=b")]], [[("2.5.4.3", '"a,O=b"')]]),
    ([[("2.5.4.3", "#61")]], [[("2.5.4.3", "\\#61")]]),
    ([[("1.2.3", "a")]], [[("1.2.3.4", "a")]]),
    ([[("0.9.2342.19200300.100.1.44", "a")]], [[("0.9.2342.19200300.100.1.1", "a")]]),
]


@pytest.mark.parametrize(("one", "other"), COLLISIONS)
def test_names_made_to_collide_do_not(one: Pairs, other: Pairs) -> None:
    first, second = name_of(one), name_of(other)
    assert first.rfc4514 != second.rfc4514
    assert first.oneline is None or first.oneline != second.oneline
    assert windows_name(first) is None or windows_name(first) != windows_name(second)


def test_types_have_different_names_also_without_regard_to_case() -> None:
    assert len({name.lower() for name in _SHORT_NAMES.values()}) == len(_SHORT_NAMES)


@pytest.mark.parametrize("oid", sorted(_SHORT_NAMES))
def test_each_type_has_openssls_name(oid: str) -> None:
    assert openssl_oneline(der_of([[(oid, "x")]])) == f"/{_SHORT_NAMES[oid]}=x"


def test_oneline_form_is_what_the_command_openssl_prints() -> None:
    pairs: Pairs = [[("2.5.4.10", "Exa/mple+x")], [("2.5.4.3", "b"), ("0.9.2342.19200300.100.1.1", "Zoë \\ x")]]
    der = issue({"raw_subject": der_of(pairs).hex()}).der
    arguments = ["openssl", "x509", "-inform", "der", "-noout", "-subject", "-nameopt", "compat"]
    printed = subprocess.run(arguments, input=der, capture_output=True, check=True).stdout.decode()
    assert printed.strip() in (f"subject={name_of(pairs).oneline}", f"subject={before_3_0_19(pairs)}")


def before_3_0_19(pairs: Pairs) -> str:
    """What older libraries print, which escape neither "/" nor "+": docs/mappers/subject.md tells of them."""
    short = [f"/{_SHORT_NAMES[oid]}={value}" for relative in pairs for oid, value in relative]
    return "".join(short).replace("ë", "\\xC3\\xAB")


def test_unknown_type_is_written_by_its_object_identifier() -> None:
    found = name_of([[("1.2.3.4.5", "x")]])
    assert (found.rfc4514, found.oneline) == ("1.2.3.4.5=x", "/1.2.3.4.5=x")


def test_several_attributes_of_a_relative_name_are_joined_by_plus() -> None:
    found = name_of([[("2.5.4.10", "o")], [("2.5.4.3", "a"), ("0.9.2342.19200300.100.1.1", "b")]])
    assert (found.rfc4514, found.oneline) == ("CN=a+UID=b,O=o", "/O=o/CN=a+UID=b")
    assert [[each.value for each in relative] for relative in found.relative_names] == [["o"], ["a", "b"]]


@pytest.mark.parametrize(
    ("value", "rfc4514"),
    [
        ("a,b", "CN=a\\,b"), ("a+b", "CN=a\\+b"), ('a"b', 'CN=a\\"b'), ("a\\b", "CN=a\\\\b"), ("a;b", "CN=a\\;b"),
        ("<a>", "CN=\\<a\\>"), ("#a", "CN=\\#a"), ("a#", "CN=a#"), (" a", "CN=\\ a"), ("a ", "CN=a\\ "), (" ", "CN=\\ "),
        ("  ", "CN=\\ \\ "), ("a  ", "CN=a \\ "), ("a=b", "CN=a=b"), ("Zoë", "CN=Zoë"), ("a/b", "CN=a/b"),
    ],
)  # fmt: skip
def test_escaping_of_rfc_4514(value: str, rfc4514: str) -> None:
    assert name_of([[("2.5.4.3", value)]]).rfc4514 == rfc4514


@pytest.mark.parametrize(
    ("kind", "usable", "oneline"),
    [
        ("utf8", True, "/CN=alice"), ("printable", True, "/CN=alice"), ("ia5", True, "/CN=alice"),
        ("teletex", True, "/CN=alice"), ("visible", True, "/CN=alice"), ("numeric", True, "/CN=12"),
        ("bmp", True, None), ("universal", True, None),
    ],
)  # fmt: skip
def test_each_string_type(kind: str, usable: bool, oneline: str | None) -> None:
    value = "12" if kind == "numeric" else "alice"
    der = subject_der({"relative_names": [[{"oid": "cn", "value": value, "type": kind}]]})
    try:
        found = read_name(parsed(der))
    except ValueError:  # the library knows no such string in a name
        assert kind in ("visible", "numeric", "general")
        return
    assert (found.attributes[0].value, found.attributes[0].problem is None) == (value, usable)
    assert (found.rfc4514, found.oneline) == (f"CN={value}", oneline)


def test_unusable_value_leaves_no_form() -> None:
    found = name_of([[("2.5.4.10", "o")], [("2.5.4.3", "a\0")]])
    assert (found.rfc4514, found.oneline, windows_name(found)) == (None, None, None)


def test_name_that_is_too_long_has_no_form() -> None:
    attribute = [("2.5.4.10", "x" * VALUE_MAX)]
    most = NAME_MAX // (VALUE_MAX + 3)
    assert name_of([attribute] * most).oneline is not None
    assert name_of([attribute] * (most + 1)).oneline is None
    assert name_of([attribute] * (most + 1)).rfc4514 is None


def test_empty_name_has_no_form() -> None:
    assert read_name(x509.Name([])) == DistinguishedName()
    assert windows_name(DistinguishedName()) is None


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([[("0.9.2342.19200300.100.1.25", "test")], [("2.5.4.3", "CA")]], "DC=test,CN=CA"),
        ([[("2.5.4.8", "x")], [("2.5.4.42", "y")], [("1.2.840.113549.1.9.1", "z")]], "S=x,G=y,E=z"),
        ([[("1.2.3.4", "x")]], "OID.1.2.3.4=x"),
        ([[("2.5.4.3", "a, b")]], 'CN="a, b"'),
        ([[("2.5.4.3", 'a "b"')]], 'CN="a ""b"""'),
        ([[("2.5.4.3", " a")]], 'CN=" a"'),
        ([[("2.5.4.3", "a ")]], 'CN="a "'),
        ([[("2.5.4.3", "a<SR>b")]], 'CN="a<SR>b"'),
        ([[("2.5.4.3", "a b")]], "CN=a b"),
        ([[("2.5.4.3", "a"), ("0.9.2342.19200300.100.1.1", "b")]], None),
    ],
)
def test_form_of_active_directory(pairs: Pairs, text: str | None) -> None:
    assert windows_name(name_of(pairs)) == text


def test_label_of_a_type_is_a_word_for_people() -> None:
    assert [attribute_label(oid) for oid in ("2.5.4.3", "2.5.4.45", "1.2.3")] == [
        "commonName", "x500UniqueIdentifier", "1.2.3",
    ]  # fmt: skip
