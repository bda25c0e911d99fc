# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login with a card means. Pure: no file, socket, clock, randomness or log.

 1. The request is allowed at all: the service, local or remote, the account.
 2. A token is present that the configuration selects.
 3. The token offers certificates. One bad slot, token or certificate never hides the others.
 4. A certificate is suitable: valid now, key usage, extended key usage, key type and size, no weak algorithm.
 5. It chains to a trust anchor (RFC 5280 path validation).
 6. Nothing on the path is revoked, as strictly as the policy says. "Unknown" is its own answer.
 7. It maps to the account. Without a user name: to exactly one account that exists; two never pick one.
 8. Certificates of one token that map to the account are no choice: all are candidates, in order of preference.
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
from collections.abc import Sequence

from pam_sc.decision.attempt import judge_attempts, judge_opening
from pam_sc.decision.card_report import CardReport, CertificateRef, CertificateReport, Failure, TokenReport
from pam_sc.decision.certificate import judge_suitability
from pam_sc.decision.evidence import (
    Account,
    AccountLookup,
    CertificateEvidence,
    Evidence,
    LookupFailed,
    MappedAccounts,
    MappingFailed,
    NoPath,
    NoSuchAccount,
    Unparsable,
)
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.revocation import judge_revocation
from pam_sc.decision.verdict import Denied, Needs, Verdict
from pam_sc.record import record


@record
class _Candidate:
    """A certificate that passed steps 4 to 6, and the accounts it maps to."""

    ref: CertificateRef
    accounts: tuple[str, ...]


def decide(evidence: Evidence, policy: Policy, at: datetime.datetime) -> Verdict:
    """Judge everything that is known about one login at the time `at` (aware). Never raises on hostile evidence."""
    # 1. the request is allowed at all
    asked = judge_request(evidence, policy)
    if isinstance(asked, Denied | Needs):
        return asked
    # 2. a token is present that the configuration selects
    if evidence.card is None:
        return Needs(Step.TOKEN)
    tokens = select_tokens(evidence.card, policy)
    if isinstance(tokens, Denied):
        return tokens
    # 3. the token offers certificates
    certificates, refusals = list_certificates(tokens)
    # 4. to 7. each of them is judged by itself
    candidates: list[_Candidate] = []
    for report in certificates:
        judged = judge_certificate(evidence, policy, at, report.ref, asked)
        match judged:
            case Needs():
                return judged
            case Denied():
                refusals.append(judged)
            case _Candidate():
                candidates.append(judged)
    if not candidates:
        # 9. before 3.: a token that shows no certificate is opened
        return judge_opening(evidence, policy, tokens) or furthest(refusals)
    # 7. without a user name: exactly one account that exists
    account = asked or find_named_account(evidence, policy, candidates)
    if isinstance(account, Denied | Needs):
        return account
    # 8. the certificates of one token that map to the account are its candidates
    mine = [candidate.ref for candidate in candidates if account.name in candidate.accounts]
    by_token = [(token, tuple(ref for ref in mine if ref.token == token.ref)) for token in tokens]
    # 9. to 11. one of them proves it
    return judge_attempts(evidence, policy, account, [(token, refs) for token, refs in by_token if refs])


# ---------------------------------------------------------------- 1. the request


def judge_request(evidence: Evidence, policy: Policy) -> Account | Denied | Needs | None:
    """Return the account that is asked for, None where the card may name it, else what is wrong or missing."""
    request = evidence.request
    if policy.services is not None and request.service not in policy.services:
        return Denied(Reason.SERVICE_NOT_ALLOWED, f"service {request.service!r} is not in [account] services")
    if evidence.locality is None:
        return Needs(Step.REQUEST)
    if evidence.locality.remote and not policy.remote_allowed:
        return Denied(Reason.REMOTE_REFUSED, evidence.locality.why)
    if request.account is None and request.real_uid == 0:
        if request.service in policy.card_names_user:
            return None
        return Denied(Reason.ACCOUNT_NOT_NAMED, f"service {request.service!r} is not in [account] card_names_user")
    if evidence.requested is None:
        return Needs(Step.REQUEST)
    account = judge_account(evidence.requested, request.account, policy)
    if isinstance(account, Account) and not request.privileged and account.uid != request.real_uid:
        return Denied(Reason.OTHER_ACCOUNT, f"uid {request.real_uid} asks for an account with uid {account.uid}")
    return account


def judge_account(lookup: AccountLookup, name: str | None, policy: Policy) -> Account | Denied:
    """Require that the account exists under exactly this name (any name, if None) and may use a card."""
    match lookup:
        case LookupFailed(why=why):
            return Denied(Reason.ACCOUNT_LOOKUP_FAILED, why)
        case NoSuchAccount():
            return Denied(Reason.ACCOUNT_UNKNOWN, "the name service knows no such account")
        case Account() if name is not None and lookup.name != name:
            return Denied(Reason.ACCOUNT_UNKNOWN, "the name service answered with another name")
        case Account() if lookup.uid == 0 and not policy.allow_root:
            return Denied(Reason.ROOT_NOT_ALLOWED, "the account has uid 0")
        case Account():
            return lookup


# ---------------------------------------------------------------- 2. and 3. tokens and their certificates


def select_tokens(card: CardReport | Failure, policy: Policy) -> list[TokenReport] | Denied:
    """Return the tokens that the configuration selects, in order, or why there is none."""
    if isinstance(card, Failure):
        return Denied(card.reason, card.detail)
    found = card.tokens()
    select = policy.select
    selected = [token for module, slot, token in found if select is None or select.selects(module, slot, token)]
    if selected:
        return selected
    if found and select is not None:
        return Denied(Reason.TOKEN_NOT_SELECTED, f"none of {len(found)} tokens matches {select.text}")
    return _why_no_token(card)


def _why_no_token(card: CardReport) -> Denied:
    failures = [slot.failure for module in card.modules for slot in module.slots if slot.failure]
    failures += [module.failure for module in card.modules if module.failure]
    readers = sum(len(module.slots) for module in card.modules)
    loud = [failure for failure in failures if failure.reason is not Reason.NO_READER]
    if loud:
        return Denied(loud[0].reason, loud[0].detail)
    if readers:
        return Denied(Reason.NO_CARD, f"{readers} slots, none with a token")
    return Denied(Reason.NO_READER, failures[0].detail if failures else "no module shows a slot")


def list_certificates(tokens: Sequence[TokenReport]) -> tuple[list[CertificateReport], list[Denied]]:
    """Return the certificates that could be read, in order, and a refusal for everything that could not."""
    certificates: list[CertificateReport] = []
    refusals: list[Denied] = []
    for token in tokens:
        if token.failure is not None:
            refusals.append(Denied(token.failure.reason, token.failure.detail))
        elif not token.certificates:
            refusals.append(Denied(Reason.NO_CERTIFICATE, "the token shows no certificate without a login"))
        for certificate in token.certificates:
            if certificate.failure is None:
                certificates.append(certificate)
            else:
                refusals.append(Denied(certificate.failure.reason, certificate.failure.detail, certificate.ref))
    return certificates, refusals


# ---------------------------------------------------------------- 4. to 7. one certificate


def judge_certificate(
    evidence: Evidence, policy: Policy, at: datetime.datetime, ref: CertificateRef, account: Account | None
) -> _Candidate | Denied | Needs:
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
) -> _Candidate | Denied:
    if isinstance(mapping, MappingFailed):
        return Denied(mapping.reason, mapping.why, ref)
    if account is not None and account.name not in mapping.accounts:
        return Denied(Reason.NOT_MAPPED, mapping.detail, ref)
    if not mapping.accounts:
        return Denied(Reason.NOT_MAPPED, mapping.detail, ref)
    return _Candidate(ref, mapping.accounts if account is None else (account.name,))


def find_named_account(
    evidence: Evidence, policy: Policy, candidates: Sequence[_Candidate]
) -> Account | Denied | Needs:
    """Return the one existing account that the candidates map to; two never pick one."""
    existing: dict[str, Account] = {}
    missing: list[Denied] = []
    for candidate in candidates:
        for name in candidate.accounts:
            lookup = evidence.accounts.get(name)
            if lookup is None:
                return Needs(Step.MAPPING, candidate.ref, account=name)
            account = judge_account(lookup, name, policy)
            if isinstance(account, Account):
                existing[name] = account
            elif account.reason is Reason.ACCOUNT_UNKNOWN:
                missing.append(Denied(Reason.MAPPED_ACCOUNT_UNKNOWN, account.detail, candidate.ref))
            else:
                return Denied(account.reason, account.detail, candidate.ref)
    if len(existing) == 1:
        return next(iter(existing.values()))
    if existing:
        return Denied(Reason.MAPPED_TO_SEVERAL, f"{len(existing)} accounts")
    return furthest(missing)


def furthest(refusals: Sequence[Denied]) -> Denied:
    """Return the refusal of the candidate that came furthest; at a tie the first."""
    if not refusals:
        return Denied(Reason.NO_CERTIFICATE, "no token shows a certificate")
    return max(refusals, key=lambda denied: denied.step)
