# SPDX-License-Identifier: LGPL-2.1-or-later
"""Translates pam_pkcs11.conf, and the arguments of pam_pkcs11's PAM line, into the tree of an equivalent pam_sc.toml.

The same schema and builder then make the configuration. Where the peer's meaning is unsafe the safe one is put into the
tree, and what is dead, unknown, unsafe or different gets a note with its line. Nothing that a file asks for is left out
without a note, and no file but those whose existence `exists` is asked about is touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11_arguments import Given, read_arguments
from pam_sc.config.pam_pkcs11_mappers import translate_mappers
from pam_sc.config.pam_pkcs11_module import read_module
from pam_sc.config.pam_pkcs11_section import Notes, OurKeys, Section, shown, take_our_keys
from pam_sc.config.pam_pkcs11_waiting import read_waiting
from pam_sc.config.scconf import Block, parse_scconf
from pam_sc.config.schema import KeyPath, Parsed
from pam_sc.record import field, record

ROOT = "pam_pkcs11"
DEFAULT_MODULE_BLOCK = "default"
_BLOCKS = ("pkcs11_module", "mapper")

OUR_KEYS: OurKeys = {
    "allow_root": (("account", "allow_root"), "flag"),
    "card_names_user": (("account", "card_names_user"), "words"),
    "services": (("account", "services"), "words"),
    "remote": (("account", "remote"), "word"),
    "allow_last_try": (("pin", "allow_last_try"), "flag"),
    "card": (("card",), "word"),
    "run_as": (("token", "run_as"), "word"),
    "login_first": (("token", "login_first"), "flag"),
    "must_use": (("account", "must_use"), "words"),
    "may_use": (("account", "may_use"), "words"),
    "must_not_use": (("account", "must_not_use"), "words"),
    "prompts": (("pin", "prompts"), "number"),
    "min_length": (("pin", "min_length"), "number"),
    "max_length": (("pin", "max_length"), "number"),
    "pattern": (("pin", "pattern"), "word"),
    "pinpad": (("pin", "pinpad"), "flag"),
    "allow_no_pin": (("pin", "allow_no_pin"), "flag"),
    "wrong_max": (("pin", "wrong_max"), "number"),
    "warn_days": (("certificate", "warn_days"), "number"),
    "choose": (("prompt", "choose"), "flag"),
    "hold": (("prompt", "hold"), "flag"),
    "identity": (("log", "identity"), "flag"),
    "wait": (("wait",), "number"),
    "same_card": (("unlock", "same_card"), "flag"),
    "otherwise": (("unlock", "otherwise"), "word"),
}


@record(kw_only=True)
class Translation:
    """The tree as tomllib would give it, the notes in the order of the file, and the line of each value of the tree."""

    tree: Mapping[str, Parsed]
    notes: tuple[Note, ...]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def errors(self) -> tuple[Note, ...]:
        """The notes for which no login uses this file."""
        return tuple(note for note in self.notes if note.kind is NoteKind.ERROR)


def translate(
    text: str, path: str, arguments: Sequence[str] = (), exists: Callable[[str], bool] = os.path.exists
) -> Translation:
    """Return what a file and the arguments of its PAM line mean; ConfigError if the file is no scconf."""
    parsed = parse_scconf(text, path)
    notes = Notes()
    for oddity in parsed.oddities:
        notes.add(NoteKind.DIFFERENT, oddity.line, oddity.key, oddity.text)
    given = read_arguments(arguments, notes)
    for item in parsed.root.items:
        notes.add(NoteKind.UNKNOWN, item.line, item.key, f"stands outside of the block {ROOT}, where nobody reads it")
    roots = [block for block in parsed.root.blocks if block.name == ROOT]
    for block in parsed.root.blocks:
        if block.name != ROOT:
            notes.add(NoteKind.DEAD, block.line, block.name, f"is no block {ROOT}: {_extent(block)} change no login")
    if len(roots) == 1:
        _translate_root(roots[0], notes, given, exists)
    else:
        found = "none" if not roots else f"{len(roots)}"
        notes.add(NoteKind.ERROR, roots[1].line if roots else 1, ROOT, f"found {found} of the block {ROOT}, expected one")
    ordered = sorted(notes.all, key=lambda note: note.line)
    return Translation(tree=notes.tree, notes=tuple(ordered), lines=notes.lines)


def _translate_root(root: Block, notes: Notes, given: Given, exists: Callable[[str], bool]) -> None:
    section = Section(root, notes, root.line, given.globals)
    if root.label is not None:
        section.note(NoteKind.UNKNOWN, ROOT, f"has a label, {shown(root.label)}, which nobody reads")
    _read_globals(section)
    read_module(_module_block(root, section, given), exists)
    translate_mappers(root, section)
    take_our_keys(section, OUR_KEYS)
    section.finish()
    _note_what_nobody_says(section)
    for block in root.blocks:
        if block.name not in _BLOCKS:
            notes.add(NoteKind.UNKNOWN, block.line, block.name, f"is no block of pam_pkcs11: nobody reads {_extent(block)}")
        for inner in block.blocks:
            kind = NoteKind.ERROR if inner.name in _BLOCKS else NoteKind.UNKNOWN
            notes.add(kind, inner.line, f"{inner.name} {inner.label or ''}".rstrip(), "stands inside of the block of line"
                      f" {block.line}, where nobody reads it; is there a }} missing before it?")


def _extent(block: Block) -> str:
    return f"lines {block.line} to {block.end_line}"


def _module_block(root: Block, section: Section, given: Given) -> Section:
    """The block of the module that is used, with the arguments; an ERROR note if there is none of this name."""
    wanted = section.word("use_pkcs11_module") or DEFAULT_MODULE_BLOCK
    blocks = [block for block in root.blocks if block.name == "pkcs11_module"]
    chosen = [block for block in blocks if (block.label or "").lower() == wanted.lower()]
    for block in blocks:
        if block not in chosen:
            section.note(NoteKind.DEAD, f"pkcs11_module {block.label}",
                         f"is not the module in use, {shown(wanted)}: {_extent(block)} change nothing", block.line)
    if len(chosen) > 1:
        section.note(NoteKind.ERROR, f"pkcs11_module {wanted}", f"stands twice, in line {chosen[0].line} too", chosen[1].line)
    if not chosen and "module" not in given.module:
        known = ", ".join(str(block.label) for block in blocks) or "none"
        section.note(NoteKind.ERROR, "use_pkcs11_module",
                     f"there is no block pkcs11_module {shown(wanted)}, expected one of those in the file: {known}")
    return Section(chosen[0] if chosen else None, section.notes, section.line_of("use_pkcs11_module"), given.module)


# ---------------------------------------------------------------- the keys of the whole


def _read_globals(section: Section) -> None:
    if section.flag("nullok", default=False):
        section.note(NoteKind.UNSAFE, "nullok", "an empty PIN is never sent to a card; there is no key to change that")
    for name in ("try_first_pass", "use_first_pass"):
        if section.flag(name, default=False):
            section.note(NoteKind.DIFFERENT, name, "has no effect in this file: the person is asked for the PIN, because"
                         f" pam_sc.so hands over no password unless its own line says so; write {name} on the PAM line")
    if section.flag("debug", default=False):
        section.note(NoteKind.DIFFERENT, "debug", "has no effect in this file, because what is logged is decided before it is"
                     " read; write debug on the PAM line")
    if section.flag("quiet", default=False):
        section.put(("prompt", "quiet"), True, "quiet")
        section.note(NoteKind.DIFFERENT, "quiet", "the person reads no messages; the log keeps its lines")
    section.dead("pam_pkcs11 reads it and never uses it", "use_authok")
    section.dead("nobody reads it", "use_authtok", "mapper_search_path")
    read_waiting(section)


def _note_what_nobody_says(section: Section) -> None:
    """The strict defaults that pam_pkcs11 does not have, where no key of ours changes them."""
    held = {
        "allow_root": "no card logs in as root",
        "remote": "no card is used from afar",
        "card_names_user": "a card names the account in the services login and gdm-smartcard alone",
    }
    said = [f"{text} ({key} changes that)" for key, text in held.items() if not section.has(key)]
    if said:
        section.note(NoteKind.DIFFERENT, ROOT, "; ".join(said), section.line)
