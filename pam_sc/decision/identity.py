# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a certificate says about its owner, read strictly: the input of every mapper. Pure, and it never raises.

A value that could be taken for another one (with a NUL, a control or an invisible character, malformed, empty) is kept
from the mappers and listed with the reason. Nothing is repaired, cut or normalised: a value is used as it is, or not at
all.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from pam_sc.decision.alternative_names import AlternativeName, NameKind, read_alternative_names
from pam_sc.decision.certificate import read_facts
from pam_sc.decision.der import body, children, read_oid
from pam_sc.decision.distinguished_name import (
    UNIQUE_IDENTIFIER,
    VALUE_MAX,
    DistinguishedName,
    attribute_label,
    read_name,
)
from pam_sc.decision.evidence import CertificateFacts, Unparsable
from pam_sc.decision.kerberos import KerberosPrincipal
from pam_sc.decision.parsing import clean, parse_certificate, read_extension, read_strictly
from pam_sc.record import field, record

COMMON_NAME = "2.5.4.3"
USER_ID = "0.9.2342.19200300.100.1.1"
_EXTENSIONS = 0xA3
"""The tag of `extensions` in TBSCertificate."""


@record
class Extension:
    """One extension: its object identifier and the DER of its value (the contents of extnValue)."""

    oid: str
    der: bytes = field(repr=False)


@record(kw_only=True)
class Subject:
    """What a certificate says about its owner: usable strings alone, all values of each kind, in their order, each once.

    A value that cannot be used is only in `unusable`, with the reason, so that `pam-sc inspect` shows it and no mapper
    meets it.
    """

    der: bytes = field(default_factory=bytes, repr=False)
    """The certificate itself."""
    subject: DistinguishedName = field(default_factory=DistinguishedName)
    issuer: DistinguishedName = field(default_factory=DistinguishedName)
    alternative_names: tuple[AlternativeName, ...] = ()
    """The usable ones."""
    unusable_names: tuple[AlternativeName, ...] = field(default_factory=tuple, repr=False)
    """The others, for those that ask whether all are as they should be. Their values are for nothing else."""
    extensions: tuple[Extension, ...] = ()
    facts: CertificateFacts | None = None
    """Serial number, key, usages, hash: what deciding knows. None where it could not be read."""
    unusable: tuple[str, ...] = ()
    """Sentences such as: commonName 'alice\\x00.evil' holds a control character."""

    def attribute_values(self, oid: str) -> tuple[str, ...]:
        """The usable values of one attribute of the subject, by its dotted object identifier."""
        usable = (each.value for each in self.subject.attributes if each.oid == oid and each.problem is None)
        return tuple(dict.fromkeys(usable))

    @property
    def common_names(self) -> tuple[str, ...]:
        """commonName (2.5.4.3) of the subject."""
        return self.attribute_values(COMMON_NAME)

    @property
    def user_ids(self) -> tuple[str, ...]:
        """userId (0.9.2342.19200300.100.1.1) of the subject."""
        return self.attribute_values(USER_ID)

    @property
    def unique_identifiers(self) -> tuple[str, ...]:
        """x500UniqueIdentifier (2.5.4.45) of the subject."""
        return self.attribute_values(UNIQUE_IDENTIFIER)

    def alternative_values(self, kind: NameKind) -> tuple[str, ...]:
        """The usable alternative names of one kind."""
        return tuple(dict.fromkeys(each.value for each in self.alternative_names if each.kind is kind))

    @property
    def mails(self) -> tuple[str, ...]:
        """rfc822Name."""
        return self.alternative_values(NameKind.MAIL)

    @property
    def upns(self) -> tuple[str, ...]:
        """Microsoft's userPrincipalName."""
        return self.alternative_values(NameKind.UPN)

    @property
    def principals(self) -> tuple[KerberosPrincipal, ...]:
        """KRB5PrincipalName (RFC 4556)."""
        return tuple(dict.fromkeys(each.principal for each in self.alternative_names if each.principal is not None))

    def extension_values(self, oid: str) -> tuple[bytes, ...]:
        """The DER of an extension; none where it is absent."""
        return tuple(each.der for each in self.extensions if each.oid == oid)


def read_subject(der: bytes) -> Subject:
    """Return what the certificate says about its owner. Never raises: of an unreadable one nothing is usable."""
    found = read_strictly(lambda: _subject(der))
    if isinstance(found, Unparsable):
        return Subject(unusable=(f"the certificate cannot be read: {found.why}",))
    return found


def _subject(der: bytes) -> Subject:
    certificate = parse_certificate(der)
    facts = read_facts(der)
    subject = read_name(certificate.subject)
    names = read_alternative_names(read_extension(certificate, x509.SubjectAlternativeName))
    return Subject(
        der=der,
        subject=subject,
        issuer=read_name(certificate.issuer),
        alternative_names=tuple(each for each in names if each.problem is None),
        unusable_names=tuple(each for each in names if each.problem is not None),
        extensions=tuple(_extensions(certificate)),
        facts=facts if isinstance(facts, CertificateFacts) else None,
        unusable=tuple(_unusable(subject, names)),
    )


def _extensions(certificate: x509.Certificate) -> Iterator[Extension]:
    """The extensions as they are encoded (RFC 5280, section 4.1): the library would encode them anew, or not at all."""
    for field_of_tbs in children(certificate.tbs_certificate_bytes):
        if field_of_tbs[0] == _EXTENSIONS:
            for extension in children(body(field_of_tbs)):
                parts = children(extension)
                yield Extension(read_oid(parts[0]), body(parts[-1]))


def _unusable(subject: DistinguishedName, names: tuple[AlternativeName, ...]) -> Iterator[str]:
    for attribute in subject.attributes:
        if attribute.problem is not None:
            yield f"{attribute_label(attribute.oid)} '{clean(attribute.value, VALUE_MAX)}' {attribute.problem}"
    for name in names:
        if name.problem is not None:
            yield f"{name.kind.value} '{clean(name.value, VALUE_MAX)}' {name.problem}"
