# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the mappers share for which a file of each account says whose card it is: in its home, or kept by root for it.

A file in a home is believed only where that gives nobody more than they have (decision/home_files.py), and read by the
home reader. `file` may instead be an absolute path with %u for the account: the administrator's own file, believed
everywhere. Without the name of an account no file is looked at unless `scan_homes` says so; then two that claim the
certificate are two answers, never a choice.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError, MapperError, OwnershipError
from pam_sc.homes import FILE_MAX, is_home_path
from pam_sc.mapfile import unusable_account
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.ownership import read_trusted_file
from pam_sc.services import CannotMap

SCAN_MAX = 1000
"""Accounts that are looked at where the card names the account."""
_SHARED: Mapping[str, type] = {"file": str, "believed_for": list, "scan_homes": bool}


class HomeMapper(Mapper):
    """A mapper that says in `holds` whether a file's content gives the account to the certificate."""

    SCAN_S: ClassVar[float] = 5.0
    """How long looking at the files of all accounts may take."""
    FILE: ClassVar[str]
    """The default of `file`."""
    OPTIONS: ClassVar[Mapping[str, type]] = {}
    """The keys that a subclass knows beyond `file`, `believed_for` and `scan_homes`."""

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys; a subclass reads its own after this."""
        check_table(table, {**_SHARED, **self.OPTIONS}, context.where)
        self.file: str = table.get("file", self.FILE)
        self.believed_for = frozenset(strings(table, "believed_for", context))
        self._scans: bool = table.get("scan_homes", False)
        self._context = context
        self._require_usable_file()

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key, a wrong type or a path that is none."""
        return cls(table, context)

    @abc.abstractmethod
    def holds(self, content: bytes, subject: Subject) -> bool:
        """Say whether a file with this content gives its account to the certificate."""

    @abc.abstractmethod
    def explain(self, content: bytes, subject: Subject) -> tuple[str, ...]:
        """Say how it comes to that, a line each."""

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The accounts whose file gives them to the certificate, where files may be scanned for that; else none."""
        if not self._scans or not self._context.services.homes.may_scan or subject.facts is None:
            return ()
        return self._scan(subject)

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether this account's file gives it to the certificate; MapperError if it cannot or must not be read."""
        if subject.facts is None:
            return False
        content = self._read(account)
        return content is not None and self.holds(content, subject)

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:
        """Say what is in the account's file."""
        if account is None:
            return ("files are scanned for the card's owner",) if self._scans else (
                "without the name of an account no file is looked at (scan_homes)",)
        try:
            content = self._read(account)
        except MapperError as error:
            return (str(error),)
        if content is None:
            return (f"there is no file {self._path(account)!r} of the account",)
        return self.explain(content, subject)

    def _scan(self, subject: Subject) -> tuple[str, ...]:
        """Ask each account's file. A file that cannot be used hides nobody else's, or anybody could stop all logins."""
        found: list[str] = []
        failed: MapperError | None = None
        end = time.monotonic() + self.SCAN_S
        for number, person in enumerate(self._context.services.people.everybody()):
            if number == SCAN_MAX:
                raise MapperError(f"cannot look for the card's owner: there are more than {SCAN_MAX} accounts")
            if time.monotonic() > end:
                raise MapperError(f"cannot look for the card's owner: it takes longer than {self.SCAN_S:.0f} s")
            try:
                if person.name not in found and self.claims(subject, person.name):
                    found.append(person.name)
            except CannotMap:
                continue
            except MapperError as error:
                failed = failed or error
        if failed is not None and not found:
            raise failed
        return tuple(found)

    def _read(self, account: str) -> bytes | None:
        if unusable_account(account) is not None or account in (".", ".."):
            return None
        if not self.file.startswith("/"):
            return self._context.services.homes.read(account, self.file, believed_for=self.believed_for)
        try:
            return read_trusted_file(self._path(account), self._context.trusted_uids, FILE_MAX)
        except OwnershipError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise MapperError(str(error)) from error

    def _path(self, account: str) -> str:
        return self.file.replace("%u", account)

    def _require_usable_file(self) -> None:
        where, path = self._context.where, self.file
        if not path.startswith("/"):
            if not is_home_path(path):
                raise ConfigError(f"{where}: file is {path!r:.100}, expected a path in a home, or an absolute one with %u")
            return
        if "%u" not in path or "%" in path.replace("%u", "") or "\0" in path:
            raise ConfigError(f"{where}: file is {path!r:.100}, expected %u in it for the account, and no other %")
        if self.believed_for:
            raise ConfigError(f"{where}: believed_for is for files in homes; {path!r:.100} is believed everywhere")


def strings(table: Mapping[str, Any], key: str, context: MapperContext) -> tuple[str, ...]:
    """Return a list of strings of the table, empty if it has none; ConfigError for anything else in it."""
    values: list[Any] = table.get(key, [])
    wrong = [each for each in values if not isinstance(each, str) or not each]
    if wrong:
        raise ConfigError(f"{context.where}: {key} holds {wrong[0]!r:.100}, expected strings")
    return tuple(values)
