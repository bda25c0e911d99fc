# SPDX-License-Identifier: LGPL-2.1-or-later
"""Distinguished names as mappers see them: every attribute with its text, and the two forms that files are written in.

`rfc4514` is the form of RFC 4514 (most specific first, escaped: two names never share a text). `oneline` is the form of
OpenSSL's X509_NAME_oneline, which pam_pkcs11's mapfiles hold: "/O=Example/CN=alice". It escapes no slash, so a name in
whose values one occurs has no such form here. Pure.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.name import _ASN1Type

from pam_sc.decision.parsing import clean, hidden_characters
from pam_sc.record import record

VALUE_MAX = 256
"""Characters of one value. LOGIN_NAME_MAX is 256, and mapfile patterns are bounded by this."""
NAME_MAX = 2048
"""Characters of a whole name in one of its forms."""


@record
class Attribute:
    """One attribute of a name. `problem`: why its value cannot be used; the value is then only good to be shown."""

    oid: str
    value: str
    problem: str | None = None


@record(kw_only=True)
class DistinguishedName:
    """A name: its relative names in the order of the encoding, each the attributes of one SET in their order.

    `rfc4514` and `oneline` are None where the name has no such form that could not be taken for another name.
    """

    relative_names: tuple[tuple[Attribute, ...], ...] = ()
    rfc4514: str | None = None
    oneline: str | None = None

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Every attribute, in the order of the encoding."""
        return tuple(attribute for relative in self.relative_names for attribute in relative)


def read_name(name: x509.Name) -> DistinguishedName:
    """Return the name; raises what the parser raises, so only inside `read_strictly`."""
    relative_names = tuple(tuple(_attribute(each) for each in relative) for relative in name.rdns)
    attributes = [attribute for relative in relative_names for attribute in relative]
    plain = bool(attributes) and all(attribute.problem is None for attribute in attributes)
    return DistinguishedName(
        relative_names=relative_names,
        rfc4514=_bounded(name.rfc4514_string()) if plain else None,
        oneline=_bounded(_oneline(relative_names)) if plain else None,
    )


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> Attribute:
    oid, value = attribute.oid.dotted_string, attribute.value
    if isinstance(value, bytes):
        return _bits(oid, value)
    if attribute._type is _ASN1Type.T61String and not value.isascii():
        return Attribute(oid, value, "is a TeletexString with characters whose meaning is not certain")
    return Attribute(oid, value, unusable_because(value))


def _bits(oid: str, value: bytes) -> Attribute:
    """A BIT STRING (x500UniqueIdentifier, X.520): text where its octets are that, for then nothing else is meant."""
    text = value.decode("latin-1")
    if value and value.isascii() and text.isprintable():
        return Attribute(oid, text, unusable_because(text))
    return Attribute(oid, value.hex(), "is not text")


def unusable_because(value: str) -> str | None:
    """Return why a value from a certificate can be no mapper's input, None if it can."""
    if not value:
        return "is empty"
    if len(value) > VALUE_MAX:
        return f"has {len(value)} characters, expected at most {VALUE_MAX}"
    if hidden_characters(value):
        return "holds a control character"
    return None


def _bounded(text: str | None) -> str | None:
    return text if text is not None and len(text) <= NAME_MAX and not hidden_characters(text) else None


_SHORT_NAMES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
    "2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier", "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
}
"""OpenSSL's short names, which X509_NAME_oneline prints."""


def _oneline(relative_names: tuple[tuple[Attribute, ...], ...]) -> str | None:
    attributes = [attribute for relative in relative_names for attribute in relative]
    if any("/" in attribute.value or not attribute.value.isascii() for attribute in attributes):
        return None
    return "".join(f"/{_SHORT_NAMES.get(each.oid, each.oid)}={each.value}" for each in attributes)


_LABELS = {**_SHORT_NAMES, "2.5.4.3": "commonName", "0.9.2342.19200300.100.1.1": "userId"}


def attribute_label(oid: str) -> str:
    """The name of an attribute's type, or its object identifier, for people."""
    return _LABELS.get(oid, clean(oid, 64))
