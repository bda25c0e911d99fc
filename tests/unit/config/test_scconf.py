# SPDX-License-Identifier: LGPL-2.1-or-later
"""scconf: what is read, what is odd but clear, and what could mean two things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.config.scconf import DEPTH_MAX, Block, Tree, parse_scconf
from pam_sc.config.scconf_words import TEXT_MAX, WORDS_MAX
from pam_sc.errors import ConfigError

BLANKS = "there is no blank around the =, so pam_pkcs11 passes over this line"
SEMICOLON = "the ; that ends this item is missing"


def parsed(text: str) -> Tree:
    return parse_scconf(text, "FILE")


def items(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(item.key, item.values) for item in parsed(text).root.items]


def odd(text: str) -> list[tuple[int, str, str]]:
    return [(oddity.line, oddity.key, oddity.text) for oddity in parsed(text).oddities]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b;", [("a", ("b",))]),
        ("a = b, c,d ;", [("a", ("b", "c", "d"))]),
        ('a = "b, c; # }";', [("a", ("b, c; # }",))]),
        ("A = B;", [("a", ("B",))]),
        ("a = ;", [("a", ())]),
        ('a = "";', [("a", ("",))]),
        ("# a = b;\na = c; # d", [("a", ("c",))]),
        ("a = b#c;", [("a", ("b#c",))]),
        ("a = cn=x;", [("a", ("cn=x",))]),
        ("a =\n  b,\n  c;", [("a", ("b", "c"))]),
        ("a = b; a = c;", [("a", ("b",)), ("a", ("c",))]),
        ("a = b;\r\nc = d;\r\n", [("a", ("b",)), ("c", ("d",))]),
        (";;a = b;;", [("a", ("b",))]),
        ("a = file:///x?y=z;", [("a", ("file:///x?y=z",))]),
        ("a = ,b,;", [("a", ("b",))]),
    ],
)
def test_items_are_read(text: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert items(text) == expected
    assert odd(text) == []


def test_blocks_have_a_name_a_label_and_their_lines() -> None:
    (block,) = parsed('\nOuter {\n  inner "My label" { a = b; }\n  inner other { };\n}\n').root.blocks
    assert (block.name, block.label, block.line, block.column, block.end_line) == ("outer", None, 2, 1, 5)
    assert [(one.name, one.label, one.line, one.column) for one in block.blocks] == [
        ("inner", "My label", 3, 3), ("inner", "other", 4, 3),
    ]  # fmt: skip
    assert [(item.key, item.line, item.column) for item in block.blocks[0].items] == [("a", 3, 22)]


@pytest.mark.parametrize(
    ("text", "expected", "oddities"),
    [
        ("use_mappers=pwent;", [("use_mappers", ("pwent",))], [(1, "use_mappers", BLANKS)]),
        ("a= b;", [("a", ("b",))], [(1, "a", BLANKS)]),
        ("a =b;", [("a", ("b",))], []),
        ("a = b\nc = d;", [("a", ("b",)), ("c", ("d",))], [(1, "a", SEMICOLON)]),
        ("a = b\nc=d;", [("a", ("b",)), ("c", ("d",))], [(1, "a", SEMICOLON), (2, "c", BLANKS)]),
        ("a = b", [("a", ("b",))], [(1, "a", SEMICOLON)]),
        ('a = "b" # c\nd = e;', [("a", ("b",)), ("d", ("e",))], [(1, "a", SEMICOLON)]),
    ],
)
def test_what_is_odd_but_clear_is_read_and_said(
    text: str, expected: list[tuple[str, tuple[str, ...]]], oddities: list[tuple[int, str, str]]
) -> None:
    assert items(text) == expected
    assert odd(text) == oddities


def test_a_block_without_its_end_is_read_and_said() -> None:
    tree = parsed("a {\nb {\n c = d;\n}\n")
    assert [block.name for block in tree.root.blocks] == ["a"]
    assert odd("a {\nb {\n c = d;\n}\n") == [
        (1, "a", "the } that ends this block is missing; it is taken to end with the file")
    ]


def test_an_item_may_end_with_its_block() -> None:
    (block,) = parsed("x { a = b }").root.blocks
    assert [(item.key, item.values) for item in block.items] == [("a", ("b",))]
    assert odd("x { a = b }") == [(1, "a", SEMICOLON)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = b c;", "FILE:1: found a word, expected \",\" or \";\" after a value of 'a' (quote a value with blanks)"),
        ('a = "b"c;', "FILE:1: found a word, expected \",\" or \";\" after a value of 'a' (quote a value with blanks)"),
        ('\na = "b;\n', "FILE:2: a string is not closed on its line"),
        ("a;", "FILE:1: found ';', expected = and a value, or { after the word before it"),
        ("a b;", "FILE:1: found a word, expected { after the word before it"),
        ("a b c {}", "FILE:1: found a word, expected {"),
        ("a b = c;", "FILE:1: found a word, expected { after the word before it"),
        ("}", "FILE:1: found '}', expected a block or an item: there is no block to end"),
        ("a = b; }", "FILE:1: found '}', expected a block or an item: there is no block to end"),
        ("= b;", "FILE:1: found '=', expected the name of a block or a key"),
        ("{ }", "FILE:1: found '{', expected the name of a block or a key"),
        ('"a" = b;', "FILE:1: found a word, expected the name of a block or a key"),
        ("a = {b};", "FILE:1: found '{', expected a value of 'a', or \";\" before the next"),
        ("a = = b;", "FILE:1: found '=', expected a value of 'a', or \";\" before the next"),
        ("a", "FILE:1: found the end of the file, expected = and a value, or { after the word before it"),
        ("a = b;\n# c\r a = d;\n", "FILE:2: found a carriage return in the middle of a line"),
        ("a = b;\r# c\r\n", "FILE:1: found a carriage return in the middle of a line"),
        ("\ufeff# c\n", "FILE:1: found a byte order mark; save the file without it"),
        ("a = b\x00;", "FILE:1: found a control character"),
        ("a = \xa0;", "FILE:1: found '\\xa0', expected a word"),
        ("a { " * (DEPTH_MAX + 1), "FILE:1: blocks are nested too deeply"),
        ("a = b,\nc d {", "FILE:2: found a word, expected \",\" or \";\" after a value of 'a' (quote a value with blanks)"),
    ],
)  # fmt: skip
def test_what_could_mean_two_things_is_refused_with_its_line(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    "written",
    ["passwd = my hunter2;", 'passwd = "my"hunter2;', "passwd hunter2;", "passwd = my;hunter2;", "passwd = my;hunter2\nbase = x;",
     'passwd = my;"hunter2";', "passwd: hunter2;", 'passwd = "hunter2;', "passwd = my{hunter2;"],
)  # fmt: skip
def test_no_refusal_repeats_what_may_be_a_part_of_a_password(written: str) -> None:
    assert "hunter2" not in refusal(written)


def test_an_ini_file_is_named_as_one() -> None:
    with pytest.raises(ConfigError, match=r"pam-sc migrate reads sssd\.conf"):
        parse_scconf("\n[sssd]\nservices = pam\n", "/etc/sssd/sssd.conf")


def test_size_and_number_of_words_are_bounded() -> None:
    assert refusal("#" * (TEXT_MAX + 1)) == f"FILE: found {TEXT_MAX + 1} characters, expected at most {TEXT_MAX}"
    assert refusal("a = " + "b," * (WORDS_MAX // 2)) == f"FILE:1: found more than {WORDS_MAX} words"
    assert parsed("#" * TEXT_MAX).root.items == ()


def depth(block: Block) -> int:
    return 1 + max(map(depth, block.blocks), default=0)


@given(st.text(alphabet=st.sampled_from('ab =,;{}"#\n\t\r\\\x00é'), max_size=200) | st.text(max_size=200))
def test_any_text_gives_a_tree_or_our_error(text: str) -> None:
    try:
        tree = parsed(text)
    except ConfigError as error:
        assert str(error).startswith("FILE")  # noqa: PT017 - which of the two happens is the text's to say
    else:
        assert depth(tree.root) <= DEPTH_MAX + 1


WORD = st.text(alphabet="abcXYZ019_:/.-", min_size=1, max_size=12)


@given(st.lists(st.tuples(WORD, st.lists(WORD | st.text(alphabet="a ,;{}=#", max_size=9), max_size=4)), max_size=8))
def test_what_is_written_properly_is_read_back_as_it_was(written: list[tuple[str, list[str]]]) -> None:
    text = "".join(f"{key} = " + ", ".join(f'"{value}"' for value in values) + ";\n" for key, values in written)
    assert items(text) == [(key.lower(), tuple(values)) for key, values in written]
