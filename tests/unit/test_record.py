# SPDX-License-Identifier: LGPL-2.1-or-later
"""A record behaves as a frozen dataclass does: the same classes made both ways give the same answers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pam_sc.record import FrozenRecordError, field, record, replace


@record
class Ours:
    """Three fields: required, defaulted, made anew."""

    first: int
    second: str = "two"
    third: dict[str, int] = field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Theirs:
    """The same, by the standard library."""

    first: int
    second: str = "two"
    third: dict[str, int] = dataclasses.field(default_factory=dict)


@record(kw_only=True)
class Named:
    """Fields by name alone; one is left out of comparison, one of repr."""

    key: int
    cache: object = field(default_factory=object, compare=False)
    secret: str = field(default_factory=str, repr=False)


ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}), ((1, "x"), {}), ((1, "x", {"a": 1}), {}), ((), {"first": 1}), ((1,), {"third": {"b": 2}}),
]


@pytest.mark.parametrize(("positional", "named"), ARGUMENTS)
def test_it_is_built_as_a_dataclass_is(positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    assert vars(Ours(*positional, **named)) == vars(Theirs(*positional, **named))


@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {}), ((1, "x", {}, 4), {}), ((1,), {"first": 1}), ((1,), {"fourth": 1}), ((), {"second": "x"})],
)
def test_what_a_dataclass_refuses_is_refused(positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    for made in (Ours, Theirs):
        with pytest.raises(TypeError):
            made(*positional, **named)


def test_a_default_made_anew_is_never_shared() -> None:
    assert Ours(1).third is not Ours(1).third


def test_equal_fields_of_one_class_are_equal_and_hash_alike() -> None:
    assert Ours(1) == Ours(1)
    assert Ours(1) != Ours(2)
    assert Ours(1) != Theirs(1)
    assert Named(key=1) == Named(key=1)
    assert hash(Named(key=1)) == hash(Named(key=1))


def test_a_field_left_out_of_repr_is_not_shown() -> None:
    shown = repr(Named(key=1, secret="hidden"))
    assert "key=1" in shown
    assert "hidden" not in shown


@pytest.mark.parametrize("name", ["first", "other"])
def test_nothing_can_be_set_or_deleted_afterwards(name: str) -> None:
    made = Ours(1)
    with pytest.raises(FrozenRecordError):
        setattr(made, name, 2)
    with pytest.raises(FrozenRecordError):
        delattr(made, name)
    assert made == Ours(1)


def test_fields_by_name_alone_are_not_taken_by_position() -> None:
    with pytest.raises(TypeError):
        Named(1)  # type: ignore[misc]


def test_replace_changes_only_what_it_is_given() -> None:
    assert replace(Ours(1, "x"), first=2) == Ours(2, "x")
    with pytest.raises(TypeError):
        replace(Ours(1), fourth=1)


def test_it_is_matched_by_position() -> None:
    match Ours(1, "x"):
        case Ours(first, second):
            assert (first, second) == (1, "x")
