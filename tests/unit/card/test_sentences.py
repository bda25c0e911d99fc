# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the card process says after it has the PIN: only what is in the closed set gets into a log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pam_sc.card.signing
from pam_sc.card.sentences import SENTENCES, closed


@pytest.mark.parametrize("sentence", sorted(SENTENCES))
def test_each_sentence_passes_as_it_is(sentence: str) -> None:
    assert closed(sentence) == sentence


@pytest.mark.parametrize(
    "detail",
    ["123456", "the PIN is 123456", "C_Login: 123456", "C_123456", "CKR_123456", "CKR_SECRET", "CKM_123456", "0x123456",
     "no token in the slot 123456", ""],
)
def test_anything_else_is_left_out(detail: str) -> None:
    assert not re.search(r"\d|SECRET|the", closed(detail))


def test_names_pass_with_their_meaning() -> None:
    assert closed("C_Login: CKR_PIN_INCORRECT (whatever)") == "C_Login, CKR_PIN_INCORRECT (the PIN is wrong)"


def test_the_source_has_no_sentence_of_its_own() -> None:
    source = Path(pam_sc.card.signing.__file__)
    for file in map(source.with_name, ("signing.py", "entry.py", "changing.py", "ending.py", "pin.py", "serve.py")):
        for literal in re.findall(r'(?:NotPossibleError|NotSigned)\(\w+\.\w+, f?"([^"]*)"', file.read_text()):
            assert literal.startswith(("C_", "for the key: ")), literal
