# SPDX-License-Identifier: LGPL-2.1-or-later
"""Step 8 of a login (decide.py), and the account of step 7 where the card names it: what is chosen, and by whom.

Certificates of one token for one account are no choice: they are tried in order of preference. Between tokens or
accounts the person is asked only with `choose`, once for each kind, and only between what would be accepted. Nothing
but an entry of the list is an answer, so that a PIN that is typed too early names nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pam_sc.decision.admission import judge_account
from pam_sc.decision.attempt import Candidates
from pam_sc.decision.card_report import CertificateRef, CertificateReport, TokenReport
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.pin import Bid, why_not_tried
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer, Chosen
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account
from pam_sc.decision.verdict import Denied, Needs, furthest
from pam_sc.record import record

CHOICES_MAX = 9
"""Entries of a list; each has one digit."""

_NO_CHOICE = {
    Answer.FAILED: Reason.CONVERSATION_FAILED,
    Answer.AGAIN: Reason.CONVERSATION_AGAIN,
    Answer.TOO_LONG: Reason.ANSWER_TOO_LONG,
}


@record
class Candidate:
    """A certificate that passed steps 4 to 6, and the accounts it maps to."""

    ref: CertificateRef
    accounts: tuple[str, ...]


@record(kw_only=True)
class Offer:
    """An entry of the list that a person chooses from. `key` is the answer; the rest is for people."""

    key: str
    name: str
    subject: str = ""
    issuer: str = ""
    date: str = ""


def find_named_account(evidence: Evidence, policy: Policy, candidates: Sequence[Candidate]) -> Account | Denied | Needs:
    """Return the one existing account that the candidates map to; of two, only the person picks one."""
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
    return _choose_account(evidence, policy, existing) if existing else furthest(missing)


def _choose_account(evidence: Evidence, policy: Policy, existing: Mapping[str, Account]) -> Account | Denied | Needs:
    if not policy.choose or len(existing) > CHOICES_MAX:
        return Denied(Reason.MAPPED_TO_SEVERAL, f"{len(existing)} accounts")
    chosen = evidence.chosen_account
    if chosen is None:
        return Needs(Step.CANDIDATES, accounts=tuple(existing))
    return existing.get(chosen.account or "") or _no_choice(chosen)


def find_candidates(
    evidence: Evidence, policy: Policy, account: Account, tokens: Sequence[TokenReport], candidates: Sequence[Candidate]
) -> list[Candidates] | Denied | Needs:
    """Return the tokens that may prove the account, each with its certificates in order of preference."""
    mine = {candidate.ref for candidate in candidates if account.name in candidate.accounts}
    by_token = [(token, _in_order(token.certificates, mine, policy)) for token in tokens]
    return _choose_token(evidence, policy, account, [(token, refs) for token, refs in by_token if refs])


def _in_order(
    certificates: Sequence[CertificateReport], mine: set[CertificateRef], policy: Policy
) -> tuple[CertificateRef, ...]:
    def preference(report: CertificateReport) -> int:
        return next((at for at, select in enumerate(policy.prefer) if select.selects(report)), len(policy.prefer))

    return tuple(report.ref for report in sorted(certificates, key=preference) if report.ref in mine)


def _choose_token(
    evidence: Evidence, policy: Policy, account: Account, found: list[Candidates]
) -> list[Candidates] | Denied | Needs:
    """Have the person choose between tokens whose PIN may be tried; without `choose` the first of them is tried."""
    chosen = evidence.chosen_token
    if chosen is not None:
        return [each for each in found if each[0].ref == chosen.token] or _no_choice(chosen)
    if not policy.choose or evidence.attempts:
        return found
    usable = [
        token.ref
        for token, refs in found
        if why_not_tried(evidence.request, policy, Bid(token=token, refs=refs)) is None
    ]
    if len(usable) < 2:
        return found
    return Needs(Step.CANDIDATES, account=account.name, tokens=tuple(usable[:CHOICES_MAX]))


def _no_choice(chosen: Chosen) -> Denied:
    return Denied(_NO_CHOICE.get(chosen.answer, Reason.CHOICE_NOT_MADE), f"the answer was {chosen.answer.value}")
