# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps 9 to 11 of a login (decide.py): may the PIN be tried, did the card prove possession, is the signature right.

The card process's word is taken for a refusal, never for a grant: what grants is the signature over the verifier's own
challenge, checked here under the key of the certificate that was mapped. How often and how the PIN is asked for is in
pin.py. The same holds for a token that is opened before its certificates are judged, but that proves nothing yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.decision.card_report import CertificateRef, TokenReport
from pam_sc.decision.challenge import signing_choices
from pam_sc.decision.evidence import CertificateFacts, Evidence
from pam_sc.decision.pin import Bid, judge_pin, why_not_tried
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Opened, PinWay, Signed
from pam_sc.decision.proof import verify_signature
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account, Request
from pam_sc.decision.verdict import Denied, Granted, Needs

Candidates = tuple[TokenReport, tuple[CertificateRef, ...]]
"""A token, and those of its certificates that map to the account, in order of preference."""


def judge_attempts(
    evidence: Evidence, policy: Policy, account: Account, candidates: Sequence[Candidates]
) -> Granted | Denied | Needs:
    """Judge what was tried, or say what to try next: on the first token whose PIN may be tried, and on no other then."""
    begun = evidence.attempts[-1].token if evidence.attempts else None
    refusals: list[Denied] = []
    for token, refs in candidates:
        if begun in (None, token.ref):
            judged = _judge_token(evidence, policy, account, token, refs)
            if begun is not None or not isinstance(judged, Denied):
                return judged
            refusals.append(judged)
    if begun is not None:
        return Denied(Reason.TOKEN_CHANGED, "the PIN was asked for another token", candidates[0][1][0])
    return max(refusals, key=lambda denied: denied.step)


def judge_pin_state(
    token: TokenReport, policy: Policy, ref: CertificateRef, request: Request | None = None
) -> Denied | None:
    """Say why the PIN of this token may not be tried (step 9), or None; by itself, or for the facts of a request."""
    return why_not_tried(request, policy, Bid(token=token, refs=(ref,)))


def judge_opening(evidence: Evidence, policy: Policy, tokens: Sequence[TokenReport]) -> Denied | Needs | None:
    """Judge the opening of a token that shows no certificate ([token] login_first); None where nothing is to be opened.

    The first such token whose PIN may be tried is opened, and no other in the same login. Its PIN may cost a try for a
    card that is then refused.
    """
    if not policy.login_first or any(isinstance(attempt.outcome, Opened) for attempt in evidence.attempts):
        return None
    begun = evidence.attempts[-1].token if evidence.attempts else None
    refusals: list[Denied] = []
    for token in tokens:
        if token.certificates or token.failure is not None or begun not in (None, token.ref):
            continue
        judged = judge_pin(evidence, policy, Bid(token=token))
        if isinstance(judged, Needs):
            return judged
        if isinstance(judged, Denied):
            refusals.append(judged)
    return max(refusals, key=lambda denied: denied.step) if refusals else None


def _judge_token(
    evidence: Evidence, policy: Policy, account: Account, token: TokenReport, refs: tuple[CertificateRef, ...]
) -> Granted | Denied | Needs:
    # 9. the PIN may be tried, and was given; 10. the token took it
    judged = judge_pin(evidence, policy, Bid(token=token, refs=refs, account=account.name))
    if isinstance(judged, Denied | Needs):
        return judged
    # 10. the token signed this login's challenge
    if isinstance(judged, Opened):
        return Needs(Step.PROOF, account=account.name, candidates=refs, way=PinWay.OPENED)
    # 11. the signature verifies under the key of the very certificate that was mapped
    return _judge_signature(evidence, account, token, refs, judged)


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
