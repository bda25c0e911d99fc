# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which keys, curves and hashes count on a path: one table for each of the administrator's three choices. Pure.

It holds for every certificate of a path and for the signatures of CRLs and OCSP answers; only the signature on a trust
anchor is not judged, its key is. What is in no row is refused: an algorithm that nobody here knows is never strong.
What kind of key a login itself may be made with is not decided here (KeyKind in evidence.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from pam_sc.decision.policy import Algorithms
from pam_sc.record import record


@record(kw_only=True)
class AlgorithmTable:
    """One choice. None: whatever can be verified at all. Hashes and curves are named as `cryptography` names them."""

    hashes: frozenset[str] | None
    """In signatures. Ed25519 and Ed448 have no hash of their own and always count."""
    rsa_bits_min: int
    dsa_bits_min: int | None
    """None: no DSA."""
    curves: frozenset[str] | None
    expected_hash: str
    """For people."""


_SHA2_AND_3 = frozenset({
    "sha224", "sha256", "sha384", "sha512", "sha512-224", "sha512-256", "sha3-224", "sha3-256", "sha3-384", "sha3-512",
})  # fmt: skip
_CURVES = frozenset({
    "secp256r1", "secp384r1", "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1",
})  # fmt: skip

TABLE: Mapping[Algorithms, AlgorithmTable] = {
    Algorithms.CURRENT: AlgorithmTable(
        hashes=_SHA2_AND_3, rsa_bits_min=2048, dsa_bits_min=None, curves=_CURVES, expected_hash="SHA-2 or SHA-3"
    ),
    Algorithms.LEGACY: AlgorithmTable(
        hashes=_SHA2_AND_3 | {"sha1"},
        rsa_bits_min=1024,
        dsa_bits_min=1024,
        curves=_CURVES | {"secp192r1", "secp224r1", "secp256k1"},
        expected_hash="SHA-1, SHA-2 or SHA-3",
    ),
    Algorithms.ANY: AlgorithmTable(
        hashes=None, rsa_bits_min=0, dsa_bits_min=0, curves=None, expected_hash="one that is known"
    ),
}
"""CURRENT: 112 bits of strength and more (NIST SP 800-57, part 1, table 2), and nothing that is rare. LEGACY: for a PKI
that was never renewed; MD5 does not count even there, since certificates have been forged with it. ANY: for test
vectors, never for a login."""


def hash_problem(name: str | None, algorithms: Algorithms) -> str | None:
    """Return what is wrong with a signature's hash as CertificateFacts.signature_hash names it, None if nothing."""
    table = TABLE[algorithms]
    if name is None or (not name.startswith("oid ") if table.hashes is None else name in table.hashes):
        return None
    return f"got a signature with {name}, expected {table.expected_hash}"


def rsa_problem(bits: int, algorithms: Algorithms) -> str | None:
    """Return what is wrong with the size of an RSA modulus, None if nothing."""
    least = TABLE[algorithms].rsa_bits_min
    return f"got RSA {bits}, expected at least {least} bits" if bits < least else None


def dsa_problem(bits: int, algorithms: Algorithms) -> str | None:
    """Return what is wrong with a DSA key of this size, None if nothing."""
    least = TABLE[algorithms].dsa_bits_min
    if least is None:
        return f"got DSA {bits}, expected RSA, EC or EdDSA"
    return f"got DSA {bits}, expected at least {least} bits" if bits < least else None


def curve_problem(name: str, algorithms: Algorithms) -> str | None:
    """Return what is wrong with an elliptic curve, None if nothing."""
    curves = TABLE[algorithms].curves
    if curves is None or name in curves:
        return None
    return f"got a key on the curve {name}, expected one of {', '.join(sorted(curves))}"
