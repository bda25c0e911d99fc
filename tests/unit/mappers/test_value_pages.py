# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pages of the mappers that read values alone: their examples load, and every option has its line."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from pam_sc.mapfile import parse_line
from pam_sc.mapping import BUILT_IN, _class_of, load_mappers
from pam_sc.value_mapper import ValueMapper

DOCS = Path(__file__).resolve().parents[3] / "docs"
NAMES = ("cn", "digest", "krb", "mail", "serial", "subject", "uid", "upn")
TRUSTED = frozenset({0, os.getuid()})


def page(name: str) -> str:
    return (DOCS / "mappers" / f"{name}.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for given, block in found if given == language]


@pytest.mark.parametrize("name", NAMES)
def test_example_of_a_page_loads_with_the_mapfile_of_the_page(name: str, tmp_path: Path) -> None:
    mapfile = tmp_path / "map"
    mapfile.write_text("".join(blocks(page(name), "")))
    mapfile.chmod(0o644)
    (text,) = blocks(page(name), "toml")
    (table,) = tomllib.loads(text)["mapper"]
    assert table.pop("name") == name
    if "mapfile" in table:
        table["mapfile"] = str(mapfile)
    load_mappers([(name, table, "here")], TRUSTED)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_its_line_and_no_other_has(name: str) -> None:
    text = page(name)
    table = text[text.index("| option | default |") :].split("\n\n", 1)[0]
    described = {each for line in table.splitlines()[2:] for each in re.findall(r"`(\w+)`", line.split("|")[1])}
    found = _class_of(name, "here")
    assert isinstance(found, type)
    assert issubclass(found, ValueMapper)
    assert described == {*found.SHARED, *found.OPTIONS}


@pytest.mark.parametrize("name", ["digest", "serial", "subject"])
def test_lines_of_a_page_are_lines_of_a_mapfile(name: str) -> None:
    lines = [line for text in blocks(page(name), "") for line in text.splitlines() if not line.startswith("#")]
    assert lines
    assert all(parse_line(line.encode()) is not None for line in lines)


def test_lines_of_the_index_are_lines_of_a_mapfile() -> None:
    (text,) = blocks((DOCS / "mappers.md").read_text(), "")
    assert [line.account for each in text.splitlines() if (line := parse_line(each.encode())) is not None] == ["alice", "bob"]


def test_index_links_every_built_in_mapper() -> None:
    text = (DOCS / "mappers.md").read_text()
    assert {name for name in BUILT_IN if f"(mappers/{name}.md)" in text} == set(BUILT_IN)


def test_shipped_configuration_names_every_built_in_mapper() -> None:
    text = (DOCS.parent / "etc" / "pam_sc.toml").read_text()
    assert " ".join(sorted(BUILT_IN)) in text
