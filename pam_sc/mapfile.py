# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapfiles: lines of `value -> account`, read whole before the first is used, and an allow-list.

A value that no line lists maps to nothing. `^regex$` on the left is matched against the whole value; patterns that a
value could keep busy for long are refused when the file is read. The first matching line wins. A file that somebody
untrusted could change, or one malformed line, makes the whole file unusable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pam_sc.decision.parsing import clean, hidden_characters
from pam_sc.errors import ConfigError, OwnershipError
from pam_sc.ownership import read_trusted_file
from pam_sc.pattern import compile_pattern
from pam_sc.record import record

MAPFILE_BYTES_MAX = 64 << 20

_ARROW = " -> "


def unusable_account(name: str) -> str | None:
    """Return why no certificate can map to an account of this name, None if one can."""
    if not name:
        return "is empty"
    if hidden_characters(name):
        return "holds a control character"
    if "/" in name:
        return "holds a slash"
    if name.startswith("-"):
        return "begins with -"
    return None


def lower_ascii(text: str) -> str:
    """The text with A to Z made small, and nothing else: no other letter may turn into one of a to z."""
    if text.isascii():
        return text.lower()
    return "".join(character.lower() if character.isascii() else character for character in text)


@record
class _Pattern:
    line: int
    pattern: re.Pattern[str]
    account: str


@record(kw_only=True)
class Mapfile:
    """A mapfile that was read: which account each listed value belongs to."""

    literals: Mapping[str, tuple[int, str]]
    """Value (small letters with ignore_case) -> first line that lists it, and its account."""
    patterns: tuple[_Pattern, ...]
    ignore_case: bool

    def account_of(self, value: str) -> str | None:
        """Return the account of the first line that matches the value, None if no line does."""
        wanted = lower_ascii(value) if self.ignore_case else value
        line, account = self.literals.get(wanted, (None, None))
        for each in self.patterns:
            if line is not None and line < each.line:
                break
            if each.pattern.fullmatch(value):
                return each.account
        return account


def read_mapfile(path: str, trusted_uids: frozenset[int], *, ignore_case: bool = False) -> Mapfile:
    """Read a mapfile; ConfigError with file and line for anything that is unsafe or malformed."""
    try:
        content = read_trusted_file(path, trusted_uids, MAPFILE_BYTES_MAX)
    except OwnershipError as error:
        raise ConfigError(f"cannot use mapfile {path!r}: {error}") from error
    literals: dict[str, tuple[int, str]] = {}
    patterns: list[_Pattern] = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        try:
            _add(raw, number, literals, patterns, ignore_case)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
    return Mapfile(literals=literals, patterns=tuple(patterns), ignore_case=ignore_case)


def _add(
    raw: bytes, number: int, literals: dict[str, tuple[int, str]], patterns: list[_Pattern], ignore_case: bool
) -> None:
    line = _text(raw)
    if not line or line.startswith("#"):
        return
    value, account = _sides(line)
    if value.startswith("^"):
        patterns.append(_Pattern(number, _compiled(value, ignore_case), account))
    else:
        literals.setdefault(lower_ascii(value) if ignore_case else value, (number, account))


def _text(raw: bytes) -> str:
    try:
        line = raw.decode("utf-8").strip(" \t\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"the line is not UTF-8: {error.reason}") from error
    if hidden_characters(line.replace("\t", " ")):
        raise ValueError(f"'{clean(line, 80)}' holds a control character")
    return line


def _sides(line: str) -> tuple[str, str]:
    sides = [side.strip() for side in line.replace("\t", " ").split(_ARROW)]
    if len(sides) != 2:
        raise ValueError(f"got {line!r:.100}, expected one line 'value -> account'")
    value, account = sides
    problem = unusable_account(account)
    if problem is not None:
        raise ValueError(f"the account {account!r} {problem}")
    return value, account


def _compiled(value: str, ignore_case: bool) -> re.Pattern[str]:
    if len(value) < 3 or not value.endswith("$") or value.endswith("\\$"):
        raise ValueError(f"got {value!r:.100}, expected a pattern that begins with ^ and ends with $")
    return compile_pattern(value[1:-1], ignore_case=ignore_case)
