# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `ldap`: the account's entry in a directory holds the certificate, its key, or values of it.

A question about an account searches for that account's entry; one without searches for the certificate's. Two entries
never pick one. The entry that comes is looked at again: it must be the account's and must hold what was searched for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pam_sc.decision.identity import Subject
from pam_sc.directory import DIRECTORY_KEYS, escape_filter_value, read_servers, uri_key
from pam_sc.directory_match import (
    ACCOUNT,
    ATTRIBUTE,
    HoldsCertificate,
    HoldsSshKey,
    Rule,
    check_filter,
    read_attribute_map,
)
from pam_sc.errors import ConfigError
from pam_sc.mapfile import lower_ascii, unusable_account
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.services import DirectoryEntry, DoesNotMap

OWN_KEYS: Mapping[str, type] = {
    "filter": str, "account_attribute": str, "attribute": str, "ssh_attribute": str, "attribute_map": list,
    "ignore_case": bool,
}  # fmt: skip
"""The keys beside those that say where a directory is."""
_DEFAULT_FILTER = "(objectClass=posixAccount)"


class LdapMapper(Mapper):
    """Asks a directory which entry a certificate belongs to."""

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the table; no server is asked."""
        check_table(table, {**DIRECTORY_KEYS, **uri_key(table), **OWN_KEYS}, context.where)
        self._place = read_servers(table, context)
        self._filter = check_filter(table.get("filter", _DEFAULT_FILTER), context.where)
        self._account = _attribute(table, "account_attribute", "uid", context.where)
        self._rule = _rule(table, context.where)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key, a wrong type, an unsafe file, or what cannot be meant."""
        return cls(table, context)

    def problems(self) -> tuple[str, ...]:
        """A server that is not verified."""
        return self._place.problems()

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """What an entry must hold."""
        return self._rule.sees(subject)

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The accounts that the certificate's entry names; DoesNotMap if there is none, CannotMap if there are two."""
        wanted = self._certificate_filter(subject)
        if wanted is None:
            raise DoesNotMap("the certificate holds nothing that an entry could hold")
        entry = self._entry(wanted, "no entry of the directory holds what the certificate has")
        if not self._rule.holds(subject, entry):
            raise DoesNotMap("the entry that the directory gives does not hold what was searched for")
        found = tuple(name for name in self._names(entry) if unusable_account(name) is None)
        if not found:
            raise DoesNotMap(f"the certificate's entry has no {self._account} that can be an account")
        return found

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether the account's one entry holds what the certificate has; DoesNotMap says why not."""
        entry = self._entry(self._account_filter(account), "the directory has no entry of the account")
        if lower_ascii(account) not in map(lower_ascii, self._names(entry)):
            raise DoesNotMap(f"the entry that the directory gives has another {self._account}, or shows none")
        if not self._rule.holds(subject, entry):
            raise DoesNotMap("the account's entry does not hold what the certificate has")
        return True

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:
        """The filter that was searched for."""
        wanted = self._certificate_filter(subject) if account is None else self._account_filter(account)
        return () if wanted is None else (f"searched for {wanted:.200}",)

    def _entry(self, wanted: str, none: str) -> DirectoryEntry:
        found = self._place.search(wanted, tuple(dict.fromkeys((self._account, *self._rule.attributes()))))
        if not found:
            raise DoesNotMap(none)
        return found[0]

    def _certificate_filter(self, subject: Subject) -> str | None:
        held = self._rule.filter(subject)
        return None if held is None else f"(&{self._filter.replace(ACCOUNT, '*')}{held})"

    def _account_filter(self, account: str) -> str:
        escaped = escape_filter_value(account)
        if ACCOUNT in self._filter:
            return self._filter.replace(ACCOUNT, escaped)
        return f"(&{self._filter}({self._account}={escaped}))"

    def _names(self, entry: DirectoryEntry) -> tuple[str, ...]:
        """The names of the account in an entry; what is not UTF-8 is none."""
        held = entry.attributes.get(self._account.lower(), ())
        return tuple(name for value in held if (name := value.decode(errors="ignore")).encode() == value)


def _attribute(table: Mapping[str, Any], key: str, default: str, where: str) -> str:
    name: str = table.get(key, default)
    if not ATTRIBUTE.fullmatch(name):
        raise ConfigError(f"{where}: {key} is {name!r:.100}, expected the name of an attribute, without options")
    return name


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    given = [key for key in ("attribute", "ssh_attribute", "attribute_map") if key in table]
    if len(given) > 1 and "ssh_attribute" in table:
        raise ConfigError(f"{where}: {' and '.join(given)} are different ways to map, expected one")
    if "ignore_case" in table and "attribute_map" not in table:
        raise ConfigError(f"{where}: ignore_case is about the values of attribute_map: set that too")
    if "attribute_map" in table:  # then `attribute` does not count, as in pam_pkcs11
        return read_attribute_map(table["attribute_map"], where, ignore_case=table.get("ignore_case", True))
    if "ssh_attribute" in table:
        return HoldsSshKey(_attribute(table, "ssh_attribute", "", where))
    return HoldsCertificate(_attribute(table, "attribute", "userCertificate", where))
