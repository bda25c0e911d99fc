# SPDX-License-Identifier: LGPL-2.1-or-later
"""Step 1 of a login (decide.py): the service, local or remote, the account, and who may, may not and must use a card.

The lists of accounts hold for an account that the application names and for one that the card names. Nothing is looked
up here: an account comes with those of its groups that the lists name.
"""

from __future__ import annotations

from pam_sc.decision.evidence import Evidence
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account, AccountLookup, LookupFailed, NoSuchAccount
from pam_sc.decision.verdict import Denied, Needs


def judge_request(evidence: Evidence, policy: Policy) -> Account | Denied | Needs | None:
    """Return the account that is asked for, None where the card may name it, else what is wrong or missing."""
    request = evidence.request
    if policy.services is not None and request.service not in policy.services:
        return Denied(Reason.SERVICE_NOT_ALLOWED, f"service {request.service!r} is not in [account] services")
    if evidence.locality is None:
        return Needs(Step.REQUEST)
    card_names = request.account is None and request.real_uid == 0
    if evidence.locality.remote and not policy.remote_allowed:
        # for an account that must use a card, this too is more than "unavailable": card_is_required has to know it
        unknown = evidence.requested is None and not card_names and _requires_of_some(policy)
        return Needs(Step.REQUEST) if unknown else Denied(Reason.REMOTE_REFUSED, evidence.locality.why)
    if card_names:
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
            return _why_not_allowed(lookup, policy) or lookup


def _why_not_allowed(account: Account, policy: Policy) -> Denied | None:
    if policy.must_not_use.has(account.name, account.groups):
        return Denied(Reason.ACCOUNT_NOT_ALLOWED, "[account] must_not_use has it, or a group of it")
    if policy.may_use is not None and not policy.may_use.has(account.name, account.groups):
        return Denied(Reason.ACCOUNT_NOT_ALLOWED, "[account] may_use has neither it nor a group of it")
    return None


def card_is_required(evidence: Evidence | None, policy: Policy) -> bool:
    """Say whether nothing may be merely "unavailable" in this login: for everybody, or for its account.

    Where no account is known yet and somebody must use a card, it may be that one.
    """
    if policy.card_required:
        return True
    if not _requires_of_some(policy):
        return False
    if evidence is None or (evidence.requested is None and not evidence.accounts):
        return True
    lookups = (evidence.requested, *evidence.accounts.values())
    return any(isinstance(each, LookupFailed) or _must(each, policy) for each in lookups)


def _requires_of_some(policy: Policy) -> bool:
    return policy.must_use.accounts != frozenset() or policy.must_use.groups != frozenset()


def _must(lookup: AccountLookup | None, policy: Policy) -> bool:
    return isinstance(lookup, Account) and policy.must_use.has(lookup.name, lookup.groups)
