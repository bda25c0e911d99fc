# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events as lines for a person who started the monitor by hand. As stream.py: never waits for whoever reads."""

from __future__ import annotations

import datetime

from pam_sc.decision.reasons import Severity
from pam_sc.events import line_of
from pam_sc.journal import Pairs
from pam_sc.monitor.stream import EventStream


class LineStream(EventStream):
    """The same stream, with the line of the log in the place of the JSON."""

    def line(self, at: datetime.datetime, event: str, severity: Severity, pairs: Pairs) -> bytes:  # noqa: ARG002
        """Return what is written of an event."""
        return (line_of(event, pairs) + "\n").encode("utf-8", "backslashreplace")
