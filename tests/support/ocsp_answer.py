# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes OCSP responses (RFC 6960, section 4.2.1) field by field: the good one by default, and any crooked one.

The library's own builder makes one SingleResponse, sets producedAt to the present and has no RSA-PSS; here everything
can be asked for. For tests only: it signs whatever it is told to.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.support.der import body_of, children, der_integer, tlv
from tests.support.keys import HASHES, PrivateKey, sign
from tests.support.pki import CertificateAuthority, Issued, now

MALFORMED_REQUEST, INTERNAL_ERROR, TRY_LATER, SIG_REQUIRED, UNAUTHORIZED = 1, 2, 3, 5, 6
"""OCSPResponseStatus (RFC 6960, section 4.2.1)."""

HOUR = datetime.timedelta(hours=1)

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
NONCE = "1.3.6.1.5.5.7.48.1.2"
EXTENDED_REVOKE = "1.3.6.1.5.5.7.48.1.9"
UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1"
NO_CHECK = (x509.OCSPNoCheck(), False)

Extension = tuple[str, bool, bytes]
"""Dotted object identifier, critical, value as it lies in the OCTET STRING."""

_HASH_OIDS = {
    "md5": "1.2.840.113549.2.5",
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_RSA_OIDS = {
    "md5": "1.2.840.113549.1.1.4", "sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12", "sha512": "1.2.840.113549.1.1.13",
}
_ECDSA_OIDS = {
    "sha1": "1.2.840.10045.4.1", "sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}

Signer = CertificateAuthority | Issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """One SingleResponse. The defaults say "good", as of an hour ago and for another hour."""

    certificate: Issued | int
    """Or a serial number."""
    issuer: CertificateAuthority
    status: str = "good"
    """good, revoked or unknown."""
    reason: int | None = None
    """CRLReason; 6 is certificateHold."""
    revoked_at: datetime.datetime = field(default_factory=lambda: now() - 2 * HOUR)
    this_update: datetime.datetime = field(default_factory=lambda: now() - HOUR)
    next_update: datetime.datetime | None = field(default_factory=lambda: now() + HOUR)
    hash_name: str = "sha1"
    name_of: CertificateAuthority | None = None
    """Whose name is hashed, where it is not the issuer's."""
    key_of: CertificateAuthority | None = None
    """Whose key is hashed, where it is not the issuer's."""
    extensions: Sequence[Extension] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Everything that can be asked of a successful response."""

    singles: Sequence[Single]
    signer: Signer
    responder: Signer | None = None
    """Whom ResponderID names, where it is not the signer."""
    by_key: bool = False
    """ResponderID is a key hash and no name."""
    certificates: Sequence[Signer] | None = None
    """None: the signer's, where it is no authority."""
    produced_at: datetime.datetime = field(default_factory=lambda: now() - HOUR)
    nonce: bytes | None = None
    extensions: Sequence[Extension] = ()
    signature_hash: str = "sha256"
    pss: bool = False
    break_signature: bool = False


def ocsp_response(response: Response) -> bytes:
    """A successful response, DER."""
    data = _response_data(response)
    key = key_of(response.signer)
    signature = _signature(key, data, response)
    if response.break_signature:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    certificates = response.certificates
    if certificates is None:
        certificates = [] if isinstance(response.signer, CertificateAuthority) else [response.signer]
    carried = tlv(0xA0, tlv(0x30, b"".join(each.der for each in certificates))) if certificates else b""
    basic = tlv(0x30, data + _algorithm(key, response) + tlv(0x03, b"\0" + signature) + carried)
    return wrapped(basic)


def wrapped(basic: bytes) -> bytes:
    """An OCSPResponse around a BasicOCSPResponse."""
    inner = tlv(0x30, oid("1.3.6.1.5.5.7.48.1.1") + tlv(0x04, basic))
    return tlv(0x30, tlv(0x0A, b"\0") + tlv(0xA0, inner))


def ocsp_failure(status: int) -> bytes:
    """A response that refuses: only a status, unsigned."""
    return tlv(0x30, tlv(0x0A, bytes([status])))


def response_data_of(response: bytes) -> bytes:
    """The tbsResponseData of a successful response."""
    basic = children(children(children(response)[1])[0])[1]
    return children(children(basic)[0])[0]


def key_of(signer: Signer) -> PrivateKey:
    """The private key of an authority or a certificate."""
    return signer.private_key if isinstance(signer, CertificateAuthority) else signer.key


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *others = (int(each) for each in dotted.split("."))
    return tlv(0x06, b"".join(_base128(each) for each in (40 * first + second, *others)))


def _base128(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def _response_data(response: Response) -> bytes:
    extensions = list(response.extensions)
    if response.nonce is not None:
        extensions.append((NONCE, False, tlv(0x04, response.nonce)))
    return tlv(0x30, b"".join([
        _responder_id(response.responder or response.signer, response.by_key),
        _time(response.produced_at),
        tlv(0x30, b"".join(_single(each) for each in response.singles)),
        _extensions(extensions),
    ]))


def _responder_id(responder: Signer, by_key: bool) -> bytes:
    if by_key:
        return tlv(0xA2, tlv(0x04, hashlib.sha1(_public_bits(responder.certificate)).digest()))
    return tlv(0xA1, responder.certificate.subject.public_bytes())


def _single(single: Single) -> bytes:
    until = tlv(0xA0, _time(single.next_update)) if single.next_update is not None else b""
    return tlv(0x30, _cert_id(single) + _status(single) + _time(single.this_update) + until
               + _extensions(single.extensions))


def _cert_id(single: Single) -> bytes:
    name = (single.name_of or single.issuer).certificate.subject.public_bytes()
    key = _public_bits((single.key_of or single.issuer).certificate)
    serial = single.certificate if isinstance(single.certificate, int) else single.certificate.serial
    return tlv(0x30, b"".join([
        tlv(0x30, oid(_HASH_OIDS[single.hash_name]) + b"\x05\x00"),
        tlv(0x04, hashlib.new(single.hash_name, name).digest()),
        tlv(0x04, hashlib.new(single.hash_name, key).digest()),
        der_integer(serial),
    ]))


def _status(single: Single) -> bytes:
    match single.status:
        case "good":
            return tlv(0x80, b"")
        case "revoked":
            reason = tlv(0xA0, tlv(0x0A, bytes([single.reason]))) if single.reason is not None else b""
            return tlv(0xA1, _time(single.revoked_at) + reason)
        case _:
            return tlv(0x82, b"")


def _extensions(extensions: Sequence[Extension]) -> bytes:
    if not extensions:
        return b""
    return tlv(0xA1, tlv(0x30, b"".join(
        tlv(0x30, oid(dotted) + (b"\x01\x01\xff" if critical else b"") + tlv(0x04, value))
        for dotted, critical, value in extensions
    )))


def _time(moment: datetime.datetime) -> bytes:
    return tlv(0x18, moment.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%SZ").encode())


def _public_bits(certificate: x509.Certificate) -> bytes:
    der = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return body_of(children(der)[1])[1:]


def _algorithm(key: PrivateKey, response: Response) -> bytes:
    match key:
        case rsa.RSAPrivateKey() if response.pss:
            return _pss_algorithm(response.signature_hash)
        case rsa.RSAPrivateKey():
            return tlv(0x30, oid(_RSA_OIDS[response.signature_hash]) + b"\x05\x00")
        case ec.EllipticCurvePrivateKey():
            return tlv(0x30, oid(_ECDSA_OIDS[response.signature_hash]))
        case _:
            return tlv(0x30, oid("1.3.101.112" if "Ed25519" in type(key).__name__ else "1.3.101.113"))


def _pss_algorithm(name: str) -> bytes:
    if name == "sha1":  # the defaults of all three (RFC 4055, section 3.1), which DER leaves out
        return tlv(0x30, oid("1.2.840.113549.1.1.10") + tlv(0x30, b""))
    hash_algorithm = tlv(0x30, oid(_HASH_OIDS[name]) + b"\x05\x00")
    mask = tlv(0x30, oid("1.2.840.113549.1.1.8") + hash_algorithm)
    salt = der_integer(HASHES[name].digest_size)
    return tlv(0x30, oid("1.2.840.113549.1.1.10") + tlv(0x30, b"".join([
        tlv(0xA0, hash_algorithm), tlv(0xA1, mask), tlv(0xA2, salt),
    ])))


def _signature(key: PrivateKey, data: bytes, response: Response) -> bytes:
    if response.pss and isinstance(key, rsa.RSAPrivateKey):
        algorithm: hashes.HashAlgorithm = HASHES[response.signature_hash]
        return key.sign(data, padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)
    return sign(key, data, response.signature_hash)
