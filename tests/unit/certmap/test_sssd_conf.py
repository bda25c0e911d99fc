# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rules of an sssd.conf as tables of the mapper, and what is said about them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.certmap.sssd_conf import read_certmap_rules
from pam_sc.mapping import load_mappers

FILE = """\
# of an administrator
[sssd]
services = nss, pam

[domain/local]
id_provider = proxy

[certmap/local/alice]
  matchrule = <SUBJECT>^CN=Alice Example,

  priority = 10

[certmap/local/mail]
matchrule = <SAN:rfc822Name>@example\\.test$
maprule = ({subject_rfc822_name.short_name})
priority = 5

[certmap/corp.example/cards]
matchrule = <ISSUER>^CN=CA
maprule = LDAPU1:(altSecurityIdentities=X509:<I>{issuer_dn!ad}<SR>{serial_number!hex_ur})
domains = corp.example, sub.corp.example

[certmap/corp.example/whole]
"""


def test_rules_come_best_priority_first() -> None:
    rules, _notes = read_certmap_rules(FILE, "sssd.conf")
    assert rules == (
        {
            "name": "mail", "priority": 5, "match": "<SAN:rfc822Name>@example\\.test$",
            "map": "({subject_rfc822_name.short_name})",
        },
        {"name": "alice", "priority": 10, "match": "<SUBJECT>^CN=Alice Example,", "account": "alice"},
        {
            "name": "cards", "match": "<ISSUER>^CN=CA",
            "map": "LDAPU1:(altSecurityIdentities=X509:<I>{issuer_dn!ad}<SR>{serial_number!hex_ur})",
        },
        {"name": "whole", "map": "LDAP:(userCertificate;binary={cert!bin})"},
    )  # fmt: skip


def test_tables_are_those_of_the_mapper() -> None:
    rules, _notes = read_certmap_rules(FILE, "sssd.conf")
    table = {"rule": list(rules), "ldap": {"uri": "ldap://localhost", "tls": "off", "base": "dc=example"}}
    load_mappers([("rules", table, "here")], frozenset({0, os.getuid()}))


def test_what_differs_is_said_with_its_line() -> None:
    _rules, notes = read_certmap_rules(FILE, "sssd.conf")
    said = {(note.line, note.text.split("]: ")[-1].split(":")[0][:40]) for note in notes}
    assert (21, "domains has no meaning here") in said
    assert {line for line, text in said if text.startswith("the rule searches a directory")} == {18, 23}
    assert {line for line, text in said if text.startswith("the rule held for accounts of")} == {8, 13, 18, 23}


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("[certmap/files]\nmatchrule = <SUBJECT>a", "is no rule: expected [certmap/DOMAIN/RULE]"),
        ("[certmap/files/x]\nmatchrule = <SUBJECT>a\npriority = -1", "priority is '-1', expected 0 to 4294967295"),
        ("[certmap/files/x]\nmatchrule = <SUBJECT>a\npriority = 4294967296", "priority is '4294967296'"),
        ("[certmap/files/x]\nmatchrule = NEW:<SUBJECT>a", "rules of type 'NEW' are not known"),
        ("[certmap/files/x]\nmatchrule = <SUBJECT>a||", "an empty alternative"),
        ("[certmap/files/x]\nmatchrule = <SUBJECT>a\nmaprule = ({mail})", "unknown template {mail}"),
        ("[certmap/implicit_files/x]\npriority = 1", "every certificate to one account"),
        ("[certmap/files/x]\nmaprule = (alice)", "every certificate to one account"),
    ],
)
def test_rule_that_cannot_be_used_is_left_out_and_said(section: str, why: str) -> None:
    rules, notes = read_certmap_rules(section, "sssd.conf")
    assert rules == ()
    assert [note for note in notes if why in note.text], notes


def test_rule_without_a_maprule_is_its_account_in_a_local_domain_only() -> None:
    text = "[domain/{0}]\nid_provider = {1}\n[certmap/{0}/alice]\nmatchrule = <SUBJECT>a\n"
    for domain, provider, local in (
        ("a", "files", True), ("a", "PROXY", True), ("a", "ldap", False), ("shadowutils", "x", True), ("a", "", False)
    ):  # fmt: skip
        (rule,), _notes = read_certmap_rules(text.format(domain, provider), "sssd.conf")
        assert ("account" in rule) is local
        assert ("map" in rule) is not local


def test_rules_of_two_domains_keep_their_accounts_and_get_names_of_their_own() -> None:
    text = "".join(f"[certmap/{domain}/alice]\nmatchrule = <SUBJECT>a\n" for domain in ("shadowutils", "implicit_files"))
    rules, _notes = read_certmap_rules(text, "sssd.conf")
    assert [(rule["name"], rule["account"]) for rule in rules] == [("alice", "alice"), ("alice-2", "alice")]


def test_line_that_is_nothing_and_key_that_nobody_knows_are_said() -> None:
    _rules, notes = read_certmap_rules("[certmap/shadowutils/a]\nmatchrule = <SUBJECT>a\nnonsense\nmatchrul = x\n", "f")
    assert [note.line for note in notes if "neither a section nor an option" in note.text] == [3]
    assert [note.line for note in notes if "unknown key 'matchrul'" in note.text] == [4]


@given(st.text("[]certmap/xy=#; \n\t<SUBJECT>{}é\0", max_size=60))
def test_nothing_escapes_whatever_the_text_is(text: str) -> None:
    rules, notes = read_certmap_rules(text, "f")
    assert all("name" in rule for rule in rules)
    assert all(note.line >= 1 for note in notes)
