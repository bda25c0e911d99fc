# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a token refused is known again, and nothing else is; no PIN is kept."""

from __future__ import annotations

from pam_sc.card.refused import Memory, TokenMemory
from pam_sc.decision.card_report import PinState

CARD = ("login", "maker", "model", "01")
OTHER = ("login", "maker", "model", "02")


def pin(text: str) -> bytearray:
    return bytearray(text.encode())


def test_a_refused_pin_is_known_and_another_is_not() -> None:
    memory = TokenMemory()
    memory.add(pin("1234"))
    assert memory.has(pin("1234"))
    assert not any(memory.has(pin(other)) for other in ("12345", "123", "", "4321"))


def test_a_refused_pin_is_no_refused_puk() -> None:
    memory = TokenMemory()
    memory.add(pin("12345678"))
    assert not memory.has(pin("12345678"), puk=True)
    memory.add(pin("12345678"), puk=True)
    assert memory.has(pin("12345678"), puk=True)


def test_each_token_has_a_memory_of_its_own() -> None:
    memory = Memory()
    memory.of(CARD).add(pin("1234"))
    assert memory.of(CARD).has(pin("1234"))
    assert not memory.of(OTHER).has(pin("1234"))


def test_a_token_with_a_new_pin_starts_anew() -> None:
    memory = TokenMemory()
    memory.add(pin("1234"))
    memory.told = PinState.FINAL_TRY
    memory.forget()
    assert not memory.has(pin("1234"))
    assert memory.told is None


def test_neither_the_pin_nor_its_plain_digest_is_kept() -> None:
    import hashlib

    memory = TokenMemory()
    memory.add(pin("94027351"))
    kept = repr(vars(memory))
    assert "94027351" not in kept
    assert repr(hashlib.sha256(b"94027351").digest()) not in kept
    other = TokenMemory()
    other.add(pin("94027351"))
    assert memory._refused.isdisjoint(other._refused)
