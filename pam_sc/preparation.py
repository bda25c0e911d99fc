# SPDX-License-Identifier: LGPL-2.1-or-later
"""What only root can prepare for the mappers of a login, found in their tables by the names of our own mappers.

It runs before root is given up and therefore imports no mapper, parses nothing but the tables, and looks at nothing of a
card. A table that is wrong is passed over: the mapper itself refuses it when it is made, without privilege. Secrets are
kept by path; one that is missing or unsafe is remembered with why, and is the mapper's to complain of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.decision.evidence import Request
from pam_sc.errors import OwnershipError
from pam_sc.ownership import read_trusted_file
from pam_sc.record import field, record

if TYPE_CHECKING:
    from pam_sc.homes import HomeOrder

SECRET_KEYS = ("password_file", "client_certificate", "client_key")
SECRET_MAX = 64 * 1024
HOME_FILES: Mapping[str, str] = {"openssh": ".ssh/authorized_keys", "opensc": ".eid/authorized_certificates"}
"""The mappers that read homes, with the default of their key `file`."""


@record(kw_only=True)
class HomePlan:
    """How homes are read in a login. `order`: what the home reader is told; None: it is not needed."""

    order: HomeOrder | None
    may_scan: bool


@record(kw_only=True)
class Prepared:
    """What the mappers of one login get that they cannot get themselves; None and empty where none asks for it."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    homes: HomePlan | None = None


def prepare(configuration: Configuration, request: Request, trusted_uids: frozenset[int]) -> Prepared:
    """Read the secrets that mappers name, and say what the processes must be told that answer mappers."""
    secrets, unreadable = _read_secrets(configuration, trusted_uids)
    return Prepared(secrets=secrets, unreadable=unreadable, homes=_plan_homes(configuration, request))


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
    wanted = [(mapper.table, path) for mapper in configuration.mappers if (path := _home_path(mapper)) is not None]
    if not wanted:
        return None
    from pam_sc.homes import PATHS_MAX, HomeOrder

    names_account = request.account is not None or request.real_uid != 0
    counting = [(table, path) for table, path in wanted if _counts(configuration, request, table)]
    may_scan = not names_account and any(table.get("scan_homes") is True for table, _path in counting)
    paths = tuple(dict.fromkeys(path for _table, path in counting))[:PATHS_MAX]
    if not paths or not (names_account or may_scan):
        return HomePlan(order=None, may_scan=False)
    order = HomeOrder(
        paths=paths,
        account=request.account,
        uid=None if request.account is not None or may_scan else request.real_uid,
        everybody=may_scan,
        allow_root=configuration.account.allow_root,
    )
    return HomePlan(order=order, may_scan=may_scan)


def _home_path(mapper: MapperSettings) -> str | None:
    """The path in homes that a mapper reads; None if it reads none."""
    if mapper.name not in HOME_FILES:
        return None
    from pam_sc.homes import is_home_path

    path = mapper.table.get("file", HOME_FILES[mapper.name])
    return path if isinstance(path, str) and is_home_path(path) else None


def _counts(configuration: Configuration, request: Request, table: Mapping[str, Any]) -> bool:
    """Say whether a mapper's file in a home counts for this request: nobody's home is opened for nothing."""
    from pam_sc.decision.home_files import why_not_believed

    named = table.get("believed_for", ())
    believed_for = frozenset(each for each in named if isinstance(each, str)) if isinstance(named, list) else frozenset()
    return why_not_believed(request, configuration.account.privileged_services, believed_for) is None
