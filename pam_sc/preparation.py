# SPDX-License-Identifier: LGPL-2.1-or-later
"""What only root can prepare for the mappers of a login, found in their tables by the names of our own mappers.

It runs before root is given up and therefore imports no mapper, parses nothing but the tables, and looks at nothing of a
card. A table that is wrong is passed over: the mapper itself refuses it when it is made, without privilege; only the
account of a program, which is needed here, is judged here. Secrets are kept by path; one that is missing or unsafe is
remembered with why, and is the mapper's to complain of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration, MapperSettings
from pam_sc.decision.request import Request
from pam_sc.errors import OwnershipError
from pam_sc.ownership import read_trusted_file
from pam_sc.record import field, record

if TYPE_CHECKING:
    from pam_sc.homes import HomeOrder
    from pam_sc.programs.messages import Setup

SECRET_KEYS = ("password_file", "client_certificate", "client_key")
SECRET_MAX = 64 * 1024
HOME_FILES: Mapping[str, str] = {"openssh": ".ssh/authorized_keys", "opensc": ".eid/authorized_certificates"}
"""The mappers that read homes, with the default of their key `file`."""


@record(kw_only=True)
class HomePlan:
    """How homes are read in a login. `order`: what the home reader is told; None: no home is read.

    `may_scan`: the card names the account, and a mapper's table lets homes, or the administrator's files in place of
    them, be scanned for it.
    """

    order: HomeOrder | None
    may_scan: bool


@record(kw_only=True)
class Prepared:
    """What the mappers of one login get that they cannot get themselves; None and empty where none asks for it."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    homes: HomePlan | None = None
    programs: Setup | None = None


def prepare(configuration: Configuration, request: Request, trusted_uids: frozenset[int]) -> Prepared:
    """Read the secrets that mappers name, and say what the processes must be told that answer mappers.

    ConfigError if a program has no account that it may run as.
    """
    secrets, unreadable = _read_secrets(configuration, trusted_uids)
    homes, programs = _plan_homes(configuration, request), plan_programs_of(configuration)
    return Prepared(secrets=secrets, unreadable=unreadable, homes=homes, programs=programs)


def asks_directory(configuration: Configuration) -> bool:
    """Say whether a mapper asks a directory, so that a login may need the network process."""
    return any(_directory_table(mapper) for mapper in configuration.mappers)


# ---- secrets


def _read_secrets(
    configuration: Configuration, trusted_uids: frozenset[int]
) -> tuple[dict[str, bytes], dict[str, str]]:
    secrets: dict[str, bytes] = {}
    unreadable: dict[str, str] = {}
    for path in _secret_paths(configuration):
        try:
            secrets[path] = read_trusted_file(path, trusted_uids, SECRET_MAX, secret=True)
        except OwnershipError as error:
            unreadable[path] = str(error)
    return secrets, unreadable


def _secret_paths(configuration: Configuration) -> Iterator[str]:
    for mapper in configuration.mappers:
        table = _directory_table(mapper)
        for key in SECRET_KEYS if table else ():
            path = table.get(key)
            if isinstance(path, str):
                yield path


def _directory_table(mapper: MapperSettings) -> Mapping[str, Any]:
    """The table that says how a directory is asked: of the mapper `ldap` its own, of `rules` the one named ldap."""
    table = mapper.table if mapper.name == "ldap" else mapper.table.get("ldap") if mapper.name == "rules" else None
    return table if isinstance(table, Mapping) else {}


# ---- homes


def _plan_homes(configuration: Configuration, request: Request) -> HomePlan | None:
    """Plan which files in which homes this login may read; None where no mapper reads a home."""
    named = [mapper for mapper in configuration.mappers if mapper.name in HOME_FILES]
    if not named:
        return None
    from pam_sc.homes import PATHS_MAX, HomeOrder

    names_account = request.account is not None or request.real_uid != 0
    may_scan = not names_account and any(mapper.table.get("scan_homes") is True for mapper in named)
    counting = [mapper for mapper in named if _counts(configuration, request, mapper.table)]
    found = (_home_path(mapper) for mapper in counting if names_account or mapper.table.get("scan_homes") is True)
    paths = tuple(dict.fromkeys(path for path in found if path is not None))[:PATHS_MAX]
    if not paths:
        return HomePlan(order=None, may_scan=may_scan)
    order = HomeOrder(
        paths=paths,
        account=request.account,
        uid=None if request.account is not None or may_scan else request.real_uid,
        everybody=may_scan,
        allow_root=configuration.account.allow_root,
    )
    return HomePlan(order=order, may_scan=may_scan)


def _home_path(mapper: MapperSettings) -> str | None:
    """The path in homes that a mapper reads; None if it reads none, but the administrator's files or a wrong table."""
    from pam_sc.homes import is_home_path

    path = mapper.table.get("file", HOME_FILES[mapper.name])
    return path if isinstance(path, str) and is_home_path(path) else None


def _counts(configuration: Configuration, request: Request, table: Mapping[str, Any]) -> bool:
    """Say whether a mapper's file in a home counts for this request: nobody's home is opened for nothing."""
    from pam_sc.decision.home_files import why_not_believed

    named = table.get("believed_for", ())
    believed_for = frozenset(each for each in named if isinstance(each, str)) if isinstance(named, list) else frozenset()
    return why_not_believed(request, configuration.account.privileged_services, believed_for) is None


# ---- programs


def plan_programs_of(configuration: Configuration) -> Setup | None:
    """Return what the program runner must be told; None where no mapper runs a program, ConfigError as above."""
    tables = [(mapper.table, mapper.where) for mapper in configuration.mappers if mapper.name == "command"]
    if not tables:
        return None
    from pam_sc.programs.order import plan_programs

    taken = (VERIFIER_ACCOUNT, configuration.token.run_as)
    return plan_programs(tables, privileged=os.geteuid() == 0, taken=taken)
