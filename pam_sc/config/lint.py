# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is questionable about a configuration that is valid: `lint` for the configuration and the files it names.

Everything here is advice for `pam-sc check-config`. No login asks it, and nothing that must hold for a login is checked
only here. PAM stacks are looked at by lint_stacks.py.
"""

from __future__ import annotations

import datetime
import grp
import pwd
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_directory import lint_directories
from pam_sc.config.lint_files import check_anchors, check_readable
from pam_sc.config.lint_monitor import lint_monitor
from pam_sc.config.lint_person import lint_person
from pam_sc.config.lint_revocation import lint_revocation
from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration, MapperSettings
from pam_sc.config.monitoring import monitor_policy
from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES, Algorithms
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapfile_check import check_mapfile

FORBIDDEN_FIRST = ("ptrace", "process_vm_", "pidfd_", "execve", "kill", "tkill", "tgkill", "bpf", "io_uring", "prlimit",
                   "unshare", "setns", "mount", "clone3", "fork", "vfork")
"""What the filter of the card process is there to stop; allowing it to a module gives that up."""


def uid_of(account: str) -> int | None:
    """The uid of an account of this machine; None if there is none."""
    try:
        return pwd.getpwnam(account).pw_uid
    except KeyError:
        return None


def known_as(member: str) -> str | None:
    """What the name service calls an account, or a group written "@group"; None if there is none."""
    try:
        return f"@{grp.getgrnam(member[1:]).gr_name}" if member.startswith("@") else pwd.getpwnam(member).pw_name
    except KeyError:
        return None


def lint(
    configuration: Configuration,
    *,
    at: datetime.datetime | None = None,
    find_uid: Callable[[str], int | None] = uid_of,
    find_name: Callable[[str], str | None] = known_as,
    privileged: bool = True,
    owners: frozenset[int] = frozenset({0}),
) -> tuple[Finding, ...]:
    """Return what is questionable, in the order of the file; `at` is now unless it is given.

    With `privileged` False only programs without privilege use this configuration, which need no accounts of ours. `owners`
    are the uids whose files such logins believe.
    """
    now = at or datetime.datetime.now(datetime.UTC)
    return (
        *_lint_modules(configuration),
        *_lint_accounts(configuration, find_uid, Weight.ERROR if privileged else Weight.NOTE),
        *_lint_trust(configuration, now),
        *lint_revocation(configuration, owners),
        *_lint_account(configuration),
        *lint_person(configuration, find_name),
        *_lint_mappers(configuration, owners),
        *lint_directories(configuration),
        *_lint_monitor(configuration, owners, find_name),
    )


def _lint_monitor(
    configuration: Configuration, owners: frozenset[int], find_name: Callable[[str], str | None]
) -> Iterator[Finding]:
    """What there is to say where the file speaks of the monitor; a contradiction keeps it from starting."""
    if not configuration.monitor:
        return
    try:
        policy = monitor_policy(configuration)
    except ConfigError as error:
        yield Finding(Weight.ERROR, "monitor", str(error))
        return
    yield from lint_monitor(policy, configuration.monitor, owners=owners, find_name=find_name)


def _lint_modules(configuration: Configuration) -> Iterator[Finding]:
    paths = [module.path for module in configuration.token.modules]
    for index, module in enumerate(configuration.token.modules):
        where = f"token.module[{index}]"
        if module.path in paths[:index]:
            yield Finding(Weight.WARNING, f"{where}.path", f"{module.path} is listed twice, so its tokens appear twice")
        if "OPENSC_CONF" in module.environment:
            yield Finding(Weight.WARNING, f"{where}.environment.OPENSC_CONF",
                          "replaces our own opensc.conf, which ends the card's PIN verification after a login"
                          " (lock_login = true, disconnect_action = reset): without both, anybody can use the card")
        for name in module.allow:
            if name.startswith(FORBIDDEN_FIRST):
                yield Finding(Weight.WARNING, f"{where}.allow",
                              f"lets the module call {name}, which the filter is there to stop")


def _lint_accounts(
    configuration: Configuration, find_uid: Callable[[str], int | None], weight: Weight
) -> Iterator[Finding]:
    uids: dict[str, int | None] = {}
    for where, name in (("accounts", VERIFIER_ACCOUNT), ("token.run_as", configuration.token.run_as)):
        uids[name] = find_uid(name)
        if uids[name] is None:
            yield Finding(weight, where, f"there is no account {name!r}; privileged programs refuse every card")
        elif uids[name] == 0:
            yield Finding(weight, where, f"the account {name!r} has uid 0; privileged programs refuse every card")
    known = [uid for uid in uids.values() if uid is not None]
    if len(set(known)) < len(known):
        yield Finding(Weight.ERROR, "token.run_as", f"has the uid of {VERIFIER_ACCOUNT!r}; every card is refused")


def _lint_trust(configuration: Configuration, at: datetime.datetime) -> Iterator[Finding]:
    yield from check_readable("trust.anchors", configuration.trust.anchors)
    yield from check_anchors("trust.anchors", configuration.trust.anchors, at)
    if configuration.trust.intermediates is not None:
        yield from check_readable("trust.intermediates", configuration.trust.intermediates)
    if configuration.trust.algorithms is not Algorithms.CURRENT:
        yield Finding(Weight.WARNING, "trust.algorithms", _ALGORITHMS[configuration.trust.algorithms])
    if not configuration.trust.strict:
        yield Finding(Weight.WARNING, "trust.strict", "false: CAs that break rules of RFC 5280 count; renew them, then"
                      " remove this line")


_ALGORITHMS = {
    Algorithms.LEGACY: "legacy: old keys and hashes count, which may be forged one day; renew the CAs, then remove this",
    Algorithms.ANY: "any: broken keys and hashes count, so that certificates can be forged; remove this line",
}


def _lint_account(configuration: Configuration) -> Iterator[Finding]:
    account = configuration.account
    if account.allow_root:
        yield Finding(Weight.WARNING, "account.allow_root", "a card can log in as root, if a mapper says so")
    if account.remote_allowed:
        yield Finding(Weight.WARNING, "account.remote", "allow: people from afar can use a card that is inserted here")
    for service in sorted(DEFAULT_PRIVILEGED_SERVICES - account.privileged_services):
        yield Finding(Weight.WARNING, "account.privileged_services",
                      f"does not name {service!r}: a file that a person may write can make them more than they are there")
    unreachable = sorted(account.card_names_user - account.services) if account.services is not None else []
    for service in unreachable:
        yield Finding(Weight.NOTE, "account.card_names_user", f"{service!r} is not in account.services, so never used")


_CHANGED = {"pwent": "change an account's GECOS field", "generic": "change an account's GECOS field"}
_NAMES_ITSELF = frozenset({"cn", "generic", "krb", "mail", "ms", "uid", "upn"})
"""Mappers for which a value of the certificate is the name of an account where no mapfile says otherwise."""


def _lint_mappers(configuration: Configuration, owners: frozenset[int]) -> Iterator[Finding]:
    for index, mapper in enumerate(configuration.mappers):
        mapfile = mapper.table.get("mapfile")
        if isinstance(mapfile, str):
            yield from check_readable(f"mapper[{index}].mapfile", mapfile)
            yield from _lint_mapfile(mapfile, owners, ignore_case=mapper.table.get("ignore_case") is True)
        yield from _lint_lookups(f"mapper[{index}]", mapper)
        changed = _CHANGED.get(mapper.name, f"write {mapper.name}'s file in a home")
        for service in _believed_for(mapper.table):
            yield Finding(Weight.WARNING, f"mapper[{index}].believed_for",
                          f"{service!r}: whoever can {changed}, every program of that person among them, decides whose card"
                          " is accepted there")
        if not isinstance(mapfile, str) and mapper.name in _NAMES_ITSELF:
            yield Finding(Weight.NOTE, f"mapper[{index}].mapfile",
                          f"not set: what the mapper {mapper.name!r} sees is itself the account name, so whoever"
                          " can get such a certificate from a CA you trust can log in")


def _lint_lookups(where: str, mapper: MapperSettings) -> Iterator[Finding]:
    if mapper.name == "null":
        yield Finding(Weight.WARNING, where, f"every trusted card opens the account {mapper.table.get('any_card_is')!r:.80}")
    if mapper.name == "command" and mapper.table.get("run_as", "nobody") == "nobody":
        yield Finding(Weight.NOTE, f"{where}.run_as", "the program runs as nobody, as others may: give it its own account")


def _believed_for(table: Mapping[str, Any]) -> list[str]:
    named = table.get("believed_for")
    return [each for each in named if isinstance(each, str)] if isinstance(named, list) else []


def _lint_mapfile(path: str, owners: frozenset[int], *, ignore_case: bool) -> Iterator[Finding]:
    """Each line; that the file cannot be used at all is found where the mappers are made."""
    try:
        problems = check_mapfile(path, owners, ignore_case=ignore_case)
    except MapperError as error:
        yield Finding(Weight.ERROR, path, str(error))
        return
    except ConfigError:
        return
    for problem in problems:
        yield Finding(Weight.ERROR if problem.malformed else Weight.WARNING, f"{path}:{problem.line}", problem.text)
