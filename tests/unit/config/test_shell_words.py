# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command is split as a shell splits it, or refused: what a shell would do more with never gets through."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.config.shell_words import NeedsShellError, split_command

PLAIN = {
    "play /usr/share/sounds/error.wav": ("play", "/usr/share/sounds/error.wav"),
    "  a\tb  ": ("a", "b"),
    "a 'b c' \"d e\" f\\ g": ("a", "b c", "d e", "f g"),
    "a '$HOME' '`x`' ';' '|' '>'": ("a", "$HOME", "`x`", ";", "|", ">"),
    'a "b;c|d>e&f" "*" "~"': ("a", "b;c|d>e&f", "*", "~"),
    'a \\$x "\\y" "\\"" "\\\\"': ("a", "$x", "\\y", '"', "\\"),
    "a ''": ("a", ""),
    "a b#c d~e": ("a", "b#c", "d~e"),
    "a A=b": ("a", "A=b"),
    "": (),
}
REFUSED = {
    "a | b": "a pipe", "a && b": "&", "a &": "&", "a; b": ";", "a > b": "a redirection", "a 2>/dev/null": "a redirection",
    "a < b": "a redirection", "a $x": "$ (", 'a "$x"': "$ (", "a $(b)": "$ (", "a `b`": "` (", 'a "`b`"': "` (",
    "(a)": "parentheses",
    "a *.wav": "* (", "a ?": "? (", "a [b]": "[ (", "a {b,c}": "{ (", "a }": "} (", "a\nb": "a line break",
    "~/a": "~ (", "a ~": "~ (",
    "a b=~/c": "~ (", "a #b": "# (", "#": "# (", "cd /": "'cd' is a word of the shell", "exec a": "'exec' is a word of the shell",
    ". a": "'.' is a word of the shell", "A=b cd": "'cd' is a word of the shell", "! a": "'!' is a word of the shell",
    'a "\\$x"': "a backslash before '$'", 'a "\\`"': "a backslash before '`'", "a \\\nb": "a backslash before '\\n'",
    "a 'b": "a quote in it is not closed", 'a "b': "a quote in it is not closed", "a \\": "a quote in it is not closed",
}  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_command_is_split(text: str) -> None:
    assert split_command(text) == ((), PLAIN[text])


@pytest.mark.parametrize("text", REFUSED)
def test_what_needs_a_shell_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(NeedsShellError) as caught:
        split_command(text)
    assert REFUSED[text] in str(caught.value)


def test_assignments_are_those_in_front_of_the_program() -> None:
    assert split_command("A=b _c='d e' f G=h") == (("A=b", "_c=d e"), ("f", "G=h"))
    assert split_command("A=b") == (("A=b",), ())
    assert split_command("A-b=c d") == ((), ("A-b=c", "d"))


WORD = st.text(st.sampled_from("ab $`|&;<>()*?[]{}~#!=\\'\"\n\t"), min_size=0, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORD, max_size=5).map(" ".join))
def test_what_is_split_is_what_a_shell_would_pass(text: str) -> None:
    """The program is printf, so that the shell shows what it got and does nothing else."""
    try:
        assignments, words = split_command(f"printf %s- {text}")
    except NeedsShellError:
        return
    done = subprocess.run(["/bin/sh", "-c", f"printf %s- {text}"], capture_output=True, text=True, cwd="/", check=False)
    assert (assignments, words[:2]) == ((), ("printf", "%s-"))
    assert done.stdout == "".join(f"{word}-" for word in words[2:]) or not words[2:]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1, max_size=5))
def test_whatever_is_quoted_comes_back(words: list[str]) -> None:
    first = f"x{words[0]}".replace("=", "-")
    assert split_command(shlex.join([first, *words[1:]])) == ((), (first, *words[1:]))
