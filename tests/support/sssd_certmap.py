# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's libsss_certmap, asked about one certificate and one rule. For tests only.

The library runs in a process of its own, which reads a question a line and answers with a line: where it crashes the
answer is `Crashed`, and the next question starts another process.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SONAME = "libsss_certmap.so.0"


@dataclass(frozen=True, slots=True)
class Crashed:
    """The library took its process with it."""


@dataclass(frozen=True, slots=True)
class RuleError:
    """The library does not take the rule; `code` is its errno."""

    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the library says: the codes are its errno (0 is yes), the texts are None where it gave none."""

    match: int
    expand: int | None = None
    expanded: bytes | None = None
    filter: int | None = None
    filtered: bytes | None = None


class Library:
    """The process with the library. Use as a context manager."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def ask(self, der: bytes, match: str | None, mapping: str | None = None, *, expand: bool = True) -> (
        Answer | RuleError | Crashed
    ):
        """What the library says of a certificate and one rule; without `expand` only whether it matches."""
        question = {"der": base64.b64encode(der).decode(), "match": match, "map": mapping, "expand": expand}
        child = self._running()
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps(question) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._stop()
            return Crashed()
        return _read(json.loads(line))

    def _running(self) -> subprocess.Popen[str]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={"LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        return self._child

    def _stop(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            with contextlib.suppress(BrokenPipeError):
                child.communicate(timeout=10)


def _read(answer: dict[str, object]) -> Answer | RuleError:
    if "rule" in answer:
        return RuleError(int(str(answer["rule"])))
    values = {
        name: base64.b64decode(value) if isinstance(value, str) else value for name, value in answer.items()
    }
    return Answer(**values)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the child


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(SONAME)
    pointer = ctypes.c_void_p
    library.sss_certmap_init.argtypes = [pointer, pointer, pointer, ctypes.POINTER(pointer)]
    library.sss_certmap_free_ctx.argtypes = [pointer]
    library.sss_certmap_add_rule.argtypes = [pointer, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_char_p, pointer]
    library.sss_certmap_match_cert.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t]
    for name in ("sss_certmap_expand_mapping_rule", "sss_certmap_get_search_filter"):
        getattr(library, name).argtypes = [
            pointer, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(pointer)
        ]  # fmt: skip
    return library


def _answer(library: ctypes.CDLL, question: dict[str, object]) -> dict[str, object]:
    context = ctypes.c_void_p()
    if library.sss_certmap_init(None, None, None, ctypes.byref(context)) != 0:
        raise RuntimeError("sss_certmap_init has failed")
    try:
        texts = [None if question[key] is None else str(question[key]).encode() for key in ("match", "map")]
        code = library.sss_certmap_add_rule(context, 1, *texts, None)
        if code != 0:
            return {"rule": code}
        der = base64.b64decode(str(question["der"]))
        answer: dict[str, object] = {"match": library.sss_certmap_match_cert(context, der, len(der))}
        if question["expand"]:
            answer |= _texts(library, context, der)
        return answer
    finally:
        library.sss_certmap_free_ctx(context)


def _texts(library: ctypes.CDLL, context: ctypes.c_void_p, der: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    for code_name, text_name, function in (
        ("expand", "expanded", library.sss_certmap_expand_mapping_rule),
        ("filter", "filtered", library.sss_certmap_get_search_filter),
    ):
        text, domains = ctypes.c_char_p(), ctypes.c_void_p()
        found[code_name] = function(context, der, len(der), ctypes.byref(text), ctypes.byref(domains))
        found[text_name] = None
        if found[code_name] == 0 and text.value is not None:
            found[text_name] = base64.b64encode(text.value).decode()
    return found


def _serve() -> None:
    library = _library()
    for line in sys.stdin:
        print(json.dumps(_answer(library, json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
