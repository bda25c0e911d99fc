# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `cn`: the subject's commonName names the account, directly or through a mapfile.

Without a mapfile the value itself is the account's name, compared exactly. With one only what it lists maps: it is an
allow-list, and a value that is not in it never falls back to itself. `ignore_case` ignores the case of the value and
means the letters A to Z only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pam_sc.decision.identity import Subject
from pam_sc.mapfile import lower_ascii, Mapfile, read_mapfile, unusable_account
from pam_sc.mapping import check_table, Mapper, MapperContext


class CnMapper(Mapper):
    """Maps every commonName of the subject, in the order of the certificate."""

    def __init__(self, mapfile: Mapfile | None, *, ignore_case: bool) -> None:
        """Keep what was configured."""
        self._mapfile = mapfile
        self._ignore_case = ignore_case

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; keys `mapfile` (absolute path) and `ignore_case` (default false)."""
        check_table(table, {"mapfile": str, "ignore_case": bool}, context.where)
        ignore_case, path = table.get("ignore_case", False), table.get("mapfile")
        mapfile = None if path is None else read_mapfile(path, context.trusted_uids, ignore_case=ignore_case)
        return cls(mapfile, ignore_case=ignore_case)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The commonNames."""
        return subject.common_names

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The account of each commonName; with ignore_case and no mapfile its name in small letters."""
        found = (self._account_of(value) for value in subject.common_names)
        return tuple(dict.fromkeys(name for name in found if name is not None and unusable_account(name) is None))

    def _account_of(self, value: str) -> str | None:
        if self._mapfile is not None:
            return self._mapfile.account_of(value)
        return lower_ascii(value) if self._ignore_case else value

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether one commonName is this account's; with ignore_case and no mapfile in whatever case it is."""
        if self._mapfile is None and self._ignore_case:
            return lower_ascii(account) in self.accounts(subject)
        return account in self.accounts(subject)
