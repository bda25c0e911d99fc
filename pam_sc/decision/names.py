# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares names as RFC 5280, section 7 wants it: without regard to case, spacing and string type. Pure.

Only used to find which certificate or CRL might belong to which; that it really does is shown by a signature, never by
this. A name key is a text that is equal for equal names: the form in which names are kept in files.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

from pam_sc.decision.digest import sha256

CanonicalName = tuple[frozenset[tuple[str, str | bytes]], ...]
NameKey = str
"""Of a distinguished name "dir:" and 64 hexadecimal digits; of a URI "uri:" and the URI itself; else "other:" ..."""


def canonical_name(name: x509.Name) -> CanonicalName:
    """Return a value that is equal for equal names, usable as a key."""
    return tuple(frozenset(_canonical(attribute) for attribute in part) for part in name.rdns)


def name_key(name: x509.Name) -> NameKey:
    """Return the key of a distinguished name."""
    return _key(canonical_name(name))


def relative_name_key(issuer: x509.Name, relative: x509.RelativeDistinguishedName) -> NameKey:
    """Return the key of `issuer` with one more relative name (nameRelativeToCRLIssuer, RFC 5280, section 4.2.1.13)."""
    return _key((*canonical_name(issuer), frozenset(_canonical(attribute) for attribute in relative)))


def general_name_keys(names: Iterable[x509.GeneralName]) -> frozenset[NameKey]:
    """Return the keys of general names."""
    return frozenset(_general(name) for name in names)


def _general(name: x509.GeneralName) -> NameKey:
    if isinstance(name, x509.DirectoryName):
        return name_key(name.value)
    if isinstance(name, x509.UniformResourceIdentifier):
        return f"uri:{name.value}"
    return f"other:{name!r}"


def _key(name: CanonicalName) -> NameKey:
    text = repr([sorted((oid, repr(value)) for oid, value in part) for part in name])
    return "dir:" + sha256(text.encode("utf-8", "surrogatepass")).hex()


def _canonical(attribute: x509.NameAttribute[str | bytes]) -> tuple[str, str | bytes]:
    value = attribute.value
    return attribute.oid.dotted_string, " ".join(value.casefold().split()) if isinstance(value, str) else value
