# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the card of one session is, out of what is seen of places and what was read there. Pure, and no matter of time.

A reading says something about a place only as it was then: a place whose `changes` have grown since may hold any card.
Other cards, and tokens that cannot be taken away, never matter. Nothing here decides what to do; absence.py does.
"""

from __future__ import annotations

from pam_sc.decision.card_report import SessionCard
from pam_sc.monitor.facts import Cause
from pam_sc.monitor.sight import Identified, Place, SeenToken, Snapshot, Source, Trouble
from pam_sc.record import record, replace

Mark = tuple[str, int]
"""A place as it was: key and changes."""

_OUTDATED = -1
_NEVER_AGAIN = Snapshot(Source.POLLING, (Place(key="", description="", occupied=False, changes=_OUTDATED),))
"""Equal to nothing that is ever seen."""


@record
class Here:
    """It is in this place; None: its module shows it, and no place fits."""

    place: str | None


@record
class Fixed:
    """Its token cannot be taken away: nothing to watch."""


@record
class Absent:
    """It is in no place. `how`: REMOVED (its place is empty), READER_REMOVED (its place is no more) or REPLACED."""

    how: Cause


@record(kw_only=True)
class NotKnown:
    """It may be in a place that was not read as it is now."""

    left: bool
    """It was in a place that is not as it was."""
    empty: bool
    """Where it was is empty, or where nothing is known of it all places are: it can only be in another one."""


@record
class Blind:
    """Nothing can be seen."""


Presence = Here | Fixed | Absent | NotKnown | Blind


@record(kw_only=True)
class Clue:
    """What all readings so far say about one card."""

    read: bool = False
    """At least one reading worked."""
    fixed: bool = False
    last: frozenset[Mark] = frozenset()
    """The places it was in when it was last read; several where one token is shown in several slots."""
    loose: Snapshot | None = None
    """It was read without a place while this was seen, and counts until anything changes."""
    without: frozenset[Mark] = frozenset()
    """Places that do not hold it, as they were."""


def fits(card: SessionCard, token: SeenToken) -> bool:
    """Say whether a token is this card: all its texts, and its certificate where the token shows any.

    One that shows no certificate before a login, or whose certificates could not be read, may still be it.
    """
    mine = (card.label, card.serial, card.manufacturer, card.model)
    if mine != (token.label, token.serial, token.manufacturer, token.model):
        return False
    return not token.certificates or card.certificate_sha256 in token.certificates


def learn(clue: Clue, card: SessionCard, identified: Identified) -> Clue:
    """Return the clue with a reading added. One that failed adds nothing."""
    if identified.failure:
        return clue
    tokens = [token for token in identified.tokens if fits(card, token)]
    removable = [token for token in tokens if token.removable]
    every = {place.key: (place.key, place.changes) for place in identified.snapshot.places}
    # one card is in one place: what shows its certificate goes before what only has its texts, and a place that it has
    # not left before one that something of its name was put into
    mine = [token for token in removable if token.certificates] or removable
    found = frozenset(every[token.place] for token in mine if token.place in every)
    found = found & clue.last or found
    unread = frozenset(mark for key, mark in every.items() if key in identified.unread)
    here = found | (clue.last & unread)
    loose = any(token.place not in every for token in mine)
    return Clue(
        read=True,
        fixed=not removable and (clue.fixed or bool(tokens)),
        last=here or _outdated(clue.last),
        loose=identified.snapshot if loose else None,
        # one card is in one place: what could not be read beside it does not hold it either
        without=frozenset(every.values()) - (here or unread - clue.without),
    )


def outdate(clue: Clue) -> Clue:
    """Return the clue after a time in which changes could not be counted: every occupied place may hold any card."""
    loose = None if clue.loose is None else _NEVER_AGAIN
    return replace(clue, last=_outdated(clue.last), loose=loose, without=frozenset())


def _outdated(marks: frozenset[Mark]) -> frozenset[Mark]:
    return frozenset((key, _OUTDATED) for key, _changes in marks)


def find(clue: Clue, seen: Snapshot | Trouble | None) -> Presence:
    """Say where the card is now. `seen` None: nothing was seen yet."""
    if not isinstance(seen, Snapshot):
        return Fixed() if clue.fixed else Blind()
    occupied = {(place.key, place.changes) for place in seen.places if place.occupied}
    here = sorted(clue.last & occupied)
    if here:
        return Here(here[0][0])
    if clue.loose == seen:
        return Here(None)
    if clue.fixed:
        return Fixed()
    if occupied - clue.without or not clue.read or clue.loose is not None:
        return _not_known(clue, seen)
    return Absent(_how(clue, seen))


def _not_known(clue: Clue, seen: Snapshot) -> NotKnown:
    keys = {key for key, _changes in clue.last}
    mine = [place for place in seen.places if place.key in keys or not keys]
    placed = clue.loose is None
    return NotKnown(left=placed and bool(keys), empty=placed and not any(place.occupied for place in mine))


def _how(clue: Clue, seen: Snapshot) -> Cause:
    """In what way it is absent; a card of which no place is known was in one of those that there are."""
    keys = {key for key, _changes in clue.last}
    mine = [place for place in seen.places if place.key in keys or not keys]
    if not mine:
        return Cause.READER_REMOVED
    return Cause.REPLACED if keys and any(place.occupied for place in mine) else Cause.REMOVED
