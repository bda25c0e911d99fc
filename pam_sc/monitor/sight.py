# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be seen of cards: places that are occupied or not, and the tokens that were read there. Frozen values.

Watching tells only which place is occupied, without a word to any card; which token it is is read once, when a card has
come (identifying.py). All of it is a claim of readers and modules, and decides nothing but whether a screen is locked.
"""

from __future__ import annotations

import enum

from pam_sc.record import record


class Source(enum.Enum):
    """Who sees."""

    PCSC = "pcsc"
    SLOTS = "slots"
    POLLING = "polling"


@record(kw_only=True)
class Place:
    """A reader (PC/SC) or a slot (PKCS#11)."""

    key: str
    """Stable while the place exists: the reader's name, or "MODULE-INDEX:SLOT-ID"."""
    description: str
    """What a slot description is held against: the reader's name, or the slot's own description."""
    occupied: bool
    changes: int = 0
    """Grows whenever a card comes or goes, also where it was too quick for `occupied` to show it."""


@record
class Snapshot:
    """All places there are, in the order in which they are listed."""

    source: Source
    places: tuple[Place, ...]


@record
class Trouble:
    """Nothing is seen until the next Snapshot."""

    why: str


@record(kw_only=True)
class SeenToken:
    """A token that was read."""

    module: int = 0
    """Its place in the configuration."""
    place: str | None
    """The key of the place it is in; None where no place of the snapshot fits."""
    removable: bool
    """CKF_REMOVABLE_DEVICE of its slot. Without it, and in no reader, it cannot be taken away (TPM, SoftHSM)."""
    label: str
    serial: str
    manufacturer: str
    model: str
    certificates: frozenset[str] | None
    """SHA-256 of each certificate's DER, in lower-case hexadecimal digits; None where they could not be read."""


@record
class Identified:
    """What was read, for one snapshot: it says nothing about a place that has changed since."""

    snapshot: Snapshot
    tokens: tuple[SeenToken, ...]
    unread: frozenset[str] = frozenset()
    """Keys of occupied places of which nothing could be read, and that may hold any token."""
    failure: str = ""
    """Why nothing could be read at all; "" where it could."""
