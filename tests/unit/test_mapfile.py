# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapfiles: an allow-list whose first matching line wins, read whole or refused with file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.errors import ConfigError
from pam_sc.mapfile import Mapfile, read_mapfile

TRUSTED = frozenset({0, os.getuid()})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the mapfile is."""
    return tmp_path / "cn_map"


def read(path: Path, text: str | bytes, *, ignore_case: bool = False) -> Mapfile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return read_mapfile(str(path), TRUSTED, ignore_case=ignore_case)


def test_listed_value_maps_and_no_other(path: Path) -> None:
    found = read(path, "Alice Example -> alice\n")
    assert found.account_of("Alice Example") == "alice"
    for near in ("alice", "Alice Exampl", "Alice Example ", "alice example", "", "Alice Example -> alice"):
        assert found.account_of(near) is None


@pytest.mark.parametrize(
    "text",
    [
        "A B -> alice",
        "A B -> alice\n",
        "A B -> alice\r\n",
        "# note\n\n   \n\tA B\t->\talice  \n",
        "  # A B -> bob\nA B -> alice\n",
        "A B   ->   alice\nA B -> bob\n",
    ],
)
def test_spaces_comments_and_line_ends_do_not_matter(path: Path, text: str) -> None:
    assert read(path, text).account_of("A B") == "alice"


def test_pattern_matches_the_whole_value(path: Path) -> None:
    found = read(path, "^ali.e|bob$ -> team\n")
    assert found.account_of("alice") == "team"
    assert found.account_of("bob") == "team"
    for near in ("xalice", "alicex", "bobby", "alice\n", "mallory\nalice", "^ali.e|bob$"):
        assert found.account_of(near) is None


def test_first_matching_line_wins_whatever_its_kind(path: Path) -> None:
    assert read(path, "^a.*$ -> one\nalice -> two\n").account_of("alice") == "one"
    assert read(path, "alice -> two\n^a.*$ -> one\n").account_of("alice") == "two"
    assert read(path, "^b$ -> three\nalice -> two\n^a.*$ -> one\n").account_of("alice") == "two"
    assert read(path, "alice -> two\n^a.*$ -> one\n").account_of("anna") == "one"


def test_literal_value_with_special_characters_is_no_pattern(path: Path) -> None:
    found = read(path, "a.* -> alice\nhost$ -> machine\n")
    assert found.account_of("a.*") == "alice"
    assert found.account_of("ab") is None
    assert found.account_of("host$") == "machine"


def test_ignore_case_means_ascii_letters_only(path: Path) -> None:
    found = read(path, "Kim -> kim\n^lee.*$ -> lee\n", ignore_case=True)
    assert found.account_of("kIM") == "kim"
    assert found.account_of("LEE K") == "lee"
    assert found.account_of("\N{KELVIN SIGN}im") is None
    assert read(path, "Kim -> kim\n").account_of("kim") is None


def test_empty_mapfile_maps_nothing(path: Path) -> None:
    assert read(path, "").account_of("alice") is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice", "expected one line 'value -> account'"),
        ("alice alice", "expected one line 'value -> account'"),
        ("alice->alice", "expected one line 'value -> account'"),
        ("-> alice", "expected one line 'value -> account'"),
        (" -> alice", "expected one line 'value -> account'"),
        ("alice -> bob -> carol", "expected one line 'value -> account'"),
        ("alice -> ", "expected one line 'value -> account'"),
        ("alice -> -rf", "the account '-rf' begins with -"),
        ("alice -> a/b", "the account 'a/b' holds a slash"),
        ("alice -> a\x01b", "holds a control character"),
        ("alice\0 -> alice", "holds a control character"),
        ("ali\rce -> alice", "holds a control character"),
        ("\u202ealice -> alice", "holds a control character"),
        ("^alice -> alice", "expected a pattern that begins with ^ and ends with $"),
        ("^$ -> alice", "expected a pattern that begins with ^ and ends with $"),
        (r"^alice\$ -> alice", "expected a pattern that begins with ^ and ends with $"),
        ("^(a+)+$ -> alice", "could take too long"),
        ("^($ -> alice", "is malformed"),
    ],
)
def test_malformed_line_makes_the_whole_file_unusable(path: Path, line: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(path, f"# first\ngood -> good\n{line}\n")
    assert str(caught.value).startswith(f"{path}:3: ")
    assert why in str(caught.value)


def test_line_that_is_not_utf8_makes_the_whole_file_unusable(path: Path) -> None:
    with pytest.raises(ConfigError, match=r":2: the line is not UTF-8"):
        read(path, b"good -> good\nZo\xeb -> zoe\n")


def test_missing_mapfile_is_an_error(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot use mapfile .*: No such file"):
        read_mapfile(str(path), TRUSTED)


def test_mapfile_that_others_can_write_is_an_error(path: Path) -> None:
    read(path, "alice -> alice")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match=r"found owner .* and mode 0666"):
        read_mapfile(str(path), TRUSTED)


def test_mapfile_in_a_folder_that_others_can_write_is_an_error(path: Path) -> None:
    read(path, "alice -> alice")
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match=r"found owner .* and mode 0777"):
        read_mapfile(str(path), TRUSTED)


def test_relative_path_is_an_error() -> None:
    with pytest.raises(ConfigError, match="expected an absolute path"):
        read_mapfile("cn_map", TRUSTED)


@settings(max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=80))
def test_any_content_is_read_or_refused_as_configuration(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any_map"
    try:
        read(path, content).account_of("alice")
    except ConfigError as error:
        assert str(error).startswith(f"{path}:")
