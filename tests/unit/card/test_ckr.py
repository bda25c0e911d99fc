# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of return values is whole and never turns an unknown number into success."""

import PyKCS11
import pytest

from pam_sc.card.ckr import CKR, CKR_OK, MECHANISM_REFUSALS, TokenError, describe, require_ok


def test_the_table_has_every_return_value_that_pykcs11_knows() -> None:
    known = {value: name for name, value in PyKCS11.CKR.items()
             if isinstance(name, str) and not name.startswith("CKR_VENDOR")}
    assert {value: name for value, (name, _meaning) in CKR.items() if value in known} == known


def test_every_meaning_is_a_sentence_of_its_own_style() -> None:
    assert all(meaning and meaning[0].islower() and not meaning.endswith(".") for _name, meaning in CKR.values())


@pytest.mark.parametrize(("value", "text"), [
    (0xA0, "CKR_PIN_INCORRECT (the PIN is wrong)"),
    (0x80000001, "0x80000001 (vendor-defined return value)"),
    (-1, "the file cannot be loaded"),
    (0x7FFF, "0x7fff (undefined return value)"),
])
def test_a_return_value_is_described(value: int, text: str) -> None:
    assert describe(value) == text


def test_only_ok_is_ok() -> None:
    require_ok("C_Sign", CKR_OK)
    for value in (1, 0x80000000, -1, 2**64 - 1, *(set(CKR) - {CKR_OK})):
        with pytest.raises(TokenError):
            require_ok("C_Sign", value)


def test_an_error_keeps_its_number_and_names_the_function() -> None:
    error = TokenError("C_OpenSession", -1)
    assert error.ckr == 2**64 - 1
    assert str(TokenError("C_OpenSession", 0x32)) == "C_OpenSession: CKR_DEVICE_REMOVED (the token was removed)"


def test_no_pin_answer_is_a_refused_mechanism() -> None:
    assert not MECHANISM_REFUSALS & {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0x100, 0x101}
