# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an sssd.conf says of cards, word for word: each difference from a plain file changes one thing, or is an error."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.config.migration import migrated
from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.sssd import ALLOWED_SERVICES, DEFAULT_CA_FILE, translate_sssd
from pam_sc.config.toml import read_tree
from pam_sc.mapping import load_mappers
from tests.support.pki import CertificateAuthority

RULE = (20, {"name": "alice", "match": "<SUBJECT>^CN=Alice", "account": "alice"})
SEARCHING = (30, {"name": "all", "map": "LDAP:(mail={subject_rfc822_name})"})
MODULES = ("/usr/lib/opensc-pkcs11.so",)
DIRECTORY = """\
[domain/example]
ldap_uri = ldaps://a.example.test/, ldaps://b.example.test
ldap_search_base = dc=example
ldap_tls_cacert = /etc/ssl/ca.pem
ldap_default_bind_dn = cn=reader
ldap_default_authtok = hunter2
"""


def translated(
    pam: str = "", sssd: str = "", rules: tuple[tuple[int, dict[str, Any]], ...] = (RULE,), more: str = ""
) -> Translation:
    return translate_sssd(f"[sssd]\n{sssd}\n[pam]\npam_cert_auth = True\n{pam}\n{more}", rules, MODULES)


def verifying(words: str) -> Translation:
    return translated(sssd=f"certificate_verification = {words}")


def revocation(words: str) -> dict[str, Any]:
    found = verifying(words)
    assert found.errors() == ()
    settings: dict[str, Any] = found.tree["revocation"]
    return settings


def kinds(found: Translation, key: str = "certificate_verification") -> list[NoteKind]:
    return [note.kind for note in found.notes if note.key == key]


@pytest.mark.parametrize("servers", ["_srv_", "_srv_, ldaps://a.test", "ldapi:///x", "ldaps://reader:hunter2@a.test"])
def test_a_server_that_is_not_named_is_an_error(servers: str) -> None:
    more = DIRECTORY.replace("ldaps://a.example.test/, ldaps://b.example.test", servers)
    found = translated(rules=(SEARCHING,), more=more)
    assert [error.key for error in found.errors()] == ["ldap_uri"]
    assert "hunter2" not in f"{found.tree}{found.notes}"


def test_an_empty_option_is_none_so_that_the_one_behind_it_counts() -> None:
    found = translated("pam_cert_verification =", "certificate_verification = crl_file=/crl.pem")
    assert found.tree["revocation"]["crls"] == "/crl.pem"


def test_a_plain_file_is_a_configuration_of_ours() -> None:
    found = translated()
    assert found.errors() == ()
    assert found.tree == {
        "token": {"module": [{"path": MODULES[0]}]},
        "trust": {"anchors": DEFAULT_CA_FILE},
        "account": {"services": list(ALLOWED_SERVICES)},
        "revocation": {"fetch": "login"},
        "mapper": [{"name": "rules", "rule": [RULE[1]]}],
    }
    assert read_tree("/x", found.tree, str).whole.account.services == frozenset(ALLOWED_SERVICES)
    assert tomllib.loads(migrated(found, "/etc/sssd/sssd.conf")) == found.tree


@pytest.mark.parametrize("use", ["", "pam_cert_auth = False", "pam_cert_auth = maybe"])
def test_a_file_that_uses_no_cards_says_so(use: str) -> None:
    found = translate_sssd(f"[pam]\n{use}\n", [RULE], MODULES)
    assert kinds(found, "pam_cert_auth") == [NoteKind.DIFFERENT]
    assert kinds(translated(), "pam_cert_auth") == []


@pytest.mark.parametrize(("written", "wait"), [("60", 60), ("0", 0), ("170", 170), ("171", 170), ("600", 170)])
def test_the_time_to_wait_for_a_card_is_kept_up_to_the_limit(written: str, wait: int) -> None:
    found = translated(pam=f"p11_wait_for_card_timeout = {written}")
    assert found.tree["wait"] == wait
    assert kinds(found, "p11_wait_for_card_timeout") == [NoteKind.DIFFERENT]
    ((text,),) = [[note.text for note in found.notes if note.key == "p11_wait_for_card_timeout"]]
    assert ("(170 at most)" in text) is (int(written) > 170)
    assert read_tree("/x", found.tree, str).whole.wait_s == wait


@pytest.mark.parametrize("written", ["soon", "-1", "1.5", "9999999999"])
def test_a_time_to_wait_that_is_none_is_an_error(written: str) -> None:
    found = translated(pam=f"p11_wait_for_card_timeout = {written}")
    assert [error.key for error in found.errors()] == ["p11_wait_for_card_timeout"]
    assert "wait" not in found.tree


# ---------------------------------------------------------------- the token


def test_the_uri_selects_the_token_and_may_name_the_module() -> None:
    found = translated(pam="p11_uri = pkcs11:token=login?module-path=/usr/lib/m.so")
    assert found.tree["token"] == {"module": [{"path": "/usr/lib/m.so"}], "select": "pkcs11:token=login"}
    assert kinds(found, "p11_uri") == []


@pytest.mark.parametrize("uri", ["token=login", "pkcs11:nonsense=1", "pkcs11:token=x;pin-value=1234"])
def test_a_uri_that_would_select_something_else_is_an_error(uri: str) -> None:
    found = translated(pam=f"p11_uri = {uri}")
    assert NoteKind.ERROR in kinds(found, "p11_uri")
    assert "1234" not in str(found)


def test_without_a_module_there_is_an_error() -> None:
    found = translate_sssd("[pam]\npam_cert_auth = True\n", [RULE], ())
    assert [note.key for note in found.errors()] == ["p11_uri"]


# ---------------------------------------------------------------- services


@pytest.mark.parametrize(
    ("words", "more", "fewer"),
    [("+swaylock", {"swaylock"}, set()), ("-su, -su-l", set(), {"su", "su-l"}), ("+KDE,-vlock", {"kde"}, {"vlock"})],
)
def test_services_are_added_and_taken_away(words: str, more: set[str], fewer: set[str]) -> None:
    found = translated(pam=f"pam_p11_allowed_services = {words}")
    assert set(found.tree["account"]["services"]) == (set(ALLOWED_SERVICES) | more) - fewer


@pytest.mark.parametrize("words", ["sudo", "+", "+sudo, login", ", ".join(f"-{name}" for name in ALLOWED_SERVICES)])
def test_a_list_of_services_with_which_sssd_allows_none_is_an_error(words: str) -> None:
    found = translated(pam=f"pam_p11_allowed_services = {words}")
    assert {note.key for note in found.errors()} == {"pam_p11_allowed_services"}


# ---------------------------------------------------------------- certificate_verification


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("ocsp_dgst=sha256", {"fetch": "login"}),
        ("no_ocsp", {"ocsp": "off", "order": ["crl"]}),
        ("no_ocsp, crl_file=/c", {"ocsp": "off", "order": ["crl"], "mode": "require", "crls": "/c"}),
        ("crl_file=/c", {"fetch": "login", "mode": "require", "crls": "/c"}),
        ("crl_file=/c, crl_file=/d", {"fetch": "login", "mode": "require", "crls": "/c"}),
        ("soft_ocsp", {"fetch": "login"}),
        ("soft_crl, crl_file=/c", {"fetch": "login", "mode": "require", "crls": "/c"}),
        ("no_verification", {"fetch": "login"}),
        ("ocsp_default_responder=http://o.example.test/", {"fetch": "login", "ocsp_responder": "http://o.example.test/"}),
    ],
)
def test_each_word_has_its_meaning_and_the_unsafe_ones_the_safe_one(words: str, settings: dict[str, Any]) -> None:
    assert revocation(words) == settings


@pytest.mark.parametrize("words", ["no_verification", "soft_ocsp", "soft_crl", "no_ocsp"])
def test_what_would_accept_more_is_said_to_be_unsafe(words: str) -> None:
    assert kinds(verifying(words)) == [NoteKind.UNSAFE]


def test_no_ocsp_is_safe_where_there_are_crls() -> None:
    assert kinds(verifying("no_ocsp, crl_file=/c")) == []


@pytest.mark.parametrize(
    "words", ["crl_fle=/c", "no_ocps", "no_ocsp=1", "crl_file", "ocsp_default_responder=ftp://x", "ocsp_default_responder="]
)
def test_a_mistyped_word_is_an_error_and_not_a_demand_that_is_dropped(words: str) -> None:
    assert NoteKind.ERROR in kinds(verifying(words))


def test_partial_chain_is_ours() -> None:
    assert verifying("partial_chain").tree["trust"]["partial_paths"] is True


def test_what_the_section_pam_says_holds_instead_of_the_whole() -> None:
    found = translated(sssd="certificate_verification = no_ocsp", pam="pam_cert_verification = crl_file=/c")
    assert found.tree["revocation"] == {"fetch": "login", "mode": "require", "crls": "/c"}


def test_an_option_about_cards_that_nobody_knows_is_said_to_be_unknown() -> None:
    found = translated(pam="pam_cert_dbpath = /x\npam_verbosity = 3")
    assert [(note.key, note.kind) for note in found.notes if note.kind is NoteKind.UNKNOWN] == [
        ("pam_cert_dbpath", NoteKind.UNKNOWN)
    ]


# ---------------------------------------------------------------- rules


def test_without_a_rule_nothing_is_written() -> None:
    assert [note.key for note in translated(rules=()).errors()] == ["certmap"]


def test_a_rule_that_searches_takes_the_directory_along_but_never_its_password() -> None:
    found = translated(rules=(RULE, SEARCHING), more=DIRECTORY)
    assert found.errors() == ()
    (mapper,) = found.tree["mapper"]
    assert mapper["ldap"] == {
        "uri": ["ldaps://a.example.test", "ldaps://b.example.test"], "tls": "ldaps", "base": "dc=example",
        "ca": "/etc/ssl/ca.pem",
    }  # fmt: skip
    assert [rule["name"] for rule in mapper["rule"]] == ["alice", "all"]
    assert "hunter2" not in migrated(found, "/etc/sssd/sssd.conf") + str(found)


def test_a_server_without_tls_of_its_own_is_spoken_to_with_starttls() -> None:
    found = translated(rules=(SEARCHING,), more=DIRECTORY.replace("ldaps://b", "ldap://b"))
    assert found.tree["mapper"][0]["ldap"]["tls"] == "starttls"


@pytest.mark.parametrize("option", ["ldap_uri", "ldap_search_base", "ldap_tls_cacert"])
def test_a_rule_that_searches_needs_a_directory_that_proves_who_it_is(option: str) -> None:
    found = translated(rules=(SEARCHING,), more=DIRECTORY.replace(option, f"# {option}"))
    assert len(found.errors()) == 1


def test_a_rule_that_does_not_search_needs_none() -> None:
    assert "ldap" not in translated(more=DIRECTORY).tree["mapper"][0]


def test_our_mapper_takes_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CertificateAuthority().pem)
    found = translated(rules=(RULE, SEARCHING), more=DIRECTORY.replace("/etc/ssl", str(tmp_path)))
    (mapper,) = read_tree("/x", tomllib.loads(migrated(found, "/x")), str).whole.mappers
    (loaded,) = load_mappers([(mapper.name, mapper.table, mapper.where)], frozenset({0, os.getuid()}))
    assert loaded.name == "rules"


@pytest.mark.parametrize("change", [{"match": "<NONSENSE>x"}, {"map": "LDAP:(mail={nonsense})"}])
def test_a_rule_that_sssd_would_skip_is_an_error(change: dict[str, str]) -> None:
    line, table = SEARCHING
    found = translated(rules=(RULE, (line, {**table, **change})), more=DIRECTORY)
    assert [(note.line, note.key) for note in found.errors()] == [(line, "certmap")]


@given(st.text() | st.text(st.sampled_from("[]=pam\n sd/certificate_verification,#;+-")))
def test_whatever_the_text_is_there_is_a_translation(text: str) -> None:
    found = translate_sssd(text, [RULE], MODULES)
    assert found.tree["trust"]["anchors"]
