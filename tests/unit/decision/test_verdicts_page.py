# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page of verdicts says what the table of reasons says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_page_is_what_the_generator_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_verdicts", REPOSITORY / "tools" / "make_verdicts.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert (REPOSITORY / "docs" / "verdicts.md").read_text() == generator.page()
