# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which worker may be started: nobody but root, and a caller that has no privilege, could have written it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.shim_host import NOBODY, Host

SUCCESS, SERVICE_ERR = 0, 3
Spoil = Callable[[Path], Path]
OWNER = "it, or a folder above it, does not belong to root"
MODE = "it, or a folder above it, can be written by others"
as_root = pytest.mark.root


def place(host: Host, name: str) -> Path:
    """A good worker in a folder of its own."""
    folder = Path(tempfile.mkdtemp(dir=host.build.folder)) / name
    folder.mkdir(mode=0o755)
    folder.parent.chmod(0o755)
    return Path(shutil.copy2(host.build.worker, folder / "pam_sc_worker"))


def group_writable_file(path: Path) -> Path:
    path.chmod(0o775)
    return path


def world_writable_file(path: Path) -> Path:
    path.chmod(0o757)
    return path


def group_writable_folder(path: Path) -> Path:
    path.parent.chmod(0o775)
    return path


def world_writable_folder_above(path: Path) -> Path:
    path.parents[1].chmod(0o777)
    return path


def users_file(path: Path) -> Path:
    os.chown(path, NOBODY, NOBODY)
    return path


def users_folder(path: Path) -> Path:
    os.chown(path.parent, NOBODY, NOBODY)
    return path


def link_to_users_folder(path: Path) -> Path:
    users_folder(path)
    link = path.parents[1] / "link"
    link.symlink_to(path)
    return link


def link_in_users_folder(path: Path) -> Path:
    users = path.parents[1] / "users"
    users.mkdir()
    (users / "link").symlink_to(path)
    os.chown(users, NOBODY, NOBODY)
    return users / "link"


def link_to_link_in_users_folder(path: Path) -> Path:
    outer = path.parents[1] / "outer"
    outer.symlink_to(link_in_users_folder(path))
    return outer


def link_to_folder_behind_a_users_link(path: Path) -> Path:
    users = path.parents[1] / "users"
    users.mkdir()
    (users / "bin").symlink_to(path.parent)
    os.chown(users, NOBODY, NOBODY)
    (path.parents[1] / "outer").symlink_to("users/bin")
    return path.parents[1] / "outer" / path.name


def users_sticky_folder(path: Path) -> Path:
    os.chown(path.parent, NOBODY, NOBODY)
    path.parent.chmod(0o1777)
    return path


def users_file_in_sticky_folder(path: Path) -> Path:
    path.parent.chmod(0o1777)
    return users_file(path)


def missing(path: Path) -> Path:
    path.unlink()
    return path


def dangling(path: Path) -> Path:
    path.unlink()
    path.symlink_to("/nonexistent")
    return path


def not_executable(path: Path) -> Path:
    path.chmod(0o644)
    return path


def a_folder(path: Path) -> Path:
    return path.parent


def a_fifo(path: Path) -> Path:
    path.unlink()
    os.mkfifo(path, 0o755)
    return path


BY_MODE: dict[Spoil, str] = {group_writable_file: MODE, world_writable_file: MODE, group_writable_folder: MODE,
           world_writable_folder_above: MODE, missing: "it cannot be found", dangling: "it cannot be found",
           not_executable: "it is not executable", a_folder: "it is not a regular file",
           a_fifo: "it is not a regular file"}  # fmt: skip
BY_OWNER: dict[Spoil, str] = {users_file: OWNER, users_folder: OWNER, link_to_users_folder: OWNER, link_in_users_folder: OWNER,
            link_to_link_in_users_folder: OWNER, link_to_folder_behind_a_users_link: OWNER,
            users_sticky_folder: OWNER, users_file_in_sticky_folder: OWNER}  # fmt: skip


def assert_refused(host: Host, path: Path, why: str, *script: str) -> None:
    outcome = host.login("grant", *script, arguments=(f"worker={path}",))
    assert outcome.code == SERVICE_ERR
    assert outcome.logs == [f"3 cannot use the worker {path}: {why}; install it again, or correct worker="]


@pytest.mark.parametrize("spoil", BY_MODE, ids=lambda spoil: spoil.__name__)
def test_a_worker_that_others_could_change_or_that_is_none_is_refused(host: Host, spoil: Spoil) -> None:
    assert_refused(host, spoil(place(host, "bin")), BY_MODE[spoil])


@as_root
@pytest.mark.parametrize("spoil", BY_OWNER, ids=lambda spoil: spoil.__name__)
def test_a_worker_that_a_user_could_change_is_refused(host: Host, spoil: Spoil) -> None:
    assert_refused(host, spoil(place(host, "bin")), BY_OWNER[spoil])


@as_root
@pytest.mark.parametrize("spoil", [users_file, users_folder, link_in_users_folder, users_file_in_sticky_folder])
def test_a_caller_without_privilege_may_start_its_own_worker(plain: Host, spoil: Spoil) -> None:
    path = spoil(place(plain, "bin"))
    assert plain.login("grant", f"uids={NOBODY}:{NOBODY}:{NOBODY}", arguments=(f"worker={path}",)).code == SUCCESS


@as_root
def test_a_caller_without_privilege_may_not_start_that_of_another(plain: Host) -> None:
    path = users_file(place(plain, "bin"))
    assert_refused(plain, path, OWNER, "uids=65533:65533:65533")


@as_root
@pytest.mark.parametrize("uids", [f"{NOBODY}:0:0", f"{NOBODY}:{NOBODY}:0"])
@pytest.mark.parametrize("spoil", [users_file, users_folder])
def test_a_caller_with_a_privilege_may_not_start_its_own_worker(plain: Host, spoil: Spoil, uids: str) -> None:
    """A setuid host would give its privilege away."""
    assert_refused(plain, spoil(place(plain, "bin")), OWNER, f"uids={uids}")


@as_root
def test_a_folder_of_the_callers_is_no_sticky_folder_of_roots(plain: Host) -> None:
    path = users_sticky_folder(place(plain, "bin"))
    assert_refused(plain, path, MODE, f"uids={NOBODY}:{NOBODY}:{NOBODY}")


def test_a_worker_behind_a_link_is_started_by_its_canonical_path(plain: Host) -> None:
    path = place(plain, "bin")
    link = path.parents[1] / "link"
    link.symlink_to("bin/../bin/pam_sc_worker")
    logs = plain.login("report", arguments=(f"worker={link}",)).logs
    assert f"6 arg {path}" in logs


def test_a_worker_in_a_sticky_folder_of_ours_is_started(plain: Host) -> None:
    path = place(plain, "bin")
    if os.geteuid() == 0:
        path.parent.chmod(0o1777)
    assert plain.login("grant", arguments=(f"worker={path}",)).code == SUCCESS


def test_a_worker_that_is_no_program_is_refused_with_the_kernels_reason(host: Host) -> None:
    path = place(host, "bin")
    path.write_bytes(b"\x7fELF and then nothing")
    outcome = host.login("grant", arguments=(f"worker={path}",))
    assert outcome.code == SERVICE_ERR
    assert outcome.logs == [
        f"3 cannot execute the worker {path}: Exec format error; install it again, or correct worker="
    ]
