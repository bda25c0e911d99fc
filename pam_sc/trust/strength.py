# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether signatures and keys on a path are real and strong enough; OpenSSL's own security levels are not relied on."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from pam_sc.decision.algorithms import curve_problem, dsa_problem, rsa_problem
from pam_sc.decision.certificate import is_sound, signature_hash_of, weak_hash
from pam_sc.decision.policy import Policy

Signed = x509.Certificate | x509.CertificateRevocationList


def is_signed_by(signed: Signed, issuer: x509.Certificate, message: bytes | memoryview | None = None) -> bool:
    """Say whether the issuer's key made the signature. Names, rights and strength are not looked at.

    `message` is the signed part where the caller has it: the parser writes a large one out again.

    Not with `is_signature_valid` of a CRL, which knows neither DSA nor SHA-1.
    """
    try:
        _verify(signed, issuer, message if message is not None else _signed_part(signed))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _signed_part(signed: Signed) -> bytes:
    return signed.tbs_certificate_bytes if isinstance(signed, x509.Certificate) else signed.tbs_certlist_bytes


def _verify(signed: Signed, issuer: x509.Certificate, message: bytes | memoryview) -> None:
    key, algorithm, signature = issuer.public_key(), signed.signature_hash_algorithm, signed.signature
    match key:
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            key.verify(signature, message)
            return
        case _ if algorithm is None:
            raise InvalidSignature
        case rsa.RSAPublicKey() if is_sound(key):
            scheme = signed.signature_algorithm_parameters or padding.PKCS1v15()  # none is given for MD5
            key.verify(signature, message, scheme, algorithm)  # type: ignore[arg-type]
        case ec.EllipticCurvePublicKey():
            key.verify(signature, message, ec.ECDSA(algorithm))
        case dsa.DSAPublicKey():
            key.verify(signature, message, algorithm)
        case _:
            raise InvalidSignature


def weak_signature(certificate: Signed, policy: Policy) -> str | None:
    """Return what is wrong with the hash of its signature, None if nothing."""
    return weak_hash(signature_hash_of(certificate), policy)


def weak_key(certificate: x509.Certificate, policy: Policy) -> str | None:
    """Return what is wrong with the key of a certificate on a path, None if nothing."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "its key cannot be used"
    match key:
        case rsa.RSAPublicKey():
            unsound = None if is_sound(key) else "its RSA key has an unsound modulus or public exponent"
            return unsound or rsa_problem(key.key_size, policy.algorithms)
        case dsa.DSAPublicKey():
            return dsa_problem(key.key_size, policy.algorithms)
        case ec.EllipticCurvePublicKey():
            return curve_problem(key.curve.name, policy.algorithms)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
        case _:
            return f"got a key of kind {type(key).__name__}"
