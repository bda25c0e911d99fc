# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `generic`: any one item of the certificate, made into a name by fixed steps.

Item -> `strip_prefix`, `strip_suffix` (a value without them is not used) -> `hash`, cut to `length` -> mapfile, or
`add_prefix`, `add_suffix` -> with `through_nss` whoever that text means in the account database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from pam_sc.decision.alternative_names import NameKind
from pam_sc.decision.der_text import read_text
from pam_sc.decision.digest import digest
from pam_sc.decision.distinguished_name import unusable_because
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.identity import Subject
from pam_sc.decision.parsing import read_strictly
from pam_sc.decision.sid import SID_EXTENSION, read_sid
from pam_sc.errors import ConfigError
from pam_sc.mapfile import lower_ascii
from pam_sc.mapping import MapperContext, nearest
from pam_sc.person_lookup import BELIEVED_FOR, PersonLookup
from pam_sc.value_mapper import ValueMapper, words

Read = Callable[[Subject], tuple[str, ...]]

HASHES = ("sha256", "sha384", "sha512")
HASH_LENGTH_MIN = 24
"""Hexadecimal digits. With fewer, somebody who may choose what stands in a certificate could look for a second value: of
16 digits and a mapfile of a million lines one in 2^44 is some account's."""
_NO_TEXT = "0x"
"""Before the hexadecimal digits of what is no string."""
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")


def _serial(subject: Subject) -> tuple[str, ...]:
    if subject.facts is None:
        return ()
    digits = f"{subject.facts.serial_number:x}"
    return (digits.zfill(len(digits) + len(digits) % 2),)


def _sids(subject: Subject) -> tuple[str, ...]:
    found = (read_strictly(lambda der=der: read_sid(der)) for der in subject.extension_values(SID_EXTENSION))  # type: ignore[misc]
    return tuple(each for each in found if isinstance(each, str))


ITEMS: Mapping[str, Read] = {
    "cn": lambda subject: subject.common_names,
    "uid": lambda subject: subject.user_ids,
    "mail": lambda subject: subject.mails,
    "upn": lambda subject: subject.upns,
    "krb": lambda subject: subject.alternative_values(NameKind.KERBEROS),
    "dns": lambda subject: subject.alternative_values(NameKind.DNS),
    "uri": lambda subject: subject.alternative_values(NameKind.URI),
    "serial_number": _serial,
    "subject": lambda subject: (subject.subject.rfc4514,) if subject.subject.rfc4514 else (),
    "issuer": lambda subject: (subject.issuer.rfc4514,) if subject.issuer.rfc4514 else (),
    "sid": _sids,
}
"""What can be looked at by name. The serial number: its octets as small hexadecimal digits, without a separator."""


def _texts(values: Iterator[bytes]) -> tuple[str, ...]:
    """Each string of DER as its text, everything else as 0x and hexadecimal digits; a malformed string is not used.

    Nor is a string that begins like those digits: whoever may choose it could spell out another certificate's element.
    """
    found: dict[str, None] = {}
    for der in values:
        read = read_strictly(lambda der=der: read_text(der))  # type: ignore[misc]
        text = f"{_NO_TEXT}{der.hex()}" if read is None else read
        if isinstance(text, Unparsable) or (read is not None and lower_ascii(text).startswith(_NO_TEXT)):
            continue
        if unusable_because(text) is None:
            found[text] = None
    return tuple(found)


def _by_oid(kind: str, oid: str) -> Read:
    if kind == "attribute":
        return lambda subject: subject.attribute_values(oid)
    if kind == "extension":
        return lambda subject: _texts(iter(subject.extension_values(oid)))
    return lambda subject: _texts(each.der for each in subject.alternative_names if each.oid == oid)


def read_item(item: str, where: str) -> Read:
    """Return what reads an item of a subject; ConfigError if there is none of that name."""
    kind, colon, oid = item.partition(":")
    if not colon:
        if item not in ITEMS:
            raise ConfigError(f"{where}: unknown item {item!r:.100}{nearest(item, set(ITEMS))}")
        return ITEMS[item]
    if kind not in ("attribute", "san", "extension") or not _OID.fullmatch(oid):
        raise ConfigError(f"{where}: item is {item!r:.100}, expected attribute:, san: or extension: and an object "
                          "identifier such as 2.5.4.3")
    return _by_oid(kind, oid)


class GenericMapper(ValueMapper):
    """Maps every value of the item."""

    OPTIONS: ClassVar[Mapping[str, type]] = {
        "item": str, "strip_prefix": str, "strip_suffix": str, "add_prefix": str, "add_suffix": str, "hash": str,
        "length": int, "through_nss": bool, **BELIEVED_FOR,
    }

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        super().__init__(table, context)
        self._read = read_item(table.get("item", "cn"), context.where)
        self._strip: tuple[str, str] = (table.get("strip_prefix", ""), table.get("strip_suffix", ""))
        self._add: tuple[str, str] = (table.get("add_prefix", ""), table.get("add_suffix", ""))
        self._hash, self._length = _hash_of(table, context.where)
        believed_for = words(table, "believed_for", "service", context)
        lookup = PersonLookup(context.services, believed_for, ignore_case=self.ignore_case)
        self._lookup = lookup if table.get("through_nss", False) else None
        if self._lookup is None and "believed_for" in table:
            raise ConfigError(f"{context.where}: believed_for is about the account database: set through_nss too")

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The item's values, stripped and hashed."""
        found = (self._prepared(value) for value in self._read(subject))
        return tuple(dict.fromkeys(each for each in found if each))

    def name_of(self, value: str) -> str | None:
        """The value between `add_prefix` and `add_suffix`."""
        return self._add[0] + value + self._add[1]

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The account of each value; with `through_nss` every account that it means."""
        if self._lookup is None:
            return super().accounts(subject)
        return self._lookup.accounts(self._meant(subject))

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether one value is this account's, or with `through_nss` means it."""
        if self._lookup is None:
            return super().claims(subject, account)
        return self._lookup.claims(account, self._meant(subject))

    def _meant(self, subject: Subject) -> Iterator[str]:
        found = self._accounts_of(self.sees(subject))
        return (each for each in found if each is not None)

    def _prepared(self, value: str) -> str | None:
        prefix, suffix = self._strip
        folded = lower_ascii(value) if self.ignore_case else value
        begins, ends = (lower_ascii(each) if self.ignore_case else each for each in self._strip)
        if not (folded.startswith(begins) and folded.endswith(ends)) or len(value) < len(prefix) + len(suffix):
            return None
        value = value[len(prefix) : len(value) - len(suffix)]
        if self._hash is None or not value:
            return value
        hashed = lower_ascii(value) if self.ignore_case else value
        return digest(self._hash, hashed.encode()).hex()[: self._length]


def _hash_of(table: Mapping[str, Any], where: str) -> tuple[str | None, int | None]:
    name, length = table.get("hash"), table.get("length")
    if name is None:
        if length is not None:
            raise ConfigError(f"{where}: length says how many digits of a hash are used: set hash too")
        return None, None
    if name not in HASHES:
        raise ConfigError(f"{where}: hash is {name!r:.100}, expected one of {', '.join(HASHES)}")
    digits = int(name.removeprefix("sha")) // 4
    if length is not None and not HASH_LENGTH_MIN <= length <= digits:
        raise ConfigError(f"{where}: length is {length}, expected from {HASH_LENGTH_MIN} to {digits}")
    return name, length
