# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps 9 to 11 of a login (decide.py): may the PIN be tried, did the card prove possession, is the signature right.

The card process's word is taken for a refusal, never for a grant: what grants is the signature over the verifier's own
challenge, checked here under the key of the certificate that was mapped.
"""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.decision.card_report import CertificateRef, PinState, TokenReport
from pam_sc.decision.challenge import signing_choices
from pam_sc.decision.evidence import Account, Answer, CardFailure, CertificateFacts, Evidence, NotSigned, Signed
from pam_sc.decision.policy import Policy
from pam_sc.decision.proof import verify_signature
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.verdict import Denied, Granted, Needs

Candidates = tuple[TokenReport, tuple[CertificateRef, ...]]
"""A token, and those of its certificates that map to the account, in order of preference."""

_ANSWER_REASONS = {
    Answer.EMPTY: Reason.PIN_EMPTY,
    Answer.NOT_GIVEN: Reason.PIN_NOT_GIVEN,
    Answer.FAILED: Reason.CONVERSATION_FAILED,
    Answer.AGAIN: Reason.CONVERSATION_AGAIN,
    Answer.TOO_LONG: Reason.ANSWER_TOO_LONG,
    Answer.NOT_STACKED: Reason.NO_STACKED_PIN,
    Answer.TIMEOUT: Reason.PROMPT_TIMEOUT,
}

_FAILURE_REASONS = {
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
    CardFailure.PROCESS_LOST: Reason.CARD_PROCESS_LOST,
    CardFailure.PROCESS_LOST_AFTER_PIN: Reason.CARD_PROCESS_LOST_AFTER_PIN,
    CardFailure.TIMEOUT: Reason.CARD_TIMEOUT,
    CardFailure.TIMEOUT_AFTER_PIN: Reason.CARD_TIMEOUT_AFTER_PIN,
}


def answer_reason(answer: Answer) -> Reason:
    """Return the reason for a prompt that was not answered."""
    return _ANSWER_REASONS[answer]


def failure_reason(failure: CardFailure) -> Reason:
    """Return the reason for what the card process could not do."""
    return _FAILURE_REASONS[failure]


def judge_attempts(
    evidence: Evidence, policy: Policy, account: Account, candidates: Sequence[Candidates]
) -> Granted | Denied | Needs:
    """Judge the one PIN try of this login, or say on which token to make it: the first whose PIN may be tried."""
    refusals: list[Denied] = []
    for token, refs in candidates:
        refused = judge_pin_state(token, policy, refs[0])
        if refused is None:
            return _judge_token(evidence, account, token, refs)
        refusals.append(refused)
    return max(refusals, key=lambda denied: denied.step)


def judge_pin_state(token: TokenReport, policy: Policy, ref: CertificateRef) -> Denied | None:
    """Say why the PIN of this token may not be tried (step 9), or None."""
    if not token.login_required:
        return Denied(Reason.PIN_NOT_ASKED_FOR, "the token does not set CKF_LOGIN_REQUIRED", ref)
    if token.protected_authentication_path:
        return Denied(Reason.PINPAD_ONLY, "the token sets CKF_PROTECTED_AUTHENTICATION_PATH", ref)
    if token.pin_state is PinState.LOCKED:
        return Denied(Reason.PIN_LOCKED, "the token sets CKF_USER_PIN_LOCKED", ref)
    if token.pin_state is PinState.NOT_SET:
        return Denied(Reason.PIN_NOT_SET, "the token does not set CKF_USER_PIN_INITIALIZED", ref)
    if token.pin_state is PinState.FINAL_TRY and not policy.allow_last_try:
        return Denied(Reason.PIN_LAST_TRY, "the token sets CKF_USER_PIN_FINAL_TRY", ref)
    return None


def _judge_token(
    evidence: Evidence, account: Account, token: TokenReport, refs: tuple[CertificateRef, ...]
) -> Granted | Denied | Needs:
    # 9. the PIN was given
    if not evidence.attempts:
        return Needs(Step.PIN, account=account.name, candidates=refs)
    attempt = evidence.attempts[-1]
    if attempt.token != token.ref:
        return Denied(Reason.TOKEN_CHANGED, "the PIN was asked for another token", refs[0])
    if attempt.answer is not Answer.ANSWERED:
        return Denied(_ANSWER_REASONS[attempt.answer], "", refs[0])
    # 10. the token signed this login's challenge
    if attempt.outcome is None:
        return Needs(Step.PROOF, account=account.name, candidates=refs)
    if isinstance(attempt.outcome, NotSigned):
        return Denied(_FAILURE_REASONS[attempt.outcome.failure], attempt.outcome.detail, refs[0])
    # 11. the signature verifies under the key of the very certificate that was mapped
    return _judge_signature(evidence, account, token, refs, attempt.outcome)


def _judge_signature(
    evidence: Evidence, account: Account, token: TokenReport, refs: tuple[CertificateRef, ...], signed: Signed
) -> Granted | Denied:
    ref = signed.certificate
    facts = evidence.about(ref).facts
    challenge = evidence.challenges.get(ref)
    if ref not in refs or challenge is None or not isinstance(facts, CertificateFacts):
        return Denied(Reason.SIGNATURE_INVALID, "the card signed for a certificate that was not asked for", refs[0])
    allowed = {choice.mechanism for choice in signing_choices(facts, token.mechanisms, challenge)}
    if signed.mechanism not in allowed:
        return Denied(Reason.SIGNATURE_INVALID, f"mechanism {signed.mechanism!r} was not asked for", ref)
    wrong = verify_signature(facts.public_key_der, signed.mechanism, challenge, signed.signature)
    if wrong is not None:
        return Denied(Reason.SIGNATURE_INVALID, wrong, ref)
    return Granted(account.name, ref)
