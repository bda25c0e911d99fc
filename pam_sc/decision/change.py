# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it means that a PIN may be changed or unblocked through `passwd`. Pure: no file, socket, clock or log.

 1. to 3. The request, the token and its certificates: as in a login (decide.py). The account must be named, and no card is
    waited for.
 4. and 5. A certificate of the token suits a login and chains to a trust anchor, or did at the end of its validity: who
    holds an expired card may still give it another PIN.
 6. Revocation is not looked at: a revoked certificate lets nobody in, whatever its PIN is.
 7. It maps to the account. So passwd never asks for the PIN of somebody else's card.
 8. Of several tokens the first whose PIN can be changed is taken; where all are locked, the first one.
 9. The PIN may be tried, by the token and by what was counted here: as in a login, but a locked one is unblocked.

`judge_change` is to a change what `decide` is to a login; where it says Needs(Step.PIN), the change may go on.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from pam_sc.decision.admission import judge_request
from pam_sc.decision.card_report import CertificateRef, Failure, PinState, TokenReport
from pam_sc.decision.decide import judge_trust
from pam_sc.decision.evidence import CertificateFacts, Evidence, MappingFailed
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account
from pam_sc.decision.tokens import list_certificates, select_tokens
from pam_sc.decision.verdict import Denied, Needs, furthest
from pam_sc.record import replace

_MOMENT = datetime.timedelta(seconds=1)

_NO_CARD = frozenset({Reason.NO_CARD, Reason.NO_READER})

def judge_change(
    evidence: Evidence, policy: Policy, at: datetime.datetime, *, forced: bool = False
) -> Denied | Needs:
    """Judge steps 1 to 9 of a change at the time `at` (aware). Never raises on hostile evidence.

    `forced`: a login has found that its token's PIN must be changed, so a token that says so comes first.
    """
    # 1. the request is allowed at all, and names the account
    account = judge_request(evidence, policy)
    if isinstance(account, Denied | Needs):
        return account
    if account is None:
        return Denied(Reason.ACCOUNT_NOT_NAMED, "a PIN is changed for an account that is named")
    # 2. a token is present that the configuration selects
    if evidence.card is None:
        return Needs(Step.TOKEN)
    tokens = select_tokens(evidence.card, policy)
    if isinstance(tokens, Denied):
        return Denied(Reason.NO_CARD_TO_CHANGE, tokens.detail) if tokens.reason in _NO_CARD else tokens
    # 3. to 7. its certificates, each judged by itself
    certificates, refusals = list_certificates(tokens, policy)
    mine: list[CertificateRef] = []
    for report in certificates:
        judged = _judge_certificate(evidence, policy, at, report.ref, account)
        if isinstance(judged, Needs):
            return judged
        if isinstance(judged, Denied):
            refusals.append(judged)
        else:
            mine.append(judged)
    if not mine:
        return furthest(refusals)
    # 8. and 9. the token, and whether its PIN may be tried
    return _judge_tokens(evidence, policy, account, tokens, mine, forced=forced)


def _judge_certificate(
    evidence: Evidence, policy: Policy, at: datetime.datetime, ref: CertificateRef, account: Account
) -> CertificateRef | Denied | Needs:
    known = evidence.about(ref)
    # 4. and 5. as it stood while it was valid; 6. not at all
    judged = judge_trust(replace(known, revocation=None), policy, moment_of(known.facts, at))
    if isinstance(judged, Failure):
        return Denied(judged.reason, judged.detail, ref)
    if judged is not None and judged is not Step.REVOCATION:
        return Needs(judged, ref)
    # 7. it maps to the account
    if known.mapping is None:
        return Needs(Step.MAPPING, ref)
    if isinstance(known.mapping, MappingFailed):
        return Denied(known.mapping.reason, known.mapping.why, ref)
    if account.name not in known.mapping.accounts:
        return Denied(Reason.NOT_MAPPED, known.mapping.detail, ref)
    return ref


def moment_of(facts: object, at: datetime.datetime) -> datetime.datetime:
    """Return `at`, or the moment nearest to it at which the certificate is valid."""
    if not isinstance(facts, CertificateFacts):
        return at
    return max(facts.not_before, min(at, facts.not_after - _MOMENT))


def _judge_tokens(
    evidence: Evidence, policy: Policy, account: Account, tokens: Sequence[TokenReport], mine: Sequence[CertificateRef],
    *, forced: bool,
) -> Denied | Needs:
    with_mine = [token for token in tokens if any(ref.token == token.ref for ref in mine)]
    ordered = sorted(with_mine, key=lambda token: (is_locked(token), forced and not token.to_be_changed))
    refusals: list[Denied] = []
    for token in ordered:
        refs = tuple(ref for ref in mine if ref.token == token.ref)
        refused = why_not_changed(token, policy) or _why_not_tried(token, evidence)
        if refused is None:
            return Needs(Step.PIN, account=account.name, candidates=refs)
        refusals.append(Denied(refused.reason, refused.detail, refs[0]))
    return refusals[0]


def _why_not_tried(token: TokenReport, evidence: Evidence) -> Failure | None:
    """Too many wrong PINs were counted for the token; its PUK may be tried all the same."""
    return None if is_locked(token) else evidence.tries_refused.get(token.ref)


def is_locked(token: TokenReport) -> bool:
    """Say whether the PIN is locked, so that it is unblocked rather than changed."""
    return token.pin_state is PinState.LOCKED


def why_not_changed(token: TokenReport, policy: Policy) -> Failure | None:
    """Say why the PIN of this token can be neither changed nor unblocked here, or None."""
    if not token.login_required:
        return Failure(Reason.PIN_CHANGE_UNSUPPORTED, "the token does not set CKF_LOGIN_REQUIRED: it has no PIN")
    if token.protected_authentication_path and not policy.pinpad:
        return Failure(Reason.PINPAD_ONLY, "the token sets CKF_PROTECTED_AUTHENTICATION_PATH")
    if token.pin_state is PinState.NOT_SET:
        return Failure(Reason.PIN_NOT_SET, "the token does not set CKF_USER_PIN_INITIALIZED")
    if token.pin_state is PinState.FINAL_TRY and not policy.allow_last_try:
        return Failure(Reason.PIN_LAST_TRY, "the token sets CKF_USER_PIN_FINAL_TRY")
    return None
