# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo that a newcomer runs first ends well for an ordinary user, where nothing private is set up."""

from __future__ import annotations

import pytest

from tests.support.installation import PREFIX
from tests.support.pam_world import HARNESS, World

pytestmark = pytest.mark.root


def test_the_demo_of_an_ordinary_user_ends_well_and_shows_no_pin(world: World) -> None:
    result = world.run([f"{PREFIX}/bin/python", "-P", f"{HARNESS}/tools/demo.py"], user="alice", timeout=120)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "8 of 8 logins ended as they should." in result.stdout
    assert "123456" not in result.stdout
    assert "999999" not in result.stdout
