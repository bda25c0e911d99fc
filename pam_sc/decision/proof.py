# SPDX-License-Identifier: LGPL-2.1-or-later
"""The challenge that the card signs, the mechanisms it may use, and the check of the signature. Pure.

The verifier builds the challenge, names mechanism and hash, and verifies exactly that (docs/design.md, "Challenge").
Nothing of the challenge comes from the card.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils

from pam_sc.decision.evidence import CertificateFacts, KeyKind, Purpose

CHALLENGE_PREFIX = b"pam_sc-challenge-v1\0"
NONCE_BYTES = 32
SIGNATURE_MAX = 1024

# DigestInfo of SHA-256 up to the digest (RFC 8017, section 9.2, note 1).
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")

_CURVES: dict[KeyKind, tuple[str, hashes.HashAlgorithm, int]] = {
    KeyKind.P256: ("SHA256", hashes.SHA256(), 32),
    KeyKind.P384: ("SHA384", hashes.SHA384(), 48),
    KeyKind.P521: ("SHA512", hashes.SHA512(), 66),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeBinding:
    """What a challenge is bound to, so that a signature for one login is worth nothing in another."""

    purpose: Purpose
    nonce: bytes
    leaf_sha256: bytes
    machine_id: str
    boot_id: str
    service: str
    account: str


@dataclass(frozen=True, slots=True)
class SigningChoice:
    """One way to sign: the PKCS#11 mechanism (its CKM_ name) and the bytes that C_Sign gets for it."""

    mechanism: str
    data: bytes


def build_challenge(binding: ChallengeBinding) -> bytes:
    """Return the bytes to be signed: a fixed prefix, then each part with its length (u32, big-endian) before it.

    The prefix cannot begin a TLS CertificateVerify (64 spaces), an SSH userauth blob (a length), DER or JWS input.
    ValueError if the nonce is not 32 bytes or the leaf's hash is no SHA-256.
    """
    if len(binding.nonce) != NONCE_BYTES or len(binding.leaf_sha256) != 32:
        raise ValueError("challenge needs a nonce of 32 bytes and a SHA-256")
    parts = (
        binding.purpose.value.encode(),
        binding.nonce,
        binding.leaf_sha256,
        binding.machine_id.encode(),
        binding.boot_id.encode(),
        binding.service.encode(),
        binding.account.encode(),
    )
    return CHALLENGE_PREFIX + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def signing_choices(facts: CertificateFacts, offered: frozenset[str], challenge: bytes) -> tuple[SigningChoice, ...]:
    """Return the ways to sign with this key, best first; those the token offers, or all if it offers none we know.

    Never raw RSA (CKM_RSA_X_509): its input would be ours to pad, and any input a signature oracle.
    """
    if facts.key_kind is None:
        return ()
    every = _choices_of(facts.key_kind, challenge)
    known = tuple(choice for choice in every if choice.mechanism in offered)
    return known or every


def _choices_of(kind: KeyKind, challenge: bytes) -> tuple[SigningChoice, ...]:
    if kind is KeyKind.RSA:
        digest = _digest(challenge, hashes.SHA256())
        return (
            SigningChoice("CKM_SHA256_RSA_PKCS", challenge),
            SigningChoice("CKM_RSA_PKCS", _SHA256_DIGEST_INFO + digest),
            SigningChoice("CKM_SHA256_RSA_PKCS_PSS", challenge),
            SigningChoice("CKM_RSA_PKCS_PSS", digest),
        )
    if kind in _CURVES:
        name, algorithm, _size = _CURVES[kind]
        return (
            SigningChoice("CKM_ECDSA", _digest(challenge, algorithm)),
            SigningChoice(f"CKM_ECDSA_{name}", challenge),
        )
    return (SigningChoice("CKM_EDDSA", challenge),)


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
            _name, algorithm, size = _curve(key, mechanism)
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


def _curve(key: ec.EllipticCurvePublicKey, mechanism: str) -> tuple[str, hashes.HashAlgorithm, int]:
    for kind, entry in _CURVES.items():
        if key.curve.name == "secp" + kind.value.removeprefix("P-") + "r1":
            if mechanism not in ("CKM_ECDSA", f"CKM_ECDSA_{entry[0]}"):
                raise ValueError("the hash does not belong to this curve")
            return entry
    raise ValueError(f"curve {key.curve.name} is not supported")


def _require_length(signature: bytes, expected: int) -> None:
    if len(signature) != expected:
        raise ValueError(f"the signature has {len(signature)} bytes, expected {expected}")


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    context = hashes.Hash(algorithm)
    context.update(data)
    return context.finalize()


MECHANISMS = frozenset(choice.mechanism for kind in KeyKind for choice in _choices_of(kind, b""))
"""Every mechanism that a login may name."""
