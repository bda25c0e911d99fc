# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/monitor.md says of desktops and lockers is so: each is started, asked again, and compared (make check-desktops)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import Desk, desk
from tests.support.desktop_questions import (
    SAYS,
    WITH_LOCKER,
    ask_logind,
    ask_monitor,
    ask_saver,
    compare,
)
from tests.support.desktops import DESKTOPS, Desktop, running

pytestmark = pytest.mark.root


@pytest.fixture
def machine(namespaces: None, tmp_path: Path) -> Iterator[Desk]:
    """A desk with a reader and alice's card."""
    with desk(tmp_path / "desk", ["alice"]) as made:
        yield made


@pytest.mark.parametrize("desktop", DESKTOPS, ids=[each.name for each in DESKTOPS])
def test_a_desktop_does_what_the_page_says(desktop: Desktop, machine: Desk, tmp_path: Path) -> None:
    with running(desktop, machine, tmp_path) as session:
        answers, took_s = ask_logind(desktop, session)
    with running(desktop, machine, tmp_path) as session:
        answers |= ask_saver(desktop, session)
    with running(desktop, machine, tmp_path) as session:
        answers |= ask_monitor(session, SAYS)
    if desktop.locker:
        with running(desktop, machine, tmp_path) as session:
            answers |= ask_monitor(session, WITH_LOCKER, desktop.locker)
    compare(desktop.name, desktop.package, answers, took_s)
