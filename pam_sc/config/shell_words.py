# SPDX-License-Identifier: LGPL-2.1-or-later
"""Split the text of a shell command into a program and its arguments, where that is all the shell would do with it.

What needs a shell (variables, pipes, lists, redirections, patterns, words of its own) is refused with the reason, for
POSIX's shell as for those that do more; it is never guessed. Pure, and nothing is started.
"""

from __future__ import annotations

import re
import shlex

_MEANING = {
    "|": "a pipe", "&": "& (in the background, or a list)", ";": "; (a list of commands)", "<": "a redirection",
    ">": "a redirection", "$": "$ (a variable or a substitution)", "`": "` (a substitution)", "(": "parentheses",
    ")": "parentheses", "*": "* (a pattern of file names)", "?": "? (a pattern of file names)",
    "[": "[ (a pattern of file names)", "{": "{ (a list of words)", "}": "} (a list of words)", "\n": "a line break",
}  # fmt: skip
_IN_QUOTES = "$`"
_WORDS_OF_SHELL = frozenset({
    ".", ":", "[", "!", "{", "}", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "elif", "else",
    "esac", "eval", "exec", "exit", "export", "fg", "fi", "for", "function", "getopts", "hash", "if", "in", "jobs", "read",
    "readonly", "return", "select", "set", "shift", "source", "then", "times", "trap", "type", "ulimit", "umask", "unalias",
    "unset", "until", "wait", "while",
})  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


class NeedsShellError(Exception):
    """Why a command cannot be written as a program and its arguments."""


def split_command(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the assignments in front of a command, and the program with its arguments; both may be empty.

    NeedsShellError if a shell would do more with it than that.
    """
    _require_plain(text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise NeedsShellError("a quote in it is not closed, or it ends in a backslash") from error
    count = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    command = words[count:]
    if command and command[0] in _WORDS_OF_SHELL:
        raise NeedsShellError(f"{command[0]!a} is a word of the shell")
    return tuple(words[:count]), tuple(command)


def _require_plain(text: str) -> None:
    """Walk the text as a shell would, as far as quotes go; what stands in them is no more than text."""
    quote = ""
    before = " "
    at = 0
    while at < len(text):
        one = text[at]
        if one == "\\" and quote != "'":
            following = text[at + 1 : at + 2]
            if following == "\n" or (quote and following and following in _IN_QUOTES):
                raise NeedsShellError(f"there is a backslash before {following!a} in it")
            at += 2
            before = "\\"
            continue
        if one in ("'", '"') and quote in ("", one):
            quote = "" if quote else one
        elif (not quote and one in _MEANING) or (quote == '"' and one in _IN_QUOTES):
            raise NeedsShellError(f"there is {_MEANING[one]} in it")
        elif not quote and one == "~" and before in " \t=:":
            raise NeedsShellError("there is ~ (a home) in it")
        elif not quote and one == "#" and before in " \t":
            raise NeedsShellError("there is # (a comment) in it")
        before = one
        at += 1
