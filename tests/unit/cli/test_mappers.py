# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc mappers`: our own, those of others, where each is configured, and what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.cli.main import run
from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.errors import ConfigError
from pam_sc.mapping import BUILT_IN
from pam_sc.record import replace
from tests.unit.cli.cards import CONFIGURATION, FakeMachine

Capture = pytest.CaptureFixture[str]
MAPPER = """
from pam_sc.mapping import Mapper
class Third(Mapper):
    @classmethod
    def from_table(cls, table, context): return cls()
    def sees(self, subject): return ()
    def accounts(self, subject): return ()
    def claims(self, subject, account): return False
"""


class Configured(FakeMachine):
    """A machine whose configuration has these mappers."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def load_configuration(self, path: str | None, service: str | None = None) -> Configuration:
        settings = tuple(MapperSettings(name=name, table={}, where=f"x.toml: mapper[{n}]")
                         for n, name in enumerate(self.names))
        return replace(CONFIGURATION, mappers=settings)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder on sys.path in which a test installs distributions with mappers."""
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("listed_")]:
        del sys.modules[name]


def install(site: Path, distribution: str, entry: str, source: str = MAPPER) -> None:
    (site / f"listed_{distribution}.py").write_text(source)
    folder = site / f"{distribution}-1.5.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
    (folder / "entry_points.txt").write_text(f"[pam_sc.mappers]\n{entry} = listed_{distribution}:Third\n")


def listed(capsys: Capture, machine: FakeMachine) -> tuple[int, dict[str, Any], list[str]]:
    code = run(["mappers", "--json"], machine)
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    return code, {(each["name"], each["distribution"]): each for each in found["mappers"]}, found["problems"]


def test_all_of_our_own_are_listed_with_aliases_and_where_they_are_configured(capsys: Capture) -> None:
    _code, found, _problems = listed(capsys, Configured("cn", "ms", "cn"))
    assert {name for name, owner in found if owner == "pam_sc"} == set(BUILT_IN)
    assert found["cn", "pam_sc"]["configured"] == ["x.toml: mapper[0]", "x.toml: mapper[2]"]
    assert found["upn", "pam_sc"]["aliases"] == ["ms"]
    assert found["upn", "pam_sc"]["configured"] == ["x.toml: mapper[1]"]
    assert found["mail", "pam_sc"]["configured"] == []
    assert all(each["version"] and each["usable"] for each in found.values())


def test_the_mapper_of_a_third_party_is_listed_with_its_version(capsys: Capture, site: Path) -> None:
    install(site, "acme", "acme")
    code, found, problems = listed(capsys, Configured("cn", "acme"))
    assert found["acme", "acme"] == {
        "name": "acme", "distribution": "acme", "version": "1.5", "usable": True, "aliases": [],
        "configured": ["x.toml: mapper[1]"],
    }  # fmt: skip
    assert (code, problems) == (0, [])


def test_code_of_a_third_party_is_not_run_unless_configured(capsys: Capture, site: Path) -> None:
    install(site, "acme", "acme", "raise SystemExit('run')")
    code, found, problems = listed(capsys, Configured("cn"))
    assert (code, problems, found["acme", "acme"]["usable"]) == (0, [], True)
    assert "listed_acme" not in sys.modules


@pytest.mark.parametrize("name", ["cn", "ms"])
def test_a_third_party_cannot_claim_a_name_or_alias_of_ours(capsys: Capture, site: Path, name: str) -> None:
    install(site, "acme", name)
    code, found, problems = listed(capsys, Configured(name))
    assert not found[name, "acme"]["usable"]
    assert found[name, "acme"]["configured"] == []
    assert code == 1
    assert problems == [f"acme 1.5: claims the mapper {name!r}, which is pam_sc's own: it is never used"]


def test_a_name_that_two_claim_is_a_problem_of_both(capsys: Capture, site: Path) -> None:
    install(site, "acme", "badge")
    install(site, "other", "badge")
    code, found, problems = listed(capsys, Configured("cn", "badge"))
    assert [found["badge", owner]["usable"] for owner in ("acme", "other")] == [False, False]
    assert problems[0].startswith("the mapper 'badge' is claimed by more than one distribution: acme 1.5, other 1.5")
    assert problems[1].startswith("x.toml: mapper[1]: mapper 'badge' is claimed by more than one")
    assert code == 1


@pytest.mark.parametrize(("source", "why"), [
    ("raise ValueError('broken')", "cannot be loaded: ValueError('broken')"),
    ("Third = 7", "expected a class of Mapper"),
    (MAPPER.replace("return cls()", "raise ValueError('made')"), "cannot be made: ValueError('made')"),
])
def test_a_configured_mapper_that_does_not_work_is_a_problem(capsys: Capture, site: Path, source: str, why: str) -> None:
    install(site, "acme", "acme", source)
    code, _found, (problem,) = listed(capsys, Configured("acme"))
    assert code == 1
    assert why in problem


def test_a_configured_mapper_that_nobody_brings_is_a_problem(capsys: Capture) -> None:
    code, _found, (problem,) = listed(capsys, Configured("cm"))
    assert code == 1
    assert problem.startswith("x.toml: mapper[0]: unknown mapper 'cm'")


def test_without_a_configuration_the_list_is_there_all_the_same(capsys: Capture) -> None:
    code, found, problems = listed(capsys, FakeMachine(error=ConfigError("no such file")))
    assert code == 2
    assert ("cn", "pam_sc") in found
    assert problems == ["no such file"]


def test_for_people_it_is_a_line_each(capsys: Capture) -> None:
    assert run(["mappers"], Configured("cn")) == 0
    lines = capsys.readouterr().out.splitlines()
    line = next(each for each in lines if each.startswith("cn "))
    assert line.split()[1] == "pam_sc"
    assert line.endswith("configured: x.toml: mapper[0]")
    assert next(each for each in lines if each.startswith("upn ")).endswith("also called ms")
