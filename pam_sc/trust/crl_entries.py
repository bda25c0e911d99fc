# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walks the entries of a large CRL and packs them into the buckets of its index, a million in a few seconds.

The CRL was parsed as a whole before, strictly, so its DER is well-formed here; this walk reads of each entry only what
an index keeps, and hands every entry with extensions beyond the common ones to the same parser again. Whatever is not
as expected is an error for the whole CRL: no entry is ever left out. No signature is looked at. Not for a login.
"""

from __future__ import annotations

import re
from binascii import crc32
from typing import Final

from cryptography import x509

from pam_sc.decision.der import INTEGER, SEQUENCE, TIMES, long_size
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.names import NameKey, name_key
from pam_sc.decision.parsing import read_strictly
from pam_sc.errors import StoreError
from pam_sc.trust.crl_der import entries_span
from pam_sc.trust.index_format import ENTRIES_PER_BUCKET, NO_REASON, OTHER_ISSUER, OWN_ISSUER, issuer_digest

_KNOWN_ENDINGS_MAX: Final = 10_000

_COMMON_EXTENSIONS = re.compile(
    rb"\x30[\x0c\x26]"
    rb"\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01([\x00-\x06\x08-\x0a])"  # reasonCode
    rb"(?:\x30\x18\x06\x03\x55\x1d\x18\x04\x11\x18\x0f[0-9]{14}Z)?",  # invalidityDate
    re.DOTALL,
)
_NUMBERS: Final = {
    x509.ReasonFlags.unspecified: 0, x509.ReasonFlags.key_compromise: 1, x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3, x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5, x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8, x509.ReasonFlags.privilege_withdrawn: 9, x509.ReasonFlags.aa_compromise: 10,
}  # fmt: skip


def pack_entries(der: bytes, count: int, issuer: NameKey, *, indirect: bool) -> list[bytearray]:
    """Return the buckets of a CRL that was parsed before and has `count` entries; StoreError if it is not as expected.

    `issuer` is the CRL's; in an `indirect` one entries may be about other issuers (RFC 5280, section 5.3.3).
    """
    buckets = [bytearray() for _ in range(count // ENTRIES_PER_BUCKET + 1)]
    endings = _Endings(issuer, indirect=indirect)
    try:
        start, end = entries_span(der)
        found = _pack(der, start, end, buckets, endings)
    except (IndexError, ValueError) as error:
        raise StoreError(f"cannot index a CRL: {error}") from error
    if found != count:
        raise StoreError(f"cannot index a CRL: found {found} entries, expected {count}")
    return buckets


def _pack(der: bytes, start: int, end: int, buckets: list[bytearray], endings: _Endings) -> int:
    """Pack the entries between two offsets; the one loop that runs a million times."""
    number, at, found = len(buckets), start, 0
    while at < end:
        size, body = der[at + 1], at + 2
        if size >= 0x80:
            body, size = long_size(der, at + 1)
        after = body + size
        serial_end = body + 2 + der[body + 1]
        date_end = serial_end + 2 + der[serial_end + 1]
        if der[at] != SEQUENCE or der[body] != INTEGER or der[serial_end] not in TIMES or date_end > after:
            raise ValueError(f"entry {found} is malformed")
        if after > end or der[body + 1] > 0x7F:
            raise ValueError(f"entry {found} is too long")
        bucket = buckets[crc32(der[body + 2 : serial_end]) % number]
        bucket += der[body + 1 : date_end]
        bucket += endings.of(der[date_end:after])
        at = after
        found += 1
    return found


class _Endings:
    """What follows serial and date in a bucket, for each wording of the extensions; remembers the current issuer."""

    def __init__(self, issuer: NameKey, *, indirect: bool) -> None:
        self.issuer = issuer
        self.indirect = indirect
        self.current = OWN_ISSUER
        self.known: dict[bytes, bytes] = {b"": bytes([NO_REASON])}

    def of(self, extensions: bytes) -> bytes:
        """Return reason and issuer of an entry with these extensions (DER, or nothing)."""
        reason = self.known.get(extensions)
        if reason is None:
            reason = self._read(extensions)
        return reason + self.current

    def _read(self, extensions: bytes) -> bytes:
        common = _COMMON_EXTENSIONS.fullmatch(extensions)
        if common and len(extensions) == extensions[1] + 2:
            reason, names_issuer = common[1], False
        else:
            reason, names_issuer = self._parse(extensions)
        if not names_issuer and len(self.known) < _KNOWN_ENDINGS_MAX:
            self.known[extensions] = reason
        return reason

    def _parse(self, extensions: bytes) -> tuple[bytes, bool]:
        """Have the parser read extensions that are not among the common; also, whether they name an issuer."""
        found = read_strictly(lambda: list(_one_entry_crl(extensions)[0].extensions))
        if isinstance(found, Unparsable):
            return self._listed_all_the_same(found)
        reason, names_issuer = NO_REASON, False
        for extension in found:
            if isinstance(extension.value, x509.CRLReason):
                reason = _NUMBERS[extension.value.reason]
            if isinstance(extension.value, x509.CertificateIssuer) and self.indirect:
                names_issuer = True
                self._turn_to(extension.value)
        return bytes([reason]), names_issuer

    def _listed_all_the_same(self, found: Unparsable) -> tuple[bytes, bool]:
        """An entry with extensions that cannot be read is on the list, unless its issuer is what cannot be read."""
        if self.indirect:
            raise ValueError(f"the extensions of an entry cannot be read: {found.why}")
        return bytes([NO_REASON]), False

    def _turn_to(self, named: x509.CertificateIssuer) -> None:
        names = named.get_values_for_type(x509.DirectoryName)
        if len(names) != 1:
            raise ValueError("an entry names not exactly one certificate issuer")
        issuer = name_key(names[0])
        self.current = OWN_ISSUER if issuer == self.issuer else OTHER_ISSUER + issuer_digest(issuer)


def _one_entry_crl(extensions: bytes) -> x509.CertificateRevocationList:
    """Return an unsigned CRL whose only entry has these extensions: how a single entry gets to the parser."""
    moment = b"\x17\x0d700101000000Z"
    algorithm = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
    entry = _wrap(b"\x02\x01\x01" + moment + extensions)
    tbs = _wrap(b"\x02\x01\x01" + algorithm + b"\x30\x00" + moment + _wrap(entry))
    return x509.load_der_x509_crl(_wrap(tbs + algorithm + b"\x03\x02\x00\x00"))


def _wrap(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([SEQUENCE, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([SEQUENCE, 0x80 | len(octets)]) + octets + content
