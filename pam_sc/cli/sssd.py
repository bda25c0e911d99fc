# SPDX-License-Identifier: LGPL-2.1-or-later
"""For `pam-sc migrate`: an sssd.conf whole, its certificate rules and what its section [pam] says, as one translation."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence

from pam_sc.certmap.sssd_conf import UNREADABLE, read_certmap_rules
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.sssd import translate_sssd
from pam_sc.record import replace

_MODULES = ("/usr/lib/*/opensc-pkcs11.so", "/usr/lib64/pkcs11/opensc-pkcs11.so", "/usr/lib64/opensc-pkcs11.so",
            "/usr/lib/opensc-pkcs11.so")  # fmt: skip
_RULE = re.compile(r"\s*\[\s*certmap/[^/\]]+/([^\]]+?)\s*\]\s*")


def installed_modules() -> tuple[str, ...]:
    """The places of OpenSC's PKCS#11 module on this machine."""
    return tuple(path for pattern in _MODULES for path in sorted(glob.glob(pattern)))


def translate_whole(text: str, source: str, modules: Sequence[str] | None = None) -> Translation:
    """Return what the file means; `modules` are those of this machine unless they are given."""
    tables, said = read_certmap_rules(text, source)
    lines = {found[1]: number for number, line in enumerate(text.split("\n"), 1) if (found := _RULE.fullmatch(line))}
    rules = [(lines.get(table["name"], 0), table) for table in tables]
    translation = translate_sssd(text, rules, installed_modules() if modules is None else modules)
    notes = [Note(note.line, "certmap", _kind(note.text), note.text) for note in said]
    if snippets := glob.glob(os.path.join(glob.escape(os.path.dirname(source)), "conf.d", "*.conf")):
        said_there = "not read; SSSD takes what they say before what this file says, so put it into this file first"
        notes.append(Note(0, "conf.d", NoteKind.UNSAFE, f"{', '.join(sorted(snippets))}: {said_there}"))
    return replace(translation, notes=tuple(sorted([*translation.notes, *notes], key=lambda note: note.line)))


def _kind(text: str) -> NoteKind:
    """What makes nonsense of the file is an error, and a restriction that is lost is to be decided about."""
    if UNREADABLE in text:
        return NoteKind.ERROR
    return NoteKind.UNSAFE if "]: domains has no meaning here" in text else NoteKind.DIFFERENT
