# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files for systemd under etc/: systemd itself takes them, the monitor's unit is as closed as it says, and folders and
accounts are made for those who need them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ETC = Path(__file__).resolve().parents[2] / "etc"
SYSTEM_UNITS = ("pam_sc-refresh.service", "pam_sc-refresh.timer", "pam_sc-monitor.service")
EXPOSURE_MAX = 10
"""What systemd-analyze may find open at most, in tenths: a service with all rights has 96, a confined one about 20."""


def tool(name: str) -> str:
    """A program of systemd."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def copied(to: Path, unit: str) -> str:
    """The unit as it would be installed, with a program that is there."""
    text = (ETC / "systemd" / unit).read_text()
    path = to / Path(unit).name
    path.write_text(text.replace("/usr/local/bin/pam-sc", "/bin/true"))
    return str(path)


def verified(tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    variables = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([tool("systemd-analyze"), "verify", *arguments], capture_output=True, text=True, check=False,
                          timeout=60, env=variables)
    return done.returncode, done.stdout, done.stderr


def settings(unit: str) -> list[str]:
    return (ETC / "systemd" / unit).read_text().splitlines()


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    assert verified(tmp_path, *[copied(tmp_path, unit) for unit in SYSTEM_UNITS]) == (0, "", "")


def test_systemd_finds_nothing_wrong_with_the_units_of_users(tmp_path: Path) -> None:
    assert verified(tmp_path, "--user", copied(tmp_path, "user/pam_sc-monitor.service")) == (0, "", "")


def test_a_unit_with_a_word_that_systemd_does_not_know_is_found(tmp_path: Path) -> None:
    path = Path(copied(tmp_path, "pam_sc-monitor.service"))
    path.write_text(path.read_text().replace("WatchdogSec=", "WachdogSec="))
    assert "WachdogSec" in verified(tmp_path, str(path))[2]


def exposure(tmp_path: Path, unit: str, threshold: int) -> int:
    arguments = ["security", "--offline=true", "--no-pager", f"--threshold={threshold}", copied(tmp_path, unit)]
    done = subprocess.run([tool("systemd-analyze"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert "Overall exposure level" in done.stdout, done.stderr
    return done.returncode


def test_the_monitors_unit_has_hardly_anything_open(tmp_path: Path) -> None:
    assert exposure(tmp_path, "pam_sc-monitor.service", EXPOSURE_MAX) == 0
    assert exposure(tmp_path, "pam_sc-monitor.service", 1) != 0, "the threshold is looked at"


@pytest.mark.parametrize("setting", [
    "ExecStart=/usr/local/bin/pam-sc monitor --all", "User=pam_sc_monitor", "CapabilityBoundingSet=", "NoNewPrivileges=yes",
    "RestrictAddressFamilies=AF_UNIX", "Restart=always", "StartLimitIntervalSec=0", "Type=notify",
    "OOMPolicy=continue", "RuntimeDirectoryPreserve=yes", "ExecReload=/bin/kill -HUP $MAINPID",
])  # fmt: skip
def test_the_monitors_unit_says_so(setting: str) -> None:
    assert setting in settings("pam_sc-monitor.service")


@pytest.mark.parametrize("setting", [
    "ExecStart=/usr/local/bin/pam-sc monitor --own", "KillMode=process", "PartOf=graphical-session.target", "Type=notify",
    "ExecReload=/bin/kill -HUP $MAINPID",
])  # fmt: skip
def test_the_users_unit_says_so(setting: str) -> None:
    assert setting in settings("user/pam_sc-monitor.service")


def test_the_users_unit_can_start_setuid_programs() -> None:
    """PAM's unix_chkpwd and xscreensaver-auth, below a locker. Each of these would imply NoNewPrivileges= there."""
    words = {line.partition("=")[0] for line in settings("user/pam_sc-monitor.service")}
    assert not words & {"NoNewPrivileges", "SystemCallFilter", "RestrictAddressFamilies", "PrivateDevices", "RestrictNamespaces"}


GROUPS = "root:x:0:\npam_sc:x:4101:\n"


def made(tmp_path: Path, groups: str) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\npam_sc:x:4101:4101::/:/bin/false\n")
    (tmp_path / "etc/group").write_text(groups)
    files = str(ETC / "tmpfiles.d" / "pam_sc.conf")
    arguments = [tool("systemd-tmpfiles"), "--create", f"--root={tmp_path}", files]
    return subprocess.run(arguments, capture_output=True, check=False, timeout=60)


def owners(tmp_path: Path, *paths: str) -> list[tuple[int, int, int]]:
    about = [(tmp_path / path).stat() for path in paths]
    return [(each.st_mode & 0o7777, each.st_uid, each.st_gid) for each in about]


@pytest.mark.root
def test_the_folders_are_made_for_those_who_write_them_and_read_them(tmp_path: Path) -> None:
    assert made(tmp_path, f"{GROUPS}pam_sc_monitor:x:4103:\n").returncode == 0
    store = "var/lib/pam_sc/revocation"
    assert owners(tmp_path, store, f"{store}/requests") == [(0o755, 0, 0), (0o700, 4101, 4101)]
    assert owners(tmp_path, "run/pam_sc", "run/pam_sc/sessions") == [(0o755, 0, 0), (0o2755, 0, 4103)]


@pytest.mark.root
def test_a_folder_of_an_earlier_installation_is_given_to_the_monitor(tmp_path: Path) -> None:
    (tmp_path / "run/pam_sc/sessions").mkdir(parents=True)
    assert made(tmp_path, f"{GROUPS}pam_sc_monitor:x:4103:\n").returncode == 0
    assert owners(tmp_path, "run/pam_sc/sessions") == [(0o2755, 0, 4103)]


@pytest.mark.root
def test_without_the_monitors_group_the_rest_is_made_and_logins_make_the_folder(tmp_path: Path) -> None:
    done = made(tmp_path, GROUPS)
    assert b"pam_sc_monitor" in done.stderr
    assert owners(tmp_path, "run/pam_sc", "run/pam_sc/tries") == [(0o755, 0, 0), (0o700, 4101, 4101)]
    assert not (tmp_path / "run/pam_sc/sessions").exists()


@pytest.mark.root
def test_each_account_is_made_with_a_group_and_without_a_shell(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    arguments = [tool("systemd-sysusers"), f"--root={tmp_path}", str(ETC / "sysusers.d" / "pam_sc.conf")]
    subprocess.run(arguments, check=True, capture_output=True, timeout=60)
    accounts = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    groups = {line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    ours = {account[0]: account[6] for account in accounts if account[0].startswith("pam_sc")}
    assert ours == dict.fromkeys(("pam_sc", "pam_sc_card", "pam_sc_monitor"), "/usr/sbin/nologin")
    assert groups >= ours.keys()
