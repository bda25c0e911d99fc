# SPDX-License-Identifier: LGPL-2.1-or-later
"""Step 1: who may, may not and must use a card, by name and by group; also for an account that the card names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pam_sc.decision.admission import card_is_required
from pam_sc.decision.card_report import Failure
from pam_sc.decision.decide import decide
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.policy import Members, Policy
from pam_sc.decision.reasons import REASONS, PamCode, Reason, Step
from pam_sc.decision.request import Account, Locality, LookupFailed, NoSuchAccount
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.record import replace
from tests.unit.decision.test_decide import LEAF, NOW, granted_evidence, nameless

ALICE = Members(accounts=frozenset({"alice"}))
STAFF = Members(groups=frozenset({"staff"}))
NOBODY = Members()


def in_groups(*groups: str) -> Account:
    return Account("alice", 4001, frozenset(groups))


def asked_for(account: Account) -> Evidence:
    return replace(granted_evidence(), requested=account)


def named_by_the_card(account: Account) -> Evidence:
    return nameless(granted_evidence()).with_account("alice", account)


both_ways = pytest.mark.parametrize("known", [asked_for, named_by_the_card])


@both_ways
@pytest.mark.parametrize(
    ("policy", "account"),
    [
        (Policy(may_use=ALICE), in_groups()),
        (Policy(may_use=STAFF), in_groups("staff", "users")),
        (Policy(must_not_use=STAFF), in_groups("users")),
        (Policy(must_not_use=Members(accounts=frozenset({"bob", "Alice"}))), in_groups()),
        (Policy(must_use=ALICE), in_groups()),
        (Policy(must_use=STAFF), in_groups()),
    ],
)
def test_whoever_the_lists_let_use_a_card_is_granted(
    known: Callable[[Account], Evidence], policy: Policy, account: Account
) -> None:
    assert decide(known(account), policy, NOW) == Granted("alice", LEAF)


@both_ways
@pytest.mark.parametrize(
    ("policy", "account"),
    [
        (Policy(may_use=Members(accounts=frozenset({"bob"}))), in_groups()),
        (Policy(may_use=NOBODY), in_groups()),
        (Policy(may_use=STAFF), in_groups("users")),
        (Policy(may_use=Members(accounts=frozenset({"staff"}))), in_groups("staff")),
        (Policy(may_use=Members(groups=frozenset({"alice"}))), in_groups()),
        (Policy(must_not_use=ALICE), in_groups()),
        (Policy(must_not_use=STAFF), in_groups("staff")),
        (Policy(must_not_use=ALICE, may_use=ALICE), in_groups()),
        (Policy(must_use=ALICE, may_use=NOBODY), in_groups()),
    ],
)
def test_whoever_the_lists_keep_out_is_refused(
    known: Callable[[Account], Evidence], policy: Policy, account: Account
) -> None:
    verdict = decide(known(account), policy, NOW)
    assert isinstance(verdict, Denied)
    assert (verdict.reason, verdict.code(card_required=False)) == (Reason.ACCOUNT_NOT_ALLOWED, PamCode.AUTH_ERR)


def test_no_list_lets_root_in() -> None:
    verdict = decide(asked_for(Account("alice", 0)), Policy(may_use=ALICE, must_use=ALICE), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.ROOT_NOT_ALLOWED


def test_an_account_that_is_kept_out_is_refused_before_the_card_is_read() -> None:
    verdict = decide(replace(asked_for(in_groups()), card=None), Policy(must_not_use=ALICE), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.ACCOUNT_NOT_ALLOWED


def test_groups_that_cannot_be_looked_up_are_not_no_groups() -> None:
    evidence = replace(granted_evidence(), requested=LookupFailed("EIO"))
    verdict = decide(evidence, Policy(must_not_use=STAFF), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.ACCOUNT_LOOKUP_FAILED


def test_only_groups_that_a_list_names_are_looked_up() -> None:
    other = Members(groups=frozenset({"admins"}))
    assert Policy().groups == frozenset()
    assert Policy(must_use=ALICE).groups == frozenset()
    assert Policy(must_use=STAFF, must_not_use=other, may_use=Members(groups=frozenset({"users"}))).groups == {
        "staff", "admins", "users",
    }  # fmt: skip


# ---------------------------------------------------------------- where a card is required


REQUIRED: list[tuple[str, Evidence | None, Policy, bool]] = [
    ("nobody must", asked_for(in_groups("staff")), Policy(), False),
    ("everybody must", None, Policy(card_required=True), True),
    ("by name", asked_for(in_groups()), Policy(must_use=ALICE), True),
    ("another name", asked_for(in_groups()), Policy(must_use=Members(accounts=frozenset({"bob"}))), False),
    ("by group", asked_for(in_groups("staff")), Policy(must_use=STAFF), True),
    ("in no such group", asked_for(in_groups("users")), Policy(must_use=STAFF), False),
    ("named by the card", named_by_the_card(in_groups()), Policy(must_use=ALICE), True),
    ("somebody else named by the card", named_by_the_card(in_groups()), Policy(must_use=STAFF), False),
    ("it cannot be told", replace(granted_evidence(), requested=LookupFailed("EIO")), Policy(must_use=STAFF), True),
    ("there is no such account", replace(granted_evidence(), requested=NoSuchAccount()), Policy(must_use=STAFF), False),
    ("not looked up yet", replace(granted_evidence(), requested=None), Policy(must_use=ALICE), True),
    ("nothing is known", None, Policy(must_use=ALICE), True),
    ("nothing is known, and nobody must", None, Policy(), False),
]


@pytest.mark.parametrize(("evidence", "policy", "expected"), [each[1:] for each in REQUIRED], ids=[c[0] for c in REQUIRED])
def test_a_card_is_required_of_those_who_must_use_one(evidence: Evidence | None, policy: Policy, expected: bool) -> None:
    assert card_is_required(evidence, policy) is expected


@pytest.mark.parametrize("reason", [Reason.NO_CARD, Reason.CARD_SERVICE_DOWN])
def test_for_who_must_use_a_card_no_card_and_no_service_differ_in_reason_alone(reason: Reason) -> None:
    evidence, policy = replace(asked_for(in_groups()), card=Failure(reason, "")), Policy(must_use=ALICE)
    verdict = decide(evidence, policy, NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is reason
    assert verdict.code(card_required=card_is_required(evidence, policy)) is PamCode.AUTH_ERR
    assert verdict.code(card_required=card_is_required(evidence, Policy())) is PamCode.AUTHINFO_UNAVAIL


@pytest.mark.parametrize(
    ("reason", "by_name", "code"),
    [
        (Reason.NOT_MAPPED, True, PamCode.AUTH_ERR),
        (Reason.NO_CERTIFICATE, True, PamCode.AUTH_ERR),
        (Reason.NOT_MAPPED, False, PamCode.USER_UNKNOWN),
        (Reason.ACCOUNT_UNKNOWN, True, PamCode.USER_UNKNOWN),
        (Reason.PIN_LOCKED, True, PamCode.MAXTRIES),
    ],
)
def test_somebody_elses_card_is_no_way_round_it(reason: Reason, by_name: bool, code: PamCode) -> None:
    """The stack lets others on there: their own password must work beside a card that is not theirs."""
    assert Denied(reason).code(card_required=True, by_name=by_name) is code
    assert Denied(reason).code(card_required=False, by_name=by_name) is REASONS[reason].code


def test_a_remote_request_for_who_must_use_a_card_is_no_way_round_it() -> None:
    remote = replace(asked_for(in_groups()), locality=Locality(True, "PAM_RHOST is set"))
    policy = Policy(must_use=ALICE)
    assert decide(replace(remote, requested=None), policy, NOW) == Needs(Step.REQUEST)
    verdict = decide(remote, policy, NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.REMOTE_REFUSED
    assert verdict.code(card_required=card_is_required(remote, policy)) is PamCode.AUTH_ERR


def test_a_remote_request_is_refused_without_a_lookup_where_nobody_must_use_a_card() -> None:
    remote = replace(granted_evidence(), requested=None, locality=Locality(True, "PAM_RHOST is set"))
    verdict = decide(remote, Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.REMOTE_REFUSED
