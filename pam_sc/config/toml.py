# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read /etc/pam_sc/pam_sc.toml into a Configuration, or refuse it: whole and understood, or not at all.

The file, its parents and every PKCS#11 module must belong to somebody the login trusts and be writable by nobody else.
An unknown key, a wrong type, a missing anchor or mapper is a ConfigError that says file, line, key, what was found and
what was expected, in the table of every service, whichever service asks. Nothing is ever skipped, guessed or taken from
the environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from pam_sc.config.building import PlaceOf, build_service, build_whole
from pam_sc.config.keys import FILE, SCHEMA, SERVICES_MAX
from pam_sc.config.model import Configuration
from pam_sc.config.notes import Note
from pam_sc.config.schema import KeyPath, MismatchError
from pam_sc.config.sense import require_sense
from pam_sc.config.where import dotted, find_line
from pam_sc.errors import ConfigError, OwnershipError
from pam_sc.ownership import read_trusted_file, require_unwritable
from pam_sc.record import record, replace

MAX_BYTES = 256 * 1024
SERVICE = "service"
MONITOR = "monitor"


@record
class Read:
    """A whole file: what holds where no service says otherwise, and for each service that does, what holds there."""

    whole: Configuration
    services: Mapping[str, Configuration]

    def of(self, service: str | None) -> Configuration:
        """Return what holds for a service; what holds for all others where it is None."""
        return self.whole if service is None else self.services.get(service, self.whole)


def load(path: str, trusted_uids: frozenset[int], service: str | None = None) -> Configuration:
    """Return the configuration at `path` (absolute, *.toml) for a service; ConfigError if anything about the file is wrong."""
    return load_all(path, trusted_uids).of(service)


def load_all(path: str, trusted_uids: frozenset[int]) -> Read:
    """Return the same for every service that has a table."""
    _require_our_format(path)
    text = read_text(path, trusted_uids)
    return build(path, _parse(path, text), trusted_uids, lambda mismatch: _explain(path, text, mismatch))


def build(
    path: str,
    tree: Mapping[str, Any],
    trusted_uids: frozenset[int],
    explain: Callable[[MismatchError], str],
    *,
    notes: tuple[Note, ...] = (),
    places: Mapping[str, str] | None = None,
) -> Read:
    """Return what a parsed tree describes; ConfigError, as `explain` words it, if it is no configuration.

    `notes` and `places` are what is known of a file in the peer's format.
    """
    read = read_tree(path, tree, explain, places)
    known = {"notes": notes, "places": places or {}}
    services = {name: replace(configuration, **known) for name, configuration in read.services.items()}
    read = Read(replace(read.whole, **known), services)
    _require_safe_modules(read, trusted_uids)
    return read


def read_tree(
    path: str,
    tree: Mapping[str, Any],
    explain: Callable[[MismatchError], str],
    places: Mapping[str, str] | None = None,
) -> Read:
    """The same without a look at the files that it names: for a configuration that no login uses yet."""
    known = places or {}
    try:
        return _read(path, tree, lambda key: known.get(key, path))
    except MismatchError as mismatch:
        raise ConfigError(explain(mismatch)) from None


# ---------------------------------------------------------------- the whole and its services


def _read(path: str, tree: Mapping[str, Any], place_of: PlaceOf) -> Read:
    checked = FILE.read(tree, ())
    if checked.get(MONITOR):
        from pam_sc.config.monitor_keys import read_monitor  # only where there is anything in such a table

        checked[MONITOR] = read_monitor(tree[MONITOR])
    own: Mapping[str, Any] = checked.get(SERVICE, {})
    if len(own) > SERVICES_MAX:
        raise MismatchError((SERVICE,), f"{len(own)} services", f"at most {SERVICES_MAX}")
    whole = replace(build_whole(path, checked, place_of), services=tuple(sorted(own)))
    require_sense(whole)
    return Read(whole, {name: _service(whole, tree, name, table, place_of) for name, table in own.items()})


def _service(
    whole: Configuration, tree: Mapping[str, Any], name: str, table: Mapping[str, Any], place_of: PlaceOf
) -> Configuration:
    """Only what the service's table touches is read anew; a mismatch is told by its place in that table."""
    try:
        _require_no_monitor(table)
        both = merged({key: tree[key] for key in table if key in tree}, table)
        configuration = build_service(whole, SCHEMA.read_some(both, ()), place_of, f"{SERVICE}.{name}.")
        require_sense(configuration)
    except MismatchError as mismatch:
        raise MismatchError((SERVICE, name, *mismatch.path), mismatch.found, mismatch.expected, mismatch.nearest) from None
    return configuration


def _require_no_monitor(table: Mapping[str, Any]) -> None:
    if MONITOR in table:
        raise MismatchError((MONITOR,), "a table of the monitor in that of a service",
                            "[monitor] at the top of the file, where [[monitor.rule]] has service = [...] in it")  # fmt: skip


def merged(whole: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `own` laid over `whole`: tables key by key, anything else, arrays too, as it stands in `own`."""
    both = dict(whole)
    for name, value in own.items():
        before = both.get(name)
        both[name] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return both


# ---------------------------------------------------------------- the file


def _require_our_format(path: str) -> None:
    if not path.startswith("/"):
        raise ConfigError(f"cannot use the configuration {path!r}: expected an absolute path")
    if not path.endswith(".toml"):
        expected = "expected a name that ends in .toml, or in .conf for the format of pam_pkcs11"
        raise ConfigError(f"cannot use the configuration {path!r}: {expected}")


def read_text(path: str, trusted_uids: frozenset[int]) -> str:
    """Return the text of a configuration that only trusted users can change; ConfigError otherwise."""
    if not path.startswith("/"):
        raise ConfigError(f"cannot use the configuration {path!r}: expected an absolute path")
    try:
        return read_trusted_file(path, trusted_uids, MAX_BYTES).decode("utf-8")
    except OwnershipError as error:
        raise ConfigError(f"cannot read the configuration: {error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: byte {error.start} is not UTF-8") from error


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else ascii(str(error))[1:-1]
        raise ConfigError(f"{path}: not TOML: {cause}") from None


def _explain(path: str, text: str, mismatch: MismatchError) -> str:
    line = next((line for line in _lines(text, mismatch.path) if line is not None), None)
    place = path if line is None else f"{path}:{line}"
    hint = f"; did you mean {mismatch.nearest!r}?" if mismatch.nearest else ""
    return f"{place}: {dotted(mismatch.path)}: found {mismatch.found}, expected {mismatch.expected}{hint}"


def _lines(text: str, path: KeyPath) -> list[int | None]:
    """The line of the key, of the table around it, of the table around that."""
    return [find_line(text, path[:length]) for length in range(len(path), 0, -1)]


def _require_safe_modules(read: Read, trusted_uids: frozenset[int]) -> None:
    looked_at: set[str] = set()
    for prefix, configuration in (("", read.whole), *((f"{SERVICE}.{n}.", c) for n, c in read.services.items())):
        for index, module in enumerate(configuration.token.modules):
            if module.path not in looked_at:
                _require_safe_module(configuration, f"{prefix}token.module[{index}].path", module.path, trusted_uids)
                looked_at.add(module.path)


def _require_safe_module(configuration: Configuration, key: str, module: str, trusted_uids: frozenset[int]) -> None:
    try:
        require_unwritable(module, trusted_uids)
    except OwnershipError as error:
        raise ConfigError(f"{configuration.places.get(key, configuration.source)}: {key}: {error}") from error
