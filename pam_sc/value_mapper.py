# SPDX-License-Identifier: LGPL-2.1-or-later
"""What most mappers share: a value of the certificate is an account's name, directly or through a mapfile.

Without a mapfile the value itself is the account's name, compared exactly. With one only what it lists maps: it is an
allow-list, and a value that is not in it falls back to itself only where `unlisted = "same"` insists. `ignore_case`
ignores the case of the value and means the letters A to Z only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError
from pam_sc.mapfile import lower_ascii, read_mapfile, unusable_account
from pam_sc.mapping import Mapper, MapperContext, check_table

SHARED: Mapping[str, type] = {"mapfile": str, "ignore_case": bool, "unlisted": str}
LISTED_ONLY: Mapping[str, type] = {"mapfile": str}
"""`SHARED` of a mapper whose values are no names of accounts: only a mapfile can map them."""


class ValueMapper(Mapper):
    """A mapper that says in `sees` which values count; a subclass may turn one into a name in its own way."""

    SHARED: ClassVar[Mapping[str, type]] = SHARED
    """The keys read here that the subclass has. Without `unlisted` it requires a mapfile."""
    OPTIONS: ClassVar[Mapping[str, type]] = {}
    """The keys that a subclass knows beyond them."""
    IGNORE_CASE: ClassVar[bool] = False
    """The default of `ignore_case`."""

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys; a subclass reads its own after this."""
        check_table(table, {**self.SHARED, **self.OPTIONS}, context.where)
        if "unlisted" not in self.SHARED and "mapfile" not in table:
            raise ConfigError(f"{context.where}: mapfile is missing: what this mapper looks at is no name of an account")
        self.ignore_case: bool = table.get("ignore_case", self.IGNORE_CASE)
        path = table.get("mapfile")
        self.mapfile = None if path is None else read_mapfile(path, context.trusted_uids, ignore_case=self.ignore_case)
        self._same = _unlisted(table, context) == "same"

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key, a wrong type or an unsafe mapfile."""
        return cls(table, context)

    def name_of(self, value: str) -> str | None:
        """Return the name that a value is where no mapfile says it; None if it is none. Here the value itself."""
        return value

    def spellings(self, subject: Subject) -> tuple[str, ...]:
        """Every way in which a mapfile may write the values that `sees` shows."""
        return self.sees(subject)

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The account of each value; with ignore_case and no mapfile its name in small letters."""
        found = self._accounts_of(self.spellings(subject))
        return tuple(dict.fromkeys(name for name in found if name is not None and unusable_account(name) is None))

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether one value is this account's; with ignore_case and no mapfile in whatever case it is."""
        names = self.accounts(subject)
        if account in names:
            return True
        return self.ignore_case and self.mapfile is None and lower_ascii(account) in names

    @property
    def may_be_unlisted(self) -> bool:
        """Whether a value can be a name without a mapfile's line."""
        return self.mapfile is None or self._same

    def _accounts_of(self, values: Sequence[str]) -> Iterator[str | None]:
        """The account of each value. The mapfile is read once for all."""
        listed = self.mapfile.accounts_of(values) if self.mapfile is not None else (None,) * len(values)
        return map(self._account_of, values, listed)

    def _account_of(self, value: str, listed: str | None) -> str | None:
        if listed is not None or not self.may_be_unlisted:
            return listed
        name = self.name_of(value)
        return lower_ascii(name) if name is not None and self.ignore_case else name


def words(table: Mapping[str, Any], key: str, what: str, context: MapperContext) -> frozenset[str]:
    """Return the strings of a list that may be missing but not be empty, nor hold anything but plain ASCII words."""
    given = table.get(key)
    if given is None:
        return frozenset()
    if not given:
        raise ConfigError(f"{context.where}: {key} is empty, expected a list of {what}s")
    for each in given:
        if not (isinstance(each, str) and each.isascii() and each.isprintable() and each) or set(" @") & set(each):
            raise ConfigError(f"{context.where}: {key} holds {each!r:.100}, expected a {what}")
    return frozenset(given)


def _unlisted(table: Mapping[str, Any], context: MapperContext) -> str:
    word: str = table.get("unlisted", "refuse")
    if word not in ("refuse", "same"):
        raise ConfigError(f'{context.where}: unlisted is {word!r:.100}, expected "refuse" or "same"')
    if "unlisted" in table and "mapfile" not in table:
        raise ConfigError(f"{context.where}: unlisted says what to do with values that a mapfile lacks: set mapfile too")
    return word
