# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pages that are generated say what the tables of the code say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pam_sc.decision.evidence import Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.revocation import OUTCOMES

REPOSITORY = Path(__file__).resolve().parents[3]


def generator(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["messages", "revocation"])
def test_the_page_is_what_the_generator_writes(page: str) -> None:
    assert (REPOSITORY / "docs" / f"{page}.md").read_text() == generator(f"make_{page}").page()


@pytest.mark.parametrize("mode", list(RevocationMode))
@pytest.mark.parametrize("situation", list(Situation))
def test_every_outcome_has_its_row(mode: RevocationMode, situation: Situation) -> None:
    reason = OUTCOMES[mode][situation]
    what = f"refused | {reason.value} | PAM_AUTH_ERR | " if reason else "the login goes on | | | |"
    lines = [
        line
        for line in (REPOSITORY / "docs" / "revocation.md").read_text().splitlines()
        if line.startswith(f"| {mode.value} | {situation.value} | {what}")
    ]
    assert len(lines) == 1


@pytest.mark.parametrize("word", [*RevocationMode, *Situation])
def test_every_word_is_explained(word: RevocationMode | Situation) -> None:
    page = (REPOSITORY / "docs" / "revocation.md").read_text()
    explained = page.partition(f"| {word.value} | ")[2].partition(" |")[0]
    assert explained.endswith(".")
