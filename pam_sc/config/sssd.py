# SPDX-License-Identifier: LGPL-2.1-or-later
"""Translates what an sssd.conf says of cards into the tree of an equivalent pam_sc.toml: [pam], and how it verifies.

The certificate rules are read elsewhere (pam_sc.certmap) and given to this. Everything else in the file concerns SSSD
alone and is not looked at, passwords least of all. Where SSSD's meaning is unsafe the safe one is put into the tree, with
a note. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pam_sc.certmap.grammar import DEFAULT_MATCH, parse_match
from pam_sc.certmap.map_grammar import parse_map
from pam_sc.config.keys import WAIT_MAX_S
from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.pam_pkcs11_section import Notes, shown
from pam_sc.config.sssd_verification import Verification
from pam_sc.decision.uri import parse_token_uri
from pam_sc.errors import ConfigError
from pam_sc.record import record

DEFAULT_CA_FILE = "/etc/sssd/pki/sssd_auth_ca_db.pem"
ALLOWED_SERVICES = (
    "login", "su", "su-l", "gdm-smartcard", "gdm-password", "gdm-switchable-auth", "kdm", "plasmalogin", "sudo", "sudo-i",
    "gnome-screensaver", "polkit-1", "vlock",
)  # fmt: skip
"""The services in which SSSD allows a card where pam_p11_allowed_services does not say otherwise."""
_TRUE = frozenset({"true", "yes", "1", "on"})
_MODULE_PATH = "module-path="
_DIGITS_MAX = 9


@record
class Setting:
    """One option of the file."""

    line: int
    value: str


Sections = Mapping[str, Mapping[str, Setting]]


def read_sections(text: str) -> Sections:
    """Return the options of each section, names in small letters; the last of a kind counts, and an empty one does not.

    So it is for SSSD, for which no line goes on in the next.
    """
    found: dict[str, dict[str, Setting]] = {}
    options: dict[str, Setting] = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        if stripped.startswith("[") and stripped.endswith("]"):
            options = found.setdefault(stripped[1:-1].strip().lower(), {})
        elif equals:
            options[key.strip().lower()] = Setting(number, value.strip())
    return {name: {key: each for key, each in options.items() if each.value} for name, options in found.items()}


def translate_sssd(
    text: str, rules: Sequence[tuple[int, Mapping[str, Any]]], modules: Sequence[str]
) -> Translation:
    """Return what the file means. `rules`: each with its line, as tables of [[mapper.rule]]; `modules`: PKCS#11 modules
    that could take the place of those that p11-kit lists, the best first.
    """
    sections = read_sections(text)
    pam, notes = sections.get("pam", {}), Notes()
    _read_use(pam, notes)
    _read_token(pam, notes, modules)
    _read_anchors(pam, notes)
    _read_services(pam, notes)
    verification = pam.get("pam_cert_verification") or sections.get("sssd", {}).get("certificate_verification")
    Verification(verification.value if verification else "", verification.line if verification else 0, notes).read()
    _read_rules(rules, notes)
    _read_directory(sections, _searching(rules, notes), notes)
    for key, setting in pam.items():
        if key.startswith(("pam_cert", "pam_p11", "p11_")) and key not in _KNOWN:
            notes.add(NoteKind.UNKNOWN, setting.line, key, "neither SSSD nor pam_sc knows it")
    return Translation(tree=notes.tree, notes=tuple(sorted(notes.all, key=lambda note: note.line)), lines=notes.lines)


_KNOWN = frozenset({
    "pam_cert_auth", "pam_cert_db_path", "pam_cert_verification", "pam_p11_allowed_services", "p11_uri",
    "p11_child_timeout", "p11_wait_for_card_timeout",
})  # fmt: skip


def _read_use(pam: Mapping[str, Setting], notes: Notes) -> None:
    use = pam.get("pam_cert_auth")
    if use is None or use.value.lower() not in _TRUE:
        notes.add(NoteKind.DIFFERENT, use.line if use else 0, "pam_cert_auth", "SSSD uses no cards with this file; here a card"
                  " counts where a PAM stack names pam_sc.so")
    if timeout := pam.get("p11_child_timeout"):
        notes.add(NoteKind.DIFFERENT, timeout.line, "p11_child_timeout", "has no meaning here: a login has 20 seconds; write"
                  " timeout= on the PAM line")
    if wait := pam.get("p11_wait_for_card_timeout"):
        _read_wait(wait, notes)


def _read_wait(wait: Setting, notes: Notes) -> None:
    if not wait.value.isascii() or not wait.value.isdigit() or len(wait.value) > _DIGITS_MAX:
        notes.add(NoteKind.ERROR, wait.line, "p11_wait_for_card_timeout", f"found {shown(wait.value)}, expected whole seconds")
        return
    seconds = min(int(wait.value), WAIT_MAX_S)
    notes.put(("wait",), seconds, wait.line)
    limit = f" ({WAIT_MAX_S} at most)" if int(wait.value) > seconds else ""
    notes.add(NoteKind.DIFFERENT, wait.line, "p11_wait_for_card_timeout", f"every login without a card waits for {seconds}"
              f" seconds{limit}; with SSSD only one with require_cert_auth does; for some services alone, write"
              " [service.NAME] wait")


def _read_token(pam: Mapping[str, Setting], notes: Notes, modules: Sequence[str]) -> None:
    uri = pam.get("p11_uri")
    written = uri.value if uri else ""
    path, _question, query = written.partition("?")
    named = [part.removeprefix(_MODULE_PATH) for part in query.split("&") if part.startswith(_MODULE_PATH)]
    line = uri.line if uri else 0
    if named:
        notes.put(("token", "module", 0, "path"), named[0], line)
    elif modules:
        notes.put(("token", "module", 0, "path"), modules[0], 0)
        notes.add(NoteKind.DIFFERENT, line, "p11_uri", f"SSSD loads every module that p11-kit lists; here each is named:"
                  f" {modules[0]}, and others with a [[token.module]] of their own")
    else:
        notes.add(NoteKind.ERROR, line, "p11_uri", "no PKCS#11 module was found; install one (opensc-pkcs11), or name it in"
                  " p11_uri with ?module-path=")
    if path not in ("", "pkcs11:"):
        try:
            parse_token_uri(path)
            notes.put(("token", "select"), path, line)
        except ConfigError as error:
            notes.add(NoteKind.ERROR, line, "p11_uri", str(error))


def _read_anchors(pam: Mapping[str, Setting], notes: Notes) -> None:
    written = pam.get("pam_cert_db_path")
    value = written.value if written and written.value else DEFAULT_CA_FILE
    line = written.line if written else 0
    notes.put(("trust", "anchors"), value.removeprefix("FILE:"), line)
    notes.add(NoteKind.DIFFERENT, line, "pam_cert_db_path", "CAs that are not self-signed end no path here, unless"
              " partial_paths says so; CAs between are taken from the card too")


def _read_services(pam: Mapping[str, Setting], notes: Notes) -> None:
    """SSSD's own list of services holds here too, because the file means it."""
    written = pam.get("pam_p11_allowed_services")
    allowed = dict.fromkeys(ALLOWED_SERVICES)
    for word in (part.strip() for part in (written.value if written else "").split(",")):
        if word.startswith("+") and len(word) > 1:
            allowed[word[1:].lower()] = None
        elif word.startswith("-") and len(word) > 1:
            allowed.pop(word[1:].lower(), None)
        elif word and written:
            notes.add(NoteKind.ERROR, written.line, "pam_p11_allowed_services", f"found {shown(word)}, expected +SERVICE or"
                      " -SERVICE; SSSD then allows no card at all")
    notes.put(("account", "services"), list(allowed), written.line if written else 0)
    if not allowed and written:
        notes.add(NoteKind.ERROR, written.line, "pam_p11_allowed_services", "leaves no service in which a card counts")


def _read_rules(rules: Sequence[tuple[int, Mapping[str, Any]]], notes: Notes) -> None:
    if not rules:
        notes.add(NoteKind.ERROR, 0, "certmap", "there is no rule [certmap/DOMAIN/NAME]: without one SSSD looks for the whole"
                  " certificate in its own directory; write a rule, or a [[mapper]] ldap by hand")
        return
    notes.put(("mapper", 0, "name"), "rules", rules[0][0])
    for index, (line, table) in enumerate(rules):
        for key, value in table.items():
            notes.put(("mapper", 0, "rule", index, key), value, line)


def _searching(rules: Sequence[tuple[int, Mapping[str, Any]]], notes: Notes) -> int | None:
    """The line of the first rule that searches a directory. A rule that SSSD would skip as unreadable is an error."""
    found = None
    for line, table in rules:
        try:
            parse_match(table.get("match", DEFAULT_MATCH), str(table["name"]))
            if "map" in table and parse_map(table["map"], str(table["name"])).is_filter and found is None:
                found = line
        except ConfigError as error:
            notes.add(NoteKind.ERROR, line, "certmap", f"the rule cannot be understood, so that SSSD skips it: {error}")
    return found


_DIRECTORY: Mapping[str, str] = {
    "ldap_search_base": "base", "ldap_tls_cacert": "ca", "ldap_user_name": "account_attribute",
}  # fmt: skip


def _read_directory(sections: Sections, searching: int | None, notes: Notes) -> None:
    """Where a rule searches, the directory of the first domain that names one is searched; never with its password."""
    if searching is None:
        return
    domains = (options for name, options in sections.items() if name.startswith("domain/"))
    options = next((each for each in domains if "ldap_uri" in each and "ldap_search_base" in each), None)
    if options is None:
        notes.add(NoteKind.ERROR, searching, "certmap", "the rule searches a directory, but no domain of the file has both"
                  " ldap_uri and ldap_search_base")
        return
    servers = options["ldap_uri"]
    uris = [uri.strip().removesuffix("/") for uri in servers.value.split(",") if uri.strip()]
    if not all(uri.lower().startswith(("ldap://", "ldaps://")) and "@" not in uri for uri in uris):
        notes.add(NoteKind.ERROR, servers.line, "ldap_uri", "has a server that is none of ldap:// or ldaps://, or names a user;"
                  " servers are not looked up (_srv_), each has to be named")
        return
    notes.put((*_LDAP, "uri"), uris, servers.line)
    notes.put((*_LDAP, "tls"), "ldaps" if all(uri.lower().startswith("ldaps:") for uri in uris) else "starttls", servers.line)
    for option, key in _DIRECTORY.items():
        if option in options:
            notes.put((*_LDAP, key), options[option].value, options[option].line)
    if "ldap_tls_cacert" not in options:
        notes.add(NoteKind.ERROR, servers.line, "ldap_tls_cacert", "is not set, expected the file with the CA of the"
                  " servers: a directory always has to prove who it is")
    if bind := options.get("ldap_default_bind_dn"):
        notes.add(NoteKind.DIFFERENT, bind.line, "ldap_default_bind_dn", "is not carried over, so nobody is named to the servers;"
                  " write bind_dn, and password_file with a file that only root can read")


_LDAP = ("mapper", 0, "ldap")
