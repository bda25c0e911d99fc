# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a terminal gets: columns, colours of our own, and nothing that a card chose to do to it."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pam_sc.cli.output import Row, print_rows, print_table

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ROWS = [
    Row(("label", "passed"), "Card\x1b[2J\x9b\u202e [bold]text[/bold]"),
    Row((), "free text"),
    Row(("deep",), "x", 4),
]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with colours, whatever the tests run in."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def on_terminal(rows: list[Row], width: int = 80) -> str:
    file = io.StringIO()
    print_table(rows, (8, 10), Console(file=file, force_terminal=True, width=width, highlight=False))
    return file.getvalue()


def test_a_terminal_gets_colours_and_no_other_control_character() -> None:
    shown = on_terminal(ROWS)
    assert COLOUR.search(shown)
    assert all(line.isprintable() for line in COLOUR.sub("", shown).split("\n"))


def test_what_looks_like_markup_is_only_text() -> None:
    assert "Card\\x1b[2J\\x9b\\u202e [bold]text[/bold]" in COLOUR.sub("", on_terminal(ROWS))


def test_a_long_text_is_wrapped_in_its_column() -> None:
    lines = COLOUR.sub("", on_terminal([Row(("label", "passed"), "word " * 20)], width=40)).rstrip().split("\n")
    assert len(lines) > 2
    assert all(line.startswith(" " * 18 + "word") for line in lines[1:])


def test_lines_that_are_no_terminal_s_have_the_same_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, (8, 10))
    assert capsys.readouterr().out.splitlines() == [
        "label   passed    Card\\x1b[2J\\x9b\\u202e [bold]text[/bold]",
        "free text",
        "    deep    x",
    ]
