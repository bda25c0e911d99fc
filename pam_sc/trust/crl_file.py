# SPDX-License-Identifier: LGPL-2.1-or-later
"""CRLs that are parsed as a whole: from the administrator's files, or just fetched (RFC 5280, section 5).

A file that cannot be parsed is no source and is reported. Whether a CRL counts is not asked here. Looking up a serial
is linear in the size of the CRL; large ones belong into an index (store.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from cryptography import x509

from pam_sc.decision.certificate import signature_hash_of
from pam_sc.decision.crl import CrlEntry, CrlHeader, CrlScope
from pam_sc.decision.crl_status import REMOVE_FROM_CRL
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.names import NameKey, general_name_keys, name_key, relative_name_key
from pam_sc.decision.parsing import name_text, read_strictly
from pam_sc.errors import StoreError
from pam_sc.record import field, record
from pam_sc.trust.anchors import PathCertificate
from pam_sc.trust.crl_der import signed_part
from pam_sc.trust.files import CRLS, FileContent, read_files
from pam_sc.trust.locations import delta_urls, reason_name, reason_names
from pam_sc.trust.sources import Crl
from pam_sc.trust.strength import is_signed_by

_UNDERSTOOD = (
    x509.CRLNumber,
    x509.DeltaCRLIndicator,
    x509.IssuingDistributionPoint,
    x509.AuthorityKeyIdentifier,
    x509.FreshestCRL,
    x509.IssuerAlternativeName,
    x509.AuthorityInformationAccess,
)
_UNDERSTOOD_OF_ENTRIES = (x509.CRLReason, x509.InvalidityDate)
INDEXED_BYTES = 1 << 20
"""From this size on a file is looked for in the store (`pam-sc refresh` indexes it there)."""
_ENTRIES_IN_TIME = 1_000
_CRITICAL = b"\x01\x01\xff\x04"
"""What makes an extension critical in DER: BOOLEAN TRUE, then the OCTET STRING. In random serials it is rare."""


class FileCrl:
    """One parsed CRL."""

    def __init__(self, der: bytes, source: str, in_time: Callable[[], None] = lambda: None) -> None:
        """Parse a CRL; raises what the parser raises, and what `in_time` raises, which is called now and then."""
        self.parsed = parsed = x509.load_der_x509_crl(der)
        self.header = _header(parsed, der, source, in_time)
        self._der = der
        self._by_issuer: dict[tuple[NameKey, int], CrlEntry] | None = None
        self._signed: dict[bytes, bool] = {}

    def is_signed_by(self, signer: PathCertificate) -> bool:
        """Say whether this certificate's key made the signature."""
        if signer.public_key not in self._signed:
            part = read_strictly(lambda: signed_part(self._der))
            self._signed[signer.public_key] = not isinstance(part, Unparsable) and is_signed_by(
                self.parsed, signer.parsed, part
            )
        return self._signed[signer.public_key]

    def entry(self, certificate_issuer: NameKey, serial: int) -> CrlEntry | None:
        """Return the entry about this serial of this issuer; of several one that revokes. StoreError if it is unknown."""
        found = read_strictly(lambda: self._about(certificate_issuer, serial))
        if isinstance(found, Unparsable):
            raise StoreError(f"its entries cannot be read: {found.why}")
        return found

    def _about(self, certificate_issuer: NameKey, serial: int) -> CrlEntry | None:
        if self.header.scope.indirect:
            return self._indirect().get((certificate_issuer, serial))
        if certificate_issuer != self.header.issuer:
            return None
        found = self.parsed.get_revoked_certificate_by_serial_number(serial)
        first = None if found is None else _entry(found)
        if first is None or first.reason != REMOVE_FROM_CRL:
            return first
        same = (_entry(each) for each in self.parsed if each.serial_number == serial)
        return next((each for each in same if each.reason != REMOVE_FROM_CRL), first)

    def _indirect(self) -> Mapping[tuple[NameKey, int], CrlEntry]:
        """All entries by issuer and serial: an entry without certificateIssuer has that of the one before it."""
        if self._by_issuer is None:
            found: dict[tuple[NameKey, int], CrlEntry] = {}
            for issuer, entry in issuers_of_entries(self.parsed):
                known = found.get((issuer, entry.serial_number))
                if known is None or known.reason == REMOVE_FROM_CRL:
                    found[issuer, entry.serial_number] = _entry(entry)
            self._by_issuer = found
        return self._by_issuer


@record(kw_only=True)
class FileCrls:
    """CRLs by their issuer's name, and which files are no source because they cannot be parsed, a sentence each."""

    by_issuer: Mapping[NameKey, tuple[Crl, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def of_issuer(self, issuer: NameKey) -> Sequence[Crl]:
        """Return every CRL that carries this issuer name."""
        return self.by_issuer.get(issuer, ())


def load_crls(
    path: str | None,
    trusted_uids: frozenset[int],
    index_of: Callable[[str, os.stat_result], Crl | None] = lambda _path, _status: None,
) -> FileCrls:
    """Read every CRL of a file or folder; TrustError if it is missing or unsafe. No path: no CRLs.

    `index_of` gives the index of a file that is large and has one, so that it need not be parsed.
    """
    found: dict[bytes, Crl] = {}
    indexed: list[Crl] = []
    problems: list[str] = []

    def is_indexed(name: str, status: os.stat_result) -> bool:
        index = index_of(name, status) if status.st_size >= INDEXED_BYTES else None
        indexed.extend([] if index is None else [index])
        return index is not None

    for content in read_files(path, CRLS, trusted_uids, is_indexed) if path is not None else ():
        crls = _of_file(content)
        if isinstance(crls, str):
            problems.append(crls)
        else:
            found |= {der: crl for der, crl in crls.items() if der not in found}
    return FileCrls(by_issuer=by_issuer([*found.values(), *indexed]), problems=tuple(problems))


def by_issuer(crls: Sequence[Crl]) -> dict[NameKey, tuple[Crl, ...]]:
    """Sort CRLs by their issuer's name."""
    found: dict[NameKey, tuple[Crl, ...]] = {}
    for crl in crls:
        found[crl.header.issuer] = (*found.get(crl.header.issuer, ()), crl)
    return found


def read_crl(der: bytes, source: str, in_time: Callable[[], None] = lambda: None) -> FileCrl | Unparsable:
    """Return the CRL; `source` names it for people. Never raises: one for which `in_time` raises is Unparsable too."""
    return read_strictly(lambda: FileCrl(der, source, in_time))


def issuers_of_entries(crl: x509.CertificateRevocationList) -> Iterator[tuple[NameKey, x509.RevokedCertificate]]:
    """Yield each entry with the issuer of the certificate that it is about (RFC 5280, section 5.3.3)."""
    issuer = name_key(crl.issuer)
    for entry in crl:
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CertificateIssuer):
                names = extension.value.get_values_for_type(x509.DirectoryName)
                if len(names) != 1:
                    raise ValueError("an entry names not exactly one certificate issuer")
                issuer = name_key(names[0])
        yield issuer, entry


def _of_file(content: FileContent) -> dict[bytes, Crl] | str:
    """Return the CRLs of one file, or why it is no source."""
    if content.problem is not None:
        return content.problem
    found: dict[bytes, Crl] = {}
    for der in content.values:
        crl = read_crl(der, content.path)
        if isinstance(crl, Unparsable):
            return f"{content.path!r} holds a CRL that cannot be parsed: {crl.why}"
        found[der] = crl
    return found


def _header(
    crl: x509.CertificateRevocationList, der: bytes, source: str, in_time: Callable[[], None]
) -> CrlHeader:
    values = {extension.oid: extension.value for extension in crl.extensions}
    number, base = values.get(x509.CRLNumber.oid), values.get(x509.DeltaCRLIndicator.oid)
    authority = values.get(x509.AuthorityKeyIdentifier.oid)
    scope = _scope(values.get(x509.IssuingDistributionPoint.oid), crl.issuer)
    return CrlHeader(
        source=source,
        issuer=name_key(crl.issuer),
        issuer_text=name_text(crl.issuer),
        authority_key_identifier=authority.key_identifier if isinstance(authority, x509.AuthorityKeyIdentifier) else None,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        number=number.crl_number if isinstance(number, x509.CRLNumber) else None,
        base_number=base.crl_number if isinstance(base, x509.DeltaCRLIndicator) else None,
        scope=scope,
        signature_hash=signature_hash_of(crl),
        unusable=_unusable(crl, der, in_time, indirect=scope.indirect),
        delta_urls=delta_urls(crl),
    )


def _scope(value: x509.ExtensionType | None, issuer: x509.Name) -> CrlScope:
    if not isinstance(value, x509.IssuingDistributionPoint):
        return CrlScope()
    names = general_name_keys(value.full_name) if value.full_name else None
    if value.relative_name is not None:
        names = frozenset({relative_name_key(issuer, value.relative_name)})
    return CrlScope(
        names=names,
        only_user=value.only_contains_user_certs,
        only_ca=value.only_contains_ca_certs,
        only_attribute=value.only_contains_attribute_certs,
        indirect=value.indirect_crl,
        reasons=reason_names(value.only_some_reasons),
    )


def _unusable(
    crl: x509.CertificateRevocationList, der: bytes, in_time: Callable[[], None], *, indirect: bool
) -> str | None:
    """Return which critical extension nobody here understands (RFC 5280, sections 5.2 and 5.3), None if none is there.

    The entries are only walked where the bytes show more critical extensions than the CRL itself has.
    """
    critical = [extension for extension in crl.extensions if extension.critical]
    for extension in critical:
        if not isinstance(extension.value, _UNDERSTOOD):
            return f"it has an unknown critical extension {extension.oid.dotted_string}"
    if der.count(_CRITICAL) <= len(critical):
        return None
    understood = (*_UNDERSTOOD_OF_ENTRIES, x509.CertificateIssuer) if indirect else _UNDERSTOOD_OF_ENTRIES
    for index, entry in enumerate(crl):
        if index % _ENTRIES_IN_TIME == 0:
            in_time()
        for extension in entry.extensions:
            if extension.critical and not isinstance(extension.value, understood):
                return f"an entry has an unknown critical extension {extension.oid.dotted_string}"
    return None


def _entry(revoked: x509.RevokedCertificate) -> CrlEntry:
    reason = read_strictly(lambda: _reason(revoked))
    return CrlEntry(reason=None if isinstance(reason, Unparsable) else reason, revoked_at=revoked.revocation_date_utc)


def _reason(revoked: x509.RevokedCertificate) -> str | None:
    for extension in revoked.extensions:
        if isinstance(extension.value, x509.CRLReason):
            return reason_name(extension.value.reason)
    return None
