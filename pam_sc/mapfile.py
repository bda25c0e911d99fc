# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapfiles: lines of `value -> account`, an allow-list that is read at once and parsed only where it matters.

A value that no line lists maps to nothing. `^regex$` on the left is matched against the whole value. The first matching
line wins, and nothing behind it is looked at. Asked for a value, one linear scan finds the lines that have it in front
of an arrow and the lines that are patterns; only these are parsed. A malformed one among them is a MapperError, because
it could have been the line that counts; any other malformed line maps nothing, and `pam-sc check-config` tells of it
(pam_sc/mapfile_check.py). A file that somebody untrusted could change is never used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pam_sc.decision.parsing import clean, hidden_characters
from pam_sc.errors import ConfigError, MapperError, OwnershipError
from pam_sc.ownership import read_trusted_file
from pam_sc.pattern import compile_pattern
from pam_sc.record import field, record

MAPFILE_BYTES_MAX = 256 << 20
PARSED_MAX = 1_000
"""Lines that are parsed for one value: patterns, and lines that look as if they listed it."""

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
class Line:
    """One line that maps: the value as it is written, or the pattern, and the account."""

    value: str
    account: str
    pattern: re.Pattern[str] | None = None

    def matches(self, value: str, *, ignore_case: bool) -> bool:
        """Say whether the line is about this value."""
        if self.pattern is not None:
            return self.pattern.fullmatch(value) is not None
        return lower_ascii(self.value) == lower_ascii(value) if ignore_case else self.value == value


@record(kw_only=True)
class Mapfile:
    """A mapfile that was read: which account each listed value belongs to."""

    path: str
    """For messages."""
    content: bytes = field(repr=False)
    ignore_case: bool

    def account_of(self, value: str) -> str | None:
        """Return the account of the first line that matches the value, None if no line does.

        MapperError with file and line where a line that could have matched is malformed.
        """
        if not value or hidden_characters(value):
            return None
        for parsed, start in enumerate(self._starts(value)):
            if parsed == PARSED_MAX:
                raise MapperError(f"{self.path}: more than {PARSED_MAX} lines are patterns or begin like the value")
            line = self._line(start)
            if line is not None and line.matches(value, ignore_case=self.ignore_case):
                return line.account
        return None

    def _starts(self, value: str) -> Iterator[int]:
        """Where the lines begin that could match. Beginning with a line feed, the search skips from line to line."""
        looked_for = _lines_about(value)
        flags = re.IGNORECASE if self.ignore_case else 0  # of bytes: the letters a to z
        if re.match(looked_for, self.content, flags):
            yield 0
        for found in re.finditer(rb"\n" + looked_for, self.content, flags):
            yield found.start() + 1

    def _line(self, start: int) -> Line | None:
        end = self.content.find(b"\n", start)
        try:
            return parse_line(self.content[start : end if end >= 0 else None], ignore_case=self.ignore_case)
        except ValueError as error:
            number = self.content.count(b"\n", 0, start) + 1
            raise MapperError(f"{self.path}:{number}: {error}") from error


def read_mapfile(path: str, trusted_uids: frozenset[int], *, ignore_case: bool = False) -> Mapfile:
    """Read a mapfile; ConfigError if it is missing, unsafe or too large. No line is parsed yet."""
    try:
        content = read_trusted_file(path, trusted_uids, MAPFILE_BYTES_MAX)
    except OwnershipError as error:
        raise ConfigError(f"cannot use mapfile {path!r}: {error}") from error
    return Mapfile(path=path, content=content, ignore_case=ignore_case)


def why_not_literal(value: str) -> str | None:
    """Return why no line can list this very value, None if one can."""
    if not value:
        return "is empty"
    if hidden_characters(value):
        return "holds a control character"
    if value != value.strip(" "):
        return "begins or ends with a blank"
    if value.startswith(("#", "^")):
        return f"begins with {value[0]}"
    return f"holds '{_ARROW}'" if _ARROW in f"{value} " else None


def _lines_about(value: str) -> bytes:
    """A regular expression for the beginning of each line that lists the value, well or badly, or that is a pattern.

    It tries each byte of a line once or twice, whatever the value is. A tab in a line counts as a blank.
    """
    if why_not_literal(value) is not None:
        return rb"[ \t\r]*\^"
    return rb"[ \t\r]*(?:" + re.escape(value.encode()).replace(rb"\ ", rb"[ \t]") + rb"[ \t]*->|\^)"


def parse_line(raw: bytes, *, ignore_case: bool = False) -> Line | None:
    """Return what a line says, None for a comment or an empty one; ValueError if it is malformed."""
    line = _text(raw)
    if not line or line.startswith("#"):
        return None
    value, account = _sides(line)
    pattern = _compiled(value, ignore_case=ignore_case) if value.startswith("^") else None
    return Line(value, account, pattern)


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


def _compiled(value: str, *, ignore_case: bool) -> re.Pattern[str]:
    if len(value) < 3 or not value.endswith("$") or value.endswith("\\$"):
        raise ValueError(f"got {value!r:.100}, expected a pattern that begins with ^ and ends with $")
    return compile_pattern(value[1:-1], ignore_case=ignore_case)
