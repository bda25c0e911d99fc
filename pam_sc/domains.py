# SPDX-License-Identifier: LGPL-2.1-or-later
"""Values of the form `local@domain`, for the mappers whose configuration says which domains count.

Exactly one "@", neither side empty, nothing quoted: what RFC 5321 or a directory allows beyond that could be read in
two ways. A domain is compared whole and without regard to the case of A to Z, never as a part of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pam_sc.errors import ConfigError
from pam_sc.mapfile import lower_ascii
from pam_sc.mapping import MapperContext
from pam_sc.value_mapper import words

DOMAIN_OPTIONS: Mapping[str, type] = {"domains": list, "any_domain": bool}


class Domains:
    """The keys `domains` and `any_domain`, and what they say about a value."""

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the keys from a table whose types have been checked; ConfigError if they contradict each other."""
        self._domains = frozenset(map(lower_ascii, words(table, "domains", "domain", context)))
        any_domain = table.get("any_domain", False)
        if any_domain and self._domains:
            raise ConfigError(f"{context.where}: any_domain says that no domain is looked at: remove it, or domains")
        self.local_part_is_name = bool(self._domains) or any_domain

    def why_unusable(self, value: str) -> str | None:
        """Return why a value does not count, None if it does."""
        if set(value) & set(' "\\()<>,;:[]'):
            return "holds a blank or a character that has to be quoted"
        local, _at, domain = value.partition("@")
        if "@" in domain or not local or not domain:
            return "is not local@domain"
        if self._domains and lower_ascii(domain) not in self._domains:
            return "is not of one of the domains"
        return None

    def those_that_count(self, values: Iterable[str]) -> tuple[str, ...]:
        """Return the values that count, in their order."""
        return tuple(value for value in values if self.why_unusable(value) is None)

    def why_not(self, values: Iterable[str]) -> tuple[str, ...]:
        """Return a sentence about each value that does not count."""
        problems = ((value, self.why_unusable(value)) for value in values)
        return tuple(f"{value!r} {problem}" for value, problem in problems if problem is not None)

    def name_of(self, value: str) -> str:
        """Return the name that a value which counts is: its local part where domains decide, else all of it."""
        return value.partition("@")[0] if self.local_part_is_name else value
