# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for every test: the package is the installed one, what needs root says so, worlds and readers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import pam_sc

# The same examples in every run, so that what was green stays green; `make fuzz` looks for others, and for more.
FEW = 50
same = "PAM_SC_EXAMPLES" not in os.environ
settings.register_profile("check", derandomize=same, max_examples=FEW if same else 2 * FEW, database=None)
settings.load_profile("check")

# `tests` is found here; last, so that pam_sc itself is the installed one.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.support import namespace

if TYPE_CHECKING:
    from tests.support.login1 import Login1
    from tests.support.pam_world import World
    from tests.support.pcscd import Pcscd
    from tests.support.refresh_site import Site


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test the checkout in place of what is installed, and let other accounts read what the tests write."""
    os.umask(0o022)
    installed = Path(sys.prefix).resolve() in Path(pam_sc.__file__).resolve().parents
    if os.environ.get("PAM_SC_TEST_INSTALLED") == "1" and not installed:
        raise pytest.UsageError(f"pam_sc comes from {pam_sc.__file__}, not from {sys.prefix}")


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what plays in a namespace as in need of root, and skip what needs root where we are not."""
    for item in items:
        if "namespaces" in getattr(item, "fixturenames", ()):
            item.add_marker("root")
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        if "root" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Needs root and mount namespaces; elsewhere the test is skipped and says so."""
    if not namespace.is_available():
        pytest.skip("needs root and the right to make mount namespaces")


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    """A fresh machine with a CA, and the server of its CRL."""
    from tests.support.crl_server import CrlServer
    from tests.support.refresh_site import Site
    with CrlServer() as server:
        yield Site(world, server)


@pytest.fixture
def world(namespaces: None, tmp_path: Path) -> Iterator[World]:
    """A fresh world: private accounts, PAM services, configuration and syslog."""
    from tests.support.pam_world import World
    with World.create(tmp_path / "world") as made:
        yield made


@pytest.fixture
def pcscd(world: World, tmp_path: Path) -> Iterator[Pcscd]:
    """A card reader daemon that the world sees as its own."""
    from tests.support.pcscd import Pcscd
    with Pcscd(world.folder / "run", tmp_path / "pcscd") as made:
        yield made


@pytest.fixture
def login1(world: World, tmp_path: Path) -> Iterator[Login1]:
    """logind and polkit that the world sees as its own; sessions: alice's graphical one, and bob's."""
    from tests.support.login1 import Login1, SessionSpec
    sessions = [SessionSpec(id="c1", uid=4001), SessionSpec(id="3", uid=4002, type="wayland")]
    with Login1(world.folder / "run", tmp_path / "login1", sessions) as made:
        yield made
