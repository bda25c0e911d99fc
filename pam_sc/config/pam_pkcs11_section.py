# SPDX-License-Identifier: LGPL-2.1-or-later
"""One block of pam_pkcs11.conf while it is read: each key is asked for once, and what nobody asks for is unknown.

Types are those of pam_pkcs11's documentation. A value that is none of its type is an ERROR note and reads as if it were
not there; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.scconf import Block, Item
from pam_sc.config.schema import KeyPath, Parsed

_TRUE = frozenset({"true", "t", "yes", "y"})
_TRUE_BUT_NOT_THERE = frozenset({"on", "1", "enabled", "enable"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0", "disabled", "disable", ""})
_SHOWN_MAX = 60
_LOGIN = re.compile(r"//[^/]*@")


def shown(value: str) -> str:
    """A value of the file for a message, in one short line, and without the user and password of a URL."""
    return ascii(_LOGIN.sub("//...@", value)[:_SHOWN_MAX])


def join_policies(before: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The words of a cert_policy with those of an argument, which adds to them; only "none" puts an end to those before."""
    kept = () if "none" in (*before, *words) else before
    return (*kept, *(word for word in words if word != "none")) or tuple(words)


class Notes:
    """The notes so far, and what the translation has put into its tree."""

    def __init__(self) -> None:
        self.all: list[Note] = []
        self.tree: dict[str, Parsed] = {}
        self.lines: dict[KeyPath, int] = {}

    def add(self, kind: NoteKind, line: int, key: str, text: str) -> None:
        """Add one note; a second about the same thing is dropped."""
        note = Note(line, key, kind, text)
        if note not in self.all:
            self.all.append(note)

    def put(self, path: KeyPath, value: Parsed, line: int) -> None:
        """Put a value into the tree, and remember its line. Tables and arrays around it are made."""
        at: Parsed = self.tree
        for part, following in pairwise(path):
            fresh: Parsed = [] if isinstance(following, int) else {}
            if isinstance(part, int):
                at += [fresh] if part == len(at) else []
                at = at[part]
            else:
                at = at.setdefault(part, fresh)
        at[path[-1]] = value
        for length in range(len(path), 0, -1):
            self.lines.setdefault(path[:length], line)


class Section:
    """A block, or the absence of one; `given` are the arguments of the PAM line, which come before what the file says."""

    def __init__(self, block: Block | None, notes: Notes, line: int, given: Mapping[str, Item] | None = None) -> None:
        self.notes = notes
        self.line = block.line if block else line
        self.name = "" if block is None else f"{block.name} {block.label}" if block.label else block.name
        self._given = given or {}
        self._items: dict[str, Item] = {}
        self._asked: set[str] = set()
        for item in block.items if block else ():
            before = self._items.setdefault(item.key, item)
            if before.values != item.values:
                self.note(NoteKind.ERROR, item.key, f"stands twice with two values, in line {before.line} too", item.line)
        for key, item in self._given.items():
            if key in self._items and key == "cert_policy":
                self.note(NoteKind.DIFFERENT, key, "holds together with the argument of the PAM line")
                values = join_policies(self._items[key].values, item.values)
                self._items[key] = Item(key=key, values=values, line=item.line)
            else:
                if key in self._items:
                    self.note(NoteKind.DEAD, key, "the argument of the PAM line holds instead")
                self._items[key] = item

    def note(self, kind: NoteKind, key: str, text: str, line: int | None = None) -> None:
        """Add a note about a key of this block, in its line if it is there."""
        self.notes.add(kind, self.line_of(key) if line is None else line, key, text)

    def line_of(self, key: str) -> int:
        """The line of a key; that of the block if it is not there."""
        return self._items[key].line if key in self._items else self.line

    def has(self, key: str) -> bool:
        """Say whether the key is there."""
        return key in self._items

    def words(self, key: str) -> tuple[str, ...] | None:
        """The values of a key; None if it is not there."""
        self._asked.add(key)
        item = self._items.get(key)
        return None if item is None else item.values

    def word(self, key: str) -> str | None:
        """The one value of a key, "" where it is empty; None if it is not there."""
        values = self.words(key)
        if values is None:
            return None
        if len(values) > 1:
            self.note(NoteKind.ERROR, key, f"has {len(values)} values, expected one (quote a value with a comma)")
            return None
        return values[0] if values else ""

    def flag(self, key: str, default: bool) -> bool:
        """Yes or no. pam_pkcs11 takes every word but t... and y... as no; a word that means yes is one here."""
        value = self.word(key)
        if value is None:
            return default
        if value.lower() in _TRUE_BUT_NOT_THERE:
            self.note(NoteKind.DIFFERENT, key, f"{shown(value)} means yes here; pam_pkcs11 takes it as no")
            return True
        if value.lower() in _TRUE or value.lower() in _FALSE:
            return value.lower() in _TRUE
        self.note(NoteKind.ERROR, key, f"found {shown(value)}, expected true or false")
        return default

    def number(self, key: str) -> int | None:
        """A whole number as C writes it: decimal, 0x hexadecimal, 0 octal; None if it is not there, or empty."""
        value = self.word(key)
        if not value:
            return None
        try:
            octal = len(value) > 1 and value[0] == "0" and value.isdigit()
            return int(value[:20], 8 if octal else 0)
        except ValueError:
            self.note(NoteKind.ERROR, key, f"found {shown(value)}, expected a whole number")
            return None

    def dead(self, why: str, *keys: str) -> None:
        """Note that these keys change nothing, where they are there."""
        for key in keys:
            if self.words(key) is not None:
                self.note(NoteKind.DEAD, key, why)

    def put(self, path: KeyPath, value: Parsed, key: str) -> None:
        """Put what a key says into the tree."""
        self.notes.put(path, value, self.line_of(key))

    def finish(self) -> None:
        """Note every key that was never asked for."""
        for key, item in self._items.items():
            if key not in self._asked:
                import difflib  # only where something is wrong

                close = difflib.get_close_matches(key, sorted(self._asked), 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                self.note(NoteKind.UNKNOWN, key, f"neither pam_pkcs11 nor pam_sc knows it{hint}", item.line)


OurKeys = Mapping[str, tuple[KeyPath, str]]
"""Keys of pam_sc.toml that may stand in a block of the peer's: where they belong, and of which type they are."""


def take_our_keys(section: Section, keys: OurKeys, before: KeyPath = ()) -> None:
    """Put what the block says in keys of ours into the tree."""
    for key, (path, kind) in keys.items():
        value = _typed(section, key, kind) if section.has(key) else section.words(key)
        if value is not None:
            section.put((*before, *path), value, key)


def _typed(section: Section, key: str, kind: str) -> bool | int | str | list[str] | None:
    if kind in ("flag", "number") and section.word(key) == "":
        section.note(NoteKind.ERROR, key, "has no value")
    if kind == "flag":
        return section.flag(key, default=False)
    if kind == "number":
        return section.number(key)
    if kind == "words":
        return list(section.words(key) or ())
    return section.word(key)


def listed(words: Sequence[str]) -> str:
    """Words for a sentence."""
    return ", ".join(words)
