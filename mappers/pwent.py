# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `pwent`: every commonName means the account of that name, or the one whose GECOS field says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pam_sc.decision.identity import Subject
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.person_lookup import BELIEVED_FOR, PersonLookup
from pam_sc.value_mapper import words


class PwentMapper(Mapper):
    """Maps every commonName (2.5.4.3) through the account database (passwd(5), by NSS)."""

    def __init__(self, lookup: PersonLookup) -> None:
        self._lookup = lookup

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key or a wrong type."""
        check_table(table, {"ignore_case": bool, **BELIEVED_FOR}, context.where)
        believed_for = words(table, "believed_for", "service", context)
        return cls(PersonLookup(context.services, believed_for, ignore_case=table.get("ignore_case", False)))

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The commonNames."""
        return subject.common_names

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """Every account that a commonName means, in their order; MapperError if NSS cannot say."""
        return self._lookup.accounts(subject.common_names)

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether a commonName means this account. One that NSS gives under another name is not this account."""
        return self._lookup.claims(account, subject.common_names)
