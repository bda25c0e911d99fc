# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a mapping rule becomes with the values of a certificate: account names, or LDAP search filters. Pure.

A template whose value is missing, or empty, makes the whole expansion fail. Where a certificate has several values of a
kind there is an expansion with each, never one that was picked; a kind that occurs twice in a rule has the same value in
both places. Only in filters are values escaped (RFC 4515, section 3).
"""

from __future__ import annotations

import itertools

from pam_sc.certmap.grammar import SanType
from pam_sc.certmap.map_grammar import DIGESTS, MapRule, Template
from pam_sc.certmap.names import component, render_name
from pam_sc.certmap.sid import read_sid
from pam_sc.certmap.values import KINDS, text_of
from pam_sc.decision.der import body
from pam_sc.decision.digest import digest
from pam_sc.decision.distinguished_name import DistinguishedName
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.identity import Subject
from pam_sc.decision.parsing import read_strictly
from pam_sc.record import record

EXPANSIONS_MAX = 64
_OCTET_STRING = 0x04
SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
_SAN_TEMPLATES = {
    "subject_principal": SanType.PRINCIPAL,
    "subject_pkinit_principal": SanType.PKINIT,
    "subject_nt_principal": SanType.NT_PRINCIPAL,
    "subject_rfc822_name": SanType.MAIL,
    "subject_dns_name": SanType.DNS,
    "subject_uri": SanType.URI,
    "subject_ip_address": SanType.IP,
    "subject_x400_address": SanType.X400,
    "subject_directory_name": SanType.DIRECTORY,
    "subject_ediparty_name": SanType.EDI_PARTY,
    "subject_registered_id": SanType.REGISTERED_ID,
}
_ESCAPED = {character: f"\\{ord(character):02x}" for character in "\t *()\\\r\n\0"}


@record
class Expanded:
    """The texts that a rule became, each once; at least one."""

    texts: tuple[str, ...]


@record
class NotExpanded:
    """The certificate lacks what the rule asks for."""

    why: str


def expand(rule: MapRule, subject: Subject) -> Expanded | NotExpanded:
    """Return what the rule becomes: search filters if it is one, else account names."""
    templates = [each for each in rule.pieces if isinstance(each, Template)]
    kinds = tuple(dict.fromkeys(each.name for each in templates if each.name in _SAN_TEMPLATES))
    values = [_alternatives(kind, subject) for kind in kinds]
    choices = list(itertools.islice(itertools.product(*values), EXPANSIONS_MAX + 1))
    if len(choices) > EXPANSIONS_MAX:
        return NotExpanded(f"the certificate has too many values for {' and '.join(f'{{{kind}}}' for kind in kinds)}")
    texts = [_text(rule, subject, dict(zip(kinds, choice, strict=True))) for choice in choices]
    found = tuple(dict.fromkeys(text for text in texts if text is not None))
    return Expanded(found) if found else NotExpanded(_missing(templates, subject))


def escape(value: str) -> str:
    """Return a value as SSSD's filters have it; what it leaves as it is has no meaning in one (RFC 4515, section 3)."""
    return "".join(_ESCAPED.get(character, character) for character in value)


def _alternatives(kind: str, subject: Subject) -> tuple[str, ...]:
    names = (each for each in subject.alternative_names if each.kind in KINDS.get(_SAN_TEMPLATES[kind], ()))
    return tuple(dict.fromkeys(text for name in names if (text := text_of(name)) is not None))


def _text(rule: MapRule, subject: Subject, chosen: dict[str, str]) -> str | None:
    pieces: list[str] = []
    for each in rule.pieces:
        if isinstance(each, str):
            pieces.append(each)
            continue
        value = _value(each, subject, chosen)
        if not value:
            return None
        pieces.append(escape(value) if rule.is_filter and each.name != "cert" else value)
    return "".join(pieces)


def _missing(templates: list[Template], subject: Subject) -> str:
    for each in templates:
        if each.name in _SAN_TEMPLATES:
            found = any(_part(each, value) for value in _alternatives(each.name, subject))
        else:
            found = bool(_value(each, subject, {}))
        if not found:
            return f"the certificate has no value for {each.text}"
    return "no value of the certificate suits all templates"


def _value(template: Template, subject: Subject, chosen: dict[str, str]) -> str | None:
    name = template.name
    if name in chosen:
        return _part(template, chosen[name])
    match name:
        case "issuer_dn" | "subject_dn":
            return render_name(_name(template, subject), template.conversion)
        case "subject_dn_component" | "issuer_dn_component":
            return component(_name(template, subject), template.attribute, template.index)
        case "cert":
            return _certificate(template, subject)
        case "serial_number":
            return _serial(template, subject)
        case "subject_key_id":
            return _key_identifier(template, subject)
        case "sid":
            sid = read_sid(subject)
            return sid.rpartition("-")[2] if sid and template.part == "rid" else sid
    return None


def _name(template: Template, subject: Subject) -> DistinguishedName:
    return subject.issuer if template.name.startswith("issuer") else subject.subject


def _part(template: Template, value: str) -> str:
    if template.part != "short_name":
        return value
    if template.name == "subject_dns_name":
        return value.partition(".")[0]
    return "" if value.count("@") > 1 else value.partition("@")[0]  # root@evil@example.test is of no domain for certain


def _certificate(template: Template, subject: Subject) -> str | None:
    if not subject.der:
        return None
    if template.conversion == "bin":
        return "".join(f"\\{octet:02x}" for octet in subject.der)
    if template.conversion == "base64":
        from base64 import b64encode

        return b64encode(subject.der).decode("ascii")
    try:
        return _hexadecimal(digest(DIGESTS[template.conversion], subject.der), template.letters)
    except ValueError:  # a machine whose policy forbids this one
        return None


def _serial(template: Template, subject: Subject) -> str | None:
    if subject.facts is None:
        return None
    number = subject.facts.serial_number
    if template.conversion == "dec":
        return str(number)
    return _hexadecimal(number.to_bytes((number.bit_length() + 7) // 8, "big"), template.letters)


def _key_identifier(template: Template, subject: Subject) -> str | None:
    found = subject.extension_values(SUBJECT_KEY_IDENTIFIER)
    if len(found) != 1 or found[0][:1] != bytes([_OCTET_STRING]):
        return None
    octets = read_strictly(lambda: body(found[0]))
    return None if isinstance(octets, Unparsable) else _hexadecimal(octets, template.letters)


def _hexadecimal(octets: bytes, letters: frozenset[str]) -> str:
    text = (octets[::-1] if "r" in letters else octets).hex(*(":",) if "c" in letters else ())
    return text.upper() if "u" in letters else text
