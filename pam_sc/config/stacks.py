# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read PAM service files as libpam does (pam.conf(5)), far enough to see what a stack with pam_sc.so in it can do.

Knows fields, bracketed controls and arguments, continued lines, include, substack and Debian's @include. Says nothing
about what a stack should be (that is lint_stacks.py), changes nothing, and looks at no file outside the given folder
but those an include names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pam_sc.record import record

_FIELD = re.compile(r"\[(?:\\.|[^\]\\])*\]|\S+")
_PAIR = re.compile(r"([a-z_]+)\s*=\s*([a-z]+|[0-9]+)")
_DEPTH_MAX = 16
_FILE_MAX = 256 * 1024
_TYPES = frozenset({"auth", "account", "password", "session"})

_CONTROLS = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}


@record(kw_only=True)
class Entry:
    """One line of a stack: where it stands, its type and control as written, the module, its arguments."""

    where: str
    type: str
    control: str
    module: str
    arguments: tuple[str, ...]
    level: int = 0
    """How many substacks it stands in."""

    @property
    def results(self) -> tuple[str, ...]:
        """The results that its control speaks of by name."""
        words = _CONTROLS.get(self.control.lower())
        return tuple(words if words is not None else dict(_PAIR.findall(self.control)))

    @property
    def basename(self) -> str:
        """The module's file name, however it is written."""
        return self.module.rsplit("/", 1)[-1]

    def action(self, result: str) -> str:
        """What libpam does when the module returns this: ok, done, ignore, bad, die, reset or a number to jump."""
        words = _CONTROLS.get(self.control.lower())
        if words is None:
            words = dict(_PAIR.findall(self.control))
        return words.get(result, words.get("default", "bad"))


@record
class Substack:
    """Where a substack begins; its lines follow, one level up. To a jump it is one entry with all of them."""

    type: str
    level: int


@record
class Missing:
    """An include that cannot be followed."""

    where: str
    why: str


def read_stack(folder: str, service: str) -> Iterator[Entry | Substack | Missing]:
    """Yield the entries of one service in order, includes followed."""
    yield from _read(folder, os.path.join(folder, service), None, 0, 0)


def _read(
    folder: str, path: str, only: str | None, depth: int, level: int, asked_at: str = ""
) -> Iterator[Entry | Substack | Missing]:
    try:
        lines = list(_logical_lines(path))
    except OSError as error:
        yield Missing(asked_at or path, f"cannot read {path}: {error.strerror}")
        return
    for number, fields in lines:
        where = f"{path}:{number}"
        included = _included(fields, only)
        if included is None:
            yield from _entry(where, fields, only, level)
        elif depth == _DEPTH_MAX:
            yield Missing(where, "includes are nested too deeply")
        else:
            name, kind = included
            inner = level
            if kind is not None and fields[0] != "@include" and fields[1].lower() == "substack":
                yield Substack(kind, level)
                inner = level + 1
            yield from _read(folder, os.path.join(folder, name), kind, depth + 1, inner, where)


def _included(fields: list[str], only: str | None) -> tuple[str, str | None] | None:
    """Return file and type of an include line; ("", ...) never occurs, None for any other line."""
    if fields[0] == "@include":
        return (fields[1], only) if len(fields) > 1 else None
    kind = fields[0].lstrip("-").lower()
    if len(fields) > 2 and fields[1].lower() in ("include", "substack") and only in (None, kind):
        return fields[2], kind
    return None


def _entry(where: str, fields: list[str], only: str | None, level: int) -> Iterator[Entry]:
    kind = fields[0].lstrip("-").lower()
    if kind in _TYPES and len(fields) > 2 and only in (None, kind) and fields[1].lower() not in ("include", "substack"):
        arguments = tuple(field[1:-1].replace("\\]", "]") if field[0] == "[" else field for field in fields[3:])
        yield Entry(where=where, type=kind, control=fields[1], module=fields[2], arguments=arguments, level=level)


def _logical_lines(path: str) -> Iterator[tuple[int, list[str]]]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read(_FILE_MAX)
    joined, began = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        said, comment, _ = line.partition("#")
        if not said.strip() and number <= text.count("\n"):
            continue  # a blank line or a comment ends no line that goes on
        began = began if joined else number
        joined += said.rstrip(" \t")
        if joined.endswith("\\") and not comment:
            joined = joined[:-1] + " "
            continue
        fields = _FIELD.findall(joined)
        joined = ""
        if fields:
            yield began, fields
