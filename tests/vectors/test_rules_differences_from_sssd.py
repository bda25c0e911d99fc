# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where certmap's rules mean something else here than in libsss_certmap: both sides of every row of the table in the docs.

Where the library would crash it is not asked; the tests say so.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from pam_sc.certmap.grammar import parse_match
from pam_sc.certmap.map_grammar import parse_map
from pam_sc.certmap.matching import match_certificate
from pam_sc.certmap.templates import Expanded, expand
from pam_sc.decision.identity import read_subject
from pam_sc.errors import ConfigError
from tests.support.certmap_strategies import ADDRESS, AUTHORITY, name_der, pkinit, sid_extension, upn, utf8
from tests.support.der import tlv
from tests.support.sssd_certmap import Answer, Library, RuleError

WHERE = "the test"
ANY = "<ISSUER>."
CN, UID, O = "2.5.4.3", "0.9.2342.19200300.100.1.1", "2.5.4.10"  # noqa: E741
DOCS = Path(__file__).parents[2] / "docs" / "mappers" / "rules.md"
PRINTABLE, BITS, TELETEX = 0x13, 0x03, 0x14


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    """The library in its process."""
    with Library() as running:
        yield running


def named(*relative_names: tuple[tuple[str, bytes], ...]) -> bytes:
    """A certificate with this subject."""
    return AUTHORITY.issue(key="p256", raw_subject=name_der(*relative_names)).der


def with_names(*names: x509.GeneralName) -> bytes:
    """A certificate with these alternative names."""
    return AUTHORITY.issue(key="p256", san=names).der


def common_name(value: str) -> bytes:
    """A certificate whose subject is this common name."""
    return named(((CN, utf8(value)),))


def ours(der: bytes, mapping: str) -> tuple[str, ...]:
    """What we make of a mapping rule, empty where it fails."""
    found = expand(parse_map(mapping, WHERE), read_subject(der))
    return found.texts if isinstance(found, Expanded) else ()


def matches(der: bytes, rule: str) -> bool:
    """Whether we say that the certificate matches."""
    return match_certificate(parse_match(rule, WHERE), read_subject(der)).matched


def theirs(library: Library, der: bytes, mapping: str) -> bytes | None:
    """What the library makes of a mapping rule."""
    answer = library.ask(der, ANY, mapping)
    assert isinstance(answer, Answer), answer
    return answer.expanded


def they_match(library: Library, der: bytes, rule: str) -> bool:
    """Whether the library says that the certificate matches."""
    answer = library.ask(der, rule, expand=False)
    assert isinstance(answer, Answer) and answer.match in (0, 2), answer
    return answer.match == 0


@pytest.mark.parametrize(
    ("row", "der", "mapping", "library_says", "we_say"),
    [
        ("beyond ASCII", common_name("Jörg"), "{subject_dn}", rb"CN=J\C3\B6rg", ("CN=Jörg",)),
        ("without backslashes", common_name("a, b"), "LDAPU1:({subject_dn_component.cn})", rb"(a\, b)", ("a, b",)),
        ("more than one attribute", named(((CN, utf8("u")), (UID, utf8("1")))), "{subject_dn}", b"UID=1,CN=u", ("CN=u+UID=1",)),
        ("more than one attribute", named(((CN, utf8("u")), (UID, utf8("1")))), "LDAPU1:{subject_dn_component}", b"1", ()),
        ("unknown attribute", named((("1.2.3.4", utf8("v")),)), "{subject_dn}", b"UNDEF=v", ("1.2.3.4=v",)),
        ("unknown attribute", named((("1.2.3.4", utf8("v")),)), "{subject_dn!ad}", b"UNDEF=v", ("OID.1.2.3.4=v",)),
        ("unknown attribute", named((("0.9.2342.19200300.100.1.44", utf8("v")),)), "LDAPU1:{subject_dn_component.uid}", b"v", ()),
        ("unknown attribute", named((("0.9.2342.19200300.100.1.3", utf8("v")),)), "{subject_dn!ad}",
         b"OID,0.9.2342.19200300.100.1.3=v", ("OID.0.9.2342.19200300.100.1.3=v",)),
        ("NUL", with_names(upn("root\0@evil")), "({subject_nt_principal})", b"(root)", ()),
        ("control character", common_name("a\tb"), "{subject_dn}", rb"CN=a\09b", ()),
        ("control character", named(((CN, tlv(TELETEX, b"J\xf6rg")),)), "{subject_dn}", rb"CN=J\C3\B6rg", ()),
        ("BIT STRING", named((("2.5.4.45", tlv(BITS, b"\0ab")),)), "{subject_dn}", b"x500UniqueIdentifier=#0303006162",
         ("x500UniqueIdentifier=ab",)),
        ("BIT STRING", named((("2.5.4.45", tlv(BITS, b"\0\1")),)), "{subject_dn}", b"x500UniqueIdentifier=#03020001", ()),
        ("longer than", common_name("a" * 257), "({subject_dn})", b"(CN=" + b"a" * 257 + b")", ()),
        ("as text", with_names(ADDRESS), "{subject_ip_address}", b"\xc0\xa8\x01\x07", ("192.168.1.7",)),
        ("one expansion each", with_names(x509.RFC822Name("a@x"), x509.RFC822Name("b@y")), "({subject_rfc822_name})", b"(b@y)",
         ("a@x", "b@y")),
        ("with @ or /", with_names(pkinit("a@b@R")), "{subject_principal.short_name}", b"a", ()),
        ("with two `@`", with_names(upn("root@evil@x")), "({subject_nt_principal.short_name})", b"(root)", ()),
        ("with two `@`", with_names(upn("root@evil@x")), "({subject_principal.short_name})", b"(root)", ()),
        ("empty value", with_names(upn("@x")), "({subject_nt_principal.short_name})", b"()", ()),
        ("empty subject", named(), "({subject_dn})", b"()", ()),
    ],
)  # fmt: skip
def test_expansion_differs(
    library: Library, row: str, der: bytes, mapping: str, library_says: bytes, we_say: tuple[str, ...]
) -> None:
    assert theirs(library, der, mapping) == library_says
    assert ours(der, mapping) == we_say
    assert row in differences()


@pytest.mark.parametrize(
    ("row", "der", "rule", "library_says"),
    [
        ("beyond ASCII", common_name("Jörg"), "<SUBJECT>Jörg", False),
        ("beyond ASCII", common_name("Jörg"), "<SUBJECT>J\\\\C3", True),
        ("more than one attribute", named(((CN, utf8("u")), (UID, utf8("1")))), "<SUBJECT>^CN=u\\+UID=1$", False),
        ("NUL", with_names(upn("root\0@evil")), "<SAN:ntPrincipalName>^root$", True),
        ("as text", with_names(ADDRESS), "<SAN:iPAddress>^192\\.168\\.1\\.7$", False),
        ("empty subject", named(), "<SUBJECT>.*", True),
        ("letters of a class", with_names(upn("ö")), "<SAN:ntPrincipalName>[[:alpha:]]", True),
    ],
)
def test_match_differs(library: Library, row: str, der: bytes, rule: str, library_says: bool) -> None:
    assert they_match(library, der, rule) is library_says
    assert matches(der, rule) is not library_says
    assert row in differences()


@pytest.mark.parametrize(
    ("row", "match", "mapping"),
    [
        ("could be two", "<SAN:r>a", None),
        ("could be two", "<SAN:>a", None),
        ("empty alternative", "<SUBJECT>alice|", None),
        ("empty alternative", "<SUBJECT>()", None),
        ("GNU", r"<SUBJECT>\w", None),
        ("GNU", r"<SUBJECT>(a)\1", None),
        ("GNU", "<SUBJECT>a**", None),
        ("GNU", "<SUBJECT>a{,2}", None),
        ("GNU", "<SUBJECT>a)", None),
        ("without a component", "", None),
        ("without a component", "<KU>,", None),
        ("without a component", ANY, "LDAP:"),
        ("that is none", "<SAN:otherName>KRB5:", None),
        ("parentheses", ANY, "(a={subject_dn})(b={subject_dn})"),
        ("parentheses", ANY, "(a={subject_dn}"),
        ("digest", ANY, "LDAPU1:(x={cert!shake128})"),
        ("plainly", ANY, "LDAPU1:(x={subject_dn_component.[+1]})"),
    ],
)
def test_rule_that_the_library_takes_is_refused(library: Library, row: str, match: str, mapping: str | None) -> None:
    assert not isinstance(library.ask(common_name("a"), match, mapping, expand=False), RuleError)
    with pytest.raises(ConfigError):
        parse_match(match, WHERE) and parse_map(mapping or "", WHERE)
    assert row in differences()


def test_sid_that_is_none_is_no_value(library: Library) -> None:
    for text, library_says in ((b"foo", b"(foo)"), (b"S-1-5\0-500", b"(S-1-5)"), (b"S-1-5-", b"(S-1-5-)")):
        der = AUTHORITY.issue(key="p256", extensions=[sid_extension(text)]).der
        assert theirs(library, der, "LDAPU1:({sid})") == library_says
        assert ours(der, "LDAPU1:({sid})") == ()
    assert "no SID" in differences()


def test_rid_without_sid_is_a_failed_expansion() -> None:
    """The library is not asked: it crashes."""
    assert ours(common_name("a"), "LDAPU1:({sid.rid})") == ()
    assert "crash" in differences()


def test_digest_with_letters_is_the_digest_that_it_names(library: Library) -> None:
    der = common_name("a")
    hashed = {
        name: theirs(library, der, f"LDAPU1:({{cert!{name}}})") for name in ("sha1", "sha1_c", "sha3-256_c", "md5", "md5_c")
    }
    assert hashed["sha1_c"] == hashed["sha3-256_c"] and len(hashed["md5_c"] or b"") > 3 * 16 + 1
    for name in ("sha1", "md5"):
        assert ours(der, f"LDAPU1:({{cert!{name}_c}})")[0].replace(":", "").encode() == (hashed[name] or b"")[1:-1]
    assert "SHA3-256" in differences()


def test_certificate_with_an_x400_address_is_refused_by_both(library: Library) -> None:
    """The library is not asked about x400Address, where it crashes; with an ediPartyName it refuses the certificate."""
    for tag in (0xA3, 0xA5):
        name = tlv(tag, tlv(0xA1, utf8("a")))
        san = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), tlv(0x30, name))
        der = AUTHORITY.issue(key="p256", extensions=[(san, False)]).der
        if tag == 0xA5:
            answer = library.ask(der, ANY, expand=False)
            assert isinstance(answer, Answer) and answer.match not in (0, 2)
        assert not matches(der, ANY)
    assert "ediPartyName" in differences()


def differences() -> str:
    """The table of differences in the docs."""
    found = re.search(r"## Differences from SSSD\n(.*?)(\n## |\Z)", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_address_of_either_family_is_text() -> None:
    for address in ("192.168.1.7", "2001:db8::1"):
        assert ours(with_names(x509.IPAddress(ipaddress.ip_address(address))), "{subject_ip_address}") == (address,)
