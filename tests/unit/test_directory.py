# SPDX-License-Identifier: LGPL-2.1-or-later
"""What mappers share that ask a directory: values in filters, and the options, each with what is refused of it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.directory import DirectoryPlace, escape_filter_value, read_servers
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapping import MapperContext
from pam_sc.services import Services
from tests.support.pki import CertificateAuthority

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # ldap3 uses names of pyasn1 that are old
    from ldap3.operation.search import parse_filter

AUTHORITY = CertificateAuthority()
CLIENT = AUTHORITY.issue(key="p256")
WHERE = "pam_sc.toml: [[mapper]] 1"
BASE = {"base": "dc=example,dc=test"}
PLAIN = {**BASE, "uri": "ldap://ldap.example.test", "tls": "off"}


@pytest.fixture
def ca(tmp_path: Path) -> str:
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.pem)
    return str(tmp_path / "ca.pem")


def read(secrets: dict[str, bytes] | None = None, unreadable: dict[str, str] | None = None, **table: Any) -> DirectoryPlace:
    services = Services(secrets=secrets or {}, unreadable=unreadable or {})
    return read_servers(table, MapperContext(WHERE, frozenset({0, os.getuid()}), services))


# ---------------------------------------------------------------- values in filters


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("alice", "alice"), ("alice@example.test", "alice@example.test"), ("*", r"\2a"), ("(", r"\28"), (")", r"\29"),
        ("\\", r"\5c"), ("\0", r"\00"), (" a ", r"\20a\20"), ("a=b", r"a\3db"), ("é", r"\c3\a9"), (b"\xff\x00", r"\ff\00"),
        ("*)(uid=*", r"\2a\29\28uid\3d\2a"), ("", ""),
    ],
)
def test_value_is_escaped(value: str | bytes, escaped: str) -> None:
    assert escape_filter_value(value) == escaped


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_escaped_value_is_the_same_value_to_a_parser_and_nothing_else(value: bytes | str) -> None:
    raw = value if isinstance(value, bytes) else value.encode()
    text = f"(uid={escape_filter_value(value)})"
    assert text.count("(") == text.count(")") == 1 and "*" not in text
    (parsed,) = parse_filter(text, None, True, False, None, False).elements
    unescaped = bytes(parsed.assertion["value"], "ascii") if isinstance(parsed.assertion["value"], str) else bytes(
        parsed.assertion["value"])
    assert _unescaped(unescaped) == raw


def _unescaped(text: bytes) -> bytes:
    parts = text.split(b"\\")
    return parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:])


# ---------------------------------------------------------------- servers


def test_tls_is_what_nothing_is_said_about(ca: str) -> None:
    secure = read(**BASE, uri="ldaps://ldap.example.test", ca=ca).servers
    assert (secure.start_tls, secure.verify, secure.ca_pem) == (False, True, AUTHORITY.pem)
    upgraded = read(**BASE, uri="ldap://ldap.example.test", ca=ca).servers
    assert (upgraded.start_tls, upgraded.verify) == (True, True)
    mixed = read(**BASE, uri=["ldap://a.example.test", "ldaps://b.example.test"], ca=ca).servers
    assert (mixed.start_tls, mixed.urls) == (True, ("ldap://a.example.test", "ldaps://b.example.test"))


def test_what_turns_tls_or_its_check_off_must_be_said() -> None:
    assert not read(**PLAIN).servers.start_tls
    assert read(**PLAIN).problems() == (
        'ldap://ldap.example.test is asked without TLS, because tls is "off": whoever stands between is believed',)
    unchecked = read(**BASE, uri="ldaps://ldap.example.test", tls_verify="never")
    assert unchecked.servers.verify is False
    assert unchecked.problems() == (
        'ldaps://ldap.example.test is not verified, because tls_verify is "never": whoever answers is believed',)


def test_a_password_in_the_clear_is_said_in_every_login() -> None:
    (problem,) = read({"/p": b"secret\n"}, **PLAIN, bind_dn="cn=x", password_file="/p").problems()
    assert problem.endswith("is believed, and reads the password")


@pytest.mark.parametrize(
    ("uri", "clear"),
    [
        ("ldap://localhost", False), ("ldap://127.0.0.1:3890", False), ("ldap://[::1]/", False),
        ("ldap://localhost.example.test", True), ("ldap://127.example.test", True), ("ldap://[::11]", True),
        (["ldap://localhost", "ldap://b.example.test"], True),
    ],
)
def test_nobody_stands_between_on_this_machine(uri: str | list[str], clear: bool) -> None:
    assert bool(read(**{**PLAIN, "uri": uri}).problems()) == clear


def test_a_server_that_speaks_tls_is_nothing_to_say(ca: str) -> None:
    for uri in ("ldap://a.example.test", "ldaps://a.example.test", ["ldap://a.example.test", "ldaps://b.example.test"]):
        assert read(**BASE, uri=uri, ca=ca).problems() == ()


def test_every_certificate_of_a_folder_counts(tmp_path: Path) -> None:
    other = CertificateAuthority()
    (tmp_path / "1.pem").write_bytes(AUTHORITY.pem)
    (tmp_path / "2.pem").write_bytes(other.pem)
    read_pem = read(**BASE, uri="ldaps://x", ca=str(tmp_path)).servers.ca_pem or b""
    assert AUTHORITY.pem in read_pem and other.pem in read_pem


def test_limits_are_as_configured(ca: str) -> None:
    servers = read(**PLAIN).servers
    assert (servers.connect_s, servers.search_s, servers.ignore_references) == (3.0, 5.0, False)
    place = read(**PLAIN, connect_timeout=1, search_timeout=60, referrals="ignore", scope="one")
    assert (place.servers.connect_s, place.servers.search_s, place.servers.ignore_references) == (1.0, 60.0, True)
    assert (place.scope, place.base) == ("one", "dc=example,dc=test")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "uri is None, expected"),
        ({"uri": []}, "uri has 0 items, expected 1 to 10"),
        ({"uri": ["ldap://x"] * 11}, "uri has 11 items"),
        ({"uri": "http://x"}, "uri is 'http://x', expected"),
        ({"uri": "ldap://"}, "uri is 'ldap://', expected"),
        ({"uri": "ldap://user@x"}, "uri is"),
        ({"uri": "ldap://x:0"}, "uri is"),
        ({"uri": "ldap://x:65536"}, "uri is"),
        ({"uri": "ldap://x/dc=example"}, "uri is"),
        ({"uri": "ldapi://%2frun%2fldapi"}, "uri is"),
        ({"uri": ["ldap://x", 1]}, "uri is 1, expected"),
        ({"uri": "ldap://x\n"}, "uri is"),
        ({"uri": "ldap://x", "tls": "no"}, "tls is 'no', expected one of"),
        ({"uri": "ldap://x", "tls": "ldaps"}, "tls is 'ldaps', which does not fit 'ldap://x'; expected 'starttls' or 'off'"),
        ({"uri": "ldaps://x", "tls": "off"}, "tls is 'off', which does not fit 'ldaps://x'; expected 'ldaps'"),
        ({"uri": ["ldaps://x", "ldap://y"], "tls": "off"}, "tls is 'off', which does not fit 'ldap://y'; expected 'starttls'"),
        ({"uri": "ldaps://x"}, "ca is missing"),
        ({"uri": "ldap://x"}, "ca is missing"),
        ({"uri": "ldaps://x", "tls_verify": "always"}, "ca is missing"),
        ({"uri": "ldaps://x", "tls_verify": "no"}, "tls_verify is 'no', expected 'always' or 'never'"),
        ({"uri": "ldaps://x", "ca": "/nowhere/ca.pem"}, "ca cannot be used: cannot read"),
        ({"uri": "ldaps://x", "ca": "ca.pem"}, "ca cannot be used"),
        ({"bind_dn": "cn=x"}, "bind_dn and password_file need each other"),
        ({"password_file": "/x"}, "bind_dn and password_file need each other"),
        ({"client_key": "/x"}, "client_certificate and client_key need each other"),
        ({"sasl": "external"}, "sasl needs client_certificate and client_key"),
        ({"sasl": "gssapi", "client_certificate": "/x", "client_key": "/y", "uri": "ldaps://x", "tls_verify": "never"},
         "sasl is 'gssapi', expected 'external'"),
        ({"sasl": "external", "client_certificate": "/x", "client_key": "/y"}, "sasl needs TLS"),
        ({"sasl": "external", "client_certificate": "/x", "client_key": "/y", "bind_dn": "x", "password_file": "/z"},
         "sasl and bind_dn are two ways to bind"),
        ({"bind_dn": "cn=\n", "password_file": "/x"}, "bind_dn is"),
        ({"scope": "all"}, "scope is 'all', expected 'subtree' or 'one' or 'base'"),
        ({"connect_timeout": 0}, "connect_timeout is 0, expected whole seconds from 1 to 60"),
        ({"search_timeout": 61}, "search_timeout is 61"),
        ({"referrals": "follow"}, "referrals is 'follow', expected 'refuse' or 'ignore'"),
        ({"base": "x" * 2000}, "base is"),
    ],
)
def test_wrong_options_are_refused(table: dict[str, Any], message: str) -> None:
    whole = {**table} if "uri" in table or not table else {**PLAIN, **table}
    with pytest.raises(ConfigError, match=message):
        read(**{**BASE, **whole})


def test_base_must_be_there() -> None:
    with pytest.raises(ConfigError, match="base is missing"):
        read(uri="ldap://x", tls="off")


@pytest.mark.parametrize(("content", "message"), [
    (b"", "without a certificate"), (b"x" * 60_000, "larger than"), (AUTHORITY.pem + b"\xff", "without a certificate")])
def test_ca_that_is_no_certificate_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read(**BASE, uri="ldaps://x", ca=str(tmp_path / "ca.pem"))


def test_ca_that_others_can_change_is_refused(ca: str) -> None:
    Path(ca).chmod(0o666)
    with pytest.raises(ConfigError, match="mode 0666"):
        read(**BASE, uri="ldaps://x", ca=ca)


# ---------------------------------------------------------------- secrets

ASKS = {**PLAIN, "bind_dn": "cn=asker", "password_file": "/etc/secret"}


@pytest.mark.parametrize(("content", "password"), [(b"geheim\n", b"geheim"), (b"geheim", b"geheim"), (b" a b ", b" a b ")])
def test_password_is_the_line_of_its_file(content: bytes, password: bytes) -> None:
    servers = read({"/etc/secret": content}, **ASKS).servers
    assert (servers.bind_dn, servers.password) == ("cn=asker", password)
    assert password.decode().strip() not in repr(servers)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\0b", b"\xff", b"x" * 1025, b"a\r\n"])
def test_file_without_one_password_is_refused_and_never_shown(content: bytes) -> None:
    with pytest.raises(ConfigError, match="password_file holds no password: expected one line") as refused:
        read({"/etc/secret": content}, **ASKS)
    assert "xxx" not in str(refused.value)


def test_secret_that_was_not_read_is_an_error_when_somebody_asks() -> None:
    with pytest.raises(MapperError, match="password_file '/etc/secret' was not read"):
        read(**ASKS).search("(a=b)", ("uid",))
    with pytest.raises(MapperError, match="cannot trust"):
        read(unreadable={"/etc/secret": "cannot trust it"}, **ASKS).search("(a=b)", ("uid",))


def test_client_certificate_and_key_go_together(ca: str) -> None:
    table = {**BASE, "uri": "ldaps://x", "ca": ca, "sasl": "external", "client_certificate": "/c", "client_key": "/k"}
    servers = read({"/c": CLIENT.pem, "/k": CLIENT.key_pem}, **table).servers
    assert servers.external and servers.client_pem == CLIENT.pem + b"\n" + CLIENT.key_pem
    assert "PRIVATE" not in repr(servers)
    for secrets, message in (
        ({"/c": CLIENT.pem, "/k": b""}, "client_key names a file without a private key"),
        ({"/c": CLIENT.pem, "/k": CLIENT.pem}, "client_key names a file without a private key"),
        ({"/c": b"", "/k": CLIENT.key_pem}, "client_certificate names a file without a certificate"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(secrets, **table)
