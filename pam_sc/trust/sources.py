# SPDX-License-Identifier: LGPL-2.1-or-later
"""What revocation is looked up in: CRLs and OCSP answers, wherever they lie. The contracts, and nothing that reads.

Files of the administrator, indexes in the store and what this very login has fetched all look the same from here. None
of it is believed because it is there: signatures and signers are checked by who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pam_sc.decision.crl import CrlEntry, CrlHeader
from pam_sc.decision.names import NameKey
from pam_sc.record import field, record
from pam_sc.trust.anchors import PathCertificate


class Crl(Protocol):
    """One CRL. A lookup takes no longer for a million entries than for ten."""

    @property
    def header(self) -> CrlHeader:
        """Everything but the entries."""

    def is_signed_by(self, signer: PathCertificate) -> bool:
        """Say whether this certificate's key made the signature. Rights and path are not looked at."""

    def entry(self, certificate_issuer: NameKey, serial: int) -> CrlEntry | None:
        """Return the entry about this serial of this issuer (RFC 5280, section 5.3.3), None if it is not listed."""


class CrlSet(Protocol):
    """Where CRLs are found by the name of their issuer."""

    def of_issuer(self, issuer: NameKey) -> Sequence[Crl]:
        """Return every CRL that carries this issuer name, in a fixed order."""


@record(kw_only=True)
class OcspMessage:
    """An OCSP response as it lies in the store or came from a responder, not looked at yet."""

    der: bytes = field(repr=False)
    source: str
    """For people: the responder's URL."""
    nonce: bytes | None = None
    """The nonce that was sent with the question, if this is the answer to it; None for a stored answer, or if none was."""
    fetched: bool = False
    """It came from the responder just now, and was not stored."""


class OcspSet(Protocol):
    """Where OCSP responses are found by what they are about."""

    def about(self, issuer: PathCertificate, serial: int) -> Sequence[OcspMessage]:
        """Return the responses filed for this serial of this issuer."""
