# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/mappers/openssh.md and opensc.md: their examples load, and every option has its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES
from pam_sc.mappers.openssh import IGNORABLE
from pam_sc.mapping import load_mappers

PAGES = Path(__file__).resolve().parents[3] / "docs" / "mappers"
OPTIONS = {"openssh": ["file", "ignore_options", "believed_for", "scan_homes"], "opensc": ["file", "believed_for", "scan_homes"]}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_examples_load(name: str) -> None:
    examples = re.findall(r"```toml\n(.*?)```", (PAGES / f"{name}.md").read_text(), re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        (table,) = tomllib.loads(example)["mapper"]
        assert table.pop("name") == name
        load_mappers([(name, table, "the page")], frozenset({0}))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_its_line(name: str) -> None:
    assert re.findall(r"^\| `(\w+)` \|", (PAGES / f"{name}.md").read_text(), re.MULTILINE) == OPTIONS[name]


def test_the_options_that_can_be_ignored_and_the_privileged_services_are_named() -> None:
    page = (PAGES / "openssh.md").read_text()
    assert all(f"`{option.removeprefix('no-')}`" in page for option in IGNORABLE)
    assert all(re.search(rf"\b{service}\b", page) for service in DEFAULT_PRIVILEGED_SERVICES)
