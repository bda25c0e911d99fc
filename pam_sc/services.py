# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a mapper may ask of the process it runs in: accounts, files in homes, a directory, a program. Contracts only.

The verifier has no network, starts no program and cannot read a home; each of these is a channel to a process that can.
A mapper gets them in its context and never knows what stands behind. Everything that cannot be answered is a
MapperError whose `reason` says what kind of failure it was, and never "no such entry".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from pam_sc.decision.reasons import Reason
from pam_sc.errors import MapperError
from pam_sc.record import field, record

_HERE = re.compile(r"ldaps?://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?/?", re.IGNORECASE)


def on_this_machine(url: str) -> bool:
    """Say whether an LDAP URL (host and port alone) leads to this very machine: nobody can stand between."""
    return _HERE.fullmatch(url) is not None


class CannotMap(MapperError):
    """A mapper could not answer, for a reason that has a name of its own."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class DoesNotMap(MapperError):
    """The answer is no, and this is why. A mapper may raise it in place of an empty answer."""


@record
class Person:
    """An account as NSS knows it (passwd(5))."""

    name: str
    uid: int
    gecos: str


class People(Protocol):
    """The accounts of this machine."""

    def by_name(self, name: str) -> Person | None:
        """Return the account of this very name, None if there is none; MapperError if NSS cannot say."""

    def everybody(self) -> Iterable[Person]:
        """Return every account that NSS lists (not every source lists all); MapperError if it cannot."""


class Homes(Protocol):
    """Files in the homes of accounts, read by the home reader as that account."""

    @property
    def may_scan(self) -> bool:
        """Say whether this request lets the card name the account, and a mapper's table lets homes be scanned for it."""

    def read(self, account: str, path: str, *, believed_for: frozenset[str]) -> bytes | None:
        """Return the file's content (at most homes.FILE_MAX bytes), None where account or file do not exist.

        `path` is relative to the home and one of those that the configuration names. `believed_for`: the privileged
        services for which the configuration believes this file by name. CannotMap where the file could be anybody's,
        is too large, no regular file, or must not be believed for this request.
        """


@record(kw_only=True)
class DirectoryServers:
    """Where and as whom a directory is asked (RFC 4511, RFC 4513, RFC 4516)."""

    urls: tuple[str, ...]
    """ldap:// or ldaps:// with host and port alone, asked in this order until one answers."""
    start_tls: bool = False
    """Whether ldap:// URLs speak StartTLS first. Without it they speak no TLS at all."""
    ca_pem: bytes | None = field(default_factory=lambda: None, repr=False)
    """Who may certify the servers. Required with TLS: the system's own authorities are never used."""
    verify: bool = True
    """False: whoever answers is believed. Only where the configuration insists."""
    bind_dn: str | None = None
    password: bytes | None = field(default_factory=lambda: None, repr=False)
    external: bool = False
    """Bind with SASL EXTERNAL: as whom the client certificate names. Else simple where there is a bind_dn, else anonymous."""
    client_pem: bytes | None = field(default_factory=lambda: None, repr=False)
    """Certificate and key for TLS."""
    connect_s: float = 3.0
    """For each server until it is bound; less where the login has less time."""
    search_s: float = 5.0
    """For the answer of each server after that."""
    ignore_references: bool = False
    """Pass over references to other servers beside the entries; they are never followed."""


@record(kw_only=True)
class DirectorySearch:
    """One search. `filter` is complete and escaped (RFC 4515)."""

    servers: DirectoryServers
    base: str
    scope: str = "subtree"
    """base, one or subtree."""
    filter: str
    attributes: tuple[str, ...]
    entries_max: int = 1


@record
class DirectoryEntry:
    """One entry: its name, and for each attribute asked for its values.

    Names of attributes are in small letters and without ";binary"; what has any other option is not there.
    """

    name: str
    attributes: Mapping[str, tuple[bytes, ...]]


class Directory(Protocol):
    """An LDAP directory, asked by the network process."""

    def search(self, wanted: DirectorySearch) -> tuple[DirectoryEntry, ...]:
        """Return the entries; CannotMap if no server could answer, or there are more than `entries_max`."""


class Programs(Protocol):
    """The external programs that the configuration names, run without privilege by a process of their own."""

    def ask(self, argv: tuple[str, ...], line: str, timeout_s: float) -> str:
        """Give the program one line and return the one line that it answers; CannotMap for anything else."""


class _NotHere:
    """Stands where a mapper's configuration is only checked: every question is an error."""

    def _refuse(self, *_arguments: object, **_options: object) -> None:
        raise MapperError("there is nobody here to ask")

    by_name = everybody = read = search = ask = _refuse
    may_scan = False


_NOBODY = _NotHere()


@record(kw_only=True)
class Services:
    """Everything a mapper may ask."""

    people: People = field(default_factory=lambda: _NOBODY)
    homes: Homes = field(default_factory=lambda: _NOBODY)
    directory: Directory = field(default_factory=lambda: _NOBODY)
    programs: Programs = field(default_factory=lambda: _NOBODY)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Files that only root can read and that the configuration names, as read before root was given up, by path."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Those that could not be read, by path, each with why."""


NOBODY_TO_ASK = Services()
