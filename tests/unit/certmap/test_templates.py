# SPDX-License-Identifier: LGPL-2.1-or-later
"""What mapping rules become: every value, nothing that is missing, everything escaped."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.certmap.map_grammar import parse_map
from pam_sc.certmap.templates import EXPANSIONS_MAX, Expanded, NotExpanded, escape, expand
from pam_sc.decision.identity import Subject, read_subject
from tests.support.certmap_strategies import AUTHORITY, pkinit, sid_extension, upn

MAIL = x509.RFC822Name


def subject(*san: x509.GeneralName, **wishes: object) -> Subject:
    """What a certificate with these alternative names says."""
    return read_subject(AUTHORITY.issue(key="p256", san=san, **wishes).der)


def texts(rule: str, of: Subject) -> tuple[str, ...]:
    """What a rule becomes."""
    found = expand(parse_map(rule, "here"), of)
    assert isinstance(found, Expanded), found
    return found.texts


def missing(rule: str, of: Subject) -> str:
    """Why a rule becomes nothing."""
    found = expand(parse_map(rule, "here"), of)
    assert isinstance(found, NotExpanded), found
    return found.why


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{subject_rfc822_name}", "a@x"), ("{subject_rfc822_name.short_name}", "a"), ("{subject_nt_principal}", "u@R"),
        ("{subject_nt_principal.short_name}", "u"), ("{subject_pkinit_principal}", "p/q@K"),
        ("{subject_pkinit_principal.short_name}", "p/q"), ("{subject_dns_name.short_name}", "www"),
        ("{subject_dns_name}", "www.x"), ("{subject_uri}", "urn:x"), ("{subject_registered_id}", "1.2.3"),
        ("{subject_dn}", "CN=alice,O=Example"), ("{issuer_dn!nss_x500}", "O=Example,CN=Test\\, Root"),
        ("LDAPU1:{issuer_dn_component}", "Test, Root"), ("LDAPU1:{subject_dn_component.[2]}", "Example"),
        ("LDAPU1:{serial_number}", "0abc"), ("LDAPU1:{serial_number!dec}", "2748"), ("LDAPU1:{serial_number!hex_ucr}", "BC:0A"),
        ("LDAPU1:{sid}", "S-1-5-21-1-500"), ("LDAPU1:{sid.rid}", "500"), ("{{{subject_uri} }}", "{urn:x }"),
    ],
)  # fmt: skip
def test_template_is_the_value(rule: str, expected: str) -> None:
    names = (
        MAIL("a@x"), upn("u@R"), pkinit("p/q@K"), x509.DNSName("www.x"), x509.UniformResourceIdentifier("urn:x"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    )  # fmt: skip
    of = subject(*names, serial=0xABC, extensions=[sid_extension(b"S-1-5-21-1-500")])
    assert texts(rule, of) == (expected,)


def test_certificate_is_octets_base64_or_a_digest() -> None:
    of = subject()
    assert texts("{cert}", of) == ("".join(f"\\{octet:02x}" for octet in of.der),)
    assert texts("(x={cert!bin})", of) == (f"(x={texts('{cert}', of)[0]})",)
    assert base64.b64decode(texts("{cert!base64}", of)[0]) == of.der
    assert texts("LDAPU1:{cert!sha512-256}", of) == (hashlib.new("sha512_256", of.der).hexdigest(),)
    assert texts("LDAPU1:{cert!sha1_ur}", of) == (hashlib.sha1(of.der).digest()[::-1].hex().upper(),)


def test_key_identifier_is_the_one_of_the_certificate() -> None:
    of = subject()
    identifier = x509.SubjectKeyIdentifier.from_public_key(x509.load_der_x509_certificate(of.der).public_key()).digest
    assert texts("LDAPU1:{subject_key_id}", of) == (identifier.hex(),)
    assert "no value for {subject_key_id}" in missing("LDAPU1:{subject_key_id}", subject(identifiers=False))


@pytest.mark.parametrize(
    "template",
    [
        "subject_rfc822_name", "subject_uri", "subject_principal.short_name", "subject_ip_address", "subject_x400_address",
        "subject_ediparty_name", "sid", "sid.rid", "subject_dn_component.ou", "subject_dn_component.[3]",
    ],
)
def test_missing_value_makes_the_whole_expansion_fail(template: str) -> None:
    of = subject()
    assert missing(f"LDAPU1:(x{{{template}}})", of) == f"the certificate has no value for {{{template}}}"
    assert missing(f"LDAPU1:(|(cn={{subject_dn}})(x={{{template}}}))", of).endswith(f"{{{template}}}")


def test_empty_part_is_no_value() -> None:
    assert "short_name" in missing("{subject_nt_principal.short_name}", subject(upn("@x")))
    assert texts("{subject_nt_principal.short_name}", subject(upn("@x"), upn("u@x"))) == ("u",)


def test_each_value_has_its_expansion_and_is_the_same_in_both_places() -> None:
    both = subject(MAIL("a@x"), MAIL("b@y"), upn("u@x"), upn("v@y"))
    assert texts("{subject_rfc822_name.short_name}", both) == ("a", "b")
    mail = "(|(mail={subject_rfc822_name})(uid={subject_rfc822_name.short_name}))"
    assert texts(mail, both) == ("(|(mail=a@x)(uid=a))", "(|(mail=b@y)(uid=b))")
    assert len(texts("{subject_rfc822_name}{subject_nt_principal}", both)) == 4


def test_principal_is_of_either_kind() -> None:
    assert texts("{subject_principal}", subject(pkinit("p@K"), upn("u@R"))) == ("p@K", "u@R")


def test_too_many_expansions_are_none() -> None:
    many = subject(*(MAIL(f"a{number}@x") for number in range(EXPANSIONS_MAX + 1)))
    assert missing("{subject_rfc822_name}", many) == "the certificate has too many values for {subject_rfc822_name}"


def test_value_is_escaped_in_a_filter_and_nowhere_else() -> None:
    evil = "*)(uid=root)\\ \t"[:-1]
    of = subject(upn(evil))
    assert texts("(uid={subject_nt_principal})", of) == ("(uid=\\2a\\29\\28uid=root\\29\\5c\\20)",)
    assert texts("({subject_nt_principal})", of) == (evil,)


@given(st.text())
def test_escaped_value_has_no_meaning_in_a_filter(value: str) -> None:
    escaped = escape(value)
    assert not set(escaped) & set("*()\0 \t\r\n")
    pieces = escaped.split("\\")
    assert all(int(piece[:2], 16) >= 0 and len(piece) >= 2 for piece in pieces[1:])
    assert pieces[0] + "".join(chr(int(piece[:2], 16)) + piece[2:] for piece in pieces[1:]) == value


@pytest.mark.parametrize(
    "text",
    [
        b"", b"foo", b"S-1", b"S-1-5", b"S-1-5-", b"S-1-5-21-", b"S-2-5-21", b"S-1-5-021", b"S-1-5-1\0", b" S-1-5-1",
        "S-1-5-\N{FULLWIDTH DIGIT ONE}".encode(),
    ],
)
def test_sid_that_is_none_is_no_value(text: bytes) -> None:
    assert "{sid}" in missing("LDAPU1:{sid}", subject(extensions=[sid_extension(text)]))


def test_damaged_sid_extension_is_no_value() -> None:
    (whole, _critical) = sid_extension(b"S-1-5-18")
    assert isinstance(whole, x509.UnrecognizedExtension)
    assert texts("LDAPU1:{sid}", subject(extensions=[(whole, False)])) == ("S-1-5-18",)
    for at in range(len(whole.value)):
        for damaged in (whole.value[:at], whole.value[:at] + bytes([whole.value[at] ^ 0x20]) + whole.value[at + 1 :]):
            of = subject(extensions=[(x509.UnrecognizedExtension(whole.oid, damaged), False)])
            found = expand(parse_map("LDAPU1:{sid}", "here"), of)
            assert isinstance(found, NotExpanded) or found.texts[0].startswith("S-1-")
            assert not isinstance(found, Expanded) or found.texts != ("S-1-5-18",)


def test_certificate_that_cannot_be_read_has_no_value() -> None:
    unreadable = read_subject(b"nonsense")
    for template in ("cert", "subject_dn", "serial_number", "subject_key_id", "sid", "issuer_dn_component"):
        assert f"{{{template}}}" in missing(f"LDAPU1:{{{template}}}", unreadable)
