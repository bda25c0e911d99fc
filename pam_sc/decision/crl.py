# SPDX-License-Identifier: LGPL-2.1-or-later
"""What CRLs say about one certificate (RFC 5280, section 6.3.3): scope, reasons, base and delta, freshness. Pure.

Works on facts: the header of each CRL, the one entry in it that is about this certificate, and whether its signature
and its signer's path have been found good. It is the same for a small file and for an index of millions of entries.
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

REMOVE_FROM_CRL = "removeFromCRL"


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
