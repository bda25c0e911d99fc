# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which programs the configuration names and as whom they run, read while the verifier still is root.

Nothing is run here and no program is looked at; whether its file can be trusted is judged where the mapper is made.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pam_sc.errors import ConfigError
from pam_sc.programs.messages import ARGUMENTS_MAX, PROGRAMS_MAX, ProgramAccount, Setup
from pam_sc.record import record

DEFAULT_ACCOUNT = "nobody"
DEFAULT_TIMEOUT_S = 3
TIMEOUT_S_MAX = 10
_ARGUMENTS_BYTES_MAX = 8192


@record(kw_only=True)
class ProgramOrder:
    """What one table says: which program with which arguments, as whom, for how long."""

    argv: tuple[str, ...]
    run_as: str
    timeout_s: int


def read_order(table: Mapping[str, Any], where: str) -> ProgramOrder:
    """Read the keys of a mapper `command`; ConfigError for one that is missing or wrong."""
    run_as = table.get("run_as", DEFAULT_ACCOUNT)
    if type(run_as) is not str or not run_as or run_as == "root":
        raise ConfigError(f"{where}: run_as is {run_as!r:.100}, expected the name of an account without privilege")
    timeout = table.get("timeout", DEFAULT_TIMEOUT_S)
    if type(timeout) is not int or not 1 <= timeout <= TIMEOUT_S_MAX:
        raise ConfigError(f"{where}: timeout is {timeout!r:.100}, expected whole seconds from 1 to {TIMEOUT_S_MAX}")
    return ProgramOrder(argv=_argv(table.get("program"), where), run_as=run_as, timeout_s=timeout)


def _argv(program: object, where: str) -> tuple[str, ...]:
    if type(program) is not list or not program or not all(type(each) is str for each in program):
        raise ConfigError(f'{where}: program is {program!r:.100}, expected a list of strings: ["/path", "argument"]')
    if not program[0].startswith("/"):
        raise ConfigError(f"{where}: program is {program[0]!r:.100}, expected an absolute path")
    size = sum(len(each.encode("utf-8", "replace")) + 1 for each in program)
    if len(program) > ARGUMENTS_MAX or size > _ARGUMENTS_BYTES_MAX or any("\0" in each for each in program):
        raise ConfigError(f"{where}: program has too many or too long arguments, or one with NUL")
    return tuple(program)


def plan_programs(
    tables: Sequence[tuple[Mapping[str, Any], str]], *, privileged: bool, taken: Collection[str] = ()
) -> Setup | None:
    """Return what the runner is told, from (table, where it stands) of each mapper `command`; None where there is none.

    `privileged`: whether the runner has root to give up. `taken`: names of the accounts of a login's other processes,
    which a program must not share. ConfigError if the account does not exist, has privilege, or is not the same for all.
    """
    orders = [(read_order(table, where), where) for table, where in tables]
    if not orders:
        return None
    first, where = orders[0]
    for order, other in orders[1:]:
        if order.run_as != first.run_as:
            raise ConfigError(f"{other}: run_as is {order.run_as!r}, expected {first.run_as!r} as {where} has it: "
                              "the programs of a login all run as one account")
    if len(orders) > PROGRAMS_MAX:
        raise ConfigError(f"{orders[PROGRAMS_MAX][1]}: more than {PROGRAMS_MAX} mappers run a program")
    account = _account(first.run_as, where, taken) if privileged else None
    return Setup(account, tuple(order.argv for order, _where in orders))


def _account(name: str, where: str, taken: Collection[str]) -> ProgramAccount:
    entry = _look_up(name)
    if entry is None:
        raise ConfigError(f"{where}: run_as is {name!r}, but there is no such account")
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise ConfigError(f"{where}: run_as is {name!r}, which has uid {entry.pw_uid} and gid {entry.pw_gid}; "
                          "expected neither to be 0")
    if entry.pw_uid in {other.pw_uid for other in map(_look_up, taken) if other is not None}:
        raise ConfigError(f"{where}: run_as is {name!r}, which is the account of another process of a login; "
                          "expected one of its own")
    groups = tuple(gid for gid in os.getgrouplist(name, entry.pw_gid) if gid != 0)
    return ProgramAccount(entry.pw_uid, entry.pw_gid, groups)


def _look_up(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
