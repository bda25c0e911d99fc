# SPDX-License-Identifier: LGPL-2.1-or-later
"""SHA-2 by hashlib, which is imported where it is first needed. Pure.

It brings an OpenSSL of its own. The verifier has to give the card process its orders before it loads anything as large.
"""

from __future__ import annotations


def sha256(*pieces: bytes | memoryview) -> bytes:
    """Return the SHA-256 of the pieces in a row."""
    return digest("sha256", *pieces)


def digest(name: str, *pieces: bytes | memoryview) -> bytes:
    """Return the digest by sha256, sha384 or sha512; ValueError for a name that nobody knows."""
    import hashlib

    context = hashlib.new(name)
    for piece in pieces:
        context.update(piece)
    return context.digest()
