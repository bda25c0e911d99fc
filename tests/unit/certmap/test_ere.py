# SPDX-License-Identifier: LGPL-2.1-or-later
"""POSIX patterns: what is taken, what is refused and where, and that no value can make a match take long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.certmap.automaton import VALUE_LENGTH_MAX
from pam_sc.certmap.ere import PATTERN_MAX, MalformedPatternError, compile_ere


@pytest.mark.parametrize(
    ("text", "held", "not_held"),
    [
        ("lic", "alice", "aliec"),
        ("^alice$", "alice", "xalice"),
        ("^alice$", "alice", "alicex"),
        ("Alice", "Alice", "alice"),
        ("^a.c$", "abc", "ac"),
        ("^a.*,OU=.*,O=.*,C=DE$", "a,OU=b,O=c,C=DE", "a,OU=b,C=DE"),
        ("^(alice|bob)$", "bob", "alice|bob"),
        ("^a{2,3}$", "aaa", "aaaa"),
        ("^a{2}$", "aa", "a"),
        ("^a{2,}$", "aaaa", "a"),
        ("^ab?c+$", "acc", "ab"),
        ("^[a-c0]$", "b", "d"),
        ("^[^a-c]$", "d", "b"),
        ("^[]x]$", "]", "a"),
        ("^[^]x]$", "a", "]"),
        ("^[a-]$", "-", "b"),
        ("^[[:digit:]_]+$", "1_2", "a"),
        ("^[^[:space:]]+$", "ab", "a b"),
        (r"^a\.b\*\\$", "a.b*\\", "axb*\\"),
        (r"^a\-\@$", "a-@", "a\\-@"),
        ("(^a|b$)", "xb", "xax"),
        ("^(a*)*$", "aaa", "aab"),
        ("^a|^b", "ba", "ca"),
        ("ö", "Jörg", "Jorg"),
        ("^}$", "}", "{"),
    ],
)
def test_pattern_is_found_where_it_is(text: str, held: str, not_held: str) -> None:
    assert compile_ere(text).search(held)
    assert not compile_ere(text).search(not_held)


@pytest.mark.parametrize("name", ["alpha", "alnum", "upper", "lower", "punct", "print", "graph"])
def test_class_knows_ascii_letters_only(name: str) -> None:
    assert not compile_ere(f"[[:{name}:]]").search("ö\N{KELVIN SIGN}")


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("a(b", 3, r"a \( without its \)"),
        ("a)b", 1, r"a \) without its \("),
        ("alice|", 6, "an empty alternative"),
        ("|alice", 0, "an empty alternative"),
        ("a()", 2, "an empty alternative"),
        ("", 0, "an empty alternative"),
        (r"a\w", 2, r"\\w is not POSIX, expected \[\[:alnum:\]_\]"),
        (r"\d", 1, r"expected \[\[:digit:\]\]"),
        (r"(a)\1", 4, "back-references"),
        (r"\b", 1, "not POSIX"),
        ("a\\", 2, r"a \\ at the end"),
        ("*a", 0, r"\* repeats nothing"),
        ("(+)", 1, r"\+ repeats nothing"),
        ("a**", 2, "two repetitions"),
        ("a+?", 2, "two repetitions"),
        ("^*", 1, r"\^ cannot be repeated"),
        ("a{", 2, "expected an interval"),
        ("a{,2}", 2, "expected an interval"),
        ("a{2", 2, "expected an interval"),
        ("a{3,2}", 2, "the smaller number first"),
        ("a{256}", 2, "from 0 to 255"),
        ("{", 0, "{ repeats nothing"),
        ("[a", 3, r"a \[ without its \]"),
        ("[b-a]", 4, "goes backwards"),
        ("[[:word:]]", 1, "unknown class"),
        ("[[.a.]]", 1, "depends on the locale"),
        ("[[=a=]]", 1, "depends on the locale"),
        ("(" * 40 + "a" + ")" * 40, 31, "deeper than 30"),
        ("(a{200}){200}", 0, "too large"),
        ("((((a{0}){255}){255}){255}){255}", 0, "too large"),
        ("a" * (PATTERN_MAX + 1), PATTERN_MAX, "has 1001 characters"),
    ],
)
def test_pattern_that_posix_does_not_define_is_refused(text: str, at: int, why: str) -> None:
    with pytest.raises(MalformedPatternError, match=why) as caught:
        compile_ere(text)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("^CN=.*,OU=.*,O=.*,.*,.*C=US$", "CN=x,OU=y,O=z," * 140),
        ("(a*)*b", "a" * VALUE_LENGTH_MAX),
        ("(a|a|aa)+b", "a" * VALUE_LENGTH_MAX),
        ("(.*.*.*){9}x", "a" * VALUE_LENGTH_MAX),
        ("(.?){250}x", "a" * VALUE_LENGTH_MAX),
        ("(a?){250}(a?){200}b", "a" * VALUE_LENGTH_MAX),
        ("a[ab]{250}(a|bb)?[ab]{200}c", "abbabaab" * (VALUE_LENGTH_MAX // 8)),
    ],
)
def test_no_value_can_stretch_the_time_of_a_match(text: str, value: str) -> None:
    pattern = compile_ere(text)
    began = time.process_time()
    assert not pattern.search(value)
    assert time.process_time() - began < 1.5


def test_value_that_is_too_long_never_matches() -> None:
    assert compile_ere("a").search("a" * VALUE_LENGTH_MAX)
    assert not compile_ere("a").search("a" * (VALUE_LENGTH_MAX + 1))


@given(st.text("ab(){}[]|*+?^$.\\-,:12é", max_size=12), st.text("abé", max_size=5))
def test_nothing_but_our_own_error_escapes(text: str, value: str) -> None:
    try:
        compile_ere(text).search(value)
    except MalformedPatternError as error:
        assert 0 <= error.at <= len(text) + 1
