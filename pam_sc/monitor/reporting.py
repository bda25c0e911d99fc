# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passes what happens on to the log and to the state file, and keeps what the status shows. Never ends an action.

What goes wrong with the log or the state file is said on the log if that still works, and changes nothing else: a session
is locked whether or not anybody can be told of it.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from pam_sc.decision.reasons import Severity
from pam_sc.monitor.acquaintance import Acquaintance
from pam_sc.monitor.doing import Deed
from pam_sc.monitor.facts import CardBack, CardGone, Cause, Outcome, Step
from pam_sc.monitor.memory import Memory, Remembered
from pam_sc.monitor.service import Service
from pam_sc.monitor.sight import Snapshot, Trouble
from pam_sc.monitor.status import Last, SessionStatus, Status, timestamp
from pam_sc.monitor.telling import Teller
from pam_sc.session import SessionCard


class Reporter:
    """Hears all of a run."""

    def __init__(
        self, teller: Teller, memory: Memory | None, acquaintance: Acquaintance, *, unit: str,
        unlocked: Callable[[str], None] = lambda _: None, ended: Callable[[str], None] = lambda _: None,
        reloaded: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._teller, self._memory, self._acquaintance, self.unit = teller, memory, acquaintance, unit
        self._unlocked, self._ended, self._reloaded = unlocked, ended, reloaded
        self._since = timestamp()
        self._trouble: str | None = None
        self._blind_since: float | None = None
        self._logind = True
        self.outcomes: dict[str, Outcome] = {}
        self.failures: dict[str, str] = {}
        """Why a part ended, by its name: the last time."""

    # ------------------------------------------------------------ what is done (doing.Told)

    def order(self, order: CardGone | CardBack, card: SessionCard, /) -> None:
        """An order is carried out now."""
        if isinstance(order, CardGone):
            self._teller.card_gone(order, card)
            return
        self._unlocked(card.session)
        self._teller.card_back(order, card)
        if self._memory is not None:
            self._memory.back(card, _now())

    def step(self, step: Step) -> None:
        """One way came to its end."""
        self._teller.step(step)

    def done(self, deed: Deed, outcome: Outcome, /) -> None:
        """An action came to this. It is remembered now and not before: what a crash interrupts is done again."""
        self.outcomes[deed.card.session] = outcome
        order = CardGone(deed.card.session, deed.cause)
        if self._memory is not None:
            self._memory.gone(deed.card, order, _now())
            self._memory.became(deed.card, outcome, _now())
        self._teller.outcome(order, deed.card, outcome)

    def again(self, session: str, why: str, delay_s: float, /) -> None:
        """It could not be done, and is tried again."""
        self._teller.problem(f"session {session} could not be acted on: {why}; tried again in {delay_s:.0f} s")

    def unfinished(self, session: str) -> tuple[Cause, float] | None:
        """Return why the card of a session is gone and since how many seconds, if that was acted on before a restart."""
        last = None if self._memory is None else self._memory.last(session)
        causes = {cause.value: cause for cause in Cause}
        if self._memory is None or last is None or not last.acted or last.action not in causes:
            return None
        return causes[last.action], self._memory.age_s(last)

    # ------------------------------------------------------------ what happens (service.Hears)

    def view(self, view: Snapshot | Trouble, /) -> None:
        """The view of the cards has changed; that cards came and went is no news by itself."""
        if isinstance(view, Trouble):
            if view.why != self._trouble:
                self._teller.trouble(view.why)
            self._blind_since = self._blind_since or time.monotonic()
            self._trouble = view.why
        elif self._trouble is not None:
            blind_s = None if self._blind_since is None else time.monotonic() - self._blind_since
            self._trouble = self._blind_since = None
            self._teller.seen_again(view.source.value, blind_s)

    def part_died(self, name: str, why: str, delay_s: float, /) -> None:
        """A part ended, and begins again."""
        self.failures[name] = why
        self._teller.problem(f"the part {name!r} of the monitor ended: {why}; it begins again in {delay_s:.1f} s")

    def problem(self, text: str, /) -> None:
        """Something is wrong, and does not end the monitor."""
        self._teller.problem(text)

    def note(self, text: str) -> None:
        """Something is worth to know, and nothing is wrong."""
        self._teller.problem(text, Severity.NOTICE)

    def logind(self, *, connected: bool, why: str = "") -> None:
        """The connection to logind came or went."""
        if connected and not self._logind:
            self.note("logind is connected again")
        if not connected and self._logind:
            self._teller.problem(f"logind is not connected: {why}")
        self._logind = connected

    def reloaded(self) -> None:
        """The configuration was read again."""
        self.note("the configuration was read again")
        self._reloaded()

    def unlocked(self, session: str, /) -> None:
        """A session was unlocked."""
        self._unlocked(session)

    def sessions_ended(self, sessions: set[str], /) -> None:
        """Sessions are no more."""
        for session in sessions:
            self._ended(session)

    # ------------------------------------------------------------ what is told

    def status(self, service: Service, *, present: Callable[[int], bool], system_unit: bool) -> Status:
        """Return what is known now."""
        view, known = service.view, self._acquaintance
        return Status(
            unit=self.unit, since=self._since, watch=view.source.value if isinstance(view, Snapshot) else "",
            trouble="" if isinstance(view, Snapshot) else "nothing was seen yet" if view is None else view.why,
            logind=service.bus is not None, system_unit=system_unit,
            sessions=tuple(
                SessionStatus(
                    session=card.session, uid=card.uid, account=card.account,
                    type=known.facts[card.session].type if card.session in known.facts else "",
                    card=service.judge.whereabouts(card.session).value,
                    action=known.action_of(service.settings.policy, card),
                    user_unit=present(card.uid), last=None if self._memory is None else _last(self._memory.last(card.session)),
                )
                for card in known.cards.values()
            ),
        )  # fmt: skip


def _last(last: Remembered | None) -> Last | None:
    return None if last is None else Last(at=last.at, cause=last.action, outcome=last.outcome)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
