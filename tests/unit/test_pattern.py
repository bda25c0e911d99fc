# SPDX-License-Identifier: LGPL-2.1-or-later
"""Patterns of a mapfile: what is taken, and that none that is taken can be kept busy by a value."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.identity import VALUE_MAX
from pam_sc.pattern import compile_pattern


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("alice", "alice"),
        ("alice|bob", "bob"),
        ("ali.*", "alice"),
        (r"\d{8}[A-Z]", "12345678Z"),
        ("(alice|bob) Smith( .*)?", "bob Smith junior"),
        (".*alice.*", "x alice y"),
        ("(ab)*x", "ababx"),
        ("[^@]+@example[.]test", "alice@example.test"),
        ("(?:ab){2}", "abab"),
        ("a.*?b", "axxb"),
    ],
)
def test_usual_pattern_is_taken_and_matches(text: str, value: str) -> None:
    assert compile_pattern(text).fullmatch(value)


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+",
        "(a*)*b",
        "(a|a)*",
        "(a|aa)+",
        "(.*a){20}",
        "a?" * 30 + "a" * 30,
        ".*" * 4,
        "((a{0,9}){0,9}){0,9}",
        "(a|b|ab)*c",
        "([a-z]+ ?)+",
    ],
)
def test_pattern_that_could_take_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="could take too long"):
        compile_pattern(text)


@pytest.mark.parametrize("text", ["(?=a)b", "(?<!a)b", r"(a)\1", "(?>a*)", "a*+", "(a)?(?(1)b|c)"])
def test_pattern_with_look_around_or_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not supported here"):
        compile_pattern(text)


@pytest.mark.parametrize(
    "text",
    ["(", "a{2,1}", "[z-a]", "*", "(?P<", "\\", "a{99999999999999}", "(" * 400, "[[a]b]", "[a--b]"],
)
def test_malformed_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is malformed"):
        compile_pattern(text)


def test_pattern_of_a_thousand_characters_is_taken_and_of_one_more_is_not() -> None:
    assert compile_pattern("a" * 1_000)
    with pytest.raises(ValueError, match="has 1001 characters"):
        compile_pattern("a" * 1_001)


@pytest.mark.parametrize("text", [".*.*.*", "a*a*a*b", "(a*){2}b", "[a-z]*[a-y]*x!"])
@pytest.mark.parametrize("value", ["a" * VALUE_MAX, "a" * (VALUE_MAX - 1) + "!", "ab" * (VALUE_MAX // 2)])
def test_slowest_patterns_that_are_taken_end_soon(text: str, value: str) -> None:
    pattern = compile_pattern(text)
    start = time.monotonic()
    pattern.fullmatch(value)
    assert time.monotonic() - start < 1


def test_letters_of_other_alphabets_are_not_taken_for_latin_ones() -> None:
    assert compile_pattern("k", ignore_case=True).fullmatch("K")
    assert not compile_pattern("k", ignore_case=True).fullmatch("\N{KELVIN SIGN}")
    assert not compile_pattern(r"\d").fullmatch("\N{ARABIC-INDIC DIGIT ONE}")


@settings(max_examples=300, deadline=None, database=None)
@given(st.text("ab.*+?()[]{}|^$\\0,129:=!<>P-", max_size=30), st.text("ab", max_size=VALUE_MAX))
def test_any_text_is_refused_or_ends_soon(text: str, value: str) -> None:
    try:
        pattern = compile_pattern(text)
    except ValueError:
        return
    start = time.monotonic()
    pattern.fullmatch(value)
    assert time.monotonic() - start < 2
