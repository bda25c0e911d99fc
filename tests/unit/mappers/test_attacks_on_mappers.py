# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates made to be taken for another one's: what must not become an account, beside what does."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pam_sc.decision.evidence import MappedAccounts
from pam_sc.decision.home_files import why_not_believed
from pam_sc.decision.identity import Subject, read_subject
from pam_sc.decision.request import Request
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapping import LoadedMapper, load_mappers, map_certificate
from pam_sc.services import Services
from tests.support.certmap_strategies import AUTHORITY, upn
from tests.support.mapper_services import ListedPeople
from tests.support.mappers import made, mapfile
from tests.support.subjects import subject_of


def subject_named(common_name: str) -> Subject:
    """What a certificate with this commonName says."""
    return read_subject(AUTHORITY.issue(key="p256", common_name=common_name).der)


# ---------------------------------------------------------------- names that compare equal


@pytest.mark.parametrize("written", ["\\XC3\\XA9lodie", "\\xC3\\xA9lodie", "\\Xc3\\Xa9lodie"])
def test_text_that_spells_out_the_octets_of_a_letter_is_not_that_letter_without_regard_to_case(
    tmp_path: Path, written: str
) -> None:
    path = mapfile(tmp_path, "/O=Example/CN=\\xC3\\xA9lodie -> elodie\n")
    subject = made("subject", mapfile=path, ignore_case=True)
    assert subject.accounts(subject_named("\xe9lodie")) == ("elodie",)
    assert subject.accounts(subject_named(written)) == ()
    assert not subject.claims(subject_named(written), "elodie")


def test_name_with_a_backslash_before_a_large_x_has_no_oneline_form() -> None:
    assert subject_named("a\\Xb").subject.oneline is None
    assert subject_named("a\\Xb").subject.rfc4514 == "CN=a\\\\Xb,O=Example"
    assert subject_named("a\\yb").subject.oneline == "/O=Example/CN=a\\yb"


# ---------------------------------------------------------------- values that can be read in two ways


EMPLOYEES = {
    "name": "employees",
    "match": r"<EKU>clientAuth<SAN:rfc822Name>@example\.test$",
    "map": "({subject_rfc822_name.short_name})",
}


@pytest.mark.parametrize(
    ("address", "accounts"),
    [
        ("alice@example.test", ("alice",)),
        ("root@evil@example.test", ()),
        ("root@@example.test", ()),
        ("root@evil.test ,x@example.test", ()),
        ('"root@evil"@example.test', ()),
    ],
)
def test_short_name_of_an_address_with_two_at_signs_is_nobody(address: str, accounts: tuple[str, ...]) -> None:
    name = x509.RFC822Name._init_without_validation(address)
    subject = read_subject(AUTHORITY.issue(key="p256", san=[name]).der)
    assert subject.mails == (address,)
    rules = made("rules", rule=[EMPLOYEES])
    assert rules.accounts(subject) == accounts
    assert rules.claims(subject, "root") is False


@pytest.mark.parametrize("name", ["root@evil@EXAMPLE.TEST", "root@EXAMPLE.TEST@EXAMPLE.TEST"])
def test_short_name_of_a_principal_with_two_at_signs_is_nobody(name: str) -> None:
    rule = {"name": "r", "match": r"<SAN:ntPrincipalName>@EXAMPLE\.TEST$", "map": "{subject_nt_principal.short_name}"}
    subject = read_subject(AUTHORITY.issue(key="p256", san=[upn(name)]).der)
    assert made("rules", rule=[rule]).accounts(subject) == ()
    assert made("rules", rule=[{**rule, "map": "{subject_principal.short_name}"}]).accounts(subject) == ()
    plain = read_subject(AUTHORITY.issue(key="p256", san=[upn("alice@EXAMPLE.TEST")]).der)
    assert made("rules", rule=[rule]).accounts(plain) == ("alice",)


# ---------------------------------------------------------------- what people say of themselves


PEOPLE = ListedPeople([
    {"name": "alice", "gecos": "Mallory Example,room,1,2"},  # set by whoever sat at the unlocked machine of alice
    {"name": "carol", "gecos": "bob"},
    {"name": "bob", "gecos": "Bob Example"},
])
PWENT, GENERIC = {"name": "pwent"}, {"name": "generic", "item": "cn", "through_nss": True}


def asked_by(table: dict[str, Any], service: str, real_uid: int = 0, effective_uid: int = 0) -> tuple[LoadedMapper, ...]:
    """The mapper of this table in a request of this service."""
    request = Request(service=service, account="alice", real_uid=real_uid, effective_uid=effective_uid, saved_uid=effective_uid)
    services = Services(people=PEOPLE, why_not_believed=partial(why_not_believed, request, frozenset({"sudo", "su"})))
    given = {key: value for key, value in table.items() if key != "name"}
    return load_mappers([(table["name"], given, "here")], frozenset({0, os.getuid()}), services)


@pytest.mark.parametrize("table", [PWENT, GENERIC])
@pytest.mark.parametrize(("service", "real_uid"), [("sudo", 0), ("sudo", 1000), ("su", 0), ("locker", 1000)])
@pytest.mark.parametrize("name", ["Mallory Example", "Mallory Example,room,1,2"])
def test_full_name_that_people_can_change_gives_nobody_more_than_they_have(
    table: dict[str, Any], service: str, real_uid: int, name: str
) -> None:
    mappers = asked_by(table, service, real_uid)
    denied = map_certificate(mappers, subject_of(name), "alice")
    assert isinstance(denied, MappedAccounts)
    assert denied.accounts == ()
    assert "the account's GECOS field says so, and counts for nothing here" in denied.detail
    assert map_certificate(mappers, subject_of(name)) == MappedAccounts((), f"{table['name']}: no account")
    by_name = map_certificate(mappers, subject_of("alice"), "alice")
    assert isinstance(by_name, MappedAccounts)
    assert by_name.accounts == ("alice",)


@pytest.mark.parametrize("table", [PWENT, GENERIC])
@pytest.mark.parametrize(
    ("service", "uids", "more"),
    [("login", (0, 0), {}), ("locker", (1000, 1000), {}), ("sudo", (1000, 0), {"believed_for": ["sudo"]})],
)
def test_full_name_counts_where_a_file_in_a_home_would(
    table: dict[str, Any], service: str, uids: tuple[int, int], more: dict[str, Any]
) -> None:
    found = map_certificate(asked_by({**table, **more}, service, *uids), subject_of("Mallory Example"), "alice")
    assert isinstance(found, MappedAccounts)
    assert found.accounts == ("alice",)


def test_full_name_does_not_count_for_a_service_that_is_named_for_another() -> None:
    found = map_certificate(asked_by({**PWENT, "believed_for": ["su"]}, "sudo"), subject_of("Mallory Example"), "alice")
    assert isinstance(found, MappedAccounts)
    assert found.accounts == ()


@pytest.mark.parametrize("table", [PWENT, GENERIC])
def test_full_name_that_is_the_name_of_another_account_is_that_account_alone(table: dict[str, Any]) -> None:
    mappers = asked_by(table, "login")
    assert not mappers[0].mapper.claims(subject_of("bob"), "carol")
    assert mappers[0].mapper.accounts(subject_of("bob")) == ("bob",)
    assert mappers[0].mapper.claims(subject_of("bob"), "bob")
    assert mappers[0].mapper.claims(subject_of("Bob Example"), "bob")


def test_without_anybody_who_says_which_service_asks_no_full_name_counts() -> None:
    (loaded,) = load_mappers([("pwent", {}, "here")], frozenset({0}), Services(people=PEOPLE))
    with pytest.raises(MapperError, match="nobody says which service asks"):
        loaded.mapper.claims(subject_of("Mallory Example"), "alice")
    assert loaded.mapper.accounts(subject_of("Mallory Example")) == ()


def test_services_are_named_where_the_account_database_is_asked() -> None:
    with pytest.raises(ConfigError, match="here: believed_for is about the account database: set through_nss too"):
        made("generic", believed_for=["sudo"])
    with pytest.raises(ConfigError, match="here: believed_for is empty, expected a list of services"):
        made("pwent", believed_for=[])
