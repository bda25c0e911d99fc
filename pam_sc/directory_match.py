# SPDX-License-Identifier: LGPL-2.1-or-later
"""How an entry of a directory belongs to a certificate: it holds the certificate, its key, or values of it.

Each rule says what to search for and, when the entry is there, looks again whether it really holds that: a directory
compares by rules of its own, under which different names can be equal. Every value is escaped before it becomes part of a
filter. Nothing here asks a directory.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from pam_sc.decision.identity import Subject
from pam_sc.directory import escape_filter_value
from pam_sc.errors import ConfigError
from pam_sc.mapfile import lower_ascii
from pam_sc.record import record
from pam_sc.services import DirectoryEntry

ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}|[0-2](\.[0-9]{1,20}){1,30}")
ACCOUNT = "{account}"
FILTER_MAX = 4096
_ITEM = re.compile(r"\(([^()]*)\)")
_SSH_KINDS = ("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")


class Rule(Protocol):
    """One way in which an entry belongs to a certificate."""

    def attributes(self) -> tuple[str, ...]:
        """Return what must be asked for."""

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """Return the values of the certificate that count."""

    def filter(self, subject: Subject) -> str | None:
        """Return a filter that finds the certificate's entries; None where it holds nothing to search for."""

    def holds(self, subject: Subject, entry: DirectoryEntry) -> bool:
        """Say whether the entry belongs to the certificate."""


@record
class HoldsCertificate:
    """The entry holds this very certificate, byte for byte, in one of the values of an attribute."""

    attribute: str

    def attributes(self) -> tuple[str, ...]:
        """The attribute, also by the name under which RFC 4523 transfers it."""
        return (self.attribute, f"{self.attribute};binary")

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """Serial number and issuer."""
        facts = subject.facts
        return () if facts is None else (f"serialNumber {facts.serial_number}, issuer {facts.issuer}",)

    def filter(self, subject: Subject) -> str | None:
        """By certificateExactMatch (RFC 4523, section 3.1), or by its bytes where a directory takes it for octets."""
        octets = f"({self.attribute}={escape_filter_value(subject.der)})"
        issuer, facts = subject.issuer.rfc4514, subject.facts
        if facts is None or issuer is None:
            return octets if subject.der else None
        quoted = issuer.replace('"', '""')  # RFC 3641, section 3.2
        exactly = f'{{ serialNumber {facts.serial_number}, issuer rdnSequence:"{quoted}" }}'
        return f"(|({self.attribute}={escape_filter_value(exactly)}){octets})"

    def holds(self, subject: Subject, entry: DirectoryEntry) -> bool:
        """Compare the bytes."""
        return bool(subject.der) and subject.der in entry.attributes.get(self.attribute.lower(), ())


@record
class HoldsSshKey:
    """The entry holds the certificate's public key as a line of authorized_keys without options."""

    attribute: str

    def attributes(self) -> tuple[str, ...]:
        """The attribute."""
        return (self.attribute,)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The key as such a line."""
        line = _ssh_line(subject)
        return () if line is None else (line,)

    def filter(self, subject: Subject) -> str | None:
        """By the line without a comment: a directory compares whole lines."""
        line = _ssh_line(subject)
        return None if line is None else f"({self.attribute}={escape_filter_value(line)})"

    def holds(self, subject: Subject, entry: DirectoryEntry) -> bool:
        """Compare the key itself; a line with options, or of a kind that is not known, is no such line."""
        line = _ssh_line(subject)
        blob = None if line is None else _ssh_blob(line.encode())
        return blob is not None and any(_ssh_blob(each) == blob for each in entry.attributes.get(self.attribute.lower(), ()))


def _ssh_line(subject: Subject) -> str | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if subject.facts is None:
        return None
    try:
        key = serialization.load_der_public_key(subject.facts.public_key_der)
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return line.decode()


def _ssh_blob(line: bytes) -> bytes | None:
    """Return the key of a line "kind base64 comment"; None for any other line."""
    parts = line.strip(b" \t\r\n").split(None, 2)
    if len(parts) < 2 or parts[0] not in [kind.encode() for kind in _SSH_KINDS]:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    return blob if blob[4 : 4 + len(parts[0])] == parts[0] and int.from_bytes(blob[:4], "big") == len(parts[0]) else None


ITEMS: Mapping[str, Callable[[Subject], tuple[str, ...]]] = {
    "cn": lambda subject: subject.common_names,
    "subject": lambda subject: tuple(form for form in (subject.subject.rfc4514, subject.subject.oneline) if form),
    "kpn": lambda subject: tuple(principal.text for principal in subject.principals),
    "email": lambda subject: subject.mails,
    "upn": lambda subject: subject.upns,
    "uid": lambda subject: subject.user_ids,
}
"""What `attribute_map` may name, beside "cert", the certificate itself. All values count, each alone."""


@record
class HoldsValue:
    """The entry holds one of the values of an item of the certificate in an attribute."""

    attribute: str
    item: str
    ignore_case: bool

    def attributes(self) -> tuple[str, ...]:
        """The attribute."""
        return (self.attribute,)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The values of the item."""
        return ITEMS[self.item](subject)

    def filter(self, subject: Subject) -> str | None:
        """By equality with one of them."""
        found = [f"({self.attribute}={escape_filter_value(value)})" for value in self.sees(subject)]
        return f"(|{''.join(found)})" if found else None

    def holds(self, subject: Subject, entry: DirectoryEntry) -> bool:
        """Compare them; with ignore_case the letters A to Z in whatever case."""
        held = {self._folded(value) for value in map(_text, entry.attributes.get(self.attribute.lower(), ())) if value}
        return any(self._folded(value) in held for value in self.sees(subject))

    def _folded(self, value: str) -> str:
        return lower_ascii(value) if self.ignore_case else value


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


@record
class AllOf:
    """Every one of these holds."""

    rules: tuple[Rule, ...]

    def attributes(self) -> tuple[str, ...]:
        """What each of them needs."""
        return tuple(name for rule in self.rules for name in rule.attributes())

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """What each of them sees."""
        return tuple(value for rule in self.rules for value in rule.sees(subject))

    def filter(self, subject: Subject) -> str | None:
        """All of their filters; None where the certificate lacks what one of them needs."""
        filters = [rule.filter(subject) for rule in self.rules]
        return None if None in filters else f"(&{''.join(each for each in filters if each)})"

    def holds(self, subject: Subject, entry: DirectoryEntry) -> bool:
        """Ask each of them."""
        return all(rule.holds(subject, entry) for rule in self.rules)


@record
class AnyOf:
    """One of these holds."""

    rules: tuple[Rule, ...]

    def attributes(self) -> tuple[str, ...]:
        """What each of them needs."""
        return tuple(name for rule in self.rules for name in rule.attributes())

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """What each of them sees."""
        return tuple(value for rule in self.rules for value in rule.sees(subject))

    def filter(self, subject: Subject) -> str | None:
        """One of their filters."""
        filters = [each for rule in self.rules if (each := rule.filter(subject)) is not None]
        return f"(|{''.join(filters)})" if filters else None

    def holds(self, subject: Subject, entry: DirectoryEntry) -> bool:
        """Ask each of them."""
        return any(rule.holds(subject, entry) for rule in self.rules)


def read_attribute_map(lines: list[object], where: str, *, ignore_case: bool) -> Rule:
    """Read lines of "attribute=item", joined by "&" where all must hold; one line must. ConfigError for anything else."""
    if not lines:
        raise ConfigError(f'{where}: attribute_map is empty, expected at least one line such as "mail=email"')
    return AnyOf(tuple(_line(line, where, ignore_case) for line in lines))


def _line(line: object, where: str, ignore_case: bool) -> Rule:
    rules: list[Rule] = []
    for pair in line.split("&") if isinstance(line, str) else [""]:
        attribute, _equals, item = pair.partition("=")
        if not ATTRIBUTE.fullmatch(attribute) or item not in (*ITEMS, "cert"):
            raise ConfigError(f'{where}: attribute_map has {line!r:.100}, expected "attribute=item", joined by "&", with the'
                              f" items {', '.join([*ITEMS, 'cert'])}")
        rules.append(HoldsCertificate(attribute) if item == "cert" else HoldsValue(attribute, item, ignore_case))
    return AllOf(tuple(rules))


def check_filter(text: str, where: str) -> str:
    """Return the filter if its parentheses close and the account stands only in values; ConfigError otherwise."""
    if not (_closes(text) and text.isprintable() and len(text) <= FILTER_MAX and "()" not in text):
        raise ConfigError(f"{where}: filter is {text!r:.100}, expected one filter (RFC 4515) in parentheses that all close")
    items = [item for item in _ITEM.findall(text) if ACCOUNT in item]
    if sum(item.count(ACCOUNT) for item in items) < text.count(ACCOUNT) or any(
        "=" not in item.partition(ACCOUNT)[0] for item in items
    ):
        raise ConfigError(f"{where}: filter is {text!r:.100}, expected {ACCOUNT} only after an equals sign")
    return text


def _closes(text: str) -> bool:
    """Say whether the text is one pair of parentheses with whole pairs in it."""
    depths: list[int] = []
    for character in text:
        depths.append((depths[-1] if depths else 0) + {"(": 1, ")": -1}.get(character, 0))
    return text.startswith("(") and depths[-1] == 0 and 0 not in depths[:-1]
