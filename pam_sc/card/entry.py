# SPDX-License-Identifier: LGPL-2.1-or-later
"""How an order gets into a token: the token that must be the same, then one PIN, sent once. Never a second try.

    1 the slot and its token are those of the report, nothing came or went   else TOKEN_REMOVED, TOKEN_CHANGED
    2 the token takes the PIN in the way that was chosen for it              else TOKEN_CHANGED, LAST_TRY_STACKED
    3 the PIN has a form that the token and the rules accept                 else PIN_FORM
    4 the token has not refused it before                                    else PIN_REPEATED
    ----- up to here no PIN was sent -----
    5 C_Login accepts the PIN                                                else PIN_..., LOGIN_FAILED

One typed PIN is judged by the token at most once as CKU_USER and at most once as CKU_CONTEXT_SPECIFIC.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pam_sc.card import ending, sentences
from pam_sc.card.ckr import (
    ALREADY_LOGGED_IN,
    CKR_CANCEL,
    CKR_FUNCTION_CANCELED,
    CKR_OK,
    CKR_PIN_EXPIRED,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED,
    TokenError,
    describe,
)
from pam_sc.card.constants import (
    CKF_LOGIN_REQUIRED,
    CKF_PROTECTED_AUTHENTICATION_PATH,
    CKF_TOKEN_PRESENT,
    CKU_CONTEXT_SPECIFIC,
    CKU_USER,
)
from pam_sc.card.module import Module, TokenInfo
from pam_sc.card.orders import PinRules, Target
from pam_sc.card.pin import NotPossibleError, require_form
from pam_sc.card.refused import TokenMemory
from pam_sc.card.session import Session
from pam_sc.card.text import clean, clean_text
from pam_sc.card.token import pin_state
from pam_sc.decision.card_report import PinState
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay

T = TypeVar("T")

SOONEST_TYPED = 0.25
"""Seconds in which nobody types a PIN on a reader: who is logged in sooner has found a card that was verified already."""

_REFUSALS = {
    CKR_PIN_INCORRECT: CardFailure.PIN_WRONG,
    CKR_PIN_INVALID: CardFailure.PIN_WRONG,
    CKR_PIN_LEN_RANGE: CardFailure.PIN_WRONG,
    CKR_PIN_LOCKED: CardFailure.PIN_LOCKED,
}
"""What C_Login says where it has judged the PIN and does not take it. Of a length too: it may have cost a try."""
_CANCELLED = frozenset({CKR_FUNCTION_CANCELED, CKR_CANCEL})
_WRONG = {
    PinState.COUNT_LOW: CardFailure.PIN_WRONG_FEW_LEFT,
    PinState.FINAL_TRY: CardFailure.PIN_WRONG_ONE_LEFT,
    PinState.LOCKED: CardFailure.PIN_WRONG_NOW_LOCKED,
}
_LAST = frozenset({PinState.FINAL_TRY, PinState.LOCKED})


class Entry:
    """One order's way into a token. The caller ends what is left open (ending.py)."""

    def __init__(self, module: Module, target: Target, pin: bytearray, memory: TokenMemory,
                 pin_sent: Callable[[], None]) -> None:
        self.module = module
        self.target = target
        self.way = target.way
        """How the PIN came; of a token that is open, how it was opened."""
        self.pin = pin
        self.memory = memory
        self.pin_sent = pin_sent
        self.stage = CardFailure.TOKEN_REMOVED
        """What an error of PKCS#11 means at this point."""
        self.session: Session | None = None
        self.logged_in = False
        self.before = PinState.OK
        """The token's PIN state before the PIN was sent."""

    def check(self) -> TokenInfo:
        """Steps 1 and 2: the token's state, read afresh."""
        if self.target.way is PinWay.PINPAD:
            ending.forget_verification(self.module, self.target.slot_id)
        info = require_same_token(self.module, self.target)
        self.before = pin_state(info.flags)
        _require_way(self.target.way, info)
        _require_pin_state(self.before, self.target.pin_state, self.memory.told)
        return info

    def require_pin(self, info: TokenInfo, rules: PinRules) -> None:
        """Steps 3 and 4, where there is a PIN to judge."""
        if self.target.has_secret:
            require_form(self.pin, info, rules)
            if self.memory.has(self.pin):
                raise NotPossibleError(CardFailure.PIN_REPEATED, sentences.REFUSED_BEFORE)

    def open_session(self, *, writable: bool = False) -> Session:
        """A fresh session, which the caller of the order ends."""
        self.session = self.module.open_session(self.target.slot_id, writable=writable)
        return self.session

    def log_in(self, session: Session, *, expired_is_enough: bool = False) -> None:
        """Step 5: be logged in by this very PIN, or by none where the token needs none."""
        self.stage = CardFailure.LOGIN_FAILED
        if self.logged_in or self.target.way is PinWay.NONE:
            return
        self.pin_sent()
        rv = self._log_in_on_reader(session) if self.target.way is PinWay.PINPAD else self._log_in(session)
        if rv != CKR_OK and not (expired_is_enough and rv == CKR_PIN_EXPIRED):
            raise NotPossibleError(*self._judged(rv))
        self.logged_in = True
        self.memory.told = None

    def log_in_for_key(self, session: Session) -> None:
        """Give the PIN once more for the operation that C_SignInit began (CKA_ALWAYS_AUTHENTICATE).

        Here "already logged in" may stand: this PIN was accepted in this session, and the signature is still to come.
        """
        if self.way is PinWay.NONE:
            raise NotPossibleError(CardFailure.SIGNING_FAILED, sentences.WANTS_A_PIN)
        on_reader = self.way is PinWay.PINPAD
        rv = session.login_on_reader(CKU_CONTEXT_SPECIFIC) if on_reader else session.login(CKU_CONTEXT_SPECIFIC, self.pin)
        if rv != CKR_OK and rv not in ALREADY_LOGGED_IN:
            failure, detail = self._judged(rv)
            if failure is CardFailure.LOGIN_FAILED:
                failure = CardFailure.SIGNING_FAILED
            raise NotPossibleError(failure, f"for the key: {detail}")

    def _log_in(self, session: Session) -> int:
        """Log in with the typed PIN. "Already logged in" is never an answer: somebody else may have logged in.

        Then one C_Logout and one more C_Login, which is the first to be judged.
        """
        rv = session.login(CKU_USER, self.pin)
        if rv not in ALREADY_LOGGED_IN:
            return rv
        ended = session.logout()
        if ended != CKR_OK:
            raise NotPossibleError(CardFailure.LOGIN_FAILED, f"C_Login: {describe(rv)}; C_Logout: {describe(ended)}")
        return session.login(CKU_USER, self.pin)

    def _log_in_on_reader(self, session: Session) -> int:
        """Log in with a PIN that is typed on the reader; a token that is logged in already is refused."""
        begun = time.monotonic()
        rv = session.login_on_reader(CKU_USER)
        if rv == CKR_OK and time.monotonic() - begun < SOONEST_TYPED:
            self.logged_in = True  # so that it is ended
            raise NotPossibleError(CardFailure.LOGIN_FAILED, sentences.NOT_TYPED)
        return rv

    def _judged(self, rv: int) -> tuple[CardFailure, str]:
        detail = f"C_Login: {describe(rv)}"
        if rv in _CANCELLED and not self.pin:
            return CardFailure.PINPAD_CANCELLED, detail
        if rv == CKR_PIN_EXPIRED:
            return CardFailure.PIN_EXPIRED, detail
        if rv not in _REFUSALS:
            return CardFailure.LOGIN_FAILED, detail
        if self.pin:
            self.memory.add(self.pin)
        return self._refusal(_REFUSALS[rv]), detail

    def _refusal(self, failure: CardFailure) -> CardFailure:
        """A refusal with what the token says of its tries now."""
        if failure is CardFailure.PIN_WRONG:
            self.memory.told = state_of(self.module, self.target.slot_id)
            return _WRONG.get(self.memory.told or PinState.OK, failure)
        if failure is CardFailure.PIN_LOCKED and self.before is PinState.FINAL_TRY:
            return CardFailure.PIN_WRONG_NOW_LOCKED  # the last try was there before, and this used it up
        return failure


def carried_out(entry: Entry, work: Callable[[], T]) -> T | NotSigned:
    """What the work on an order gives, or why it was not done."""
    try:
        return work()
    except NotPossibleError as refusal:
        return refusal.outcome
    except TokenError as error:
        return NotSigned(entry.stage, clean_text(str(error)))


def require_same_token(module: Module, target: Target) -> TokenInfo:
    """Return the token's state read afresh, or refuse: it left, or another came."""
    slot = target.slot_id
    changed = slot in module.drain_events()
    if slot not in module.slots() or not module.slot_info(slot).flags & CKF_TOKEN_PRESENT:
        raise NotPossibleError(CardFailure.TOKEN_REMOVED, sentences.NO_TOKEN)
    info = module.token_info(slot)
    found = tuple(clean(raw) for raw in (info.label, info.manufacturer, info.model, info.serial))
    if changed or found != target.identity:
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.OTHER_TOKEN)
    return info


def state_of(module: Module, slot: int) -> PinState | None:
    """The token's PIN state, read afresh; None where it cannot be read."""
    try:
        return pin_state(module.token_info(slot).flags)
    except TokenError:
        return None


def _require_way(way: PinWay, info: TokenInfo) -> None:
    if way is PinWay.NONE and info.flags & CKF_LOGIN_REQUIRED:
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.WANTS_A_PIN)
    if way is PinWay.PINPAD and not info.flags & CKF_PROTECTED_AUTHENTICATION_PATH:
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.NO_KEYPAD)
    if way is PinWay.STACKED and pin_state(info.flags) is PinState.FINAL_TRY:
        raise NotPossibleError(CardFailure.LAST_TRY_STACKED, sentences.NOT_SENT)


def _require_pin_state(now: PinState, *known: PinState | None) -> None:
    """Refuse where the PIN state got worse than what the verifier knows: by the report, or by a refusal of this process."""
    if now is PinState.LOCKED and PinState.LOCKED not in known:
        raise NotPossibleError(CardFailure.PIN_LOCKED, sentences.LOCKED_MEANWHILE)
    if now is PinState.FINAL_TRY and known[0] is not PinState.NOT_SET and not _LAST.intersection(known):
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.TRIES_USED_MEANWHILE)
