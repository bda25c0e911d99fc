# SPDX-License-Identifier: LGPL-2.1-or-later
"""SHA-2 through the library that a login has loaded anyway. Pure.

The standard library's hashlib brings a second OpenSSL into the process, which costs a login 4 ms
(`make bench BENCH=imports` shows it).
"""

from __future__ import annotations


def sha256(*pieces: bytes | memoryview) -> bytes:
    """Return the SHA-256 of the pieces in a row."""
    return digest("sha256", *pieces)


def digest(name: str, *pieces: bytes | memoryview) -> bytes:
    """Return the digest by sha256, sha384 or sha512; KeyError for another name."""
    from cryptography.hazmat.primitives import hashes  # where it is needed: not in the start of a process

    algorithms: dict[str, hashes.HashAlgorithm] = {
        "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
    }  # fmt: skip
    context = hashes.Hash(algorithms[name])
    for piece in pieces:
        context.update(piece)
    return context.finalize()
