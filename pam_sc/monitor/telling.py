# SPDX-License-Identifier: LGPL-2.1-or-later
"""The monitor's log: one event for each thing that happens, to the journal, else to syslog, and as JSON where asked.

In the form of the login's log (events.py, docs/log.md): a word and key=value pairs, a field of the journal each. Session,
account and service are named; the card only by what stands for it on this machine, with `[log] identity` by its label too.
That something is locked is said only where it was seen.
"""

from __future__ import annotations

import datetime
import enum
import syslog
from collections.abc import Callable

from pam_sc.decision.reasons import Severity
from pam_sc.events import cleaned, line_of, pseudonym, token_pseudonym
from pam_sc.journal import Journal, Pairs, datagram_of
from pam_sc.monitor.facts import CardBack, CardGone, Outcome, Side, Step
from pam_sc.monitor.stream import EventStream
from pam_sc.record import record
from pam_sc.session import SessionCard


class MonitorEvent(enum.Enum):
    """What is logged. The value begins its line."""

    STARTED = "monitor-started"
    STOPPING = "monitor-stopping"
    CARD_REMOVED = "card-removed"
    CARD_RETURNED = "card-returned"
    LOCK_STEP = "lock-step"
    SESSION_LOCKED = "session-locked"
    SESSION_TERMINATED = "session-terminated"
    SESSION_NOT_LOCKED = "session-not-locked"
    WATCHING_LOST = "watching-lost"
    WATCHING_AGAIN = "watching-again"
    PROBLEM = "monitor-problem"


MESSAGE_IDS = {
    MonitorEvent.STARTED: "a561f15762a74d86ba76d2e53ae53b6c",
    MonitorEvent.STOPPING: "dea75b8f9dfc4f42af80deacb855667d",
    MonitorEvent.CARD_REMOVED: "05720a9f7ad745b882eb43fe65045356",
    MonitorEvent.CARD_RETURNED: "ff61c6347b114ce6abe94606d3b39df4",
    MonitorEvent.LOCK_STEP: "f0331b12072c4482bc31b7d33508d395",
    MonitorEvent.SESSION_LOCKED: "1df9b0f42bdf4415b97f6795bc692765",
    MonitorEvent.SESSION_TERMINATED: "e4ea66daa64a417ba7bca7c7bddfdf94",
    MonitorEvent.SESSION_NOT_LOCKED: "d58d53535b0f48b7b259df41b2660f12",
    MonitorEvent.WATCHING_LOST: "3c1596f6f871443780b2d97e36425663",
    MonitorEvent.WATCHING_AGAIN: "d88dc178b91a498fa138691be4ae030b",
    MonitorEvent.PROBLEM: "897e468b3cdd4c8a90d5db6367da1ff5",
}
"""Stable for ever, as those of a login (journal.py), which does not import these."""

_OUTCOMES = {
    Outcome.LOCKED: (MonitorEvent.SESSION_LOCKED, Severity.INFO),
    Outcome.TERMINATED: (MonitorEvent.SESSION_TERMINATED, Severity.NOTICE),
    Outcome.STARTED: (MonitorEvent.SESSION_NOT_LOCKED, Severity.WARNING),
    Outcome.DONE: (MonitorEvent.SESSION_NOT_LOCKED, Severity.INFO),
    Outcome.LEFT_ALONE: (MonitorEvent.SESSION_NOT_LOCKED, Severity.INFO),
    Outcome.ELSEWHERE: (MonitorEvent.SESSION_NOT_LOCKED, Severity.INFO),
    Outcome.NOT_SEEN: (MonitorEvent.SESSION_NOT_LOCKED, Severity.ERROR),
    Outcome.FAILED: (MonitorEvent.SESSION_NOT_LOCKED, Severity.ERROR),
}
_STEPS = {Outcome.NOT_SEEN: Severity.WARNING, Outcome.FAILED: Severity.WARNING}
"""A step that came to nothing may be followed by another one that does not."""

AUTHPRIV = syslog.LOG_AUTHPRIV >> 3
USER = syslog.LOG_USER >> 3


def facility_of(side: Side, effective_uid: int) -> int:
    """Return the syslog facility: that of logins for what the system does, else that of users' programs."""
    return AUTHPRIV if side is Side.SYSTEM or effective_uid == 0 else USER


def syslog_writer(facility: int) -> Callable[[Severity, str], None]:
    """Return what writes a line to syslog, for machines without a journal."""
    syslog.openlog("pam_sc", syslog.LOG_PID, facility << 3)
    return lambda severity, line: syslog.syslog(int(severity), line)


@record(kw_only=True)
class Outlets:
    """Where events go."""

    write: Callable[[Severity, str], None]
    """To syslog, where the journal does not take one."""
    facility: int = AUTHPRIV
    journal: Journal | None = None
    stream: EventStream | None = None


class Teller:
    """Says what happens, each thing once and by a method of its own."""

    def __init__(
        self,
        outlets: Outlets,
        *,
        machine_id: str = "",
        personal: bool = False,
        dry_run: bool = False,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._outlets = outlets
        self._machine_id = machine_id
        self._personal = personal
        self._dry_run = dry_run
        self._now = now
        self._stream_was_lost = False

    def started(self, side: Side, watch: str) -> None:
        """It begins to watch. `watch`: by what."""
        self._say(MonitorEvent.STARTED, Severity.NOTICE, [("side", side.value), ("watch", watch)])

    def stopping(self, why: str) -> None:
        """It ends, and nothing is locked from now on."""
        self._say(MonitorEvent.STOPPING, Severity.NOTICE, [("detail", why)])

    def card_gone(self, order: CardGone, card: SessionCard) -> None:
        """The card of a session is gone for good."""
        pairs = [*_session(card), ("cause", order.cause.value), *self._card(card)]
        self._say(MonitorEvent.CARD_REMOVED, Severity.NOTICE, pairs)

    def card_back(self, order: CardBack, card: SessionCard) -> None:  # noqa: ARG002 - as for card_gone
        """The card of a session is there again."""
        self._say(MonitorEvent.CARD_RETURNED, Severity.INFO, [*_session(card), *self._card(card)])

    def step(self, step: Step) -> None:
        """One way to lock was tried."""
        pairs = [("session", step.session), ("way", step.way.value), ("outcome", step.outcome.value)]
        detail = [("detail", step.detail)] if step.detail else []
        self._say(MonitorEvent.LOCK_STEP, _STEPS.get(step.outcome, Severity.INFO), pairs + detail)

    def outcome(self, order: CardGone, card: SessionCard, outcome: Outcome) -> None:
        """What all ways came to."""
        event, severity = _OUTCOMES[outcome]
        self._say(event, severity, [*_session(card), ("cause", order.cause.value), ("outcome", outcome.value)])

    def trouble(self, why: str) -> None:
        """Nothing is seen from now on."""
        self._say(MonitorEvent.WATCHING_LOST, Severity.WARNING, [("detail", why)])

    def seen_again(self, watch: str, blind_s: float | None = None) -> None:
        """It is seen again where cards are. `blind_s`: how long it was not."""
        duration = [] if blind_s is None else [("ms", str(round(blind_s * 1000)))]
        self._say(MonitorEvent.WATCHING_AGAIN, Severity.NOTICE, [("watch", watch), *duration])

    def problem(self, text: str, severity: Severity = Severity.ERROR) -> None:
        """Something is broken, in the configuration or elsewhere, and somebody should mend it."""
        self._say(MonitorEvent.PROBLEM, severity, [("detail", text)])

    def _card(self, card: SessionCard) -> Pairs:
        if not self._machine_id:
            return []
        try:
            certificate = pseudonym(bytes.fromhex(card.certificate_sha256), self._machine_id)
        except ValueError:
            return []
        pairs = [("certificate", certificate), ("token", token_pseudonym(card, self._machine_id))]
        return pairs + ([("label", card.label)] if self._personal else [])

    def _say(self, event: MonitorEvent, severity: Severity, pairs: Pairs) -> None:
        pairs = [*pairs, ("dry_run", "yes")] if self._dry_run else pairs
        line, fields = line_of(event.value, pairs), cleaned(pairs)
        journal, stream = self._outlets.journal, self._outlets.stream
        entry = datagram_of(severity, (event.value, MESSAGE_IDS[event]), line, fields, self._outlets.facility)
        if journal is None or not journal.put(entry):
            self._outlets.write(severity, line)
        if stream is not None:
            stream.write(self._now(), event.value, severity, fields)
            self._note_lost_stream(stream)

    def _note_lost_stream(self, stream: EventStream) -> None:
        if stream.lost and not self._stream_was_lost:
            self._stream_was_lost = True
            self.problem(f"cannot write the events to standard output any more: {stream.lost}", Severity.WARNING)


def _session(card: SessionCard) -> Pairs:
    return [("session", card.session), ("account", card.account), ("service", card.service)]
