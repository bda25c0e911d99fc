# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds candidate paths from a certificate up to the anchors, within hard bounds; validates none of them.

Depth-first by name, key identifier and signature, because OpenSSL does not backtrack where a CA is cross-signed. A card
may carry any number of crafted intermediates: how much is tried is bounded, and nothing from the card is an anchor.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator

from pam_sc.decision.names import CanonicalName
from pam_sc.trust.anchors import PathCertificate, Trust, unique
from pam_sc.trust.strength import is_signed_by

LENGTH_MAX = 10
"""Certificates of a path, leaf and anchor included."""
SIGNATURES_MAX = 300
"""Signatures checked while paths are built: a card may bring keys that are slow to check."""
STEPS_MAX = 5_000

CandidatePath = tuple[PathCertificate, ...]


def candidates(pool: Pool, path: CandidatePath) -> Iterator[CandidatePath]:
    """Yield every way on from the end of `path` to an anchor, depth-first."""
    for issuer in pool.issuers_of(path[-1]):
        if issuer in pool.anchors:
            yield (*path, issuer)
        elif len(path) < LENGTH_MAX - 1 and not _repeats(issuer, path):
            yield from candidates(pool, (*path, issuer))


def _repeats(issuer: PathCertificate, path: CandidatePath) -> bool:
    """The same name with the same key is on the path already (RFC 4158, section 2.4.2)."""
    return any(each.subject == issuer.subject and each.public_key == issuer.public_key for each in path)


class Pool:
    """The certificates that may be issuers, by name, and how much work may still be spent on them.

    Anchors come first, then the authorities that are valid now, then the others; what lies on disk before what the card
    brings; and each group ordered by hash, so that neither file names nor expired certificates decide what is found.
    """

    def __init__(
        self,
        trust: Trust,
        others: Iterable[PathCertificate],
        leaf: PathCertificate,
        at: datetime.datetime,
        in_time: Callable[[], None],
    ) -> None:
        self.anchors = frozenset(trust.anchors)
        self.by_subject: dict[CanonicalName, list[PathCertificate]] = {}
        self.links: dict[tuple[bytes, bytes], bool] = {}
        self.steps = 0
        self.in_time = in_time
        known = {leaf.der}
        below = sorted((*trust.intermediates, *unique(others)), key=lambda each: not _is_promising(each, at))
        for each in (*trust.anchors, *below):
            if each.der not in known:
                known.add(each.der)
                self.by_subject.setdefault(each.subject, []).append(each)

    def issuers_of(self, child: PathCertificate) -> Iterator[PathCertificate]:
        """Yield the certificates whose name, key identifier and key fit the child's issuer, until the work is spent."""
        for each in self.by_subject.get(child.issuer, ()):
            self.steps += 1
            if self.steps > STEPS_MAX:
                return
            if _identifiers_agree(child, each) and self._is_signed(child, each):
                yield each

    def _is_signed(self, child: PathCertificate, issuer: PathCertificate) -> bool:
        key = (child.sha256, issuer.public_key)
        if key not in self.links:
            if len(self.links) >= SIGNATURES_MAX:
                return False
            self.in_time()
            self.links[key] = is_signed_by(child.parsed, issuer.parsed)
        return self.links[key]

    def why_nothing(self, leaf: PathCertificate) -> str:
        """Return why no candidate was found, for people."""
        if self.steps > STEPS_MAX or len(self.links) >= SIGNATURES_MAX:
            return "no path was found within the bounds: there are too many intermediates of the same names"
        if leaf.subject == leaf.issuer:
            return f"{leaf.text!r} is issued by itself and is no trust anchor"
        if leaf.issuer not in self.by_subject:
            return f"no certificate of the issuer of {leaf.text!r} is at hand"
        return f"no path from {leaf.text!r} to a trust anchor: a link is missing or its signature does not verify"


def _is_promising(certificate: PathCertificate, at: datetime.datetime) -> bool:
    """Say whether it is an authority's and valid now. Only the order of trying depends on this."""
    return certificate.is_authority and certificate.not_before <= at <= certificate.not_after


def _identifiers_agree(child: PathCertificate, issuer: PathCertificate) -> bool:
    wanted, found = child.issuer_key_identifier, issuer.key_identifier
    return wanted is None or found is None or wanted == found
