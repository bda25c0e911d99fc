# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract of a mapper, how a configured one is found, and what several of them say together.

A mapper turns a `Subject` (what a certificate says about its owner) into account names. It gets its own table of the
configuration and the services of pam_sc/services.py to ask: no card, no trust, no network of its own, no clock. It may
keep what it read from its own files.
Whatever a mapper of somebody else throws is taken as "could not answer", and no name it gives is used unchecked.
"""

from __future__ import annotations

import abc
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from pam_sc.decision.evidence import MappedAccounts, MappingFailed, MappingFinding
from pam_sc.decision.identity import Subject
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ConfigError, MapperError, PamScError
from pam_sc.mapfile import unusable_account
from pam_sc.record import record
from pam_sc.services import NOBODY_TO_ASK, CannotMap, DoesNotMap, Services

T = TypeVar("T")

BUILT_IN: Mapping[str, str] = {
    "cn": "pam_sc.mappers.cn:CnMapper",
    "command": "pam_sc.mappers.command:CommandMapper",
    "digest": "pam_sc.mappers.digest:DigestMapper",
    "generic": "pam_sc.mappers.generic:GenericMapper",
    "krb": "pam_sc.mappers.krb:KrbMapper",
    "ldap": "pam_sc.mappers.ldap:LdapMapper",
    "mail": "pam_sc.mappers.mail:MailMapper",
    "null": "pam_sc.mappers.null:NullMapper",
    "opensc": "pam_sc.mappers.opensc:OpenscMapper",
    "openssh": "pam_sc.mappers.openssh:OpensshMapper",
    "pwent": "pam_sc.mappers.pwent:PwentMapper",
    "rules": "pam_sc.mappers.rules:RulesMapper",
    "serial": "pam_sc.mappers.serial:SerialMapper",
    "subject": "pam_sc.mappers.subject:SubjectMapper",
    "uid": "pam_sc.mappers.uid:UidMapper",
    "upn": "pam_sc.mappers.upn:UpnMapper",
}
"""Our own mappers: found without reading the metadata of every distribution, for which each login would wait."""

ALIASES: Mapping[str, str] = {"ms": "upn"}
"""Names that pam_pkcs11 uses for mappers of ours."""

ENTRY_POINTS = "pam_sc.mappers"


@record
class MapperContext:
    """What a mapper may know beyond its own table: where the table stands (for messages), who may own its files.

    `services`: whom it may ask. Only to be asked when a certificate is there: a configuration is also read to be checked.
    """

    where: str
    trusted_uids: frozenset[int]
    services: Services = NOBODY_TO_ASK


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

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:  # noqa: ARG002 - for those that can say more
        """Say for `pam-sc explain` how the mapper came to its answer, a line each; a login never asks."""
        return ()

    def problems(self) -> tuple[str, ...]:
        """What every login says in the log about how this mapper is configured, a sentence each."""
        return ()


@record
class LoadedMapper:
    """A configured mapper under its name."""

    name: str
    mapper: Mapper


def load_mappers(
    settings: Sequence[tuple[str, Mapping[str, Any], str]],
    trusted_uids: frozenset[int],
    services: Services = NOBODY_TO_ASK,
) -> tuple[LoadedMapper, ...]:
    """Make the configured mappers, each from (name, its table, where it stands); ConfigError if one cannot be made."""
    if not settings:
        raise ConfigError("no mapper is configured, expected at least one [[mapper]]: no certificate would ever map")
    return tuple(
        LoadedMapper(name, _made(name, table, MapperContext(where, trusted_uids, services)))
        for name, table, where in settings
    )


def _made(name: str, table: Mapping[str, Any], context: MapperContext) -> Mapper:
    found = _class_of(name, context.where)
    if not (isinstance(found, type) and issubclass(found, Mapper)):
        raise ConfigError(f"{context.where}: mapper {name!r} is {found!r:.100}, expected a class of Mapper")
    try:
        return found.from_table(table, context)
    except PamScError:
        raise
    except Exception as error:
        raise ConfigError(f"{context.where}: mapper {name!r} cannot be made: {error!r:.200}") from error


def _class_of(name: str, where: str) -> object:
    name = ALIASES.get(name, name)
    if name in BUILT_IN:
        module, _colon, attribute = BUILT_IN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    from importlib import metadata  # slow to import, and a login with our own mappers needs none

    known = metadata.entry_points(group=ENTRY_POINTS)
    found = [each for each in known if each.name == name]
    if not found:
        raise ConfigError(f"{where}: unknown mapper {name!r}" + nearest(name, {*BUILT_IN, *known.names}))
    if len(found) > 1:
        owners = ", ".join(sorted(each.dist.name if each.dist else "unknown" for each in found))
        raise ConfigError(f"{where}: mapper {name!r} is claimed by more than one distribution: {owners}")
    try:
        return found[0].load()
    except Exception as error:
        raise ConfigError(f"{where}: mapper {name!r} cannot be loaded: {error!r:.200}") from error


def nearest(word: str, known: set[str]) -> str:
    """Return " (did you mean ...?)" with the known word most like it, else the known words."""
    import difflib  # only ever needed for an error

    close = difflib.get_close_matches(word, sorted(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else f", expected one of {', '.join(sorted(known))}"


def check_table(table: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    """Return if the table holds only known keys, each of its very type; ConfigError with what was found otherwise."""
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, set(known))}")
        if type(value) is not known[key]:
            expected = _NAMES.get(known[key], known[key].__name__)
            raise ConfigError(f"{where}: {key} is {value!r:.100}, expected {expected}")


_NAMES: Mapping[type, str] = {str: "a string", bool: "true or false", int: "a whole number", list: "a list", dict: "a table"}


def map_certificate(
    mappers: Sequence[LoadedMapper], subject: Subject, account: str | None = None
) -> MappingFinding:
    """Return the accounts that the mappers give, in their order; `account` is among them if any mapper claims it.

    A mapper that could not answer leaves the question open, unless another gave the very account that was asked about:
    where the card is to name the account, it might have named a second one.
    """
    accounts: dict[str, None] = {}
    seen: list[str] = []
    failures: list[str] = []
    reasons: list[Reason] = []
    for each in mappers:
        try:
            found = _accounts_of(each, subject, account)
        except DoesNotMap as answer:
            seen.append(f"{each.name}: {answer}")
            continue
        except MapperError as error:
            failures.append(f"{each.name}: {error}")
            reasons.append(error.reason if isinstance(error, CannotMap) else Reason.MAPPER_FAILED)
            continue
        seen.append(f"{each.name}: {', '.join(map(repr, found)) or 'no account'}")
        accounts |= dict.fromkeys(found)
    if failures and account not in accounts:
        return MappingFailed("; ".join(failures), reasons[0])
    return MappedAccounts(tuple(accounts), "; ".join(seen + failures))


def claims(mappers: Sequence[LoadedMapper], subject: Subject, account: str) -> bool:
    """Say whether any mapper connects the certificate with this account; MapperError if that stayed open."""
    finding = map_certificate(mappers, subject, account)
    if isinstance(finding, MappingFailed):
        raise MapperError(finding.why)
    return account in finding.accounts


def problems_of(mappers: Sequence[LoadedMapper]) -> tuple[str, ...]:
    """Return what the mappers have to say in every log."""
    found: list[str] = []
    for each in mappers:
        try:
            found += [f"mapper {each.name}: {problem}" for problem in _answer_of(each.mapper.problems)]
        except MapperError as error:
            found.append(f"mapper {each.name}: {error}")
    return tuple(found)


def _accounts_of(loaded: LoadedMapper, subject: Subject, account: str | None) -> tuple[str, ...]:
    """Ask about the account first: a yes is enough, and a no stands, whatever the mapper lists afterwards.

    After a no the list only says whose certificate it is instead, for explanations.
    """
    if account is None:
        return _listed(loaded.mapper, subject)
    if _claims(loaded.mapper, subject, account):
        return (account,)
    try:
        return tuple(name for name in _listed(loaded.mapper, subject) if name != account)
    except DoesNotMap:
        raise
    except MapperError:  # whose it is cannot be found out; whose it is not was said
        return ()


def _listed(mapper: Mapper, subject: Subject) -> tuple[str, ...]:
    """What a mapper lists. A third party may give anything; a text would be taken for a list of its letters."""
    given: object = _answer_of(lambda: mapper.accounts(subject))
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise MapperError(f"accounts are {given!r:.100}, expected a tuple of names")
    listed = _answer_of(lambda: tuple(given))
    return tuple(name for name in listed if isinstance(name, str) and unusable_account(name) is None)


def _claims(mapper: Mapper, subject: Subject, account: str) -> bool:
    return unusable_account(account) is None and _answer_of(lambda: mapper.claims(subject, account)) is True


def _answer_of(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except MapperError:
        raise
    except Exception as error:
        raise MapperError(f"{error!r:.200}") from error
