# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts raw DER into a good certificate and signs it again: what no library agrees to build. For tests only."""

from __future__ import annotations

from tests.support.der import children, der_integer, tlv
from tests.support.keys import PrivateKey, sign

SIGNATURE_OIDS = {
    "md5": bytes.fromhex("06092a864886f70d010104"),
    "sha1": bytes.fromhex("06092a864886f70d010105"),
    "sha256": bytes.fromhex("06092a864886f70d01010b"),
}
"""md5WithRSAEncryption, sha1WithRSAEncryption, sha256WithRSAEncryption (RFC 8017, appendix A.2.4)."""


def rewrite(  # noqa: PLR0913 - every field may be replaced
    der: bytes,
    signer: PrivateKey,
    *,
    subject: bytes | None = None,
    serial: int | None = None,
    public_key: bytes | None = None,
    validity: bytes | None = None,
    version: int | bytes | None = None,
    signature_hash: str | None = None,
) -> bytes:
    """Put other raw DER into a certificate and sign it again. `public_key` is a whole SubjectPublicKeyInfo.

    The version may be raw DER: empty means version 1.
    """
    tbs, algorithm, _signature = children(der)
    parts = children(tbs)
    if signature_hash is not None:
        algorithm = tlv(0x30, SIGNATURE_OIDS[signature_hash] + b"\x05\x00")
    changed = {
        0: tlv(0xA0, der_integer(version)) if isinstance(version, int) else version,
        1: None if serial is None else der_integer(serial),
        2: algorithm,
        4: validity,
        5: subject,
        6: public_key,
    }
    for index, replacement in changed.items():
        if replacement is not None:
            parts[index] = replacement
    tbs = tlv(0x30, b"".join(parts))
    return tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + sign(signer, tbs, signature_hash or "sha256")))


def rewrite_crl(der: bytes, signer: PrivateKey, signature_hash: str) -> bytes:
    """Sign a CRL of an RSA authority again with another hash."""
    tbs, _algorithm, _signature = children(der)
    parts = children(tbs)
    parts[1] = tlv(0x30, SIGNATURE_OIDS[signature_hash] + b"\x05\x00")
    tbs = tlv(0x30, b"".join(parts))
    return tlv(0x30, tbs + parts[1] + tlv(0x03, b"\0" + sign(signer, tbs, signature_hash)))
