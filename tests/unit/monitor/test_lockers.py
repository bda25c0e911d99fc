# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest

from pam_sc.decision.monitoring import Locker, Program, Sign
from pam_sc.monitor import tty_lock
from pam_sc.monitor.lockers import with_sign

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "monitor.md").read_text()


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


def test_the_page_names_the_lockers_whose_sign_is_known() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    begin = rows.index(["locker", "arguments", "its sign"]) + 2
    named = {row[0]: row[2] for row in rows[begin:begin + 7]}
    known = [("swaylock", "-f"), ("i3lock",), ("waylock", "-fork-on-lock"), ("physlock", "-d"), ("xscreensaver-command", "-lock")]
    assert list(named)[:5] == [arguments[0] for arguments in known]
    assert all(sign(*arguments) is not Sign.NONE for arguments in known)
    assert all("none that is known" not in named[arguments[0]] for arguments in known)
    assert "none that is known" in next(text for name, text in named.items() if name.startswith("gtklock, hyprlock"))


@pytest.mark.parametrize("graphical", [True, False])
def test_a_terminal_that_a_screen_server_has_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, graphical: bool
) -> None:
    """After startx: its screen would stand still, and no locker could be seen or read a key there."""
    def ask(_terminal: int, request: int, mode: bytearray) -> int:
        assert request == tty_lock._KDGETMODE
        mode[:] = int(graphical).to_bytes(4, sys.byteorder)
        return 0

    def stop_all(_device: int) -> None:
        assert not graphical, "it was stopped"

    (tmp_path / "tty").touch()
    monkeypatch.setattr(tty_lock.signal, "signal", lambda *_: None)
    monkeypatch.setattr(tty_lock.termios, "tcgetattr", lambda _: [0] * 6)
    monkeypatch.setattr(fcntl, "ioctl", ask)
    monkeypatch.setattr(tty_lock, "stop_all", stop_all)
    assert tty_lock.main(["1", str(tmp_path / "tty"), "true"]) == 1
    assert ("a graphical program has the terminal" in capsys.readouterr().out) is graphical
