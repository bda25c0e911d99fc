# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `null`: every certificate that is trusted belongs to one account, whoever's card it is.

Nobody gets that by accident: two keys have to say it, and root is never that account, whatever else is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapfile import unusable_account
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.services import People

INSIST = "i_know_that_any_trusted_card_opens_this_account"


class NullMapper(Mapper):
    """Maps everything to one account."""

    def __init__(self, account: str, people: People) -> None:
        self._account = account
        self._people = people

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError unless both keys say what it does."""
        check_table(table, {"any_card_is": str, INSIST: bool}, context.where)
        account = table.get("any_card_is")
        if account is None or table.get(INSIST) is not True:
            raise ConfigError(f"{context.where}: the mapper null lets every trusted card open one account; it is refused "
                              f'unless any_card_is = "ACCOUNT" and {INSIST} = true both say so')
        problem = "is root's" if account == "root" else unusable_account(account)
        if problem is not None:
            raise ConfigError(f"{context.where}: any_card_is is {account!r:.100}, which {problem}; "
                              "expected the name of an account other than root")
        return cls(account, context.services.people)

    def sees(self, subject: Subject) -> tuple[str, ...]:  # noqa: ARG002 - it looks at nothing
        """Nothing of it."""
        return ()

    def accounts(self, subject: Subject) -> tuple[str, ...]:  # noqa: ARG002
        """The one account, if it exists; MapperError if that is root under another name, or NSS cannot say."""
        return (self._account,) if self._exists() else ()

    def claims(self, subject: Subject, account: str) -> bool:  # noqa: ARG002
        """Say whether it is the one account."""
        return self._exists() and account == self._account

    def _exists(self) -> bool:
        person = self._people.by_name(self._account)
        if person is None or person.name != self._account:
            return False
        if person.uid == 0:
            raise MapperError(f"any_card_is is {self._account!r}, which has uid 0: no card of anybody becomes root")
        return True
