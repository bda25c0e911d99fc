# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PIN: read from the secrets channel, judged by its form, given to C_Login, wiped.

One typed PIN is judged by the token at most once as CKU_USER and at most once as CKU_CONTEXT_SPECIFIC. An empty PIN never
goes anywhere. No message, exception or log line holds a PIN or its length.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator

from pam_sc.card import sentences
from pam_sc.card.ckr import (
    ALREADY_LOGGED_IN,
    CKR_OK,
    CKR_PIN_EXPIRED,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED,
    TokenError,
    describe,
)
from pam_sc.card.constants import CKU_CONTEXT_SPECIFIC, CKU_USER, MAX_SECRET
from pam_sc.card.module import Module, Session, TokenInfo
from pam_sc.card.token import pin_state
from pam_sc.decision.card_report import PinState
from pam_sc.decision.evidence import CardFailure, NotSigned
from pam_sc.errors import PamScError, ProtocolError

SECRET_WAIT = 5.0
"""Seconds. The secret is in the channel before the order that needs it; nobody types while this runs."""

_FAILURES = {
    CKR_PIN_INCORRECT: CardFailure.PIN_WRONG,
    CKR_PIN_INVALID: CardFailure.PIN_WRONG,
    CKR_PIN_LEN_RANGE: CardFailure.PIN_FORM,
    CKR_PIN_LOCKED: CardFailure.PIN_LOCKED,
    CKR_PIN_EXPIRED: CardFailure.PIN_EXPIRED,
}


class NotPossibleError(PamScError):
    """The order ends here; `outcome` is the answer to it."""

    def __init__(self, failure: CardFailure, detail: str = "") -> None:
        super().__init__(f"cannot sign: {failure.value}: {detail}")
        self.outcome = NotSigned(failure, detail)


@contextlib.contextmanager
def secret_from(descriptor: int) -> Iterator[bytearray]:
    """The next secret of the channel, wiped at the end; ProtocolError if there is none or it is malformed."""
    deadline = time.monotonic() + SECRET_WAIT
    secret = bytearray()
    try:
        length = int.from_bytes(_exactly(descriptor, 4, deadline), "big")
        if not 0 < length <= MAX_SECRET:
            raise ProtocolError("secret is malformed: its length is out of bounds")
        secret = _exactly(descriptor, length, deadline)
        yield secret
    finally:
        wipe(secret)


def _exactly(descriptor: int, count: int, deadline: float) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    while view:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poller.poll(remaining * 1000):
            raise ProtocolError("secret is malformed: it does not come whole")
        got = os.readv(descriptor, [view])
        if not got:
            raise ProtocolError("secret is malformed: end of the channel")
        view = view[got:]
    return buffer


def wipe(secret: bytearray) -> None:
    """Overwrite a secret where it lies. Copies that PyKCS11 makes are out of reach; the process ends soon."""
    for index in range(len(secret)):
        secret[index] = 0


def require_form(pin: bytearray, info: TokenInfo) -> None:
    """Refuse what the token could not accept as a PIN, before it sees it."""
    sane = info.pin_max > 0 and info.pin_min <= info.pin_max
    if not pin or 0 in pin or (sane and not info.pin_min <= len(pin) <= info.pin_max):
        raise NotPossibleError(CardFailure.PIN_FORM, sentences.NOT_SENT)


def log_in(module: Module, slot: int, session: Session, pin: bytearray, before: PinState,
           pin_sent: Callable[[], None]) -> None:
    """Be logged in by this very PIN, or NotPossibleError.

    "Already logged in" is never an answer: somebody else may have logged in. Then one C_Logout and one more C_Login,
    which is the first to be judged.
    """
    pin_sent()
    rv = session.login(CKU_USER, pin)
    if rv in ALREADY_LOGGED_IN:
        ended = session.logout()
        if ended != CKR_OK:
            raise NotPossibleError(CardFailure.LOGIN_FAILED, f"C_Login: {describe(rv)}; C_Logout: {describe(ended)}")
        rv = session.login(CKU_USER, pin)
    if rv != CKR_OK:
        raise NotPossibleError(*_judged(module, slot, rv, before))


def log_in_for_key(module: Module, slot: int, session: Session, pin: bytearray, before: PinState) -> None:
    """Give the PIN once more for the operation that C_SignInit began (CKA_ALWAYS_AUTHENTICATE).

    Here "already logged in" may stand: this PIN was accepted in this session, and the signature is still to come.
    """
    rv = session.login(CKU_CONTEXT_SPECIFIC, pin)
    if rv != CKR_OK and rv not in ALREADY_LOGGED_IN:
        failure, detail = _judged(module, slot, rv, before)
        if failure is CardFailure.LOGIN_FAILED:
            failure = CardFailure.SIGNING_FAILED
        raise NotPossibleError(failure, f"for the key: {detail}")


def _judged(module: Module, slot: int, rv: int, before: PinState) -> tuple[CardFailure, str]:
    failure = _FAILURES.get(rv, CardFailure.LOGIN_FAILED)
    if failure is CardFailure.PIN_WRONG and _state(module, slot) is PinState.LOCKED:
        failure = CardFailure.PIN_WRONG_NOW_LOCKED
    if failure is CardFailure.PIN_LOCKED and before is PinState.FINAL_TRY:
        failure = CardFailure.PIN_WRONG_NOW_LOCKED  # the last try was there before, and this used it up
    return failure, f"C_Login: {describe(rv)}"


def _state(module: Module, slot: int) -> PinState | None:
    try:
        return pin_state(module.token_info(slot).flags)
    except TokenError:
        return None
