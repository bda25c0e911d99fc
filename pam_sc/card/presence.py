# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a watcher is told and what it tells, as frames and back: who shall look, and which places are occupied.

The order is SETUP, its MODULEs and WATCH; the answer is READY or FAILED. Then PRESENCE comes at once and after each change;
where a module is asked, LOOKING comes before each PRESENCE, because that can hang. A watcher that polls looks without end.
At last FAILED, "missing" where what is to look is not installed, "lost" where it cannot look any more. What is read here
is a claim within bounds: at most MAX_PLACES places, no key twice, clean texts. That counts only grow is not checked here.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from typing import Protocol

from pam_sc.card.constants import MAX_SLOTS
from pam_sc.card.fields import Fields, nest, u8, u32, u64
from pam_sc.card.messages import Kind
from pam_sc.errors import PamScError, ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import record

WATCH_CONF = os.path.join(os.path.dirname(__file__), "opensc-watch.conf")
"""OpenSC's settings for whoever only looks, so that nobody else's card is disturbed."""
MAX_PLACES = MAX_SLOTS
POLL_MS_MAX = 3_600_000
_PLACE_BYTES = 4096
_PLACES_BYTES = MAX_PLACES * (_PLACE_BYTES + 4)


class Way(enum.IntEnum):
    """Who shall look."""

    PCSC = 0
    SLOTS = 1
    """The module's slot events; polling where it has none."""
    POLLING = 2


@record(kw_only=True)
class Occupancy:
    """One place: its key is unique among those of a watcher, and `changes` counts since the watcher began."""

    key: str
    description: str
    occupied: bool
    changes: int


@record
class Presence:
    """All places there are, and who saw them."""

    source: Way
    places: tuple[Occupancy, ...]


class MissingError(PamScError):
    """What is to look is not installed."""


class LostError(PamScError):
    """What has looked cannot look any more, and the process is to begin anew."""


class Sight(Protocol):
    """One who looks."""

    @property
    def source(self) -> Way:
        """Who looks, as of now."""

    @property
    def may_hang(self) -> bool:
        """Whether a module is asked, so that a look has to be announced."""

    def look(self) -> tuple[Occupancy, ...]:
        """Return what is there now; LostError."""

    def wait(self) -> None:
        """Return when there may be something new to see; LostError."""


def watch_frame(way: Way, poll_ms: int) -> Frame:
    """WATCH."""
    return Frame(Kind.WATCH, (u8(way), u32(poll_ms)))


def read_watch(frame: Frame) -> tuple[Way, int]:
    """Who shall look, and the milliseconds between two looks where that is polling."""
    if frame.type != Kind.WATCH:
        raise ProtocolError(f"card order is malformed: type {frame.type:#x} in place of WATCH")
    fields = Fields(frame.fields)
    way, poll_ms = _way(fields.number(1)), fields.number(4)
    fields.end()
    if not 0 < poll_ms <= POLL_MS_MAX:
        raise ProtocolError(f"card order is malformed: {poll_ms} ms between two looks, 1 to {POLL_MS_MAX}")
    return way, poll_ms


def presence_frame(presence: Presence) -> Frame:
    """PRESENCE. ProtocolError for more than MAX_PLACES places."""
    return Frame(Kind.PRESENCE, (u8(presence.source), nest(map(_place_field, presence.places))))


def read_presence(frame: Frame) -> Presence:
    """What a PRESENCE says, or ProtocolError."""
    if frame.type != Kind.PRESENCE:
        raise ProtocolError(f"card message is malformed: type {frame.type:#x} in place of PRESENCE")
    fields = Fields(frame.fields)
    source, listed = _way(fields.number(1)), fields.nested(_PLACES_BYTES)
    fields.end()
    places = tuple(_read_place(listed.nested(_PLACE_BYTES)) for _ in range(listed.left))
    if len({place.key for place in places}) != len(places):
        raise ProtocolError("card message is malformed: a place twice")
    return Presence(source, places)


def with_own_keys(names: Sequence[str]) -> tuple[str, ...]:
    """A key for each name: the name, and with a number behind it where the same came before."""
    keys: list[str] = []
    for name in names:
        again = sum(key == name for key in names[:len(keys)])
        keys.append(f"{name} #{again + 1}" if again else name)
    return tuple(keys)


def _way(number: int) -> Way:
    if number not in list(Way):
        raise ProtocolError(f"card message is malformed: {number} is no way to watch")
    return Way(number)


def _place_field(place: Occupancy) -> bytes:
    return nest((place.key.encode(), place.description.encode(), u8(place.occupied), u64(place.changes)))


def _read_place(fields: Fields) -> Occupancy:
    place = Occupancy(key=fields.text(), description=fields.text(), occupied=fields.flag(), changes=fields.number(8))
    fields.end()
    return place
