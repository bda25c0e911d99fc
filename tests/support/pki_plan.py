# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans of public-key infrastructures: a handful of small choices each, so that a failing one shrinks to what matters.

`generated_pki.build` makes certificates and CRLs of a plan. Nothing here says what a relying party should find out;
`is_about` alone says for which certificates a CRL is meant.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cryptography import x509

_R = x509.ReasonFlags
REASONS = (
    frozenset({_R.key_compromise, _R.ca_compromise, _R.affiliation_changed, _R.certificate_hold}),
    frozenset({_R.superseded, _R.cessation_of_operation, _R.privilege_withdrawn, _R.aa_compromise}),
)
"""All reasons of RFC 5280, in two halves."""


class Signer(enum.Enum):
    """Whose key makes the signature of a CRL that carries an authority's name."""

    OWN = "own"
    RENEWED = "renewed"
    TWIN = "twin"
    STRANGER = "stranger"


class Time(enum.Enum):
    """Of when a CRL is."""

    PRESENT = "present"
    STALE = "stale"
    FUTURE = "future"


class Scope(enum.Enum):
    """The issuingDistributionPoint of a CRL."""

    ALL = "all"
    USER = "user"
    CA = "ca"
    ATTRIBUTE = "attribute"
    POINT = "point"
    OTHER_POINT = "other point"


class Flaw(enum.Enum):
    """What makes a CRL unusable whoever signed it (RFC 5280, sections 5.2 and 5.3)."""

    NONE = "none"
    EXTENSION = "unknown critical extension"
    ENTRY_EXTENSION = "unknown critical extension of an entry"


class Renewal(enum.Enum):
    """Whether the leaf's issuer has a second key, and which certificates of it are about."""

    NONE = "none"
    ROLLOVER = "self-issued, the new key under the old one"
    SAME_PARENT = "a second certificate by the same parent"
    UNCERTIFIED = "the new key has no certificate"


class Twin(enum.Enum):
    """Another authority with the name of the leaf's issuer."""

    NONE = "none"
    OTHER_ANCHOR = "under another anchor, which is trusted too"
    ANCHOR = "another anchor itself"
    SQUATTER = "under another authority of the same anchor"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlPlan:
    """One CRL: which authority's name it carries (0: the leaf's issuer, then up), and everything about it."""

    of: int = 0
    signer: Signer = Signer.OWN
    time: Time = Time.PRESENT
    scope: Scope = Scope.ALL
    reasons: int | None = None
    """Which half of REASONS (onlySomeReasons); None: all."""
    flaw: Flaw = Flaw.NONE
    delta: Signer | None = None
    """A delta to it is about as well, signed by this one."""
    delta_time: Time = Time.PRESENT
    delta_news: bool = False
    """What is revoked stands in the delta only."""
    announced: bool = True
    """The CRL says that there is a delta (freshestCRL); OpenSSL looks for one only then."""
    indirect: bool = False
    """It carries the name of the CRL issuer, is for the leaf's issuer, and is signed by its key."""
    silent: bool = False
    """Where it is not for the present it lists nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole infrastructure. `revoked` and `held` are places on the path (0: the leaf)."""

    depth: int = 1
    """Authorities between root and leaf."""
    renewal: Renewal = Renewal.NONE
    twin: Twin = Twin.NONE
    cross: bool = False
    """The authority below the root is certified by another trusted root as well."""
    crl_sign: bool = True
    """The leaf's issuer may sign CRLs."""
    point: bool = False
    """The leaf names the distribution point POINT."""
    indirect: bool = False
    """The leaf's distribution point names the CRL issuer."""
    revoked: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    """Listed as held by each complete CRL with a delta, and taken off by that delta."""
    reason: _R | None = None
    crls: tuple[CrlPlan, ...] = ()

    @property
    def revoked_places(self) -> frozenset[int]:
        """The places that are revoked in truth and exist."""
        return frozenset(place for place in self.revoked if place <= self.depth)


def reasons_of(plan: CrlPlan) -> frozenset[_R]:
    """The reasons that a CRL covers."""
    return REASONS[0] | REASONS[1] if plan.reasons is None else REASONS[plan.reasons]


def is_about(plan: Plan, crl: CrlPlan, place: int) -> bool:
    """Say whether the certificate at this place is in the scope of a CRL (RFC 5280, section 6.3.3 (b))."""
    if crl.of != place:
        return False
    if crl.indirect:  # RFC 5280, section 6.3.3 (b)(1): only where the distribution point says so
        fits = crl.scope in (Scope.ALL, Scope.USER) or (crl.scope is Scope.POINT and plan.point)
        return place == 0 and plan.indirect and fits
    match crl.scope:
        case Scope.ALL:
            return True
        case Scope.USER:
            return place == 0
        case Scope.CA:
            return place > 0
        case Scope.POINT:
            return place == 0 and plan.point and not plan.indirect
        case _:
            return False
