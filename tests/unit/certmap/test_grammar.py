# SPDX-License-Identifier: LGPL-2.1-or-later
"""Matching rules: what they are read as, and where and why one is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.certmap.grammar import (
    RULE_MAX,
    KeyUsageElement,
    NameElement,
    PurposeElement,
    SanElement,
    SanType,
    parse_match,
)
from pam_sc.errors import ConfigError

WHERE = "pam_sc.toml: mapper[0]: rule 1"


def test_rule_has_every_component_in_order() -> None:
    rule = parse_match("KRB5:<ISSUER>^CN=CA<SUBJECT>b<KU>digitalsignature, cRLSign<EKU>clientAuth,1.2.3<SAN>c", WHERE)
    assert rule.every
    issuer, subject, usage, purpose, san = rule.elements
    assert isinstance(issuer, NameElement) and issuer.issuer and issuer.text == "<ISSUER>^CN=CA"
    assert isinstance(subject, NameElement) and not subject.issuer
    assert isinstance(usage, KeyUsageElement) and usage.usages == {"digitalSignature", "cRLSign"}
    assert isinstance(purpose, PurposeElement) and purpose.purposes == {"1.3.6.1.5.5.7.3.2", "1.2.3"}
    assert isinstance(san, SanElement) and san.type is SanType.PRINCIPAL


@pytest.mark.parametrize(("text", "every"), [("<KU>cRLSign", True), ("&&<KU>cRLSign", True), ("KRB5:||<KU>cRLSign", False)])
def test_operator_stands_in_front(text: str, every: bool) -> None:
    assert parse_match(text, WHERE).every is every


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Principal", SanType.PRINCIPAL), ("ntPrincipalName", SanType.NT_PRINCIPAL), ("pkinitSAN", SanType.PKINIT),
        ("pkinit", SanType.PKINIT), ("rfc822Name", SanType.MAIL), ("RFC822NAME", SanType.MAIL), ("dNSName", SanType.DNS),
        ("uniformResourceIdentifier", SanType.URI), ("directoryName", SanType.DIRECTORY), ("iPAddress", SanType.IP),
        ("registeredID", SanType.REGISTERED_ID), ("1.2.3.4", SanType.OTHER_OID), ("u", SanType.URI),
    ],
)  # fmt: skip
def test_type_of_name_is_read(name: str, expected: SanType) -> None:
    (element,) = parse_match(f"<SAN:{name}>a", WHERE).elements
    assert isinstance(element, SanElement) and element.type is expected and element.pattern is not None


def test_binary_types_have_octets() -> None:
    for name in ("otherName", "x400Address", "ediPartyName"):
        (element,) = parse_match(f"<SAN:{name}>MTIz", WHERE).elements
        assert isinstance(element, SanElement) and element.octets == b"123" and element.pattern is None


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("", 1, "the rule has no component"),
        ("||", 1, "the rule has no component"),
        ("<SUBJECT>", 10, "<SUBJECT> has no value"),
        ("<SUBJECT><KU>cRLSign", 10, "<SUBJECT> has no value"),
        ("alice", 1, "expected <ISSUER>, <SUBJECT>"),
        (" <SUBJECT>a", 1, "expected <ISSUER>, <SUBJECT>"),
        ("<SUBJECT", 1, "expected <ISSUER>, <SUBJECT>"),
        ("&&||<SUBJECT>a", 3, "expected <ISSUER>, <SUBJECT>"),
        ("<subject>a", 1, "unknown component <subject>"),
        ("<SUBJECT>a<SERIAL>1", 11, "unknown component <SERIAL>"),
        ("<SUBJECT>CN=a*{", 15, "two repetitions in a row"),
        ("<ISSUER>x<SUBJECT>[a", 22, r"a [ without its ]"),
        ("<KU>cRLSign,signing", 13, "unknown: 'signing', expected one of digitalSignature"),
        ("<KU>128", 5, "unknown: '128'"),
        ("<KU>, ,", 5, "the list is empty"),
        ("<EKU>1", 6, "unknown: '1', expected one of serverAuth"),
        ("<EKU>1.2.03", 6, "unknown: '1.2.03'"),
        ("<SAN:1.2.>x", 6, "'1.2.' is no object identifier"),
        ("<SAN:mail>x", 6, "'mail' is unknown"),
        ("<SAN:r>x", 6, "'r' could be more than one type"),
        ("<SAN:d>x", 6, "'d' could be more than one type"),
        ("<SAN:>x", 6, "'' could be more than one type"),
        ("<SAN:otherName>a!", 16, "is not base64"),
        ("NEW:<SUBJECT>a", 1, "rules of type 'NEW' are not known, expected KRB5"),
        ("<SUBJECT>" + "a" * RULE_MAX, RULE_MAX + 1, "expected at most 4096"),
    ],
)
def test_error_says_where_and_what(text: str, at: int, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)) as caught:
        parse_match(text, WHERE)
    assert str(caught.value).startswith(f"{WHERE}: match ") and f", character {at}: " in str(caught.value)


@given(st.lists(st.sampled_from(["<SUBJECT>", "<SAN:", "<KU>", "<EKU>", "a", ">", "<", "(", "&&", "1.2", ",", "é", "\0"])))
def test_nothing_but_our_own_error_escapes(pieces: list[str]) -> None:
    try:
        parse_match("".join(pieces), WHERE)
    except ConfigError as error:
        assert WHERE in str(error)
