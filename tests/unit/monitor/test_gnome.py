# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import asyncio

import pytest

from pam_sc.monitor.facts import Cause
from pam_sc.monitor.gnome import NAME, removal_action
from pam_sc.monitor.occasion import Occasion
from tests.support.removal import CARD, GRAPHICAL, FakeBus, FakePrograms

OCCASION = Occasion(event="card_remove", facts=GRAPHICAL, card=CARD, cause=Cause.REMOVED)


def ask(said: str, *, status: int | None = 0, owned: bool = True) -> tuple[str | None, FakePrograms]:
    programs = FakePrograms(statuses={"gsettings": status}, outputs={"gsettings": said})
    bus = FakeBus(owned=(NAME,) if owned else ())
    return asyncio.run(removal_action(bus, programs, OCCASION, 2.0)), programs


@pytest.mark.parametrize("action", ["lock-screen", "force-logout"])
def test_a_set_action_of_a_running_gsd_smartcard_is_found(action: str) -> None:
    assert ask(f"'{action}'\n")[0] == action


@pytest.mark.parametrize(("said", "status"), [
    ("'none'\n", 0), ("", 0), ("lock-screen-not\n", 0), ("'lock-screen'\n'lock-screen'\n", 0), ("'lock-screen'\n", 1),
    ("'lock-screen'\n", None), ("No such schema", 1),
])
def test_what_is_not_set_missing_or_too_slow_counts_as_none(said: str, status: int | None) -> None:
    assert ask(said, status=status)[0] is None


def test_where_gsd_smartcard_does_not_run_no_program_is_started() -> None:
    action, programs = ask("'lock-screen'\n", owned=False)
    assert action is None
    assert programs.started == []


def test_a_missing_gsettings_counts_as_not_set() -> None:
    assert asyncio.run(removal_action(FakeBus(owned=(NAME,)), FakePrograms(), OCCASION, 2.0)) is None
