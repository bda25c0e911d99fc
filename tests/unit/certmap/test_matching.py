# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether certificates match, and what is said of each element."""

from __future__ import annotations

import pytest
from cryptography import x509

from pam_sc.certmap.grammar import parse_match
from pam_sc.certmap.matching import MatchResult, match_certificate, without_unmatched_names
from pam_sc.decision.identity import Subject, read_subject
from tests.support.certmap_strategies import ADDRESS, AUTHORITY, name_der, other_name, pkinit, upn, utf8

MAIL, DNS = x509.RFC822Name, x509.DNSName


def subject(*san: x509.GeneralName, **wishes: object) -> Subject:
    """What a certificate with these alternative names says."""
    return read_subject(AUTHORITY.issue(key="p256", san=san, **wishes).der)


def result(rule: str, of: Subject, **options: bool) -> MatchResult:
    """What comes of a rule."""
    return match_certificate(parse_match(rule, "here"), of, **options)


@pytest.mark.parametrize(
    ("rule", "matched", "why"),
    [
        ("<SUBJECT>^CN=alice,O=Example$", True, "the subject is 'CN=alice,O=Example'"),
        ("<SUBJECT>^O=Example", False, "the subject is 'CN=alice,O=Example'"),
        ("<SUBJECT>cn=alice", False, "the subject is"),
        ("<ISSUER>^CN=Test\\\\, Root,O=Example$", True, "the issuer is 'CN=Test\\, Root,O=Example'"),
        ("<ISSUER>alice", False, "the issuer is"),
        ("<KU>digitalSignature", True, "the key usage is digitalSignature"),
        ("<KU>digitalSignature,cRLSign", False, "the key usage is digitalSignature"),
        ("<EKU>clientAuth", True, "the extended key usage is 1.3.6.1.5.5.7.3.2"),
        ("<EKU>clientAuth,serverAuth", False, "the extended key usage is"),
        ("||<EKU>clientAuth,serverAuth", True, "the extended key usage is"),
        ("||<KU>digitalSignature,cRLSign", False, "the key usage is"),
        ("<SAN:rfc822Name>^a@x$", True, "the only rfc822Name matches"),
        ("<SAN:rfc822Name>^b@x$", False, "rfc822Name 'a@x' does not match"),
        ("<SAN:dNSName>.", False, "the certificate has no dNSName"),
        ("<SAN>.", False, "the certificate has no Principal"),
        ("<SAN:1.2.3.4>.", False, "the certificate has no 1.2.3.4"),
        ("<SAN:x400Address>MTIz", False, "the certificate has no x400Address"),
    ],
)
def test_element_says_why(rule: str, matched: bool, why: str) -> None:
    found = result(rule, subject(MAIL("a@x")))
    assert found.matched is matched
    assert [each.matched for each in found.elements] == [matched]
    assert why in found.elements[0].why


def test_every_element_has_to_match_or_one() -> None:
    alice = subject()
    for rule, matched in (("<SUBJECT>alice<ISSUER>nobody", False), ("||<SUBJECT>alice<ISSUER>nobody", True)):
        found = result(rule, alice)
        assert found.matched is matched
        assert [(each.text, each.matched) for each in found.elements] == [("<SUBJECT>alice", True), ("<ISSUER>nobody", False)]
    assert not result("||<SUBJECT>bob<ISSUER>nobody", alice).matched


def test_absent_key_usage_allows_all_and_absent_extended_key_usage_none() -> None:
    bare = subject(key_usage=None, extended_key_usage=None)
    assert result("<KU>cRLSign", bare).matched
    assert not result("<EKU>clientAuth", bare).matched
    assert not result("||<EKU>clientAuth", bare).matched
    assert not result("<EKU>clientAuth", subject(extended_key_usage=("2.5.29.37.0",))).matched


def test_all_names_of_a_type_have_to_match_unless_any_is_enough() -> None:
    both = subject(MAIL("a@x"), MAIL("b@y"), DNS("host"))
    found = result("<SAN:rfc822Name>^a@x$", both)
    assert not found.matched
    assert found.elements[0].why == "rfc822Name 'b@y' does not match, and all have to match"
    found = result("<SAN:rfc822Name>^a@x$", both, any_san=True)
    assert found.matched
    assert found.elements[0].why == "1 of 2 rfc822Name matches"
    assert not result("<SAN:rfc822Name>^c@x$", both, any_san=True).matched
    assert result("<SAN:rfc822Name>@", both).elements[0].why == "each of 2 rfc822Name matches"


def test_unusable_name_does_not_match_and_keeps_the_others_from_matching() -> None:
    both = subject(upn("alice@x"), upn("root\0@x"))
    found = result("<SAN:ntPrincipalName>@x$", both)
    assert not found.matched
    assert "cannot be used" in found.elements[0].why
    assert result("<SAN:ntPrincipalName>@x$", both, any_san=True).matched
    assert not result("<SAN:ntPrincipalName>root", both, any_san=True).matched


@pytest.mark.parametrize(
    ("name", "rule", "other_rule"),
    [
        (upn("u@R"), "<SAN>^u@R$", "<SAN:pkinit>."),
        (pkinit("a/b@R"), "<SAN>^a/b@R$", "<SAN:ntPrincipalName>."),
        (pkinit("a@b@R"), "||<SAN:otherName>UA==<SAN:1.3.6.1.5.2.2>nope<KU>digitalSignature", "<SAN>."),
        (DNS("a.test"), "<SAN:dNSName>^a\\.test$", "<SAN:rfc822Name>."),
        (x509.UniformResourceIdentifier("urn:a"), "<SAN:uniformResourceIdentifier>^urn:a$", "<SAN:dNSName>."),
        (ADDRESS, "<SAN:iPAddress>^192\\.168\\.1\\.7$", "<SAN:iPAddress>^10"),
        (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), "<SAN:registeredID>^1\\.2\\.3$", "<SAN:registeredID>4"),
        (other_name("1.2.3.4", utf8("hi")), "<SAN:1.2.3.4>hi$", "<SAN:1.2.3.4>^hi"),
        (other_name("1.2.3.4", utf8("hi")), "<SAN:otherName>aGk=", "<SAN:otherName>aGg="),
        (other_name("1.2.3.4", b"\x04\x01\0"), "<SAN:otherName>AA==", "<SAN:1.2.3.4>."),
        (
            x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DE"),
                                          x509.NameAttribute(x509.NameOID.COMMON_NAME, "a, b")])),
            "<SAN:directoryName>^CN=a\\\\, b,C=DE$", "<SAN:directoryName>^C=DE",
        ),
    ],
)  # fmt: skip
def test_each_type_is_matched_with_its_own_text(name: x509.GeneralName, rule: str, other_rule: str) -> None:
    assert result(rule, subject(name)).matched
    assert not result(other_rule, subject(name)).matched


def test_name_that_cannot_be_used_has_a_reason() -> None:
    broken = read_subject(AUTHORITY.issue(key="p256", raw_subject=name_der((("2.5.4.3", utf8("a\0b")),))).der)
    assert result("<SUBJECT>.", broken).elements[0].why == "the subject holds a value that cannot be used"
    empty = read_subject(AUTHORITY.issue(key="p256", raw_subject=name_der()).der)
    assert result("<SUBJECT>.*", empty).elements[0].why == "the subject is empty"


def test_certificate_that_cannot_be_read_matches_nothing() -> None:
    unreadable = read_subject(b"nonsense")
    for rule in ("<KU>digitalSignature", "<EKU>clientAuth", "<SUBJECT>.*", "<ISSUER>.*", "<SAN>.*"):
        assert not result(rule, unreadable).matched


def test_only_matching_names_are_left_where_one_is_enough() -> None:
    both = subject(MAIL("a@x"), MAIL("root@y"), upn("u@x"), DNS("host"))

    def left(rule: str) -> list[str]:
        return [each.value for each in without_unmatched_names(parse_match(rule, "here"), both).alternative_names]

    assert left("<SAN:rfc822Name>@x$") == ["a@x", "u@x", "host"]
    assert left("<SAN:rfc822Name>@x$<SAN:rfc822Name>^a") == ["a@x", "u@x", "host"]
    assert left("<SAN:rfc822Name>@x$<SAN:rfc822Name>^b") == ["u@x", "host"]
    assert left("||<SAN:rfc822Name>@x$<SAN:rfc822Name>^root") == ["a@x", "root@y", "u@x", "host"]
    assert left("||<SAN:rfc822Name>^nobody<KU>digitalSignature") == ["u@x", "host"]
    assert left("<KU>digitalSignature") == ["a@x", "root@y", "u@x", "host"]
