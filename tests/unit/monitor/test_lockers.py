# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import pytest

from pam_sc.decision.monitoring import Locker, Program, Sign
from pam_sc.monitor.lockers import with_sign


def sign(*arguments: str) -> Sign:
    return with_sign(Locker(program=Program(arguments=arguments))).sign


@pytest.mark.parametrize("arguments", [
    ("swaylock", "-f"), ("swaylock", "--daemonize", "-c", "000000"), ("/usr/bin/swaylock", "-f"), ("i3lock",),
    ("i3lock", "-c", "000000"), ("waylock", "-fork-on-lock"), ("physlock", "-d"),
])
def test_lockers_that_end_when_they_have_locked_are_known(arguments: tuple[str, ...]) -> None:
    assert sign(*arguments) is Sign.EXIT


@pytest.mark.parametrize("arguments", [
    ("swaylock",), ("i3lock", "-n"), ("i3lock", "--nofork"), ("waylock",), ("physlock",), ("vlock",), ("gtklock", "-d"),
    ("hyprlock",), ("xsecurelock",), ("slock",), ("myswaylock", "-f"), ("xscreensaver-command", "-activate"),
])
def test_of_any_other_locker_no_sign_is_expected(arguments: tuple[str, ...]) -> None:
    assert sign(*arguments) is Sign.NONE


def test_xscreensaver_is_asked() -> None:
    known = with_sign(Locker(program=Program(arguments=("xscreensaver-command", "-lock"))))
    assert known.sign is Sign.QUERY
    assert known.query is not None
    assert known.query.arguments == ("xscreensaver-command", "-time")
    assert known.locked_text in "XScreenSaver 6.06: screen locked since Sat Nov 21 10:00:00 2026"
    assert known.locked_text not in "XScreenSaver 6.06: screen blanked since Sat Nov 21 10:00:00 2026"
    assert known.locked_text not in "XScreenSaver 6.06: screen non-blanked since Sat Nov 21 10:00:00 2026"


def test_a_sign_of_the_configuration_is_kept() -> None:
    own = Locker(program=Program(arguments=("swaylock", "-f")), sign=Sign.QUERY, query=Program(arguments=("a",)))
    assert with_sign(own) == own
