# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that reaches a terminal goes through here: cleaned of control characters, as a table, as lines or as JSON.

JSON is ASCII with every other character escaped, so that it holds the very text without being able to do anything.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from pam_sc.events import clean
from pam_sc.record import record

if TYPE_CHECKING:
    from rich.console import Console

TEXT_MAX = 4096
EXIT_CODES = (
    "Exit codes: 0 granted, accepted or clean; 1 refused, nothing accepted, or warnings; 2 an error; 70 a defect."
)

_COLOURS = {"passed": "green", "accepted": "green", "granted": "green", "refused": "red", "error": "red",
            "stopped": "yellow", "warning": "yellow", "not-reached": "dim", "do this": "bold"}

P = ParamSpec("P")
R = TypeVar("R")


@record
class Row:
    """One line of a report: an indent, a few short words in columns, and a text."""

    words: tuple[str, ...]
    text: str = ""
    indent: int = 0


def print_rows(rows: Sequence[Row], widths: Sequence[int]) -> None:
    """Print rows in columns of these widths: coloured and wrapped on a terminal, plain lines otherwise."""
    if sys.stdout.isatty():
        from rich.console import Console  # not at the top: most uses of pam-sc by programs need no terminal

        print_table(rows, widths, Console(highlight=False))
        return
    for row in rows:
        columns = "".join(f"{clean(word, TEXT_MAX):<{width}}" for word, width in zip(row.words, widths, strict=False))
        click.echo((" " * row.indent + columns + clean(row.text, TEXT_MAX)).rstrip())


def print_table(rows: Sequence[Row], widths: Sequence[int], console: Console) -> None:
    """Print rows on a terminal, coloured, texts wrapped in their column."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for row in rows:
        grid = Table.grid(padding=0)
        for width in widths[: len(row.words)]:
            grid.add_column(width=width, no_wrap=True)
        grid.add_column(overflow="fold")
        words = [Text(clean(word, TEXT_MAX), style=_COLOURS.get(word, "")) for word in row.words]
        grid.add_row(*words, Text(clean(row.text, TEXT_MAX)))
        console.print(Padding(grid, (0, 0, 0, row.indent), expand=False))


def print_line(text: str) -> None:
    """Print one line."""
    click.echo(clean(text, TEXT_MAX))


def print_json(value: object) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def complain(text: str) -> None:
    """Say on stderr, in one line, why the command failed."""
    click.echo(f"pam-sc: {clean(text, TEXT_MAX)}", err=True)


def reporting(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options that every command has: --config and --json."""
    configured = click.option(
        "--config", "config_path", metavar="FILE", help="The configuration file [default: /etc/pam_sc/pam_sc.toml]."
    )
    return configured(click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command))
