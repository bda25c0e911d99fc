# SPDX-License-Identifier: LGPL-2.1-or-later
"""The block `mapper ldap`: servers, search and TLS, translated into the table of our mapper `ldap`.

Servers are verified unless a key of ours insists on the contrary, and no secret enters the tree: everybody may read it.
"""

from __future__ import annotations

from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import Section, shown
from pam_sc.config.pam_pkcs11_table import MapperTable

_SCOPES = {0: "base", 1: "one", 2: "subtree"}
_DEFAULT_BASE = "ou=People,o=example,c=com"
_DEFAULT_FILTER = "(&(objectClass=posixAccount)(uid={account}))"
_UNUSED = ("ignorecase", "searchtimeout")


def read_ldap(section: Section, table: MapperTable) -> bool:
    """Set the keys of the mapper."""
    tls = _read_tls(section, table)
    _read_servers(section, table, tls)
    _read_search(section, table)
    _read_bind(section, table)
    section.dead("pam_pkcs11 does not look at it", *_UNUSED)
    section.dead("is not needed", "tls_randfile")
    return True


def _read_servers(section: Section, table: MapperTable, tls: str) -> None:
    scheme = "ldaps" if tls == "ldaps" else "ldap"
    uris = (section.word("uri") or "").split()
    host = section.word("ldaphost")
    port = section.number("ldapport")
    if host and not uris:
        uris = [f"{scheme}://{host}" + (f":{port}" if port else "")]
    elif host:
        section.note(NoteKind.DEAD, "ldaphost", "uri says which servers there are")
    if not uris:
        section.note(NoteKind.ERROR, "uri", "is not set and neither is ldaphost, expected at least one server")
        return
    if any("@" in uri for uri in uris):
        section.note(NoteKind.ERROR, "uri" if section.word("uri") else "ldaphost", "holds an @: a name or a password has no place"
                     " in it, for everybody may read this file; write binddn and password_file")
        return
    table.put(section, "uri" if section.word("uri") else "ldaphost", "uri", [_plain(uri) for uri in uris])


def _plain(uri: str) -> str:
    return uri.removesuffix("/")


def _read_tls(section: Section, table: MapperTable) -> str:
    """Return how the servers are spoken to: "off", "starttls" or "ldaps". "off" only where a key of ours insists."""
    schemes = {uri.partition("://")[0].lower() for uri in (section.word("uri") or "").split()}
    how = _said_by_the_peer(section, schemes)
    insisted = section.word("tls")
    if insisted:
        how = "off"
        section.note(NoteKind.UNSAFE, "tls", "who stands between can say whose certificate it is")
        if insisted != "off" or schemes - {"ldap"}:
            section.note(NoteKind.ERROR, "tls", f"found {shown(insisted)}, expected off, for servers of ldap:// alone")
    elif how == "ldaps" and schemes - {"ldaps"}:
        section.note(NoteKind.ERROR, "uri", "is no ldaps://, but ssl asks for it; write ldaps:// there, or ssl = tls;")
    elif how == "off":
        how = "starttls"
        section.note(NoteKind.UNSAFE, "ssl", "TLS is spoken all the same, or who stands between could say whose certificate"
                     " it is; write ssl = tls; or to insist: tls = off;")
    table.put(section, "tls" if insisted else "ssl", "tls", how)
    _read_verification(section, table, how)
    return how


def _said_by_the_peer(section: Section, schemes: set[str]) -> str:
    word = (section.word("ssl") or "off").lower()
    how = {"tls": "starttls", "on": "ldaps", "ssl": "ldaps", "off": "off"}.get(word)
    if how is None:
        section.note(NoteKind.ERROR, "ssl", f"found {shown(word)}, expected off, tls, on or ssl")
        return "starttls"
    return "ldaps" if schemes == {"ldaps"} else how


def _read_verification(section: Section, table: MapperTable, how: str) -> None:
    section.dead("the ciphers of this machine's OpenSSL hold", "tls_ciphers")
    if how == "off":
        section.dead("counts only with TLS", "tls_cacertfile", "tls_cacertdir", "tls_checkpeer", "tls_verify", "tls_cert",
                     "tls_key")
        return
    table.take_word(section, "tls_cacertfile", "ca")
    if section.word("tls_cacertdir"):
        section.note(NoteKind.DIFFERENT, "tls_cacertdir", "does not count: the CA of the servers is in tls_cacertfile")
    table.take_word(section, "tls_cert", "client_certificate")
    table.take_word(section, "tls_key", "client_key")
    table.take_word(section, "tls_verify", "tls_verify")
    checked = section.number("tls_checkpeer")
    if section.word("tls_verify") == "never":
        section.note(NoteKind.UNSAFE, "tls_verify", "whoever answers as the server is believed")
        return
    if checked == 0:
        section.note(NoteKind.UNSAFE, "tls_checkpeer", "a server always has to prove who it is; to insist: tls_verify = never;")
    if not table.has("ca"):
        section.note(NoteKind.ERROR, "tls_cacertfile", "is not set, expected the file with the CA of the servers")


def _read_search(section: Section, table: MapperTable) -> None:
    table.put(section, "base", "base", section.word("base") or _DEFAULT_BASE)
    scope = section.number("scope")
    if scope is not None and scope not in _SCOPES:
        section.note(NoteKind.ERROR, "scope", f"found {scope}, expected 0, 1 or 2")
    table.put(section, "scope", "scope", _SCOPES.get(1 if scope is None else scope, "one"))
    written = section.word("filter")
    table.put(section, "filter", "filter", _filter(section, written) if written else _DEFAULT_FILTER)
    table.put(section, "attribute", "attribute", section.word("attribute") or "userCertificate")
    table.take_word(section, "uid_attribute", "account_attribute")
    table.take_words(section, "attribute_map")


def _filter(section: Section, written: str) -> str:
    """The filter with our name for the account; in the peer's format "%%" is a "%"."""
    parts = written.split("%%")
    if any("%" in part.replace("%s", "") for part in parts) or sum(part.count("%s") for part in parts) > 1:
        section.note(NoteKind.ERROR, "filter", f"found {shown(written)}, expected one %s, for the account's name")
    return "%".join(part.replace("%s", "{account}") for part in parts)


def _read_bind(section: Section, table: MapperTable) -> None:
    table.take_word(section, "binddn", "bind_dn")
    table.take_word(section, "password_file", "password_file")
    if section.word("passwd"):
        section.note(NoteKind.ERROR, "passwd", "is a secret in a file that everybody may read; put it alone into a file that only"
                     " root can read, and name that instead: password_file = /etc/pam_sc/ldap.secret;")
    elif table.has("bind_dn") and not table.has("password_file"):
        section.note(NoteKind.DIFFERENT, "binddn", "has no password, so it is not used: nobody is named to the servers")
        table.drop("bind_dn")
