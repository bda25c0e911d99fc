# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `openssh`: the certificate's key stands in the account's authorized_keys, with no option that restricts it.

The file says what may log in over ssh; a card login knows nothing of sshd's options and cannot keep to them. So a key
with options does not count, in any line, except with those that mean nothing away from ssh and that `ignore_options`
names. A cert-authority line is no key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from pam_sc.authorized_keys import AuthorizedKey, UnusableLine, find_key, key_blob, read_authorized_keys
from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError
from pam_sc.home_mapper import HomeMapper, strings
from pam_sc.mapping import MapperContext

IGNORABLE = frozenset({
    "agent-forwarding", "no-agent-forwarding", "port-forwarding", "no-port-forwarding", "x11-forwarding",
    "no-x11-forwarding", "permitopen", "permitlisten", "tunnel", "user-rc", "no-user-rc", "environment", "pty",
})  # fmt: skip
"""Options that say something about a connection of ssh and nothing about who may come, from where, when or for what."""
CERT_AUTHORITY = "cert-authority"
_EXPLAINED_MAX = 100


class OpensshMapper(HomeMapper):
    """Compares whole keys, never hashes or comments."""

    FILE = ".ssh/authorized_keys"
    OPTIONS: ClassVar[Mapping[str, type]] = {"ignore_options": list}

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read `ignore_options` beside the shared keys."""
        super().__init__(table, context)
        self._ignored = frozenset(strings(table, "ignore_options", context))
        unknown = sorted(self._ignored - IGNORABLE)
        if unknown:
            raise ConfigError(f"{context.where}: ignore_options names {unknown[0]!r:.100}, which would let in what the"
                              f" line keeps out, expected some of {', '.join(sorted(IGNORABLE))}")

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The key as `ssh-keygen -l` names it: its type and its SHA-256 (RFC 4648 base64 without padding)."""
        key = _key_of(subject)
        if key is None:
            return ()
        import hashlib

        digest = base64.b64encode(hashlib.sha256(key[1]).digest()).decode().rstrip("=")
        return (f"{key[0]} SHA256:{digest}",)

    def holds(self, content: bytes, subject: Subject) -> bool:
        """Say whether the key is in a line, and restricted in none."""
        key = _key_of(subject)
        lines = [] if key is None else [line for line in find_key(content, key[1]) if not _is_authority(line)]
        return bool(lines) and not any(self._hindrance(line) for line in lines)

    def explain(self, content: bytes, subject: Subject) -> tuple[str, ...]:
        """Say of each line with the key whether it counts, and which lines are no keys at all."""
        key = _key_of(subject)
        if key is None:
            return ("the certificate's key is of a kind that authorized_keys does not have",)
        lines = (self._about(line, key[1]) for line in read_authorized_keys(content))
        told = [line for line in lines if line is not None]
        more = [f"{len(told) - _EXPLAINED_MAX} more lines"] if len(told) > _EXPLAINED_MAX else []
        return (*told[:_EXPLAINED_MAX], *more) or ("no line has the certificate's key",)

    def _about(self, line: AuthorizedKey | UnusableLine, blob: bytes) -> str | None:
        if isinstance(line, UnusableLine):
            return f"line {line.line} counts for nothing: {line.why}"
        if line.blob != blob:
            return None
        if _is_authority(line):
            return f"line {line.line} has the certificate's key as that of an authority of ssh, which is no key to log in with"
        hindrance = self._hindrance(line)
        if hindrance is not None:
            return f"line {line.line} has the certificate's key with the option {hindrance}: the key counts in no line"
        return f"line {line.line} has the certificate's key"

    def _hindrance(self, line: AuthorizedKey) -> str | None:
        """The first option of the line that a card login cannot keep to."""
        return next((option.name for option in line.options if option.name not in self._ignored), None)


def _is_authority(line: AuthorizedKey) -> bool:
    return any(option.name == CERT_AUTHORITY for option in line.options)


def _key_of(subject: Subject) -> tuple[str, bytes] | None:
    return None if subject.facts is None else key_blob(subject.facts.public_key_der)
