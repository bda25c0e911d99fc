# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that a login touches and that is not its configuration: the card, the person, the machine.

Tests put their own in its place; nothing is patched.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Protocol

from pam_sc import host
from pam_sc.decision.card_report import (
    CardReport,
    SessionCard,
)
from pam_sc.decision.choosing import Offer
from pam_sc.decision.evidence import (
    CertificateFacts,
    Evidence,
    ValidPath,
)
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer
from pam_sc.decision.request import Locality, Request
from pam_sc.decision.verdict import Verdict
from pam_sc.proving import Card as ProvingCard
from pam_sc.proving import PinEntry, Tries
from pam_sc.record import field, record
from pam_sc.texts import Text
from pam_sc.transfer import Outcome
from pam_sc.tries import UncountedTries
from pam_sc.trust.fetching import Wanted

Judge = Callable[[Evidence, Policy, datetime.datetime], Verdict]
"""`decide`, or what stands in its place where something else than a login is asked for."""
PathTime = Callable[[CertificateFacts, datetime.datetime], datetime.datetime]
"""Gives the time at which the path of a certificate must be valid, from the time of the request."""


class Card(ProvingCard, Protocol):
    """What a login needs of the card process (pam_sc.card.client.CardClient)."""

    def report(self, deadline: float) -> CardReport:
        """Return what the card process could read."""

    def report_again(self, deadline: float) -> CardReport:
        """Return what it reads now, after something was waited for."""


@record(kw_only=True)
class Surroundings:
    """Everything a login touches that is not its configuration. Tests put their own here; nothing is patched."""

    card: Card
    pin: PinEntry
    """How the PIN gets to the card process."""
    end_card: Callable[[], None]
    """End the card's verification: the card process is gone when this returns."""
    deadline: Callable[[], float]
    """The end of the machine's time, on CLOCK_MONOTONIC."""
    at: datetime.datetime
    accounts: host.Accounts
    wait: Callable[[str], Answer] | None = None
    """Have the person insert a card, that of this label if one is given: WAITED, or why not. None: nobody waits here."""
    choose: Callable[[Text, Sequence[Offer]], tuple[Answer, str]] | None = None
    """Have the person choose; the key of an offer, or "" for any other answer. None: nobody can be asked here."""
    session_cards: Callable[[int], tuple[SessionCard, ...]] = lambda _uid: ()
    """The cards that opened the sessions of the account with this uid."""
    tries: Tries = field(default_factory=UncountedTries)
    """Who counts wrong PINs where the token does not."""
    fetch: Callable[[Sequence[Wanted], float], Sequence[Outcome]] | None = None
    """Fetches what is wanted within a part of the time that is left; None: this login uses no network."""
    leave_requests: Callable[[ValidPath], None] = lambda _path: None
    """Leaves word for `pam-sc refresh` of where the certificates of a trusted path can be looked up."""
    locality: Callable[[Request], Locality] = host.find_locality
    random: Callable[[int], bytes] = host.random_bytes
    machine_id: Callable[[], str] = host.machine_id
    boot_id: Callable[[], str] = host.boot_id
