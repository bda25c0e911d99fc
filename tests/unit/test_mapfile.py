# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapfiles: an allow-list whose first matching line wins; of malformed lines only those about the value matter to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.parsing import hidden_characters
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapfile import (
    BLOCK_BYTES,
    LINE_BYTES_MAX,
    MAPFILE_BYTES_MAX,
    PARSED_MAX,
    VALUES_MAX,
    Mapfile,
    _whole_lines,
    lower_ascii,
    mapfile_of,
    parse_line,
    read_mapfile,
    why_not_literal,
)
from pam_sc.mapfile_check import check_mapfile

TRUSTED = frozenset({0, os.getuid()})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the mapfile is."""
    return tmp_path / "cn_map"


def read(path: Path, text: str | bytes, *, ignore_case: bool = False) -> Mapfile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return read_mapfile(str(path), TRUSTED, ignore_case=ignore_case)


def check(path: Path) -> list[tuple[int, bool]]:
    return [(problem.line, problem.malformed) for problem in check_mapfile(str(path), TRUSTED)]


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


@pytest.mark.parametrize("ignore_case", [False, True])
def test_a_tab_in_a_value_is_a_blank(path: Path, ignore_case: bool) -> None:
    found = read(path, "A\tB -> alice\nA\t\tB -> bob\n", ignore_case=ignore_case)
    assert found.account_of("A B") == "alice"
    assert found.account_of("A  B") == "bob"
    assert found.account_of("AB") is None


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


MALFORMED = [
    ("alice->alice", "expected one line 'value -> account'"),
    ("alice -> bob -> carol", "expected one line 'value -> account'"),
    ("alice -> ", "expected one line 'value -> account'"),
    ("alice ->", "expected one line 'value -> account'"),
    (" \talice \t->bob", "expected one line 'value -> account'"),
    ("alice -> -rf", "the account '-rf' begins with -"),
    ("alice -> a/b", "the account 'a/b' holds a slash"),
    ("alice -> a\x01b", "holds a control character"),
    ("alice -> ali\rce", "holds a control character"),
    ("alice -> \u202ealice", "holds a control character"),
    ("^alice -> alice", "expected a pattern that begins with ^ and ends with $"),
    ("^$ -> alice", "expected a pattern that begins with ^ and ends with $"),
    (r"^alice\$ -> alice", "expected a pattern that begins with ^ and ends with $"),
    ("^(a+)+$ -> alice", "could take too long"),
    ("^($ -> alice", "is malformed"),
    ("\t^no arrow", "expected one line 'value -> account'"),
]
"""About the value alice, or a pattern: it could have been the line that counts."""

ELSEWHERE = [
    ("alice alice", "expected one line 'value -> account'"),
    ("alice", "expected one line 'value -> account'"),
    ("-> alice", "expected one line 'value -> account'"),
    (" -> alice", "expected one line 'value -> account'"),
    ("alices -> a/b", "the account 'a/b' holds a slash"),
    ("Alice -> a/b", "the account 'a/b' holds a slash"),
    ("an alice -> a/b", "the account 'a/b' holds a slash"),
    ("alice\0 -> alice", "holds a control character"),
    ("ali\rce -> alice", "holds a control character"),
    ("\u202ealice -> alice", "holds a control character"),
    ("\ufeffalice -> alice", "holds a control character"),
]
"""Malformed, but about another value or none."""


@pytest.mark.parametrize(("line", "why"), MALFORMED)
def test_malformed_line_that_could_have_matched_is_an_error_with_its_number(path: Path, line: str, why: str) -> None:
    found = read(path, f"# first\ngood -> good\n{line}\nalice -> alice\n")
    with pytest.raises(MapperError) as caught:
        found.account_of("alice")
    assert str(caught.value).startswith(f"{path}:3: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(("line", "why"), MALFORMED)
def test_malformed_line_behind_the_one_that_matches_is_not_looked_at(path: Path, line: str, why: str) -> None:  # noqa: ARG001
    assert read(path, f"alice -> alice\n{line}\n").account_of("alice") == "alice"


@pytest.mark.parametrize(("line", "why"), ELSEWHERE)
def test_malformed_line_about_something_else_maps_nothing(path: Path, line: str, why: str) -> None:
    found = read(path, f"# first\n{line}\n")
    assert found.account_of("alice") is None
    assert check(path) == [(2, True)]
    assert why in check_mapfile(str(path), TRUSTED)[0].text
    assert read(path, f"{line}\nalice -> alice\n").account_of("alice") == "alice"


@pytest.mark.parametrize(("line", "why"), MALFORMED)
def test_a_check_finds_every_malformed_line(path: Path, line: str, why: str) -> None:
    read(path, f"# first\ngood -> good\n{line}\nlast -> last")
    (problem,) = check_mapfile(str(path), TRUSTED)
    assert (problem.line, problem.malformed) == (3, True)
    assert why in problem.text


def test_line_that_is_not_utf8_is_an_error_for_its_own_value_alone(path: Path) -> None:
    found = read(path, b"good -> good\nZo\xeb -> zoe\nalice -> al\xeece\n")
    assert found.account_of("good") == "good"
    assert found.account_of("Zo\xeb") is None
    with pytest.raises(MapperError, match=r":3: the line is not UTF-8"):
        found.account_of("alice")
    assert check(path) == [(2, True), (3, True)]


def test_value_with_a_control_character_maps_to_nothing_not_even_by_a_pattern(path: Path) -> None:
    found = read(path, "^.*$ -> all\na -> b\nc -> d\n")
    assert found.account_of("a") == "all"
    for near in ("a -> b\nc", "a\n", "a\0", "\ud800", "a\tb"):
        assert found.account_of(near) is None


def test_value_that_no_line_can_list_is_found_by_patterns_alone(path: Path) -> None:
    found = read(path, "# x -> comment\na -> b -> c\n^[#]? x.*$ -> pattern\n")
    for value in ("# x", " x", " x "):
        assert why_not_literal(value) is not None
        assert found.account_of(value) == "pattern"


@pytest.mark.parametrize("value", ["a", "a b", "-> x", "->", "a->b", "x$", ".*", "\N{KELVIN SIGN}", "a  b"])
def test_value_that_a_line_can_list_is_found_as_it_was_written(path: Path, value: str) -> None:
    assert why_not_literal(value) is None
    assert read(path, f"other -> other\n{value} -> alice\n").account_of(value) == "alice"


@pytest.mark.parametrize("value", ["", " a", "a ", "#a", "^a", "a -> b", "a ->", "a\nb", "a\tb", "\ud800"])
def test_value_that_no_line_can_list_is_known_as_such(value: str) -> None:
    assert why_not_literal(value) is not None


def test_mapfile_is_read_in_blocks_and_a_line_may_stand_across_two(path: Path) -> None:
    for shift in (0, 1, 7, 37, 38):
        filler = "x" * shift + "\n" + f"Person {1:07} Example -> user{1:07}\n" * (2 * BLOCK_BYTES // 38)
        found = read(path, filler + "Alice -> alice\n" + filler + "bad -> a/b\n" + filler + "last -> last")
        assert found.account_of("Alice") == "alice"
        assert found.account_of("last") == "last"
        assert found.account_of("Bob") is None
        number = 2 * filler.count("\n") + 2
        with pytest.raises(MapperError, match=rf":{number}: the account 'a/b' holds a slash"):
            found.account_of("bad")


def test_line_without_end_is_refused_before_it_fills_the_memory(path: Path) -> None:
    found = read(path, "alice -> alice\n" + "x" * (LINE_BYTES_MAX + BLOCK_BYTES))
    with pytest.raises(MapperError, match="a line has more than 65536 bytes"):
        found.account_of("bob")


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("value", ["A", "Person", "Person 0000001", "e", "Nobody", "-", "r"])
def test_no_value_makes_a_large_mapfile_parse_many_lines(path: Path, value: str, ignore_case: bool) -> None:
    lines = "".join(f"Person {number:07} Example -> user{number:07}\n" for number in range(20_000))
    found = read(path, lines, ignore_case=ignore_case)
    assert len(list(found._lines_about([value]))) == 0
    assert found.account_of(value) is None


def test_lines_that_are_parsed_for_one_value_are_counted(path: Path) -> None:
    patterns = "".join(f"^p{number}$ -> user{number}\n" for number in range(PARSED_MAX))
    found = read(path, patterns + "alice -> alice\n")
    assert found.account_of(f"p{PARSED_MAX - 1}") == f"user{PARSED_MAX - 1}"
    assert check(path) == []
    found = read(path, patterns + "^q$ -> q\nalice -> alice\n")
    assert check(path) == [(PARSED_MAX + 1, True)]
    with pytest.raises(MapperError, match="more than 1000 lines are patterns"):
        found.account_of("alice")


def test_several_values_are_looked_up_together_and_each_has_its_own_first_line(path: Path) -> None:
    found = read(path, "b -> bob\n^[ac]$ -> team\na -> alice\nb -> a/b\nd -> dora\n")
    assert found.accounts_of(("a", "b", "c", "d", "e", "", "a\n", "a")) == (
        "team", "bob", "team", "dora", None, None, None, "team",
    )  # fmt: skip
    assert found.accounts_of(()) == ()
    assert found.accounts_of(("\n",)) == (None,)


def test_more_values_than_a_certificate_needs_are_an_error(path: Path) -> None:
    found = read(path, "a -> alice\n")
    assert found.accounts_of([*(f"x{number}" for number in range(VALUES_MAX - 1)), "a"])[-1] == "alice"
    with pytest.raises(MapperError, match="65 values to look up, expected at most 64"):
        found.accounts_of([*(f"x{number}" for number in range(VALUES_MAX)), "a"])


def test_mapfile_that_can_no_longer_be_trusted_is_an_error_when_it_is_asked(path: Path) -> None:
    found = read(path, "alice -> alice\n")
    path.chmod(0o666)
    with pytest.raises(MapperError, match="mode 0666"):
        found.account_of("alice")
    path.unlink()
    with pytest.raises(MapperError, match="No such file"):
        found.account_of("alice")


def test_mapfile_that_is_too_large_is_an_error(path: Path) -> None:
    read(path, "")
    os.truncate(path, MAPFILE_BYTES_MAX + 1)
    with pytest.raises(ConfigError, match=f"larger than {MAPFILE_BYTES_MAX} bytes"):
        read_mapfile(str(path), TRUSTED)


# ---------------------------------------------------------------- what a check finds beside malformed lines


@pytest.mark.parametrize(
    ("text", "ignore_case", "line", "why"),
    [
        ("a -> x\na -> x\n", False, 2, "never counts: line 1 has the same left side, for 'x' too"),
        ("a -> x\nb -> x\n a  -> y\n", False, 3, "never counts: line 1 has the same left side, for 'x'"),
        ("a -> x\nA -> y\n", True, 2, "never counts: line 1 has the same left side, for 'x'"),
        ("^a.*$ -> x\nab -> y\n", False, 2, "never counts: the pattern of line 1 matches its value, for 'x'"),
        ("^a.*$ -> x\n^a.*$ -> y\n", False, 2, "never counts: line 1 has the same left side, for 'x'"),
    ],
)
def test_a_check_warns_of_lines_that_never_count(
    path: Path, text: str, ignore_case: bool, line: int, why: str
) -> None:
    read(path, text)
    (problem,) = check_mapfile(str(path), TRUSTED, ignore_case=ignore_case)
    assert (problem.line, problem.malformed, problem.text) == (line, False, why)


def test_a_check_has_nothing_to_say_of_lines_that_count(path: Path) -> None:
    read(path, "# note\nab -> y\nA -> x\na -> x\n^a.*$ -> x\n^A.*$ -> x\r\n\n")
    assert check(path) == []


def test_a_check_tells_of_what_breaks_something_first_and_not_of_everything(path: Path) -> None:
    read(path, "a -> x\n" + "a -> x\n" * 200 + "a -> b/c\n")
    found = check_mapfile(str(path), TRUSTED, most=10)
    assert [problem.line for problem in found[:3]] == [202, 2, 3]
    assert found[-1].text == "191 more problems"
    assert len(found) == 11


# ---------------------------------------------------------------- against a reading of every line


def naive_account_of(content: bytes, value: str, *, ignore_case: bool) -> str | None:
    """What every line says, one after the other."""
    for raw in content.split(b"\n"):
        try:
            line = parse_line(raw, ignore_case=ignore_case)
        except ValueError as error:
            if could_be_about(raw, value, ignore_case=ignore_case):
                raise MapperError from error
            continue
        if line is None:
            continue
        if line.pattern is not None:
            if line.pattern.fullmatch(value):
                return line.account
        elif lower_ascii(line.value) == lower_ascii(value) if ignore_case else line.value == value:
            return line.account
    return None


def could_be_about(raw: bytes, value: str, *, ignore_case: bool) -> bool:
    text = raw.strip(b" \t\r").replace(b"\t", b" ")
    if text.startswith(b"^"):
        return True
    wanted = value.encode()
    if ignore_case:
        text, wanted = text.lower(), wanted.lower()
    return why_not_literal(value) is None and text.startswith(wanted) and (
        text[len(wanted) :].lstrip(b" ").startswith(b"->")
    )


WORDS = ("a", "A", "ab", "aB", "b", "a b", "a  b", "a\tb", "\N{LATIN SMALL LETTER E WITH DIAERESIS}", "K", "k",
         "\N{KELVIN SIGN}", "#a", "->", "a->", "-> a", "", "^a$", "^a.*$", "^[ab]+$", "^A?b$", "^(a$", "^a", "\x01", "a$")
ENDS = ("\n", "\n", "\r\n", " \n", "\n\n", "", "\r")
ARROWS = (" -> ", " -> ", " -> ", "  ->  ", "\t->\t", "->", " ->", "-> ", " -> -> ", " ", "")
LINES = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["", "", "", " ", "\t", "# ", "\r", "\ufeff"]), st.sampled_from(WORDS), st.sampled_from(ARROWS),
    st.sampled_from(["x", "y", "z", "a/b", "", "-r"]), st.sampled_from(ENDS),
)  # fmt: skip
FILES = st.lists(LINES | st.sampled_from(["\n", "# note\n", "\udcff -> x\n", "a -> \udcff\n"]), max_size=12).map(
    lambda lines: "".join(lines).encode("utf-8", "surrogateescape")
)


@settings(max_examples=1000, deadline=None, database=None)
@given(FILES, st.sampled_from(WORDS) | st.sampled_from(["ba", "abab", " a", "a "]), st.booleans(), st.integers(1, 9))
def test_the_scan_says_what_reading_every_line_says(content: bytes, value: str, ignore_case: bool, piece: int) -> None:
    whole = mapfile_of("map", content, ignore_case=ignore_case)
    pieces = [content[at : at + piece] for at in range(0, len(content), piece)]
    in_blocks = Mapfile(path="map", blocks=lambda: _whole_lines("map", pieces), ignore_case=ignore_case)
    try:
        expected = None if not value or hidden_characters(value) else (
            naive_account_of(content, value, ignore_case=ignore_case)
        )
    except MapperError:
        for mapfile in (whole, in_blocks):
            with pytest.raises(MapperError, match=r"^map:[1-9][0-9]*: "):
                mapfile.account_of(value)
    else:
        assert whole.account_of(value) == expected
        assert in_blocks.account_of(value) == expected


@settings(max_examples=500, deadline=None, database=None)
@given(FILES, st.lists(st.sampled_from(WORDS), min_size=2, max_size=5, unique=True), st.booleans())
def test_several_values_at_once_are_what_each_is_by_itself(content: bytes, values: list[str], ignore_case: bool) -> None:
    mapfile = mapfile_of("map", content, ignore_case=ignore_case)
    try:
        expected = tuple(mapfile.account_of(value) for value in values)
    except MapperError:
        with pytest.raises(MapperError):
            mapfile.accounts_of(values)
    else:
        assert mapfile.accounts_of(values) == expected


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
def test_any_content_is_read_or_refused_as_an_error_of_the_mapper(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any_map"
    try:
        read(path, content).account_of("alice")
    except MapperError as error:
        assert str(error).startswith(f"{path}:")
    check_mapfile(str(path), TRUSTED)
