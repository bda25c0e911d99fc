# SPDX-License-Identifier: LGPL-2.1-or-later
"""Splits the text of an scconf file into words and marks, each with its line and column; parse_scconf reads those.

A value keeps its "=" (`cn=admin`), a key does not (`use_mappers=cn`), so the splitter knows which of the two comes next.
Size and number of words are bounded. ConfigError for a string that is not closed, or a character that no text holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pam_sc.errors import ConfigError
from pam_sc.record import record

TEXT_MAX = 256 * 1024
WORDS_MAX = 20_000
_MARKS = frozenset("{}=,;")
_BLANK = re.compile(r"[ \t\r\f\v]+|#[^\n]*")
_KEY = re.compile(r'[^\s{}=,;"#][^\s{}=,;"]*')
_VALUE = re.compile(r'[^\s{}=,;"#][^\s{},;"]*')
_STRING = re.compile(r'"([^"\n]*)"')
_TEXT = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f]*")


@record
class Token:
    """A word, or one of the marks { } = , ;"""

    text: str
    line: int
    column: int
    quoted: bool
    tight: bool = False
    """A "=" that stands right behind its key."""

    def is_mark(self, mark: str) -> bool:
        """Say whether it is this mark, and not a string that looks like it."""
        return not self.quoted and self.text == mark


def is_word(token: Token) -> bool:
    """Say whether it is a word or a string; the end of the file is neither."""
    return token.quoted or (token.text not in _MARKS and token.text != "")


def split_words(text: str, path: str) -> Iterator[Token]:
    """Yield the words and marks of a text in order; ConfigError for what is none."""
    if len(text) > TEXT_MAX:
        raise ConfigError(f"{path}: found {len(text)} characters, expected at most {TEXT_MAX}")
    if text.startswith("\ufeff"):
        raise ConfigError(f"{path}:1: found a byte order mark; save the file without it")
    for line, content in enumerate(text.split("\n"), 1):
        if not _TEXT.fullmatch(content):
            raise ConfigError(f"{path}:{line}: found a control character")
        if "\r" in content[:-1]:  # pam_pkcs11 ends a comment there
            raise ConfigError(f"{path}:{line}: found a carriage return in the middle of a line")
    for count, token in enumerate(_split(text, path), 1):
        if count > WORDS_MAX:
            raise ConfigError(f"{path}:{token.line}: found more than {WORDS_MAX} words")
        yield token


def _split(text: str, path: str) -> Iterator[Token]:
    in_value = False
    before: Token | None = None
    for number, line in enumerate(text.split("\n"), 1):
        at = 0
        while at < len(line):
            if blank := _BLANK.match(line, at):
                at = blank.end()
                continue
            if before is not None and before.line < number and is_word(before):
                in_value = False  # a word on a later line than a value begins what comes next: the ";" is missing
            found, end = _token(line, at, number, in_value, path)
            tight = found.is_mark("=") and before is not None and _ends_at(before, number, at)
            before = Token(found.text, number, at + 1, found.quoted, tight)
            yield before
            in_value = before.is_mark("=") or (in_value and not _ends_value(before))
            at = end


def _ends_at(before: Token, line: int, at: int) -> bool:
    return before.line == line and before.column - 1 + len(before.text) == at


def _ends_value(token: Token) -> bool:
    return any(token.is_mark(mark) for mark in ";{}")


def _token(line: str, at: int, number: int, in_value: bool, path: str) -> tuple[Token, int]:
    if line[at] in _MARKS:
        return Token(line[at], number, at + 1, quoted=False), at + 1
    if line[at] == '"':
        found = _STRING.match(line, at)
        if found is None:
            raise ConfigError(f"{path}:{number}: a string is not closed on its line")
        return Token(found[1], number, at + 1, quoted=True), found.end()
    found = (_VALUE if in_value else _KEY).match(line, at)
    if found is None:
        raise ConfigError(f"{path}:{number}: found {line[at]!a}, expected a word")
    return Token(found[0], number, at + 1, quoted=False), found.end()
