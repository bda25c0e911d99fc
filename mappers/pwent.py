# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `pwent`: every commonName means the account of that name, or the one whose GECOS field says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pam_sc.decision.identity import Subject
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.person_lookup import accounts_meant, means
from pam_sc.services import People


class PwentMapper(Mapper):
    """Maps every commonName (2.5.4.3) through the account database (passwd(5), by NSS)."""

    def __init__(self, people: People, *, ignore_case: bool) -> None:
        self._people = people
        self._ignore_case = ignore_case

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key or a wrong type."""
        check_table(table, {"ignore_case": bool}, context.where)
        return cls(context.services.people, ignore_case=table.get("ignore_case", False))

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The commonNames."""
        return subject.common_names

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """Every account that a commonName means, in their order; MapperError if NSS cannot say."""
        found = (accounts_meant(self._people, each, ignore_case=self._ignore_case) for each in subject.common_names)
        return tuple(dict.fromkeys(name for names in found for name in names))

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether a commonName means this account. One that NSS gives under another name is not this account."""
        person = self._people.by_name(account)
        if person is None or person.name != account:
            return False
        return any(means(person, each, ignore_case=self._ignore_case) for each in subject.common_names)
