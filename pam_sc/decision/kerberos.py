# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kerberos principals in a subjectAltName: KRB5PrincipalName (RFC 4556, section 3.2.2), decoded from DER. Pure.

Strict: every byte belongs to the structure, and a component that is not plain ASCII text is an error, because
KerberosString (RFC 4120, section 5.2.1) is nothing else between realms that interoperate.
"""

from __future__ import annotations

from pam_sc.decision.der import INTEGER, SEQUENCE, body, children, elements
from pam_sc.record import record

KRB5_PRINCIPAL_NAME = "1.3.6.1.5.2.2"

_GENERAL_STRING = 0x1B
_FIRST, _SECOND = 0xA0, 0xA1
_SPECIAL = str.maketrans({"\\": "\\\\", "/": "\\/", "@": "\\@"})


@record
class KerberosPrincipal:
    """One principal: the components of its name, and its realm. The name-type is not kept: RFC 4120 says it is a hint."""

    components: tuple[str, ...]
    realm: str

    @property
    def name(self) -> str:
        """The components as krb5 writes them: joined by "/", special characters escaped by a backslash."""
        return "/".join(component.translate(_SPECIAL) for component in self.components)

    @property
    def text(self) -> str:
        """The whole principal: name@REALM."""
        return f"{self.name}@{self.realm.translate(_SPECIAL)}"


def read_principal(der: bytes) -> KerberosPrincipal:
    """Decode one KRB5PrincipalName; ValueError or IndexError for anything else. Only inside `read_strictly`."""
    realm, name = _exactly(_content(der, SEQUENCE), 2)
    kind, components = _exactly(_content(_only(name, _SECOND), SEQUENCE), 2)
    _content(_only(kind, _FIRST), INTEGER)
    parts = tuple(_string(each) for each in children(_checked(_only(components, _SECOND), SEQUENCE)))
    if not parts:
        raise ValueError("a principal has no component")
    return KerberosPrincipal(parts, _string(_only(realm, _FIRST)))


def _checked(der: bytes, tag: int) -> bytes:
    if der[0] != tag:
        raise ValueError(f"found tag {der[0]:#04x}, expected {tag:#04x}")
    return der


def _content(der: bytes, tag: int) -> bytes:
    return body(_checked(der, tag))


def _exactly(content: bytes, count: int) -> list[bytes]:
    found = elements(content)
    if len(found) != count:
        raise ValueError(f"found {len(found)} elements, expected {count}")
    return found


def _only(der: bytes, tag: int) -> bytes:
    """Return the one element within an explicit tag."""
    return _exactly(_content(der, tag), 1)[0]


def _string(der: bytes) -> str:
    return _content(der, _GENERAL_STRING).decode("ascii")
