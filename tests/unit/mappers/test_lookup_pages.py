# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of docs/mappers for pwent, generic, null and command: they load, and every option has its line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from pam_sc.mappers.command import CommandMapper, describe
from pam_sc.mappers.generic import ITEMS, GenericMapper
from pam_sc.mappers.null import INSIST
from pam_sc.mapping import load_mappers
from pam_sc.programs.order import read_order
from tests.support.subjects import subject_of

PAGES = Path(__file__).resolve().parents[3] / "docs" / "mappers"
OPTIONS = {
    "pwent": {"believed_for", "ignore_case"},
    "generic": {*GenericMapper.OPTIONS, "mapfile", "ignore_case", "unlisted"} - {"item"},
    "null": {"any_card_is", INSIST},
    "command": {"program", "run_as", "timeout"},
}


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_examples_of_a_page_load(name: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for text in blocks(name, "toml"):
        (table,) = tomllib.loads(text)["mapper"]
        assert table.pop("name") == name
        if name == "command":
            assert read_order(table, "here").argv == tuple(table["program"])
            table["program"][0] = str(program)
        load_mappers([(name, table, "here")], frozenset({0, os.getuid()}))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_its_line_and_no_other_has(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text()
    table = text[text.index("| option | default |") :].split("\n\n", 1)[0]
    described = {each for line in table.splitlines()[2:] for each in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert described == OPTIONS[name]


def test_every_item_has_its_line() -> None:
    text = (PAGES / "generic.md").read_text()
    table = text[text.index("| `item` |") :].split("\n\n", 1)[0]
    described = {each for line in table.splitlines()[2:] for each in re.findall(r"`([\w:]+)`", line.split("|")[1])}
    assert described == {*ITEMS, "attribute:OID", "san:OID", "extension:OID"}


def test_the_question_of_the_page_has_the_members_of_a_question() -> None:
    ((question,),) = [blocks("command", "json")]
    asked = json.loads(question)
    assert set(asked) == {"version", "question", "account", "certificate"}
    assert set(asked["certificate"]) == set(describe(subject_of("alice")))


def test_the_program_of_the_page_answers() -> None:
    ((source,),) = [blocks("command", "python")]

    class Run:
        """The program, run here and now."""

        def ask(self, argv: tuple[str, ...], line: str, timeout_s: float) -> str:
            asked = json.loads(line)
            asked["certificate"]["serial"] = serial
            done = subprocess.run(["/usr/bin/python3", "-I", "-c", source], input=json.dumps(asked) + "\n",
                                  capture_output=True, text=True, check=True)
            return done.stdout

    mapper = CommandMapper(read_order({"program": ["/bin/true"]}, "here"), Run())
    serial = "1f"
    assert mapper.accounts(subject_of("alice")) == ("alice",)
    assert mapper.claims(subject_of("alice"), "alice")
    assert not mapper.claims(subject_of("alice"), "bob")
    serial = "20"
    assert mapper.accounts(subject_of("alice")) == ()
