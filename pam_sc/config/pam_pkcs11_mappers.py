# SPDX-License-Identifier: LGPL-2.1-or-later
"""`use_mappers` and the blocks `mapper NAME`, each translated into the table of our own mapper of that name.

One function for each of the peer's mappers. A key of ours inside of such a block insists on what is unsafe; pam_pkcs11
passes over it, so one file can serve both. What cannot be translated is an ERROR note, never a mapper left out silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_ldap import read_ldap
from pam_sc.config.pam_pkcs11_section import Section, listed, shown
from pam_sc.config.pam_pkcs11_table import MapperTable, read_mapfile_key
from pam_sc.config.scconf import Block

_CERT_ITEMS = {
    "cn": "cn", "subject": "subject", "kpn": "krb", "email": "mail", "upn": "upn", "uid": "uid", "serial": "serial_number",
}  # fmt: skip
_ITEM_FORMS = {
    "subject": "the subject is written as RFC 4514 says (CN=Alice,O=Example), not with slashes",
    "serial": "the serial number is written in small hexadecimal digits without colons",
    "kpn": "the name of Kerberos is read as RFC 4556 says, which pam_pkcs11 cannot",
}
_INSIST = "i_know_that_any_trusted_card_opens_this_account"
_SHA1 = {"sha": "sha1", "dss": "sha1", "dss1": "sha1"}
_ALGORITHMS = ("sha256", "sha384", "sha512", "sha1")


def translate_mappers(root: Block, section: Section) -> None:
    """Put the mappers that `use_mappers` names into the tree, in its order."""
    names = list(dict.fromkeys(word.lower() for word in section.words("use_mappers") or () if word))
    blocks = _blocks(root, section)
    line = section.line_of("use_mappers")
    for label, block in blocks.items():
        if label not in names:
            section.note(NoteKind.DEAD, f"mapper {label}", "is not in use_mappers: "
                         f"lines {block.line} to {block.end_line} change nothing", block.line)
    tables = [_translate(name, Section(blocks.get(name), section.notes, line)) for name in names]
    used = [table for table in tables if table is not None]
    for index, table in enumerate(used):
        table.put_into(section.notes, index)
    if not used:
        section.note(NoteKind.ERROR, "use_mappers", "names no mapper that could map a certificate, expected at least one")


def _blocks(root: Block, section: Section) -> Mapping[str, Block]:
    found: dict[str, Block] = {}
    for block in root.blocks:
        if block.name == "mapper":
            before = found.setdefault((block.label or "").lower(), block)
            if before is not block:
                section.note(NoteKind.ERROR, f"mapper {block.label}", f"stands twice, in line {before.line} too", block.line)
    return found


def _translate(name: str, section: Section) -> MapperTable | None:
    module = section.word("module") or "internal"
    read = _MAPPERS.get(name)
    if read is None:
        what = f"{shown(name)} is no mapper of pam_pkcs11"
        if module != "internal":
            what = f"{shown(name)} is a mapper of its own, in {shown(module)}, which is not loaded here"
        section.note(NoteKind.ERROR, "use_mappers", f"{what}, expected {listed(tuple(_MAPPERS))}; mappers of other kinds"
                     " are configured in a pam_sc.toml", section.line if section.name == "" else None)
        return None
    if module != "internal" and module.rpartition("/")[2] != f"{name}_mapper.so":
        section.note(NoteKind.ERROR, "module", f"{shown(module)} is a mapper of its own, which is not loaded here; expected"
                     f" internal or .../{name}_mapper.so, for which ours stands in")
    elif section.has("module"):
        section.note(NoteKind.DEAD, "module", "the mapper of this name is built in")
    section.dead("write debug on the PAM line", "debug")
    table = MapperTable(_OUR_NAMES.get(name, name), section.line)
    kept = read(section, table)
    section.finish()
    return table if kept else None


# ---------------------------------------------------------------- one function a mapper


def _value(section: Section, table: MapperTable, *, ignore_case: bool = False) -> bool:
    """What most have: a mapfile, and whether case counts."""
    read_mapfile_key(section, table)
    ignored = section.flag("ignorecase", default=ignore_case)
    if section.has("ignorecase") or ignore_case:
        table.put(section, "ignorecase", "ignore_case", ignored)
    return True


def _subject(section: Section, table: MapperTable) -> bool:
    read_mapfile_key(section, table, is_account=False)
    table.put(section, "ignorecase", "ignore_case", section.flag("ignorecase", default=False))
    if not table.has("mapfile"):
        section.note(NoteKind.ERROR, "mapfile", "is not set: no account has the name of a subject")
    return True


def _mail(section: Section, table: MapperTable) -> bool:
    _value(section, table, ignore_case=True)
    ignored = section.flag("ignoredomain", default=True)
    table.take_words(section, "domains")
    if table.has("mapfile") or table.has("domains"):
        if section.has("ignoredomain"):
            section.note(NoteKind.DEAD, "ignoredomain", "the mapfile, or domains, says which addresses count")
    elif ignored:
        table.put(section, "ignoredomain", "any_domain", True)
        section.note(NoteKind.UNSAFE, "ignoredomain", "the part before the @ of an address of any domain is an account's"
                     " name; say which domains count: domains = example.test;")
    else:
        section.note(NoteKind.ERROR, "ignoredomain", "pam_pkcs11 accepts every domain that is a part of the host's name; say"
                     " which domains count: domains = example.test;")
    return True


def _ms(section: Section, table: MapperTable) -> bool:
    _value(section, table)
    nickname = section.word("domainnickname")
    if nickname:
        table.put(section, "domainnickname", "nickname", nickname)
    domain = section.word("domainname")
    ignored = section.flag("ignoredomain", default=False)
    table.take_words(section, "domains")
    if domain and not table.has("domains"):
        table.put(section, "domainname", "domains", [domain])
    if section.has("domains"):
        section.dead("domains says which names count", "ignoredomain", "domainname")
    elif ignored:
        section.dead("ignoredomain says that every name counts", "domainname")
        table.drop("domains")
        table.put(section, "ignoredomain", "any_domain", True)
        section.note(NoteKind.UNSAFE, "ignoredomain", "the part before the @ of a name of any domain is an account's name")
    elif not table.has("domains") and not table.has("mapfile"):
        section.note(NoteKind.ERROR, "domainname", "is not set, expected the domain whose names count, or"
                     " ignoredomain = true;")
    return True


def _krb(section: Section, table: MapperTable) -> bool:
    read_mapfile_key(section, table)
    section.dead("pam_pkcs11 does not look at it, and names of Kerberos are exact", "ignorecase")
    table.take_words(section, "realms")
    if section.flag("any_realm", default=False):
        table.put(section, "any_realm", "any_realm", True)
    if not (table.has("realms") or table.has("any_realm") or table.has("mapfile")):
        section.note(NoteKind.ERROR, "krb", "the mapper krb of pam_pkcs11 never maps; say which realms count:"
                     " realms = EXAMPLE.TEST;")
    return True


def _digest(section: Section, table: MapperTable) -> bool:
    read_mapfile_key(section, table, is_account=False)
    said = (section.word("algorithm") or "sha1").lower().replace("-", "")
    algorithm = _SHA1.get(said, said)
    if algorithm not in _ALGORITHMS:
        section.note(NoteKind.ERROR, "algorithm", f"found {shown(said)}, expected {listed(_ALGORITHMS)}")
    table.put(section, "algorithm", "algorithm", algorithm)
    if algorithm == "sha1":
        section.note(NoteKind.DIFFERENT, "algorithm", "sha1 is kept for the mapfile there is; sha256 is what pam_sc uses"
                     " else, and what a new mapfile should list")
    if not table.has("mapfile"):
        section.note(NoteKind.ERROR, "mapfile", "is not set: no account has the name of a digest")
    section.dead("case never counts in a digest", "ignorecase")
    return True


def _generic(section: Section, table: MapperTable) -> bool:
    _value(section, table)
    item = (section.word("cert_item") or "cn").lower()
    if item not in _CERT_ITEMS:
        section.note(NoteKind.ERROR, "cert_item", f"found {shown(item)}, expected one of {listed(tuple(_CERT_ITEMS))}")
        return True
    table.put(section, "cert_item", "item", _CERT_ITEMS[item])
    if item in _ITEM_FORMS:
        section.note(NoteKind.DIFFERENT, "cert_item", _ITEM_FORMS[item])
    if section.flag("use_getpwent", default=False):
        table.put(section, "use_getpwent", "through_nss", True)
        _full_name(section, table)
    return True


def _pwent(section: Section, table: MapperTable) -> bool:
    ignored = section.flag("ignorecase", default=False)
    if section.has("ignorecase"):
        table.put(section, "ignorecase", "ignore_case", ignored)
    _full_name(section, table)
    return True


def _full_name(section: Section, table: MapperTable) -> None:
    table.take_words(section, "believed_for")
    if not table.has("believed_for"):
        section.note(NoteKind.DIFFERENT, section.name or "use_mappers", "a full name (GECOS) counts for nothing in sudo, su and"
                     " their like, because people can change their own (believed_for = sudo; changes that)", section.line)


def _in_home(section: Section, table: MapperTable) -> bool:
    section.dead("pam_pkcs11 does not look at it", "keyfile")
    table.take_word(section, "file", "file")
    table.take_words(section, "believed_for")
    if section.flag("scan_homes", default=False):
        table.put(section, "scan_homes", "scan_homes", True)
    section.note(NoteKind.DIFFERENT, section.name or "use_mappers", "a file in a home is not believed in sudo, su and their like"
                 " (believed_for = sudo; changes that), and without a user name no home is searched (scan_homes = true;)",
                 section.line)
    return True


def _null(section: Section, table: MapperTable) -> bool:
    matches = section.flag("default_match", default=False)
    user = section.word("default_user") or "nobody"
    if section.flag(_INSIST, default=False) and matches:
        table.put(section, "default_user", "any_card_is", user)
        table.put(section, _INSIST, _INSIST, True)
        section.note(NoteKind.UNSAFE, _INSIST, f"every card that is trusted logs in as {shown(user)}")
        return True
    if matches:
        section.note(NoteKind.UNSAFE, "default_match", f"every card would log in as {shown(user)}; the mapper null is left out"
                     " unless its block insists: " + _INSIST + " = true;")
    else:
        section.note(NoteKind.DIFFERENT, section.name or "use_mappers", "the mapper null maps nothing and is left out;"
                     f" pam_pkcs11 logs a card in as {shown(user)} where no name was given", section.line)
    return False


_MAPPERS: Mapping[str, Callable[[Section, MapperTable], bool]] = {
    "cn": _value,
    "digest": _digest,
    "generic": _generic,
    "krb": _krb,
    "ldap": read_ldap,
    "mail": _mail,
    "ms": _ms,
    "null": _null,
    "opensc": _in_home,
    "openssh": _in_home,
    "pwent": _pwent,
    "subject": _subject,
    "uid": _value,
}
_OUR_NAMES = {"ms": "upn"}
