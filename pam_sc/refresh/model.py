# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc refresh` wants to have and what came of it, as frozen values. Nothing here reads or fetches."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Sequence
from typing import Protocol

from pam_sc.config.model import LookupSettings
from pam_sc.decision.policy import Policy
from pam_sc.record import record, replace
from pam_sc.transfer import Outcome, Transfer
from pam_sc.trust.anchors import PathCertificate, Trust
from pam_sc.trust.index_format import IndexHeader
from pam_sc.trust.revocation import RevocationSources


class State(enum.Enum):
    """What became of one source. FRESH: new and current. UNCHANGED: what is at hand is what the source has, and current.

    STALE: the newest there is has passed its nextUpdate. FAILED: nothing usable came; what is at hand stays.
    """

    FRESH = "fresh"
    UNCHANGED = "unchanged"
    STALE = "stale"
    FAILED = "failed"


class Kind(enum.Enum):
    """CRL: fetched. FILE: a large CRL of the administrator's folder. OCSP: an answer about one certificate."""

    CRL = "crl"
    FILE = "file"
    OCSP = "ocsp"


@record(kw_only=True)
class SourceReport:
    """One source: what became of it, and what of it is at hand now (None: nothing)."""

    kind: Kind
    source: str
    state: State
    why: str = ""
    """Of a failure; or about which certificate an OCSP answer is."""
    this_update: datetime.datetime | None = None
    next_update: datetime.datetime | None = None
    size: int | None = None
    entries: int | None = None
    broken: bool = False
    """The store could not be written."""


@record(kw_only=True)
class WantedCrl:
    """A CRL to fetch."""

    url: str
    lookup: LookupSettings
    configured: bool = False


@record(kw_only=True)
class WantedAnswer:
    """A certificate to ask OCSP responders about, with its valid path above it; the URLs are tried in turn."""

    certificate: PathCertificate
    issuers: tuple[PathCertificate, ...]
    urls: tuple[str, ...]
    lookup: LookupSettings
    responder: PathCertificate | None
    configured: bool


@record(kw_only=True)
class Scene:
    """What holds for a whole run."""

    folder: str
    trusted_uids: frozenset[int]
    trust: Trust
    policy: Policy
    at: datetime.datetime
    sources: RevocationSources
    others: tuple[PathCertificate, ...] = ()
    """Issuers beyond the configured intermediates: of a card or of a request."""

    def with_others(self, others: Sequence[PathCertificate]) -> Scene:
        """The same, with more issuers known."""
        return replace(self, others=tuple(dict.fromkeys((*self.others, *others))))


class Fetch(Protocol):
    """How things come over the network; everything at the same time, one outcome for each, in order."""

    def __call__(self, wanted: Sequence[Transfer], lookup: LookupSettings) -> Sequence[Outcome]:
        """Fetch under the time limit, the proxy and the rules for addresses of these settings."""


Tell = Callable[[SourceReport], None]
"""Hears of each source when it is done."""


def report_of_index(
    kind: Kind, source: str, header: IndexHeader, state: State, scene: Scene, skew: datetime.timedelta
) -> SourceReport:
    """Return the report of a CRL that is at hand: `state`, but STALE if its time is over."""
    crl = header.crl
    over = crl.next_update is None or crl.next_update + skew < scene.at
    return SourceReport(
        kind=kind,
        source=source,
        state=State.STALE if over and state is not State.FAILED else state,
        this_update=crl.this_update,
        next_update=crl.next_update,
        size=header.size,
        entries=header.entries,
    )
