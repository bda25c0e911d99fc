# SPDX-License-Identifier: LGPL-2.1-or-later
"""Accounts, homes and programs from a table, for mappers that ask. For tests only: no process stands behind them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pam_sc.services import People, Person


class ListedPeople(People):
    """The accounts of a list."""

    def __init__(self, people: Sequence[Mapping[str, Any]]) -> None:
        """Take tables of name, uid and gecos."""
        self.people = [
            Person(each["name"], each.get("uid", 1000 + nth), each.get("gecos", "")) for nth, each in enumerate(people)
        ]

    def by_name(self, name: str) -> Person | None:
        """The account of this very name."""
        return next((each for each in self.people if each.name == name), None)

    def everybody(self) -> Iterable[Person]:
        """All of them."""
        return tuple(self.people)


class ListedHomes:
    """Files of homes by "account/path"; who asks, and for which services it would be believed, is not judged."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Take the files' contents."""
        self.files = files
        self.may_scan = True

    def read(self, account: str, path: str, *, believed_for: frozenset[str]) -> bytes | None:  # noqa: ARG002
        """The file's content, None where there is none."""
        return self.files.get(f"{account}/{path}")


class CannedPrograms:
    """A program that answers each kind of question with one line, whatever is asked."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        """Take the line for each "question" of docs/mappers/command.md."""
        self.answers = answers

    def ask(self, argv: tuple[str, ...], line: str, timeout_s: float) -> str:  # noqa: ARG002
        """The line for the question."""
        return self.answers[json.loads(line)["question"]]
