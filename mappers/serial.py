# SPDX-License-Identifier: LGPL-2.1-or-later
r"""The mapper `serial`: a mapfile lists certificates by issuer and serial number, also as Active Directory writes them.

    4a0f CN=Issuing CA,O=Example                        serial number, issuer (RFC 4514 or X509_NAME_oneline)
    X509:<I>O=Example,CN=Issuing CA<SR>0f4a             issuer, serial number with its octets reversed
    X509:<SKI>ddde...                                   subjectKeyIdentifier
    X509:<SHA1-PUKEY>ed91...                            a SHA-1 hash, see docs/mappers/serial.md

A serial number alone belongs to as many certificates as there are authorities: it never maps. The forms that name no
certificate (`X509:<I>..<S>..`, `X509:<S>..`, `X509:<RFC822>..`) are refused where the configuration does not insist.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pam_sc.decision.der import OCTET_STRING, body, children
from pam_sc.decision.evidence import CertificateFacts, Unparsable
from pam_sc.decision.identity import Subject
from pam_sc.decision.parsing import read_strictly
from pam_sc.decision.windows_name import windows_name
from pam_sc.errors import ConfigError
from pam_sc.mapfile import BLOCK_BYTES, Mapfile
from pam_sc.mapping import MapperContext
from pam_sc.value_mapper import LISTED_ONLY, ValueMapper

_KEY_IDENTIFIER = "2.5.29.14"
_LOOKED_THROUGH = 2 << 20
"""Bytes of a mapfile in which lines that can never, or must not, map are told of. Behind that they map nothing either."""
_DIGITS = rb"[0-9a-f:]+"
_STRONG = rb"<(?:ski>" + _DIGITS + rb"|sha1-pukey>" + _DIGITS + rb"|i>[^\n]+<sr>" + _DIGITS + rb")[ \t]*->"
_WEAK = rb"<(?:i>[^\n]+<s>|s>|rfc822>)[^\n]+->"
_BAD = rb"\n[ \t]*(x509:(?!%b)[^\n]*|" + _DIGITS + rb"[ \t]*->[^\n]*)"


class SerialMapper(ValueMapper):
    """Maps issuer and serial number, and the other marks of altSecurityIdentities. The case of A to Z does not count."""

    SHARED: ClassVar[Mapping[str, type]] = LISTED_ONLY
    OPTIONS: ClassVar[Mapping[str, type]] = {"weak": bool}
    IGNORE_CASE: ClassVar[bool] = True

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys; ConfigError also for a mapfile with a line that could never, or must not, map."""
        super().__init__(table, context)
        self._weak: bool = table.get("weak", False)
        if self.mapfile is not None:  # always: it is required
            _require_known_forms(self.mapfile, weak=self._weak)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The lines that list the certificate, each form once; the first is the best for a mapfile."""
        return tuple(self._forms(subject, spelled=False))

    def spellings(self, subject: Subject) -> tuple[str, ...]:
        """Those lines with colons too, and with the octet 00 before a serial number whose first bit is set."""
        return tuple(dict.fromkeys(self._forms(subject, spelled=True)))

    def _forms(self, subject: Subject, *, spelled: bool) -> Iterator[str]:
        if subject.facts is not None:
            yield from _by_issuer(subject, subject.facts, spelled=spelled)
            for mark in _key_hashes(subject, subject.facts) if spelled else ():
                yield from _spelled(mark, "X509:<SHA1-PUKEY>", spelled=True)
        for identifier in _key_identifiers(subject):
            yield from _spelled(identifier, "X509:<SKI>", spelled=spelled)
        if self._weak:
            yield from _weak_forms(subject)


def _by_issuer(subject: Subject, facts: CertificateFacts, *, spelled: bool) -> Iterator[str]:
    number = facts.serial_number
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    given = (octets, b"\0" + octets) if spelled and octets[0] & 0x80 else (octets,)
    for issuer in (subject.issuer.rfc4514, subject.issuer.oneline):
        for each in given if issuer is not None else ():
            yield from _spelled(each, "", f" {issuer}", spelled=spelled)
    issuer = windows_name(subject.issuer)
    for each in given if issuer is not None else ():
        yield f"X509:<I>{issuer}<SR>{each[::-1].hex()}"


def _spelled(octets: bytes, before: str, after: str = "", *, spelled: bool) -> Iterator[str]:
    yield f"{before}{octets.hex()}{after}"
    if spelled:
        yield f"{before}{octets.hex(':')}{after}"


def _key_hashes(subject: Subject, facts: CertificateFacts) -> tuple[bytes, ...]:
    """What is called SHA1-PUKEY: by some the hash of the key (its bits, or its whole structure), by some the certificate's."""
    from hashlib import sha1  # no other part of a login needs it

    bits = read_strictly(lambda: body(children(facts.public_key_der)[1])[1:])
    given = (subject.der, facts.public_key_der, *(() if isinstance(bits, Unparsable) else (bits,)))
    return tuple(sha1(each, usedforsecurity=False).digest() for each in given)


def _key_identifiers(subject: Subject) -> Iterator[bytes]:
    """subjectKeyIdentifier (RFC 5280, section 4.2.1.2)."""
    for der in subject.extension_values(_KEY_IDENTIFIER):
        found = read_strictly(lambda der=der: body(der) if der[0] == OCTET_STRING else b"")  # type: ignore[misc]
        if not isinstance(found, Unparsable) and found:
            yield found


def _weak_forms(subject: Subject) -> Iterator[str]:
    name, issuer = windows_name(subject.subject), windows_name(subject.issuer)
    if name is not None:
        if issuer is not None:
            yield f"X509:<I>{issuer}<S>{name}"
        yield f"X509:<S>{name}"
    yield from (f"X509:<RFC822>{address}" for address in subject.mails)


def _require_known_forms(mapfile: Mapfile, *, weak: bool) -> None:
    content = b"".join(itertools.islice(mapfile.blocks(), _LOOKED_THROUGH // BLOCK_BYTES))
    found = re.search(_BAD % (rb"(?:" + _STRONG + rb"|" + _WEAK + rb")" if weak else _STRONG), content, re.IGNORECASE)
    if found is None:
        return
    line, number = found[1].decode("utf-8", "replace").strip(), content.count(b"\n", 0, found.start(1))
    if re.match(rb"x509:" + _WEAK, found[1], re.IGNORECASE):
        why = "names a person, not a certificate, and whoever gets a certificate in that name would log in (see weak)"
    elif line[:4].upper() == "X509":
        why = "is no form of altSecurityIdentities that is known here"
    else:
        why = "is a serial number without its issuer: other authorities use the same numbers"
    raise ConfigError(f"{mapfile.path}:{number}: {line!r:.100} {why}")
