# SPDX-License-Identifier: LGPL-2.1-or-later
"""How mappers are found by name, and what several of them say together."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from pam_sc.decision.evidence import MappedAccounts, MappingFailed
from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.cn import CnMapper
from pam_sc.mapping import (
    BUILT_IN,
    ENTRY_POINTS,
    LoadedMapper,
    Mapper,
    MapperContext,
    claims,
    load_mappers,
    map_certificate,
)
from tests.support.subjects import subject_of

TRUSTED = frozenset({0, os.getuid()})
SUBJECT = subject_of("alice")


@dataclass(frozen=True)
class Scripted(Mapper):
    """A mapper that gives what the test says, or raises it."""

    given: object = ()
    confirms: object = False

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Not used here."""
        raise NotImplementedError

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """What the test says."""
        if isinstance(self.given, Exception):
            raise self.given
        return self.given  # type: ignore[return-value]

    def claims(self, subject: Subject, account: str) -> bool:
        """What the test says."""
        if isinstance(self.confirms, Exception):
            raise self.confirms
        return self.confirms == account or self.confirms is True


def loaded(*mappers: Mapper) -> tuple[LoadedMapper, ...]:
    return tuple(LoadedMapper(f"m{index}", each) for index, each in enumerate(mappers))


def accounts(*mappers: Mapper, account: str | None = None) -> tuple[str, ...]:
    found = map_certificate(loaded(*mappers), SUBJECT, account)
    assert isinstance(found, MappedAccounts), found
    return found.accounts


# ---------------------------------------------------------------- several mappers


def test_accounts_of_all_mappers_are_joined_in_their_order_without_repetition() -> None:
    assert accounts(Scripted(("bob", "alice")), Scripted(("alice", "carol"))) == ("bob", "alice", "carol")


def test_certificate_that_no_mapper_knows_maps_to_nothing() -> None:
    assert accounts(Scripted(), Scripted()) == ()
    assert accounts(Scripted(), account="alice") == ()


def test_account_that_a_mapper_only_confirms_is_added_when_it_is_asked_about() -> None:
    assert accounts(Scripted((), "alice"), account="alice") == ("alice",)
    assert accounts(Scripted((), "alice"), account="bob") == ()
    assert accounts(Scripted((), "alice")) == ()


def test_mapper_that_confirms_everything_still_names_no_impossible_account() -> None:
    for name in ("", "a/b", "-x", "a\0b", "a\nb"):
        assert accounts(Scripted((), True), account=name) == ()


@pytest.mark.parametrize("name", ["", "a/b", "-x", "root\0", "a\nb", 7, None])
def test_impossible_account_that_a_mapper_gives_is_left_out(name: object) -> None:
    assert accounts(Scripted((name, "alice"))) == ("alice",)


def test_account_that_a_mapper_denies_is_not_given_by_its_own_list() -> None:
    contradicting = Scripted(("alice", "bob"), confirms=False)
    assert accounts(contradicting, account="alice") == ("bob",)
    assert not claims(loaded(contradicting), SUBJECT, "alice")
    assert accounts(contradicting) == ("alice", "bob")
    assert accounts(contradicting, Scripted(("alice",), confirms=True), account="alice") == ("bob", "alice")


def test_text_in_place_of_a_list_is_no_list_of_letters() -> None:
    found = map_certificate(loaded(Scripted("root")), SUBJECT)
    assert found == MappingFailed("m0: accounts are 'root', expected a tuple of names")


@pytest.mark.parametrize("error", [MapperError("down"), ValueError("down"), RuntimeError("down")])
def test_mapper_that_fails_while_none_maps_is_a_failure(error: Exception) -> None:
    for mappers in ((Scripted(error),), (Scripted(error), Scripted()), (Scripted(), Scripted(error))):
        found = map_certificate(loaded(*mappers), SUBJECT)
        assert isinstance(found, MappingFailed)
        assert "down" in found.why


def test_mapper_that_fails_does_not_hide_what_another_gave() -> None:
    down = MapperError("down")
    assert accounts(Scripted(down, down), Scripted(("alice",), "alice"), account="alice") == ("alice",)
    assert accounts(Scripted(("alice",), "alice"), Scripted(down, down), account="alice") == ("alice",)


def test_mapper_that_fails_leaves_open_whether_another_account_maps() -> None:
    down = MapperError("down")
    found = map_certificate(loaded(Scripted(("alice",)), Scripted(down, down)), SUBJECT, "bob")
    assert isinstance(found, MappingFailed)


def test_mapper_that_fails_might_have_named_a_second_account_where_the_card_names_it() -> None:
    for mappers in ((Scripted(("alice",)), Scripted(MapperError("down"))), (Scripted(MapperError("down")), Scripted(("alice",)))):
        assert isinstance(map_certificate(loaded(*mappers), SUBJECT), MappingFailed)


def test_mapper_that_said_no_need_not_know_whose_card_it_is() -> None:
    assert accounts(Scripted(MapperError("too many to list"), False), account="alice") == ()


def test_mapper_that_fails_to_confirm_is_a_failure() -> None:
    found = map_certificate(loaded(Scripted((), MapperError("down"))), SUBJECT, "alice")
    assert isinstance(found, MappingFailed)


def test_detail_says_which_mapper_saw_what() -> None:
    found = map_certificate(loaded(Scripted(("alice",)), Scripted()), SUBJECT)
    assert isinstance(found, MappedAccounts)
    assert found.detail == "m0: 'alice'; m1: no account"


def test_claims_asks_every_mapper() -> None:
    assert claims(loaded(Scripted(), Scripted(("alice",), "alice")), SUBJECT, "alice")
    assert claims(loaded(Scripted((), MapperError("down")), Scripted((), "alice")), SUBJECT, "alice")
    assert not claims(loaded(Scripted(("alice",), "alice")), SUBJECT, "alic")


def test_claims_that_stayed_open_raise() -> None:
    with pytest.raises(MapperError, match="m0: down"):
        claims(loaded(Scripted((), MapperError("down"))), SUBJECT, "alice")


def test_no_mapper_at_all_maps_nothing() -> None:
    assert map_certificate((), SUBJECT) == MappedAccounts(())


# ---------------------------------------------------------------- finding mappers by name


def test_built_in_mapper_is_found_and_made() -> None:
    found = load_mappers([("cn", {"ignore_case": True}, "here")], TRUSTED)
    assert [each.name for each in found] == ["cn"]
    assert isinstance(found[0].mapper, CnMapper)
    assert found[0].mapper.accounts(subject_of("ALICE")) == ("alice",)


def test_mappers_keep_their_order() -> None:
    found = load_mappers([("cn", {}, "one"), ("cn", {"ignore_case": True}, "two")], TRUSTED)
    assert [each.mapper.accounts(subject_of("A")) for each in found] == [("A",), ("a",)]


def test_no_configured_mapper_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no mapper is configured"):
        load_mappers([], TRUSTED)


def test_error_in_the_table_names_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"^conf:7: unknown key 'x'"):
        load_mappers([("cn", {"x": 1}, "conf:7")], TRUSTED)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder on sys.path in which a test installs distributions with mappers."""
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("third_")]:
        del sys.modules[name]


MAPPER = """
from pam_sc.mapping import Mapper
class Third(Mapper):
    @classmethod
    def from_table(cls, table, context):
        {make}
    def sees(self, subject): return ()
    def accounts(self, subject): return ("third",)
    def claims(self, subject, account): return account == "third"
"""


def install(site: Path, distribution: str, entry: str, make: str = "return cls()", attribute: str = "Third") -> None:
    """Install a distribution that brings one mapper."""
    module = f"third_{distribution}"
    (site / f"{module}.py").write_text(MAPPER.format(make=make))
    folder = site / f"{distribution}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[pam_sc.mappers]\n{entry} = {module}:{attribute}\n")


def load_one(name: str) -> LoadedMapper:
    return load_mappers([(name, {}, "conf:3")], TRUSTED)[0]


def test_mapper_of_a_third_party_is_found_by_its_entry_point(site: Path) -> None:
    install(site, "dist_a", "third")
    assert load_one("third").mapper.accounts(SUBJECT) == ("third",)


def test_third_party_cannot_claim_a_built_in_name(site: Path) -> None:
    install(site, "dist_a", "cn")
    assert isinstance(load_one("cn").mapper, CnMapper)


def test_name_that_two_distributions_claim_is_an_error_that_names_them(site: Path) -> None:
    install(site, "dist_a", "third")
    install(site, "dist_b", "third")
    with pytest.raises(ConfigError, match="claimed by more than one distribution: dist_a, dist_b"):
        load_one("third")


def test_unknown_mapper_is_an_error_with_the_nearest_known_name(site: Path) -> None:
    install(site, "dist_a", "third")
    with pytest.raises(ConfigError, match=r"conf:3: unknown mapper 'thrid' \(did you mean 'third'\?\)"):
        load_one("thrid")
    with pytest.raises(ConfigError, match=r"unknown mapper 'zzzz', expected one of cn, command, .*, third, uid, upn"):
        load_one("zzzz")


@pytest.mark.parametrize("attribute", ["Missing", "Mapper.nothing"])
def test_mapper_that_cannot_be_loaded_is_a_configuration_error(site: Path, attribute: str) -> None:
    install(site, "dist_a", "third", attribute=attribute)
    with pytest.raises(ConfigError, match="mapper 'third' cannot be loaded"):
        load_one("third")


@pytest.mark.parametrize("attribute", ["Third.accounts", "Third.__class__"])
def test_what_is_no_class_of_mappers_is_a_configuration_error(site: Path, attribute: str) -> None:
    install(site, "dist_a", "third", attribute=attribute)
    with pytest.raises(ConfigError, match="expected a class of Mapper"):
        load_one("third")


def test_mapper_that_cannot_be_made_is_a_configuration_error(site: Path) -> None:
    install(site, "dist_a", "third", make="return 1 // 0")
    with pytest.raises(ConfigError, match="mapper 'third' cannot be made: ZeroDivisionError"):
        load_one("third")


def test_the_built_in_table_is_the_entry_points_of_our_own_distribution() -> None:
    declared = {entry.name: entry.value for entry in importlib.metadata.distribution("pam_sc").entry_points
                if entry.group == ENTRY_POINTS}
    assert declared == dict(BUILT_IN)
