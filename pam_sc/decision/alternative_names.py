# SPDX-License-Identifier: LGPL-2.1-or-later
"""The subjectAltName of a certificate (RFC 5280, section 4.2.1.6) as mappers see it: each name with its kind. Pure.

A name that could be taken for another one (NUL, control or invisible characters, malformed DER) stays in the list with
what is wrong with it; nothing is repaired. A subjectAltName that cannot be read at all makes the whole certificate
unreadable: the library reads all of it or nothing.
"""

from __future__ import annotations

import enum

from cryptography import x509

from pam_sc.decision.der import UTF8_STRING, body
from pam_sc.decision.distinguished_name import DistinguishedName, read_name, unusable_because
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.kerberos import KRB5_PRINCIPAL_NAME, KerberosPrincipal, read_principal
from pam_sc.decision.parsing import read_strictly
from pam_sc.record import field, record

USER_PRINCIPAL_NAME = "1.3.6.1.4.1.311.20.2.3"


class NameKind(enum.Enum):
    """The kinds of GeneralName, by their names in RFC 5280; two otherNames have kinds of their own."""

    MAIL = "rfc822Name"
    DNS = "dNSName"
    URI = "uniformResourceIdentifier"
    IP = "iPAddress"
    REGISTERED_ID = "registeredID"
    DIRECTORY = "directoryName"
    UPN = "userPrincipalName"
    KERBEROS = "KRB5PrincipalName"
    OTHER = "otherName"


@record(kw_only=True)
class AlternativeName:
    """One name. `value` is its text (of an otherName that nothing here decodes: hexadecimal digits of its DER)."""

    kind: NameKind
    value: str
    problem: str | None = None
    """Why it cannot be used; the value is then only good to be shown."""
    oid: str = ""
    """Of an otherName: its type-id."""
    der: bytes = field(default_factory=bytes, repr=False)
    """Of an otherName: its value as encoded."""
    directory: DistinguishedName | None = None
    principal: KerberosPrincipal | None = None


def read_alternative_names(names: x509.SubjectAlternativeName | None) -> tuple[AlternativeName, ...]:
    """Return every name, in the order of the encoding."""
    return tuple(_name(each) for each in names or ())


def _name(name: x509.GeneralName) -> AlternativeName:
    match name:
        case x509.RFC822Name():
            return _text(NameKind.MAIL, name.value)
        case x509.DNSName():
            return _text(NameKind.DNS, name.value)
        case x509.UniformResourceIdentifier():
            return _text(NameKind.URI, name.value)
        case x509.RegisteredID():
            return _text(NameKind.REGISTERED_ID, name.value.dotted_string)
        case x509.DirectoryName():
            return _directory(name.value)
        case x509.OtherName():
            return _other(name.type_id.dotted_string, name.value)
        case _:
            return _text(NameKind.IP, str(name.value))


def _text(kind: NameKind, value: str) -> AlternativeName:
    return AlternativeName(kind=kind, value=value, problem=unusable_because(value))


def _directory(name: x509.Name) -> AlternativeName:
    found = read_name(name)
    if found.rfc4514 is None:
        return AlternativeName(
            kind=NameKind.DIRECTORY, value=name.rfc4514_string(), problem="holds a value that cannot be used",
            directory=found,
        )  # fmt: skip
    return AlternativeName(kind=NameKind.DIRECTORY, value=found.rfc4514, directory=found)


def _other(oid: str, der: bytes) -> AlternativeName:
    if oid == USER_PRINCIPAL_NAME:
        read = read_strictly(lambda: _utf8(der))
        text = der.hex() if isinstance(read, Unparsable) else read
        problem = f"is malformed: {read.why}" if isinstance(read, Unparsable) else unusable_because(text)
        return AlternativeName(kind=NameKind.UPN, value=text, problem=problem, oid=oid, der=der)
    if oid == KRB5_PRINCIPAL_NAME:
        return _kerberos(oid, der)
    return AlternativeName(kind=NameKind.OTHER, value=der.hex(), oid=oid, der=der)


def _kerberos(oid: str, der: bytes) -> AlternativeName:
    principal = read_strictly(lambda: read_principal(der))
    if isinstance(principal, Unparsable):
        problem = f"is malformed: {principal.why}"
        return AlternativeName(kind=NameKind.KERBEROS, value=der.hex(), problem=problem, oid=oid, der=der)
    problems = [unusable_because(each) for each in (*principal.components, principal.realm)]
    unusable = next((each for each in problems if each is not None), unusable_because(principal.text))
    return AlternativeName(
        kind=NameKind.KERBEROS, value=principal.text, problem=unusable, oid=oid, der=der, principal=principal
    )


def _utf8(der: bytes) -> str:
    if der[0] != UTF8_STRING:
        raise ValueError(f"found tag {der[0]:#04x}, expected a UTF8String")
    return body(der).decode("utf-8")
