# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read every line of a mapfile as `pam-sc check-config` does: what is malformed, and what an earlier line hides.

A login parses only the lines that could matter to it (pam_sc/mapfile.py), so nothing that must hold for a login is found
out only here. Never imported by a login.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pam_sc.decision.distinguished_name import VALUE_MAX
from pam_sc.mapfile import PARSED_MAX, Line, lower_ascii, parse_line, read_mapfile
from pam_sc.record import record

MATCHES_MAX = 20_000_000
"""Values tried against patterns; behind that, nobody looks for values that a pattern hides."""


@record
class Problem:
    """What is wrong with one line. `malformed`: it maps nothing, and a login that it could concern fails."""

    line: int
    text: str
    malformed: bool


def check_mapfile(
    path: str, trusted_uids: frozenset[int], *, ignore_case: bool = False, most: int = 100
) -> tuple[Problem, ...]:
    """Return what is wrong with the lines, at most `most` problems, those that break something first.

    ConfigError or MapperError where the file cannot be used at all.
    """
    content = b"".join(read_mapfile(path, trusted_uids).blocks())[1:]
    found = list(_problems(content, ignore_case=ignore_case))
    found.sort(key=lambda problem: not problem.malformed)
    if len(found) > most:
        return (*found[:most], Problem(found[most].line, f"{len(found) - most} more problems", found[most].malformed))
    return tuple(found)


def _problems(content: bytes, *, ignore_case: bool) -> Iterator[Problem]:
    seen = _Seen()
    for number, raw in enumerate(content.split(b"\n"), 1):
        try:
            line = parse_line(raw, ignore_case=ignore_case)
        except ValueError as error:
            yield Problem(number, str(error), True)
            continue
        hidden = seen.add(number, line, ignore_case=ignore_case) if line is not None else None
        if hidden is not None:
            yield Problem(number, hidden, False)
    if len(seen.patterns) > PARSED_MAX:
        text = f"{len(seen.patterns)} lines are patterns, expected at most {PARSED_MAX}: behind that every login fails"
        yield Problem(seen.patterns[PARSED_MAX][0], text, True)


class _Seen:
    """The lines so far."""

    def __init__(self) -> None:
        self.literals: dict[str, tuple[int, str]] = {}
        self.patterns: list[tuple[int, Line, re.Pattern[str]]] = []
        self.matches_left = MATCHES_MAX

    def add(self, number: int, line: Line, *, ignore_case: bool) -> str | None:
        """Take a line; return why it never counts, None if it does."""
        key = lower_ascii(line.value) if ignore_case and line.pattern is None else line.value
        first = self.literals.setdefault(key, (number, line.account))
        if first[0] != number:
            return f"never counts: line {first[0]} has the same left side, for {_whom(first[1], line.account)}"
        if line.pattern is not None:
            self.patterns.append((number, line, line.pattern))
            return None
        return self._why_hidden(line)

    def _why_hidden(self, line: Line) -> str | None:
        self.matches_left -= len(self.patterns)
        if self.matches_left < 0:
            return None
        for number, earlier, pattern in self.patterns:
            if len(line.value) <= VALUE_MAX and pattern.fullmatch(line.value):
                return f"never counts: the pattern of line {number} matches its value, for {_whom(earlier.account, line.account)}"
        return None


def _whom(first: str, second: str) -> str:
    return f"{first!r} too" if first == second else f"{first!r}"
