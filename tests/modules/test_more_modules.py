# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/modules.md says of NSS through p11-kit and of opencryptoki is so (make check-modules)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.module_makers import make_nss, make_opencryptoki
from tests.support.module_questions import ask_all, compare, version_of
from tests.support.pam_world import ACCOUNTS, Account, World
from tests.support.rig import Rig

pytestmark = pytest.mark.root


@pytest.fixture
def world(namespaces: None, tmp_path: Path) -> Iterator[World]:
    """A world with a third ordinary account."""
    with World.create(tmp_path / "world", accounts=[*ACCOUNTS, Account("carol", 4003, 4003, "/home/carol")]) as made:
        yield made


def test_nss_through_p11_kit_does_what_the_page_says(world: World) -> None:
    compare("NSS through p11-kit", version_of("libnss3"), ask_all(Rig(world), make_nss(world, "nss")))


def test_opencryptoki_does_what_the_page_says(world: World) -> None:
    module = make_opencryptoki(world, "opencryptoki")
    compare("opencryptoki", version_of("opencryptoki"), ask_all(Rig(world), module))
