# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `pwent`, from commonNames to accounts by name and GECOS."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

from pam_sc.decision.evidence import MappedAccounts
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.pwent import PwentMapper
from pam_sc.mapping import LoadedMapper, MapperContext, map_certificate
from pam_sc.services import Person, Services
from tests.support.subjects import subject_of

ALICE = Person("alice", 4001, "Alice Example,Room 7,,")
BOB = Person("bob", 4002, "Bob Example")
ROOT = Person("root", 0, "root")
TOOR = Person("toor", 0, "root")


class Listed:
    """Accounts of a list; counts how often all were asked for."""

    def __init__(self, *people: Person) -> None:
        self.people = people
        self.scans = 0

    def by_name(self, name: str) -> Person | None:
        return next((each for each in self.people if each.name == name), None)

    def everybody(self) -> Iterable[Person]:
        self.scans += 1
        return self.people


class Lying(Listed):
    """A name service that answers for any name with an account of another."""

    def by_name(self, name: str) -> Person | None:
        return self.people[0]


class Failing(Listed):
    """A name service that cannot list; by name it works."""

    def everybody(self) -> Iterable[Person]:
        raise MapperError("the name service gave an error")


def mapper(people: Listed, **table: Any) -> PwentMapper:
    context = MapperContext("here", frozenset({os.getuid()}), Services(people=people, why_not_believed=lambda _services: None))
    return PwentMapper.from_table(table, context)


@pytest.mark.parametrize("name", ["alice", "Alice Example", "Alice Example,Room 7,,"])
def test_name_whole_gecos_and_its_first_part_map(name: str) -> None:
    pwent = mapper(Listed(BOB, ALICE))
    assert pwent.accounts(subject_of(name)) == ("alice",)
    assert pwent.claims(subject_of(name), "alice")
    assert not pwent.claims(subject_of(name), "bob")


@pytest.mark.parametrize(
    "name", ["Alice", "Example", "alice example", "Alice  Example", "Alice Example,", "Alice Example,Room 7", "Room 7",
             "Alice Example ", "ALICE", "alic", "alicee", "/bin/sh"],
)
def test_anything_else_maps_to_nobody(name: str) -> None:
    pwent = mapper(Listed(BOB, ALICE))
    assert pwent.accounts(subject_of(name)) == ()
    assert not pwent.claims(subject_of(name), "alice")


@pytest.mark.parametrize("name", ["ALICE", "Alice", "alice EXAMPLE", "ALICE EXAMPLE,ROOM 7,,"])
def test_the_case_of_ascii_letters_is_ignored_where_configured(name: str) -> None:
    assert mapper(Listed(BOB, ALICE), ignore_case=True).accounts(subject_of(name)) == ("alice",)
    assert mapper(Listed(BOB, ALICE), ignore_case=True).claims(subject_of(name), "alice")
    assert not mapper(Listed(BOB, ALICE), ignore_case=False).claims(subject_of(name), "alice")


@pytest.mark.parametrize(("name", "person"), [
    ("\u212aATE", Person("kate", 1, "")),  # KELVIN SIGN is no k
    ("J\u00d6RG", Person("j\u00f6rg", 1, "")),
    ("x", Person("y", 1, "stra\u00dfe")),
    ("STRASSE", Person("y", 1, "stra\u00dfe")),
])
def test_the_case_of_other_letters_counts_always(name: str, person: Person) -> None:
    pwent = mapper(Listed(person), ignore_case=True)
    assert pwent.accounts(subject_of(name)) == ()
    assert not pwent.claims(subject_of(name), person.name)


def test_an_account_of_that_name_comes_before_one_whose_gecos_says_it_and_nobody_is_listed() -> None:
    people = Listed(Person("mallory", 5, "alice"), ALICE)
    assert mapper(people).accounts(subject_of("alice")) == ("alice",)
    assert people.scans == 0


def test_two_accounts_of_one_full_name_are_both_given_and_each_is_claimed() -> None:
    pwent = mapper(Listed(ALICE, Person("alice2", 4009, "Alice Example,Room 9")))
    assert pwent.accounts(subject_of("Alice Example")) == ("alice", "alice2")
    assert pwent.claims(subject_of("Alice Example"), "alice2")


def test_root_and_its_alias_are_two_accounts() -> None:
    pwent = mapper(Listed(Person("r", 0, "Charlie Root"), Person("toor", 0, "Charlie Root,")))
    assert pwent.accounts(subject_of("Charlie Root")) == ("r", "toor")
    assert mapper(Listed(ROOT, TOOR)).accounts(subject_of("root")) == ("root",)


def test_every_common_name_maps() -> None:
    assert mapper(Listed(ALICE, BOB)).accounts(subject_of("bob", "Alice Example", "bob")) == ("bob", "alice")


def test_nobody_is_meant_by_an_empty_gecos_field_or_no_common_name() -> None:
    pwent = mapper(Listed(Person("daemon", 1, ""), Person("sys", 2, ",,,")))
    for names in ((), ("",), (",",)):
        assert pwent.accounts(subject_of(*names)) == ()
        assert not pwent.claims(subject_of(*names), "daemon")
        assert not pwent.claims(subject_of(*names), "sys")


def test_an_answer_under_another_name_is_not_the_account() -> None:
    pwent = mapper(Lying(ALICE))
    assert pwent.accounts(subject_of("bob")) == ()
    assert not pwent.claims(subject_of("Alice Example"), "bob")
    assert pwent.claims(subject_of("Alice Example"), "alice")


def test_a_name_that_no_account_can_have_is_not_looked_up_but_may_be_a_full_name() -> None:
    assert mapper(Listed(Person("x", 1, "a/b"))).accounts(subject_of("a/b")) == ("x",)
    assert mapper(Lying(Person("-x", 1, ""))).accounts(subject_of("-x")) == ("-x",)  # by the list, and refused above


def test_a_name_service_that_fails_is_an_error_and_not_nobody() -> None:
    pwent = mapper(Failing(ALICE))
    with pytest.raises(MapperError, match="name service"):
        pwent.accounts(subject_of("Alice Example"))
    assert pwent.accounts(subject_of("alice")) == ("alice",)


def test_a_login_that_names_its_account_needs_no_list() -> None:
    loaded = (LoadedMapper("pwent", mapper(Failing(ALICE))),)
    assert map_certificate(loaded, subject_of("Alice Example"), "alice") == MappedAccounts(("alice",), "pwent: 'alice'")


def test_a_configuration_is_checked_without_asking_anybody() -> None:
    context = MapperContext("conf:1", frozenset({0}))
    pwent = PwentMapper.from_table({}, context)
    with pytest.raises(MapperError, match="nobody here to ask"):
        pwent.accounts(subject_of("alice"))


@pytest.mark.parametrize(("table", "message"), [
    ({"mapfile": "/x"}, "conf:1: unknown key 'mapfile'"),
    ({"ignorecase": True}, "conf:1: unknown key 'ignorecase' .did you mean 'ignore_case'?"),
    ({"ignore_case": "yes"}, "conf:1: ignore_case is 'yes', expected true or false"),
])
def test_a_wrong_table_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PwentMapper.from_table(table, MapperContext("conf:1", frozenset({0})))


def test_pwent_sees_the_common_names() -> None:
    assert mapper(Listed()).sees(subject_of("a", "b")) == ("a", "b")
