# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a pkcs11_eventmgr.conf or card_eventmgr.conf for the monitor: beside pam_sc's own configuration, never instead.

PKCS#11 modules, which tokens count and everything else come from there; only [monitor] is this file's. An ERROR note is a
ConfigError, as for pam_pkcs11.conf. For the monitor and the commands; no login reads such a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pam_sc.config import toml
from pam_sc.config.eventmgr import EventManager, is_eventmgr, translate_eventmgr
from pam_sc.config.loading import load
from pam_sc.config.model import DEFAULT_PATH, Configuration
from pam_sc.config.monitor_keys import read_monitor
from pam_sc.config.monitoring import build_policy
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11_file import ERRORS_SHOWN_MAX, explain
from pam_sc.config.schema import MismatchError
from pam_sc.config.where import dotted
from pam_sc.errors import ConfigError
from pam_sc.record import replace


def load_for_monitor(
    path: str, trusted_uids: frozenset[int], arguments: Sequence[str] = (), own_path: str = DEFAULT_PATH
) -> Configuration:
    """Return the configuration at `path` (absolute) for the monitor: ours, pam_pkcs11's, or one of the peer's event managers.

    With the last, everything but [monitor] is that of `own_path`; source and notes are the file's. `arguments` are
    those of the event manager. ConfigError if anything about the files is wrong; that [monitor] contradicts itself is
    monitor_policy's to say.
    """
    if path.endswith(".conf"):
        text = toml.read_text(path, trusted_uids)
        if is_eventmgr(text, path):
            return with_eventmgr(load(own_path, trusted_uids), translate_eventmgr(text, path, arguments), path)
    if arguments:
        raise ConfigError(f"cannot use the argument {arguments[0][:80]!a} with {path}: it belongs to an event manager's file")
    return load(path, trusted_uids)


def with_eventmgr(own: Configuration, found: EventManager, path: str) -> Configuration:
    """Return `own` with what such a file says in place of its [monitor]; ConfigError if that cannot be used."""
    found = with_module_note(found, [module.path for module in own.token.modules], own.source)
    if errors := found.translation.errors():
        said = "; ".join(f"{_place(path, note.line)}: {note.key}: {note.text}" for note in errors[:ERRORS_SHOWN_MAX])
        more = len(errors) - ERRORS_SHOWN_MAX
        raise ConfigError(said + (f"; and {more} more, which pam-sc check-config lists" if more > 0 else ""))
    return replace(own, source=path, monitor=read_table(found, path), notes=found.translation.notes,
                   places={**own.places, **places_of(found, path)})  # fmt: skip


def read_table(found: EventManager, path: str) -> dict[str, Any]:
    """Return the [monitor] that the file means, parsed; ConfigError with its line where the schema refuses it."""
    try:
        table = read_monitor(found.translation.tree.get("monitor", {}))
        build_policy(table)
    except MismatchError as mismatch:
        raise ConfigError(explain(mismatch, places_of(found, path), path)) from None
    return table


def places_of(found: EventManager, path: str) -> Mapping[str, str]:
    """Where each key of [monitor] was said."""
    return {dotted(at): _place(path, line) for at, line in found.translation.lines.items()}


def _place(path: str, line: int) -> str:
    return f"{path}:{line}" if line else f"{path} (argument of the command)"


def module_note(found: EventManager, modules: Sequence[str] | None, whose: str) -> Note | None:
    """Compare the module that the file names with those of `whose`, which alone are used; None where it names none.

    `modules` are their paths; None where they are not known.
    """
    if found.module is None:
        return None
    said = f"the monitor uses the PKCS#11 modules of {whose}"
    if modules is None:
        return Note(found.module_line, "pkcs11_module", NoteKind.DIFFERENT, f"{said}, so this one must be among them")
    said = f"{said}: {', '.join(modules)}"
    if os.path.realpath(found.module) in {os.path.realpath(path) for path in modules}:
        return Note(found.module_line, "pkcs11_module", NoteKind.DEAD, f"{said}; this one is among them")
    if os.path.basename(found.module) in {os.path.basename(path) for path in modules}:
        return Note(found.module_line, "pkcs11_module", NoteKind.DIFFERENT, f"{said}; this one has the name of one of them")
    return Note(found.module_line, "pkcs11_module", NoteKind.UNSAFE, f"{said}; this one is none of them, and a card that it alone"
                " knows is not watched: add a [[token.module]] with its path")  # fmt: skip


def with_module_note(found: EventManager, modules: Sequence[str] | None, whose: str) -> EventManager:
    """Return the same with that note among its notes, by line."""
    note = module_note(found, modules, whose)
    if note is None:
        return found
    notes = sorted([*found.translation.notes, note], key=lambda each: each.line)
    return replace(found, translation=replace(found.translation, notes=tuple(notes)))
