# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the card of one session counts as gone: a state machine to which time is an argument. It does nothing itself.

    state     | here      | fixed      | absent   | not known    | blind    | its time is over
    ----------+-----------+------------+----------+--------------+----------+---------------------------------------
    START     | HERE**    | FIXED**    | LEAVING* | START        | START    | GONE, CardGone(NOT_WATCHED or its cause)*
    HERE      | HERE      | FIXED      | LEAVING  | RETURNED+    | UNSEEN   | (has none)
    LEAVING   | HERE      | FIXED      | LEAVING  | RETURNED     | LEAVING  | GONE, CardGone(its cause)
    RETURNED  | HERE      | FIXED      | LEAVING  | RETURNED     | RETURNED | GONE, CardGone(its cause)
    UNSEEN    | HERE      | FIXED      | LEAVING  | UNSEEN       | UNSEEN   | GONE, CardGone(NOT_WATCHED or its cause)
    GONE      | HERE,     | FIXED,     | GONE     | GONE         | GONE     | (has none)
              |  CardBack |  CardBack  |          |              |          |
    FIXED     | HERE      | FIXED      | LEAVING  | RETURNED+    | UNSEEN   | (has none)

    *  a session whose absence was acted on before a restart: GONE, without an order
    ** such a session: with CardBack, for what waits for its card and what is remembered of it is over
    +  UNSEEN where its place was not seen to change

The times. LEAVING: the grace of the way it went (reader gone: `reader_grace_s`, after sleep `resume_grace_s`; another
card in its place: `grace_s` from the removal; its place empty: `grace_s`, but that of a reader while nothing was seen
since the machine woke). RETURNED: `identify_s` to be read. Neither is longer, from
the removal on and however often the card comes and goes, than the longest grace and `identify_s` together. START and
UNSEEN: `unwatched_s`, or `identify_s` where a card that could not be read is in another place than its own, and that one
is empty. Resume after sleep: what was not GONE is UNSEEN (START stays), with all times begun anew. An unlock
within `relock_s` after CardGone: CardGone(UNLOCKED_MEANWHILE), once.
"""

from __future__ import annotations

import enum

from pam_sc.monitor.facts import CardBack, CardGone, Cause, Order
from pam_sc.monitor.presence import Absent, Blind, Fixed, Here, NotKnown, Presence
from pam_sc.record import record


@record(kw_only=True)
class Times:
    """The limits, in seconds."""

    grace_s: float
    reader_grace_s: float
    resume_grace_s: float
    unwatched_s: float
    """0: never."""
    identify_s: float = 5.0
    relock_s: float = 5.0


class State(enum.Enum):
    """The states of the table."""

    START = "start"
    HERE = "here"
    LEAVING = "leaving"
    RETURNED = "returned"
    UNSEEN = "unseen"
    GONE = "gone"
    FIXED = "fixed"


_S = State
_NEXT: dict[State, dict[type[Presence], State]] = {
    _S.START: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.LEAVING, NotKnown: _S.START, Blind: _S.START},
    _S.HERE: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.LEAVING, NotKnown: _S.RETURNED, Blind: _S.UNSEEN},
    _S.LEAVING: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.LEAVING, NotKnown: _S.RETURNED, Blind: _S.LEAVING},
    _S.RETURNED: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.LEAVING, NotKnown: _S.RETURNED, Blind: _S.RETURNED},
    _S.UNSEEN: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.LEAVING, NotKnown: _S.UNSEEN, Blind: _S.UNSEEN},
    _S.GONE: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.GONE, NotKnown: _S.GONE, Blind: _S.GONE},
    _S.FIXED: {Here: _S.HERE, Fixed: _S.FIXED, Absent: _S.LEAVING, NotKnown: _S.RETURNED, Blind: _S.UNSEEN},
}
_ARMED = frozenset({State.HERE, State.FIXED})
_REMOVED = frozenset({State.LEAVING, State.RETURNED})


class Absence:
    """The state of one session, and since when."""

    def __init__(self, session: str, times: Times, at: float, *, acted: bool = False) -> None:
        self.state = State.START
        self.presence: Presence = Blind()
        self._session = session
        self._times = times
        self._acted = acted
        """The absence that it may begin with was acted on before a restart."""
        self._reason: Cause | None = Cause.GONE_AT_START
        """The cause, where that is not the way it went."""
        self._how = Cause.REMOVED
        self._slept = False
        self._confirmed = True
        """Something was seen since the machine woke."""
        self._began = at
        """Since when it is not known to be here, but for the grace of a new beginning."""
        self._since = at
        """Since when it is present or absent in this way."""
        self._gone: float | None = None
        """When it was acted on, while an unlock is to be answered."""

    def turn(self, presence: Presence, at: float, *, confirmed: bool = True) -> Order | None:
        """Take the next state for what was found. `confirmed`: something was seen since the machine woke."""
        before, after = self.state, self._after(presence)
        if after in _REMOVED and isinstance(presence, Blind):
            return None  # nobody has seen it come back
        if presence != self.presence or confirmed != self._confirmed:
            self._since = at
        if after is not before and before not in _REMOVED:
            self._began = at
        self.state, self.presence, self._confirmed = after, presence, confirmed
        self._how = presence.how if isinstance(presence, Absent) else self._how
        return self._arm(before) if after in _ARMED else None

    def _after(self, presence: Presence) -> State:
        after = _NEXT[self.state][type(presence)]
        if after is State.LEAVING and self._acted:
            return State.GONE
        if self.state in _ARMED and isinstance(presence, NotKnown) and not presence.left:
            return State.UNSEEN
        return after

    def _arm(self, before: State) -> Order | None:
        was_gone = before is State.GONE or self._acted
        self._acted, self._slept, self._reason, self._how = False, False, None, Cause.REMOVED
        return CardBack(self._session) if was_gone else None

    def settle(self, at: float) -> Order | None:
        """Take what is due at this time."""
        due = self.due_at()
        if due is None or at < due:
            return None
        if self._acted:
            self.state = State.GONE
            return None
        cause = self._cause(at)
        self.state, self._gone = State.GONE, at
        return CardGone(self._session, cause)

    def resume(self, at: float) -> None:
        """Begin anew: the machine slept, and what it saw before says nothing about now."""
        if self.state is State.GONE:
            return
        if self.state is not State.START:
            self.state, self._reason = State.UNSEEN, self._reason or Cause.GONE_AFTER_SLEEP
        self.presence, self._slept = Blind(), True
        self._began = self._since = at

    def unlocked(self, at: float) -> Order | None:
        """Act once more on a session that was unlocked just after its card went."""
        if self.state is not State.GONE or self._gone is None or at > self._gone + self._times.relock_s:
            return None
        self._gone = None
        return CardGone(self._session, Cause.UNLOCKED_MEANWHILE)

    def limit(self, at: float) -> None:
        """Take times that are yet to come for this one: a clock that was wrong once puts off nothing for ever."""
        self._began, self._since = min(self._began, at), min(self._since, at)
        self._gone = None if self._gone is None else min(self._gone, at)

    def due_at(self) -> float | None:
        """Return when the present state's time is over; None where it has none."""
        match self.state:
            case State.LEAVING:
                return min(self._cap(), self._grace_ends())
            case State.RETURNED:
                return min(self._cap(), self._since + self._times.identify_s)
            case State.START | State.UNSEEN:
                return min((each for each in (self._empty_at(), self._unwatched_at()) if each is not None), default=None)
            case _:
                return None

    def _grace_ends(self) -> float:
        if self._how is Cause.REPLACED:
            return self._began + self._times.grace_s
        if self._how is Cause.READER_REMOVED:
            return self._since + (self._times.resume_grace_s if self._slept else self._times.reader_grace_s)
        unconfirmed_s = max(self._times.grace_s, self._times.reader_grace_s)
        return self._since + (self._times.grace_s if self._confirmed else unconfirmed_s)

    def _cap(self) -> float:
        return self._began + self._longest() + self._times.identify_s

    def _longest(self) -> float:
        longest = max(self._times.grace_s, self._times.reader_grace_s)
        return max(longest, self._times.resume_grace_s) if self._slept else longest

    def _empty_at(self) -> float | None:
        """When a place that is empty counts, although the card might be in one that cannot be read."""
        may_be_elsewhere = isinstance(self.presence, NotKnown) and self.presence.empty
        return self._since + self._times.identify_s if may_be_elsewhere else None

    def _unwatched_at(self) -> float | None:
        """When a card that cannot be watched counts as gone; an absence that was acted on is not acted on for that."""
        return self._began + self._times.unwatched_s if self._times.unwatched_s > 0 and not self._acted else None

    def _cause(self, at: float) -> Cause:
        empty_at = self._empty_at()
        if self.state not in _REMOVED and (empty_at is None or at < empty_at):
            return Cause.NOT_WATCHED
        return self._reason or self._how
