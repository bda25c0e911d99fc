# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes that somebody calls a mapfile: read, checked line by line, and asked for values."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pam_sc.errors import PamScError
from pam_sc.mapfile import read_mapfile, unusable_account
from tests.fuzz.harness import fuzz
from tests.fuzz.seeds import MAPFILES

VALUES = ("alice", "Alice Example", "Bob Example", "carol", "a", "/C=XX/O=Example/CN=alice", "aaaaaaaaaaaaaaaaaaaaaaab")


def one_input(data: bytes, path: Path) -> None:
    """Read it both ways; whatever it maps to can be an account."""
    path.write_bytes(data)
    path.chmod(0o644)
    for ignore_case in (False, True):
        try:
            mapfile = read_mapfile(str(path), frozenset({0, path.stat().st_uid}), ignore_case=ignore_case)
            found = [mapfile.account_of(value) for value in VALUES]
            assert all(account is None or unusable_account(account) is None for account in found)
        except PamScError:
            pass


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        where = Path(folder) / "mapfile"
        fuzz(lambda data: one_input(data, where), MAPFILES)
