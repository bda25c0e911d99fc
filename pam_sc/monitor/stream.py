# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events as JSON, one object a line, for a program that reads them (docs/log.md has the schema).

Whoever reads may be slow, stopped or gone, and must not hold up a lock: a line is written only where it fits at once
(poll(2) says that of a pipe for 4096 bytes, pipe(7)), else it is left out, and the next one says how many were.
"""

from __future__ import annotations

import datetime
import json
import os
import select
from collections.abc import Callable

from pam_sc.decision.reasons import Severity
from pam_sc.events import line_of
from pam_sc.journal import Pairs

PIECE_MAX = 4096
LineOf = Callable[[datetime.datetime, str, Severity, Pairs, int], bytes]
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class EventStream:
    """A descriptor to which events are written. It is not closed here."""

    def __init__(self, descriptor: int, line: LineOf | None = None) -> None:
        """`line` makes what is written of an event: JSON, unless it is for people (`plain_line`)."""
        self._descriptor = descriptor
        self._line = line or json_line
        self._missed = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self.lost = ""
        """Why nothing is written any more; "" while it is."""

    def write(self, at: datetime.datetime, event: str, severity: Severity, pairs: Pairs) -> None:
        """Write one event, or count it as missed; never waits, never raises."""
        if self.lost:
            return
        line = self._line(at, event, severity, pairs, self._missed)
        try:
            written = os.write(self._descriptor, line) if self._is_ready() else 0
        except BlockingIOError:
            written = 0
        except OSError as error:
            self.lost = error.strerror or "unknown error"
            return
        self._missed = 0 if written else self._missed + 1
        self.lost = "its reader takes no whole lines" if 0 < written < len(line) else ""

    def _is_ready(self) -> bool:
        events = self._poll.poll(0)
        if any(happened & _GONE for _descriptor, happened in events):
            raise BrokenPipeError(0, "its reader has gone")
        return bool(events)


def json_line(at: datetime.datetime, event: str, severity: Severity, pairs: Pairs, missed: int = 0) -> bytes:
    """Return one line, of at most PIECE_MAX bytes if the values are cleaned: every value is a text."""
    when = at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"at": when, "event": event, "severity": severity.name.lower(), **dict(pairs)}
    if missed:
        said["missed"] = str(missed)
    return json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def plain_line(_at: datetime.datetime, event: str, _severity: Severity, pairs: Pairs, missed: int = 0) -> bytes:
    """Return the line of the log, for a person who started the monitor by hand."""
    said = [*pairs, ("missed", str(missed))] if missed else pairs
    return (line_of(event, said) + "\n").encode("utf-8", "backslashreplace")
