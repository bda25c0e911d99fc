# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PINs that tokens have refused in this process, so that none is ever sent twice. Holds no PIN, only keyed digests.

Many applications give one stored answer to every prompt. A token is known by what it says about itself and not by its
slot: moved to another reader it is still the same. Two tokens that say the same count as one, which costs nobody a try.
"""

from __future__ import annotations

import hmac
import os

from pam_sc.decision.card_report import PinState


class TokenMemory:
    """What one token refused, and the PIN state that was told with its last refusal."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._refused: set[bytes] = set()
        self.told: PinState | None = None

    def add(self, secret: bytearray, *, puk: bool = False) -> None:
        """The token has refused this PIN or PUK."""
        self._refused.add(self._digest(secret, puk=puk))

    def has(self, secret: bytearray, *, puk: bool = False) -> bool:
        """Say whether the token has refused it before."""
        return self._digest(secret, puk=puk) in self._refused

    def forget(self) -> None:
        """The token has a new PIN, and what it refused may be it."""
        self._refused.clear()
        self.told = None

    def _digest(self, secret: bytearray, *, puk: bool) -> bytes:
        digest = hmac.new(self._key, b"puk" if puk else b"pin", "sha256")
        digest.update(secret)
        return digest.digest()


class Memory:
    """What every token refused, by what the token says about itself."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, ...], TokenMemory] = {}

    def of(self, identity: tuple[str, ...]) -> TokenMemory:
        """What this token refused."""
        return self._tokens.setdefault(identity, TokenMemory())
