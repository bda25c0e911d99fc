# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words a schema is written in, and the one walk that holds a parsed file against it.

A schema is a tree of Table, ListOf and Key. `Table.read` and its siblings return the same tree of values, each parsed
by its Key, or raise MismatchError: which key, what was found, what was expected, the nearest known word. Nothing here
knows a file, a key of pam_sc or a file format, and nothing is ever skipped: what the schema does not name is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pam_sc.record import field, record

Parsed = Any
"""What a parser made of a value: each key has its own type, and toml.py knows which."""
KeyPath = tuple[str | int, ...]
"""Where a value stands: names of keys and indexes of arrays, from the top of the file."""

_TYPES: dict[type, str] = {bool: "a boolean", int: "an integer", float: "a number", list: "an array", dict: "a table"}
_SHOWN_MAX = 80


class MismatchError(Exception):
    """A value that the schema does not allow. `nearest` is a known word that looks like the one that was found."""

    def __init__(self, path: KeyPath, found: str, expected: str, nearest: str | None = None) -> None:
        super().__init__(found, expected)
        self.path = path
        self.found = found
        self.expected = expected
        self.nearest = nearest


class UnacceptableError(Exception):
    """Raised by the parser of a Key: the value has the right type, and this is what is wrong with it."""


class SecretError(UnacceptableError):
    """The same of a value that holds something secret, so that it must not be shown."""


@record(kw_only=True)
class Key:
    """One value. `parse` returns what the program uses, or raises TypeError or UnacceptableError."""

    expected: str
    parse: Callable[[object], Parsed]
    required: bool = False
    choices: tuple[str, ...] = ()
    """Where only these words are allowed: for the nearest one."""
    silent: bool = False
    """The value may be a secret: only its type is shown."""

    def read(self, value: object, path: KeyPath) -> Parsed:
        """Return the parsed value."""
        try:
            return self.parse(value)
        except TypeError:
            raise self._mismatch(value, path, "") from None
        except UnacceptableError as why:
            because = f" ({why})" if str(why) else ""
            raise self._mismatch(value, path, because, secret=isinstance(why, SecretError)) from None

    def _mismatch(self, value: object, path: KeyPath, because: str, *, secret: bool = False) -> MismatchError:
        shown = kind_of(value) if self.silent or secret else describe(value)
        return MismatchError(path, shown + because, self.expected, _nearest(value, self.choices))


@record(kw_only=True)
class ListOf:
    """An array whose items all have one schema."""

    item: Key | Table | ShortOrTable
    least: int = 0
    optional: bool = False
    """It may be missing even where it may not be empty."""
    distinct: bool = False
    """No item may be there twice."""
    expected: str

    @property
    def required(self) -> bool:
        """Missing is an error where an empty one is."""
        return self.least > 0 and not self.optional

    def read(self, value: object, path: KeyPath) -> tuple[Parsed, ...]:
        """Return the parsed items, in order."""
        if not isinstance(value, list):
            raise MismatchError(path, describe(value), self.expected)
        if len(value) < self.least:
            raise MismatchError(path, "an empty array", self.expected)
        items = tuple(self.item.read(item, (*path, index)) for index, item in enumerate(value))
        for index, item in enumerate(items):
            if self.distinct and item in items[:index]:
                raise MismatchError((*path, index), f"{describe(value[index])} twice", self.expected)
        return items


@record(kw_only=True)
class Table:
    """A table of known keys. With `others`, unknown keys are values of that kind, if `other_names` accepts the name."""

    keys: Mapping[str, Key | ListOf | Table | ShortOrTable] = field(default_factory=dict)
    others: Key | None = None
    other_names: Key | None = None
    expected: str = "a table"

    @property
    def required(self) -> bool:
        """Some key in it is required, so that the whole table is."""
        return any(child.required for child in self.keys.values())

    def read(self, value: object, path: KeyPath) -> dict[str, Parsed]:
        """Return the parsed values that are present."""
        parsed = self.read_some(value, path)
        for name, child in self.keys.items():
            if name not in parsed and child.required:
                _refuse_absence(child, (*path, name))
        return parsed

    def read_some(self, value: object, path: KeyPath) -> dict[str, Parsed]:
        """The same, but what is required may be missing here: it stands elsewhere. Not in the tables within."""
        if not isinstance(value, dict):
            raise MismatchError(path, describe(value), self.expected)
        unknown = [name for name in value if name not in self.keys]
        parsed = {name: self._other(name, value[name], path) for name in unknown}
        for name, child in self.keys.items():
            if name in value:
                parsed[name] = child.read(value[name], (*path, name))
        return parsed

    def _other(self, name: str, value: object, path: KeyPath) -> Parsed:
        if self.others is None:
            expected = f"one of {', '.join(sorted(self.keys))}" if self.keys else "no key"
            raise MismatchError((*path, name), "an unknown key", expected, _nearest(name, self.keys))
        if self.other_names is not None:
            self.other_names.read(name, (*path, name))
        return self.others.read(value, (*path, name))


@record(kw_only=True)
class ShortOrTable:
    """A value that has a short form, and a table that says more. The parser of the short form gives such a table too."""

    short: Key | ListOf
    table: Table
    short_for: str | None = None
    """The key of the table that the short form is the value of, where that does not give a table by itself."""

    @property
    def expected(self) -> str:
        """What may stand here."""
        return self.short.expected

    @property
    def required(self) -> bool:
        """Never: what must be there has one form."""
        return False

    def read(self, value: object, path: KeyPath) -> dict[str, Parsed]:
        """Return the parsed table."""
        if isinstance(value, dict):
            return self.table.read(value, path)
        parsed = self.short.read(value, path)
        return dict(parsed) if self.short_for is None else {self.short_for: parsed}


def _refuse_absence(child: Key | ListOf | Table | ShortOrTable, path: KeyPath) -> None:
    if isinstance(child, Table):
        child.read({}, path)
    raise MismatchError(path, "nothing", child.expected)


def _nearest(found: object, known: Iterable[str]) -> str | None:
    if not isinstance(found, str):
        return None
    import difflib  # only where something is wrong: a login that goes well does not need it

    close = difflib.get_close_matches(found[:_SHOWN_MAX], list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def kind_of(value: object) -> str:
    """Name the type of a parsed value in the words of the file format."""
    return _TYPES.get(type(value), "a string" if isinstance(value, str) else "a date or time")


def describe(value: object) -> str:
    """Show a parsed value in one short line, with nothing in it that could disturb a terminal or a log."""
    if isinstance(value, (list, dict)):
        return ("an empty " if not value else "a non-empty ") + kind_of(value).removeprefix("an ").removeprefix("a ")
    try:
        shown = ascii(value) if not isinstance(value, bool) else str(value).lower()
    except ValueError:  # an integer with more digits than Python prints
        return f"{kind_of(value)} too long to show"
    if len(shown) > _SHOWN_MAX:
        shown = shown[:_SHOWN_MAX] + "..."
    return shown if isinstance(value, str) else f"{shown} ({kind_of(value)})"
