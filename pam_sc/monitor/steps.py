# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which ways are tried when the card of a session is gone, in which order, and what follows. Pure.

| session           | SYSTEM                     | USER                              | ALONE                                  |
|-------------------|----------------------------|-----------------------------------|----------------------------------------|
| lock, graphical   | hint, logind, partner      | hint (waits), GNOME, screen       | hint, GNOME, logind, screen saver,     |
|                   |                            | saver, locker                     | locker                                 |
| lock, on a tty    | partner                    | console locker                    | console locker                         |
| none saw a lock   | otherwise                  | -                                 | otherwise                              |
| lock-then-        | the same, and the end      | the same                          | the same, and the end                  |
| terminate         | after terminate_after_s    |                                   | after terminate_after_s                |
| terminate         | the end                    | -                                 | the end                                |
| command           | -                          | on_remove                         | on_remove                              |
| nothing; greeter, | -                          | -                                 | -                                      |
| remote, background|                            |                                   |                                        |

The partner is left out where none is there, and a locker where none is configured. The first way that is seen to have
locked ends the row. `otherwise` is the policy's word for graphical sessions, `console_otherwise` for those on a tty; what
ends the session is never the user unit's beside a system unit. on_remove runs after the ways, never on the system side.
"""

from __future__ import annotations

from pam_sc.decision.monitoring import Action, Commands, Otherwise, SessionPolicy
from pam_sc.monitor.facts import Outcome, SessionFacts, Side, Way
from pam_sc.record import record

_GRAPHICAL = {
    Side.SYSTEM: (Way.HINT, Way.LOGIND, Way.PARTNER),
    Side.USER: (Way.HINT, Way.GNOME, Way.SCREEN_SAVER, Way.LOCKER),
    Side.ALONE: (Way.HINT, Way.GNOME, Way.LOGIND, Way.SCREEN_SAVER, Way.LOCKER),
}
_CONSOLE = {
    Side.SYSTEM: (Way.PARTNER,),
    Side.USER: (Way.CONSOLE_LOCKER,),
    Side.ALONE: (Way.CONSOLE_LOCKER,),
}
_LOCKS = frozenset({Action.LOCK, Action.LOCK_THEN_TERMINATE})

_ORDER = (
    Outcome.TERMINATED, Outcome.LOCKED, Outcome.STARTED, Outcome.NOT_SEEN, Outcome.FAILED, Outcome.ELSEWHERE,
    Outcome.DONE, Outcome.LEFT_ALONE,
)
"""Of several attempts to lock, the first of these is what became of all."""

SEEN = frozenset({Outcome.LOCKED, Outcome.TERMINATED})
"""What need not be followed by anything else."""

SAVERS_MAX = 6
"""How many screen savers may be asked one after the other (session_bus.py)."""
_STARTED_S = 5.0
"""What the start of programs and the questions before and after may take beside the waiting."""


@record(kw_only=True)
class Plan:
    """What is done for one session, in this order."""

    locks: bool = False
    """The screen is to be locked, even where there is no way to do so."""
    ways: tuple[Way, ...] = ()
    hint_waits: bool = False
    """The lock was asked for by the system unit: LockedHint is given its time."""
    terminate_unseen: bool = False
    """End the session where no way was seen to have locked it."""
    commands: Commands | None = None
    terminate: bool = False
    """End the session at once."""
    terminate_after_s: float | None = None
    """End the session then, whatever else happened; only the card's return (the caller) prevents it."""
    why_nothing: str = ""
    """Why the session is left alone; "" where it is not."""


def plan(policy: SessionPolicy, facts: SessionFacts, side: Side, *, partner: bool = False) -> Plan:
    """Return what this side does when the card of the session is gone. `partner`: a user unit of the account is there."""
    why = reason_to_leave(policy, facts)
    if why:
        return Plan(why_nothing=why)
    starts = side is not Side.SYSTEM
    ends = side is not Side.USER
    if policy.action not in _LOCKS:
        ending = policy.action is Action.TERMINATE
        return Plan(terminate=ending and ends, commands=policy.on_remove if starts and not ending else None)
    otherwise = policy.console_otherwise if facts.is_console else policy.otherwise
    return Plan(
        locks=True,
        ways=_ways(policy, facts, side, partner),
        hint_waits=side is Side.USER,
        terminate_unseen=ends and otherwise is Otherwise.TERMINATE,
        commands=policy.on_remove if starts else None,
        terminate_after_s=policy.terminate_after_s if ends and policy.action is Action.LOCK_THEN_TERMINATE else None,
    )


def reason_to_leave(policy: SessionPolicy, facts: SessionFacts) -> str:
    """Say why nothing is done for a session at all; "" where something is."""
    if policy.action is Action.NOTHING:
        return "the policy of this session is to do nothing"
    if facts.is_watched:
        return ""
    if facts.state == "closing":
        return "the session ends already"
    return "a remote session" if facts.remote else f"a session of class {facts.session_class!r:.40}"


def best(outcomes: tuple[Outcome, ...]) -> Outcome:
    """Return what several attempts to lock came to; NOT_SEEN of none at all."""
    return min(outcomes, key=_ORDER.index, default=Outcome.NOT_SEEN)


def longest_s(lock_wait_s: float) -> float:
    """Return how long the user unit may need until it can say what it saw, if everything hangs."""
    hint_gnome_locker = 3
    return (hint_gnome_locker + SAVERS_MAX) * lock_wait_s + _STARTED_S


def _ways(policy: SessionPolicy, facts: SessionFacts, side: Side, partner: bool) -> tuple[Way, ...]:
    missing = {
        Way.PARTNER: not partner,
        Way.LOCKER: policy.locker is None,
        Way.CONSOLE_LOCKER: policy.console_locker is None,
    }
    rows = _CONSOLE if facts.is_console else _GRAPHICAL
    return tuple(way for way in rows[side] if not missing.get(way, False))
