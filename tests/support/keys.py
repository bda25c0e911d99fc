# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys for tests, made once a process where they may be shared, and raw signatures with any of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_MAKERS: dict[str, Callable[[], PrivateKey]] = {
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    "p192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}

HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@functools.cache
def shared_key(kind: str, nth: int = 0) -> PrivateKey:
    """The `nth` key of a kind, the same one each time in this process."""
    return _MAKERS[kind]()


def fresh_key(kind: str) -> PrivateKey:
    """A new key that nothing else has."""
    return _MAKERS[kind]()


def key_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def sign(key: PrivateKey, message: bytes, hash_name: str) -> bytes:
    """A signature as a certificate holds it; RSA with PKCS#1 v1.5."""
    match key:
        case rsa.RSAPrivateKey():
            return key.sign(message, padding.PKCS1v15(), HASHES[hash_name])
        case ec.EllipticCurvePrivateKey():
            return key.sign(message, ec.ECDSA(HASHES[hash_name]))
        case _:
            return key.sign(message)
