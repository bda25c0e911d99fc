# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `upn` (also `ms`): every Microsoft userPrincipalName of the subjectAltName names an account.

A name counts only if it is one plain `local@domain`. Its local part alone is a name only within the domains that the
configuration lists, each compared whole: the name of another domain belongs to somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pam_sc.decision.identity import Subject
from pam_sc.domains import DOMAIN_OPTIONS, Domains
from pam_sc.errors import ConfigError
from pam_sc.mapfile import unusable_account
from pam_sc.mapping import MapperContext
from pam_sc.value_mapper import ValueMapper


class UpnMapper(ValueMapper):
    """Maps every userPrincipalName: an otherName 1.3.6.1.4.1.311.20.2.3 that holds one UTF8String."""

    OPTIONS: ClassVar[Mapping[str, type]] = {**DOMAIN_OPTIONS, "nickname": str}

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys, the domains and the nickname."""
        super().__init__(table, context)
        self._domains = Domains(table, context)
        self._before = _before(table, self._domains, context)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The names that are plain and of a domain that counts."""
        return self._domains.those_that_count(subject.upns)

    def name_of(self, value: str) -> str | None:
        """The local part where domains decide, after the nickname if there is one; else the whole name."""
        return self._before + self._domains.name_of(value)

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:  # noqa: ARG002 - the same for each
        """The names that do not count, each with the reason."""
        return self._domains.why_not(subject.upns)


def _before(table: Mapping[str, Any], domains: Domains, context: MapperContext) -> str:
    r"""What stands before the local part: `NICK\`, or nothing."""
    nickname = table.get("nickname")
    if nickname is None:
        return ""
    if unusable_account(nickname) is not None or "\\" in nickname or "@" in nickname:
        raise ConfigError(f"{context.where}: nickname is {nickname!r:.100}, expected the short name of a domain")
    if not domains.local_part_is_name:
        raise ConfigError(f"{context.where}: nickname stands before the name within a domain: set domains too")
    return f"{nickname}\\"
