# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `mail`: every mail address of the subjectAltName (rfc822Name) names an account, or a mapfile's line.

An address counts only if it is one plain `local@domain`. Its local part alone is a name only within the domains that
the configuration lists, each compared whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pam_sc.decision.identity import Subject
from pam_sc.domains import DOMAIN_OPTIONS, Domains
from pam_sc.mapping import MapperContext
from pam_sc.value_mapper import ValueMapper


class MailMapper(ValueMapper):
    """Maps every rfc822Name (RFC 5280, section 4.2.1.6). The commonName and emailAddress of the subject do not count."""

    OPTIONS: ClassVar[Mapping[str, type]] = DOMAIN_OPTIONS
    IGNORE_CASE: ClassVar[bool] = True

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys and the domains."""
        super().__init__(table, context)
        self._domains = Domains(table, context)

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The addresses that are plain and of a domain that counts."""
        return self._domains.those_that_count(subject.mails)

    def name_of(self, value: str) -> str | None:
        """The local part where domains decide, else the whole address."""
        return self._domains.name_of(value)

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:  # noqa: ARG002 - the same for each
        """The addresses that do not count, each with the reason."""
        return self._domains.why_not(subject.mails)
