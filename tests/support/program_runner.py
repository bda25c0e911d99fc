# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real program runner in its real sandbox, as an account without privilege, with programs that a test writes.

Programs lie in a folder below /tmp that every account can read, and nobody but us can write.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pam_sc.children import StartedChild
from pam_sc.programs.client import ProgramsClient, start_program_runner
from pam_sc.programs.messages import ProgramAccount, Setup
from tests.support.installation import installed_for_all, worker_in
from tests.support.worker_tree import NOBODY

PYTHON = "#!/usr/bin/python3 -I\nimport os, sys, time, json\n"
SHELL = "#!/bin/sh\n"
MACHINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder of programs."""

    folder: Path

    def write(self, name: str, source: str, *, mode: int = 0o755) -> str:
        """Write a program and return its path."""
        path = self.folder / name
        path.write_text(source)
        path.chmod(mode)
        return str(path)

    def python(self, name: str, body: str) -> str:
        """Write a program in Python; `line` is what it was given."""
        return self.write(name, f"{PYTHON}line = sys.stdin.readline()\n{body}\n")

    def shell(self, name: str, body: str) -> str:
        """Write a program for the shell."""
        return self.write(name, f"{SHELL}{body}\n")


@contextmanager
def programs_folder() -> Iterator[Programs]:
    """A folder for programs, and for what they leave behind."""
    folder = Path(tempfile.mkdtemp(prefix="pam_sc-programs-")).resolve()
    folder.chmod(0o755)
    try:
        yield Programs(folder)
    finally:
        shutil.rmtree(folder)


def started(*programs: tuple[str, ...], machine_s: float = MACHINE_S) -> StartedChild[ProgramsClient]:
    """Start the runner for these programs; as root they become an account that nobody has."""
    account = ProgramAccount(NOBODY, NOBODY, ()) if os.geteuid() == 0 else None
    end = time.monotonic() + machine_s
    worker = worker_in(installed_for_all())
    return start_program_runner(worker, Setup(account, programs), lambda: end)
