# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc monitor status` is told: this monitor, and each session with its card, its policy and what was last done.

Names are never renamed or given another meaning (docs/monitor-protocol.md). Pure, but for the time and the process id.
"""

from __future__ import annotations

import datetime
import os

from pam_sc.decision.monitoring import Action
from pam_sc.errors import MonitorError
from pam_sc.record import record


@record(kw_only=True)
class Last:
    """What was last done for a session."""

    at: str
    """ISO 8601, in UTC."""
    cause: str
    """facts.Cause, or "card-returned"."""
    outcome: str
    """facts.Outcome; "" where nothing was to be done."""


@record(kw_only=True)
class SessionStatus:
    """One session."""

    session: str
    uid: int
    account: str
    type: str
    """"" where logind has not said."""
    card: str
    """judging.Whereabouts."""
    action: Action | None
    """None where the type is not known."""
    user_unit: bool
    """Whether a user unit of the account runs beside this one."""
    last: Last | None


@record(kw_only=True)
class Status:
    """All of it."""

    unit: str
    """"system", "user" or "by-hand"."""
    since: str
    watch: str
    """sight.Source, "" while nothing is seen."""
    trouble: str
    """Why nothing is seen."""
    logind: bool
    system_unit: bool
    """Whether the system unit runs: of a user unit, that it is met."""
    sessions: tuple[SessionStatus, ...]

    def values(self, uid: int | None) -> dict[str, object]:
        """Return what an account may know (None: everything), for JSON."""
        own = [each for each in self.sessions if uid in (None, each.uid)]
        return {
            "unit": self.unit, "pid": os.getpid(), "since": self.since, "watch": self.watch, "trouble": self.trouble,
            "logind": self.logind, "system_unit": self.system_unit, "sessions": [_values(each) for each in own],
        }  # fmt: skip


def _values(session: SessionStatus) -> dict[str, object]:
    last = session.last
    return {
        "session": session.session, "account": session.account, "type": session.type, "card": session.card,
        "action": None if session.action is None else session.action.value, "user_unit": session.user_unit,
        "last": None if last is None else {"at": last.at, "cause": last.cause, "outcome": last.outcome},
    }  # fmt: skip


def timestamp(at: datetime.datetime | None = None) -> str:
    """Return a time, now if none is given, as it is shown."""
    said = (at or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC).isoformat(timespec="milliseconds")
    return said.replace("+00:00", "Z")


def as_mapping(said: object) -> dict[str, object]:
    """Return a status that was received; MonitorError for what is none."""
    if not isinstance(said, dict) or not isinstance(said.get("unit"), str) or not isinstance(said.get("sessions"), list):
        raise MonitorError("cannot understand what the monitor says of itself")
    return {"trouble": "", "logind": False, **said}
