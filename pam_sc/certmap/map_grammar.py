# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapping rules as SSSD writes them (sss-certmap(5), MAPPING RULE), read whole or refused. Pure.

    rule     = ["LDAP:" | "LDAPU1:"] (text | "{{" | "}}" | template)*
    template = "{" name ["." part] ["!" conversion] "}"

A rule whose text has a "=" is an LDAP search filter; any other is the name of an account. Some templates and digests
need the prefix LDAPU1, as in SSSD, where older versions are to pass over such a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pam_sc.certmap.grammar import GrammarError, misread, split_prefix
from pam_sc.certmap.names import DEFAULT_FORM, FORMS
from pam_sc.record import record

DEFAULT_MAP = "LDAP:(userCertificate;binary={cert!bin})"
"""What the library searches for where a rule does not say it: the whole certificate."""
_SHORT = ("", "short_name")
_FORMS = ("", *FORMS)
_TEMPLATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "issuer_dn": (("",), _FORMS),
    "subject_dn": (("",), _FORMS),
    "cert": (("",), ("", "bin", "base64")),
    "subject_principal": (_SHORT, ("",)),
    "subject_pkinit_principal": (_SHORT, ("",)),
    "subject_nt_principal": (_SHORT, ("",)),
    "subject_rfc822_name": (_SHORT, ("",)),
    "subject_dns_name": (_SHORT, ("",)),
    "subject_uri": (("",), ("",)),
    "subject_ip_address": (("",), ("",)),
    "subject_x400_address": (("",), ("",)),
    "subject_directory_name": (("",), ("",)),
    "subject_ediparty_name": (("",), ("",)),
    "subject_registered_id": (("",), ("",)),
}
"""Name -> parts, conversions."""
_NEWER: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "serial_number": (("",), ("", "hex", "dec")),
    "subject_key_id": (("",), ("", "hex")),
    "subject_dn_component": (("",), ("",)),
    "issuer_dn_component": (("",), ("",)),
    "sid": (("", "rid"), ("",)),
}
"""Those that need LDAPU1."""
DIGESTS = {
    "md5": "md5", "sha1": "sha1", "sha224": "sha224", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512",
    "sha512-224": "sha512_224", "sha512-256": "sha512_256", "sha3-224": "sha3_224", "sha3-256": "sha3_256",
    "sha3-384": "sha3_384", "sha3-512": "sha3_512", "blake2b512": "blake2b", "blake2s256": "blake2s",
}  # fmt: skip
"""OpenSSL's names -> Python's."""
_COMPONENT = re.compile(r"([A-Za-z][A-Za-z0-9-]*)?(?:\[(-?[1-9][0-9]{0,3})\])?")
_LETTERS = re.compile(r"([^_]*)(?:_([ucr]*))?")


@record(kw_only=True)
class Template:
    """One template. `text` is how it is written."""

    text: str
    name: str
    part: str = ""
    conversion: str = ""
    letters: frozenset[str] = frozenset()
    """Of a number in hexadecimal: u upper case, c colons, r bytes reversed."""
    attribute: str = ""
    index: int = 0


@record
class MapRule:
    """A mapping rule: texts and templates. `is_filter`: a search filter, else the name of an account."""

    pieces: tuple[str | Template, ...]
    is_filter: bool

    @property
    def is_fixed(self) -> bool:
        """Whether it says the same for every certificate."""
        return not any(isinstance(each, Template) for each in self.pieces)


def parse_map(text: str, where: str) -> MapRule:
    """Return the mapping rule; ConfigError with the place in it if there is anything wrong."""
    try:
        return _map(text)
    except GrammarError as error:
        raise misread(where, "map", text, error) from None


def _map(text: str) -> MapRule:
    kind, at = split_prefix(text, ("LDAP", "LDAPU1"))
    pieces = tuple(_pieces(text, at, kind == "LDAPU1"))
    if any(isinstance(each, str) and "=" in each for each in pieces):
        return MapRule(_filter(pieces, at), True)
    if text[at : at + 1] == "(" and text.endswith(")"):
        pieces = tuple(_pieces(text[:-1], at + 1, kind == "LDAPU1"))
    if not pieces:
        raise GrammarError(at, "the rule is empty")
    return MapRule(pieces, False)


def _filter(pieces: tuple[str | Template, ...], at: int) -> tuple[str | Template, ...]:
    """The filter within its parentheses. One that ends before its end could say more than what it is joined with."""
    shape = "".join(each if isinstance(each, str) else "x" for each in pieces)
    if not shape.startswith("("):
        pieces, shape = ("(", *pieces, ")"), f"({shape})"
    depth = 0
    for place, character in enumerate(shape):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 1 and place < len(shape) - 1:
            raise GrammarError(at, "the filter goes on behind its last parenthesis")
    if depth != 0:
        raise GrammarError(at, "the parentheses of the filter are not in pairs")
    return pieces


def _pieces(text: str, at: int, newer: bool) -> Iterator[str | Template]:
    literal = ""
    while at < len(text):
        character = text[at]
        if character not in "{}":
            literal += character
            at += 1
        elif text[at + 1 : at + 2] == character:
            literal += character
            at += 2
        elif character == "}":
            raise GrammarError(at, "a } without its {; a } itself is written }}")
        else:
            end = text.find("}", at)
            if end < 0:
                raise GrammarError(at, "a { without its }; a { itself is written {{")
            if literal:
                yield literal
            literal = ""
            yield _template(text[at : end + 1], at, newer)
            at = end + 1
            if text.startswith("}}", at):
                raise GrammarError(at, "}} right behind a template, which SSSD does not read either")
    if literal:
        yield literal


def _template(text: str, at: int, newer: bool) -> Template:
    name, dot, part = text[1:-1].partition(".")
    if not dot:
        name, _mark, conversion = name.partition("!")
    else:
        part, _mark, conversion = part.partition("!")
    known = {**_TEMPLATES, **_NEWER}
    if name not in known:
        raise GrammarError(at + 1, f"unknown template {text}, expected one of {', '.join(known)}")
    if name in _NEWER and not newer:
        raise GrammarError(at, f"{text} needs the prefix LDAPU1:")
    if name.endswith("_dn_component"):
        return _dn_component(text, name, part, conversion, at)
    parts, conversions = known[name]
    if part not in parts:
        raise GrammarError(at, f"{text} has an unknown part" + _expected(parts))
    if conversion in conversions and conversion not in ("hex", ""):
        return Template(text=text, name=name, part=part, conversion=conversion)
    return _hexadecimal(text, name, part, conversion, at, newer)


def _expected(words: tuple[str, ...]) -> str:
    return f", expected {' or '.join(each for each in words if each) or 'none'}"


def _hexadecimal(text: str, name: str, part: str, conversion: str, at: int, newer: bool) -> Template:
    """The conversions that may be followed by letters, and those that are left out."""
    found = _LETTERS.fullmatch(conversion)
    word = found[1].lower() if found else ""
    letters = frozenset(found[2] or "") if found else frozenset()
    conversions = {**_TEMPLATES, **_NEWER}[name][1]
    if found and name == "cert" and word in DIGESTS:
        if not newer:
            raise GrammarError(at, f"{text} needs the prefix LDAPU1:")
        return Template(text=text, name=name, conversion=word, letters=letters)
    if found and word == "hex" and "hex" in conversions:
        return Template(text=text, name=name, conversion="hex", letters=letters)
    if conversion:
        expected = (*conversions, *DIGESTS) if name == "cert" else conversions
        raise GrammarError(at, f"{text} has an unknown conversion" + _expected(expected))
    default = {"cert": "bin", "issuer_dn": DEFAULT_FORM, "subject_dn": DEFAULT_FORM}.get(name, "")
    return Template(text=text, name=name, part=part, conversion="hex" if "hex" in conversions else default)


def _dn_component(text: str, name: str, part: str, conversion: str, at: int) -> Template:
    found = _COMPONENT.fullmatch(part)
    if found is None or conversion:
        raise GrammarError(at, f"{text} has an unknown part, expected .name, .[number] or .name[number]; none is number 0")
    return Template(text=text, name=name, attribute=found[1] or "", index=int(found[2] or 0))

