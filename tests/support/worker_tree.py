# SPDX-License-Identifier: LGPL-2.1-or-later
"""A site-packages of its own for the real pam_sc_worker, in which a test says what the Python processes do.

pam_sc_worker finds site-packages from its own path, so a copy of it in an empty tree runs the tree's `pam_sc.worker`,
`pam_sc.card.process`, `pam_sc.network.process` and `pam_sc.programs.process`. Trees lie below /tmp and can be read by
every account, since many tests drop root.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pam_sc

NOBODY = 64999
"""A uid and gid that no account of the machine has."""


ROLES_WITH_PACKAGE = ("card", "network", "programs")


@dataclass(frozen=True, slots=True)
class WorkerTree:
    """The tree: where it is, and the worker in it."""

    root: Path

    @property
    def worker(self) -> Path:
        """The copy of pam_sc_worker."""
        return self.root / "site-packages" / "pam_sc" / "native" / "pam_sc_worker"

    def write(self, role: str, source: str) -> None:
        """Make `source` the module that runs in this role: "verifier" or one of ROLES_WITH_PACKAGE."""
        package = {"directory": "network"}.get(role, role)  # the same program, twice
        name = "worker.py" if role == "verifier" else f"{package}/process.py"
        path = self.root / "site-packages" / "pam_sc" / name
        path.write_text(source)
        path.chmod(0o644)


def installed_worker() -> Path:
    """The worker of the installed package, which is what the tests are about."""
    worker = Path(pam_sc.__file__).parent / "native" / "pam_sc_worker"
    if not worker.exists():
        raise FileNotFoundError(f"{worker} is missing: the tests run against the installed package (make check)")
    return worker


@contextmanager
def worker_tree() -> Iterator[WorkerTree]:
    """Make a tree with empty packages, and remove it afterwards."""
    root = Path(tempfile.mkdtemp(prefix="pam_sc-tree-")).resolve()
    tree = WorkerTree(root)
    try:
        tree.worker.parent.mkdir(parents=True)
        for package in (tree.worker.parents[1], *(tree.worker.parents[1] / name for name in ROLES_WITH_PACKAGE)):
            package.mkdir(exist_ok=True)
            (package / "__init__.py").touch()
        shutil.copy(installed_worker(), tree.worker)
        for folder, _, names in os.walk(root):
            os.chmod(folder, 0o755)
            for name in names:
                os.chmod(os.path.join(folder, name), 0o755)
        yield tree
    finally:
        shutil.rmtree(root)
