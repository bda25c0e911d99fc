# SPDX-License-Identifier: LGPL-2.1-or-later
"""What mappers that ask an LDAP directory share: its options in a configuration table, and values in search filters.

Only files are read here, no server is asked. TLS is the default and the servers always prove who they are: what turns
that off has to be written out (`tls = "off"`, `tls_verify = "never"`). Passwords and keys come from files that only root
can read, never from the configuration, and no message or repr shows them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from pam_sc.errors import ConfigError, MapperError, OwnershipError
from pam_sc.mapping import MapperContext
from pam_sc.ownership import read_trusted_file
from pam_sc.record import record
from pam_sc.services import Directory, DirectoryEntry, DirectorySearch, DirectoryServers, on_this_machine

DIRECTORY_KEYS: Mapping[str, type] = {
    "base": str, "scope": str, "bind_dn": str, "password_file": str, "sasl": str, "client_certificate": str,
    "client_key": str, "tls": str, "ca": str, "tls_verify": str, "connect_timeout": int, "search_timeout": int,
    "referrals": str,
}  # fmt: skip
"""The keys of a mapper's table that `read_servers` reads, for `check_table`; `uri` is a string or a list: `uri_key`."""
SECRET_KEYS = ("password_file", "client_key")
"""The keys that name a file which only root may read, and reads before it is given up."""
PEM_MAX = 48 * 1024
PASSWORD_MAX = 1024
TIMEOUT_MAX_S = 60
_URI = re.compile(r"(ldaps?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?")
_URIS_MAX = 10
_TEXT_MAX = 1024
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.@_-")


def escape_filter_value(value: bytes | str) -> str:
    """Return a value as it may stand in a search filter (RFC 4515, section 3), whatever it holds.

    Everything but ASCII letters, digits and four harmless marks is escaped, so that no parser can see anything in it.
    """
    raw = value.encode() if isinstance(value, str) else value
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in raw)


def uri_key(table: Mapping[str, Any]) -> Mapping[str, type]:
    """Return the type of `uri` for `check_table`: a list where it is one, else a string."""
    return {"uri": list if isinstance(table.get("uri"), list) else str}


@record(kw_only=True)
class DirectoryPlace:
    """A directory as a table of the configuration describes it, and who asks it."""

    directory: Directory
    servers: DirectoryServers
    base: str
    scope: str
    missing: str | None
    """Why a file with a secret is not there."""

    def search(self, search_filter: str, attributes: tuple[str, ...], entries_max: int = 1) -> tuple[DirectoryEntry, ...]:
        """Return at most this many entries; CannotMap if there are more, or nobody could answer."""
        if self.missing is not None:
            raise MapperError(self.missing)
        return self.directory.search(DirectorySearch(
            servers=self.servers, base=self.base, scope=self.scope, filter=search_filter, attributes=attributes,
            entries_max=entries_max,
        ))

    def problems(self) -> tuple[str, ...]:
        """What every login should say of it."""
        if self.servers.verify:
            return self._in_the_clear()
        return (f'{self.servers.urls[0]} is not verified, because tls_verify is "never": whoever answers is believed',)

    def _in_the_clear(self) -> tuple[str, ...]:
        beyond = [url for url in self.servers.urls if not on_this_machine(url)]
        if not beyond or self.servers.start_tls or all(url.startswith("ldaps:") for url in beyond):
            return ()
        reads = ", and reads the password" if self.servers.password is not None else ""
        return (f'{beyond[0]} is asked without TLS, because tls is "off": whoever stands between is believed{reads}',)


def read_servers(table: Mapping[str, Any], context: MapperContext) -> DirectoryPlace:
    """Read the keys of DIRECTORY_KEYS and `uri`, whose types were checked; ConfigError for what cannot be meant."""
    where, secrets = context.where, context.services.secrets
    urls = _urls(table.get("uri"), where)
    tls = _tls(table, urls, where)
    verify = _word(table, "tls_verify", ("always", "never"), where) == "always"
    if tls != "off" and verify and "ca" not in table:
        raise ConfigError(f"{where}: ca is missing, expected the file with the CA that certifies the servers")
    _check_bind(table, tls, where)
    missing = _missing(table, context)
    client = None if missing is not None else _client(table, context)
    servers = DirectoryServers(
        urls=urls,
        start_tls=tls == "starttls",
        ca_pem=_ca(table, tls, context),
        verify=verify or tls == "off",
        bind_dn=_text(table, "bind_dn", where),
        password=None if missing is not None else _password(table, secrets, where),
        external=_word(table, "sasl", ("", "external"), where) == "external",
        client_pem=client,
        connect_s=_seconds(table, "connect_timeout", 3, where),
        search_s=_seconds(table, "search_timeout", 5, where),
        ignore_references=_word(table, "referrals", ("refuse", "ignore"), where) == "ignore",
    )
    base = _text(table, "base", where)
    if base is None:
        raise ConfigError(f"{where}: base is missing, expected the name under which entries are searched")
    return DirectoryPlace(
        directory=context.services.directory, servers=servers, base=base,
        scope=_word(table, "scope", ("subtree", "one", "base"), where), missing=missing,
    )  # fmt: skip


def _urls(uri: object, where: str) -> tuple[str, ...]:
    urls = tuple(uri) if isinstance(uri, list) else (uri,)
    if not 0 < len(urls) <= _URIS_MAX:
        raise ConfigError(f"{where}: uri has {len(urls)} items, expected 1 to {_URIS_MAX}")
    for url in urls:
        found = _URI.fullmatch(url) if isinstance(url, str) and len(url) <= _TEXT_MAX else None
        if found is None or (found[3] and not 0 < int(found[3]) < 65536):
            raise ConfigError(f'{where}: uri is {url!r:.100}, expected "ldaps://host" or "ldap://host", with a port or not')
    return tuple(url.removesuffix("/") for url in urls)


def _tls(table: Mapping[str, Any], urls: tuple[str, ...], where: str) -> str:
    """Return how ldap:// URLs are protected: "starttls" or "off"; "ldaps" where there are none."""
    plain = [url for url in urls if url.startswith("ldap:")]
    fitting = ("ldaps",) if not plain else ("starttls", "off") if len(plain) == len(urls) else ("starttls",)
    tls: str = table.get("tls", fitting[0])
    if tls not in ("ldaps", "starttls", "off"):
        raise ConfigError(f'{where}: tls is {tls!r:.100}, expected one of "ldaps", "starttls", "off"')
    if tls not in fitting:
        raise ConfigError(f"{where}: tls is {tls!r}, which does not fit {plain[0] if plain else urls[0]!r};"
                          f" expected {' or '.join(map(repr, fitting))}")
    return tls


def _check_bind(table: Mapping[str, Any], tls: str, where: str) -> None:
    for one, other in (("bind_dn", "password_file"), ("client_certificate", "client_key")):
        if (one in table) != (other in table):
            raise ConfigError(f"{where}: {one} and {other} need each other, and one of them is missing")
    if "sasl" in table and "client_certificate" not in table:
        raise ConfigError(f"{where}: sasl needs client_certificate and client_key")
    if "sasl" in table and "bind_dn" in table:
        raise ConfigError(f"{where}: sasl and bind_dn are two ways to bind, expected one")
    if "sasl" in table and tls == "off":
        raise ConfigError(f'{where}: sasl needs TLS, and tls is "off"')


def _missing(table: Mapping[str, Any], context: MapperContext) -> str | None:
    """Return why a file of SECRET_KEYS is not at hand, None if all are."""
    services = context.services
    for key in SECRET_KEYS:
        if key in table and table[key] not in services.secrets:
            return services.unreadable.get(table[key], f"{key} {table[key]!r} was not read, because nobody asks a directory here")
    return None


def _ca(table: Mapping[str, Any], tls: str, context: MapperContext) -> bytes | None:
    """Return the certificates of the file, or of every file in the folder."""
    if tls == "off" or "ca" not in table:
        return None
    path: str = table["ca"]
    try:
        files = sorted(os.path.join(path, name) for name in os.listdir(path)) if os.path.isdir(path) else [path]
        content = b"\n".join(read_trusted_file(file, context.trusted_uids, PEM_MAX) for file in files)
    except (OwnershipError, OSError) as error:
        raise ConfigError(f"{context.where}: ca cannot be used: {error}") from error
    if len(content) > PEM_MAX:
        raise ConfigError(f"{context.where}: ca has {len(content)} bytes, at most {PEM_MAX}: expected the directory's CA alone")
    return _pem(content, "ca", context.where)


def _client(table: Mapping[str, Any], context: MapperContext) -> bytes | None:
    """Return certificate and key; the certificate is no secret, but may stand in the file of the key."""
    if "client_certificate" not in table:
        return None
    secrets, path = context.services.secrets, table["client_certificate"]
    key = secrets[table["client_key"]]
    try:
        certificate = secrets[path] if path in secrets else read_trusted_file(path, context.trusted_uids, PEM_MAX)
    except OwnershipError as error:
        raise ConfigError(f"{context.where}: client_certificate cannot be used: {error}") from error
    if b"PRIVATE KEY-----" not in key or len(key) > PEM_MAX:
        raise ConfigError(f"{context.where}: client_key names a file without a private key in PEM")
    return _pem(certificate, "client_certificate", context.where) + b"\n" + key


def _pem(content: bytes, key: str, where: str) -> bytes:
    if b"-----BEGIN CERTIFICATE-----" not in content or not content.isascii() or len(content) > PEM_MAX:
        raise ConfigError(f"{where}: {key} names a file without a certificate in PEM")
    return content


def _password(table: Mapping[str, Any], secrets: Mapping[str, bytes], where: str) -> bytes | None:
    if "password_file" not in table:
        return None
    password = secrets[table["password_file"]].removesuffix(b"\n")
    try:
        usable = password.decode().isprintable() and 0 < len(password) <= PASSWORD_MAX
    except UnicodeDecodeError:
        usable = False
    if not usable:  # an empty one would be an anonymous bind
        raise ConfigError(f"{where}: password_file holds no password: expected one line of UTF-8 with 1 to {PASSWORD_MAX} bytes")
    return password


def _text(table: Mapping[str, Any], key: str, where: str) -> str | None:
    text: str | None = table.get(key)
    if text is not None and (not text.isprintable() or len(text) > _TEXT_MAX):
        raise ConfigError(f"{where}: {key} is {text!r:.100}, expected a printable name of at most {_TEXT_MAX} characters")
    return text


def _word(table: Mapping[str, Any], key: str, words: tuple[str, ...], where: str) -> str:
    word: str = table.get(key, words[0])
    if word not in words or (key in table and not word):
        raise ConfigError(f"{where}: {key} is {word!r:.100}, expected {' or '.join(f'{each!r}' for each in words if each)}")
    return word


def _seconds(table: Mapping[str, Any], key: str, default: int, where: str) -> float:
    seconds: int = table.get(key, default)
    if not 1 <= seconds <= TIMEOUT_MAX_S:
        raise ConfigError(f"{where}: {key} is {seconds}, expected whole seconds from 1 to {TIMEOUT_MAX_S}")
    return float(seconds)
