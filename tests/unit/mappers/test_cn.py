# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `cn`, from a subject to accounts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.errors import ConfigError
from pam_sc.mappers.cn import CnMapper
from pam_sc.mapping import MapperContext
from tests.support.pki import CertificateAuthority
from tests.support.subjects import subject_of

CONTEXT = MapperContext("/etc/pam_sc/pam_sc.toml: [[mapper]] 1", frozenset({0, os.getuid()}))
AUTHORITY = CertificateAuthority()


def mapper(**table: Any) -> CnMapper:
    return CnMapper.from_table(table, CONTEXT)


def named(*names: str) -> Subject:
    return subject_of(*names)


@pytest.fixture
def mapfile(tmp_path: Path) -> str:
    """A mapfile with one literal line and one pattern."""
    path = tmp_path / "cn_map"
    path.write_text("Alice Example -> alice\n^Bob .*$ -> bob\n")
    path.chmod(0o644)
    return str(path)


def test_value_itself_is_the_account_without_a_mapfile() -> None:
    assert mapper().accounts(named("alice")) == ("alice",)
    assert mapper().claims(named("alice"), "alice")


@pytest.mark.parametrize("account", ["Alice", "alic", "alice ", "alicee", "", "bob"])
def test_value_is_compared_exactly(account: str) -> None:
    assert not mapper().claims(named("alice"), account)


def test_every_common_name_maps() -> None:
    assert mapper().accounts(named("carol", "alice", "carol")) == ("carol", "alice")
    assert mapper().claims(named("carol", "alice"), "alice")


def test_subject_without_common_name_maps_to_nothing() -> None:
    assert mapper().accounts(named()) == ()


@pytest.mark.parametrize("name", ["root\0.evil", "mallory\nroot", "../root", "-root", "roo\u200bt", "root/"])
def test_name_that_could_be_taken_for_another_never_maps(name: str) -> None:
    subject = read_subject(AUTHORITY.issue(common_name=name, key="p256").der)
    assert mapper().accounts(subject) == ()
    assert not mapper().claims(subject, "root")
    assert not mapper(ignore_case=True).claims(subject, name)
    assert mapper().accounts(named(name)) == ()


def test_ignore_case_compares_ascii_letters_only() -> None:
    ignoring = mapper(ignore_case=True)
    assert ignoring.accounts(named("ALICE")) == ("alice",)
    assert ignoring.claims(named("aLiCe"), "Alice")
    assert not ignoring.claims(named("\N{KELVIN SIGN}im"), "kim")
    assert not ignoring.claims(named("alicE"), "alicia")


def test_mapfile_is_an_allow_list(mapfile: str) -> None:
    mapped = mapper(mapfile=mapfile)
    assert mapped.accounts(named("Alice Example")) == ("alice",)
    assert mapped.accounts(named("Bob Builder")) == ("bob",)
    for unlisted in ("alice", "bob", "root", "Alice Exampl", "alice example"):
        assert mapped.accounts(named(unlisted)) == ()
        assert not mapped.claims(named(unlisted), unlisted)


def test_mapfile_with_ignore_case(mapfile: str) -> None:
    mapped = mapper(mapfile=mapfile, ignore_case=True)
    assert mapped.accounts(named("ALICE EXAMPLE", "bob x")) == ("alice", "bob")
    assert not mapped.claims(named("alice example"), "ALICE")


def test_what_it_sees_is_the_common_names() -> None:
    assert mapper().sees(named("alice", "bob")) == ("alice", "bob")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"mapfil": "/x"}, r"unknown key 'mapfil' \(did you mean 'mapfile'\?\)"),
        ({"zzz": 1}, "unknown key 'zzz', expected one of ignore_case, mapfile"),
        ({"mapfile": 1}, "mapfile is 1, expected a string"),
        ({"mapfile": ""}, "expected an absolute path"),
        ({"mapfile": "cn_map"}, "expected an absolute path"),
        ({"ignore_case": 1}, "ignore_case is 1, expected true or false"),
        ({"ignore_case": "true"}, "ignore_case is 'true', expected true or false"),
    ],
)
def test_wrong_table_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mapper(**table)


def test_mapfile_that_others_can_write_is_refused(mapfile: str) -> None:
    Path(mapfile).chmod(0o646)
    with pytest.raises(ConfigError, match="mode 0646"):
        mapper(mapfile=mapfile)
