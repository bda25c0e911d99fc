# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one OCSP response says about one certificate (RFC 6960, sections 3.2 and 4.2.2): status, times, nonce. Pure.

Works on facts: what the response holds about this certificate, and what was found out about its signer. A genuine
"revoked" is never set aside for its age, its nonce or a weak hash; a "good" is, for each of them.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping

from pam_sc.decision.certificate import time_text
from pam_sc.decision.evidence import RevocationStatus, Situation
from pam_sc.decision.policy import RevocationRules
from pam_sc.record import record

SUCCESSFUL = "successful"

REFUSALS: Mapping[str, str] = {
    "malformedRequest": "the responder found the request malformed",
    "internalError": "the responder has an internal error",
    "tryLater": "the responder wants to be asked again later",
    "sigRequired": "the responder answers signed requests only",
    "unauthorized": "the responder does not answer for this certificate, or not for this machine",
}
"""What each OCSPResponseStatus but the first means (RFC 6960, sections 2.3 and 4.2.1). None of them is signed."""


class NonceVerdict(enum.Enum):
    """How the nonce of a response stands to the one that was sent (RFC 9654)."""

    STORED = "stored"
    """Its nonce, if any, was looked at when it was fetched."""
    REPEATED = "repeated"
    ABSENT = "absent"
    """It repeats none, or none was sent."""
    OTHER = "other"


@record(kw_only=True)
class SingleFacts:
    """One SingleResponse whose CertID is that of the certificate (RFC 6960, section 4.2.1)."""

    status: RevocationStatus
    this_update: datetime.datetime
    next_update: datetime.datetime | None
    revoked_at: datetime.datetime | None = None
    reason: str | None = None
    """CRLReason by its name in RFC 5280; None where none is given or it is none of those."""
    unusable: str | None = None
    """Why it must not be used at all: an unknown critical extension. None: nothing."""


@record(kw_only=True)
class OcspFacts:
    """What one response holds about one certificate. All but `response` is only looked at where that is successful."""

    response: str
    """OCSPResponseStatus by its name in RFC 6960."""
    singles: tuple[SingleFacts, ...] = ()
    """Those about this certificate; the others count for nothing."""
    produced_at: datetime.datetime | None = None
    nonce: NonceVerdict = NonceVerdict.STORED
    unusable: str | None = None
    """Why the whole response must not be used."""
    signer: str | None
    """Why who signed it has no right to, or that nobody known did; None: the right one signed it."""
    doubt: str | None = None
    """Of a response by the right signer, why only its "revoked" counts: a weak hash, a signer whose own status is not
    known. None: nothing."""


@record(kw_only=True)
class OcspJudgement:
    """What is made of a response. `detail` is a clause that follows "the OCSP answer of ...:"."""

    situation: Situation
    detail: str
    as_of: datetime.datetime | None = None
    """thisUpdate of the SingleResponse that spoke; None where none did."""
    next_update: datetime.datetime | None = None
    reason: str | None = None
    """Of a revocation, its CRLReason; None where none is given."""


_Problem = tuple[Situation, str]

_EARLIEST = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def judge_ocsp(
    facts: OcspFacts, rules: RevocationRules, at: datetime.datetime, *, nonce_required: bool = False
) -> OcspJudgement:
    """Return what the response says at `at`: good, revoked, stale or unknown.

    Of several SingleResponses about the certificate the newest definite one speaks, of two of the same moment the one
    that refuses. Signatures and CertIDs are not checked here: `facts` says what came of that.
    """
    problem = _unusable(facts)
    if problem is not None:
        return OcspJudgement(situation=Situation.UNKNOWN, detail=problem)
    return max((_judge(single, facts, rules, at, nonce_required) for single in facts.singles), key=weight)


def weight(judgement: OcspJudgement) -> tuple[int, datetime.datetime, bool]:
    """Return what is largest for the one of several that speaks: the newest definite one; else a stale one.

    Of two of the same moment one that refuses speaks.
    """
    rank = {Situation.GOOD: 2, Situation.REVOKED: 2, Situation.STALE: 1}.get(judgement.situation, 0)
    return rank, judgement.as_of or _EARLIEST, judgement.situation is Situation.REVOKED


def _unusable(facts: OcspFacts) -> str | None:
    if facts.response != SUCCESSFUL:
        return REFUSALS.get(facts.response, "the responder refused with a status that nobody knows")
    if not facts.singles:
        return "it is about another certificate"
    return facts.signer or facts.unusable


def _judge(
    single: SingleFacts, facts: OcspFacts, rules: RevocationRules, at: datetime.datetime, nonce_required: bool
) -> OcspJudgement:
    situation, detail = _said(single, _first_problem(single, facts, rules, at, nonce_required))
    return OcspJudgement(
        situation=situation, detail=detail, as_of=single.this_update, next_update=single.next_update,
        reason=single.reason,
    )  # fmt: skip


def _said(single: SingleFacts, problem: _Problem | None) -> _Problem:
    if single.unusable is not None:
        return Situation.UNKNOWN, single.unusable
    match single.status:
        case RevocationStatus.REVOKED:
            return Situation.REVOKED, _revoked_text(single) + (f", though {problem[1]}" if problem else "")
        case RevocationStatus.GOOD:
            return problem or (Situation.GOOD, f"good as of {time_text(single.this_update)}")
        case _:
            return Situation.UNKNOWN, "the responder does not know the certificate"


def _revoked_text(single: SingleFacts) -> str:
    since = f" since {time_text(single.revoked_at)}" if single.revoked_at is not None else ""
    return f"revoked{since}" + (f" ({single.reason})" if single.reason else "")


def _first_problem(
    single: SingleFacts, facts: OcspFacts, rules: RevocationRules, at: datetime.datetime, nonce_required: bool
) -> _Problem | None:
    """Return why a "good" does not count, None if it does."""
    nonce = _nonce_problem(facts.nonce, nonce_required)
    other = nonce or facts.doubt
    if other is not None:
        return Situation.UNKNOWN, other
    return _time_problem(single, facts, rules.clock_skew, at)


def _nonce_problem(nonce: NonceVerdict, required: bool) -> str | None:
    match nonce:
        case NonceVerdict.OTHER:
            return "its nonce is not the one that was sent: it answers another question"
        case NonceVerdict.ABSENT if required:
            return "it does not repeat the nonce that was sent"
        case _:
            return None


def _time_problem(
    single: SingleFacts, facts: OcspFacts, skew: datetime.timedelta, at: datetime.datetime
) -> _Problem | None:
    for name, moment in (("thisUpdate", single.this_update), ("producedAt", facts.produced_at)):
        if moment is not None and moment - at > skew:
            return Situation.UNKNOWN, f"it is from the future: its {name} is {time_text(moment)}"
    if single.next_update is None:
        return _undated_problem(single, facts.nonce, skew, at)
    if single.next_update < single.this_update:
        return Situation.UNKNOWN, "its nextUpdate lies before its thisUpdate"
    if at - single.next_update > skew:
        return Situation.STALE, f"it was to be renewed by {time_text(single.next_update)}"
    return None


def _undated_problem(
    single: SingleFacts, nonce: NonceVerdict, skew: datetime.timedelta, at: datetime.datetime
) -> _Problem | None:
    """Judge one without nextUpdate: newer information is available all the time (RFC 6960, section 4.2.2.1)."""
    if nonce is NonceVerdict.REPEATED or (nonce is NonceVerdict.ABSENT and at - single.this_update <= skew):
        return None
    return Situation.STALE, "it has no nextUpdate, so it counts only at the moment it is given"
