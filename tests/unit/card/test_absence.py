# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which variables lead to files that may be hidden. What is hidden is tested with another account (test_card_process)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.card import absence

as_ordinary_account = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is hidden from root")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    tokens = tmp_path / "tokens" / "one"
    tokens.mkdir(parents=True)
    (tokens / "token.object").write_bytes(b"")
    path = tmp_path / "softhsm2.conf"
    path.write_text(f"log.level = ERROR\ndirectories.tokendir = {tmp_path}/tokens\n")
    return path


def test_nothing_is_hidden_where_everything_can_be_read(configuration: Path) -> None:
    assert absence.hidden_path("/m.so", {"SOFTHSM2_CONF": str(configuration)}) is None


def test_a_configuration_leads_to_the_token_folders_and_their_files(configuration: Path) -> None:
    found = set(absence._files_of(str(configuration)))
    tokens = configuration.parent / "tokens"
    assert found == {str(path) for path in (configuration, tokens, tokens / "one", tokens / "one" / "token.object")}


@pytest.mark.parametrize("value", ["/nonexistent/file", "relative", "tcp:host=127.0.0.1", "", "/dev/null", "/"])
def test_a_value_that_leads_nowhere_hides_nothing(value: str) -> None:
    assert absence.hidden_path("/m.so", {"X": value}) is None


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert absence.hidden_path("/m.so", {"X": str(tmp_path / "fifo")}) is None


@as_ordinary_account
def test_a_hidden_token_file_is_named(configuration: Path) -> None:
    hidden = configuration.parent / "tokens" / "one" / "token.object"
    hidden.chmod(0)
    assert absence.hidden_path("/m.so", {"SOFTHSM2_CONF": str(configuration)}) == str(hidden)
