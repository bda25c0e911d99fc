# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates and certmap rules for hypothesis: what both we and libsss_certmap can read, near enough to match often.

What the two see differently is left out here, on purpose: each such case has a test of its own.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from cryptography import x509
from hypothesis import strategies as st

from tests.support.certificate_spec import oid_der, principal_der
from tests.support.der import tlv
from tests.support.pki import CertificateAuthority

UPN, PKINIT, SID = "1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.2.2", "1.3.6.1.4.1.311.25.2"
AUTHORITY = CertificateAuthority("Test, Root")
ATTRIBUTES = (
    "2.5.4.3", "2.5.4.4", "2.5.4.5", "2.5.4.7", "2.5.4.8", "2.5.4.9", "2.5.4.10", "2.5.4.11", "2.5.4.12", "2.5.4.13",
    "2.5.4.14", "2.5.4.15", "2.5.4.16", "2.5.4.17", "2.5.4.18", "2.5.4.20", "2.5.4.41", "2.5.4.42", "2.5.4.43", "2.5.4.44",
    "2.5.4.46", "2.5.4.65", "2.5.4.97", "0.9.2342.19200300.100.1.1", "0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1",
)  # fmt: skip
USAGES = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign"
)  # fmt: skip
PURPOSES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1", "clientAuth": "1.3.6.1.5.5.7.3.2", "emailProtection": "1.3.6.1.5.5.7.3.4",
    "pkinit": "1.3.6.1.5.2.3.4", "KPClientAuth": "1.3.6.1.5.2.3.4", "msScLogin": "1.3.6.1.4.1.311.20.2.2",
    "1.2.3.4": "1.2.3.4",
}  # fmt: skip

_plain = st.text("abAB01", min_size=1, max_size=4)
_odd = st.text('ab ,+"<>;\\#=*()/&|!', min_size=1, max_size=5)
_words = st.text("ab.", min_size=1, max_size=4)


def other_name(oid: str, der: bytes) -> x509.OtherName:
    """An otherName."""
    return x509.OtherName(x509.ObjectIdentifier(oid), der)


def upn(text: str) -> x509.OtherName:
    """Microsoft's userPrincipalName."""
    return other_name(UPN, tlv(0x0C, text.encode()))


def pkinit(text: str) -> x509.OtherName:
    """A KRB5PrincipalName."""
    return other_name(PKINIT, principal_der(text))


def sid_extension(text: bytes) -> tuple[x509.ExtensionType, bool]:
    """Microsoft's extension with a SID."""
    name = tlv(0xA0, oid_der(SID + ".1") + tlv(0xA0, tlv(0x04, text)))
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(SID), tlv(0x30, name)), False


def name_der(*relative_names: tuple[tuple[str, bytes], ...]) -> bytes:
    """A DER Name of relative names of (object identifier, DER of the value)."""
    sets = (tlv(0x31, b"".join(tlv(0x30, oid_der(oid) + value) for oid, value in each)) for each in relative_names)
    return tlv(0x30, b"".join(sets))


def utf8(text: str) -> bytes:
    """A UTF8String."""
    return tlv(0x0C, text.encode())


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate, and the values in it that a rule could be about."""

    der: bytes
    values: tuple[str, ...]
    one_of_each: bool
    """No kind of alternative name occurs twice."""


GENERAL_NAMES: st.SearchStrategy[tuple[str, x509.GeneralName]] = st.one_of(
    _words.map(lambda text: f"{text}@{text}").map(lambda text: (text, x509.RFC822Name(text))),
    _words.map(lambda text: (text, x509.DNSName(text))),
    _words.map(lambda text: (f"urn:{text}", x509.UniformResourceIdentifier(f"urn:{text}"))),
    st.text("abä *()\\@", min_size=1, max_size=6)
    .filter(lambda text: text.count("@") < 2)  # the short name of others is a difference with a test of its own
    .map(lambda text: (text, upn(text))),
    st.tuples(_plain, _plain).map("@".join).map(lambda text: (text, pkinit(text))),
    st.sampled_from(["1.2.3", "1.2.840.113549"]).map(lambda oid: (oid, x509.RegisteredID(x509.ObjectIdentifier(oid)))),
    st.tuples(st.sampled_from(["1.2.3.4", "1.2.3.5"]), _plain).map(lambda pair: (pair[1], other_name(pair[0], utf8(pair[1])))),
    _odd.map(
        lambda text: (text, x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])))
    ),
)
ADDRESS = x509.IPAddress(ipaddress.ip_address("192.168.1.7"))


@st.composite
def certificates(draw: st.DrawFn) -> Made:
    """A certificate that both can read whole."""
    attributes = draw(st.lists(st.tuples(st.sampled_from(ATTRIBUTES), _plain | _odd), min_size=1, max_size=4))
    names = draw(st.lists(GENERAL_NAMES, max_size=4))
    usages = draw(st.none() | st.sets(st.sampled_from(USAGES), min_size=1))
    purposes = draw(st.none() | st.sets(st.sampled_from(sorted(PURPOSES)), min_size=1))
    sid = draw(st.none() | st.sampled_from([b"S-1-5-21-1-2-3-500", b"S-1-5-18"]))
    issued = AUTHORITY.issue(
        key="p256",
        raw_subject=name_der(*(((oid, utf8(value)),) for oid, value in attributes)),
        key_usage=usages and sorted(usages),
        extended_key_usage=purposes and sorted({PURPOSES[each] for each in purposes}),
        san=[name for _text, name in names],
        serial=draw(st.integers(1, 1 << 150)),
        identifiers=draw(st.booleans()),
        extensions=[] if sid is None else [sid_extension(sid)],
    )
    kinds = [_kind(name) for _text, name in names]
    values = (*(value for _oid, value in attributes), *(text for text, _name in names))
    return Made(issued.der, values, len(set(kinds)) == len(kinds))


def _kind(name: x509.GeneralName) -> str:
    """Both principals are one kind, for {subject_principal}."""
    principal = isinstance(name, x509.OtherName) and name.type_id.dotted_string in (UPN, PKINIT)
    return "principal" if principal else type(name).__name__ + getattr(getattr(name, "type_id", None), "dotted_string", "")


# ---------------------------------------------------------------- rules


def escaped(text: str) -> str:
    """The text as a pattern that means itself."""
    return "".join("\\" + each if each in "^.[$()|*+?{\\" else each for each in text)


def patterns(values: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Patterns that have to do with these values."""
    literal = st.sampled_from(values or ("a",)).map(lambda text: escaped(text.replace("<", "")) or "a") | _plain
    piece = st.one_of(
        literal,
        st.sampled_from([".*", ".", "a*", "b+", "[ab]", "[^ab]", "(a|b)+", "a{1,2}", "[[:alnum:]]+", "CN=", ",", "O=.*"]),
    )
    middle = st.lists(piece, min_size=1, max_size=3).map("".join)
    return st.tuples(st.sampled_from(["", "", "^"]), middle, st.sampled_from(["", "", "$"])).map("".join)


_SAN_NAMES = (
    "SAN", "SAN:Principal", "SAN:ntPrincipalName", "SAN:pkinit", "SAN:pkinitSAN", "SAN:rfc822Name", "SAN:dNSName", "SAN:URI",
    "SAN:directoryName", "SAN:registeredID", "SAN:1.2.3.4", "SAN:rfc822name",
)  # fmt: skip


@st.composite
def components(draw: st.DrawFn, values: tuple[str, ...]) -> str:
    """One component of a matching rule."""
    kind = draw(st.sampled_from(["name", "san", "san", "ku", "eku"]))
    if kind == "ku":
        return "<KU>" + ",".join(draw(st.lists(st.sampled_from(USAGES), min_size=1, max_size=2)))
    if kind == "eku":
        return "<EKU>" + " , ".join(draw(st.lists(st.sampled_from(sorted(PURPOSES)), min_size=1, max_size=2)))
    names = ("SUBJECT", "ISSUER") if kind == "name" else _SAN_NAMES
    name = draw(st.sampled_from(names)).replace("URI", "uniformResourceIdentifier")
    return f"<{name}>{draw(patterns(values))}"


@st.composite
def match_rules(draw: st.DrawFn, values: tuple[str, ...]) -> str:
    """A matching rule."""
    prefix = draw(st.sampled_from(["", "KRB5:"])) + draw(st.sampled_from(["", "", "&&", "||"]))
    return prefix + "".join(draw(st.lists(components(values), min_size=1, max_size=3)))


TEMPLATES = tuple(
    f"{{{each}}}" for each in (
        "issuer_dn", "subject_dn", "subject_dn!nss", "subject_dn!nss_ldap", "subject_dn!nss_x500", "subject_dn!ad",
        "subject_dn!ad_x500", "subject_dn!ad_ldap", "issuer_dn!ad", "issuer_dn!nss_x500", "cert!bin", "cert!base64", "cert",
        "cert!sha256", "cert!SHA1", "cert!SHA256_uc",
        "cert!sha512_r", "cert!sha512-256", "cert!sha3-384_", "cert!blake2b512", "cert!md5",
        "subject_principal", "subject_principal.short_name", "subject_nt_principal", "subject_pkinit_principal",
        "subject_pkinit_principal.short_name", "subject_nt_principal.short_name", "subject_rfc822_name",
        "subject_rfc822_name.short_name", "subject_dns_name", "subject_dns_name.short_name", "subject_uri",
        "subject_directory_name", "subject_registered_id", "subject_x400_address", "subject_ediparty_name",
        "serial_number", "serial_number!hex", "serial_number!dec", "serial_number!hex_u", "serial_number!hex_cr",
        "serial_number!HEX", "subject_key_id", "subject_key_id!hex_ucr", "sid", "subject_dn!", "subject_dn.",
    )
)  # fmt: skip
COMPONENTS = tuple(
    f"{{{name}{part}}}" for name in ("subject_dn_component", "issuer_dn_component")
    for part in ("", ".", ".cn", ".CN", ".uid", ".o", ".[1]", ".[2]", ".[-1]", ".[-3]", ".cn[1]", ".CN[-1]", ".st", ".nope")
)  # fmt: skip
