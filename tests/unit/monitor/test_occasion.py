# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pam_sc.monitor.facts import Cause
from pam_sc.monitor.occasion import PATH, SHOWN, TEXT_MAX, Occasion, Person, cleaned, environment_for
from pam_sc.record import replace
from tests.support.removal import CARD, GRAPHICAL, facts

ALICE = Person(uid=4001, gid=4001, name="alice", home="/home/alice", shell="/bin/sh")


def occasion(**card: str) -> Occasion:
    return Occasion(event="card_remove", facts=GRAPHICAL, card=replace(CARD, **card), cause=Cause.REMOVED, reader="R 0")


def test_a_program_is_told_of_its_event_by_name() -> None:
    told = environment_for(occasion(), ALICE, {})
    assert {name: text for name, text in told.items() if name.startswith("PAM_SC_")} == {
        "PAM_SC_EVENT": "card_remove", "PAM_SC_CAUSE": "removed", "PAM_SC_SESSION": "c1", "PAM_SC_TYPE": "wayland",
        "PAM_SC_TTY": "", "PAM_SC_ACCOUNT": "alice", "PAM_SC_SERVICE": "login", "PAM_SC_TOKEN": "Alice's card",
        "PAM_SC_TOKEN_SERIAL": "0001", "PAM_SC_CERTIFICATE": "ab" * 32, "PAM_SC_READER": "R 0",
    }
    assert (told["HOME"], told["USER"], told["LOGNAME"], told["SHELL"]) == ("/home/alice", "alice", "alice", "/bin/sh")


def test_the_page_has_every_variable() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "monitor.md").read_text()
    assert not [name for name in environment_for(occasion(), ALICE, {}) if name not in page]


def test_of_an_environment_only_what_leads_to_the_display_is_taken() -> None:
    shown = {"LD_PRELOAD": "/tmp/evil.so", "LD_LIBRARY_PATH": "/tmp", "PYTHONPATH": "/tmp", "BASH_ENV": "/tmp/x",
             "PATH": "/tmp", "HOME": "/tmp", "IFS": "/", "GTK_MODULES": "evil", "QT_PLUGIN_PATH": "/tmp",
             "PAM_SC_SESSION": "c9", "DISPLAY": ":3", "WAYLAND_DISPLAY": "wayland-1", "SWAYSOCK": "/run/s"}
    told = environment_for(occasion(), ALICE, shown)
    assert (told["DISPLAY"], told["WAYLAND_DISPLAY"], told["SWAYSOCK"]) == (":3", "wayland-1", "/run/s")
    assert (told["PATH"], told["HOME"], told["PAM_SC_SESSION"]) == (PATH, "/home/alice", "c1")
    assert not {"LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "BASH_ENV", "IFS", "GTK_MODULES", "QT_PLUGIN_PATH"} & set(told)


def test_nothing_that_loads_code_is_among_what_is_taken() -> None:
    assert not [name for name in SHOWN if name.startswith(("LD_", "PYTHON", "GTK", "GIO_", "BASH", "PERL")) or "PLUGIN" in name]


def test_the_display_of_an_x11_session_is_the_one_that_logind_has() -> None:
    session = replace(occasion(), facts=facts(type="x11", display=":7"))
    assert environment_for(session, ALICE, {"DISPLAY": ":3"})["DISPLAY"] == ":7"


def test_control_characters_of_a_card_do_not_reach_a_program() -> None:
    told = environment_for(occasion(label="a\x1b[31m\nPATH=/tmp\0\x9b\u202e\u2028b\udc80", serial="x" * 9999), ALICE, {})
    assert told["PAM_SC_TOKEN"] == "a?[31m?PATH=/tmp????b?"
    assert len(told["PAM_SC_TOKEN_SERIAL"]) == TEXT_MAX


@given(st.text(st.characters()))
def test_what_is_cleaned_is_one_printable_line_that_can_be_passed_on(text: str) -> None:
    made = cleaned(text)
    made.encode()
    assert len(made.splitlines()) <= 1
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in made)


def test_a_display_with_a_line_break_is_left_out() -> None:
    assert "DISPLAY" not in environment_for(occasion(), ALICE, {"DISPLAY": ":1\nLD_PRELOAD=x"})
