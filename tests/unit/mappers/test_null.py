# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `null`: nobody gets it by accident, and root never."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.null import INSIST, NullMapper
from pam_sc.mapping import MapperContext
from pam_sc.services import Person, Services
from tests.support.mapper_services import ListedPeople
from tests.support.subjects import subject_of

KIOSK = {"any_card_is": "kiosk", INSIST: True}
PEOPLE = ListedPeople([{"name": "kiosk", "uid": 7}, {"name": "toor", "uid": 0}])


def mapper(table: dict[str, Any]) -> NullMapper:
    return NullMapper.from_table(table, MapperContext("conf:1", frozenset({os.getuid()}), Services(people=PEOPLE)))


def test_every_card_is_the_one_account_where_both_keys_say_so() -> None:
    for subject in (subject_of(), subject_of("alice")):
        assert mapper(KIOSK).accounts(subject) == ("kiosk",)
        assert mapper(KIOSK).claims(subject, "kiosk")
        assert not mapper(KIOSK).claims(subject, "alice")
        assert mapper(KIOSK).sees(subject) == ()


@pytest.mark.parametrize("table", [
    {}, {"any_card_is": "kiosk"}, {INSIST: True}, {"any_card_is": "kiosk", INSIST: False},
], ids=str)
def test_anything_less_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="conf:1: the mapper null lets every trusted card open one account"):
        mapper(table)


@pytest.mark.parametrize("table", [
    {"default_match": True, "default_user": "kiosk"}, {**KIOSK, "default_user": "kiosk"},
], ids=str)
def test_the_keys_of_pam_pkcs11_mean_nothing_here(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="conf:1: unknown key 'default_"):
        mapper(table)


@pytest.mark.parametrize("value", ["true", 1, None])
def test_only_true_insists(value: object) -> None:
    with pytest.raises(ConfigError, match=f"conf:1: {INSIST} is"):
        mapper({"any_card_is": "kiosk", INSIST: value})


@pytest.mark.parametrize("name", ["root", "", "a/b", "-x", "a\nb"])
def test_root_and_what_is_no_account_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected the name of an account other than root"):
        mapper({**KIOSK, "any_card_is": name})


def test_root_under_another_name_is_refused_when_somebody_asks() -> None:
    toor = mapper({**KIOSK, "any_card_is": "toor"})
    with pytest.raises(MapperError, match="which has uid 0"):
        toor.accounts(subject_of())
    with pytest.raises(MapperError, match="which has uid 0"):
        toor.claims(subject_of(), "toor")


def test_an_account_that_does_not_exist_is_nobodys() -> None:
    gone = mapper({**KIOSK, "any_card_is": "gone"})
    assert gone.accounts(subject_of()) == ()
    assert not gone.claims(subject_of(), "gone")


def test_an_answer_under_another_name_is_not_the_account() -> None:
    class Lying(ListedPeople):
        def by_name(self, name: str) -> Person | None:
            return Person("other", 7, "")

    context = MapperContext("conf:1", frozenset({0}), Services(people=Lying([])))
    assert NullMapper.from_table(KIOSK, context).accounts(subject_of()) == ()
