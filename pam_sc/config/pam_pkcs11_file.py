# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a pam_pkcs11.conf into a Configuration: translated, then held against the same schema as a pam_sc.toml.

An ERROR note is a ConfigError: what the file asks for cannot be done, and nothing is done instead of it. Errors and
findings name the line of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pam_sc.config import toml
from pam_sc.config.pam_pkcs11 import Translation, translate
from pam_sc.config.schema import KeyPath, MismatchError
from pam_sc.config.where import dotted
from pam_sc.errors import ConfigError

ERRORS_SHOWN_MAX = 3


def load_translated(path: str, trusted_uids: frozenset[int], arguments: Sequence[str] = ()) -> toml.Read:
    """Return the configuration of each service; ConfigError if the file cannot be used."""
    return configuration_of(translate(toml.read_text(path, trusted_uids), path, arguments), path, trusted_uids)


def configuration_of(translation: Translation, path: str, trusted_uids: frozenset[int]) -> toml.Read:
    """Return what a translation describes; ConfigError if it has errors, or the schema refuses it."""
    if errors := translation.errors():
        said = "; ".join(f"{note.place(path)}: {note.key}: {note.text}" for note in errors[:ERRORS_SHOWN_MAX])
        more = len(errors) - ERRORS_SHOWN_MAX
        raise ConfigError(said + (f"; and {more} more, which pam-sc check-config lists" if more > 0 else ""))
    places = _places(translation.lines, path)
    return toml.build(
        path, translation.tree, trusted_uids, lambda mismatch: explain(mismatch, places, path),
        notes=translation.notes, places=places,
    )  # fmt: skip


def _places(lines: Mapping[KeyPath, int], path: str) -> Mapping[str, str]:
    return {dotted(at): f"{path}:{line}" if line else f"{path} (argument of the PAM line)" for at, line in lines.items()}


def explain(mismatch: MismatchError, places: Mapping[str, str], path: str) -> str:
    """Say what the schema refused, with the line that asks for it."""
    known = (places.get(dotted(mismatch.path[:length])) for length in range(len(mismatch.path), 0, -1))
    place = next((one for one in known if one is not None), path)
    return f"{place}: {dotted(mismatch.path)}: found {mismatch.found}, expected {mismatch.expected}"
