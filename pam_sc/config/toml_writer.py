# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write a tree of values as TOML 1.0 text, with comments beside what they speak of.

For `pam-sc migrate` alone. Whatever it returns, tomllib reads back as the very same tree; what could not come back so
(a character that cannot be printed, a number that is none, a date) is refused, never written in another form. Nothing
is opened here.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pam_sc.config.schema import KeyPath
from pam_sc.config.where import dotted
from pam_sc.errors import ConfigError

WIDTH = 118
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_toml(
    tree: Mapping[str, Any], *, header: Iterable[str] = (), comments: Mapping[KeyPath, Sequence[str]] | None = None
) -> str:
    """Return the text; ConfigError for a value that TOML cannot hold as it is.

    `header` are paragraphs for the top, `comments` paragraphs that go before the key or table at their path. A comment on
    something that the tree does not have goes to the nearest table around it.
    """
    said = _placed(comments or {}, tree)
    lines = [line for paragraph in header for line in (*comment_lines(paragraph), "#")]
    lines += [line for paragraph in said.get((), ()) for line in comment_lines(paragraph)]
    lines += _table(tree, (), said)
    return "\n".join(_without_double_blanks(lines)) + "\n"


def comment_lines(paragraph: str) -> list[str]:
    """The paragraph as lines of a comment, without anything that would end one or disturb a terminal."""
    harmless = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in paragraph)
    return textwrap.wrap(harmless, WIDTH, initial_indent="# ", subsequent_indent="# ",
                         break_long_words=False, break_on_hyphens=False) or ["#"]


def _placed(comments: Mapping[KeyPath, Sequence[str]], tree: Mapping[str, Any]) -> dict[KeyPath, list[str]]:
    placed: dict[KeyPath, list[str]] = {}
    for path, paragraphs in comments.items():
        lengths = range(len(path), 0, -1)
        place = next((path[:length] for length in lengths if _has_a_line(tree, path[:length])), ())
        placed.setdefault(place, []).extend(paragraphs)
    return placed


def _has_a_line(tree: Any, path: KeyPath) -> bool:  # noqa: ANN401 - any value of a tree
    """Whether the writer begins a line of its own with what stands at this path."""
    at = tree
    for part in path:
        if isinstance(part, int):
            if not _is_tables(at) or part >= len(at):
                return False
        elif not isinstance(at, Mapping) or part not in at:
            return False
        at = at[part]
    return not _is_tables(at)


def _without_double_blanks(lines: Iterable[str]) -> Iterator[str]:
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line


# ---------------------------------------------------------------- tables


def _table(table: Mapping[str, Any], path: KeyPath, said: Mapping[KeyPath, Sequence[str]]) -> Iterator[str]:
    """The lines of a table below its own header: plain values first, because a header ends them."""
    _require_names(table, path)
    for name, value in table.items():
        if not _has_header(value):
            yield from _said((*path, name), said)
            yield f"{_name(name)} = {_value(value, (*path, name))}"
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _with_header(value, (*path, name), said)
        elif _is_tables(value):
            for index, item in enumerate(value):
                yield from _item(item, (*path, name, index), said)


def _with_header(table: Mapping[str, Any], path: KeyPath, said: Mapping[KeyPath, Sequence[str]]) -> Iterator[str]:
    """A table; its header is left out where it would stand above nothing but other headers."""
    if not table or said.get(path) or not all(_has_header(value) for value in table.values()):
        yield ""
        yield from _said(path, said)
        yield f"[{_header(path)}]"
    yield from _table(table, path, said)


def _item(table: Mapping[str, Any], path: KeyPath, said: Mapping[KeyPath, Sequence[str]]) -> Iterator[str]:
    yield ""
    yield from _said(path, said)
    yield f"[[{_header(path)}]]"
    yield from _table(table, path, said)


def _said(path: KeyPath, said: Mapping[KeyPath, Sequence[str]]) -> Iterator[str]:
    for paragraph in said.get(path, ()):
        yield from comment_lines(paragraph)


def _header(path: KeyPath) -> str:
    return ".".join(_name(part) for part in path if isinstance(part, str))


def _has_header(value: object) -> bool:
    return isinstance(value, Mapping) or _is_tables(value)


def _is_tables(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Mapping) for item in value)


# ---------------------------------------------------------------- values


def _value(value: object, path: KeyPath) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return _quoted(value, path)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item, (*path, index)) for index, item in enumerate(value)) + "]"
    if isinstance(value, Mapping):
        _require_names(value, path)
        inner = ", ".join(f"{_name(name)} = {_value(item, (*path, name))}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    raise ConfigError(f"cannot write {dotted(path)}: found {type(value).__name__}, expected text, a number or a list")


def _quoted(text: str, path: KeyPath) -> str:
    if not text.isprintable():
        raise ConfigError(f"cannot write {dotted(path)}: it holds a character that cannot be printed")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name, (name,))


def _require_names(table: Mapping[str, Any], path: KeyPath) -> None:
    for name in table:
        if not name.isprintable():
            raise ConfigError(f"cannot write the table {dotted(path)!r}: a name in it cannot be printed")
