# SPDX-License-Identifier: LGPL-2.1-or-later
"""The block `mapper ldap`: servers, TLS, search and bind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.notes import NoteKind
from pam_sc.mapping import load_mappers
from tests.support.pki import CertificateAuthority
from tests.unit.config.peer_files import DEAD, DIFFERENT, ERROR, UNSAFE, peer, said, tables, translated

LINE = 6
TLS = "URI = ldap://a.test; ssl = tls; tls_cacertfile = /ca.pem;"
PLAIN = {
    "name": "ldap", "tls": "starttls", "ca": "/ca.pem", "uri": ["ldap://a.test"], "base": "ou=People,o=example,c=com",
    "scope": "one", "filter": "(&(objectClass=posixAccount)(uid={account}))", "attribute": "userCertificate",
}  # fmt: skip


def ldap(keys: str) -> str:
    return peer(mappers=f"use_mappers = ldap; mapper ldap {{ {keys} }}")


def without(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


TABLES = [
    (TLS, PLAIN),
    ('uri = "ldap://a.test ldap://b.test/"; ssl = tls; tls_cacertfile = /ca.pem;',
     {**PLAIN, "uri": ["ldap://a.test", "ldap://b.test"]}),
    ("ldaphost = a.test; ssl = on; tls_cacertfile = /ca.pem;", {**PLAIN, "tls": "ldaps", "uri": ["ldaps://a.test"]}),
    ("ldaphost = a.test; ldapport = 1389; ssl = tls; tls_cacertfile = /ca.pem;", {**PLAIN, "uri": ["ldap://a.test:1389"]}),
    ("uri = ldaps://a.test; tls_cacertfile = /ca.pem;", {**PLAIN, "tls": "ldaps", "uri": ["ldaps://a.test"]}),
    ('uri = "ldap://a.test ldaps://b.test"; tls_cacertfile = /ca.pem;',
     {**PLAIN, "uri": ["ldap://a.test", "ldaps://b.test"]}),
    ("uri = ldap://a.test; tls_cacertfile = /ca.pem;", PLAIN),
    ("uri = ldap://a.test; tls = off;", {**without(PLAIN, "ca"), "tls": "off"}),
    ("ldaphost = a.test; ssl = on; tls = off;", {**without(PLAIN, "ca"), "tls": "off"}),
    (TLS + 'scope = 2; base = "o=x"; attribute = cert; uid_attribute = login;',
     {**PLAIN, "scope": "subtree", "base": "o=x", "attribute": "cert", "account_attribute": "login"}),
    (TLS + 'filter = "(uid=%s)"; scope = 0;', {**PLAIN, "filter": "(uid={account})", "scope": "base"}),
    (TLS + 'attribute_map = "mail=email", "uid=uid&cn=cn";', {**PLAIN, "attribute_map": ["mail=email", "uid=uid&cn=cn"]}),
    (TLS + "tls_checkpeer = 0; tls_verify = never;", {**PLAIN, "tls_verify": "never"}),
    (TLS + 'binddn = "cn=pam"; password_file = /secret;', {**PLAIN, "bind_dn": "cn=pam", "password_file": "/secret"}),
    (TLS + 'binddn = "cn=pam";', PLAIN),
    (TLS + "tls_cert = /c.pem; tls_key = /k.pem;", {**PLAIN, "client_certificate": "/c.pem", "client_key": "/k.pem"}),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "expected"), TABLES)
def test_the_block_becomes_the_table_of_our_mapper(keys: str, expected: dict[str, Any]) -> None:
    translation = translated(ldap(keys))
    assert translation.errors() == ()
    assert tables(translation) == [expected]


@pytest.mark.parametrize("keys", [keys for keys, _table in TABLES])
def test_our_mapper_takes_the_table(keys: str, tmp_path: Path) -> None:
    for name in ("ca.pem", "c.pem"):
        (tmp_path / name).write_bytes(CertificateAuthority().pem)
        (tmp_path / name).chmod(0o644)
    (table,) = tables(translated(ldap(keys.replace(" /", f" {tmp_path}/"))))
    (loaded,) = load_mappers([("ldap", without(table, "name"), "here")], frozenset({0, os.getuid()}))
    assert loaded.name == "ldap"


@pytest.mark.parametrize(
    ("keys", "key", "kind", "text"),
    [
        ("", "uri", ERROR, "is not set and neither is ldaphost, expected at least one server"),
        ("uri = ldap://a.test; ssl = off;", "ssl", UNSAFE, "TLS is spoken all the same, or who stands between could say whose"
         " certificate it is; write ssl = tls; or to insist: tls = off;"),
        ("uri = ldap://a.test; ssl = off;", "tls_cacertfile", ERROR,
         "is not set, expected the file with the CA of the servers"),
        ("uri = ldap://a.test; tls = off;", "tls", UNSAFE, "who stands between can say whose certificate it is"),
        ("uri = ldap://a.test; tls = of;", "tls", ERROR, "found 'of', expected off, for servers of ldap:// alone"),
        ("uri = ldaps://a.test; tls = off;", "tls", ERROR, "found 'off', expected off, for servers of ldap:// alone"),
        ("uri = ldap://a.test; tls = off; tls_cacertfile = /ca;", "tls_cacertfile", DEAD, "counts only with TLS"),
        ("uri = ldap://a.test; ssl = maybe; tls_cacertfile = /ca;", "ssl", ERROR,
         "found 'maybe', expected off, tls, on or ssl"),
        ("uri = ldap://a.test; ssl = on; tls_cacertfile = /ca;", "uri", ERROR,
         "is no ldaps://, but ssl asks for it; write ldaps:// there, or ssl = tls;"),
        ("uri = ldap://a.test; ssl = tls;", "tls_cacertfile", ERROR,
         "is not set, expected the file with the CA of the servers"),
        ('uri = "ldap://a.test ldaps://b.test"; tls_cacertfile = /ca;', "ssl", UNSAFE, "TLS is spoken all the same, or who stands"
         " between could say whose certificate it is; write ssl = tls; or to insist: tls = off;"),
        ('uri = "ldap://a.test ldaps://b.test"; tls = off;', "tls", ERROR,
         "found 'off', expected off, for servers of ldap:// alone"),
        (TLS + "tls_checkpeer = 0;", "tls_checkpeer", UNSAFE,
         "a server always has to prove who it is; to insist: tls_verify = never;"),
        (TLS + "tls_verify = never;", "tls_verify", UNSAFE, "whoever answers as the server is believed"),
        (TLS + "tls_cacertdir = /ca;", "tls_cacertdir", DIFFERENT,
         "does not count: the CA of the servers is in tls_cacertfile"),
        (TLS + "tls_ciphers = HIGH;", "tls_ciphers", DEAD, "the ciphers of this machine's OpenSSL hold"),
        (TLS + "tls_randfile = /x;", "tls_randfile", DEAD, "is not needed"),
        (TLS + "ignorecase = true;", "ignorecase", DEAD, "pam_pkcs11 does not look at it"),
        (TLS + "searchtimeout = 5;", "searchtimeout", DEAD, "pam_pkcs11 does not look at it"),
        (TLS + "ldaphost = b.test;", "ldaphost", DEAD, "uri says which servers there are"),
        (TLS + "scope = 3;", "scope", ERROR, "found 3, expected 0, 1 or 2"),
        (TLS + 'filter = "(uid=%d)";', "filter", ERROR, "found '(uid=%d)', expected one %s, for the account's name"),
        (TLS + 'filter = "(|(uid=%s)(cn=%s))";', "filter", ERROR,
         "found '(|(uid=%s)(cn=%s))', expected one %s, for the account's name"),
        (TLS + 'binddn = "cn=pam";', "binddn", DIFFERENT,
         "has no password, so it is not used: nobody is named to the servers"),
        (TLS + 'binddn = "cn=pam"; passwd = hunter2;', "passwd", ERROR, "is a secret in a file that everybody may read; put it"
         " alone into a file that only root can read, and name that instead: password_file = /etc/pam_sc/ldap.secret;"),
    ],
)  # fmt: skip
def test_a_key_is_explained(keys: str, key: str, kind: NoteKind, text: str) -> None:
    assert (LINE, key, kind, text) in said(translated(ldap(keys)))


def test_a_percent_sign_of_the_peers_format_is_one() -> None:
    (table,) = tables(translated(ldap(TLS + 'filter = "(&(x=5%%)(uid=%s))";')))
    assert table["filter"] == "(&(x=5%)(uid={account}))"


def test_a_password_enters_neither_the_tree_nor_a_note() -> None:
    translation = translated(ldap(TLS + 'binddn = "cn=pam"; passwd = hunter2;'))
    assert "hunter2" not in repr(translation)


@pytest.mark.parametrize("keys", ["uri = ldaps://pam:hunter2@a.test;", "ldaphost = pam:hunter2@a.test; ssl = on;"])
def test_a_password_in_the_place_of_a_server_is_an_error_and_not_repeated(keys: str) -> None:
    translation = translated(ldap(keys + "tls_cacertfile = /ca.pem;"))
    (error,) = translation.errors()
    assert (error.line, error.key) == (LINE, keys.partition(" ")[0])
    assert error.text.startswith("holds an @: a name or a password has no place in it")
    assert "hunter2" not in f"{translation.tree}{translation.notes}"
