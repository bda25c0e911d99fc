# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file is believed only if nobody but the trusted users can change it or anything on the way to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.errors import OwnershipError
from pam_sc.ownership import read_trusted_file, require_unwritable, resolve_trusted

TRUSTED = frozenset({0, os.getuid()})
STRANGER = 54321

needs_root = pytest.mark.root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A safe folder with a safe file in it."""
    inner = tmp_path / "etc"
    inner.mkdir(mode=0o755)
    (inner / "file").write_bytes(b"content")
    (inner / "file").chmod(0o644)
    return inner


def read(path: Path, max_bytes: int = 100) -> bytes:
    return read_trusted_file(str(path), TRUSTED, max_bytes)


def test_safe_file_is_read(folder: Path) -> None:
    assert read(folder / "file") == b"content"


def test_safe_folder_is_accepted(folder: Path) -> None:
    require_unwritable(str(folder), TRUSTED)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620, 0o602])
def test_file_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    (folder / "file").chmod(mode)
    with pytest.raises(OwnershipError, match=rf"file'.* mode {mode:04o}.*expected owner .* no write permission"):
        read(folder / "file")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_file_in_a_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(OwnershipError, match=rf"etc': found .* mode {mode:04o}"):
        read(folder / "file")


def test_file_below_a_folder_that_others_can_write_is_refused(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_bytes(b"")
    folder.chmod(0o777)
    with pytest.raises(OwnershipError, match="etc': found"):
        read(folder / "deep" / "file")


@needs_root
def test_file_of_a_stranger_is_refused(folder: Path) -> None:
    os.chown(folder / "file", STRANGER, 0)
    with pytest.raises(OwnershipError, match=f"found owner {STRANGER} and mode 0644, expected owner 0"):
        read(folder / "file")


@needs_root
def test_file_of_a_trusted_user_who_is_not_root_is_read(folder: Path) -> None:
    os.chown(folder / "file", STRANGER, 0)
    assert read_trusted_file(str(folder / "file"), frozenset({0, STRANGER}), 100) == b"content"


@needs_root
def test_folder_of_a_stranger_is_refused(folder: Path) -> None:
    os.chown(folder, STRANGER, 0)
    with pytest.raises(OwnershipError, match=f"etc': found owner {STRANGER}"):
        read(folder / "file")


@needs_root
def test_file_of_the_trusted_in_a_sticky_folder_of_root_is_read(folder: Path) -> None:
    folder.chmod(0o1777)
    assert read(folder / "file") == b"content"


@needs_root
def test_file_of_a_stranger_in_a_sticky_folder_of_root_is_refused(folder: Path) -> None:
    folder.chmod(0o1777)
    os.chown(folder / "file", STRANGER, 0)
    with pytest.raises(OwnershipError, match="file': found owner"):
        read(folder / "file")


@needs_root
def test_file_in_a_sticky_folder_of_another_trusted_user_is_refused(folder: Path) -> None:
    folder.chmod(0o1777)
    os.chown(folder, STRANGER, 0)
    with pytest.raises(OwnershipError, match="etc': found owner"):
        read_trusted_file(str(folder / "file"), frozenset({0, STRANGER}), 100)


@needs_root
def test_sticky_folder_itself_is_refused_as_others_may_add_to_it(folder: Path) -> None:
    folder.chmod(0o1777)
    with pytest.raises(OwnershipError, match="mode 1777"):
        require_unwritable(str(folder), TRUSTED)


def test_link_to_a_safe_file_is_followed(folder: Path) -> None:
    (folder / "link").symlink_to("../etc/./file")
    assert read(folder / "link") == b"content"
    assert resolve_trusted(str(folder / "link"), TRUSTED) == str(folder / "file")


def test_link_in_a_folder_that_others_can_write_is_refused(folder: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "link").symlink_to(folder / "file")
    loose.chmod(0o777)
    with pytest.raises(OwnershipError, match="loose': found"):
        read(loose / "link")


def test_link_through_a_folder_that_others_can_write_is_refused(folder: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "real").write_bytes(b"")
    loose.chmod(0o777)
    (folder / "link").symlink_to(loose / "real")
    with pytest.raises(OwnershipError, match="loose': found"):
        read(folder / "link")


@needs_root
def test_link_of_a_stranger_in_a_sticky_folder_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "file")
    os.chown(folder / "link", STRANGER, 0, follow_symlinks=False)
    folder.chmod(0o1777)
    with pytest.raises(OwnershipError, match="link': found owner"):
        read(folder / "link")


def test_forty_links_are_followed_and_one_more_is_not(folder: Path) -> None:
    (folder / "link0").symlink_to("file")
    for index in range(1, 41):
        (folder / f"link{index}").symlink_to(f"link{index - 1}")
    assert read(folder / "link39") == b"content"
    with pytest.raises(OwnershipError, match="more than 40 symbolic links"):
        read(folder / "link40")


@needs_root
def test_file_that_others_can_write_is_refused_even_with_the_sticky_bit(folder: Path) -> None:
    (folder / "file").chmod(0o1666)
    with pytest.raises(OwnershipError, match=r"file': found .* mode 1666"):
        require_unwritable(str(folder / "file" / "."), TRUSTED)
    with pytest.raises(OwnershipError, match=r"file': found .* mode 1666"):
        read(folder / "file")


def test_links_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(OwnershipError, match="more than 40 symbolic links"):
        read(folder / "a")


def test_missing_file_is_refused(folder: Path) -> None:
    with pytest.raises(OwnershipError, match="nothing-here': No such file"):
        read(folder / "nothing-here")


@pytest.mark.parametrize("path", ["etc/file", "", "/etc\0/file"])
def test_path_that_is_not_absolute_is_refused(path: str) -> None:
    with pytest.raises(OwnershipError, match="expected an absolute path"):
        read_trusted_file(path, TRUSTED, 100)


def test_folder_is_not_read_as_a_file(folder: Path) -> None:
    with pytest.raises(OwnershipError, match="found a folder, expected a regular file"):
        read(folder)


def test_pipe_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    with pytest.raises(OwnershipError, match="found a pipe, expected a regular file"):
        read(folder / "pipe")


def test_file_of_the_greatest_size_is_read(folder: Path) -> None:
    assert read(folder / "file", max_bytes=7) == b"content"


def test_file_one_byte_too_large_is_refused(folder: Path) -> None:
    with pytest.raises(OwnershipError, match="larger than 6 bytes"):
        read(folder / "file", max_bytes=6)
