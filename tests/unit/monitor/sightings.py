# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cards, places and readings for the tests of the monitor's pure parts."""

from __future__ import annotations

from collections.abc import Iterable

from pam_sc.monitor.sight import Identified, Place, SeenToken, Snapshot, Source
from pam_sc.record import replace
from pam_sc.session import SessionCard

HASH = "ab" * 32
ALICE = SessionCard(
    uid=1000, account="alice", service="gdm-smartcard", label="PIV", serial="01", manufacturer="Maker", model="Card",
    certificate_sha256=HASH, session="3",
)  # fmt: skip
BOB = replace(ALICE, uid=1001, account="bob", serial="02", certificate_sha256="cd" * 32, session="4")


def place(key: str = "A", *, occupied: bool = True, changes: int = 0) -> Place:
    return Place(key=key, description=f"{key} 00 00", occupied=occupied, changes=changes)


def seen(*places: Place, source: Source = Source.PCSC) -> Snapshot:
    return Snapshot(source, places)


def token(
    card: SessionCard = ALICE, where: str | None = "A", *, removable: bool = True,
    certificates: Iterable[str] | None = (), **texts: str,
) -> SeenToken:
    """The token of a card, with its certificate unless others are given (None: they could not be read)."""
    shown = frozenset([card.certificate_sha256] if certificates == () else certificates or ())
    described = {name: getattr(card, name) for name in ("label", "serial", "manufacturer", "model")}
    return SeenToken(
        place=where, removable=removable, certificates=None if certificates is None else shown, **(described | texts)
    )


def read(snapshot: Snapshot, *tokens: SeenToken, unread: Iterable[str] = (), failure: str = "") -> Identified:
    return Identified(snapshot, tokens, frozenset(unread), failure)
