# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares distinguished names as RFC 5280, section 7.1 wants it: without regard to case, spacing and string type.

Only used to find which certificate or CRL might belong to which; that it really does is shown by a signature and by
OpenSSL's own comparison, never by this.
"""

from __future__ import annotations

from cryptography import x509

CanonicalName = tuple[frozenset[tuple[str, str | bytes]], ...]


def canonical_name(name: x509.Name) -> CanonicalName:
    """Return a value that is equal for equal names, usable as a key."""
    return tuple(frozenset(_canonical(attribute) for attribute in part) for part in name.rdns)


def _canonical(attribute: x509.NameAttribute[str | bytes]) -> tuple[str, str | bytes]:
    value = attribute.value
    return attribute.oid.dotted_string, " ".join(value.casefold().split()) if isinstance(value, str) else value
