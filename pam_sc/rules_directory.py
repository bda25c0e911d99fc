# SPDX-License-Identifier: LGPL-2.1-or-later
"""The directory behind the mapper `rules`: the filters that a rule became, and the accounts of the entries they find.

It is not asked before a rule has matched. What an entry says counts only for the account that it names exactly; a name
that is not UTF-8, or could be no account, is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pam_sc.directory import DIRECTORY_KEYS, DirectoryPlace, escape_filter_value, read_servers, uri_key
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapfile import unusable_account
from pam_sc.mapping import MapperContext, check_table
from pam_sc.record import record, replace
from pam_sc.services import DirectoryEntry

ENTRIES_MAX = 10
"""Entries that one certificate may have. More are an error: the filter does not do what its author meant."""
FILTER_MAX = 16 * 1024
"""Characters of a search filter, which is what the network process takes."""


@record(kw_only=True)
class RulesDirectory:
    """Where entries are searched, and the attribute that names their account."""

    place: DirectoryPlace
    attribute: str

    def accounts(self, filters: tuple[str, ...], account: str | None) -> tuple[str, ...]:
        """Return the accounts of the entries that any filter finds; with `account` only the entries of that one count."""
        wanted = filters[0] if len(filters) == 1 else f"(|{''.join(filters)})"
        if account is not None:
            wanted = f"(&{wanted}({self.attribute}={escape_filter_value(account)}))"
        if len(wanted) > FILTER_MAX:
            raise MapperError(f"the search filter has {len(wanted)} characters, expected at most {FILTER_MAX}")
        entries = self.place.search(wanted, (self.attribute,), ENTRIES_MAX)
        return tuple(dict.fromkeys(name for entry in entries for name in self._names(entry)))

    def problems(self) -> tuple[str, ...]:
        """What every login should say of it."""
        return self.place.problems()

    def _names(self, entry: DirectoryEntry) -> list[str]:
        held = entry.attributes.get(self.attribute.lower(), ())
        names = (value.decode(errors="ignore") for value in held if value.decode(errors="ignore").encode() == value)
        return [name for name in names if unusable_account(name) is None]


def read_directory(table: Mapping[str, Any], context: MapperContext) -> RulesDirectory:
    """Read the table [mapper.ldap]; ConfigError for what cannot be meant."""
    within = replace(context, where=f"{context.where}: ldap")
    check_table(table, {**DIRECTORY_KEYS, **uri_key(table), "account_attribute": str}, within.where)
    attribute: str = table.get("account_attribute", "uid")
    if not (attribute.isascii() and attribute.replace("-", "").isalnum() and attribute[0].isalpha()):
        raise ConfigError(f"{within.where}: account_attribute is {attribute!r:.60}, expected the name of an attribute")
    return RulesDirectory(place=read_servers(table, within), attribute=attribute)
