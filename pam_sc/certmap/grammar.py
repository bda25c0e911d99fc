# SPDX-License-Identifier: LGPL-2.1-or-later
"""Matching rules as SSSD writes them (sss-certmap(5), MATCHING RULE), read whole or refused. Pure.

    rule      = ["KRB5:"] ["&&" | "||"] component+
    component = "<" name ">" value        # the value goes on to the next "<"

Nothing is skipped: a rule that could not be understood might be the one that keeps a certificate out, so whoever loads
one gets a ConfigError that says where it ends to make sense.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator

from pam_sc.certmap.automaton import Program
from pam_sc.certmap.ere import MalformedPatternError, compile_ere
from pam_sc.errors import ConfigError
from pam_sc.record import field, record

DEFAULT_MATCH = "<KU>digitalSignature<EKU>clientAuth"
"""What the library matches where a rule does not say it."""
PRIORITY_MAX = (1 << 32) - 1
"""The last priority; 0 is the first."""
RULE_MAX = 4_096

KEY_USAGES = {
    name.lower(): name
    for name in (
        "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign",
        "cRLSign", "encipherOnly", "decipherOnly",
    )
}  # fmt: skip
PURPOSES = {
    "serverauth": "1.3.6.1.5.5.7.3.1",
    "clientauth": "1.3.6.1.5.5.7.3.2",
    "codesigning": "1.3.6.1.5.5.7.3.3",
    "emailprotection": "1.3.6.1.5.5.7.3.4",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocspsigning": "1.3.6.1.5.5.7.3.9",
    "kpclientauth": "1.3.6.1.5.2.3.4",
    "pkinit": "1.3.6.1.5.2.3.4",
    "mssclogin": "1.3.6.1.4.1.311.20.2.2",
}
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,38})){1,30}")
_PREFIX = re.compile(r"([A-Z0-9]+):")
_Read = Callable[[str], str | None]


class SanType(enum.Enum):
    """What <SAN:...> can ask for, by the names of sss-certmap(5)."""

    PRINCIPAL = "Principal"
    NT_PRINCIPAL = "ntPrincipalName"
    PKINIT = "pkinitSAN"
    MAIL = "rfc822Name"
    DNS = "dNSName"
    X400 = "x400Address"
    DIRECTORY = "directoryName"
    EDI_PARTY = "ediPartyName"
    URI = "uniformResourceIdentifier"
    IP = "iPAddress"
    REGISTERED_ID = "registeredID"
    OTHER = "otherName"
    OTHER_OID = "an object identifier"


_BINARY = frozenset({SanType.X400, SanType.EDI_PARTY, SanType.OTHER})


@record
class NameElement:
    """<SUBJECT> or <ISSUER>."""

    text: str
    issuer: bool
    pattern: Program = field(repr=False)


@record
class KeyUsageElement:
    """<KU>: all of these."""

    text: str
    usages: frozenset[str]


@record
class PurposeElement:
    """<EKU>: all of these, or one of them where the rule is an or."""

    text: str
    purposes: frozenset[str]


@record
class SanElement:
    """<SAN:...>: a pattern for texts, octets for what has no text."""

    text: str
    type: SanType
    oid: str
    pattern: Program | None = field(repr=False)
    octets: bytes


Element = NameElement | KeyUsageElement | PurposeElement | SanElement


@record
class MatchRule:
    """A matching rule: every element has to match, or any."""

    every: bool
    elements: tuple[Element, ...]


class GrammarError(ValueError):
    """A rule is malformed; `at` is the offset where that shows."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at


def parse_match(text: str, where: str) -> MatchRule:
    """Return the matching rule; ConfigError with the place in it if there is anything wrong."""
    try:
        return _match(text)
    except GrammarError as error:
        raise misread(where, "match", text, error) from None


def misread(where: str, key: str, text: str, error: GrammarError) -> ConfigError:
    """The error for whoever wrote the rule."""
    return ConfigError(f"{where}: {key} {text!r:.200}, character {error.at + 1}: {error}")


def split_prefix(text: str, known: tuple[str, ...]) -> tuple[str, int]:
    """Return the type of a rule (the first of `known` where it says none) and where the rest begins."""
    if len(text) > RULE_MAX:
        raise GrammarError(RULE_MAX, f"the rule has {len(text)} characters, expected at most {RULE_MAX}")
    found = _PREFIX.match(text)
    if found is None:
        return known[0], 0
    if found[1] not in known:
        raise GrammarError(0, f"rules of type {found[1]!r} are not known, expected {' or '.join(known)}")
    return found[1], found.end()


def _match(text: str) -> MatchRule:
    _type, at = split_prefix(text, ("KRB5",))
    operator = text[at : at + 2] if text[at : at + 2] in ("&&", "||") else ""
    elements = tuple(_elements(text, at + len(operator)))
    if not elements:
        raise GrammarError(at, "the rule has no component and would never match, expected one such as <SUBJECT>...")
    return MatchRule(operator != "||", elements)


def _elements(text: str, at: int) -> Iterator[Element]:
    while at < len(text):
        end = text.find(">", at)
        if text[at] != "<" or end < 0:
            raise GrammarError(at, "expected <ISSUER>, <SUBJECT>, <KU>, <EKU>, <SAN> or <SAN:type>")
        stop = text.find("<", end)
        stop = len(text) if stop < 0 else stop
        if stop == end + 1:
            raise GrammarError(stop, f"{text[at:stop]} has no value")
        yield _element(text[at:stop], text[at + 1 : end], text[end + 1 : stop], at, end + 1)
        at = stop


def _element(whole: str, name: str, value: str, at: int, value_at: int) -> Element:
    match name:
        case "ISSUER" | "SUBJECT":
            return NameElement(whole, name == "ISSUER", _pattern(value, value_at))
        case "KU":
            return KeyUsageElement(whole, frozenset(_words(value, value_at, _usage)))
        case "EKU":
            return PurposeElement(whole, frozenset(_words(value, value_at, _purpose)))
        case "SAN":
            return SanElement(whole, SanType.PRINCIPAL, "", _pattern(value, value_at), b"")
    if name.startswith("SAN:"):
        return _san(whole, name[4:], value, at + 5, value_at)
    raise GrammarError(at, f"unknown component <{name}>, expected <ISSUER>, <SUBJECT>, <KU>, <EKU>, <SAN> or <SAN:type>")


def _pattern(value: str, at: int) -> Program:
    try:
        return compile_ere(value)
    except MalformedPatternError as error:
        raise GrammarError(at + error.at, f"{error}") from error


def _words(value: str, at: int, read: _Read) -> Iterator[str]:
    """The items of a list; SSSD passes over empty ones."""
    items = [item.strip(" ") for item in value.split(",") if item.strip(" ")]
    if not items:
        raise GrammarError(at, "the list is empty")
    for item in items:
        found = read(item)
        if found is None:
            raise GrammarError(at + value.index(item), f"unknown: {item!r}, {_EXPECTED[read]}")
        yield found


def _usage(item: str) -> str | None:
    return KEY_USAGES.get(item.lower()) if item.isascii() else None


def _purpose(item: str) -> str | None:
    if _OID.fullmatch(item):
        return item
    return PURPOSES.get(item.lower()) if item.isascii() else None


_EXPECTED: dict[_Read, str] = {
    _usage: f"expected one of {', '.join(KEY_USAGES.values())}",
    _purpose: "expected one of serverAuth, clientAuth, codeSigning, emailProtection, timeStamping, OCSPSigning, KPClientAuth,"
    " pkinit, msScLogin or an object identifier",
}


def _san(whole: str, name: str, value: str, at: int, value_at: int) -> SanElement:
    if name[:1].isdigit():
        if not _OID.fullmatch(name):
            raise GrammarError(at, f"{name!r} is no object identifier")
        return SanElement(whole, SanType.OTHER_OID, name, _pattern(value, value_at), b"")
    kind = _san_type(name, at)
    if kind in _BINARY:
        return SanElement(whole, kind, "", None, _octets(value, value_at))
    return SanElement(whole, kind, "", _pattern(value, value_at), b"")


def _san_type(name: str, at: int) -> SanType:
    """The type, which may be cut short (SSSD's manual has `pkinit`) but not so that it could be two."""
    known = [each for each in SanType if each is not SanType.OTHER_OID]
    found = [each for each in known if each.value.lower() == name.lower()] or [
        each for each in known if each.value.lower().startswith(name.lower())
    ]
    if len(found) != 1:
        problem = "could be more than one type" if found else "is unknown"
        raise GrammarError(at, f"{name!r} {problem}, expected one of {', '.join(each.value for each in known)} or an OID")
    return found[0]


def _octets(value: str, at: int) -> bytes:
    from base64 import b64decode  # hardly any rule needs it

    try:
        return b64decode(value, validate=True)
    except ValueError as error:
        raise GrammarError(at, f"{value!r:.40} is not base64") from error
