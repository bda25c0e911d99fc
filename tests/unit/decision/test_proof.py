# SPDX-License-Identifier: LGPL-2.1-or-later
"""Challenge and signature: each mechanism accepts exactly the right bytes under exactly the right key."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from pam_sc.decision.challenge import CHALLENGE_PREFIX, MECHANISMS, ChallengeBinding, build_challenge
from pam_sc.decision.proof import verify_signature
from pam_sc.decision.request import Purpose

CHALLENGE = b"a challenge"
CURVES = {"P-256": (ec.SECP256R1(), hashes.SHA256(), 32), "P-384": (ec.SECP384R1(), hashes.SHA384(), 48),
          "P-521": (ec.SECP521R1(), hashes.SHA512(), 66)}


@cache
def key(kind: str) -> PrivateKeyTypes:
    if kind.startswith("RSA"):
        return rsa.generate_private_key(65537, 2048)
    if kind.startswith("P-"):
        return ec.generate_private_key(CURVES[kind][0])
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ed448.Ed448PrivateKey.generate()


def spki(kind: str) -> bytes:
    return key(kind).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign(kind: str, mechanism: str, over: bytes = CHALLENGE) -> bytes:
    private = key(kind)
    if isinstance(private, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return private.sign(over, pss if mechanism.endswith("PSS") else padding.PKCS1v15(), hashes.SHA256())
    if isinstance(private, ec.EllipticCurvePrivateKey):
        _curve, algorithm, size = CURVES[kind]
        r, s = utils.decode_dss_signature(private.sign(over, ec.ECDSA(algorithm)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    assert isinstance(private, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return private.sign(over)


PAIRS = [
    ("RSA", "CKM_RSA_PKCS"),
    ("RSA", "CKM_SHA256_RSA_PKCS"),
    ("RSA", "CKM_RSA_PKCS_PSS"),
    ("RSA", "CKM_SHA256_RSA_PKCS_PSS"),
    ("P-256", "CKM_ECDSA"),
    ("P-256", "CKM_ECDSA_SHA256"),
    ("P-384", "CKM_ECDSA"),
    ("P-384", "CKM_ECDSA_SHA384"),
    ("P-521", "CKM_ECDSA"),
    ("P-521", "CKM_ECDSA_SHA512"),
    ("Ed25519", "CKM_EDDSA"),
    ("Ed448", "CKM_EDDSA"),
]


@pytest.mark.parametrize(("kind", "mechanism"), PAIRS)
def test_a_right_signature_verifies(kind: str, mechanism: str) -> None:
    assert verify_signature(spki(kind), mechanism, CHALLENGE, sign(kind, mechanism)) is None


@pytest.mark.parametrize(("kind", "mechanism"), PAIRS)
def test_one_changed_bit_does_not_verify(kind: str, mechanism: str) -> None:
    signature = bytearray(sign(kind, mechanism))
    signature[-1] ^= 1
    assert verify_signature(spki(kind), mechanism, CHALLENGE, bytes(signature)) is not None


@pytest.mark.parametrize(("kind", "mechanism"), PAIRS)
def test_another_challenge_does_not_verify(kind: str, mechanism: str) -> None:
    assert verify_signature(spki(kind), mechanism, CHALLENGE + b"x", sign(kind, mechanism)) is not None


@pytest.mark.parametrize(("kind", "mechanism"), PAIRS)
@pytest.mark.parametrize("change", ["", "short", "long", "zero", "huge"])
def test_a_signature_of_another_length_or_of_zeros_does_not_verify(kind: str, mechanism: str, change: str) -> None:
    signature = sign(kind, mechanism)
    forged = {
        "": b"", "short": signature[:-1], "long": signature + b"\0", "zero": bytes(len(signature)), "huge": bytes(1025)
    }[change]
    assert verify_signature(spki(kind), mechanism, CHALLENGE, forged) is not None


def test_ecdsa_in_der_is_refused() -> None:
    private = key("P-256")
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    der = private.sign(CHALLENGE, ec.ECDSA(hashes.SHA256()))
    assert verify_signature(spki("P-256"), "CKM_ECDSA", CHALLENGE, der) is not None


def test_pkcs1_and_pss_are_not_taken_for_each_other() -> None:
    assert verify_signature(spki("RSA"), "CKM_RSA_PKCS", CHALLENGE, sign("RSA", "CKM_RSA_PKCS_PSS")) is not None
    assert verify_signature(spki("RSA"), "CKM_RSA_PKCS_PSS", CHALLENGE, sign("RSA", "CKM_RSA_PKCS")) is not None


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"])
@pytest.mark.parametrize("mechanism", sorted(MECHANISMS | {"CKM_RSA_X_509", "CKM_ML_DSA", ""}))
def test_a_mechanism_of_another_kind_of_key_is_refused(kind: str, mechanism: str) -> None:
    if (kind, mechanism) not in PAIRS:
        assert verify_signature(spki(kind), mechanism, CHALLENGE, bytes(64)) is not None


def test_no_key_at_all_is_refused() -> None:
    assert verify_signature(b"", "CKM_ECDSA", CHALLENGE, bytes(64)) is not None


def binding(**changes: object) -> ChallengeBinding:
    values: dict[str, object] = {
        "purpose": Purpose.LOGIN, "nonce": bytes(32), "leaf_sha256": bytes(32), "machine_id": "m", "boot_id": "b",
        "service": "sudo", "account": "alice",
    }
    return ChallengeBinding(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": Purpose.EXPLAIN}, {"nonce": b"\1" * 32}, {"leaf_sha256": b"\1" * 32}, {"machine_id": "n"},
        {"boot_id": "c"}, {"service": "su"}, {"account": "bob"},
        {"service": "sudoa", "account": "lice"},
    ],
    ids=lambda change: ",".join(change),
)
def test_every_part_of_the_binding_changes_the_challenge(change: dict[str, object]) -> None:
    assert build_challenge(binding(**change)) != build_challenge(binding())


def test_a_challenge_begins_like_no_other_protocol() -> None:
    challenge = build_challenge(binding())
    assert challenge.startswith(CHALLENGE_PREFIX)
    assert not challenge.startswith((b" " * 64, b"\0\0\0", b"\x30", b"ey"))


@pytest.mark.parametrize("nonce", [b"", bytes(31), bytes(33)])
def test_a_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    with pytest.raises(ValueError, match="nonce of 32 bytes"):
        build_challenge(binding(nonce=nonce))
