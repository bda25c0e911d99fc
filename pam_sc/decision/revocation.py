# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether what is known about revocation is enough for a login. Pure: finding it out is for pam_sc/trust/crl.py.

"Unknown" is an answer of its own and never the same as "good"; what it means is the administrator's choice.
"""

from __future__ import annotations

from typing import assert_never

from pam_sc.decision.card_report import Failure
from pam_sc.decision.evidence import RevocationFinding, RevocationStatus
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import Reason


def judge_revocation(findings: tuple[RevocationFinding, ...], mode: RevocationMode) -> Failure | None:
    """Return None if nothing on the path is revoked and as much is known as `mode` demands (policy.py), else why not.

    `findings` has one entry for each certificate but the anchor, leaf first. None at all is only enough for OFF: a
    path has a leaf. A revoked certificate counts before an unknown one, and the leaf before its issuers.
    """
    if mode is RevocationMode.OFF:
        return None
    if not findings:
        return Failure(Reason.REVOCATION_UNKNOWN, "nothing was looked up")
    for index, finding in enumerate(findings):
        if finding.status is RevocationStatus.REVOKED:
            reason = Reason.ISSUER_REVOKED if index else Reason.CERTIFICATE_REVOKED
            return Failure(reason, _sentence(finding))
    for finding in findings:
        if finding.status is not RevocationStatus.GOOD and _must_be_known(finding, mode):
            return Failure(Reason.REVOCATION_UNKNOWN, _sentence(finding))
    return None


def _must_be_known(finding: RevocationFinding, mode: RevocationMode) -> bool:
    match mode:
        case RevocationMode.REQUIRE:
            return True
        case RevocationMode.NAMED:
            return finding.source_named
        case RevocationMode.PREFER | RevocationMode.OFF:
            return False
        case _:
            assert_never(mode)


def _sentence(finding: RevocationFinding) -> str:
    return f"{finding.subject!r}: {finding.detail}"
