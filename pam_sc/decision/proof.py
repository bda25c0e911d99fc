# SPDX-License-Identifier: LGPL-2.1-or-later
"""The check of the card's signature: exactly the mechanism that was named, over exactly the verifier's challenge. Pure."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils

from pam_sc.decision.challenge import MECHANISMS

SIGNATURE_MAX = 1024

_CURVES: dict[str, tuple[hashes.HashAlgorithm, int]] = {
    "secp256r1": (hashes.SHA256(), 32),
    "secp384r1": (hashes.SHA384(), 48),
    "secp521r1": (hashes.SHA512(), 66),
}
"""Curve -> its hash, and the bytes of r and of s."""


def verify_signature(public_key_der: bytes, mechanism: str, challenge: bytes, signature: bytes) -> str | None:
    """Return None if `signature` is `mechanism`'s signature of `challenge` under this key, else why it is not.

    The key is the SubjectPublicKeyInfo of the mapped certificate. Lengths are exact: RSA the modulus, ECDSA
    (raw r || s, PKCS#11 v2.40, section 2.3.1) twice the order, Ed25519 64, Ed448 114 bytes.
    """
    if mechanism not in MECHANISMS or len(signature) > SIGNATURE_MAX:
        return f"mechanism {mechanism!r} or a signature of {len(signature)} bytes is not allowed"
    try:
        key = serialization.load_der_public_key(public_key_der)
        _verify(key, mechanism, challenge, signature)
    except InvalidSignature:
        return f"{mechanism}: the signature does not belong to this key and this challenge"
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"{mechanism}: {error}"
    return None


def _verify(key: object, mechanism: str, challenge: bytes, signature: bytes) -> None:
    match key:
        case rsa.RSAPublicKey() if mechanism.endswith(("RSA_PKCS", "RSA_PKCS_PSS")):
            _require_length(signature, (key.key_size + 7) // 8)
            key.verify(signature, challenge, _rsa_padding(mechanism), hashes.SHA256())
        case ec.EllipticCurvePublicKey() if mechanism.startswith("CKM_ECDSA"):
            algorithm, size = _curve(key, mechanism)
            _require_length(signature, 2 * size)
            r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            key.verify(utils.encode_dss_signature(r, s), challenge, ec.ECDSA(algorithm))
        case ed25519.Ed25519PublicKey() if mechanism == "CKM_EDDSA":
            _require_length(signature, 64)
            key.verify(signature, challenge)
        case ed448.Ed448PublicKey() if mechanism == "CKM_EDDSA":
            _require_length(signature, 114)
            key.verify(signature, challenge)
        case _:
            raise ValueError("the mechanism does not belong to this kind of key")


def _rsa_padding(mechanism: str) -> padding.AsymmetricPadding:
    if mechanism.endswith("_PSS"):
        return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
    return padding.PKCS1v15()


def _curve(key: ec.EllipticCurvePublicKey, mechanism: str) -> tuple[hashes.HashAlgorithm, int]:
    found = _CURVES.get(key.curve.name)
    if found is None:
        raise ValueError(f"curve {key.curve.name} is not supported")
    if mechanism not in ("CKM_ECDSA", f"CKM_ECDSA_{found[0].name.upper()}"):
        raise ValueError("the hash does not belong to this curve")
    return found


def _require_length(signature: bytes, expected: int) -> None:
    if len(signature) != expected:
        raise ValueError(f"the signature has {len(signature)} bytes, expected {expected}")
