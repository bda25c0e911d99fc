# SPDX-License-Identifier: LGPL-2.1-or-later
"""What there is to say about a line of pam_pkcs11.conf that is not simply taken as it stands. Values only."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from pam_sc.record import record


class NoteKind(enum.Enum):
    """DEAD: it changes nothing. UNKNOWN: nobody knows it. UNSAFE: the peer's meaning is not taken, or is dangerous.

    DIFFERENT: here it means something else. ERROR: it cannot be honoured, so no login uses this file.
    """

    DEAD = "dead"
    UNKNOWN = "unknown"
    UNSAFE = "unsafe"
    DIFFERENT = "different"
    ERROR = "error"


@record
class Note:
    """One thing about one key. Line 0 means an argument of the PAM line."""

    line: int
    key: str
    kind: NoteKind
    text: str

    def place(self, path: str) -> str:
        """Where it stands: file and line, or the PAM line."""
        return f"{path}:{self.line}" if self.line else f"{path} (argument of the PAM line)"


UNSAFE_SHOWN_MAX = 6


def summary(notes: Iterable[Note], path: str) -> str | None:
    """Return what one line of the log says at a login: each unsafe setting of the file with its line. None if there is none."""
    unsafe = [note for note in notes if note.kind is NoteKind.UNSAFE]
    if not unsafe:
        return None
    places = [f"{note.key} (line {note.line})" if note.line else f"{note.key} (argument)" for note in unsafe]
    shown = list(dict.fromkeys(places))
    more = len(shown) - UNSAFE_SHOWN_MAX
    said = ", ".join(shown[:UNSAFE_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"unsafe in {path}: {said}; pam-sc check-config with this file says what holds instead"
