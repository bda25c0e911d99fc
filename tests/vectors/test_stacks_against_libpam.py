# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our walk through PAM stacks, held against libpam itself: random stacks of pam_debug.so, each module with one result.

libpam reads them from a folder of their own; no stack and no account of the machine is touched.
"""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

import pytest

from pam_sc.config.stack_walk import find_way
from pam_sc.config.stacks import Missing, read_stack

RESULTS = ("success", "auth_err", "ignore", "user_unknown", "maxtries")
ACTIONS = ("ok", "done", "bad", "die", "ignore", "reset", "1", "2", "3")
CONV_ERR = 19
STACKS = 60
_TALK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = (("talk", _TALK), ("data", ctypes.c_void_p))


_CONVERSATION = _Conversation(_TALK(lambda *_: CONV_ERR), None)


def grants(folder: Path, service: str) -> bool:
    libpam = ctypes.CDLL("libpam.so.0")
    handle = ctypes.c_void_p()
    started = libpam.pam_start_confdir(
        service.encode(), b"nobody", ctypes.byref(_CONVERSATION), str(folder).encode(), ctypes.byref(handle)
    )
    assert started == 0
    code = libpam.pam_authenticate(handle, 0)
    libpam.pam_end(handle, code)
    return bool(code == 0)


def way(folder: Path, service: str) -> bool:
    lines = [line for line in read_stack(str(folder), service) if not isinstance(line, Missing)]
    return find_way(lines, lambda entry: (entry.arguments[0].partition("=")[2],), lambda _: True) is not None


def control(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(("required", "requisite", "sufficient", "optional"))
    named = chance.sample(RESULTS, chance.randint(1, 4))
    pairs = [f"{each}{chance.choice(('=', ' = '))}{chance.choice(ACTIONS)}" for each in (*named, "default")]
    return f"[{' '.join(pairs)}]"


def write_stack(chance: random.Random, folder: Path, name: str, depth: int = 0) -> None:
    lines = []
    for number in range(chance.randint(1, 4)):
        if depth < 2 and chance.random() < 0.3:
            inner = f"{name}-{number}"
            write_stack(chance, folder, inner, depth + 1)
            kind = chance.choice(("auth substack", "auth substack", "auth include", "@include"))
            lines.append(f"{kind} {folder}/{inner}")
        else:
            lines.append(f"auth {control(chance)} pam_debug.so auth={chance.choice(RESULTS)}")
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("seed", range(10))
def test_a_way_through_a_stack_is_found_where_libpam_grants_and_nowhere_else(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    granted = set()
    for number in range(STACKS):
        write_stack(chance, tmp_path, f"s{number}")
        granted.add(grants(tmp_path, f"s{number}"))
        assert way(tmp_path, f"s{number}") == grants(tmp_path, f"s{number}"), f"s{number}"
    assert granted == {True, False}


@pytest.mark.parametrize(("text", "granted"), [
    ("# c \\\nauth required pam_debug.so auth=success\n", True),
    ("auth required \\  \n pam_debug.so auth=success\n", True),
    ("auth required \\\n# c\n\n pam_debug.so auth=success\n", True),
    ("auth required pam_debug.so auth=success # c \\\nauth required pam_debug.so auth=auth_err\n", False),
])  # fmt: skip
def test_continued_lines_and_comments_are_read_as_libpam_reads_them(tmp_path: Path, text: str, granted: bool) -> None:
    (tmp_path / "s").write_text(text)
    assert (grants(tmp_path, "s"), way(tmp_path, "s")) == (granted, granted)
