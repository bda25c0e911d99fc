# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a monitor that root starts by hand makes in /run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_sc.errors import MonitorError
from pam_sc.monitor.running import make_folder


@pytest.fixture
def _closed_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_closed_umask")
def test_roots_umask_does_not_close_the_folders_of_session_cards_and_socket(tmp_path: Path) -> None:
    make_folder(str(tmp_path / "pam_sc"))
    assert (tmp_path / "pam_sc").stat().st_mode & 0o7777 == 0o755


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "pam_sc").mkdir(mode=0o700)
    make_folder(str(tmp_path / "pam_sc"))
    assert (tmp_path / "pam_sc").stat().st_mode & 0o7777 == 0o700


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match=r"cannot make .*: No such file or directory"):
        make_folder(str(tmp_path / "nothing" / "pam_sc"))
