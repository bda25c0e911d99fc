# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `employee`: the serialNumber attribute of the subject is an employee number, and that is the account.

Number 4711 is the account "e4711". Where the configuration names a list, only who is in it maps: one number a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError, MapperError, OwnershipError
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.ownership import read_trusted_file

SERIAL_NUMBER = "2.5.4.5"
LIST_BYTES_MAX = 1 << 20
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class EmployeeMapper(Mapper):
    """Maps every serialNumber (2.5.4.5) that is an employee number."""

    def __init__(self, prefix: str, listed: frozenset[str] | None) -> None:
        self._prefix = prefix
        self._listed = listed

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key, a wrong type, or a list that cannot be trusted."""
        check_table(table, {"prefix": str, "list": str}, context.where)
        path = table.get("list")
        listed = None if path is None else _read_list(path, context)
        return cls(table.get("prefix", "e"), listed)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The employee numbers."""
        return tuple(each for each in subject.attribute_values(SERIAL_NUMBER) if NUMBER.fullmatch(each))

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The account of each number."""
        numbers = self.sees(subject)
        if len(numbers) > 1:
            raise MapperError(f"a certificate with {len(numbers)} employee numbers is a mistake of the issuer")
        return tuple(self._prefix + each for each in numbers if self._listed is None or each in self._listed)

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether the number is this account's."""
        return account in self.accounts(subject)


def _read_list(path: str, context: MapperContext) -> frozenset[str]:
    try:
        content = read_trusted_file(path, context.trusted_uids, LIST_BYTES_MAX)
        numbers = content.decode("ascii").split()
    except (OwnershipError, UnicodeDecodeError) as error:
        raise ConfigError(f"{context.where}: cannot use the list {path!r}: {error}") from error
    for each in numbers:
        if not NUMBER.fullmatch(each):
            raise ConfigError(f"{context.where}: {path!r} holds {each!r:.50}, expected employee numbers")
    return frozenset(numbers)
