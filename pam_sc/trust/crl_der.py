# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the parts of a CRL lie in its bytes (RFC 5280, section 5.1), for CRLs too large to be written out again.

The library shows the signed part of a CRL only by encoding all of it anew, seconds for a million entries. That the bytes
are DER of the right structure is the library's finding, made before. What is not as expected raises ValueError or
IndexError.
"""

from __future__ import annotations

from pam_sc.decision.der import INTEGER, SEQUENCE, TIMES, element


def signed_part(der: bytes) -> memoryview:
    """Return the TBSCertList as it was signed; ValueError if it names another algorithm than the CRL around it."""
    _, start, _ = element(der, 0)
    _, inner, end = element(der, start)
    named = element(der, inner)[2] if der[inner] == INTEGER else inner  # after the version
    if der[named : element(der, named)[2]] != der[end : element(der, end)[2]]:
        raise ValueError("it names two signature algorithms")
    return memoryview(der)[start:end]


def entries_span(der: bytes) -> tuple[int, int]:
    """Return where the entries begin and end; twice the same place where the CRL has none."""
    _, start, _ = element(der, 0)
    _, at, tbs_end = element(der, start)
    if der[at] == INTEGER:
        at = element(der, at)[2]
    for _ in ("signature", "issuer", "thisUpdate"):
        at = element(der, at)[2]
    if at < tbs_end and der[at] in TIMES:
        at = element(der, at)[2]
    if at >= tbs_end or der[at] != SEQUENCE:
        return at, at
    _, start, end = element(der, at)
    return start, end
