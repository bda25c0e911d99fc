# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates from a table, as vectors write them: any names, any string types, any DER. For tests only.

The keys, none required: `cn` (a string or a list, default "alice"), `attributes` (list of {oid, value | hex, type},
before the common names), `relative_names` (a list of lists of those: the whole name instead), `raw_subject` (hex),
`san` (list of {kind, value | hex, oid}, see SAN_KINDS), `raw_san` (hex), `extensions` (list of {oid, hex, critical}),
`serial` (whole number or hex), `key` (a kind of key), `issuer` (the authority's common name), `issuer_attributes`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography import x509

from tests.support.der import tlv
from tests.support.pki import CertificateAuthority, Issued, Wish

_STRING_TYPES: Mapping[str, tuple[int, str]] = {
    "utf8": (0x0C, "utf-8"), "numeric": (0x12, "ascii"), "printable": (0x13, "ascii"), "teletex": (0x14, "latin-1"),
    "ia5": (0x16, "ascii"), "visible": (0x1A, "ascii"), "general": (0x1B, "ascii"), "universal": (0x1C, "utf-32-be"),
    "bmp": (0x1E, "utf-16-be"),
}
_NAMES = {
    "cn": "2.5.4.3", "uid": "0.9.2342.19200300.100.1.1", "x500uid": "2.5.4.45", "o": "2.5.4.10", "ou": "2.5.4.11",
    "c": "2.5.4.6", "dc": "0.9.2342.19200300.100.1.25", "email": "1.2.840.113549.1.9.1", "serialNumber": "2.5.4.5",
}
_UPN, _KRB, _SAN = "1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.2.2", "2.5.29.17"
_KNOWN = {
    "cn", "attributes", "relative_names", "raw_subject", "san", "raw_san", "extensions", "serial", "key", "issuer",
    "issuer_attributes",
}


def issue(spec: Mapping[str, Any]) -> Issued:
    """Issue the certificate that the table describes."""
    unknown = set(spec) - _KNOWN
    if unknown:
        raise ValueError(f"a certificate has no {sorted(unknown)}, expected {sorted(_KNOWN)}")
    serial = spec.get("serial")
    return _authority(spec).issue(
        common_name=None,
        raw_subject=subject_der(spec),
        key=spec.get("key", "p256"),
        serial=int(serial, 16) if isinstance(serial, str) else serial,
        extensions=_extensions(spec),
    )


def _authority(spec: Mapping[str, Any]) -> CertificateAuthority:
    attributes = tuple((_oid(each["oid"]), each["value"]) for each in spec.get("issuer_attributes", []))
    return authority(spec.get("issuer", "Test Root"), attributes)


@functools.cache
def authority(name: str, attributes: tuple[tuple[str, str], ...] = ()) -> CertificateAuthority:
    """The authority O=Example, then these attributes, then its common name: one for each name."""
    extra = [x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in attributes]
    wish = Wish(ca=True, key_usage=("keyCertSign", "cRLSign"), extended_key_usage=None, extra_subject=extra)
    return CertificateAuthority(name, wish=wish)


def subject_der(spec: Mapping[str, Any]) -> bytes:
    """The subject as a DER Name."""
    if "raw_subject" in spec:
        return bytes.fromhex(spec["raw_subject"])
    names = spec.get("cn", "alice")
    common = [{"oid": "cn", "value": each} for each in ([names] if isinstance(names, str) else names)]
    single = [{"oid": "o", "value": "Example"}, *spec.get("attributes", []), *common]
    relative: Sequence[Sequence[Mapping[str, Any]]] = spec.get("relative_names", [[each] for each in single])
    return tlv(0x30, b"".join(tlv(0x31, b"".join(map(_attribute, each))) for each in relative))


def _attribute(attribute: Mapping[str, Any]) -> bytes:
    return tlv(0x30, oid_der(_oid(attribute["oid"])) + _string(attribute))


def _string(value: Mapping[str, Any]) -> bytes:
    """A value as {hex} (DER, whole), or {value, type}; the type bits is a BIT STRING of the text's UTF-8."""
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    kind = value.get("type", "utf8")
    if kind == "bits":
        return tlv(0x03, b"\0" + value["value"].encode())
    tag, encoding = _STRING_TYPES[kind]
    return tlv(tag, value["value"].encode(encoding))


def _oid(name: str) -> str:
    return _NAMES.get(name, name)


def oid_der(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER (X.690, section 8.19)."""
    first, second, *rest = map(int, dotted.split("."))
    return tlv(0x06, b"".join(_arc(each) for each in (40 * first + second, *rest)))


def _arc(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.insert(0, 0x80 | value & 0x7F)
    return bytes(octets)


def principal_der(text: str) -> bytes:
    """A KRB5PrincipalName (RFC 4556, section 3.2.2) from name/instance@REALM."""
    name, _at, realm = text.rpartition("@")
    components = b"".join(tlv(0x1B, each.encode("latin-1")) for each in name.split("/"))
    principal = tlv(0xA0, tlv(0x02, b"\x01")) + tlv(0xA1, tlv(0x30, components))
    return tlv(0x30, tlv(0xA0, tlv(0x1B, realm.encode("latin-1"))) + tlv(0xA1, tlv(0x30, principal)))


def other_name(oid: str, der: bytes) -> bytes:
    """A GeneralName of the kind otherName."""
    return tlv(0xA0, oid_der(oid) + tlv(0xA0, der))


SAN_KINDS: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {
    "mail": lambda name: tlv(0x81, name["value"].encode()),
    "dns": lambda name: tlv(0x82, name["value"].encode()),
    "uri": lambda name: tlv(0x86, name["value"].encode()),
    "ip": lambda name: tlv(0x87, bytes.fromhex(name["hex"])),
    "rid": lambda name: b"\x88" + oid_der(name["value"])[1:],
    "directory": lambda name: tlv(0xA4, subject_der({"cn": name["value"]})),
    "upn": lambda name: other_name(_UPN, _string(name)),
    "krb": lambda name: other_name(_KRB, bytes.fromhex(name["hex"]) if "hex" in name else principal_der(name["value"])),
    "other": lambda name: other_name(name["oid"], bytes.fromhex(name["hex"])),
    "raw": lambda name: bytes.fromhex(name["hex"]),
}
"""The alternative names: kind -> the DER of the GeneralName."""


def _extensions(spec: Mapping[str, Any]) -> list[tuple[x509.ExtensionType, bool]]:
    raw = [(each["oid"], bytes.fromhex(each["hex"]), each.get("critical", False)) for each in spec.get("extensions", [])]
    if "raw_san" in spec:
        raw.append((_SAN, bytes.fromhex(spec["raw_san"]), False))
    elif "san" in spec:
        names = b"".join(SAN_KINDS[name["kind"]](name) for name in spec["san"])
        raw.append((_SAN, tlv(0x30, names), False))
    return [(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), der), critical) for oid, der, critical in raw]
