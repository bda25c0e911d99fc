# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fuzzer of the frames runs, briefly, from seeds that reach every frame; a long run is the same binary by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from tests.support.shim_host import SHIM, TESTS, WARNINGS

RUNS = 100_000


def frame(kind: int, *fields: bytes) -> bytes:
    payload = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return struct.pack(">B3xI", kind, len(payload)) + payload


def pairs(*texts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(text)) + text for text in texts)


SEEDS = {
    "person": frame(0x15, b"Insert your card")
    + frame(0x16)
    + frame(0x14, b"Which?", pairs(b"0", b"Alice", b"1", b"Bob"))
    + frame(0x17, b"\1", b"PAM_SC_TOKEN", b"card")
    + frame(0x17, b"\2", b"", b"{}")
    + frame(0x17, b"\3", b"", b""),
    "longest_list": frame(0x14, b"", pairs(*[b"k"] * 64)),
    "list_too_long": frame(0x14, b"", pairs(*[b"k"] * 66)),
    "login": frame(0x12, b"\6", b"a line")
    + frame(0x11, b"\1", "h\u00e9llo \u202e".encode())
    + frame(0x10, b"\1", b"PIN: ")
    + frame(0x13, bytes(32), b"\1", b"alice", b"\0"),
    "invalid_utf8": frame(0x11, b"\2", b"\xff\xc0\x80\xed\xa0\x80\xf5\x80\x80\x80\xe2\x82"),
    "longest": frame(0x12, b"\7", b"x" * (8192 - 9)),
    "too_long": frame(0x12, b"\7", b"x" * (8192 - 8)),
    "empty": frame(0x10, b"\3", b""),
}


def test_the_fuzzer_finds_nothing_from_seeds_that_reach_every_frame(tmp_path: Path) -> None:
    target, corpus = tmp_path / "frames_fuzz", tmp_path / "corpus"
    corpus.mkdir()
    for name, seed in SEEDS.items():
        (corpus / name).write_bytes(seed)
    sources = [TESTS / "fuzz" / "frames_fuzz.c", SHIM / "frames.c", SHIM / "text.c"]
    compiler = shutil.which("clang") or "clang-14"
    flags = [*WARNINGS, "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", f"-I{SHIM}"]
    subprocess.run([compiler, *flags, "-o", target, *sources], check=True)
    done = subprocess.run(
        [target, f"-runs={RUNS}", "-seed=1", "-max_len=9000", corpus],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Done {RUNS}" in done.stderr
