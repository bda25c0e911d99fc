# SPDX-License-Identifier: LGPL-2.1-or-later
"""The facts about a CRL, and which certificates it speaks about (RFC 5280, sections 5 and 6.3.3 (b) and (d)). Pure.

The same for a small file and for an index of millions of entries. What several CRLs say together is in crl_status.py.
"""

from __future__ import annotations

import datetime

from pam_sc.decision.names import NameKey
from pam_sc.record import field, record

ALL_REASONS = frozenset({
    "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation", "certificateHold",
    "privilegeWithdrawn", "aACompromise",
})  # fmt: skip
"""The reasons that a set of CRLs must cover together (RFC 5280, section 4.2.1.13, ReasonFlags)."""



@record(kw_only=True)
class CrlScope:
    """The issuingDistributionPoint of a CRL (RFC 5280, section 5.2.5); all defaults where it has none."""

    names: frozenset[NameKey] | None = None
    """Names of the distribution point; None: no name is given."""
    only_user: bool = False
    only_ca: bool = False
    only_attribute: bool = False
    indirect: bool = False
    reasons: frozenset[str] | None = None
    """onlySomeReasons; None: all."""


@record(kw_only=True)
class CrlHeader:
    """Everything of a CRL that is not one of its entries. All of it can be kept as JSON in an index."""

    source: str = field(compare=False)
    """For people: the file it lies in, or the URL it came from."""
    issuer: NameKey
    issuer_text: str
    authority_key_identifier: bytes | None
    this_update: datetime.datetime
    next_update: datetime.datetime | None
    number: int | None
    """cRLNumber."""
    base_number: int | None
    """Of a delta, the number of the complete CRL that it continues (RFC 5280, section 5.2.4)."""
    scope: CrlScope
    signature_hash: str | None
    """As in CertificateFacts."""
    unusable: str | None
    """Why RFC 5280 forbids to use it at all: an unknown critical extension of the CRL or of an entry. None: nothing."""

    delta_urls: tuple[str, ...] = ()
    """Where it says that deltas to it are to be had (freshestCRL, RFC 5280, section 5.2.6)."""

    @property
    def is_delta(self) -> bool:
        """It lists only what changed."""
        return self.base_number is not None


@record(kw_only=True)
class CrlEntry:
    """One revokedCertificates entry."""

    reason: str | None = None
    """CRLReason by its name in RFC 5280; None where the entry gives none."""
    revoked_at: datetime.datetime


@record(kw_only=True)
class DistributionPoint:
    """One entry of cRLDistributionPoints (RFC 5280, section 4.2.1.13), its relative name resolved."""

    names: frozenset[NameKey] | None = None
    crl_issuers: frozenset[NameKey] | None = None
    reasons: frozenset[str] | None = None
    """None: all."""


@record(kw_only=True)
class CrlTarget:
    """The certificate that is asked about."""

    issuer: NameKey
    serial: int
    is_ca: bool
    points: tuple[DistributionPoint, ...] = ()
    """As the certificate has them."""

    @property
    def all_points(self) -> tuple[DistributionPoint, ...]:
        """The certificate's, and the one that section 6.3.3 assumes for every CRL of the certificate's issuer."""
        return (*self.points, DistributionPoint(names=frozenset({self.issuer})))

    @property
    def crl_issuers(self) -> frozenset[NameKey]:
        """Every name under which a CRL about it may be issued."""
        return frozenset({self.issuer}).union(*(point.crl_issuers or () for point in self.points))


@record(kw_only=True)
class CrlFacts:
    """One CRL with all that matters of it for one target."""

    header: CrlHeader
    signer: bytes | None
    """Hash of the public key that signed it, found under a valid path; None: it does not count, `problem` says why."""
    problem: str | None = None
    weak: str | None = None
    """What is wrong with the hash of its signature: it makes nothing good, but what it lists is still refused."""
    entry: CrlEntry | None = None
    """The entry about the target."""


def covered_reasons(target: CrlTarget, header: CrlHeader) -> frozenset[str]:
    """Return the reasons for which this CRL speaks about the target (section 6.3.3 (b) and (d)); empty: it does not."""
    scope = header.scope
    if scope.only_attribute or (scope.only_user and target.is_ca) or (scope.only_ca and not target.is_ca):
        return frozenset()
    covered: frozenset[str] = frozenset()
    for point in target.all_points:
        if _points_to(target, point, header):
            covered |= (ALL_REASONS if point.reasons is None else point.reasons) & (
                ALL_REASONS if scope.reasons is None else scope.reasons
            )
    return covered


def _points_to(target: CrlTarget, point: DistributionPoint, header: CrlHeader) -> bool:
    """Section 6.3.3 (b) (1) and (2) (i)."""
    if point.crl_issuers is not None:
        if header.issuer not in point.crl_issuers or not header.scope.indirect:
            return False
    elif header.issuer != target.issuer:
        return False
    if header.scope.names is None:
        return True
    names = point.names if point.names is not None else point.crl_issuers
    return bool(names and names & header.scope.names)
