# SPDX-License-Identifier: LGPL-2.1-or-later
"""The line that an error message names is the line on which the key stands, or none is named."""

from __future__ import annotations

import pytest

from pam_sc.config.schema import KeyPath
from pam_sc.config.where import dotted, find_line, nearest_line, parse_dotted

TEXT = '''\
# run_as = "a comment is no key"
[[token.module]]
path = "/a"
[[token.module]]
environment = { A = "1", B = "2" }
path = """\\
  /run_as = 5"""
allow = [
  "fsync",
  "kill",
]
[token]
run_as = "x"
"quoted key" = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("token", "run_as"), 13),
        (("token", "module", 0, "path"), 3),
        (("token", "module", 1, "path"), 6),
        (("token", "module", 1), 4),
        (("token", "module", 1, "environment", "B"), 5),
        (("token", "module", 1, "allow", 1), 8),
        (("token", "quoted key"), 14),
        (("token",), 2),
        (("token", "module", 2), None),
        (("trust",), None),
        ((), None),
        ((0,), None),
    ],
)
def test_the_line_is_the_one_with_which_the_key_first_appears(path: KeyPath, line: int | None) -> None:
    assert find_line(TEXT, path) == line


def test_a_key_written_with_an_escape_has_no_line() -> None:
    assert find_line('"r\\u0075n" = 1', ("run",)) is None


def test_a_text_that_is_no_toml_has_no_lines() -> None:
    assert find_line("run = = 1", ("run",)) is None


def test_a_path_is_written_with_dots_and_indexes() -> None:
    assert dotted(("token", "module", 0, "environment", "A B\x1b")) == "token.module[0].environment.'A B\\x1b'"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("card", ("card",)),
        ("token.module[0].environment.A", ("token", "module", 0, "environment", "A")),
        ("revocation.ca[12]", ("revocation", "ca", 12)),
    ],
)
def test_a_dotted_path_is_read_back(text: str, path: KeyPath) -> None:
    assert parse_dotted(text) == path
    assert dotted(path) == text


@pytest.mark.parametrize("text", ["", "[0]", ".card", "card.", "a..b", "a[", "a[x]", "/etc/pam.d/sudo:1", "a b", "a['b c']"])
def test_what_is_no_dotted_path_of_plain_names_is_none(text: str) -> None:
    assert parse_dotted(text) is None


@pytest.mark.parametrize(
    ("path", "line"),
    [(("token", "run_as"), 13), (("token", "select"), 2), (("token", "module", 0, "allow"), 2), (("pin", "x"), None)],
)
def test_what_the_file_does_not_have_is_on_the_line_of_the_table_around_it(path: KeyPath, line: int | None) -> None:
    assert nearest_line(TEXT, path) == line
