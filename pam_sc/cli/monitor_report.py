# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the monitor's status for people. Pure: takes what the socket said, which is checked here, and returns rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from pam_sc.cli.output import TEXT_MAX, Row
from pam_sc.events import clean

_WIDTH_MAX = 40
"""A user unit may say anything of itself, also to root."""
_UNITS = {
    "system": "the system unit runs", "user": "the user unit runs", "by-hand": "a monitor runs that was started by hand",
    "none": "no monitor runs: nothing is locked when a card is removed",
}  # fmt: skip


def widths(rows: Iterable[Row]) -> tuple[int, ...]:
    """Return how wide the columns must be for what stands in them."""
    columns = zip_longest(*(row.words for row in rows), fillvalue="")
    return tuple(min(max(len(clean(word, TEXT_MAX)) for word in column) + 2, _WIDTH_MAX) for column in columns)


def status_rows(found: Mapping[str, object]) -> list[Row]:
    """Return the table of sessions, and above it which unit runs and what it sees."""
    return [*_monitor_rows(found), *_session_rows(found)]


def _monitor_rows(found: Mapping[str, object]) -> Iterator[Row]:
    unit = _text(found, "unit")
    pid, since = found.get("pid"), _text(found, "since")
    who = f" (process {pid}, since {since})" if unit != "none" and isinstance(pid, int) else ""
    yield Row((), f"{_UNITS.get(unit, unit)}{who}")
    if unit == "user":
        met = "beside the system unit" if found.get("system_unit") is True else "alone: no system unit is met"
        yield Row((), met, 2)
    if _text(found, "problem"):
        yield Row((), _text(found, "problem"), 2)
    if _text(found, "trouble"):
        yield Row((), f"no card can be seen: {_text(found, 'trouble')}", 2)
    elif _text(found, "watch"):
        what = "could be" if unit == "none" else "are"
        yield Row((), f"cards {what} watched by {_text(found, 'watch')}", 2)
    if unit != "none" and found.get("logind") is not True:
        yield Row((), "logind is not connected: no session can be locked through it", 2)


def _session_rows(found: Mapping[str, object]) -> Iterator[Row]:
    listed = found.get("sessions")
    sessions = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    if not sessions:
        yield Row((), "no session was opened with a card")
        return
    yield Row(("session", "account", "type", "card", "policy"), "last action")
    for each in sessions:
        words = (_text(each, "session"), _text(each, "account"), _text(each, "type") or "?", _text(each, "card"),
                 _text(each, "action") or "?")  # fmt: skip
        yield Row(words, _last(each.get("last")))


def _last(last: object) -> str:
    if not isinstance(last, dict):
        return "none"
    at, cause, outcome = (_text(last, name) for name in ("at", "cause", "outcome"))
    return f"{outcome} at {at} ({cause})" if outcome else f"{cause} at {at}"


def _text(found: Mapping[str, object], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
