# SPDX-License-Identifier: LGPL-2.1-or-later
"""Find the line of a TOML file on which a key stands, for error messages only.

tomllib keeps no positions, so the file is parsed again, cut off before and after each line that could hold the key: the
key stands on the line with which it first appears. So the answer is tomllib's own, or None; it is never a guess. Used
after something was found wrong, never on the way of a login that goes well.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from pam_sc.config.schema import KeyPath

_CANDIDATES_MAX = 32
_STATEMENT_LINES_MAX = 64


def find_line(text: str, path: KeyPath) -> int | None:
    """Return the line, counted from 1, on which the value at `path` begins; None where that cannot be told."""
    words = [part for part in path if isinstance(part, str)]
    if not words:
        return None
    lines = text.split("\n")
    candidates = [at for at, line in enumerate(lines) if words[-1] in line][:_CANDIDATES_MAX]
    for at in candidates:
        if _holds(lines[:at], path) is False and _appears_after(lines, at, path):
            return at + 1
    return None


def _appears_after(lines: list[str], at: int, path: KeyPath) -> bool:
    for end in range(at + 1, min(len(lines), at + _STATEMENT_LINES_MAX) + 1):
        held = _holds(lines[:end], path)
        if held is not None:
            return held
    return False


def _holds(lines: list[str], path: KeyPath) -> bool | None:
    """Say whether these lines alone hold the path; None if they are no TOML."""
    try:
        at: Any = tomllib.loads("\n".join(lines) + "\n")
    except (ValueError, RecursionError):
        return None
    for part in path:
        if isinstance(part, int):
            if not isinstance(at, list) or part >= len(at):
                return False
        elif not isinstance(at, dict) or part not in at:
            return False
        at = at[part]
    return True


def dotted(path: KeyPath) -> str:
    """Write a path as people do: token.module[0].environment.NAME."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_word(part)}" for part in path)
    return text.removeprefix(".")


def _word(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else ascii(name[:80])


_NAME = r"[A-Za-z0-9_-]+"
_DOTTED = re.compile(rf"{_NAME}(\.{_NAME}|\[[0-9]+\])*")
_PART = re.compile(rf"{_NAME}|\[[0-9]+\]")


def parse_dotted(text: str) -> KeyPath | None:
    """Read what `dotted` wrote back into a path; None if it is no path of plain names."""
    if not _DOTTED.fullmatch(text):
        return None
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in _PART.findall(text))


def nearest_line(text: str, path: KeyPath) -> int | None:
    """Return the line of the value at `path`, or of the nearest table around it that the file has; None for neither."""
    lines = (find_line(text, path[:length]) for length in range(len(path), 0, -1))
    return next((line for line in lines if line is not None), None)
