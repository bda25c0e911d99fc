# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file is written whole or not at all, never over another unless that is asked for, and through no link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pam_sc.cli.new_file import write_new_file
from pam_sc.errors import PamScError


def test_a_new_file_is_readable_for_everybody_and_nothing_else_is_left(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_new_file(str(tmp_path / "new"), "text ü\n", force=False)
    finally:
        os.umask(old)
    assert (tmp_path / "new").read_text() == "text ü\n"
    status = (tmp_path / "new").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink) == (0o644, os.geteuid(), 1)
    assert os.listdir(tmp_path) == ["new"]


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("old")
    with pytest.raises(PamScError, match="it is there already"):
        write_new_file(str(tmp_path / "new"), "text", force=False)
    assert (tmp_path / "new").read_text() == "old"
    assert os.listdir(tmp_path) == ["new"]
    write_new_file(str(tmp_path / "new"), "text", force=True)
    assert (tmp_path / "new").read_text() == "text"
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_link_is_never_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "new").symlink_to(tmp_path / target)
    with pytest.raises(PamScError, match="it is there already"):
        write_new_file(str(tmp_path / "new"), "text", force=False)
    write_new_file(str(tmp_path / "new"), "text", force=True)
    assert not (tmp_path / "new").is_symlink()
    assert (tmp_path / "there").read_text() == "old"
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["folder", "none/new", "x\0y", "n" * 300])
def test_a_place_where_nothing_can_be_written_is_an_error(tmp_path: Path, name: str, force: bool) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(PamScError, match="cannot write"):
        write_new_file(f"{tmp_path}/{name}", "text", force=force)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []
