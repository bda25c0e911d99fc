# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for the tests of the shim: what is built once, and hosts with the shim in several builds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# `tests` is found here, whoever runs this folder alone; last, so that an installed pam_sc comes first.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.support.shim_host import PROGRAMS, SANITIZE, Build, Host, compile_c


@pytest.fixture(scope="session")
def build() -> Iterator[Build]:
    """A folder that everybody can enter and only we can write, right below a sticky one, as a worker needs."""
    folder = Path(tempfile.mkdtemp(prefix="pam_sc_shim_")).resolve()
    folder.chmod(0o755)
    plain = ["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]
    host = compile_c(folder / "host", [PROGRAMS / "host.c"], *plain, "-rdynamic")
    worker = compile_c(folder / "pam_sc_worker", [PROGRAMS / "fake_worker.c"], *plain)
    compile_c(folder / "stacked.so", [PROGRAMS / "stacked_module.c"], *plain, "-shared", "-fPIC")
    yield Build(folder, host, worker)
    shutil.rmtree(folder)


def make_host(build: Build, module: Path, preload: str = "") -> Host:
    """A host with an empty service folder."""
    confdir = Path(tempfile.mkdtemp(dir=build.folder))
    confdir.chmod(0o755)
    return Host(build, confdir, module, preload)


@pytest.fixture
def plain(build: Build) -> Host:
    """A host with the shim as it is shipped."""
    return make_host(build, build.shim("plain"))


@pytest.fixture
def faulty(build: Build) -> Path:
    """The shim with calls that fail when told to (faults.c)."""
    return build.faulty()


@pytest.fixture
def hasty(build: Build) -> Host:
    """A host with a shim whose person has one second for a prompt and three for the request."""
    return make_host(build, build.shim("hasty", "-DPAM_SC_PROMPT_S=1", "-DPAM_SC_REQUEST_S=3"))


@pytest.fixture(params=["plain", "sanitized"])
def host(build: Build, request: pytest.FixtureRequest) -> Host:
    """A host with the shim as it is shipped, and again under ASan, LSan and UBSan."""
    if request.param == "plain":
        return make_host(build, build.shim("plain"))
    found = [
        subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return make_host(build, build.shim("sanitized", *SANITIZE), ":".join(found))
