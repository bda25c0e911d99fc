# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a configuration, whatever its format: *.toml is ours, *.conf is pam_pkcs11's, anything else is refused.

Whether a setting is allowed is the schema's to say, of both alike. The translator is imported only for a *.conf, so that
a login with our own format does not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.config import toml
from pam_sc.config.model import Configuration
from pam_sc.errors import ConfigError


def load(
    path: str, trusted_uids: frozenset[int], arguments: Sequence[str] = (), service: str | None = None
) -> Configuration:
    """Return the configuration at `path` (absolute) for a service; `arguments` are those of pam_pkcs11 on the PAM line.

    Without a service, what holds where no [service.NAME] says otherwise. ConfigError if anything about the file is wrong,
    in the table of another service too, or if there are arguments and the file is one of ours.
    """
    return load_all(path, trusted_uids, arguments).of(service)


def load_all(path: str, trusted_uids: frozenset[int], arguments: Sequence[str] = ()) -> toml.Read:
    """Return the same for every service that has a table."""
    if path.endswith(".conf"):
        from pam_sc.config.pam_pkcs11_file import load_translated

        return load_translated(path, trusted_uids, arguments)
    if arguments:
        raise ConfigError(_refusal(path, arguments[0]))
    return toml.load_all(path, trusted_uids)


def _refusal(path: str, argument: str) -> str:
    from pam_sc.config.pam_pkcs11_arguments import line_instead

    return (f"cannot use the argument {argument[:80]!a} of the PAM line with {path}: it belongs to pam_pkcs11.conf;"
            f" instead of it, write {line_instead(argument)}")  # fmt: skip
