# SPDX-License-Identifier: LGPL-2.1-or-later
"""Step 8: which certificate comes first, when a person is asked between tokens or accounts, and what is no answer."""

from __future__ import annotations

import pytest

from pam_sc.decision.card_report import CertificateReport, PinState, TokenRef
from pam_sc.decision.choosing import CHOICES_MAX
from pam_sc.decision.decide import decide
from pam_sc.decision.evidence import Evidence, MappedAccounts
from pam_sc.decision.policy import CertificateSelector, Policy
from pam_sc.decision.possession import Answer, Chosen
from pam_sc.decision.reasons import PamCode, Reason, Step
from pam_sc.decision.request import Account, NoSuchAccount
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.record import replace
from tests.unit.decision.test_decide import (
    LEAF,
    NOW,
    OTHER_LEAF,
    OTHER_TOKEN,
    SECOND,
    TOKEN,
    accepted_certificate,
    as_changes,
    card,
    granted_evidence,
    nameless,
    token,
    two_certificates,
    with_leaf,
)

ASKING = Policy(choose=True)


def denied(evidence: Evidence, policy: Policy = ASKING) -> Denied:
    verdict = decide(evidence, policy, NOW)
    assert isinstance(verdict, Denied)
    return verdict


# ---------------------------------------------------------------- certificates


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        ((), (LEAF, SECOND)),
        ((CertificateSelector(text="", label="b"),), (SECOND, LEAF)),
        ((CertificateSelector(text="", label="x"), CertificateSelector(text="", object_id=b"\2")), (SECOND, LEAF)),
        ((CertificateSelector(text="", position=1), CertificateSelector(text="", label="b")), (LEAF, SECOND)),
        ((CertificateSelector(text="", label="b", position=1),), (LEAF, SECOND)),
    ],
)
def test_certificates_of_one_token_come_in_order_of_preference(
    prefer: tuple[CertificateSelector, ...], order: tuple[object, ...]
) -> None:
    reports = (
        CertificateReport(ref=LEAF, der=b"leaf", label="a", object_id=b"\1"),
        CertificateReport(ref=SECOND, der=b"second", label="b", object_id=b"\2"),
    )
    evidence = replace(two_certificates(granted_evidence()), card=card(token(certificates=reports)), attempts=())
    assert decide(evidence, Policy(prefer=prefer, choose=True), NOW) == Needs(Step.PIN, account="alice", candidates=order)  # type: ignore[arg-type]


def test_a_preferred_certificate_that_is_refused_comes_not_at_all() -> None:
    evidence = two_certificates(granted_evidence(), mapping=MappedAccounts(("bob",)))
    policy = Policy(prefer=(CertificateSelector(text="", position=2),))
    assert decide(replace(evidence, attempts=()), policy, NOW) == Needs(Step.PIN, account="alice", candidates=(LEAF,))


# ---------------------------------------------------------------- tokens


def two_tokens(**other: object) -> Evidence:
    """A login of alice with two tokens that would both be accepted; nobody was asked anything yet."""
    evidence = replace(granted_evidence(), card=card(token(), token(OTHER_TOKEN, **other)), attempts=())
    return evidence.with_certificate(OTHER_LEAF, **as_changes(accepted_certificate()))


def test_between_two_tokens_the_person_is_asked_once() -> None:
    assert decide(two_tokens(), ASKING, NOW) == Needs(Step.CANDIDATES, account="alice", tokens=(TOKEN, OTHER_TOKEN))
    chosen = replace(two_tokens(), chosen_token=Chosen(Answer.ANSWERED, token=OTHER_TOKEN))
    assert decide(chosen, ASKING, NOW) == Needs(Step.PIN, account="alice", candidates=(OTHER_LEAF,))


def test_without_choose_the_first_token_is_taken() -> None:
    assert decide(two_tokens(), Policy(), NOW) == Needs(Step.PIN, account="alice", candidates=(LEAF,))


@pytest.mark.parametrize("state", [PinState.LOCKED, PinState.NOT_SET, PinState.FINAL_TRY])
def test_a_token_whose_pin_may_not_be_tried_is_no_choice(state: PinState) -> None:
    assert decide(two_tokens(pin_state=state), ASKING, NOW) == Needs(Step.PIN, account="alice", candidates=(LEAF,))


def test_a_token_whose_certificate_is_refused_is_no_choice() -> None:
    evidence = two_tokens().with_certificate(OTHER_LEAF, mapping=MappedAccounts(("bob",)))
    assert decide(evidence, ASKING, NOW) == Needs(Step.PIN, account="alice", candidates=(LEAF,))


def test_a_token_is_offered_only_when_everything_about_it_is_known() -> None:
    evidence = two_tokens().with_certificate(OTHER_LEAF, mapping=None)
    assert decide(evidence, ASKING, NOW) == Needs(Step.MAPPING, OTHER_LEAF)


def test_more_tokens_than_digits_are_not_offered() -> None:
    refs = [TokenRef(0, number) for number in range(20, 32)]
    evidence = replace(granted_evidence(), card=card(*map(token, refs)), attempts=(), certificates={})
    for report in [report for ref in refs for report in token(ref).certificates]:
        evidence = evidence.with_certificate(report.ref, **as_changes(accepted_certificate()))
    verdict = decide(evidence, ASKING, NOW)
    assert isinstance(verdict, Needs)
    assert verdict.tokens == tuple(refs[:CHOICES_MAX])


NO_ANSWERS = [
    (Chosen(Answer.ANSWERED), Reason.CHOICE_NOT_MADE, PamCode.AUTH_ERR),
    (Chosen(Answer.EMPTY), Reason.CHOICE_NOT_MADE, PamCode.AUTH_ERR),
    (Chosen(Answer.NOT_GIVEN), Reason.CHOICE_NOT_MADE, PamCode.AUTH_ERR),
    (Chosen(Answer.TIMEOUT), Reason.CHOICE_NOT_MADE, PamCode.AUTH_ERR),
    (Chosen(Answer.TOO_LONG), Reason.ANSWER_TOO_LONG, PamCode.CONV_ERR),
    (Chosen(Answer.FAILED), Reason.CONVERSATION_FAILED, PamCode.CONV_ERR),
    (Chosen(Answer.AGAIN), Reason.CONVERSATION_AGAIN, PamCode.INCOMPLETE),
]
no_answers = pytest.mark.parametrize(("chosen", "reason", "code"), NO_ANSWERS, ids=lambda value: str(value))


@no_answers
def test_what_is_no_choice_of_a_token_is_refused(chosen: Chosen, reason: Reason, code: PamCode) -> None:
    verdict = denied(replace(two_tokens(), chosen_token=chosen))
    assert (verdict.reason, verdict.code(card_required=False)) == (reason, code)


def test_a_token_that_was_not_offered_cannot_be_chosen() -> None:
    assert denied(replace(two_tokens(), chosen_token=Chosen(Answer.ANSWERED, token=TokenRef(5, 5)))).reason is (
        Reason.CHOICE_NOT_MADE
    )


def test_a_choice_does_not_hold_for_a_token_that_is_gone() -> None:
    chosen = Chosen(Answer.ANSWERED, token=OTHER_TOKEN)
    assert denied(replace(granted_evidence(), attempts=(), chosen_token=chosen)).reason is Reason.CHOICE_NOT_MADE


# ---------------------------------------------------------------- accounts


def two_accounts() -> Evidence:
    """A card that maps to alice and bob, who both exist, in a login without a name."""
    evidence = with_leaf(nameless(granted_evidence()), mapping=MappedAccounts(("alice", "bob")))
    return evidence.with_account("bob", Account("bob", 4002))


def test_between_two_accounts_the_person_is_asked_once() -> None:
    assert decide(two_accounts(), ASKING, NOW) == Needs(Step.CANDIDATES, accounts=("alice", "bob"))
    chosen = replace(two_accounts(), chosen_account=Chosen(Answer.ANSWERED, account="alice"))
    assert decide(chosen, ASKING, NOW) == Granted("alice", LEAF)


def test_between_two_accounts_nobody_is_asked_without_choose() -> None:
    assert denied(two_accounts(), Policy()).reason is Reason.MAPPED_TO_SEVERAL


def test_whoever_is_chosen_is_the_one_to_be_proven() -> None:
    chosen = replace(two_accounts(), attempts=(), chosen_account=Chosen(Answer.ANSWERED, account="bob"))
    assert decide(chosen, ASKING, NOW) == Needs(Step.PIN, account="bob", candidates=(LEAF,))


@no_answers
def test_what_is_no_choice_of_an_account_is_refused(chosen: Chosen, reason: Reason, code: PamCode) -> None:
    verdict = denied(replace(two_accounts(), chosen_account=chosen))
    assert (verdict.reason, verdict.code(card_required=False)) == (reason, code)


@pytest.mark.parametrize("name", ["carol", "root", "Alice", "", "1"])
def test_an_account_that_the_card_does_not_name_cannot_be_chosen(name: str) -> None:
    evidence = replace(two_accounts(), chosen_account=Chosen(Answer.ANSWERED, account=name))
    assert denied(evidence.with_account("root", Account("root", 0))).reason is Reason.CHOICE_NOT_MADE


def test_an_account_that_does_not_exist_is_no_choice() -> None:
    assert decide(two_accounts().with_account("bob", NoSuchAccount()), ASKING, NOW) == Granted("alice", LEAF)


def test_more_accounts_than_a_list_may_have_are_refused() -> None:
    names = tuple(f"user{number}" for number in range(CHOICES_MAX + 1))
    evidence = with_leaf(nameless(granted_evidence()), mapping=MappedAccounts(names))
    for number, name in enumerate(names):
        evidence = evidence.with_account(name, Account(name, 5000 + number))
    assert denied(evidence).reason is Reason.MAPPED_TO_SEVERAL


def test_an_application_that_names_the_account_has_nobody_asked() -> None:
    evidence = with_leaf(granted_evidence(), mapping=MappedAccounts(("alice", "bob")))
    assert decide(evidence, ASKING, NOW) == Granted("alice", LEAF)


def test_account_and_token_are_two_questions() -> None:
    evidence = replace(nameless(two_tokens()), chosen_account=Chosen(Answer.ANSWERED, account="alice"))
    evidence = evidence.with_certificate(LEAF, mapping=MappedAccounts(("alice", "bob")))
    evidence = evidence.with_account("bob", Account("bob", 4002))
    assert decide(evidence, ASKING, NOW) == Needs(Step.CANDIDATES, account="alice", tokens=(TOKEN, OTHER_TOKEN))
