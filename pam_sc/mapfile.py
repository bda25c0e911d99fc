# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapfiles: lines of `value -> account`, an allow-list of which only the lines that matter are parsed.

A value that no line lists maps to nothing. `^regex$` on the left is matched against the whole value. The first matching
line wins, and nothing behind it is looked at. Asked for a value, one linear scan finds the lines that have it in front
of an arrow and the lines that are patterns; only these are parsed. A malformed one among them is a MapperError, because
it could have been the line that counts; any other malformed line maps nothing, and `pam-sc check-config` tells of it
(pam_sc/mapfile_check.py). A file that somebody untrusted could change is never used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from pam_sc.decision.distinguished_name import VALUE_MAX
from pam_sc.decision.parsing import clean, hidden_characters
from pam_sc.errors import ConfigError, MapperError, OwnershipError
from pam_sc.ownership import read_trusted_pieces, require_trusted_file
from pam_sc.pattern import compile_pattern
from pam_sc.record import field, record

MAPFILE_BYTES_MAX = 256 << 20
PARSED_MAX = 1_000
"""Lines that are parsed for one value: patterns, and lines that look as if they listed it."""
BLOCK_BYTES = 256 << 10
"""Read and searched at once: what the processor keeps at hand."""
LINE_BYTES_MAX = 64 << 10
VALUES_MAX = 64
"""Values that are looked up together."""
_LOOKED_FOR_ONE_BY_ONE = 2

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
        """Say whether the line is about this value; MapperError where the value is longer than patterns are made for."""
        if self.pattern is not None:
            if len(value) > VALUE_MAX:  # then pam_sc/pattern.py has not bounded the work
                raise MapperError(f"a pattern is for at most {VALUE_MAX} characters, the value has {len(value)}")
            return self.pattern.fullmatch(value) is not None
        return lower_ascii(self.value) == lower_ascii(value) if ignore_case else self.value == value


@record(kw_only=True)
class Mapfile:
    """A mapfile: which account each listed value belongs to. It is read anew for each value."""

    path: str
    """For messages."""
    blocks: Callable[[], Iterator[bytes]] = field(repr=False)
    """Reads the file, many lines at once, each with the line feed before it; the first line gets one as well."""
    ignore_case: bool

    def account_of(self, value: str) -> str | None:
        """Return the account of the first line that matches the value, None if no line does.

        MapperError with file and line where a line that could have matched is malformed, or the file cannot be read.
        """
        return self.accounts_of((value,))[0]

    def accounts_of(self, values: Sequence[str]) -> tuple[str | None, ...]:
        """Return the same for each of several values, which takes hardly longer than for one."""
        wanted = [value for value in dict.fromkeys(values) if value and not hidden_characters(value)]
        if len(wanted) > VALUES_MAX:
            raise MapperError(f"the certificate has {len(wanted)} values to look up, expected at most {VALUES_MAX}")
        found: dict[str, str] = {}
        idle = 0
        for number, start, raw in self._lines_about(wanted) if wanted else ():
            left = [value for value in wanted if value not in found]
            line = self._parsed(number, start, raw, left)
            matching = [value for value in left if line and line.matches(value, ignore_case=self.ignore_case)]
            found |= dict.fromkeys(matching, line.account if line else "")
            idle += not matching
            if len(found) == len(wanted):
                break
            if idle > PARSED_MAX:
                raise MapperError(f"{self.path}: more than {PARSED_MAX} lines are patterns or begin like the value")
        return tuple(found.get(value) for value in values)

    def _lines_about(self, values: Sequence[str]) -> Iterator[tuple[int, int, bytes]]:
        """Each line that could match: in which block it is, where, and the line.

        A block without the value's text, a pattern or a tab (it counts as a blank) has none. In the others a regular
        expression goes from line to line: it begins with a line feed.
        """
        literals = _literals(values)
        about, flags = _beginning(literals), self._flags
        for number, block in enumerate(self.blocks()):
            if b"^" not in block and not _may_list(block, literals, ignore_case=self.ignore_case):
                continue
            for found in re.finditer(about, block, flags):
                start = found.start() + 1
                end = block.find(b"\n", start)
                yield number, start, block[start : end if end >= 0 else None]

    @property
    def _flags(self) -> re.RegexFlag:
        return re.IGNORECASE if self.ignore_case else re.NOFLAG  # of bytes: the letters a to z

    def _parsed(self, block_number: int, start: int, raw: bytes, values: Sequence[str]) -> Line | None:
        """Parse a line; a malformed one is nothing where none of these values could be meant."""
        try:
            return parse_line(raw, ignore_case=self.ignore_case)
        except ValueError as error:
            if not re.match(_beginning(_literals(values)), b"\n" + raw, self._flags):
                return None
            raise MapperError(f"{self.path}:{self._line_number(block_number, start)}: {error}") from error

    def _line_number(self, block_number: int, start: int) -> int:
        """Counted only now: it takes longer than the search."""
        line = 0
        for number, block in enumerate(self.blocks()):
            if number == block_number:
                return line + block.count(b"\n", 0, start)
            line += block.count(b"\n")
        return line


def _may_list(block: bytes, literals: Sequence[bytes], *, ignore_case: bool) -> bool:
    if len(literals) > _LOOKED_FOR_ONE_BY_ONE or b"\t" in block:
        return True
    folded = block.lower() if ignore_case and literals else block
    return any((literal.lower() if ignore_case else literal) in folded for literal in literals)


def read_mapfile(path: str, trusted_uids: frozenset[int], *, ignore_case: bool = False) -> Mapfile:
    """Return a mapfile; ConfigError if it is missing, unsafe or too large. No line is read yet."""

    def blocks() -> Iterator[bytes]:
        try:
            yield from _whole_lines(path, read_trusted_pieces(path, trusted_uids, MAPFILE_BYTES_MAX, BLOCK_BYTES))
        except OwnershipError as error:
            raise MapperError(f"cannot use mapfile {path!r}: {error}") from error

    try:
        require_trusted_file(path, trusted_uids, MAPFILE_BYTES_MAX)
    except OwnershipError as error:
        raise ConfigError(f"cannot use mapfile {path!r}: {error}") from error
    return Mapfile(path=path, blocks=blocks, ignore_case=ignore_case)


def mapfile_of(path: str, content: bytes, *, ignore_case: bool = False) -> Mapfile:
    """Return the mapfile that has this content."""
    return Mapfile(path=path, blocks=lambda: iter((b"\n" + content,)), ignore_case=ignore_case)


def _whole_lines(path: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b"\n"
    for piece in pieces:
        end = piece.rfind(b"\n")
        if end >= 0:
            yield b"".join((rest, memoryview(piece)[:end]))
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > LINE_BYTES_MAX + 1:
            raise MapperError(f"{path}: a line has more than {LINE_BYTES_MAX} bytes")
    yield rest


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


def _literals(values: Sequence[str]) -> list[bytes]:
    return [value.encode() for value in values if why_not_literal(value) is None]


def _beginning(literals: Sequence[bytes]) -> bytes:
    """A regular expression for the beginning of each line that lists a value, well or badly, or that is a pattern.

    For each value it looks at each byte of a line once or twice, whatever the value is.
    """
    if not literals:
        return rb"\n[ \t\r]*\^"
    values = b"|".join(re.escape(literal).replace(rb"\ ", rb"[ \t]") for literal in literals)
    return rb"\n[ \t\r]*(?:(?:" + values + rb")[ \t]*->|\^)"


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
