# SPDX-License-Identifier: LGPL-2.1-or-later
"""Distinguished names as mappers see them: every attribute with its text, and the two forms that files are written in.

`rfc4514` is the form of RFC 4514 (most specific first, escaped). `oneline` is the form of OpenSSL's X509_NAME_oneline,
which pam_pkcs11's mapfiles hold: "/O=Example/CN=alice". Neither ever says the same of two names that differ in more
than the string types of their values: that form escapes no backslash, so some names have none here. Pure.
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.x509.name import _ASN1Type

from pam_sc.decision.parsing import clean, hidden_characters
from pam_sc.record import record

UNIQUE_IDENTIFIER = "2.5.4.45"

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
    wide = any(each._type in _WIDE for each in name)
    return DistinguishedName(
        relative_names=relative_names,
        rfc4514=_bounded(_rfc4514(relative_names)) if plain else None,
        oneline=_bounded(_oneline(relative_names)) if plain and not wide else None,
    )


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> Attribute:
    oid, value = attribute.oid.dotted_string, attribute.value
    if isinstance(value, bytes):
        return _bits(oid, value)
    if attribute._type is _ASN1Type.T61String and not value.isascii():
        return Attribute(oid, value, "is a TeletexString with characters whose meaning is not certain")
    return Attribute(oid, value, unusable_because(value))


def _bits(oid: str, value: bytes) -> Attribute:
    """A BIT STRING with its octet of unused bits (X.690, section 8.6): text only as x500UniqueIdentifier (X.520).

    There it is text where its octets are that, for then nothing else is meant.
    """
    unused, octets = value[:1], value[1:]
    if oid == UNIQUE_IDENTIFIER and unused == b"\0" and octets.isascii():
        text = octets.decode("ascii")
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


_RFC4514_NAMES = {
    "2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O",
    "2.5.4.11": "OU", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}
"""The names that every reader knows (RFC 4514, section 3)."""

_ESCAPED = str.maketrans({each: f"\\{each}" for each in '"+,;<>\\'})


def _rfc4514(relative_names: tuple[tuple[Attribute, ...], ...]) -> str:
    """The name as RFC 4514, section 2 writes it; types that only some know by a name as their object identifier."""
    return ",".join(
        "+".join(f"{_RFC4514_NAMES.get(each.oid, each.oid)}={_escaped(each.value)}" for each in relative)
        for relative in reversed(relative_names)
    )


def _escaped(value: str) -> str:
    """A value that is not empty (RFC 4514, section 2.4)."""
    last = "\\ " if value.endswith(" ") else ""
    text = value.removesuffix(" ").translate(_ESCAPED) if last else value.translate(_ESCAPED)
    return (f"\\{text}" if text.startswith((" ", "#")) else text) + last


_SHORT_NAMES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
    "2.5.4.15": "businessCategory", "2.5.4.16": "postalAddress", "2.5.4.17": "postalCode", "2.5.4.18": "postOfficeBox",
    "2.5.4.19": "physicalDeliveryOfficeName", "2.5.4.20": "telephoneNumber", "2.5.4.23": "facsimileTelephoneNumber",
    "2.5.4.26": "registeredAddress", "2.5.4.32": "owner", "2.5.4.33": "roleOccupant", "2.5.4.34": "seeAlso",
    "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier", "2.5.4.46": "dnQualifier", "2.5.4.49": "distinguishedName",
    "2.5.4.51": "houseIdentifier", "2.5.4.54": "dmdName", "2.5.4.65": "pseudonym", "2.5.4.72": "role",
    "2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.3": "mail",
    "0.9.2342.19200300.100.1.5": "favouriteDrink", "0.9.2342.19200300.100.1.6": "roomNumber",
    "0.9.2342.19200300.100.1.8": "userClass", "0.9.2342.19200300.100.1.9": "host",
    "0.9.2342.19200300.100.1.10": "manager", "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.37": "associatedDomain", "0.9.2342.19200300.100.1.38": "associatedName",
    "0.9.2342.19200300.100.1.40": "personalTitle", "0.9.2342.19200300.100.1.41": "mobileTelephoneNumber",
    "1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.8": "unstructuredAddress", "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
    "1.2.643.3.131.1.1": "INN", "1.2.643.100.1": "OGRN", "1.2.643.100.3": "SNILS",
}
"""OpenSSL's short names, which X509_NAME_oneline prints. No two are the same without regard to case: for that its
"uid" (uniqueIdentifier) is missing."""

_WIDE = (_ASN1Type.BMPString, _ASN1Type.UniversalString)
"""Of these X509_NAME_oneline prints the octets: no file was ever meant to hold that."""

_AMBIGUOUS = re.compile(r"\\([/+xX]|\Z)")
"""A backslash that looks like the form's own, also where case does not count: it escapes no backslash."""


def _oneline(relative_names: tuple[tuple[Attribute, ...], ...]) -> str | None:
    """The name as OpenSSL 3.0.19 and later write it: relative names joined by "/", their attributes by "+"."""
    if any(_AMBIGUOUS.search(each.value) for relative in relative_names for each in relative):
        return None
    return "".join(
        "/" + "+".join(f"{_SHORT_NAMES.get(each.oid, each.oid)}={_oneline_value(each.value)}" for each in relative)
        for relative in relative_names
    )


def _oneline_value(value: str) -> str:
    """The value with its "/" and "+" escaped, and each octet of UTF-8 that is not ASCII as \\xHH."""
    text = value.replace("/", "\\/").replace("+", "\\+")
    if text.isascii():
        return text
    return "".join(chr(octet) if octet < 0x80 else f"\\x{octet:02X}" for octet in text.encode())


_LABELS = {**_SHORT_NAMES, "2.5.4.3": "commonName", "0.9.2342.19200300.100.1.1": "userId"}


def attribute_label(oid: str) -> str:
    """The name of an attribute's type, or its object identifier, for people."""
    return _LABELS.get(oid, clean(oid, 64))
