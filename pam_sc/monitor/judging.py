# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which sessions have lost their card, and which have it again: all that is seen and read goes in, orders come out.

Pure: the time is an argument (`at`, of time.monotonic, which stands still while the machine sleeps), and nothing is done
here. What becomes of one session is the table of absence.py; here is what all sessions share: what is seen, what was
read, and when places must be read again. Each order is given once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from pam_sc.monitor.absence import Absence, State, Times
from pam_sc.monitor.facts import Order
from pam_sc.monitor.presence import Blind, Clue, NotKnown, find, learn, outdate
from pam_sc.monitor.sight import Identified, Snapshot, Source, Trouble
from pam_sc.session import SessionCard

__all__ = ["Judge", "Times", "Whereabouts"]

ASLEEP_MAX_S = 30.0
"""Awake for so long after Asleep: Awake was missed."""
BLIND = Snapshot(Source.POLLING, ())
"""What is to be read while nothing can be seen: whether the card of a session is one that cannot be taken away."""
_RETRY_S = 1.0
_RETRY_MAX_S = 60.0
_TRIES_FOR_RETURN = 5
"""How often a place that cannot be read is read again where no removal depends on it."""


class Whereabouts(enum.Enum):
    """What is known of the card of a session."""

    HERE = "here"
    LEAVING = "leaving"
    """It went, and may still be back in time."""
    GONE = "gone"
    """It went, and that was acted on."""
    UNKNOWN = "unknown"
    """Not read yet, or not again."""
    UNSEEN = "unseen"
    """Nothing can be seen."""
    FIXED = "fixed"
    """It cannot be taken away."""


_WHEREABOUTS = {
    State.HERE: Whereabouts.HERE,
    State.LEAVING: Whereabouts.LEAVING,
    State.RETURNED: Whereabouts.UNKNOWN,
    State.GONE: Whereabouts.GONE,
    State.FIXED: Whereabouts.FIXED,
}


class _Watched:
    """A session, what is known of its card, and its state."""

    def __init__(self, card: SessionCard, absence: Absence) -> None:
        self.card = card
        self.clue = Clue(fixed=not card.removable)
        self.absence = absence
        self.reader = ""

    def learn(self, identified: Identified) -> None:
        """Take a reading."""
        self.clue = learn(self.clue, self.card, identified)
        names = {place.key: place.description for place in identified.snapshot.places}
        self.reader = next((names[key] for key, _ in sorted(self.clue.last) if key in names), self.reader)

    def is_to_be_read(self, seen: Snapshot) -> bool:
        """Whether only reading says where the card is; once, too, whether one that was fixed at the login is."""
        return isinstance(find(self.clue, seen), NotKnown) or (self.clue.fixed and not self.clue.read)


class Judge:
    """All sessions. Every method takes the time; a wrong one delays or hastens an order, and loses none."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._sessions: dict[str, _Watched] = {}
        self._orders: list[Order] = []
        self._seen: Snapshot | Trouble | None = None
        self._read: Identified | None = None
        """The last reading that worked and that still counts: for sessions that come later."""
        self._asked: Snapshot | None = None
        """What was handed out to be read."""
        self._void: Snapshot | None = None
        """What is being read since before a time in which changes could not be counted: its answer says nothing."""
        self._asleep: float | None = None
        self._confirmed = True
        """Something was seen since the machine woke."""
        self._at = 0.0
        self._tries = 0
        self._retry_at: float | None = None

    # ---------------------------------------------------------------- what happens

    def see(self, seen: Snapshot | Trouble, at: float) -> None:
        """Take what is seen from now on."""
        self._settle(at)
        if isinstance(seen, Trouble) or _is_counted_anew(self._seen, seen):
            self._outdate()
        if seen != self._seen:
            self._tries, self._retry_at = 0, None
        self._seen = seen
        self._confirmed = self._confirmed or (self._asleep is None and isinstance(seen, Snapshot))
        self._look(at)

    def know(self, identified: Identified, at: float) -> None:
        """Take what was read; one that failed says nothing."""
        self._settle(at)
        self._asked = None
        if identified.snapshot == self._void:
            self._void = None
            return
        for watched in self._sessions.values():
            watched.learn(identified)
        self._read = self._read if identified.failure else identified
        self._look(at)
        if identified.snapshot == self._to_read():
            self._tries += 1
            self._retry_at = at + min(_RETRY_MAX_S, _RETRY_S * 2.0 ** min(self._tries - 1, 10))

    def watch(self, cards: Iterable[SessionCard], at: float, acted: frozenset[str] = frozenset()) -> None:
        """Take the sessions there are now. `acted`: those whose absence was acted on before a restart."""
        self._settle(at)
        old, self._sessions = self._sessions, {}
        for card in cards:
            known = old.get(card.session)
            kept = known is not None and known.card == card
            self._sessions[card.session] = known if known and kept else self._begin(card, at, acted)
        self._orders = [order for order in self._orders if order.session in self._sessions]
        self._look(at)

    def _begin(self, card: SessionCard, at: float, acted: frozenset[str]) -> _Watched:
        watched = _Watched(card, Absence(card.session, self._times, at, acted=card.session in acted))
        if self._read is not None:
            watched.learn(self._read)
        self._tries, self._retry_at = 0, None
        return watched

    def sleep(self, at: float) -> None:
        """The machine goes to sleep: nothing is decided until `resume`."""
        self._settle(at)
        self._asleep = at

    def resume(self, at: float) -> None:
        """The machine is awake: what was read before counts no more."""
        self._settle(at)
        self._asleep, self._confirmed = None, False
        self._tries, self._retry_at = 0, None
        self._outdate()
        for watched in self._sessions.values():
            watched.absence.resume(at)
        self._look(at)

    def unlocked(self, session: str, at: float) -> None:
        """The session was unlocked: once more, if its card went just now."""
        self._settle(at)
        if session in self._sessions:
            self._order(self._sessions[session].absence.unlocked(at))

    # ---------------------------------------------------------------- what follows

    def orders(self, at: float) -> tuple[Order, ...]:
        """Return what is due now and was not returned before, in the order in which it came about."""
        self._limit(at)
        if self._asleep is not None and at >= self._asleep + ASLEEP_MAX_S:
            self.resume(at)
        self._settle(at)
        orders, self._orders = tuple(self._orders), []
        return orders

    def next_look(self, at: float) -> float | None:
        """Return when `orders` or `to_identify` may have something new by the time alone, never before `at`."""
        self._limit(at)
        if self._orders:
            return at
        if self._asleep is not None:
            return max(at, self._asleep + ASLEEP_MAX_S)
        times = [watched.absence.due_at() for watched in self._sessions.values()]
        if self._retry_at is not None and self._retry_at > self._at and self._to_read() is not None:
            times.append(self._retry_at)
        return min((max(at, each) for each in times if each is not None), default=None)

    def to_identify(self) -> Snapshot | None:
        """Return what must be read to know more, the same until that changes or was read; None for nothing now."""
        if self._asleep is not None or (self._retry_at is not None and self._at < self._retry_at):
            return None
        self._asked = self._to_read() or self._asked
        return self._to_read()

    def whereabouts(self, session: str) -> Whereabouts:
        """Say what is known of the card of a session."""
        if session not in self._sessions:
            return Whereabouts.UNKNOWN
        absence = self._sessions[session].absence
        unseen = Whereabouts.UNSEEN if isinstance(absence.presence, Blind) else Whereabouts.UNKNOWN
        return _WHEREABOUTS.get(absence.state, unseen)

    def reader(self, session: str) -> str:
        """Return the reader that the card of a session was in when it was last read; "" where that is not known."""
        return self._sessions[session].reader if session in self._sessions else ""

    # ---------------------------------------------------------------- within

    def _settle(self, at: float) -> None:
        self._at = at
        if self._asleep is None:
            for watched in self._sessions.values():
                self._order(watched.absence.settle(at))

    def _look(self, at: float) -> None:
        if self._asleep is None:
            for watched in self._sessions.values():
                found = find(watched.clue, self._seen)
                self._order(watched.absence.turn(found, at, confirmed=self._confirmed))

    def _order(self, order: Order | None) -> None:
        if order is not None:
            self._orders.append(order)

    def _outdate(self) -> None:
        for watched in self._sessions.values():
            watched.clue = outdate(watched.clue)
        self._read = None
        self._void = self._asked or self._void

    def _to_read(self) -> Snapshot | None:
        """What would have to be read, now or later: places that may hold a card of a session."""
        if isinstance(self._seen, Snapshot):
            unknown = [each for each in self._sessions.values() if each.is_to_be_read(self._seen)]
            wanted: Snapshot = self._seen
        else:
            unknown = [each for each in self._sessions.values() if not each.clue.read and self._seen is not None]
            wanted = BLIND
        nothing_open = all(each.absence.state in (State.GONE, State.FIXED) for each in unknown)
        return wanted if unknown and not (nothing_open and self._tries >= _TRIES_FOR_RETURN) else None

    def _limit(self, at: float) -> None:
        self._asleep = None if self._asleep is None else min(self._asleep, at)
        self._retry_at = None if self._retry_at is None else min(self._retry_at, at + _RETRY_MAX_S)
        for watched in self._sessions.values():
            watched.absence.limit(at)


def _is_counted_anew(before: Snapshot | Trouble | None, now: Snapshot) -> bool:
    """Whether this was counted by somebody else than what was seen before."""
    if not isinstance(before, Snapshot):
        return False
    changes = {place.key: place.changes for place in now.places}
    return before.source is not now.source or any(changes.get(p.key, p.changes) < p.changes for p in before.places)
