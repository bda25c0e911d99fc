# SPDX-License-Identifier: LGPL-2.1-or-later
"""One SIGN order, from the token that must be the same to the one C_Sign. Never retries, never tries a second PIN.

    1 the slot and its token are those of the report, nothing came or went   else TOKEN_REMOVED, TOKEN_CHANGED
    2 the PIN has a form that the token can accept                           else PIN_FORM
    3 a fresh session finds the very same certificates                       else TOKEN_CHANGED
    ----- up to here no PIN was sent -----
    4 C_Login accepts the PIN                                                else PIN_..., LOGIN_FAILED
    for each candidate in turn, until one has begun to sign:
    5 a private key belongs to the certificate                               else NO_PRIVATE_KEY
    6 C_SignInit takes one of the choices, in order                          else MECHANISM_REFUSED
    7 the key's own login where it wants one, then one C_Sign                else SIGNING_FAILED

Of several candidates that did not get to step 7 the first one's failure is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pam_sc.card import sentences
from pam_sc.card.ckr import CKR_OK, MECHANISM_REFUSALS, TokenError, describe
from pam_sc.card.constants import CKA_ALWAYS_AUTHENTICATE, CKA_VALUE, CKF_TOKEN_PRESENT, MAX_ATTRIBUTE
from pam_sc.card.keys import find_private_key, public_part
from pam_sc.card.mechanisms import MECHANISMS
from pam_sc.card.messages import CandidateCommand, Signature, SignCommand
from pam_sc.card.module import Module, Session, TokenInfo
from pam_sc.card.pin import NotPossibleError, log_in, log_in_for_key, require_form
from pam_sc.card.text import clean, clean_text
from pam_sc.card.token import certificate_handles, pin_state
from pam_sc.decision.card_report import PinState
from pam_sc.decision.evidence import CardFailure, NotSigned
from pam_sc.record import record


@record
class Attempted:
    """How an order ended: the answer, the session if it is still open, and whether the PIN had opened the token."""

    outcome: Signature | NotSigned
    session: Session | None = None
    logged_in: bool = False


def sign(module: Module, command: SignCommand, pin: bytearray, pin_sent: Callable[[], None]) -> Attempted:
    """Carry out one order. The caller ends what is left open (ending.py)."""
    attempt = _Attempt(module, command, pin)
    outcome: Signature | NotSigned
    try:
        outcome = attempt.run(pin_sent)
    except NotPossibleError as refusal:
        outcome = refusal.outcome
    except TokenError as error:
        failure = attempt.stage
        outcome = NotSigned(failure, clean_text(str(error)))
    return Attempted(outcome, attempt.session, attempt.logged_in)


class _Attempt:
    """The state of one order."""

    def __init__(self, module: Module, command: SignCommand, pin: bytearray) -> None:
        self._module = module
        self._command = command
        self._pin = pin
        self.stage = CardFailure.TOKEN_REMOVED
        """What an error of PKCS#11 means at this point."""
        self.session: Session | None = None
        self.logged_in = False

    def run(self, pin_sent: Callable[[], None]) -> Signature:
        command = self._command
        info = require_same_token(self._module, command)
        require_form(self._pin, info)
        self.session = session = self._module.open_session(command.slot_id)
        require_same_certificates(session, command.candidates)
        self.stage = CardFailure.LOGIN_FAILED
        log_in(self._module, command.slot_id, session, self._pin, pin_state(info.flags), pin_sent)
        self.logged_in = True
        return self._sign_for_one(session, pin_state(info.flags))

    def _sign_for_one(self, session: Session, before: PinState) -> Signature:
        passed_over: list[NotPossibleError] = []
        for number, candidate in enumerate(self._command.candidates):
            self.stage = CardFailure.NO_PRIVATE_KEY
            try:
                wants_login, mechanism, content = _begin_for(session, candidate)
            except NotPossibleError as unusable:
                passed_over.append(unusable)
                continue
            self.stage = CardFailure.SIGNING_FAILED
            if wants_login:
                log_in_for_key(self._module, self._command.slot_id, session, self._pin, before)
            return Signature(number, mechanism, session.sign(content))
        raise passed_over[0]


def require_same_token(module: Module, command: SignCommand) -> TokenInfo:
    """Return the token's state read afresh, or refuse: it left, another came, or its PIN state got worse."""
    slot = command.slot_id
    changed = slot in module.drain_events()
    if slot not in module.slots() or not module.slot_info(slot).flags & CKF_TOKEN_PRESENT:
        raise NotPossibleError(CardFailure.TOKEN_REMOVED, sentences.NO_TOKEN)
    info = module.token_info(slot)
    found = tuple(clean(raw) for raw in (info.label, info.manufacturer, info.model, info.serial))
    if changed or found != (command.label, command.manufacturer, command.model, command.serial):
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.OTHER_TOKEN)
    _require_same_pin_state(pin_state(info.flags), command.pin_state)
    return info


def _require_same_pin_state(now: PinState, reported: PinState) -> None:
    if now is PinState.LOCKED and reported is not PinState.LOCKED:
        raise NotPossibleError(CardFailure.PIN_LOCKED, sentences.LOCKED_MEANWHILE)
    if now is PinState.FINAL_TRY and reported in (PinState.OK, PinState.COUNT_LOW):
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.TRIES_USED_MEANWHILE)


def require_same_certificates(session: Session, candidates: tuple[CandidateCommand, ...]) -> None:
    """Refuse unless the token still holds every candidate's certificate, byte for byte."""
    values = (session.attribute_or(handle, CKA_VALUE, MAX_ATTRIBUTE) for handle in certificate_handles(session))
    present = {hashlib.sha256(value).digest() for value in values}
    if any(candidate.certificate_sha256 not in present for candidate in candidates):
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.CERTIFICATE_GONE)


def _begin_for(session: Session, candidate: CandidateCommand) -> tuple[bool, str, bytes]:
    """Begin to sign for a candidate: whether its key wants a login of its own, the mechanism, the bytes to sign."""
    key = find_private_key(session, candidate.object_id, public_part(candidate.public_key_der))
    if key is None:
        raise NotPossibleError(CardFailure.NO_PRIVATE_KEY, sentences.NO_KEY)
    wants_login = any(session.attribute_or(key, CKA_ALWAYS_AUTHENTICATE, 1))
    if wants_login and not candidate.context_login:
        raise NotPossibleError(CardFailure.SIGNING_FAILED, sentences.NOT_FOR_SIGNATURES)
    return (wants_login, *_begin(session, key, candidate.choices))


def _begin(session: Session, key: int, choices: tuple[tuple[str, bytes], ...]) -> tuple[str, bytes]:
    """Begin with the first choice that C_SignInit takes."""
    refused: list[str] = []
    for name, content in choices:
        rv = session.sign_init(MECHANISMS[name], key)
        if rv == CKR_OK:
            return name, content
        refused.append(f"{name}: {describe(rv)}")
        if rv not in MECHANISM_REFUSALS:
            raise NotPossibleError(CardFailure.SIGNING_FAILED, f"C_SignInit: {refused[-1]}")
    raise NotPossibleError(CardFailure.MECHANISM_REFUSED, f"C_SignInit: {'; '.join(refused) or 'no mechanism to try'}")
