# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is written is read back as the same tree, whatever the tree; what could not be is refused; comments stay comments."""

from __future__ import annotations

import datetime
import math
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.config.toml_writer import write_toml
from pam_sc.errors import ConfigError

PRINTABLE = st.text(st.characters(exclude_categories=("C", "Zl", "Zp", "Zs")) | st.sampled_from(" \"'\\#=[]{}.,"))
NAMES = st.one_of(st.sampled_from(["name", "module", "a-b", "a b", "ü", '"', "#", "", "1"]), PRINTABLE)
SCALARS = st.one_of(PRINTABLE, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
TREES = st.dictionaries(NAMES, VALUES, max_size=4)


@given(TREES)
def test_whatever_is_written_is_read_back_as_the_same_tree(tree: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(tree)) == tree


@given(TREES, st.lists(st.text(), max_size=2), st.data())
def test_a_comment_changes_nothing_whatever_it_says_and_wherever_it_stands(
    tree: dict[str, Any], header: list[str], data: st.DataObject
) -> None:
    paths = st.lists(NAMES | st.integers(0, 3), max_size=3).map(tuple)
    comments = data.draw(st.dictionaries(paths, st.lists(st.text(), min_size=1, max_size=2), max_size=3))
    assert tomllib.loads(write_toml(tree, header=header, comments=comments)) == tree


@pytest.mark.parametrize("text", ["a\nb", "\0", "\x1b[2J", "\x7f", "\u202e", "\u2028", "\ud800", "tab\there"])
@pytest.mark.parametrize("as_name", [False, True])
def test_what_cannot_be_printed_is_refused_and_not_shown(text: str, as_name: bool) -> None:
    tree: dict[str, Any] = {"mapper": [{text: 1} if as_name else {"name": text}]}
    with pytest.raises(ConfigError, match=r"cannot write .*mapper.* printed") as caught:
        write_toml(tree)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", [math.nan, math.inf, datetime.date(2026, 1, 1), None, b"x", {1, 2}])
def test_a_value_that_would_not_come_back_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"cannot write trust\.anchors: found "):
        write_toml({"trust": {"anchors": value}})


def test_the_text_is_one_that_a_person_would_write() -> None:
    tree = {
        "trust": {"anchors": "/a"},
        "token": {"module": [{"path": "/m.so", "environment": {"A": "b"}, "allow": ["x", "y"]}]},
        "card": "required",
        "mapper": [{"name": "rules", "rule": [{"name": "one", "priority": 1}, {"name": "two"}]}],
    }
    comments = {
        ("trust", "anchors"): ["line 7: ca_dir"],
        ("mapper", 0): ["line 9: use_mappers"],
        ("mapper", 0, "mapfile"): ["line 10: there is none"],
        ("card",): ["line 3: card_only"],
        ("nothing",): ["line 1: gone"],
    }
    assert write_toml(tree, header=["From /etc/old.conf."], comments=comments) == """\
# From /etc/old.conf.
#
# line 1: gone
# line 3: card_only
card = "required"

[trust]
# line 7: ca_dir
anchors = "/a"

[[token.module]]
path = "/m.so"
allow = ["x", "y"]

[token.module.environment]
A = "b"

# line 9: use_mappers
# line 10: there is none
[[mapper]]
name = "rules"

[[mapper.rule]]
name = "one"
priority = 1

[[mapper.rule]]
name = "two"
"""


def test_a_long_comment_is_wrapped_and_stays_a_comment() -> None:
    text = write_toml({"a": 1}, header=["word " * 100])
    assert tomllib.loads(text) == {"a": 1}
    assert max(map(len, text.splitlines())) <= 120
    assert all(line.startswith("#") for line in text.splitlines()[:-1])
