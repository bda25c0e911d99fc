# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc mappers`: which mappers are installed, by which distribution, where each is configured, and what is wrong.

Code of a third party is imported only where the configuration names its mapper, as a login does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any

import click

from pam_sc.cli.machine import Machine, trusted_uids
from pam_sc.cli.output import Row, print_json, print_rows, reporting
from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.errors import PamScError
from pam_sc.mapping import ALIASES, BUILT_IN, ENTRY_POINTS, load_mappers
from pam_sc.record import record

OWN = "pam_sc"
WIDTHS = (12, 24, 12)
_EXIT_CODES = "Exit codes: 0 every configured mapper can be used; 1 something is wrong with a mapper; 2 an error."


@record(kw_only=True)
class InstalledMapper:
    """A name, and who brings it. `usable`: whether a configuration that says the name gets this one."""

    name: str
    distribution: str
    version: str
    usable: bool
    aliases: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()


@click.command(epilog=_EXIT_CODES, short_help="List the mappers: installed, configured, unusable.")
@reporting
@click.pass_obj
def mappers(machine: Machine, config_path: str | None, as_json: bool) -> int:
    """List every mapper with its distribution and version, and where the configuration uses it."""
    settings: tuple[MapperSettings, ...] = ()
    problems: list[str] = []
    broken = None
    try:
        configuration = machine.load_configuration(config_path)
        settings = configuration.mappers
        problems += problems_of(configuration, trusted_uids())
    except PamScError as error:
        broken = str(error)
    entries = tuple(metadata.entry_points(group=ENTRY_POINTS))
    found = list_mappers(entries, settings)
    problems = [*claims_of_others(entries), *problems, *([broken] if broken else [])]
    if as_json:
        print_json({"mappers": [_as_json(each) for each in found], "problems": problems})
    else:
        print_rows([*map(_row, found), *(Row(("problem", "", ""), each) for each in problems)], WIDTHS)
    return 2 if broken else 1 if problems else 0


def list_mappers(
    entries: Iterable[metadata.EntryPoint], settings: Sequence[MapperSettings] = ()
) -> tuple[InstalledMapper, ...]:
    """Return our own mappers and those of others, in the order of their names."""
    own = [_own(name, settings) for name in BUILT_IN]
    others = [each for each in entries if _owner(each)[0] != OWN]
    return tuple(sorted([*own, *(_other(each, others, settings) for each in others)],
                        key=lambda each: (each.name, not each.usable, each.distribution)))


def _own(name: str, settings: Sequence[MapperSettings]) -> InstalledMapper:
    aliases = tuple(alias for alias, meant in ALIASES.items() if meant == name)
    return InstalledMapper(name=name, distribution=OWN, version=metadata.version(OWN), usable=True, aliases=aliases,
                           configured=_where({name, *aliases}, settings))


def _other(
    entry: metadata.EntryPoint, others: Sequence[metadata.EntryPoint], settings: Sequence[MapperSettings]
) -> InstalledMapper:
    distribution, version = _owner(entry)
    usable = not _is_ours(entry.name) and sum(each.name == entry.name for each in others) == 1
    return InstalledMapper(name=entry.name, distribution=distribution, version=version, usable=usable,
                           configured=_where({entry.name}, settings) if usable else ())


def _where(names: set[str], settings: Sequence[MapperSettings]) -> tuple[str, ...]:
    return tuple(each.where for each in settings if each.name in names)


def _owner(entry: metadata.EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "unknown")


def _is_ours(name: str) -> bool:
    return name in BUILT_IN or name in ALIASES


def claims_of_others(entries: Iterable[metadata.EntryPoint]) -> Iterator[str]:
    """Say which names others claim in vain."""
    owners: dict[str, list[str]] = {}
    for entry in entries:
        if _owner(entry)[0] != OWN:
            owners.setdefault(entry.name, []).append(" ".join(_owner(entry)))
    for name, claimed in sorted(owners.items()):
        if _is_ours(name):
            yield f"{', '.join(claimed)}: claims the mapper {name!r}, which is pam_sc's own: it is never used"
        elif len(claimed) > 1:
            both = ", ".join(sorted(claimed))
            yield f"the mapper {name!r} is claimed by more than one distribution: {both}: it cannot be used"


def problems_of(configuration: Configuration, trusted_uids: frozenset[int]) -> tuple[str, ...]:
    """Make each configured mapper and return why one cannot be made."""
    found: list[str] = []
    for each in configuration.mappers:
        try:
            load_mappers([(each.name, each.table, each.where)], trusted_uids)
        except PamScError as error:
            found.append(str(error))
    return tuple(found)


def _row(found: InstalledMapper) -> Row:
    notes = [f"also called {', '.join(found.aliases)}"] if found.aliases else []
    notes += [f"configured: {'; '.join(found.configured)}"] if found.configured else []
    notes += [] if found.usable else ["cannot be used"]
    return Row((found.name, found.distribution, found.version), ", ".join(notes))


def _as_json(found: InstalledMapper) -> dict[str, Any]:
    return {
        "name": found.name, "distribution": found.distribution, "version": found.version, "usable": found.usable,
        "aliases": list(found.aliases), "configured": list(found.configured),
    }  # fmt: skip
