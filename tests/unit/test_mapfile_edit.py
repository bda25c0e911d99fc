# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changing a mapfile: one line more or less, everything else byte for byte, whole or not at all."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.errors import ConfigError
from pam_sc.mapfile import mapfile_of
from pam_sc.mapfile_edit import changing, line_of, lines_of, resolve, with_line, without_lines

TRUSTED = frozenset({0, os.getuid()})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A mapfile with a comment."""
    path = tmp_path / "cn_map"
    path.write_bytes(b"# people\nAlice -> alice\n")
    path.chmod(0o640)
    return path


def put(path: Path, content: bytes) -> None:
    with changing(str(path), TRUSTED) as now:
        now.replace(content, lambda _: None)


def names(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"Bob -> bob\n"),
        (b"a -> b\n", b"a -> b\nBob -> bob\n"),
        (b"a -> b", b"a -> b\nBob -> bob\n"),
        (b"a -> b\r\n", b"a -> b\r\nBob -> bob\r\n"),
        (b"a -> b\r\nc -> d", b"a -> b\r\nc -> d\r\nBob -> bob\r\n"),
        (b"a -> b\r\nc -> d\n", b"a -> b\r\nc -> d\nBob -> bob\n"),
        (b"# note\n\n\n", b"# note\n\n\nBob -> bob\n"),
    ],
)
def test_a_line_is_added_at_the_end_with_the_ends_of_the_others(before: bytes, after: bytes) -> None:
    assert with_line(before, line_of("Bob", "bob")) == after


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is empty"),
        ("#Bob", "begins with #"),
        ("^Bob$", r"begins with \^"),
        (" Bob", "begins or ends with a blank"),
        ("Bob ", "begins or ends with a blank"),
        ("Bob -> root", "holds ' -> '"),
        ("Bob ->", "holds ' -> '"),
        ("Bob\nroot", "holds a control character"),
        ("Bob\N{RIGHT-TO-LEFT OVERRIDE}", "holds a control character"),
    ],
)
def test_a_value_that_a_mapfile_cannot_hold_makes_no_line(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        line_of(value, "bob")


@pytest.mark.parametrize("account", ["", "-rf", "a/b", "a\nb", "b -> c", " bob"])
def test_an_account_that_a_mapfile_cannot_hold_makes_no_line(account: str) -> None:
    with pytest.raises(ValueError, match="account"):
        line_of("Bob", account)


@given(st.text(max_size=12), st.sampled_from([b"", b"x -> y", b"x -> y\r\n", b"# a\n"]), st.booleans())
def test_whatever_line_is_made_maps_its_value(value: str, before: bytes, ignore_case: bool) -> None:
    try:
        line = line_of(value, "bob")
    except ValueError:
        return
    mapfile = mapfile_of("map", with_line(before, line), ignore_case=ignore_case)
    assert mapfile.account_of(value) == ("y" if value == "x" and before.startswith(b"x") else "bob") or (
        ignore_case and value == "X"
    )


def test_the_lines_of_an_account_are_those_that_map_to_it() -> None:
    content = b"# bob\nBob -> bob\nbob -> alice\n^B.*$ -> bob\nBad bob\nBob2 -> bobby\r\n  B  ->  bob \r\n"
    assert [each.number for each in lines_of(content, "bob", ignore_case=False)] == [2, 4, 7]


def test_lines_are_removed_with_their_ends_and_nothing_else_changes() -> None:
    content = b"# a\r\nx -> y\r\n\nBad line\nz -> y"
    assert without_lines(content, frozenset({2, 5})) == b"# a\r\n\nBad line\n"
    assert without_lines(content, frozenset()) == content


# ---------------------------------------------------------------- the file


def test_a_changed_mapfile_keeps_owner_and_mode_and_leaves_nothing_beside_it_but_the_lock(path: Path) -> None:
    if os.getuid() == 0:
        os.chown(path, 0, 12)
    before = path.stat()
    put(path, b"new\n")
    assert path.read_bytes() == b"new\n"
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert names(path) == {"cn_map", ".cn_map.lock"}


ACL = "system.posix_acl_access"
_OWNER, _USER, _GROUP, _MASK, _OTHER, _NONE = 1, 2, 4, 16, 32, 0xFFFFFFFF
SOMEBODY = 64999


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An access control list as the kernel has it: of each entry tag, permissions, and whose it is."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_what_a_folder_gives_to_new_files_is_not_given_with_a_mapfile(path: Path) -> None:
    """Who could not read the mapfile cannot read it now, and who could still can."""
    open_to_somebody = acl((_OWNER, 7, _NONE), (_USER, 4, SOMEBODY), (_GROUP, 0, _NONE), (_MASK, 7, _NONE), (_OTHER, 0, _NONE))
    os.setxattr(path.parent, "system.posix_acl_default", open_to_somebody)
    put(path, b"other\n")
    assert ACL not in os.listxattr(path)
    assert path.stat().st_mode & 0o7777 == 0o640


def test_the_access_control_list_of_a_mapfile_stays(path: Path) -> None:
    own = acl((_OWNER, 6, _NONE), (_USER, 4, SOMEBODY), (_GROUP, 4, _NONE), (_MASK, 4, _NONE), (_OTHER, 0, _NONE))
    os.setxattr(path, ACL, own)
    put(path, b"other\n")
    assert os.getxattr(path, ACL) == own


def test_an_error_while_the_new_file_is_looked_at_leaves_the_old_one(path: Path) -> None:
    def refuse(unfinished: str) -> None:
        assert Path(unfinished).read_bytes() == b"new\n"
        raise ConfigError("no")

    with pytest.raises(ConfigError, match=r"^no$"), changing(str(path), TRUSTED) as now:
        now.replace(b"new\n", refuse)
    assert path.read_bytes() == b"# people\nAlice -> alice\n"
    assert names(path) == {"cn_map", ".cn_map.lock"}


def test_a_change_by_somebody_without_the_lock_is_not_overwritten(path: Path) -> None:
    with pytest.raises(ConfigError, match="somebody else changed it"), changing(str(path), TRUSTED) as now:
        path.write_bytes(b"by an editor\n")
        now.replace(b"new\n", lambda _: None)
    assert path.read_bytes() == b"by an editor\n"


def test_what_a_killed_process_left_is_removed(path: Path) -> None:
    (path.parent / ".cn_map.new-123").write_bytes(b"half a li")
    (path.parent / ".other.new-123").write_bytes(b"of another mapfile")
    put(path, b"new\n")
    assert names(path) == {"cn_map", ".cn_map.lock", ".other.new-123"}


def test_who_comes_second_waits_and_sees_what_the_first_wrote(path: Path) -> None:
    seen: list[bytes] = []

    def second() -> None:
        with changing(str(path), TRUSTED) as now:
            seen.append(now.content)

    with changing(str(path), TRUSTED) as now:
        thread = threading.Thread(target=second)
        thread.start()
        now.replace(b"first\n", lambda _: None)
    thread.join(10)
    assert seen == [b"first\n"]


def test_who_waits_in_vain_is_told(path: Path) -> None:
    with (
        changing(str(path), TRUSTED),
        pytest.raises(ConfigError, match="another pam-sc is changing it"),
        changing(str(path), TRUSTED, wait_s=0),
    ):
        pass


def test_a_symbolic_link_of_ones_own_is_followed_and_stays(path: Path) -> None:
    link = path.parent / "link"
    link.symlink_to(path)
    put(link, b"new\n")
    assert link.is_symlink()
    assert path.read_bytes() == b"new\n"


@pytest.mark.root
def test_a_symbolic_link_of_somebody_else_is_not_followed(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root")
    link = path.parent / "link"
    link.symlink_to(path)
    os.lchown(link, 1000, 1000)
    with pytest.raises(ConfigError, match=r"cannot trust .*link': found owner 1000"):
        resolve(str(link), frozenset({0}))


def test_a_folder_that_others_can_write_is_not_written_to(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match=r"found owner .* and mode 0777"):
        put(path, b"new\n")


def test_a_mapfile_that_does_not_exist_is_not_made(path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        put(path.parent / "none", b"new\n")
    assert names(path) == {"cn_map"}
