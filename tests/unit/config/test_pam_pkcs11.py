# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_pkcs11.conf: each key of the whole and of the module, each argument, and what is said about them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.config.notes import NoteKind, summary
from pam_sc.config.pam_pkcs11 import translate
from pam_sc.errors import ConfigError
from tests.unit.config.peer_files import (
    DEAD,
    DIFFERENT,
    ERROR,
    SILENT,
    UNKNOWN,
    UNSAFE,
    peer,
    said,
    tables,
    translated,
)

GLOBAL, MODULE = 2, 4


def test_a_plain_file_becomes_the_tree_of_a_plain_pam_sc_toml() -> None:
    translation = translated(peer())
    assert translation.tree == {
        "token": {"module": [{"path": "/m.so"}]},
        "trust": {"anchors": "/etc/pam_pkcs11/cacerts"},
        "revocation": {"crls": "/etc/pam_pkcs11/crls", "mode": "require", "ocsp": "off", "order": ["crl"]},
        "mapper": [{"name": "cn"}],
        "texts": SILENT,
    }
    assert said(translation) == []


# ---------------------------------------------------------------- keys of the whole


@pytest.mark.parametrize(
    ("line", "key", "kind", "text"),
    [
        ("nullok = true;", "nullok", UNSAFE, "an empty PIN is never sent to a card; there is no key to change that"),
        ("debug = true;", "debug", DIFFERENT, "has no effect in this file, because what is logged is decided before"
         " it is read; write debug on the PAM line"),
        ("quiet = true;", "quiet", DIFFERENT, "the person reads no messages; the log keeps its lines"),
        ("use_authok = true;", "use_authok", DEAD, "pam_pkcs11 reads it and never uses it"),
        ("use_authtok = true;", "use_authtok", DEAD, "nobody reads it"),
        ("mapper_search_path = /x;", "mapper_search_path", DEAD, "nobody reads it"),
        ("wait_for_card = true;", "wait_for_card", DEAD, "counts only with card_only = true"),
        ("screen_savers = xscreensaver;", "screen_savers", DEAD, "counts only with card_only = true"),
        ("err_display_time = 5;", "err_display_time", DIFFERENT, "no pause is made after a message: the application"
         " shows it for as long as it likes"),
        ("nulok = true;", "nulok", UNKNOWN, "neither pam_pkcs11 nor pam_sc knows it; did you mean 'nullok'?"),
        ("xyzzy = true;", "xyzzy", UNKNOWN, "neither pam_pkcs11 nor pam_sc knows it"),
        ("nullok = perhaps;", "nullok", ERROR, "found 'perhaps', expected true or false"),
        ("nullok = no, yes;", "nullok", ERROR, "has 2 values, expected one (quote a value with a comma)"),
        ("quiet = false; quiet = true;", "quiet", ERROR, "stands twice with two values, in line 2 too"),
        ("err_display_time = soon;", "err_display_time", ERROR, "found 'soon', expected a whole number"),
    ],
)
def test_a_key_of_the_whole_is_explained(line: str, key: str, kind: NoteKind, text: str) -> None:
    assert said(translated(peer(whole=line))) == [(GLOBAL, key, kind, text)]


@pytest.mark.parametrize(
    "line",
    [
        "nullok = false;", "debug = no;", "quiet = F;", "try_first_pass = 0;", "use_first_pass = off;", "card_only = false;",
        "wait_for_card = false;", "err_display_time = 0;", "screen_savers = ;", "quiet = false; quiet = false;",
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_not_worth_a_note(line: str) -> None:
    assert said(translated(peer(whole=line))) == []


@pytest.mark.parametrize("word", ["on", "1", "enabled", "ON"])
def test_a_word_that_means_yes_is_yes_and_said_where_pam_pkcs11_reads_no(word: str) -> None:
    translation = translated(peer(whole=f"quiet = {word};"))
    assert translation.tree["prompt"] == {"quiet": True}
    assert (GLOBAL, "quiet", DIFFERENT, f"'{word}' means yes here; pam_pkcs11 takes it as no") in said(translation)


def test_keys_of_ours_are_taken_and_change_what_is_said() -> None:
    keys = ("allow_root = true; remote = allow; card_names_user = sudo; services = sudo, login; card = required;"
            " run_as = readers; allow_last_try = true;")  # fmt: skip
    translation = translated(peer(whole=keys))
    assert translation.tree["account"] == {
        "allow_root": True, "remote": "allow", "card_names_user": ["sudo"], "services": ["sudo", "login"],
    }  # fmt: skip
    assert translation.tree["pin"] == {"allow_last_try": True}
    assert translation.tree["card"] == "required"
    assert translation.tree["token"]["run_as"] == "readers"
    assert [note.key for note in translation.notes] == ["cert_policy"]


def test_our_strict_defaults_are_said_once() -> None:
    (note,) = (note for note in translated(peer(whole="remote = allow;")).notes if note.key == "pam_pkcs11")
    assert note.text == ("no card logs in as root (allow_root changes that); a card names the account in the services login"
                         " and gdm-smartcard alone (card_names_user changes that)")


@pytest.mark.parametrize(
    ("text", "found", "line"),
    [("", "none", 1), ("# nothing\n", "none", 1), ("pkcs11 { }", "none", 1), ("pam_pkcs11 {}\nPAM_PKCS11 {}", "2", 2)],
)
def test_a_file_needs_one_block_pam_pkcs11(text: str, found: str, line: int) -> None:
    (error,) = translated(text).errors()
    assert (error.line, error.text) == (line, f"found {found} of the block pam_pkcs11, expected one")


def test_what_stands_elsewhere_is_said() -> None:
    text = "stray = true;\npkcs11_eventmgr { daemon = true;\n}\n" + peer(mappers="use_mappers = cn; other { }")
    assert said(translated(text)) == [
        (1, "stray", UNKNOWN, "stands outside of the block pam_pkcs11, where nobody reads it"),
        (2, "pkcs11_eventmgr", DEAD, "is no block pam_pkcs11: lines 2 to 3 change no login"),
        (9, "other", UNKNOWN, "is no block of pam_pkcs11: nobody reads lines 9 to 9"),
    ]


# ---------------------------------------------------------------- the module


def test_use_pkcs11_module_picks_the_block() -> None:
    blocks = "pkcs11_module Card { module = /card.so; cert_policy = ca, crl_offline; }"
    translation = translated(peer(whole="use_pkcs11_module = card;", mappers=f"use_mappers = cn; {blocks}"))
    assert translation.tree["token"]["module"] == [{"path": "/card.so"}]
    assert said(translation) == [
        (3, "pkcs11_module default", DEAD, "is not the module in use, 'card': lines 3 to 5 change nothing")
    ]


def test_a_module_that_is_not_there_is_an_error() -> None:
    (error,) = translated(peer(whole="use_pkcs11_module = card;")).errors()
    assert (error.line, error.key) == (GLOBAL, "use_pkcs11_module")
    assert error.text == "there is no block pkcs11_module 'card', expected one of those in the file: default"


def test_a_module_block_that_stands_twice_is_an_error() -> None:
    (error,) = translated(peer(mappers="use_mappers = cn; pkcs11_module Default { module = /x.so; }")).errors()
    assert (error.line, error.text) == (6, "stands twice, in line 3 too")


@pytest.mark.parametrize(
    ("line", "key", "kind", "text"),
    [
        ("description = x;", "description", DEAD, "nobody reads it"),
        ("crl_policy = none;", "crl_policy", DEAD, "nobody reads it"),
        ("support_threads = true;", "support_threads", DEAD, "the module runs in a process of its own, which has one thread"),
        ("nss_dir = /x;", "nss_dir", DEAD, "NSS databases are not read: name the PKCS#11 module, and its CAs in ca_dir"),
        ("slot_num = 0;", "slot_num", DIFFERENT, "every token counts; pam_pkcs11 looks at the first alone"),
        ("slot_num = -2;", "slot_num", ERROR, "found -2, expected 0 or the number of a slot"),
        ("slot_num = one;", "slot_num", ERROR, "found 'one', expected a whole number"),
        ("slot_description = none;", "slot_description", DIFFERENT,
         "every token counts; pam_pkcs11 looks at the first alone"),
        ("slot_num = 1; slot_description = x;", "slot_num", ERROR,
         "both slot_num and slot_description are set, expected one of them"),
        ("ca_dir = http://ca.example.test/;", "ca_dir", ERROR,
         "found 'http://ca.example.test/', expected the path of a folder or a file"),
        ("environment = A;", "environment", ERROR, 'expected "NAME=value"'),
        ("token_tipe = x;", "token_tipe", UNKNOWN,
         "neither pam_pkcs11 nor pam_sc knows it; did you mean 'token_type'?"),
        ("crl_dir = /etc/pam_pkcs11/cacerts;", "crl_dir", DIFFERENT,
         "is the place of the CAs too: each login logs the files of the other kind as problems; use two folders"),
    ],
)  # fmt: skip
def test_a_key_of_the_module_is_explained(line: str, key: str, kind: NoteKind, text: str) -> None:
    assert said(translated(peer(module=line))) == [(MODULE, key, kind, text)]


@pytest.mark.parametrize(
    ("line", "path", "value"),
    [
        ("slot_num = 2;", "token.select", {"slot_number": 2}),
        ("slot_num = 0x10;", "token.select", {"slot_number": 16}),
        ("slot_num = 010;", "token.select", {"slot_number": 8}),
        ("slot_num = 0; slot_description = Reader;", "token.select", {"slot_description_prefix": "Reader"}),
        ('slot_description = "My reader"; ', "token.select", {"slot_description_prefix": "My reader"}),
        ("slot_num = 2; slot_description = none;", "token.select", {"slot_number": 2}),
        ("ca_dir = /ca;", "trust.anchors", "/ca"),
        ("ca_dir = file:///ca.pem;", "trust.anchors", "/ca.pem"),
        ("crl_dir = /crl;", "revocation.crls", "/crl"),
        ("crl_dir = file:///crl;", "revocation.crls", "/crl"),
        ('token_type = "ID card";', "prompt.token_type", "ID card"),
        ("algorithms = legacy;", "trust.algorithms", "legacy"),
        ("strict = false;", "trust.strict", False),
        ("timeout = 5;", "revocation.timeout", 5),
        ("mode = require;", "revocation.mode", "require"),
        ('environment = "A=b=c", "D=";', "token.module.0.environment", {"A": "b=c", "D": ""}),
        ("allow = fsync, flock;", "token.module.0.allow", ["fsync", "flock"]),
    ],
)
def test_a_key_of_the_module_reaches_its_place(line: str, path: str, value: object) -> None:
    translation = translated(peer(module=line))
    assert said(translation, ERROR, UNSAFE, UNKNOWN, DIFFERENT) == []
    at: Any = translation.tree
    for part in path.split("."):
        at = at[int(part)] if part.isdigit() else at[part]
    assert at == value


@pytest.mark.parametrize("value", ["opensc-pkcs11.so", '"any module"', '""'])
def test_a_module_without_an_absolute_path_is_an_error(value: str) -> None:
    text = peer().replace("module = /m.so;", f"module = {value};")
    (error,) = translated(text).errors()
    assert (error.line, error.key) == (3, "module")
    assert error.text.endswith("expected the absolute path of a PKCS#11 module")


def test_a_block_without_a_module_means_the_peers_default() -> None:
    translation = translated(peer().replace("module = /m.so;", ""))
    assert translation.tree["token"]["module"] == [{"path": "/etc/pam_pkcs11/pkcs11_module.so"}]
    assert said(translation) == [
        (3, "module", DIFFERENT, "is not set, so /etc/pam_pkcs11/pkcs11_module.so is used")
    ]


@pytest.mark.parametrize("end", ["}", ""])
def test_a_block_inside_of_another_is_not_lost_in_silence(end: str) -> None:
    """As where a } is missing: the allow-list of cn would be gone, and every name its own account."""
    mappers = f"use_mappers = cn;\nmapper mail {{ ignorecase = true;\nmapper cn {{ mapfile = file:///map; }}\n{end}"
    (error,) = translated(peer(mappers=mappers)).errors()
    assert (error.line, error.key) == (8, "mapper cn")
    assert error.text == "stands inside of the block of line 7, where nobody reads it; is there a } missing before it?"


def test_a_block_of_no_known_kind_inside_of_another_is_unknown() -> None:
    (unknown,) = said(translated(peer(mappers="use_mappers = cn;\nmapper cn { x { a = b; } }")), UNKNOWN)
    assert unknown[:2] == (7, "x")


# ---------------------------------------------------------------- cert_policy


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("ca, signature", {"mode": "prefer"}),
        ("ca, crl_offline", {"mode": "require", "ocsp": "off", "order": ["crl"]}),
        ("ca, crl_online", {"mode": "require", "ocsp": "off", "order": ["crl"], "fetch": "login"}),
        ("ca, crl_auto", {"mode": "require", "ocsp": "off", "order": ["crl"], "fetch": "login"}),
        ("ca, ocsp_on", {"mode": "require", "ocsp": "on", "order": ["ocsp", "crl"], "fetch": "login"}),
        ("ca,signature,ocsp_on,crl_auto", {"mode": "require", "ocsp": "on", "order": ["ocsp", "crl"], "fetch": "login"}),
        ("CA, CRL_OFFLINE", {"mode": "require", "ocsp": "off", "order": ["crl"]}),
    ],
)
def test_each_word_of_cert_policy_has_its_revocation(policy: str, expected: dict[str, object]) -> None:
    translation = translated(peer(policy=policy))
    assert translation.tree["revocation"] == {"crls": "/etc/pam_pkcs11/crls", **expected}
    assert said(translation) == []
    assert [note.kind for note in translation.notes if note.key == "cert_policy"] == [DIFFERENT]


@pytest.mark.parametrize(
    ("policy", "begins"),
    [
        ("signature", ['"ca" is missing']),
        ("", ['"ca" is missing']),
        ("none", ['"none" switches off nothing here']),
        ("ca, none", ['"none" switches off nothing here']),
        ("ca, no_signature", ['"no_signature" is not honoured']),
        ("no_signature", ['"ca" is missing', '"no_signature" is not honoured']),
    ],
)
def test_what_switches_a_check_off_is_unsafe_and_has_no_key(policy: str, begins: list[str]) -> None:
    translation = translated(peer(policy=policy))
    found = said(translation, UNSAFE)
    assert [text.partition(",")[0].partition(":")[0] for *_, text in found] != []
    assert all(text.startswith(begin) for (*_, text), begin in zip(found, begins, strict=True))
    assert all(text.endswith("there is no key to change that") for *_, text in found)
    assert translation.tree["trust"] == {"anchors": "/etc/pam_pkcs11/cacerts"}


@pytest.mark.parametrize("word", ["crl_online", "crl_offline", "crl_auto", "ocsp_on"])
def test_revocation_without_ca_is_an_error_in_its_line(word: str) -> None:
    for policy in (word, f"signature, {word}", f"no_signature,{word}"):
        (error,) = translated(peer(policy=policy)).errors()
        assert (error.line, error.key) == (5, "cert_policy")
        assert error.text.startswith(f'{word} without "ca": ')
        assert error.text.endswith(f"; write cert_policy = ca, {word};")
    for policy in (f"ca, {word}", f"{word}, ca", f"{word}, none"):
        assert translated(peer(policy=policy)).errors() == ()


def test_a_missing_cert_policy_is_unsafe_in_the_line_of_its_block() -> None:
    text = peer().replace("cert_policy = ca, crl_offline;", "")
    ((line, key, _kind, _text),) = said(translated(text), UNSAFE)
    assert (line, key) == (3, "cert_policy")


@pytest.mark.parametrize("mode", ["off", "prefer", "named"])
def test_a_mode_that_takes_back_what_cert_policy_demands_is_unsafe(mode: str) -> None:
    translation = translated(peer(policy="ca, ocsp_on, crl_auto", module=f"mode = {mode};"))
    assert said(translation) == [
        (MODULE, "mode", UNSAFE, f"is '{mode}', so that less is demanded than crl_auto, ocsp_on in cert_policy says")
    ]
    assert [note for note in translation.notes if note.key == "cert_policy"] == []
    assert translation.tree["revocation"]["mode"] == mode


def test_what_is_said_of_cert_policy_holds_where_keys_of_ours_say_more() -> None:
    refreshed = translated(peer(policy="ca, crl_auto", module="fetch = refresh;"))
    (offline,) = (note.text for note in refreshed.notes if note.line == 5)
    assert offline.endswith("; a login uses no network")
    (online,) = (note.text for note in translated(peer(module="fetch = login;")).notes if note.line == 5)
    assert online.endswith("; a login fetches what the store lacks")
    strict = translated(peer(policy="ca", module="mode = require;"))
    assert [note for note in strict.notes if note.key == "cert_policy"] == []


def test_an_unknown_word_of_cert_policy_is_an_error() -> None:
    (error,) = translated(peer(policy="ca, crl_offlin")).errors()
    assert (error.line, error.key) == (5, "cert_policy")
    assert error.text.startswith("found 'crl_offlin', expected words of none, ca, ")


def test_a_list_inside_of_quotes_is_one_word_that_nobody_knows() -> None:
    (error,) = translated(peer(policy='"signature,ca,crl_auto"')).errors()
    assert error.text.startswith("found 'signature,ca,crl_auto', expected words of none, ca, ")
    assert error.text.endswith("; without the quotes it is a list of words")


def test_crls_that_are_not_there_matter_only_where_they_are_asked_for() -> None:
    nowhere = {"exists": lambda _path: False}
    assert translated(peer(policy="ca, crl_offline"), **nowhere).tree["revocation"]["crls"] == "/etc/pam_pkcs11/crls"
    for policy in ("ca", "ca, crl_auto", "ca, ocsp_on"):
        without = translated(peer(policy=policy, module="crl_dir = /x;"), **nowhere)
        assert "crls" not in without.tree["revocation"]
        assert said(without) == [(MODULE, "crl_dir", DIFFERENT, "there is nothing of this name, so no CRL is at hand")]


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("argument", "path", "value"),
    [
        ("slot_description=Reader", "token.select", {"slot_description_prefix": "Reader"}),
        ("slot_num=3", "token.select", {"slot_number": 3}),
        ("ca_dir=/other", "trust.anchors", "/other"),
        ("crl_dir=/other", "revocation.crls", "/other"),
        ("token_type=My card", "prompt.token_type", "My card"),
        ("pkcs11_module=/other.so", "token.module.0.path", "/other.so"),
        ("cert_policy=ca,crl_auto", "revocation.fetch", "login"),
        ("cert_policy=ca;crl_auto", "revocation.fetch", "login"),
    ],
)
def test_an_argument_comes_before_the_file(argument: str, path: str, value: object) -> None:
    module = "ca_dir = /file; crl_dir = /file2; token_type = File;"
    translation = translated(peer(module=module), argument)
    assert said(translation, ERROR, UNSAFE, UNKNOWN, DIFFERENT) == []
    at: Any = translation.tree
    for part in path.split("."):
        at = at[int(part)] if part.isdigit() else at[part]
    assert at == value


@pytest.mark.parametrize(
    ("argument", "key", "kind"),
    [("nullok", "nullok", UNSAFE), ("card_only", "card_only", DIFFERENT), ("wait_for_card", "wait_for_card", DEAD),
     ("nss_dir=/x", "nss_dir", DEAD), ("cert_policy=none", "cert_policy", UNSAFE), ("slot_num=x", "slot_num", ERROR),
     ("pkcs11_module=name", "module", ERROR), ("use_mappers=cn", "use_mappers", ERROR), ("nullok=1", "nullok", ERROR),
     ("slot_num", "slot_num", ERROR)],
)  # fmt: skip
def test_an_argument_is_explained_as_one(argument: str, key: str, kind: NoteKind) -> None:
    found = [(note.line, note.key) for note in translated(peer(), argument).notes if note.kind is kind]
    assert (0, key) in found


@pytest.mark.parametrize("arguments", [(), ("nodebug",), ("dont_wait_for_card",), ("wait_for_card", "dont_wait_for_card")])
def test_an_argument_that_asks_for_nothing_is_not_worth_a_note(arguments: tuple[str, ...]) -> None:
    assert said(translated(peer(), *arguments)) == []


def test_the_last_of_two_arguments_holds_and_the_line_of_the_file_is_dead() -> None:
    translation = translated(peer(module="slot_num = 1;"), "slot_num=2", "slot_num=3")
    assert translation.tree["token"]["select"] == {"slot_number": 3}
    assert said(translation) == [(MODULE, "slot_num", DEAD, "the argument of the PAM line holds instead")]


@pytest.mark.parametrize(
    ("policy", "arguments", "mode"),
    [
        ("ca, crl_auto", ["cert_policy=ca"], "require"),
        ("ca, crl_auto", ["cert_policy=signature", "cert_policy=ca"], "require"),
        ("ca", ["cert_policy=ca,crl_auto", "cert_policy=ca"], "require"),
        ("ca", ["cert_policy=none", "cert_policy=ca,crl_auto"], "require"),
        ("ca, none", ["cert_policy=ca,crl_auto"], "require"),
        ("ca", ["cert_policy=ca"], "prefer"),
        ("ca, crl_auto", ["cert_policy=none"], "prefer"),
        ("ca, crl_auto", ["cert_policy=none,ca"], "prefer"),
    ],
)
def test_the_words_of_cert_policy_on_the_pam_line_add_to_those_of_the_file(
    policy: str, arguments: list[str], mode: str
) -> None:
    translation = translated(peer(policy=policy), *arguments)
    assert translation.errors() == ()
    assert translation.tree["revocation"]["mode"] == mode
    assert "holds together with the argument of the PAM line" in [note.text for note in translation.notes if note.line == 5]


def test_none_in_capital_letters_switches_nothing_off() -> None:
    for arguments in ((), ("cert_policy=NONE",)):
        (error,) = translated(peer(policy="ca, crl_auto" + ("" if arguments else ", NONE")), *arguments).errors()
        assert error.text.startswith("found 'NONE', expected words of none, ")


def test_an_argument_names_the_library_where_no_block_does() -> None:
    translation = translated("pam_pkcs11 { use_mappers = cn; }", "pkcs11_module=/a.so", "cert_policy=ca,crl_offline")
    assert translation.errors() == ()
    assert translation.tree["token"]["module"] == [{"path": "/a.so"}]


@pytest.mark.parametrize("word", ["debug", "quiet", "try_first_pass", "use_first_pass"])
def test_a_word_that_stays_on_the_pam_line_is_no_error(word: str) -> None:
    translation = translated(peer(), word, "config_file=/etc/pam_pkcs11/pam_pkcs11.conf")
    assert translation.tree == translated(peer()).tree
    assert said(translation) == [
        (0, word, DIFFERENT, "stays on the PAM line: pam_sc.so takes it there too"),
        (0, "config_file", DEAD, "named the old file"),
    ]
    (error,) = translated(peer(), f"{word}=x").errors()
    assert error.text == f"'{word}=x' is no argument of pam_pkcs11"


@pytest.mark.parametrize("name", ["ca_dir", "crl_dir", "slot_num", "slot_description", "cert_policy", "token_type", "nss_dir"])
def test_an_argument_without_a_value_does_not_undo_what_the_file_says(name: str) -> None:
    lines = "ca_dir = /ca; crl_dir = /crl; token_type = card; nss_dir = /nss; slot_num = 2;"
    (error,) = translated(peer(module=lines), f"{name}=").errors()
    assert (error.line, error.key, error.text) == (0, name, f"'{name}=' has no value")
    assert translated(peer(module=lines)).errors() == ()


@pytest.mark.parametrize("key", ["ca_dir", "crl_dir"])
@pytest.mark.parametrize("value", ["", '""'])
def test_an_empty_path_is_not_the_default(key: str, value: str) -> None:
    (error,) = translated(peer(module=f"{key} = {value};")).errors()
    assert (error.line, error.key, error.text) == (MODULE, key, "is empty, expected the path of a folder or a file")


@pytest.mark.parametrize("key", ["strict", "partial_paths", "timeout", "clock_skew"])
def test_a_key_of_ours_without_a_value_is_an_error(key: str) -> None:
    (error,) = translated(peer(module=f"{key} = ;")).errors()
    assert (error.line, error.key, error.text) == (MODULE, key, "has no value")


# ---------------------------------------------------------------- the line of the log


def test_one_line_of_the_log_says_what_is_unsafe() -> None:
    translation = translated(peer(whole="nullok = true;", policy="no_signature"), "slot_num=1")
    assert summary(translation.notes, "/srv/old.conf") == (
        "unsafe in /srv/old.conf: nullok (line 2), cert_policy (line 5);"
        " pam-sc check-config with this file says what holds instead"
    )
    assert summary(translated(peer()).notes, "/srv/old.conf") is None


def test_the_line_of_the_log_is_bounded() -> None:
    names = ("cn", "uid", "mail", "generic", "krb", "ms", "digest", "subject")
    blocks = " ".join(f"mapper {name} {{ mapfile = file:///x; }}" for name in names)
    translation = translated(peer(whole="nullok = 1;", policy="none", mappers=f"use_mappers = {', '.join(names)}; {blocks}"))
    line = summary(translation.notes, "/srv/old.conf")
    assert line is not None
    assert len(line) < 512


# ---------------------------------------------------------------- anything


ANY_KEY = st.sampled_from(["nullok", "slot_num", "cert_policy", "ca_dir", "use_mappers", "module", "mapfile", "uri", "ssl"])
ANY_BLOCK = st.sampled_from(["pam_pkcs11", "pkcs11_module default", "mapper cn", "mapper ldap", "mapper ms", "mapper null"])
ANY_VALUE = st.sampled_from(["true", "none", "cn, ldap, ms, null", "/x", '"%s%"', "2", "file:///x", "ldap://h", ""])
PIECE = st.one_of(
    st.builds("{} = {};\n".format, ANY_KEY, ANY_VALUE), st.builds("{} {{\n".format, ANY_BLOCK), st.just("}\n"),
)  # fmt: skip


@given(st.lists(PIECE, max_size=30), st.lists(st.text(max_size=20), max_size=3))
def test_any_file_and_arguments_give_a_translation_or_our_error(pieces: list[str], arguments: list[str]) -> None:
    try:
        translation = translate("".join(pieces), "FILE", arguments, lambda _path: False)
    except ConfigError as error:
        assert str(error).startswith("FILE")  # noqa: PT017
    else:
        assert translation.errors() or tables(translation)
