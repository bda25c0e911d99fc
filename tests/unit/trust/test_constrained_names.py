# SPDX-License-Identifier: LGPL-2.1-or-later
"""Name constraints of every kind, and malformed names that would slip by them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.x509 import DirectoryName, DNSName, IPAddress, NameConstraints, RFC822Name, UniformResourceIdentifier
from cryptography.x509.oid import NameOID

from pam_sc.decision.evidence import NoPath, PathFinding, ValidPath
from pam_sc.decision.policy import PathInputs, Policy
from pam_sc.decision.reasons import Reason
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.path import find_path
from tests.support.der import tlv
from tests.support.pki import CertificateAuthority, name_of, now

ROOT = CertificateAuthority("Root")
UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
MAILBOX = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")
ORGANIZATION = DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]))
OTHER_ORGANIZATION = DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Other")]))


def mail(text: str) -> RFC822Name:
    return RFC822Name._init_without_validation(text)


def uri(text: str) -> UniformResourceIdentifier:
    return UniformResourceIdentifier._init_without_validation(text)


def dns(text: str) -> DNSName:
    return DNSName._init_without_validation(text)


def upn(text: str) -> x509.OtherName:
    return x509.OtherName(UPN, tlv(0x0C, text.encode()))


def find(
    san: Sequence[x509.GeneralName],
    *,
    permitted: Sequence[x509.GeneralName] = (),
    excluded: Sequence[x509.GeneralName] = (),
    email: str | None = None,
    strict: bool = True,
) -> PathFinding:
    """The path of a leaf with these names below an authority with these constraints, none if there are none."""
    constraints = NameConstraints(permitted or None, excluded or None) if permitted or excluded else None
    issuing = ROOT.subordinate("Issuing", extensions=[(constraints, True)] if constraints else [])
    subject = [x509.NameAttribute(NameOID.EMAIL_ADDRESS, email, _validate=False)] if email else []
    leaf = issuing.issue(key="p256", san=san, extra_subject=subject)
    anchor = read_path_certificate(ROOT.der)
    assert isinstance(anchor, PathCertificate)
    policy = Policy(path=PathInputs(strict=strict))
    return find_path(leaf.der, [issuing.der], Trust(anchors=(anchor,)), policy, now())


def refused(finding: PathFinding, detail: str) -> None:
    assert isinstance(finding, NoPath)
    assert finding.reason is Reason.PATH_INVALID
    assert detail in finding.detail


# ---------------------------------------------------------------- each kind, inside and outside

KINDS = [
    (DNSName("example.test"), DNSName("a.example.test"), DNSName("a.example.org")),
    (RFC822Name("example.test"), RFC822Name("alice@example.test"), RFC822Name("alice@a.example.test")),
    (RFC822Name(".example.test"), RFC822Name("alice@a.example.test"), RFC822Name("alice@example.test")),
    (RFC822Name("alice@example.test"), RFC822Name("alice@example.test"), RFC822Name("bob@example.test")),
    (uri("example.test"), uri("https://example.test/a"), uri("https://a.example.test/a")),
    (uri(".example.test"), uri("https://a.example.test:8443/a"), uri("https://a.example.org/")),
    (
        IPAddress(ipaddress.ip_network("192.0.2.0/24")),
        IPAddress(ipaddress.ip_address("192.0.2.9")),
        IPAddress(ipaddress.ip_address("198.51.100.9")),
    ),
]


@pytest.mark.parametrize(("subtree", "inside", "outside"), KINDS, ids=str)
def test_permitted_subtree_lets_in_what_lies_in_it_alone(
    subtree: x509.GeneralName, inside: x509.GeneralName, outside: x509.GeneralName
) -> None:
    assert isinstance(find([inside], permitted=[subtree]), ValidPath)
    refused(find([outside], permitted=[subtree]), "permitted subtree violation")
    refused(find([inside, outside], permitted=[subtree]), "permitted subtree violation")


@pytest.mark.parametrize(("subtree", "inside", "outside"), KINDS, ids=str)
def test_excluded_subtree_keeps_out_what_lies_in_it_alone(
    subtree: x509.GeneralName, inside: x509.GeneralName, outside: x509.GeneralName
) -> None:
    assert isinstance(find([outside], excluded=[subtree]), ValidPath)
    refused(find([inside], excluded=[subtree]), "excluded subtree violation")


def test_directory_name_of_the_subject_is_constrained() -> None:
    assert isinstance(find([], permitted=[ORGANIZATION]), ValidPath)
    refused(find([], permitted=[OTHER_ORGANIZATION]), "permitted subtree violation")
    refused(find([], excluded=[ORGANIZATION]), "excluded subtree violation")
    assert isinstance(find([], excluded=[OTHER_ORGANIZATION]), ValidPath)


def test_directory_name_among_the_alternative_names_is_constrained() -> None:
    assert isinstance(find([DirectoryName(name_of("bob"))], permitted=[ORGANIZATION]), ValidPath)
    refused(find([OTHER_ORGANIZATION], permitted=[ORGANIZATION]), "permitted subtree violation")


def test_constrained_principal_name_is_refused_because_nobody_can_compare_it() -> None:
    refused(find([upn("alice@example.test")], permitted=[upn("@example.test")]), "unsupported name constraint")
    refused(find([upn("alice@example.org")], excluded=[upn("@example.test")]), "unsupported name constraint")
    assert isinstance(find([mail("alice@example.test")], permitted=[upn("@example.test")]), ValidPath)


def test_constraints_on_another_kind_of_name_ask_nothing_of_a_principal_name() -> None:
    assert isinstance(find([upn("alice@example.test")], permitted=[RFC822Name("example.org")]), ValidPath)


@pytest.mark.parametrize("strict", [True, False])
def test_mail_address_in_the_subject_is_constrained_where_the_leaf_has_no_other(strict: bool) -> None:
    permitted = [RFC822Name("example.test")]
    assert isinstance(find([], permitted=permitted, email="alice@example.test", strict=strict), ValidPath)
    refused(find([], permitted=permitted, email="alice@example.org", strict=strict), "permitted subtree violation")


# ---------------------------------------------------------------- malformed names

MALFORMED = [
    (DNSName("example.test"), dns("www.example.test.")),
    (DNSName("example.test"), dns("example.test\0.example.org")),
    (DNSName("example.test"), dns("example..test")),
    (DNSName("example.test"), dns(" example.test")),
    (DNSName("example.test"), dns("a*.example.org")),
    (DNSName("example.test"), dns("")),
    (DNSName("example.test"), dns("a" * 64 + ".example.org")),
    (DNSName("example.test"), dns(".".join(["a" * 60] * 5))),
    (RFC822Name("example.test"), mail("alice@example.test.")),
    (RFC822Name("example.test"), mail("alice@example.test@example.org")),
    (RFC822Name("example.test"), mail("alice@example.test\0@example.org")),
    (RFC822Name("example.test"), mail("alice@example.test>")),
    (RFC822Name("example.test"), mail('"alice@example.test"@example.org')),
    (RFC822Name("example.test"), mail("@example.org")),
    (uri("example.test"), uri("https://example.test?.example.org")),
    (uri("example.test"), uri("https://example.test#.example.org/")),
    (uri("example.test"), uri("https://alice@example.test/")),
    (uri("example.test"), uri("https://example.test\\.example.org/")),
    (uri("example.test"), uri("https://example.test.")),
    (uri("example.test"), uri("https://a b/")),
]


@pytest.mark.parametrize(("subtree", "name"), MALFORMED, ids=str)
def test_malformed_name_slips_into_no_subtree_and_by_none(subtree: x509.GeneralName, name: x509.GeneralName) -> None:
    for found in (find([name], excluded=[subtree]), find([name], permitted=[subtree])):
        assert isinstance(found, NoPath)
        assert found.reason is Reason.PATH_INVALID


@pytest.mark.parametrize(("subtree", "name"), MALFORMED, ids=str)
def test_malformed_name_is_no_matter_where_nothing_constrains_it(
    subtree: x509.GeneralName, name: x509.GeneralName
) -> None:
    assert isinstance(find([name]), ValidPath)
    other = DNSName("example.org") if isinstance(subtree, UniformResourceIdentifier) else uri("example.org")
    assert isinstance(find([name], permitted=[other]), ValidPath)


def test_malformed_name_is_named_by_its_kind_and_not_by_its_text() -> None:
    found = find([dns("secret.example.test.")], excluded=[DNSName("example.test")])
    refused(found, "'CN=alice,O=Example' has a malformed dNSName to which constraints apply")
    assert isinstance(found, NoPath)
    assert "secret" not in found.detail


@pytest.mark.parametrize("value", [tlv(0x0C, b"\xff\xfe"), tlv(0x16, b"a@b"), tlv(0x0C, b""), b"\x05\0"])
def test_malformed_other_name_is_refused_where_constraints_may_apply_to_it(value: bytes) -> None:
    name = x509.OtherName(MAILBOX, value)
    found = find([name], excluded=[RFC822Name("example.test")])
    assert isinstance(found, NoPath)
    found = find([name], excluded=[upn("@example.test")])
    assert isinstance(found, NoPath)


@pytest.mark.parametrize("value", [b"", b"\x30", tlv(0x30, b"\x82\x05ab"), tlv(0x30, tlv(0x82, b"\xff")), tlv(0x31, b"")])
def test_alternative_names_that_are_no_der_make_the_certificate_unusable(value: bytes) -> None:
    raw = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), value)
    anchor = read_path_certificate(ROOT.der)
    assert isinstance(anchor, PathCertificate)
    leaf = ROOT.issue(key="p256", extensions=[(raw, False)])
    found = find_path(leaf.der, [], Trust(anchors=(anchor,)), Policy(), now())
    assert isinstance(found, NoPath)
    assert (found.reason, "cannot be parsed" in found.detail) == (Reason.UNTRUSTED, True)


def test_malformed_mail_address_in_the_subject_is_refused_where_constraints_apply_to_it() -> None:
    excluded = [RFC822Name("example.test")]
    assert isinstance(find([], excluded=excluded, email="alice@example.org"), ValidPath)
    found = find([], excluded=excluded, email="alice@example.test.")
    refused(found, "malformed rfc822Name")
    assert isinstance(find([], email="alice@example.test."), ValidPath)


def test_constraints_of_the_anchor_apply() -> None:
    constraints = NameConstraints(None, [DNSName("example.test")])
    root = CertificateAuthority("Bound")
    bound = root.subordinate("Bound", root.private_key, extensions=[(constraints, True)])
    anchor = read_path_certificate(bound.der)
    assert isinstance(anchor, PathCertificate)
    for text, valid in (("a.example.org", True), ("a.example.test", False), ("a.example.test.", False)):
        leaf = root.issue(key="p256", san=[dns(text)])
        assert isinstance(find_path(leaf.der, [], Trust(anchors=(anchor,)), Policy(), now()), ValidPath) == valid


def test_malformed_name_of_an_authority_below_the_constraints_is_refused() -> None:
    constraints = NameConstraints(None, [DNSName("example.test")])
    above = ROOT.subordinate("Above", extensions=[(constraints, True)])
    anchor = read_path_certificate(ROOT.der)
    assert isinstance(anchor, PathCertificate)
    for text, valid in (("example.org", True), ("example.test.", False)):
        below = above.subordinate("Below", san=[dns(text)])
        leaf = below.issue(key="p256")
        found = find_path(leaf.der, [above.der, below.der], Trust(anchors=(anchor,)), Policy(), now())
        assert isinstance(found, ValidPath) == valid, found
