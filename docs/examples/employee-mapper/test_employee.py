# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of the mapper, without a card: run them with pytest."""

from __future__ import annotations

import pytest
from pam_sc_employee import SERIAL_NUMBER, EmployeeMapper

from pam_sc.decision.distinguished_name import Attribute, DistinguishedName
from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapping import MapperContext

CONTEXT = MapperContext("pam_sc.toml: [[mapper]] 1", frozenset({0}))


def subject(*numbers: str) -> Subject:
    name = DistinguishedName(relative_names=tuple((Attribute(SERIAL_NUMBER, each),) for each in numbers))
    return Subject(subject=name)


def test_a_number_is_an_account() -> None:
    mapper = EmployeeMapper.from_table({}, CONTEXT)
    assert mapper.accounts(subject("4711")) == ("e4711",)
    assert mapper.claims(subject("4711"), "e4711")
    assert not mapper.claims(subject("4711"), "e47110")


@pytest.mark.parametrize("number", ["", "0", "04711", "4711 ", "x", "\u0664"])
def test_what_is_no_number_maps_to_nobody(number: str) -> None:
    assert EmployeeMapper.from_table({}, CONTEXT).accounts(subject(number)) == ()


def test_two_numbers_are_no_answer() -> None:
    with pytest.raises(MapperError):
        EmployeeMapper.from_table({}, CONTEXT).claims(subject("1", "2"), "e1")


def test_a_wrong_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key 'lists'"):
        EmployeeMapper.from_table({"lists": "/x"}, CONTEXT)
