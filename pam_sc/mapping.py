# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract of a mapper, and how a configured one is found.

A mapper turns a `Subject` (what a certificate says about its owner) into account names. It gets its own table of the
configuration and nothing else: no card, no trust, no network, no clock. It may keep what it read from its own files.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pam_sc.decision.identity import Subject


@dataclass(frozen=True, slots=True)
class MapperContext:
    """What a mapper may know beyond its own table: where the table stands (for messages), who may own its files."""

    where: str
    trusted_uids: frozenset[int]


class Mapper(abc.ABC):
    """One way from a certificate to accounts. Instances are made once a login and hold no state between calls."""

    @classmethod
    @abc.abstractmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper from its configuration table; ConfigError for an unknown key, wrong type or unsafe file."""

    @abc.abstractmethod
    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The values of the certificate that this mapper looks at, for `pam-sc inspect`."""

    @abc.abstractmethod
    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The accounts that the certificate maps to; empty if none. MapperError if that cannot be found out."""

    @abc.abstractmethod
    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether the certificate maps to this very account. MapperError if that cannot be found out."""
