# SPDX-License-Identifier: LGPL-2.1-or-later
"""use_mappers and the blocks of mappers: the table that each becomes, and our mapper made from every such table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.notes import NoteKind
from pam_sc.mapping import ALIASES, BUILT_IN, load_mappers
from tests.unit.config.peer_files import DEAD, DIFFERENT, ERROR, UNKNOWN, UNSAFE, peer, said, tables, translated

LINE = 6
FALLBACK = ("only what the file lists maps; pam_pkcs11 takes what it does not list as the account's name itself; to insist:"
            " unlisted = same;")  # fmt: skip
INSIST = "i_know_that_any_trusted_card_opens_this_account"


def one(name: str, keys: str = "") -> str:
    return peer(mappers=f"use_mappers = {name}; mapper {name} {{ {keys} }}")


MAPFILE = "mapfile = file:///map;"
TABLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cn": ("cn", "", {"name": "cn"}),
    "cn that ignores case": ("cn", "ignorecase = true;", {"name": "cn", "ignore_case": True}),
    "cn with none": ("cn", "mapfile = none;", {"name": "cn"}),
    "cn with an empty one": ("cn", 'mapfile = "";', {"name": "cn"}),
    "cn with a mapfile": ("cn", MAPFILE, {"name": "cn", "mapfile": "/map"}),
    "cn that insists": ("cn", MAPFILE + "unlisted = same;", {"name": "cn", "mapfile": "/map", "unlisted": "same"}),
    "uid": ("uid", "ignorecase = false;", {"name": "uid", "ignore_case": False}),
    "subject": ("subject", MAPFILE, {"name": "subject", "mapfile": "/map", "ignore_case": False}),
    "pwent": ("pwent", "", {"name": "pwent"}),
    "pwent that ignores case": ("pwent", "ignorecase = yes;", {"name": "pwent", "ignore_case": True}),
    "mail": ("mail", "", {"name": "mail", "ignore_case": True, "any_domain": True}),
    "mail with a mapfile": ("mail", MAPFILE, {"name": "mail", "mapfile": "/map", "ignore_case": True}),
    "mail with case": (
        "mail", MAPFILE + "ignorecase = false;", {"name": "mail", "mapfile": "/map", "ignore_case": False},
    ),
    "mail of our domains": (
        "mail", "ignoredomain = false; domains = a.test, b.test;",
        {"name": "mail", "ignore_case": True, "domains": ["a.test", "b.test"]},
    ),
    "ms": ("ms", "domainname = a.test;", {"name": "upn", "domains": ["a.test"]}),
    "ms of any domain": ("ms", "ignoredomain = true; domainname = a.test;", {"name": "upn", "any_domain": True}),
    "ms with a nickname": (
        "ms", "domainname = a.test; domainnickname = A; ignorecase = true;",
        {"name": "upn", "domains": ["a.test"], "nickname": "A", "ignore_case": True},
    ),
    "krb with a mapfile": ("krb", MAPFILE, {"name": "krb", "mapfile": "/map"}),
    "krb of our realms": ("krb", "realms = A.TEST;", {"name": "krb", "realms": ["A.TEST"]}),
    "krb of any realm": ("krb", "any_realm = true;", {"name": "krb", "any_realm": True}),
    "digest": ("digest", MAPFILE, {"name": "digest", "mapfile": "/map", "algorithm": "sha1"}),
    "digest by an old name": ("digest", MAPFILE + "algorithm = SHA;", {"name": "digest", "mapfile": "/map", "algorithm": "sha1"}),
    "digest of another": (
        "digest", MAPFILE + "algorithm = SHA-256;", {"name": "digest", "mapfile": "/map", "algorithm": "sha256"},
    ),
    "generic": ("generic", "", {"name": "generic", "item": "cn"}),
    "generic upn": ("generic", "cert_item = UPN;", {"name": "generic", "item": "upn"}),
    "generic email": ("generic", "cert_item = email;", {"name": "generic", "item": "mail"}),
    "generic uid": ("generic", "cert_item = uid;", {"name": "generic", "item": "uid"}),
    "generic kpn": ("generic", "cert_item = kpn;", {"name": "generic", "item": "krb"}),
    "generic subject": ("generic", "cert_item = subject;", {"name": "generic", "item": "subject"}),
    "generic serial": ("generic", "cert_item = serial;", {"name": "generic", "item": "serial_number"}),
    "generic through NSS": (
        "generic", MAPFILE + "use_getpwent = true; ignorecase = true;",
        {"name": "generic", "mapfile": "/map", "ignore_case": True, "item": "cn", "through_nss": True},
    ),
    "openssh": ("openssh", "", {"name": "openssh"}),
    "openssh that insists": (
        "openssh", "believed_for = sudo; scan_homes = true; file = .ssh/login_keys;",
        {"name": "openssh", "file": ".ssh/login_keys", "believed_for": ["sudo"], "scan_homes": True},
    ),
    "opensc": ("opensc", "", {"name": "opensc"}),
    "null that insists": (
        "null", f"default_match = true; default_user = guest; {INSIST} = true;",
        {"name": "null", "any_card_is": "guest", INSIST: True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_a_block_becomes_the_table_of_our_mapper(case: str) -> None:
    name, keys, expected = TABLES[case]
    translation = translated(one(name, keys))
    assert translation.errors() == ()
    assert tables(translation) == [expected]
    assert translation.lines[("mapper", 0)] == LINE


@pytest.mark.parametrize("case", TABLES)
def test_our_mapper_takes_the_table(case: str, tmp_path: Path) -> None:
    name, keys, expected = TABLES[case]
    mapfile = tmp_path / "map"
    mapfile.write_text("Alice -> alice\n" if name != "digest" else "")
    mapfile.chmod(0o644)
    (table,) = tables(translated(one(name, keys.replace("/map", str(mapfile)))))
    settings = [(expected["name"], {key: value for key, value in table.items() if key != "name"}, "here")]
    (loaded,) = load_mappers(settings, frozenset({0, os.getuid()}))
    assert loaded.name == expected["name"]


def test_every_mapper_of_the_peer_is_translated() -> None:
    peers = {"mail", "ms", "krb", "digest", "cn", "subject", "uid", "pwent", "generic", "null", "ldap", "opensc", "openssh"}
    assert {name for name, _keys, _table in TABLES.values()} | {"ldap"} == peers
    assert {ALIASES.get(name, name) for name in peers} <= set(BUILT_IN)


@pytest.mark.parametrize(
    ("name", "keys", "key", "kind", "text"),
    [
        ("cn", "debug = true;", "debug", DEAD, "write debug on the PAM line"),
        ("cn", "module = internal;", "module", DEAD, "the mapper of this name is built in"),
        ("opensc", "module = /lib/pam_pkcs11/opensc_mapper.so;", "module", DEAD, "the mapper of this name is built in"),
        ("cn", MAPFILE, "mapfile", UNSAFE, FALLBACK),
        ("cn", MAPFILE + "unlisted = same;", "unlisted", UNSAFE,
         "what the mapfile does not list is taken as the account's name itself"),
        ("cn", "mapfile = /map; unlisted = refuse;", "mapfile", DIFFERENT,
         "is read as a path; pam_pkcs11 needs a URL: file:///map"),
        ("cn", "ignorcase = true;", "ignorcase", UNKNOWN,
         "neither pam_pkcs11 nor pam_sc knows it; did you mean 'ignorecase'?"),
        ("cn", "mapfile = https://x.test/map;", "mapfile", ERROR,
         "found 'https://x.test/map': a login fetches no mapfile; put it into a file that only root can write, and name that:"
         " mapfile = file:///etc/pam_pkcs11/NAME;"),
        ("subject", "", "mapfile", ERROR, "is not set: no account has the name of a subject"),
        ("digest", "", "mapfile", ERROR, "is not set: no account has the name of a digest"),
        ("digest", MAPFILE + "algorithm = md5;", "algorithm", ERROR,
         "found 'md5', expected sha256, sha384, sha512, sha1"),
        ("mail", "ignoredomain = false;", "ignoredomain", ERROR, "pam_pkcs11 accepts every domain that is a part of the"
         " host's name; say which domains count: domains = example.test;"),
        ("mail", "ignoredomain = true;", "ignoredomain", UNSAFE, "the part before the @ of an address of any domain is an"
         " account's name; say which domains count: domains = example.test;"),
        ("ms", "", "domainname", ERROR,
         "is not set, expected the domain whose names count, or ignoredomain = true;"),
        ("ms", "ignoredomain = true;", "ignoredomain", UNSAFE,
         "the part before the @ of a name of any domain is an account's name"),
        ("krb", "", "krb", ERROR, "the mapper krb of pam_pkcs11 never maps; say which realms count: realms = EXAMPLE.TEST;"),
        ("generic", "cert_item = sid;", "cert_item", ERROR,
         "found 'sid', expected one of cn, subject, kpn, email, upn, uid, serial"),
        ("generic", "cert_item = serial;", "cert_item", DIFFERENT,
         "the serial number is written in small hexadecimal digits without colons"),
        ("openssh", "keyfile = x;", "keyfile", DEAD, "pam_pkcs11 does not look at it"),
        ("null", "default_match = true;", "default_match", UNSAFE, "every card would log in as 'nobody'; the mapper null is"
         f" left out unless its block insists: {INSIST} = true;"),
        ("null", f"default_match = true; {INSIST} = true;", INSIST, UNSAFE, "every card that is trusted logs in as 'nobody'"),
    ],
)  # fmt: skip
def test_a_key_of_a_mapper_is_explained(name: str, keys: str, key: str, kind: NoteKind, text: str) -> None:
    assert (LINE, key, kind, text) in said(translated(one(name, keys)))


@pytest.mark.parametrize("mapfile", ["http://x.test/m", "ldap://x.test/m", "map", "file://map", "NONE"])
def test_a_mapfile_elsewhere_is_an_error(mapfile: str) -> None:
    (error,) = translated(one("cn", f"mapfile = {mapfile};")).errors()
    assert error.text.startswith(f"found {mapfile!r}: a login fetches no mapfile")


def test_the_password_in_a_url_is_not_repeated() -> None:
    for text in (one("cn", "mapfile = ftp://alice:hunter2@x.test/m;"), peer(module="ca_dir = http://alice:hun@ter2@x.test/;")):
        (error,) = translated(text).errors()
        assert "//...@x.test/" in error.text
        assert not {"hun", "ter2", "alice"} & set(error.text.replace("@", ":").split(":"))


def test_a_file_that_says_that_its_mapfile_is_an_allow_list_is_not_warned_of() -> None:
    assert said(translated(one("cn", MAPFILE + "unlisted = refuse;"))) == []


def test_mappers_keep_their_order_and_count_once() -> None:
    assert [table["name"] for table in tables(translated(peer(mappers="use_mappers = pwent, ms, CN, pwent; "
                                                              "mapper ms { domainname = a.test; }")))] == [
        "pwent", "upn", "cn",
    ]  # fmt: skip


def test_the_stigs_line_without_blanks_is_read() -> None:
    translation = translated(peer(mappers="use_mappers=pwent;"))
    assert tables(translation) == [{"name": "pwent"}]
    assert said(translation) == [
        (LINE, "use_mappers", DIFFERENT, "there is no blank around the =, so pam_pkcs11 passes over this line"),
        (LINE, "use_mappers", DIFFERENT, "a full name (GECOS) counts for nothing in sudo, su and their like, because people"
         " can change their own (believed_for = sudo; changes that)"),
    ]


def test_a_full_name_is_believed_in_the_services_that_the_block_names() -> None:
    translation = translated(peer(mappers="use_mappers = pwent;\nmapper pwent { believed_for = sudo, su; }"))
    assert tables(translation) == [{"name": "pwent", "believed_for": ["sudo", "su"]}]
    assert said(translation) == []


def test_a_block_that_is_not_used_is_dead_whatever_it_says() -> None:
    translation = translated(peer(mappers="use_mappers = cn;\nmapper mail {\n mapfile = ftp://x;\n xyzzy = 1;\n}"))
    assert said(translation) == [(7, "mapper mail", DEAD, "is not in use_mappers: lines 7 to 10 change nothing")]


@pytest.mark.parametrize("mappers", ["", "use_mappers = ;", "use_mappers = null;"])
def test_no_mapper_is_an_error(mappers: str) -> None:
    (error,) = translated(peer(mappers=mappers)).errors()
    assert (error.key, error.text) == (
        "use_mappers", "names no mapper that could map a certificate, expected at least one",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("block", "begins"),
    [
        ("", "'own' is no mapper of pam_pkcs11, expected cn, "),
        ("mapper own { module = /lib/own_mapper.so; }", "'own' is a mapper of its own, in '/lib/own_mapper.so', which is not"),
    ],
)
def test_a_mapper_that_nobody_here_knows_is_an_error(block: str, begins: str) -> None:
    (error,) = translated(peer(mappers=f"use_mappers = cn, own; {block}")).errors()
    assert (error.line, error.key) == (LINE, "use_mappers")
    assert error.text.startswith(begins)


def test_domains_of_ours_hold_whatever_the_peers_keys_say() -> None:
    for keys in ("ignoredomain = true;", "domainname = a.test;", "ignoredomain = true; domainname = a.test;"):
        translation = translated(one("ms", "domains = b.test; " + keys))
        assert tables(translation) == [{"name": "upn", "domains": ["b.test"]}]
        found = said(translation)
        assert {kind for *_, kind, _text in found} == {DEAD}
        assert [key for _line, key, *_ in found] == [word.split()[0] for word in keys.split("; ")]
    dead = (LINE, "domainname", DEAD, "ignoredomain says that every name counts")
    assert dead in said(translated(one("ms", "ignoredomain = true; domainname = a.test;")))


@pytest.mark.parametrize(
    ("name", "key"), [("mail", "domains"), ("ms", "domains"), ("krb", "realms"), ("openssh", "believed_for")]
)
def test_an_empty_list_of_ours_is_an_error(name: str, key: str) -> None:
    errors = translated(one(name, f"{key} = ; {MAPFILE if name != 'openssh' else ''}")).errors()
    assert [(error.key, error.text) for error in errors] == [(key, "has no value")]


@pytest.mark.parametrize("module", ["/opt/site/strict.so", "/lib/pam_pkcs11/ms_mapper.so", "/lib/my_cn_mapper.so", "cn_mapper"])
def test_a_mapper_of_their_own_under_a_name_of_ours_is_not_replaced(module: str) -> None:
    (error,) = translated(one("cn", f"module = {module};")).errors()
    assert (error.line, error.key) == (LINE, "module")
    assert error.text.startswith(f"{module!r} is a mapper of its own, which is not loaded here; expected internal or ")


def test_a_block_that_stands_twice_is_an_error() -> None:
    (error,) = translated(peer(mappers="use_mappers = cn; mapper cn { }\nmapper CN { ignorecase = true; }")).errors()
    assert (error.line, error.text) == (7, "stands twice, in line 6 too")


def test_the_mapper_null_that_never_matches_is_left_out_and_said() -> None:
    translation = translated(peer(mappers="use_mappers = cn, null; mapper null { default_user = guest; }"))
    assert tables(translation) == [{"name": "cn"}]
    assert said(translation) == [
        (LINE, "mapper null", DIFFERENT, "the mapper null maps nothing and is left out; pam_pkcs11 logs a card in as 'guest'"
         " where no name was given"),
    ]  # fmt: skip
