# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passes what happens on to the log and to the state file, and keeps what the status shows. Never ends an action.

What goes wrong with the log or the state file is said on the log if that still works, and changes nothing else: a session
is locked whether or not anybody can be told of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Protocol

from pam_sc.monitor.acquaintance import Acquaintance
from pam_sc.monitor.doing import Deed
from pam_sc.monitor.facts import CardBack, CardGone, Cause, Outcome, Step
from pam_sc.monitor.memory import Memory, Remembered
from pam_sc.monitor.service import Service
from pam_sc.monitor.sight import Snapshot, Trouble
from pam_sc.monitor.status import Last, SessionStatus, Status, timestamp
from pam_sc.session import SessionCard


class Tells(Protocol):
    """The log (telling.py)."""

    def card_gone(self, card: SessionCard, cause: Cause, /) -> None:
        """The card of a session is gone."""

    def card_back(self, card: SessionCard, /) -> None:
        """It is back."""

    def step(self, card: SessionCard, step: Step, /) -> None:
        """One way came to its end."""

    def outcome(self, card: SessionCard, cause: Cause, outcome: Outcome, /) -> None:
        """All of them did."""

    def again(self, session: str, why: str, delay_s: float, /) -> None:
        """Nothing could be asked, and will be again."""

    def trouble(self, why: str, /) -> None:
        """No card is seen."""

    def seen_again(self, source: str, /) -> None:
        """Cards are seen (again)."""

    def part_ended(self, part: str, why: str, delay_s: float, /) -> None:
        """A part ended and is begun again."""

    def problem(self, why: str, /) -> None:
        """Something is wrong."""

    def note(self, text: str, /) -> None:
        """Something is as it should be again."""


class Reporter:
    """Hears all of a run."""

    def __init__(
        self, tells: Tells, memory: Memory, acquaintance: Acquaintance, *, unit: str,
        unlocked: Callable[[str], None] = lambda _: None, ended: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._tells, self._memory, self._acquaintance, self.unit = tells, memory, acquaintance, unit
        self._unlocked, self._ended = unlocked, ended
        self._since = timestamp()
        self._trouble: str | None = ""
        self._logind = True
        self.outcomes: dict[str, Outcome] = {}

    # ------------------------------------------------------------ what is done (doing.Told)

    def order(self, order: CardGone | CardBack, card: SessionCard, /) -> None:
        """An order is carried out now."""
        if isinstance(order, CardGone):
            self._tells.card_gone(card, order.cause)
            return
        self._unlocked(card.session)
        self._tells.card_back(card)
        self._memory.back(card, _now())

    def step(self, step: Step) -> None:
        """One way came to its end."""
        card = self._acquaintance.cards.get(step.session)
        if card is not None:
            self._tells.step(card, step)

    def done(self, deed: Deed, outcome: Outcome, /) -> None:
        """An action came to this. It is remembered now and not before: what a crash interrupts is done again."""
        self.outcomes[deed.card.session] = outcome
        self._tells.outcome(deed.card, deed.cause, outcome)
        self._memory.gone(deed.card, CardGone(deed.card.session, deed.cause), _now())
        self._memory.became(deed.card, outcome, _now())

    def again(self, session: str, why: str, delay_s: float, /) -> None:
        """It could not be done, and is tried again."""
        self._tells.again(session, why, delay_s)

    def unfinished(self, session: str) -> tuple[Cause, float] | None:
        """Return why the card of a session is gone and since how many seconds, if that was acted on before a restart."""
        last = self._memory.last(session)
        causes = {cause.value: cause for cause in Cause}
        if last is None or not last.acted or last.action not in causes:
            return None
        since = _now() - datetime.datetime.fromisoformat(last.at)
        return causes[last.action], max(0.0, since.total_seconds())

    # ------------------------------------------------------------ what happens (service.Hears)

    def view(self, view: Snapshot | Trouble, /) -> None:
        """The view of the cards has changed; that cards came and went is no news by itself."""
        if isinstance(view, Trouble):
            if view.why != self._trouble:
                self._tells.trouble(view.why)
            self._trouble = view.why
        elif self._trouble is not None:
            self._trouble = None
            self._tells.seen_again(view.source.value)

    def part_died(self, name: str, why: str, delay_s: float, /) -> None:
        """A part ended, and begins again."""
        self._tells.part_ended(name, why, delay_s)

    def problem(self, text: str, /) -> None:
        """Something is wrong, and does not end the monitor."""
        self._tells.problem(text)

    def logind(self, *, connected: bool, why: str = "") -> None:
        """The connection to logind came or went."""
        if connected and not self._logind:
            self._tells.note("logind is connected again")
        if not connected and self._logind:
            self._tells.problem(f"logind is not connected: {why}")
        self._logind = connected

    def reloaded(self) -> None:
        """The configuration was read again."""
        self._tells.note("the configuration was read again")

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
                    user_unit=present(card.uid), last=_last(self._memory.last(card.session)),
                )
                for card in known.cards.values()
            ),
        )  # fmt: skip


def _last(last: Remembered | None) -> Last | None:
    return None if last is None else Last(at=last.at, cause=last.action, outcome=last.outcome)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
