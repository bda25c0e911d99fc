# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc check-config` reports: a finding is a value, never an exception, because there may be many."""

from __future__ import annotations

import enum

from pam_sc.config.notes import NoteKind
from pam_sc.record import record


class Weight(enum.Enum):
    """How much a finding matters. NOTE: worth knowing. WARNING: probably not meant. ERROR: logins fail, or are open."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@record
class Finding:
    """One thing found: how much it matters, where (a file and line, or a key), and what it means."""

    severity: Weight
    where: str
    text: str
    kind: NoteKind | None = None
    """What is the matter with a line of a file in another program's format."""
    line: int | None = None
    """The line of the configuration on which `where` stands, where that is known."""
