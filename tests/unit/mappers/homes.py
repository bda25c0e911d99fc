# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the mappers openssh and opensc share: a home reader that answers from a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pam_sc.errors import MapperError
from pam_sc.mapping import MapperContext
from pam_sc.services import Person, Services

WHERE = "/etc/pam_sc/pam_sc.toml: [[mapper]] 1"
Answer = bytes | None | MapperError


class Homes:
    """Answers by account; an error is raised. `asked` is what it was asked, in order."""

    def __init__(self, answers: Mapping[str, Answer], *, may_scan: bool = False) -> None:
        self.answers = answers
        self.may_scan = may_scan
        self.asked: list[tuple[str, str, frozenset[str]]] = []

    def read(self, account: str, path: str, *, believed_for: frozenset[str]) -> bytes | None:
        """The answer for the account, whatever the path."""
        self.asked.append((account, path, believed_for))
        answer = self.answers.get(account)
        if isinstance(answer, MapperError):
            raise answer
        return answer


class People:
    """Accounts by name, each once more than needed, as NSS may list them from two sources."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def by_name(self, name: str) -> Person | None:
        """The account of this name."""
        return Person(name, 1000, "") if name in self.names else None

    def everybody(self) -> Iterable[Person]:
        """All of them, twice."""
        return (Person(name, 1000, "") for name in (*self.names, *self.names))


def context(homes: Homes, people: Iterable[str] = ()) -> MapperContext:
    """A context with these homes and accounts."""
    services: Any = {"homes": homes, "people": People(people)}
    return MapperContext(WHERE, frozenset({0, os.getuid()}), Services(**services))
