# SPDX-License-Identifier: LGPL-2.1-or-later
"""How often a PIN is tried in one login, in which way, and what ends it. Pure; it never sees a PIN.

    what is known                                   what comes next
    ----------------------------------------------  ---------------------------------------------------------------
    the token asks for no PIN                       nobody is asked, where the policy allows that
    the PIN is typed on the reader                  the person types it there, where the policy allows that
    a stacked password, and it is not the last try  it is handed over; where it does not fit, try_first_pass goes on
                                                    with the person and that counts for nothing, use_first_pass refuses
    else                                            the person is asked
    the PIN was wrong, or had no fit form           the person is asked again while `prompts` are left, and never with
                                                    use_first_pass; for the last try only with allow_last_try, and if it
                                                    is the owner of the account, or a service of root's, who asks
    the PIN was one that the token refused before   refused: hosts give one stored answer to every prompt
    anything else                                   refused

The last attempt's refusal is the login's. A stacked password that was sent to the token counts as one prompt.
"""

from __future__ import annotations

from pam_sc.decision.card_report import CertificateRef, PinState, TokenReport
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer, Attempt, CardFailure, NotSigned, Opened, PinPrompt, PinWay, Signed
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account, Request
from pam_sc.decision.verdict import Denied, Needs
from pam_sc.record import record, replace

ANSWER_REASONS = {
    Answer.EMPTY: Reason.PIN_EMPTY,
    Answer.NOT_GIVEN: Reason.PIN_NOT_GIVEN,
    Answer.FAILED: Reason.CONVERSATION_FAILED,
    Answer.AGAIN: Reason.CONVERSATION_AGAIN,
    Answer.TOO_LONG: Reason.ANSWER_TOO_LONG,
    Answer.NOT_STACKED: Reason.NO_STACKED_PIN,
    Answer.TIMEOUT: Reason.PROMPT_TIMEOUT,
}

_STACKED_REASONS = {
    Answer.NOT_STACKED: Reason.NO_STACKED_PIN,
    Answer.EMPTY: Reason.NO_STACKED_PIN,
    Answer.TOO_LONG: Reason.PIN_FORM,
}
"""Where a stacked password is no PIN at all."""

FAILURE_REASONS = {
    CardFailure.PIN_FORM: Reason.PIN_FORM,
    CardFailure.TOKEN_REMOVED: Reason.TOKEN_REMOVED,
    CardFailure.TOKEN_CHANGED: Reason.TOKEN_CHANGED,
    CardFailure.PIN_WRONG: Reason.PIN_WRONG,
    CardFailure.PIN_WRONG_FEW_LEFT: Reason.PIN_WRONG_FEW_LEFT,
    CardFailure.PIN_WRONG_ONE_LEFT: Reason.PIN_WRONG_ONE_LEFT,
    CardFailure.PIN_REPEATED: Reason.PIN_REPEATED,
    CardFailure.LAST_TRY_STACKED: Reason.PIN_LAST_TRY,
    CardFailure.PINPAD_CANCELLED: Reason.PINPAD_CANCELLED,
    CardFailure.PINPAD_TIMEOUT: Reason.PINPAD_TIMEOUT,
    CardFailure.PIN_WRONG_NOW_LOCKED: Reason.PIN_WRONG_NOW_LOCKED,
    CardFailure.PIN_LOCKED: Reason.PIN_LOCKED,
    CardFailure.PIN_EXPIRED: Reason.PIN_EXPIRED,
    CardFailure.LOGIN_FAILED: Reason.LOGIN_FAILED,
    CardFailure.NO_PRIVATE_KEY: Reason.NO_PRIVATE_KEY,
    CardFailure.MECHANISM_REFUSED: Reason.MECHANISM_REFUSED,
    CardFailure.SIGNING_FAILED: Reason.SIGNING_FAILED,
    CardFailure.NEW_PIN_UNFIT: Reason.NEW_PIN_UNFIT,
    CardFailure.NEW_PIN_REPEAT_DIFFERS: Reason.NEW_PIN_REPEAT_DIFFERS,
    CardFailure.NEW_PIN_SAME: Reason.NEW_PIN_SAME,
    CardFailure.PUK_WRONG: Reason.PUK_WRONG,
    CardFailure.PUK_LOCKED: Reason.PUK_LOCKED,
    CardFailure.PIN_CHANGE_FAILED: Reason.PIN_CHANGE_FAILED,
    CardFailure.PIN_CHANGE_UNSUPPORTED: Reason.PIN_CHANGE_UNSUPPORTED,
    CardFailure.PROCESS_LOST: Reason.CARD_PROCESS_LOST,
    CardFailure.PROCESS_LOST_AFTER_PIN: Reason.CARD_PROCESS_LOST_AFTER_PIN,
    CardFailure.TIMEOUT: Reason.CARD_TIMEOUT,
    CardFailure.TIMEOUT_AFTER_PIN: Reason.CARD_TIMEOUT_AFTER_PIN,
}

_STATE_AFTER = {
    CardFailure.PIN_WRONG_FEW_LEFT: PinState.COUNT_LOW,
    CardFailure.PIN_WRONG_ONE_LEFT: PinState.FINAL_TRY,
    CardFailure.LAST_TRY_STACKED: PinState.FINAL_TRY,
}
"""What a token has shown beside a refusal; else it is as it was."""

WRONG = frozenset({CardFailure.PIN_WRONG, CardFailure.PIN_WRONG_FEW_LEFT, CardFailure.PIN_WRONG_ONE_LEFT})
_UNSENT_STACKED = frozenset({CardFailure.PIN_FORM, CardFailure.LAST_TRY_STACKED})
_NOT_BEFORE_A_CHANGE = frozenset({
    CardFailure.LOGIN_FAILED, CardFailure.PIN_EXPIRED, CardFailure.NO_PRIVATE_KEY, CardFailure.MECHANISM_REFUSED,
    CardFailure.SIGNING_FAILED,
})  # fmt: skip
"""How a token with CKF_USER_PIN_TO_BE_CHANGED says that it does nothing before that."""


@record(kw_only=True)
class Bid:
    """What a PIN is for: to sign with one of these certificates of the token, or, without any, to open it."""

    token: TokenReport
    refs: tuple[CertificateRef, ...] = ()
    account: str | None = None

    @property
    def first(self) -> CertificateRef | None:
        """The certificate that a refusal is about."""
        return self.refs[0] if self.refs else None

    def denied(self, reason: Reason, detail: str = "") -> Denied:
        """A refusal of this bid."""
        return Denied(reason, detail, self.first)

    def needs(self, step: Step, way: PinWay, prompt: PinPrompt = PinPrompt.FIRST) -> Needs:
        """What is to be found out next for this bid."""
        opens = None if self.refs else self.token.ref
        return Needs(step, account=self.account, candidates=self.refs, opens=opens, way=way, prompt=prompt)


def judge_pin(evidence: Evidence, policy: Policy, bid: Bid) -> Signed | Opened | Denied | Needs:
    """Say what the last attempt came to, or what to do next. What the token signed is not checked here."""
    # 9. the PIN may be tried
    policy = replace(policy, allow_last_try=policy.allow_last_try and may_have_the_last(evidence, bid.refs))
    refused = why_not_tried(evidence.request, policy, bid)
    if refused is not None:
        return refused
    if not evidence.attempts:
        return _ask(evidence, bid, _first_way(bid.token, evidence.request))
    # 9. it was given
    attempt = evidence.attempts[-1]
    if not _was_given(attempt, bid.token):
        return _not_given(evidence, bid, attempt)
    # 10. the token took it
    if attempt.outcome is None:
        return _tries_refused(evidence, bid) or bid.needs(Step.PROOF, attempt.way)
    if isinstance(attempt.outcome, NotSigned):
        return _not_signed(evidence, policy, bid, attempt, attempt.outcome)
    return attempt.outcome


def is_owner(evidence: Evidence) -> bool:
    """Say whether whoever asks may use every try: root's services, and who runs as the account that is asked for."""
    uid = evidence.request.real_uid
    return uid == 0 or (isinstance(evidence.requested, Account) and evidence.requested.uid == uid)


def may_have_the_last(evidence: Evidence, refs: tuple[CertificateRef, ...]) -> bool:
    """Say whether whoever asks may use the last try of a token: with no certificate nobody knows yet whose it is."""
    return is_owner(evidence) if refs else evidence.request.real_uid == 0


def why_not_tried(request: Request | None, policy: Policy, bid: Bid) -> Denied | None:
    """Say why the PIN of this token may not be tried (step 9), or None."""
    token = bid.token
    unasked = request is not None and request.use_first_pass
    if not token.login_required:
        return _judge_no_pin(request, policy, bid)
    if token.protected_authentication_path and not policy.pinpad:
        return bid.denied(Reason.PINPAD_ONLY, "the token sets CKF_PROTECTED_AUTHENTICATION_PATH")
    if token.protected_authentication_path and unasked:
        return bid.denied(Reason.PINPAD_ONLY, "use_first_pass lets nobody be asked to type on the reader")
    if token.pin_state is PinState.LOCKED:
        return bid.denied(Reason.PIN_LOCKED, "the token sets CKF_USER_PIN_LOCKED")
    if token.pin_state is PinState.NOT_SET:
        return bid.denied(Reason.PIN_NOT_SET, "the token does not set CKF_USER_PIN_INITIALIZED")
    if token.pin_state is PinState.FINAL_TRY and not policy.allow_last_try:
        return bid.denied(Reason.PIN_LAST_TRY, "the token sets CKF_USER_PIN_FINAL_TRY")
    if token.pin_state is PinState.FINAL_TRY and unasked:
        return bid.denied(Reason.PIN_LAST_TRY, "a stacked password is never used for the last try")
    return None


def _judge_no_pin(request: Request | None, policy: Policy, bid: Bid) -> Denied | None:
    if not policy.allow_no_pin:
        return bid.denied(Reason.PIN_NOT_ASKED_FOR, "the token does not set CKF_LOGIN_REQUIRED")
    if request is not None and request.disallow_null:
        return bid.denied(Reason.PIN_NOT_ASKED_FOR, "the application says PAM_DISALLOW_NULL_AUTHTOK")
    return None


def _first_way(token: TokenReport, request: Request) -> PinWay:
    if not token.login_required:
        return PinWay.NONE
    if token.protected_authentication_path:
        return PinWay.PINPAD
    if (request.try_first_pass or request.use_first_pass) and token.pin_state is not PinState.FINAL_TRY:
        return PinWay.STACKED
    return PinWay.TYPED


def _ask(evidence: Evidence, bid: Bid, way: PinWay) -> Needs | Denied:
    return _tries_refused(evidence, bid) or bid.needs(Step.PIN, way, _prompt(evidence, bid.token))


def _tries_refused(evidence: Evidence, bid: Bid) -> Denied | None:
    why = evidence.tries_refused.get(bid.token.ref)
    return None if why is None else bid.denied(why.reason, why.detail)


def _was_given(attempt: Attempt, token: TokenReport) -> bool:
    if attempt.way in (PinWay.TYPED, PinWay.STACKED):
        return attempt.answer is Answer.ANSWERED
    return attempt.answer is Answer.NOT_NEEDED and (attempt.way is not PinWay.NONE or not token.login_required)


def _not_given(evidence: Evidence, bid: Bid, attempt: Attempt) -> Denied | Needs:
    if attempt.way is not PinWay.STACKED or attempt.answer not in _STACKED_REASONS:
        return bid.denied(ANSWER_REASONS.get(attempt.answer, Reason.PIN_NOT_GIVEN))
    if evidence.request.use_first_pass:
        return bid.denied(_STACKED_REASONS[attempt.answer], "the stacked password cannot be the PIN")
    return _ask(evidence, bid, PinWay.TYPED)


def _not_signed(
    evidence: Evidence, policy: Policy, bid: Bid, attempt: Attempt, outcome: NotSigned
) -> Denied | Needs:
    """The last attempt's refusal, unless the PIN may be asked for once more."""
    if bid.token.to_be_changed and outcome.failure in _NOT_BEFORE_A_CHANGE:
        return bid.denied(Reason.PIN_TO_BE_CHANGED, outcome.detail)
    refused = bid.denied(FAILURE_REASONS[outcome.failure], outcome.detail)
    if not _may_go_on(evidence, policy, bid.token, attempt, outcome.failure):
        return refused
    again = _ask(evidence, bid, PinWay.TYPED if attempt.way is PinWay.STACKED else attempt.way)
    return again if isinstance(again, Needs) else refused


def _may_go_on(
    evidence: Evidence, policy: Policy, token: TokenReport, attempt: Attempt, failure: CardFailure
) -> bool:
    if evidence.request.use_first_pass or attempt.way is PinWay.OPENED:
        return False
    if pin_state(evidence, token) is PinState.FINAL_TRY and not policy.allow_last_try:
        return False
    if attempt.way is PinWay.STACKED and failure in _UNSENT_STACKED:
        return True
    asked = sum(_counts(each) for each in evidence.attempts)
    return (failure in WRONG or failure is CardFailure.PIN_FORM) and asked < policy.prompts


def _counts(attempt: Attempt) -> bool:
    """It counts as one of `prompts`: a person was asked, or a stacked password went to the token."""
    if attempt.way is not PinWay.STACKED:
        return True
    return isinstance(attempt.outcome, NotSigned) and attempt.outcome.failure not in _UNSENT_STACKED


def pin_state(evidence: Evidence, token: TokenReport) -> PinState:
    """The state of the token's PIN as it was last seen: in its report, or beside its refusals since."""
    state = token.pin_state
    for attempt in evidence.attempts:
        if isinstance(attempt.outcome, NotSigned):
            state = _STATE_AFTER.get(attempt.outcome.failure, state)
    return state


def _prompt(evidence: Evidence, token: TokenReport) -> PinPrompt:
    state = pin_state(evidence, token)
    if state is PinState.FINAL_TRY:
        return PinPrompt.LAST_TRY
    if state is PinState.COUNT_LOW:
        return PinPrompt.FEW_LEFT
    last = evidence.attempts[-1] if evidence.attempts else None
    wrong = last is not None and isinstance(last.outcome, NotSigned)
    unsent = wrong and last is not None and last.way is PinWay.STACKED and not _counts(last)
    return PinPrompt.AGAIN if wrong and not unsent else PinPrompt.FIRST
