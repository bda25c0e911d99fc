# SPDX-License-Identifier: LGPL-2.1-or-later
"""The world that a measurement plays in: made for it, removed after it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.pam_world import World


def play(measure: Callable[[World], int]) -> int:
    """Return what a measurement in a world of its own comes to; 1 where no world can be made."""
    if os.geteuid() != 0:
        print("cannot measure: a private mount namespace needs root", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="pam_sc-bench-"))
    try:
        with World.create(folder / "world") as world:
            return measure(world)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_inside(world: World, command: Sequence[str], report: Callable[[str], int], text: str | None = None) -> int:
    """Run a program in the world and report what it printed; what it complained of, and its status, if it failed."""
    result = world.run(list(command), input=text, timeout=1200)
    if result.returncode:
        print(result.stderr, *world.logged()[-4:], sep="\n", file=sys.stderr)
        return result.returncode
    return report(result.stdout)
