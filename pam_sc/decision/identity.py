# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a certificate says about its owner, read strictly: the input of every mapper. Pure, and it never raises.

A value that could be taken for another one (with a NUL, a control or invisible character, a slash) is kept from the
mappers and listed with the reason. Nothing is repaired, cut or normalised: a value is used as it is, or not at all.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.parsing import clean, hidden_characters, parse_certificate, read_strictly
from pam_sc.record import record

VALUE_MAX = 256
"""Characters of one value. LOGIN_NAME_MAX is 256, and mapfile patterns are bounded by this."""


@record(kw_only=True)
class Subject:
    """What a certificate says about its owner: strings without NUL or control characters, all values of each kind.

    A value that cannot be used is not in its tuple but in `unusable`, with the reason, so that `pam-sc inspect` shows
    it and no mapper meets it.
    """

    common_names: tuple[str, ...] = ()
    """commonName (2.5.4.3) of the subject, in the order of the encoding."""
    unusable: tuple[str, ...] = ()
    """Sentences such as: commonName 'alice\\x00.evil' holds a control character."""


def read_subject(der: bytes) -> Subject:
    """Return what the certificate says about its owner. Never raises: of an unreadable one nothing is usable."""
    found = read_strictly(lambda: _common_names(parse_certificate(der)))
    if isinstance(found, Unparsable):
        return Subject(unusable=(f"the subject cannot be read: {found.why}",))
    usable: list[str] = []
    unusable: list[str] = []
    for value, problem in found:
        if problem is not None:
            unusable.append(f"commonName '{clean(value, VALUE_MAX)}' {problem}")
        elif value not in usable:
            usable.append(value)
    return Subject(common_names=tuple(usable), unusable=tuple(unusable))


def _common_names(certificate: x509.Certificate) -> list[tuple[str, str | None]]:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [_judged(attribute) for attribute in attributes]


def _judged(attribute: x509.NameAttribute[str | bytes]) -> tuple[str, str | None]:
    value = attribute.value
    if isinstance(value, bytes):
        return value.hex(), "is not text"
    if attribute._type is _ASN1Type.T61String and not value.isascii():
        return value, "is a TeletexString with characters whose meaning is not certain"
    return value, unusable_because(value)


def unusable_because(value: str) -> str | None:
    """Return why a value from a certificate can be no mapper's input, None if it can."""
    if not value:
        return "is empty"
    if len(value) > VALUE_MAX:
        return f"has {len(value)} characters, expected at most {VALUE_MAX}"
    if hidden_characters(value):
        return "holds a control character"
    if "/" in value:
        return "holds a slash"
    return None
