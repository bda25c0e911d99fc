# SPDX-License-Identifier: LGPL-2.1-or-later
"""A parser for scconf, the format of pam_pkcs11.conf: blocks `name label { }`, items `key = value, value;`, comments.

What has one clear meaning is read and what is odd about it is kept as a finding: `a=b` without blanks, a missing `;` or
`}`. What could mean two things is a ConfigError with its line, and no other error escapes. Names of blocks and keys are
returned in small letters, as case does not count in them. What a key means is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator

from pam_sc.config.scconf_words import Token, is_word, split_words
from pam_sc.errors import ConfigError
from pam_sc.record import record

DEPTH_MAX = 16


@record(kw_only=True)
class Item:
    """`key = value, value;` and where it stands, counted from 1. Line 0: it comes from elsewhere."""

    key: str
    values: tuple[str, ...]
    line: int
    column: int = 1


@record(kw_only=True)
class Block:
    """`name label { }`. The whole file is one too, without a name."""

    name: str
    label: str | None
    line: int
    column: int
    end_line: int
    items: tuple[Item, ...]
    blocks: tuple[Block, ...]


@record
class Oddity:
    """Something that is read though it is not written as it should be."""

    line: int
    key: str
    text: str


@record
class Tree:
    """A whole file: its outermost block, and what is odd in it."""

    root: Block
    oddities: tuple[Oddity, ...]


def parse_scconf(text: str, path: str) -> Tree:
    """Return the blocks and items of a file; ConfigError where its meaning is not clear."""
    if text.lstrip().startswith("["):
        expected = "expected pam_pkcs11 { ... }; pam-sc migrate reads sssd.conf"
        raise ConfigError(f"{path}:1: found a section of an ini file, {expected}")
    return _Parser(split_words(text, path), path, text.count("\n") + 1).parse()


class _Parser:
    def __init__(self, tokens: Iterator[Token], path: str, last_line: int) -> None:
        self._path = path
        self._tokens = tokens
        self._end = Token("", last_line, 1, quoted=False)
        self._next = next(tokens, self._end)
        self._oddities: list[Oddity] = []

    def parse(self) -> Tree:
        root = self._block("", None, Token("", 1, 1, quoted=False), 0)
        return Tree(root, tuple(self._oddities))

    def _take(self) -> Token:
        taken, self._next = self._next, next(self._tokens, self._end)
        return taken

    def _fail(self, token: Token, expected: str) -> ConfigError:
        """Say where; which word it is stays unsaid, because it may be a part of a password, and errors are logged."""
        found = "the end of the file" if token is self._end else "a word" if is_word(token) else repr(token.text)
        return ConfigError(f"{self._path}:{token.line}: found {found}, expected {expected}")

    def _odd(self, line: int, key: str, text: str) -> None:
        self._oddities.append(Oddity(line, key, text))

    def _block(self, name: str, label: str | None, at: Token, depth: int) -> Block:
        if depth > DEPTH_MAX:
            raise ConfigError(f"{self._path}:{at.line}: blocks are nested too deeply")
        items: list[Item] = []
        blocks: list[Block] = []
        while self._next is not self._end and not self._next.is_mark("}"):
            if self._next.is_mark(";"):
                self._take()
            else:
                self._statement(items, blocks, depth)
        end = self._close(name, at, depth)
        return Block(name=name, label=label, line=at.line, column=at.column, end_line=end,
                     items=tuple(items), blocks=tuple(blocks))  # fmt: skip

    def _close(self, name: str, at: Token, depth: int) -> int:
        if self._next is self._end:
            if depth:
                self._odd(at.line, name, "the } that ends this block is missing; it is taken to end with the file")
            return self._end.line
        if not depth:
            raise self._fail(self._next, "a block or an item: there is no block to end")
        return self._take().line

    def _statement(self, items: list[Item], blocks: list[Block], depth: int) -> None:
        first = self._take()
        if not is_word(first) or first.quoted:
            raise self._fail(first, "the name of a block or a key")
        labels = []
        while is_word(self._next):
            labels.append(self._take())
        if self._next.is_mark("{"):
            if len(labels) > 1:
                raise self._fail(labels[1], "{")
            self._take()
            label = labels[0].text if labels else None
            blocks.append(self._block(first.text.lower(), label, first, depth + 1))
            self._pass_over(";")
        elif self._next.is_mark("=") and not labels:
            items.append(self._item(first, self._take()))
        else:
            expected = "{" if labels else "= and a value, or {"
            raise self._fail(self._next if not labels else labels[0], f"{expected} after the word before it")

    def _item(self, key: Token, equals: Token) -> Item:
        name = key.text.lower()
        if equals.tight:
            self._odd(key.line, name, "there is no blank around the =, so pam_pkcs11 passes over this line")
        values = tuple(self._values(key))
        if self._next.is_mark(";"):
            self._take()
        else:
            self._odd(key.line, name, "the ; that ends this item is missing")
        return Item(key=name, values=values, line=key.line, column=key.column)

    def _values(self, key: Token) -> Iterator[str]:
        """Read values and the commas between them, up to what can only be the end."""
        after_value: Token | None = None
        while True:
            if self._next.is_mark(","):
                after_value = None
                self._take()
            elif is_word(self._next) and after_value is None:
                after_value = self._take()
                yield after_value.text
            elif is_word(self._next) and after_value is not None and self._next.line == after_value.line:
                raise self._fail(self._next, f'"," or ";" after a value of {key.text!a} (quote a value with blanks)')
            elif self._next.is_mark("=") or self._next.is_mark("{"):
                raise self._fail(self._next, f'a value of {key.text!a}, or ";" before the next')
            else:
                return  # ";" or "}", the end of the file, or a word on a later line

    def _pass_over(self, mark: str) -> None:
        if self._next.is_mark(mark):
            self._take()
