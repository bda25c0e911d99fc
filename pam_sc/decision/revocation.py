# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether what is known about revocation is enough for a login. Pure: finding it out is for pam_sc/trust/revocation.py.

"Unknown" is an answer of its own and never the same as "good"; what it means is the administrator's choice, and the
table below is all there is to that choice (docs/revocation.md is written from it, and the tests walk it).
"""

from __future__ import annotations

from collections.abc import Mapping

from pam_sc.decision.card_report import Failure
from pam_sc.decision.evidence import RevocationFinding, Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import Reason

_ACCEPTED = None

OUTCOMES: Mapping[RevocationMode, Mapping[Situation, Reason | None]] = {
    RevocationMode.REQUIRE: {
        Situation.NO_SOURCE: Reason.REVOCATION_UNKNOWN,
        Situation.NOT_AT_HAND: Reason.REVOCATION_NOT_AT_HAND,
        Situation.STALE: Reason.REVOCATION_STALE,
        Situation.UNKNOWN: Reason.REVOCATION_UNKNOWN,
        Situation.GOOD: _ACCEPTED,
        Situation.REVOKED: Reason.CERTIFICATE_REVOKED,
    },
    RevocationMode.NAMED: {
        Situation.NO_SOURCE: _ACCEPTED,
        Situation.NOT_AT_HAND: Reason.REVOCATION_NOT_AT_HAND,
        Situation.STALE: Reason.REVOCATION_STALE,
        Situation.UNKNOWN: Reason.REVOCATION_UNKNOWN,
        Situation.GOOD: _ACCEPTED,
        Situation.REVOKED: Reason.CERTIFICATE_REVOKED,
    },
    RevocationMode.PREFER: {
        Situation.NO_SOURCE: _ACCEPTED,
        Situation.NOT_AT_HAND: _ACCEPTED,
        Situation.STALE: _ACCEPTED,
        Situation.UNKNOWN: _ACCEPTED,
        Situation.GOOD: _ACCEPTED,
        Situation.REVOKED: Reason.CERTIFICATE_REVOKED,
    },
    RevocationMode.OFF: dict.fromkeys(Situation, _ACCEPTED),
}
"""The reason for which one certificate refuses the login; None: it does not. Every pair is in it. For an issuer on the
path, CERTIFICATE_REVOKED is ISSUER_REVOKED."""


def judge_revocation(findings: tuple[RevocationFinding, ...], mode: RevocationMode) -> Failure | None:
    """Return None if nothing on the path is revoked and as much is known as is demanded, else why not.

    `findings` has one entry for each certificate but the anchor, leaf first; `mode` is for those whose CA has no rule of
    its own. None at all is only enough for OFF: a path has a leaf. A revoked certificate counts before an unknown one,
    and the leaf before its issuers.
    """
    if not findings:
        return None if mode is RevocationMode.OFF else Failure(Reason.REVOCATION_UNKNOWN, "nothing was looked up")
    failures = [judge_member(finding, mode, is_leaf=index == 0) for index, finding in enumerate(findings)]
    refused = [failure for failure in failures if failure is not None]
    revoked = [each for each in refused if each.reason in (Reason.CERTIFICATE_REVOKED, Reason.ISSUER_REVOKED)]
    return next(iter(revoked or refused), None)


def judge_member(finding: RevocationFinding, mode: RevocationMode, *, is_leaf: bool) -> Failure | None:
    """Return why this one certificate of the path refuses the login; None if it does not."""
    reason = OUTCOMES[finding.mode or mode][finding.situation]
    if reason is None:
        return None
    if reason is Reason.CERTIFICATE_REVOKED and not is_leaf:
        reason = Reason.ISSUER_REVOKED
    return Failure(reason, f"{finding.subject!r}: {finding.detail}")
