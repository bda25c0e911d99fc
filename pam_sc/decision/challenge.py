# SPDX-License-Identifier: LGPL-2.1-or-later
"""The challenge that the card signs, and the mechanisms it may use. Pure, and without any cryptographic library.

The verifier builds the challenge and names mechanism and input (docs/design.md, "Challenge"). Nothing of the challenge
comes from the card. proof.py checks what comes back.
"""

from __future__ import annotations

from pam_sc.decision.digest import digest as digest_by
from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import CertificateFacts, KeyKind
from pam_sc.decision.request import Purpose
from pam_sc.record import record

CHALLENGE_PREFIX = b"pam_sc-challenge-v1\0"
NONCE_BYTES = 32

# DigestInfo of SHA-256 up to the digest (RFC 8017, section 9.2, note 1).
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")

CURVE_HASHES: dict[KeyKind, str] = {KeyKind.P256: "sha256", KeyKind.P384: "sha384", KeyKind.P521: "sha512"}
"""ECDSA hashes with the function of the curve's size (FIPS 186-5, section 6.1)."""


@record(kw_only=True)
class ChallengeBinding:
    """What a challenge is bound to, so that a signature for one login is worth nothing in another."""

    purpose: Purpose
    nonce: bytes
    leaf_sha256: bytes
    machine_id: str
    boot_id: str
    service: str
    account: str


@record
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
        digest = sha256(challenge)
        return (
            SigningChoice("CKM_SHA256_RSA_PKCS", challenge),
            SigningChoice("CKM_RSA_PKCS", _SHA256_DIGEST_INFO + digest),
            SigningChoice("CKM_SHA256_RSA_PKCS_PSS", challenge),
            SigningChoice("CKM_RSA_PKCS_PSS", digest),
        )
    if kind in CURVE_HASHES:
        name = CURVE_HASHES[kind]
        return (
            SigningChoice("CKM_ECDSA", digest_by(name, challenge)),
            SigningChoice(f"CKM_ECDSA_{name.upper()}", challenge),
        )
    return (SigningChoice("CKM_EDDSA", challenge),)


MECHANISMS = frozenset({
    "CKM_SHA256_RSA_PKCS", "CKM_RSA_PKCS", "CKM_SHA256_RSA_PKCS_PSS", "CKM_RSA_PKCS_PSS",
    "CKM_ECDSA", "CKM_ECDSA_SHA256", "CKM_ECDSA_SHA384", "CKM_ECDSA_SHA512", "CKM_EDDSA",
})  # fmt: skip
"""Every mechanism that a login may name."""
