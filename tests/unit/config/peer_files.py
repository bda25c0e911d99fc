# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configurations in pam_pkcs11's format for tests, and what their translation says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11 import Translation, translate

DEAD, UNKNOWN, UNSAFE, DIFFERENT, ERROR = NoteKind
SILENT = {"no-reader": "", "no-card": "", "token-not-selected": ""}
"""[texts] of a file without card_only."""


def peer(*, whole: str = "", module: str = "", mappers: str = "use_mappers = cn;", policy: str = "ca, crl_offline") -> str:
    """A configuration: keys of the whole in line 2, of the module in line 4, the mappers from line 6 on."""
    return f"""pam_pkcs11 {{
  {whole}
  pkcs11_module default {{ module = /m.so;
    {module}
    cert_policy = {policy}; }}
  {mappers}
}}
"""


def translated(text: str, *arguments: str, exists: Callable[[str], bool] = lambda _path: True) -> Translation:
    return translate(text, "FILE", arguments, exists)


def said(translation: Translation, *kinds: NoteKind) -> list[tuple[int, str, NoteKind, str]]:
    """The notes of these kinds (all, if none is given) but those about every file."""
    return [
        (note.line, note.key, note.kind, note.text)
        for note in translation.notes
        if (note.kind in kinds or not kinds) and not about_every_file(note)
    ]


def about_every_file(note: Note) -> bool:
    """Whether a note tells of defaults of ours, or of what cert_policy asks for."""
    return note.kind is DIFFERENT and note.key in ("pam_pkcs11", "cert_policy")


def tables(translation: Translation) -> Sequence[dict[str, Any]]:
    """The mappers."""
    found: Sequence[dict[str, Any]] = translation.tree.get("mapper", ())
    return found
