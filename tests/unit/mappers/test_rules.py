# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `rules`: which rules count, what they give, whom they ask, and what is told of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapping import Mapper, load_mappers, map_certificate
from pam_sc.services import CannotMap, DirectoryEntry, DirectorySearch, Services
from tests.support.certmap_strategies import AUTHORITY, upn

MAIL = x509.RFC822Name
PAGE = Path(__file__).resolve().parents[3] / "docs" / "mappers" / "rules.md"
LDAP = {"uri": "ldap://localhost", "tls": "off", "base": "dc=example,dc=test"}
BY_MAIL = {"name": "mail", "match": "<SAN:rfc822Name>@x$", "map": "({subject_rfc822_name.short_name})"}
BY_SEARCH = {"name": "search", "match": "<ISSUER>.", "map": "LDAP:(mail={subject_rfc822_name})"}


class PretendedDirectory:
    """Answers every search with the same entries, or an error, and keeps what was asked."""

    def __init__(self, *names: str, error: MapperError | None = None) -> None:
        self.entries = tuple(DirectoryEntry(f"uid={name}", {"uid": (name.encode(),)}) for name in names)
        self.error, self.asked = error, list[DirectorySearch]()

    def search(self, wanted: DirectorySearch) -> tuple[DirectoryEntry, ...]:
        """The entries."""
        self.asked.append(wanted)
        if self.error is not None:
            raise self.error
        return self.entries


def mapper(*rules: dict[str, Any], directory: PretendedDirectory | None = None, **options: Any) -> Mapper:
    """The mapper with these rules."""
    services = Services() if directory is None else Services(directory=directory)
    table = {"rule": list(rules), **options}
    return load_mappers([("rules", table, "here")], frozenset({0, os.getuid()}), services)[0].mapper


def subject(*san: x509.GeneralName, **wishes: object) -> Subject:
    """What a certificate with these alternative names says."""
    return read_subject(AUTHORITY.issue(key="p256", san=san, **wishes).der)


# ---------------------------------------------------------------- which rules count


def test_map_gives_the_name() -> None:
    mails = mapper(BY_MAIL)
    assert mails.accounts(subject(MAIL("alice@x"))) == ("alice",)
    assert mails.claims(subject(MAIL("alice@x")), "alice")
    for account in ("bob", "Alice", "alice@x", ""):
        assert not mails.claims(subject(MAIL("alice@x")), account)
    assert mails.accounts(subject(MAIL("alice@y"))) == ()
    assert not mails.claims(subject(MAIL("alice@y")), "alice")


def test_rule_without_a_map_gives_its_account_or_its_name() -> None:
    named = {"name": "alice", "match": "<SUBJECT>^CN=alice,"}
    assert mapper(named).accounts(subject()) == ("alice",)
    assert mapper({**named, "account": "admin"}).accounts(subject()) == ("admin",)
    assert mapper({**named, "map": "(admin)"}).accounts(subject()) == ("admin",)
    assert mapper(named).accounts(subject(common_name="alicia")) == ()


def test_default_match_wants_signatures_of_a_client() -> None:
    rule = {"name": "mail", "map": "{subject_rfc822_name.short_name}"}
    assert mapper(rule).accounts(subject(MAIL("alice@x"))) == ("alice",)
    assert mapper(rule).accounts(subject(MAIL("alice@x"), extended_key_usage=("1.3.6.1.5.5.7.3.1",))) == ()
    assert mapper(rule).accounts(subject(MAIL("alice@x"), key_usage=("keyAgreement",))) == ()


def test_all_rules_are_tried_for_an_account_whatever_their_priority() -> None:
    admin = {"name": "admin", "priority": 1, "match": "<SUBJECT>^CN=alice"}
    both = mapper({**BY_MAIL, "priority": 2}, admin)
    of = subject(MAIL("alice@x"))
    assert both.claims(of, "admin")
    assert both.claims(of, "alice")
    assert both.accounts(of) == ("admin", "alice")
    assert not both.claims(of, "mail")


def test_every_name_of_a_certificate_is_an_answer() -> None:
    both = subject(MAIL("alice@x"), MAIL("bob@x"))
    assert mapper(BY_MAIL).accounts(both) == ("alice", "bob")
    assert mapper(BY_MAIL).claims(both, "bob")


def test_name_beside_the_matching_one_never_becomes_the_account() -> None:
    both = subject(MAIL("alice@x"), MAIL("root@y"))
    assert mapper(BY_MAIL).accounts(both) == ()
    loose = mapper(BY_MAIL, any_san=True)
    assert loose.accounts(both) == ("alice",)
    assert not loose.claims(both, "root")


@pytest.mark.parametrize("name", ["-root@x", "../root@x", "ro\u200bot@x", "@x"])
def test_value_that_can_be_no_account_is_none(name: str) -> None:
    rule = {"name": "upn", "match": "<ISSUER>.", "map": "({subject_nt_principal.short_name})"}
    assert mapper(rule).accounts(subject(upn(name))) == ()
    assert not mapper(rule).claims(subject(upn(name)), name.partition("@")[0])


# ---------------------------------------------------------------- the directory


def test_filter_is_searched_and_the_entry_names_the_account() -> None:
    directory = PretendedDirectory("alice")
    searching = mapper(BY_SEARCH, directory=directory, ldap=LDAP)
    assert searching.accounts(subject(MAIL("a@x"))) == ("alice",)
    assert directory.asked[0].filter == "(mail=a@x)"
    assert directory.asked[0].attributes == ("uid",)
    assert searching.claims(subject(MAIL("a@x")), "alice")
    assert directory.asked[1].filter == "(&(mail=a@x)(uid=alice))"


def test_values_are_joined_and_escaped() -> None:
    directory = PretendedDirectory("alice")
    rule = {"name": "u", "match": "<ISSUER>.", "map": "(upn={subject_nt_principal})"}
    searching = mapper(rule, directory=directory, ldap={**LDAP, "account_attribute": "sAMAccountName"})
    searching.claims(subject(upn("*)(a=b"), upn("c")), "x)(uid=*")
    assert directory.asked[0].filter == "(&(|(upn=\\2a\\29\\28a=b)(upn=c))(sAMAccountName=x\\29\\28uid\\3d\\2a))"


def test_directory_is_not_asked_before_a_rule_matches() -> None:
    directory = PretendedDirectory("alice")
    searching = mapper({**BY_SEARCH, "match": "<ISSUER>nobody"}, directory=directory, ldap=LDAP)
    assert searching.accounts(subject(MAIL("a@x"))) == ()
    assert not searching.claims(subject(MAIL("a@x")), "alice")
    assert mapper(BY_SEARCH, directory=directory, ldap=LDAP).accounts(subject()) == ()
    assert directory.asked == []


def test_entry_of_another_account_is_no_answer() -> None:
    for name in ("Alice", "alice ", "bob"):
        searching = mapper(BY_SEARCH, directory=PretendedDirectory(name), ldap=LDAP)
        assert not searching.claims(subject(MAIL("a@x")), "alice")


def test_two_entries_are_two_answers() -> None:
    searching = mapper(BY_SEARCH, directory=PretendedDirectory("alice", "bob"), ldap=LDAP)
    assert searching.accounts(subject(MAIL("a@x"))) == ("alice", "bob")


def test_attribute_that_is_no_account_is_none() -> None:
    directory = PretendedDirectory("-alice")
    directory.entries += (DirectoryEntry("x", {"uid": (b"\xff", b"")}), DirectoryEntry("y", {}))
    assert mapper(BY_SEARCH, directory=directory, ldap=LDAP).accounts(subject(MAIL("a@x"))) == ()


def test_dead_directory_counts_only_where_no_other_rule_answers() -> None:
    error = CannotMap(Reason.MAPPER_FAILED, "no server answers")
    for rules in ((BY_SEARCH, BY_MAIL), (BY_MAIL, BY_SEARCH)):
        both = mapper(*rules, directory=PretendedDirectory(error=error), ldap=LDAP)
        assert both.accounts(subject(MAIL("a@x"))) == ("a",)
        assert both.claims(subject(MAIL("a@x")), "a")
        with pytest.raises(CannotMap, match="no server answers"):
            both.claims(subject(MAIL("a@x")), "bob")
        with pytest.raises(CannotMap, match="no server answers"):
            both.accounts(subject(MAIL("a@y")))


def test_rule_without_a_map_searches_for_the_certificate_where_there_is_a_directory() -> None:
    directory, of = PretendedDirectory("alice"), subject()
    assert mapper({"name": "whole"}, directory=directory, ldap=LDAP).accounts(of) == ("alice",)
    assert directory.asked[0].filter == f"(userCertificate;binary={''.join(f'{chr(92)}{octet:02x}' for octet in of.der)})"


def test_filter_that_is_too_long_is_an_error() -> None:
    long = subject(extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x00" * 4000), False)])
    directory = PretendedDirectory("alice")
    with pytest.raises(MapperError, match="the search filter has"):
        mapper({"name": "whole"}, directory=directory, ldap=LDAP).accounts(long)
    assert directory.asked == []


# ---------------------------------------------------------------- what is told


def test_every_element_of_every_rule_is_told() -> None:
    rules = (
        {"name": "none", "match": "<SUBJECT>^CN=bob<KU>digitalSignature", "account": "alice", "priority": 1},
        {**BY_MAIL, "priority": 2},
    )
    assert mapper(*rules).why(subject(MAIL("carol@x")), "alice") == (
        "rule 'none', priority 1: does not match (all elements are needed)",
        "  <SUBJECT>^CN=bob: no, the subject is 'CN=alice,O=Example'",
        "  <KU>digitalSignature: yes, the key usage is digitalSignature",
        "rule 'mail', priority 2: matches (all elements are needed)",
        "  <SAN:rfc822Name>@x$: yes, the only rfc822Name matches",
        "  gives 'carol', not 'alice'",
    )


def test_rule_that_matches_and_gives_nothing_says_why() -> None:
    lacking = {"name": "upn", "match": "||<SUBJECT>alice<ISSUER>nobody", "map": "{subject_nt_principal}"}
    assert mapper(lacking).why(subject(), None)[-1] == (
        "  gives no account: the certificate has no value for {subject_nt_principal}"
    )
    dead = PretendedDirectory(error=MapperError("no server answers"))
    told = mapper(BY_SEARCH, directory=dead, ldap=LDAP).why(subject(MAIL("a@x")), "alice")
    assert told[-1] == "  cannot give an account for (mail=a@x): no server answers"
    found = mapper(BY_SEARCH, directory=PretendedDirectory("alice"), ldap=LDAP).why(subject(MAIL("a@x")), "alice")
    assert found[-1] == "  gives 'alice' for (mail=a@x)"


def test_what_patterns_are_matched_with_is_shown() -> None:
    assert mapper(BY_MAIL).sees(subject(MAIL("a@x"), upn("u@R"))) == (
        "<SUBJECT>CN=alice,O=Example", "<ISSUER>CN=Test\\, Root,O=Example", "<KU>digitalSignature", "<EKU>1.3.6.1.5.5.7.3.2",
        "<SAN:rfc822Name>a@x", "<SAN:ntPrincipalName>u@R",
    )  # fmt: skip


# ---------------------------------------------------------------- the configuration


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "no rule, expected at least one [[mapper.rule]]"),
        ({"rule": ["x"]}, "rule 1: found 'x', expected a table"),
        ({"rule": [{"match": "<SUBJECT>a"}]}, "rule 1: name is missing"),
        ({"rule": [{"name": "a", "matchrule": "x"}]}, "unknown key 'matchrule' (did you mean 'match'?)"),
        ({"rule": [{**BY_MAIL, "priority": -1}]}, "rule 1 ('mail'): priority is -1, expected 0"),
        ({"rule": [{**BY_MAIL, "priority": 1 << 32}]}, "priority is 4294967296"),
        ({"rule": [{**BY_MAIL, "priority": "1"}]}, "priority is '1', expected a whole number"),
        ({"rule": [{**BY_MAIL, "account": "a"}]}, "map and account are two answers"),
        ({"rule": [BY_MAIL, BY_MAIL]}, "two rules have the name 'mail'"),
        ({"rule": [{"name": "alice"}]}, "match is missing, and without it every certificate would be one account's"),
        ({"rule": [{"name": "a", "map": "(alice)"}]}, "match is missing"),
        ({"rule": [{"name": "-a", "match": "<SUBJECT>a"}]}, "the account '-a' begins with -"),
        ({"rule": [{**BY_MAIL, "match": "<SUBJECT>a("}]}, "rule 1 ('mail'): match '<SUBJECT>a(', character 12: "),
        ({"rule": [{**BY_MAIL, "map": "({mail})"}]}, "map '({mail})', character 3: unknown template {mail}"),
        ({"rule": [{**BY_MAIL, "match": "NEW:<X>"}]}, "rules of type 'NEW' are not known"),
        ({"rule": [BY_SEARCH]}, "the mapper has no directory: expected a table [mapper.ldap] with uri, base and ca"),
        ({"rule": [BY_MAIL], "ldap": LDAP}, "ldap is of no use"),
        ({"rule": [BY_SEARCH], "ldap": {**LDAP, "filter": "x"}}, "ldap: unknown key 'filter'"),
        ({"rule": [BY_SEARCH], "ldap": {"uri": "ldaps://x", "base": "x"}}, "ldap: ca is missing"),
        ({"rule": [BY_SEARCH], "ldap": {**LDAP, "account_attribute": "u)("}}, "account_attribute is 'u)('"),
        ({"rule": [BY_SEARCH], "ldap": {**LDAP, "account_attribute": ""}}, "account_attribute is ''"),
        ({"rule": [BY_SEARCH], "ldap": "ldap://x"}, "ldap is 'ldap://x', expected a table"),
        ({"rule": [BY_MAIL], "any_san": "yes"}, "any_san is 'yes', expected true or false"),
        ({"rules": [BY_MAIL]}, "unknown key 'rules'"),
    ],
)
def test_configuration_that_cannot_be_meant_is_refused(table: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        load_mappers([("rules", table, "here")], frozenset({0, os.getuid()}))


def test_directory_that_is_not_verified_is_a_problem() -> None:
    loose = {"uri": "ldaps://localhost", "tls_verify": "never", "base": "x"}
    assert "whoever answers is believed" in mapper(BY_SEARCH, ldap=loose).problems()[0]
    assert mapper(BY_MAIL).problems() == ()


def test_example_of_the_page_loads_and_every_key_has_its_line() -> None:
    text = PAGE.read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (table,) = tomllib.loads(example)["mapper"]
    assert table.pop("name") == "rules"
    loaded = load_mappers([("rules", table, "here")], frozenset({0}))
    of = subject(MAIL("bob@example.test"), common_name="Alice Example")
    assert map_certificate(loaded, of).accounts == ("alice",)  # type: ignore[union-attr]
    for key in ("rule", "any_san", "ldap", "name", "priority", "match", "map", "account"):
        assert f"\n| `{key}` |" in text


def test_login_without_the_mapper_does_not_import_it() -> None:
    code = "import sys, pam_sc.worker, pam_sc.mappers.cn; print([m for m in sys.modules if 'certmap' in m or 'rules' in m])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
