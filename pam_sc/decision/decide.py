# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login with a card means. Pure: no file, socket, clock, randomness or log.

 1. The request is allowed at all: the service, local or remote, the account, and whether it may use a card.
 2. A token is present that the configuration selects; one may be waited for. Unlocking may want the session's own.
 3. The token offers certificates that are selected. One bad slot, token or certificate never hides the others.
 4. A certificate is suitable: valid now, key usage, extended key usage, key type and size, no weak algorithm.
 5. It chains to a trust anchor (RFC 5280 path validation).
 6. Nothing on the path is revoked, as strictly as the policy says. "Unknown" is its own answer.
 7. It maps to the account. Without a user name: to exactly one account that exists; of two, only the person picks one.
 8. Certificates of one token that map to the account are no choice: all are candidates, in order of preference.
    Between tokens the person may be asked.
 9. The PIN may be tried, and was given.
10. The token is the same, the PIN opened it, and it signed this login's fresh challenge.
11. The signature verifies under the key of the very certificate that was mapped.

A token that shows no certificate without a login may be opened first, where the configuration says so and no other token
has a candidate: then step 9 comes before step 3 for it, and its certificates are judged by steps 4 to 8 as all others.

`decide` is called again and again with richer evidence (pam_sc/login.py gathers it) until it answers Granted or Denied.
So a certificate that would be refused never costs a PIN try. Where several candidates are refused, the refusal of the
one that came furthest in the steps counts; at a tie the first in configured module, slot and object order.
"""

from __future__ import annotations

import datetime

from pam_sc.decision.admission import judge_request
from pam_sc.decision.attempt import judge_attempts, judge_opening
from pam_sc.decision.card_report import CertificateRef, Failure
from pam_sc.decision.certificate import judge_suitability
from pam_sc.decision.choosing import Candidate, find_candidates, find_named_account
from pam_sc.decision.evidence import CertificateEvidence, Evidence, MappedAccounts, MappingFailed, NoPath, Unparsable
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account
from pam_sc.decision.revocation import judge_revocation
from pam_sc.decision.tokens import find_tokens, list_certificates
from pam_sc.decision.verdict import Denied, Needs, Verdict, furthest


def decide(evidence: Evidence, policy: Policy, at: datetime.datetime) -> Verdict:
    """Judge everything that is known about one login at the time `at` (aware). Never raises on hostile evidence."""
    # 1. the request is allowed at all
    asked = judge_request(evidence, policy)
    if isinstance(asked, Denied | Needs):
        return asked
    # 2. a token is present that the configuration selects
    tokens = find_tokens(evidence, policy, asked)
    if isinstance(tokens, Denied | Needs):
        return tokens
    # 3. the token offers certificates
    certificates, refusals = list_certificates(tokens, policy)
    # 4. to 7. each of them is judged by itself
    candidates: list[Candidate] = []
    for report in certificates:
        judged = judge_certificate(evidence, policy, at, report.ref, asked)
        match judged:
            case Needs():
                return judged
            case Denied():
                refusals.append(judged)
            case Candidate():
                candidates.append(judged)
    if not candidates:
        # 9. before 3.: a token that shows no certificate is opened
        return judge_opening(evidence, policy, tokens) or furthest(refusals)
    # 7. without a user name: exactly one account that exists
    account = asked or find_named_account(evidence, policy, candidates)
    if isinstance(account, Denied | Needs):
        return account
    # 8. the certificates of one token that map to the account are its candidates
    found = find_candidates(evidence, policy, account, tokens, candidates)
    if isinstance(found, Denied | Needs):
        return found
    # 9. to 11. one of them proves it
    return judge_attempts(evidence, policy, account, found)


# ---------------------------------------------------------------- 4. to 7. one certificate


def judge_certificate(
    evidence: Evidence, policy: Policy, at: datetime.datetime, ref: CertificateRef, account: Account | None
) -> Candidate | Denied | Needs:
    """Judge one certificate by itself; with `account`, it must map to it."""
    known = evidence.about(ref)
    # 4. to 6. it is to be trusted
    judged = judge_trust(known, policy, at)
    if isinstance(judged, Step):
        return Needs(judged, ref)
    if isinstance(judged, Failure):
        return Denied(judged.reason, judged.detail, ref)
    # 7. it maps to the account
    if known.mapping is None:
        return Needs(Step.MAPPING, ref)
    return _judge_mapping(known.mapping, account, ref)


def judge_trust(known: CertificateEvidence, policy: Policy, at: datetime.datetime) -> Failure | Step | None:
    """Judge one certificate by steps 4 to 6: the first thing wrong, else the step to be gathered next, else None."""
    # 4. it is suitable
    if known.facts is None:
        return Step.SUITABLE
    if isinstance(known.facts, Unparsable):
        return Failure(Reason.CERTIFICATE_UNREADABLE, known.facts.why)
    unsuitable = judge_suitability(known.facts, policy, at)
    if unsuitable is not None:
        return unsuitable
    # 5. it chains to a trust anchor
    if known.path is None:
        return Step.PATH
    if isinstance(known.path, NoPath):
        return Failure(known.path.reason, known.path.detail)
    # 6. nothing on the path is revoked
    if known.revocation is None:
        return Step.REVOCATION
    if len(known.revocation) != len(known.path.certificates) - 1:
        return Failure(Reason.REVOCATION_UNKNOWN, "not every certificate of the path was looked at")
    return judge_revocation(known.revocation, policy.revocation.mode)


def _judge_mapping(
    mapping: MappedAccounts | MappingFailed, account: Account | None, ref: CertificateRef
) -> Candidate | Denied:
    if isinstance(mapping, MappingFailed):
        return Denied(mapping.reason, mapping.why, ref)
    if account is not None and account.name not in mapping.accounts:
        return Denied(Reason.NOT_MAPPED, mapping.detail, ref)
    if not mapping.accounts:
        return Denied(Reason.NOT_MAPPED, mapping.detail, ref)
    return Candidate(ref, mapping.accounts if account is None else (account.name,))
