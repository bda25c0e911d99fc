# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads OCSP responses: what is in them about one certificate, and what is needed to check who signed them.

Reading believes nothing and judges nothing but what RFC 6960 forbids to use at all: unknown critical extensions. A
response that cannot be parsed is `Unparsable`, never an exception.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import SignatureAlgorithmOID

from pam_sc.decision.certificate import signature_hash_of
from pam_sc.decision.evidence import RevocationStatus, Unparsable
from pam_sc.decision.names import CanonicalName, canonical_name
from pam_sc.decision.ocsp import SUCCESSFUL, SingleFacts
from pam_sc.decision.parsing import read_strictly
from pam_sc.record import field, record
from pam_sc.trust.anchors import PathCertificate
from pam_sc.trust.ocsp_der import critical_problem, pss_hash_name, raw_singles

if TYPE_CHECKING:
    from cryptography.x509 import ocsp

RESPONSE_BYTES_MAX = 1 << 20
CERTIFICATES_MAX = 8
"""Certificates of a response that are looked at: a real one has at most its signer and the way up from there."""

HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
"""Those that a CertID may be made with. SHA-1 only names here, it proves nothing."""

_STATUSES = {
    "SUCCESSFUL": SUCCESSFUL,
    "MALFORMED_REQUEST": "malformedRequest",
    "INTERNAL_ERROR": "internalError",
    "TRY_LATER": "tryLater",
    "SIG_REQUIRED": "sigRequired",
    "UNAUTHORIZED": "unauthorized",
}

_NONCE = "1.3.6.1.5.5.7.48.1.2"
_EXTENDED_REVOKE = "1.3.6.1.5.5.7.48.1.9"
_KNOWN_EXTENSIONS = frozenset({_NONCE, _EXTENDED_REVOKE})
"""Response extensions that change nothing here when they are critical (RFC 6960, sections 4.4.1 and 4.4.8)."""


@record(kw_only=True)
class CertId:
    """What a response says which certificate it is about (RFC 6960, section 4.1.1)."""

    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


@record(kw_only=True)
class ReadResponse:
    """One response, read and not judged. All but `status` is only set where that is successful."""

    status: str
    """OCSPResponseStatus by its name in RFC 6960."""
    singles: tuple[SingleFacts, ...] = ()
    """Those about the certificate asked about."""
    produced_at: datetime.datetime | None = None
    nonce: bytes | None = None
    unusable: str | None = None
    signed: bytes = field(default_factory=bytes, repr=False)
    """tbsResponseData."""
    signature: bytes = field(default_factory=bytes, repr=False)
    signature_hash: str | None = None
    """As in CertificateFacts."""
    signature_oid: str = ""
    hash_algorithm: hashes.HashAlgorithm | None = field(default_factory=lambda: None, compare=False, repr=False)
    responder_name: CanonicalName | None = None
    responder_key_hash: bytes | None = None
    """SHA-1 of the responder's key; one of the two ways of ResponderID."""
    certificates: tuple[bytes, ...] = field(default_factory=tuple, repr=False)


def read_response(der: bytes, certificate: PathCertificate, issuer: PathCertificate) -> ReadResponse | Unparsable:
    """Return what the response holds about this certificate of this issuer. Never raises, whatever the bytes are."""
    if len(der) > RESPONSE_BYTES_MAX:
        return Unparsable(f"it has {len(der)} bytes, expected at most {RESPONSE_BYTES_MAX}")
    return read_strictly(lambda: _read(der, certificate, issuer))


def certificate_id(certificate: PathCertificate, issuer: PathCertificate, hash_name: str) -> CertId:
    """Return the CertID of a certificate. Raises what the library raises for keys that it cannot use."""
    from cryptography.x509 import ocsp

    request = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer.parsed, HASHES[hash_name]()).build()
    return CertId(
        hash_name=hash_name,
        issuer_name_hash=request.issuer_name_hash,
        issuer_key_hash=request.issuer_key_hash,
        serial=certificate.parsed.serial_number,
    )


def _read(der: bytes, certificate: PathCertificate, issuer: PathCertificate) -> ReadResponse:
    from cryptography.x509 import ocsp

    response = ocsp.load_der_ocsp_response(der)
    status = _STATUSES[response.response_status.name]
    if status != SUCCESSFUL:
        return ReadResponse(status=status)
    name, algorithm = response.responder_name, _hash_algorithm(response, der)
    return ReadResponse(
        status=status,
        singles=tuple(_singles(response, certificate, issuer)),
        produced_at=response.produced_at_utc,
        nonce=_nonce(response),
        unusable=_unknown_critical(response),
        signed=response.tbs_response_bytes,
        signature=response.signature,
        signature_hash=algorithm.name if algorithm is not None else signature_hash_of(response),  # type: ignore[arg-type]
        signature_oid=response.signature_algorithm_oid.dotted_string,
        hash_algorithm=algorithm,
        responder_name=None if name is None else canonical_name(name),
        responder_key_hash=response.responder_key_hash,
        certificates=tuple(
            each.public_bytes(serialization.Encoding.DER) for each in response.certificates[:CERTIFICATES_MAX]
        ),
    )


def _hash_algorithm(response: ocsp.OCSPResponse, der: bytes) -> hashes.HashAlgorithm | None:
    """Return the hash of its signature; None where the algorithm has none, or one that nobody knows."""
    if response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
        name = pss_hash_name(der)
        return HASHES[name]() if name in HASHES else None
    try:
        return response.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _nonce(response: ocsp.OCSPResponse) -> bytes | None:
    try:
        return response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None


def _unknown_critical(response: ocsp.OCSPResponse) -> str | None:
    for extension in response.extensions:
        if extension.critical and extension.oid.dotted_string not in _KNOWN_EXTENSIONS:
            return f"it has a critical extension that nobody knows here ({extension.oid.dotted_string})"
    return None


def _singles(
    response: ocsp.OCSPResponse, certificate: PathCertificate, issuer: PathCertificate
) -> Iterator[SingleFacts]:
    serial, wanted = certificate.parsed.serial_number, dict[str, CertId]()
    raw = raw_singles(response.tbs_response_bytes)
    for single, whole in zip(response.responses, raw, strict=True):
        found = _cert_id(single) if single.serial_number == serial else None
        if found is None:
            continue
        if found.hash_name not in wanted:
            wanted[found.hash_name] = certificate_id(certificate, issuer, found.hash_name)
        if found == wanted[found.hash_name]:
            yield _facts(single, whole)


def _cert_id(single: ocsp.OCSPSingleResponse) -> CertId | None:
    """Return which certificate it is about, None where the hash is none of ours: then it is not about ours."""
    try:
        name = single.hash_algorithm.name
    except UnsupportedAlgorithm:
        return None
    if name not in HASHES:
        return None
    return CertId(
        hash_name=name,
        issuer_name_hash=single.issuer_name_hash,
        issuer_key_hash=single.issuer_key_hash,
        serial=single.serial_number,
    )


def _facts(single: ocsp.OCSPSingleResponse, whole: bytes) -> SingleFacts:
    reason = read_strictly(lambda: single.revocation_reason)
    return SingleFacts(
        status=RevocationStatus(single.certificate_status.name.lower()),
        this_update=single.this_update_utc,
        next_update=single.next_update_utc,
        revoked_at=single.revocation_time_utc,
        reason=reason.value if isinstance(reason, x509.ReasonFlags) else None,
        unusable=critical_problem(whole),
    )
