# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for tests with real components: worlds of their own, card readers and cards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# `tests` is found here; last, so that pam_sc itself is the installed one.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.support import namespace

if TYPE_CHECKING:
    from tests.support.pam_world import World
    from tests.support.pcscd import Pcscd


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Needs root and mount namespaces; elsewhere the test is skipped and says so."""
    if not namespace.is_available():
        pytest.skip("needs root and the right to make mount namespaces")


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
