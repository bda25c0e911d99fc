# SPDX-License-Identifier: LGPL-2.1-or-later
"""What this machine says: its accounts (NSS), who sits at it (logind), its identity. Reads; never decides.

The environment is never asked: it belongs to whoever started the program.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import time
from collections.abc import Iterable
from typing import Protocol

from pam_sc.decision.request import Account, AccountLookup, Locality, LookupFailed, NoSuchAccount, Request
from pam_sc.errors import MapperError
from pam_sc.services import Person

SESSIONS = "/run/systemd/sessions"
MACHINE_ID = "/etc/machine-id"
BOOT_ID = "/proc/sys/kernel/random/boot_id"

PEOPLE_MAX = 100_000
"""Accounts that a mapper looks through."""

_ACCOUNT_NAME_MAX = 256


class Accounts(Protocol):
    """The account database."""

    def by_name(self, name: str) -> AccountLookup:
        """Look an account up by name."""

    def by_uid(self, uid: int) -> AccountLookup:
        """Look an account up by number."""


class PwdAccounts:
    """The account database through Python's pwd module, which cannot tell an NSS error from "no such account".

    For the command line, with all groups of an account. A login uses NssAccounts.
    """

    def by_name(self, name: str) -> AccountLookup:
        """Look an account up by name."""
        if not may_be_account(name):
            return NoSuchAccount()
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return NoSuchAccount()
        return Account(entry.pw_name, entry.pw_uid, _all_groups(entry))

    def by_uid(self, uid: int) -> AccountLookup:
        """Look an account up by number."""
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return NoSuchAccount()
        return Account(entry.pw_name, entry.pw_uid, _all_groups(entry))


def _all_groups(entry: pwd.struct_passwd) -> frozenset[str]:
    names = set()
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        with contextlib.suppress(KeyError):
            names.add(grp.getgrgid(gid).gr_name)
    return frozenset(names)


class NssAccounts:
    """The account database through getpwnam_r and its kin, as pam_sc_worker offers them in its module `_pam_sc`.

    Of the groups of an account only those in `groups` are looked for. An NSS error is not "no such group".
    """

    def __init__(self, groups: frozenset[str] = frozenset()) -> None:
        self._groups = groups

    def by_name(self, name: str) -> AccountLookup:
        """Look an account up by name; an NSS error is LookupFailed."""
        return self._look_up("look_up_name", name) if may_be_account(name) else NoSuchAccount()

    def by_uid(self, uid: int) -> AccountLookup:
        """Look an account up by number; an NSS error is LookupFailed."""
        return self._look_up("look_up_uid", uid)

    def _look_up(self, function: str, key: str | int) -> AccountLookup:
        import _pam_sc  # a builtin of pam_sc_worker: exists only there

        try:
            found = getattr(_pam_sc, function)(key)
            if found is None:
                return NoSuchAccount()
            return Account(found[0], found[1], self._groups_of(found[0]) if self._groups else frozenset())
        except KeyError:
            return LookupFailed("the name service knew the account, and then did not")
        except OSError as error:
            return LookupFailed(f"the name service gave an error: {error.strerror}")

    def _groups_of(self, name: str) -> frozenset[str]:
        """Those of the wanted groups that the account is in, by either of the two ways to say so.

        By the name that is wanted, whatever the name service calls it (some do not mind upper case): an account that a
        group keeps out must not come in. OSError if one of them cannot be looked up, so that it does not come in meanwhile.
        """
        import _pam_sc

        groups = [(group, found) for group in sorted(self._groups) if (found := _pam_sc.look_up_group(group)) is not None]
        gids = os.getgrouplist(name, pwd.getpwnam(name).pw_gid)
        return frozenset(group for group, (_name, gid, members) in groups if gid in gids or name in members)


class PwdPeople:
    """Accounts for mappers through Python's pwd module, with its weakness. For the command line."""

    def by_name(self, name: str) -> Person | None:
        """Return the account of this very name, None if there is none."""
        if not may_be_account(name):
            return None
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return Person(entry.pw_name, entry.pw_uid, entry.pw_gecos) if entry.pw_name == name else None

    def everybody(self) -> Iterable[Person]:
        """Return every account that NSS lists; MapperError for more than PEOPLE_MAX."""
        found = pwd.getpwall()
        if len(found) > PEOPLE_MAX:
            raise MapperError(f"the name service lists more than {PEOPLE_MAX} accounts")
        return tuple(Person(each.pw_name, each.pw_uid, each.pw_gecos) for each in found)


class NssPeople:
    """Accounts for mappers, as pam_sc_worker offers them in its module `_pam_sc`: an NSS error is an error."""

    def by_name(self, name: str) -> Person | None:
        """Return the account of this very name, None if there is none; MapperError if NSS cannot say."""
        import _pam_sc  # a builtin of pam_sc_worker: exists only there

        if not may_be_account(name):
            return None
        try:
            found = _pam_sc.look_up_name(name)
        except OSError as error:
            raise MapperError(f"the name service gave an error: {error.strerror}") from error
        return Person(*found) if found is not None and found[0] == name else None

    def everybody(self) -> Iterable[Person]:
        """Return every account that NSS lists; MapperError if it cannot, or for more than PEOPLE_MAX."""
        import _pam_sc

        try:
            found = _pam_sc.list_accounts(PEOPLE_MAX)
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise MapperError(f"the name service lists more than {PEOPLE_MAX} accounts") from error
            raise MapperError(f"the name service gave an error: {error.strerror}") from error
        return tuple(Person(*each) for each in found)


def may_be_account(name: str) -> bool:
    """Say whether a text can be an account name at all; anything else is not even looked up."""
    return (
        0 < len(name) <= _ACCOUNT_NAME_MAX
        and name not in (".", "..")
        and name[0] not in "-+"
        and name.isprintable()
        and not any(character in "/: " for character in name)
    )


def find_locality(request: Request, sessions_folder: str = SESSIONS) -> Locality:
    """Say whether the person sits at this machine.

    A non-empty PAM_RHOST is remote, "localhost" too. Where logind runs, a caller with real uid not 0 and no active
    local session of its own at a seat is remote: without a seat logind calls every session active and most not remote,
    a job of cron and the service manager of a user who came by ssh among them. Root without PAM_RHOST (login, a display
    manager) is local.
    """
    if request.rhost:
        return Locality(True, "PAM_RHOST is set")
    if request.real_uid == 0:
        return Locality(False, "asked by root, without PAM_RHOST")
    try:
        sessions = sorted(name for name in os.listdir(sessions_folder) if not name.endswith(".ref"))
    except FileNotFoundError:
        return Locality(False, "without PAM_RHOST, and logind does not run")
    except OSError as error:
        return Locality(True, f"the sessions of logind cannot be read: {error.strerror}")
    if any(_is_active_local(f"{sessions_folder}/{session}", request.real_uid) for session in sessions):
        return Locality(False, "the caller has an active local session at a seat")
    return Locality(True, "the caller has no active local session at a seat")


def _is_active_local(session: str, uid: int) -> bool:
    try:
        with open(session, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return False
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    active = (facts.get("UID"), facts.get("ACTIVE"), facts.get("REMOTE")) == (str(uid), "1", "0")
    return active and bool(facts.get("SEAT"))


def machine_id() -> str:
    """Return this machine's id, or "" where there is none (machine-id(5))."""
    return _first_line(MACHINE_ID)


def boot_id() -> str:
    """Return the id of this boot, or "" where /proc does not tell."""
    return _first_line(BOOT_ID)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def process_age() -> float:
    """Return for how many seconds this process has been, since the fork and not since the program's start.

    0.0 where /proc does not tell.
    """
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def random_bytes(count: int) -> bytes:
    """Return fresh bytes from the kernel (getrandom); OSError if it gives none."""
    return os.getrandom(count)
