# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `digest`: a mapfile lists certificates by their hash; several may belong to one account.

The hash is of the whole certificate in DER, in hexadecimal digits of any case, with or without colons. The algorithm is
the one that the configuration names and never another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError
from pam_sc.mapping import MapperContext
from pam_sc.value_mapper import LISTED_ONLY, ValueMapper

ALGORITHMS = ("sha256", "sha384", "sha512", "sha1")
"""SHA-1 is there for files that exist; two certificates of one hash can be made with it."""


class DigestMapper(ValueMapper):
    """Maps the hash of the certificate."""

    SHARED: ClassVar[Mapping[str, type]] = LISTED_ONLY
    OPTIONS: ClassVar[Mapping[str, type]] = {"algorithm": str}
    IGNORE_CASE: ClassVar[bool] = True

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys and the algorithm."""
        super().__init__(table, context)
        self._algorithm: str = table.get("algorithm", ALGORITHMS[0])
        if self._algorithm not in ALGORITHMS:
            expected = ", ".join(ALGORITHMS)
            raise ConfigError(f"{context.where}: algorithm is {self._algorithm!r:.100}, expected one of {expected}")

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The hash in small hexadecimal digits; nothing where there is no certificate."""
        return (_hash(subject.der, self._algorithm),) if subject.der else ()

    def spellings(self, subject: Subject) -> tuple[str, ...]:
        """The hash without and with colons; the case of the digits does not count."""
        return tuple(spelling for plain in self.sees(subject) for spelling in (plain, with_colons(plain)))


def with_colons(digits: str) -> str:
    """Return hexadecimal digits with a colon between each two octets."""
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _hash(der: bytes, algorithm: str) -> str:
    import hashlib  # no other part of a login needs it

    return hashlib.new(algorithm, der, usedforsecurity=False).hexdigest()
