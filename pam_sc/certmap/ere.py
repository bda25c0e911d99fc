# SPDX-License-Identifier: LGPL-2.1-or-later
"""POSIX extended regular expressions (IEEE Std 1003.1, section 9.4), read strictly. Pure.

What the standard leaves undefined is refused rather than guessed: back-references and \\w of GNU, an empty alternative
(which matches everything), two repetitions in a row. Letters, digits and the other classes are those of the POSIX
locale. Whether a value matches is found by `automaton.py`, in a time that no value can stretch.
"""

from __future__ import annotations

from pam_sc.certmap.automaton import (
    ANYTHING,
    AT_END,
    AT_START,
    Characters,
    Either,
    Node,
    Program,
    Repeat,
    Then,
    compile_node,
)

PATTERN_MAX = 1_000
"""Characters of a pattern."""
NESTING_MAX = 30
REPEAT_MAX = 255
"""RE_DUP_MAX, as far as the standard promises it."""

_SPECIAL = frozenset("^.[$()|*+?{\\")
_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "xdigit": "0-9A-Fa-f",
    "space": " - \t-\r", "blank": " - \t-\t", "punct": "!-/:-@[-`{-~", "print": " -~", "graph": "!-~",
    "cntrl": "\0-\x1f\x7f-\x7f",
}  # fmt: skip
_GNU = {
    "w": "[[:alnum:]_]", "W": "[^[:alnum:]_]", "s": "[[:space:]]", "S": "[^[:space:]]", "d": "[[:digit:]]",
    "D": "[^[:digit:]]",
}  # fmt: skip


class MalformedPatternError(ValueError):
    """A pattern is no POSIX extended regular expression; `at` is the offset where that shows."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at


def compile_ere(text: str) -> Program:
    """Return the pattern, ready to be searched for in values; MalformedPatternError if it is none, or is too large."""
    if len(text) > PATTERN_MAX:
        raise MalformedPatternError(PATTERN_MAX, f"the pattern has {len(text)} characters, expected at most {PATTERN_MAX}")
    reader = _Reader(text)
    node = reader.alternatives(0)
    if reader.at < len(text):
        raise reader.error("a ) without its (")
    try:
        return compile_node(node)
    except ValueError as error:
        raise MalformedPatternError(0, str(error)) from error


class _Reader:
    """Where in the text the reading is."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def error(self, why: str) -> MalformedPatternError:
        return MalformedPatternError(self.at, why)

    @property
    def next(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        character = self.next
        self.at += 1
        return character

    def alternatives(self, depth: int) -> Node:
        if depth > NESTING_MAX:
            raise self.error(f"groups within groups deeper than {NESTING_MAX}")
        branches = [self._branch(depth)]
        while self.next == "|":
            self.at += 1
            branches.append(self._branch(depth))
        return branches[0] if len(branches) == 1 else Either(tuple(branches))

    def _branch(self, depth: int) -> Node:
        pieces: list[Node] = []
        while self.next and self.next not in "|)":
            pieces.append(self._piece(depth))
        if not pieces:
            raise self.error("an empty alternative or group, which would match every value")
        return Then(tuple(pieces))

    def _piece(self, depth: int) -> Node:
        start = self.at
        node = self._atom(depth)
        if not (self.next and self.next in "*+?{"):
            return node
        if node in (AT_START, AT_END):
            raise self.error(f"{self.text[start]} cannot be repeated")
        least, most = self._bounds()
        if self.next and self.next in "*+?{":
            raise self.error("two repetitions in a row, which POSIX leaves undefined")
        return Repeat(node, least, most)

    def _atom(self, depth: int) -> Node:
        character = self.next
        if character in "*+?{":
            raise self.error(f"{character} repeats nothing; a {character} itself is written \\{character}")
        self.at += 1
        match character:
            case "^":
                return AT_START
            case "$":
                return AT_END
            case ".":
                return ANYTHING
            case "(":
                return self._group(depth)
            case "[":
                return self._bracket()
            case "\\":
                return self._escaped()
        return Characters(((character, character),))

    def _group(self, depth: int) -> Node:
        node = self.alternatives(depth + 1)
        if self.next != ")":
            raise self.error("a ( without its )")
        self.at += 1
        return node

    def _escaped(self) -> Node:
        character = self.next
        if not character:
            raise self.error("a \\ at the end")
        if character in _GNU:
            raise self.error(f"\\{character} is not POSIX, expected {_GNU[character]}")
        if character.isalnum() or character in "`'<>":
            raise self.error(f"\\{character} is not POSIX (back-references and GNU's extensions are not taken)")
        self.at += 1
        return Characters(((character, character),))

    def _bounds(self) -> tuple[int, int | None]:
        sign = self.take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        end = self.text.find("}", self.at)
        inside = self.text[self.at : end] if end >= 0 else ""
        first, comma, second = inside.partition(",")
        if not _number(first) or (second and not _number(second)):
            raise self.error("expected an interval {n}, {n,} or {n,m}; a { itself is written \\{")
        least = int(first)
        most = least if not comma else int(second) if second else None
        if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
            raise self.error(f"an interval goes from 0 to {REPEAT_MAX}, the smaller number first")
        self.at = end + 1
        return least, most

    # ---- bracket expressions, section 9.3.5

    def _bracket(self) -> Node:
        negated = self.next == "^"
        self.at += negated
        ranges: list[tuple[str, str]] = []
        while self.next != "]" or not ranges:
            ranges += self._class() if self.text.startswith("[:", self.at) else [self._range()]
        self.at += 1
        return Characters(tuple(ranges), negated)

    def _class(self) -> list[tuple[str, str]]:
        end = self.text.find(":]", self.at + 2)
        name = self.text[self.at + 2 : end] if end >= 0 else ""
        if name not in _CLASSES:
            raise self.error(f"unknown class, expected one of {', '.join(f'[:{each}:]' for each in _CLASSES)}")
        self.at = end + 2
        ranges = _CLASSES[name]
        return [(ranges[at], ranges[at + 2]) for at in range(0, len(ranges), 3)]

    def _range(self) -> tuple[str, str]:
        low = self._member()
        if self.next != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return low, low
        self.at += 1
        high = self._member()
        if high < low:
            raise self.error(f"the range {low}-{high} goes backwards")
        return low, high

    def _member(self) -> str:
        if self.text[self.at : self.at + 2] in ("[:", "[=", "[."):
            raise self.error(f"{self.text[self.at:self.at + 2]} cannot stand here: its meaning depends on the locale")
        character = self.take()
        if not character:
            raise self.error("a [ without its ]")
        return character


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3
