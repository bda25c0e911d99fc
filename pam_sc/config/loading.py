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


def load(path: str, trusted_uids: frozenset[int], arguments: Sequence[str] = ()) -> Configuration:
    """Return the configuration at `path` (absolute); `arguments` are those of pam_pkcs11 on the PAM line.

    ConfigError if anything about it is wrong, or if there are arguments and the file is one of ours.
    """
    if path.endswith(".conf"):
        from pam_sc.config.pam_pkcs11_file import load_translated

        return load_translated(path, trusted_uids, arguments)
    if arguments:
        raise ConfigError(_refusal(path, arguments[0]))
    return toml.load(path, trusted_uids)


def _refusal(path: str, argument: str) -> str:
    from pam_sc.config.pam_pkcs11_arguments import line_instead

    return (f"cannot use the argument {argument[:80]!a} of the PAM line with {path}: it belongs to pam_pkcs11.conf;"
            f" instead of it, write {line_instead(argument)}")  # fmt: skip
