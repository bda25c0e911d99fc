# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `rules` with a real directory: the filters that rules become, through the network process, in OpenLDAP."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.mapping import Mapper, load_mappers
from pam_sc.network.directory import NetworkDirectory
from pam_sc.services import CannotMap, Services
from tests.support.certmap_strategies import AUTHORITY, upn
from tests.support.network_process import Network
from tests.support.slapd import PEOPLE, Directory, directory, people, person

STRANGE = "a b*(c)\\d@x"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A directory with people who have addresses."""
    entries = people(
        person("alice", mails=["alice@x", "shared@x"]),
        person("bob", mails=["bob@x", "shared@x"]),
        person("carol", mails=[STRANGE]),
    )
    with directory(tmp_path_factory.mktemp("slapd"), entries) as running:
        yield running


def mapper(network: Network, uri: str, mapping: str = "LDAP:(mail={subject_nt_principal})", **rule: Any) -> Mapper:
    """The mapper with one rule that searches."""
    services = Services(directory=NetworkDirectory(lambda: network.client, lambda: time.monotonic() + 20))
    table = {
        "rule": [{"name": "search", "match": "<ISSUER>.", "map": mapping, **rule}],
        "ldap": {"uri": uri, "tls": "off", "base": PEOPLE},
    }
    return load_mappers([("rules", table, "here")], frozenset({0, os.getuid()}), services)[0].mapper


def subject(*names: str) -> Subject:
    """A certificate with these principals."""
    return read_subject(AUTHORITY.issue(key="p256", san=[upn(name) for name in names]).der)


def test_entry_that_holds_the_value_is_the_account(network: Network, slapd: Directory) -> None:
    searching = mapper(network, slapd.url(""))
    assert searching.accounts(subject("alice@x")) == ("alice",)
    assert searching.claims(subject("alice@x"), "alice")
    assert not searching.claims(subject("alice@x"), "bob")
    assert searching.accounts(subject("nobody@x")) == ()


def test_two_entries_are_both_claimed_and_are_two_answers(network: Network, slapd: Directory) -> None:
    searching = mapper(network, slapd.url(""))
    assert sorted(searching.accounts(subject("shared@x"))) == ["alice", "bob"]
    assert searching.claims(subject("shared@x"), "bob")
    assert sorted(searching.accounts(subject("alice@x", "bob@x"))) == ["alice", "bob"]


def test_value_means_itself_whatever_it_holds(network: Network, slapd: Directory) -> None:
    searching = mapper(network, slapd.url(""))
    assert searching.accounts(subject(STRANGE)) == ("carol",)
    for evil in ("*", "*)(uid=*", "alice@x)(|(uid=*", "a\\2a", "(", ")", "\\"):
        assert searching.accounts(subject(evil)) == (), evil
        assert not searching.claims(subject(evil), "alice"), evil
    assert not searching.claims(subject("alice@x"), "*")
    assert not searching.claims(subject("alice@x"), "x)(|(uid=alice")


def test_longer_filter_is_searched_whole(network: Network, slapd: Directory) -> None:
    both = "(|(mail={subject_rfc822_name})(&(mail={subject_rfc822_name})(!(uid={subject_rfc822_name.short_name}))))"
    of = read_subject(AUTHORITY.issue(key="p256", san=[x509.RFC822Name("alice@x")]).der)
    assert mapper(network, slapd.url(""), both).accounts(of) == ("alice",)


def test_dead_server_is_no_answer(network: Network, slapd: Directory) -> None:
    with pytest.raises(CannotMap):
        mapper(network, "ldap://127.0.0.1:1").accounts(subject("alice@x"))
