# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files for systemd under etc/: systemd itself takes them, and the refresh runs within what they allow."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ETC = Path(__file__).resolve().parents[2] / "etc"


def tool(name: str) -> str:
    """A program of systemd."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for unit in ("service", "timer"):
        text = (ETC / "systemd" / f"pam_sc-refresh.{unit}").read_text()
        (tmp_path / f"pam_sc-refresh.{unit}").write_text(text.replace("/usr/local/bin/pam-sc", "/bin/true"))
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run([tool("systemd-analyze"), "verify", *units], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.root
def test_the_folders_of_the_store_are_made_for_those_who_write_them(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\npam_sc:x:4101:4101::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("root:x:0:\npam_sc:x:4101:\n")
    made = ETC / "tmpfiles.d" / "pam_sc.conf"
    subprocess.run([tool("systemd-tmpfiles"), "--create", f"--root={tmp_path}", str(made)], check=True, timeout=60)
    about = [(tmp_path / path).stat() for path in ("var/lib/pam_sc/revocation", "var/lib/pam_sc/revocation/requests")]
    assert [(each.st_mode & 0o7777, each.st_uid) for each in about] == [(0o755, 0), (0o700, 4101)]
