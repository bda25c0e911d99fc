# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turn a translation of somebody else's configuration into the text of a pam_sc.toml that says where it comes from.

Each note becomes a comment at the value that comes from its line, or at the top where none does. The text holds what the
translation holds and nothing else: a value that a translator left out, such as a password, is not here either. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence

from pam_sc.config.finding import Weight
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.pam_pkcs11_findings import findings_of
from pam_sc.config.schema import KeyPath
from pam_sc.config.toml_writer import write_toml
from pam_sc.errors import ConfigError

_SAID_ONCE = (NoteKind.DEAD, NoteKind.UNKNOWN)
"""What has left no trace in the tree is said at the top, and not beside whatever stands on the same line."""


def migrated(translation: Translation, source: str, *, nowhere: str = "PAM line") -> str:
    """Return the text, which tomllib reads back as the tree; ConfigError for a value that TOML cannot hold.

    `nowhere` says what stands on line 0.
    """
    beside: dict[KeyPath, list[str]] = {}
    above: list[Note] = []
    for note in translation.notes:
        at = None if note.kind in _SAID_ONCE else _place_of(note, translation.lines)
        if at is None:
            above.append(note)
        else:
            beside.setdefault(at, []).append(said(note, nowhere))
    if above:
        beside[()] = ["What of the old file has no place of its own here, and why:", *(said(note, nowhere) for note in above)]
    text = write_toml(translation.tree, header=_header(source, translation.tree), comments=beside)
    if tomllib.loads(text) != _plain(translation.tree):
        raise ConfigError(f"cannot write what {source} means: TOML gives another tree back")
    return text


def to_look_at(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Return the notes that somebody has to decide about."""
    weights = [finding.severity for finding in findings_of(notes)]
    return tuple(note for note, weight in zip(notes, weights, strict=True) if weight is not Weight.NOTE)


def _plain(value: object) -> object:
    """Tuples are lists in TOML."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _header(source: str, tree: Mapping[str, object]) -> tuple[str, ...]:
    origin = f"From {source}, by pam-sc migrate. Lines are those of that file."
    if tree.keys() <= {"monitor"}:
        return (origin, "What pam-sc monitor does when a card is removed: a table of /etc/pam_sc/pam_sc.toml.")
    return (
        origin,
        "Check it with: pam-sc check-config FILE. Every option is explained in /opt/pam_sc/share/pam_sc/pam_sc.toml.",
    )


def _place_of(note: Note, lines: Mapping[KeyPath, int]) -> KeyPath | None:
    """The deepest path that comes from the note's line: a value rather than the table around it."""
    found = [path for path, line in lines.items() if line == note.line and line > 0]
    return max(found, key=len, default=None)


def said(note: Note, nowhere: str) -> str:
    """Return a note as one sentence with its place."""
    where = f"line {note.line}" if note.line else nowhere
    return f"{where}, {note.key} ({note.kind.value}): {_OLD_SYNTAX.sub(_as_toml, note.text)}"


_OLD_SYNTAX = re.compile(r"\b(unlisted|tls_verify|tls|believed_for|scan_homes) = (\w+);")
"""A key of ours as it would stand in the old file, which a note may advise."""


def _as_toml(written: re.Match[str]) -> str:
    key, word = written[1], written[2]
    value = {"believed_for": f'["{word}"]', "scan_homes": word}.get(key, f'"{word}"')
    return f"{key} = {value}"
