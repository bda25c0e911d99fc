# SPDX-License-Identifier: LGPL-2.1-or-later
"""A CHANGE order: a new PIN for a token, by the current PIN or by the PUK. One call that changes, never a second.

Everything about the new PIN is judged before anything is sent. With the PUK OpenSC wants C_SetPIN without a login (our
opensc.conf says so); every other module wants the security officer's login and C_InitPIN.
"""

from __future__ import annotations

from typing import Final

from pam_sc.card import ending, sentences
from pam_sc.card.ckr import (
    CKR_CANCEL,
    CKR_FUNCTION_CANCELED,
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_OK,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED,
    CKR_PIN_TOO_WEAK,
    CKR_TOKEN_WRITE_PROTECTED,
    CKR_USER_TYPE_INVALID,
    TokenError,
    describe,
)
from pam_sc.card.constants import CKU_SO
from pam_sc.card.entry import Entry
from pam_sc.card.module import TokenInfo
from pam_sc.card.orders import ChangeKind, PinRules
from pam_sc.card.pin import NotPossibleError, fits
from pam_sc.card.session import Session
from pam_sc.decision.possession import CardFailure

_ANY: Final = {
    CKR_FUNCTION_NOT_SUPPORTED: CardFailure.PIN_CHANGE_UNSUPPORTED,
    CKR_TOKEN_WRITE_PROTECTED: CardFailure.PIN_CHANGE_UNSUPPORTED,
    CKR_USER_TYPE_INVALID: CardFailure.PIN_CHANGE_UNSUPPORTED,
    CKR_FUNCTION_CANCELED: CardFailure.PINPAD_CANCELLED,
    CKR_CANCEL: CardFailure.PINPAD_CANCELLED,
}
_NEW_PIN: Final = {
    **_ANY,
    CKR_PIN_INVALID: CardFailure.NEW_PIN_UNFIT,
    CKR_PIN_LEN_RANGE: CardFailure.NEW_PIN_UNFIT,
    CKR_PIN_TOO_WEAK: CardFailure.NEW_PIN_UNFIT,
}
_PUK: Final = {
    **_ANY,
    CKR_PIN_INCORRECT: CardFailure.PUK_WRONG,
    CKR_PIN_INVALID: CardFailure.PUK_WRONG,
    CKR_PIN_LOCKED: CardFailure.PUK_LOCKED,
    CKR_PIN_LEN_RANGE: CardFailure.PIN_FORM,
    CKR_PIN_TOO_WEAK: CardFailure.NEW_PIN_UNFIT,
}
_ANY_PUK: Final = frozenset({CardFailure.PUK_WRONG, CardFailure.PUK_LOCKED, CardFailure.PIN_FORM})


def change_pin(entry: Entry, kind: ChangeKind, new: bytearray, again: bytearray) -> None:
    """Give the token the new PIN, or NotPossibleError or TokenError. Without secrets the reader asks for all of them."""
    info = entry.check()
    if entry.target.has_secret:
        _require_new_pin(entry, kind, info, new, again)
    session = _writable(entry)
    if kind is ChangeKind.CHANGE:
        entry.log_in(session, expired_is_enough=True)
        entry.stage = CardFailure.PIN_CHANGE_FAILED
        _require_done("C_SetPIN", session.set_pin(entry.pin, new) if entry.pin else session.set_pin_on_reader())
    else:
        _unblock(entry, session, new)
    entry.memory.forget()


def _require_new_pin(entry: Entry, kind: ChangeKind, info: TokenInfo, new: bytearray, again: bytearray) -> None:
    if not fits(new, info, entry.target.rules):
        raise NotPossibleError(CardFailure.NEW_PIN_UNFIT, sentences.NOT_SENT)
    if new != again:
        raise NotPossibleError(CardFailure.NEW_PIN_REPEAT_DIFFERS, sentences.NOT_SENT)
    if kind is ChangeKind.CHANGE:
        if new == entry.pin:
            raise NotPossibleError(CardFailure.NEW_PIN_SAME, sentences.NOT_SENT)
        entry.require_pin(info, PinRules())  # the rules may be stricter than the PIN that is to be replaced
        return
    if entry.memory.has(entry.pin, puk=True):
        raise NotPossibleError(CardFailure.PIN_REPEATED, sentences.REFUSED_BEFORE)
    if 0 in entry.pin:  # the token's limits are for the PIN; none are known for the PUK
        raise NotPossibleError(CardFailure.PIN_FORM, sentences.NOT_SENT)


def _writable(entry: Entry) -> Session:
    entry.stage = CardFailure.PIN_CHANGE_FAILED
    try:
        return entry.open_session(writable=True)
    except TokenError as error:
        raise NotPossibleError(_ANY.get(error.ckr, CardFailure.PIN_CHANGE_FAILED), str(error)) from error


def _unblock(entry: Entry, session: Session, new: bytearray) -> None:
    typed = bool(entry.pin)
    entry.stage = CardFailure.PIN_CHANGE_FAILED
    entry.logged_in = True  # whatever comes of it, the card's verification is ended
    entry.pin_sent()
    if ending.is_opensc(entry.module):
        rv = session.set_pin(entry.pin, new) if typed else session.set_pin_on_reader()
        _require_puk(entry, "C_SetPIN", rv)
        return
    rv = session.login(CKU_SO, entry.pin) if typed else session.login_on_reader(CKU_SO)
    _require_puk(entry, "C_Login", rv)
    _require_done("C_InitPIN", session.init_pin(new) if typed else session.init_pin_on_reader())


def _require_puk(entry: Entry, function: str, rv: int) -> None:
    if rv == CKR_OK:
        return
    failure = _PUK.get(rv, CardFailure.PIN_CHANGE_FAILED)
    if failure in _ANY_PUK and entry.pin:
        entry.memory.add(entry.pin, puk=True)
    raise NotPossibleError(failure, f"{function}: {describe(rv)}")


def _require_done(function: str, rv: int) -> None:
    if rv != CKR_OK:
        raise NotPossibleError(_NEW_PIN.get(rv, CardFailure.PIN_CHANGE_FAILED), f"{function}: {describe(rv)}")
