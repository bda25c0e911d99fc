# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of desktops in docs/monitor.md is what was recorded of them (make check-desktops asks them again)."""

from __future__ import annotations

import json

from tests.support.desktop_questions import ANSWERS, PAGE, page
from tests.support.desktops import DESKTOPS


def test_the_page_has_what_was_recorded() -> None:
    text = PAGE.read_text()
    assert text == page(text, json.loads(ANSWERS.read_text()))


def test_every_desktop_that_is_asked_is_on_the_page() -> None:
    assert list(json.loads(ANSWERS.read_text())) == [desktop.name for desktop in DESKTOPS]


def test_the_lockers_of_the_page_are_those_that_were_tried() -> None:
    text = " ".join(PAGE.read_text().split())
    tried = [desktop.locker for desktop in DESKTOPS if desktop.locker]
    assert [locker for locker in tried if locker not in text] == []
