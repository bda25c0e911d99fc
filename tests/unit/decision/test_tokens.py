# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps 2 and 3: which tokens and certificates count, the very card of a session, and what is waited for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from pam_sc.decision.card_report import CardReport, CertificateReport, Failure, ModuleReport, SlotReport
from pam_sc.decision.decide import decide
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.policy import CertificateSelector, Otherwise, Policy, TokenSelector, UnlockRules
from pam_sc.decision.possession import Answer, Attempt, Opened
from pam_sc.decision.reasons import PamCode, Reason, Step
from pam_sc.decision.uri import parse_token_uri
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.record import replace
from pam_sc.session import SessionCard
from tests.unit.decision.test_decide import (
    LEAF,
    NOW,
    OTHER_LEAF,
    OTHER_TOKEN,
    SECOND,
    accepted_certificate,
    as_changes,
    card,
    granted_evidence,
    nameless,
    token,
    two_certificates,
    with_request,
)


def refusal(evidence: Evidence, policy: Policy) -> Reason:
    verdict = decide(evidence, policy, NOW)
    assert isinstance(verdict, Denied)
    return verdict.reason


# ---------------------------------------------------------------- certificates that are selected


def labelled(*labels: str) -> Evidence:
    """A login with two certificates on one token, of these labels and the ids 01 and 02."""
    reports = [
        CertificateReport(ref=ref, der=b"leaf", label=label, object_id=bytes([number]))
        for number, (ref, label) in enumerate(zip((LEAF, SECOND), labels, strict=True), 1)
    ]
    return replace(two_certificates(granted_evidence()), card=card(token(certificates=tuple(reports))), attempts=())


@pytest.mark.parametrize(
    ("policy", "refs"),
    [
        (Policy(), (LEAF, SECOND)),
        (Policy(certificate_select=CertificateSelector(text="", label="a")), (LEAF,)),
        (Policy(certificate_select=CertificateSelector(text="", object_id=b"\2")), (SECOND,)),
        (Policy(certificate_select=CertificateSelector(text="", position=2)), (SECOND,)),
        (Policy(select=parse_token_uri("pkcs11:object=b;type=cert")), (SECOND,)),
        (Policy(select=parse_token_uri("pkcs11:id=%01;token=Card")), (LEAF,)),
    ],
)
def test_only_certificates_that_are_selected_are_candidates(policy: Policy, refs: tuple[object, ...]) -> None:
    verdict = decide(labelled("a", "b"), policy, NOW)
    assert isinstance(verdict, Needs)
    assert (verdict.step, verdict.candidates) == (Step.PIN, refs)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(certificate_select=CertificateSelector(text="label 'A'", label="A")),
        Policy(certificate_select=CertificateSelector(text="", object_id=b"\3")),
        Policy(certificate_select=CertificateSelector(text="", object_id=b"")),
        Policy(certificate_select=CertificateSelector(text="", position=3)),
        Policy(certificate_select=CertificateSelector(text="", label="a", object_id=b"\2")),
        Policy(certificate_select=CertificateSelector(text="", label="a"), select=parse_token_uri("pkcs11:object=b")),
    ],
)
def test_where_no_certificate_is_selected_that_is_the_reason(policy: Policy) -> None:
    assert refusal(labelled("a", "b"), policy) is Reason.CERTIFICATE_NOT_SELECTED


def test_a_certificate_that_is_not_selected_is_never_judged() -> None:
    unknown = replace(labelled("a", "b"), certificates={SECOND: accepted_certificate()})
    verdict = decide(unknown, Policy(certificate_select=CertificateSelector(text="", label="b")), NOW)
    assert verdict == Needs(Step.PIN, account="alice", candidates=(SECOND,))


# ---------------------------------------------------------------- unlocking with the same card


def session_card(**changes: object) -> SessionCard:
    """The record of a session that the card of `granted_evidence` opened."""
    plain = SessionCard(
        uid=4001, account="alice", service="login", label="Card", serial="1", manufacturer="Maker", model="M",
        certificate_sha256=hashlib.sha256(b"leaf").hexdigest(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def unlocking(*cards: SessionCard, login_token: str = "") -> Evidence:
    """swaylock asks for alice; her sessions were opened with these cards."""
    found = card(token(manufacturer="Maker", model="M"))
    evidence = with_request(granted_evidence(), service="swaylock", login_token=login_token)
    return replace(evidence, card=found, session_cards=cards)


def same_card(otherwise: Otherwise = Otherwise.CARD, **more: object) -> Policy:
    return Policy(unlock=UnlockRules(same_card=True, otherwise=otherwise), **more)  # type: ignore[arg-type]


def unsigned(evidence: Evidence) -> Evidence:
    return replace(evidence, attempts=())


def test_the_card_that_opened_the_session_unlocks_it() -> None:
    verdict = decide(unsigned(unlocking(session_card())), same_card(), NOW)
    assert verdict == Needs(Step.PIN, account="alice", candidates=(LEAF,))


def test_a_card_of_one_of_several_sessions_unlocks() -> None:
    evidence = unlocking(session_card(serial="9"), session_card())
    assert isinstance(decide(unsigned(evidence), same_card(), NOW), Needs)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "card"}, {"serial": "2"}, {"manufacturer": "Other"}, {"model": "N"},
        {"certificate_sha256": hashlib.sha256(b"other").hexdigest()}, {"certificate_sha256": ""},
    ],
    ids=lambda changes: str(next(iter(changes))),
)
@pytest.mark.parametrize("otherwise", list(Otherwise))
def test_a_card_that_differs_in_one_thing_does_not_unlock(otherwise: Otherwise, changes: dict[str, object]) -> None:
    assert refusal(unlocking(session_card(**changes)), same_card(otherwise)) is Reason.OTHER_CARD_THAN_LOGIN


def test_two_records_do_not_make_up_one_card() -> None:
    cards = session_card(serial="2"), session_card(certificate_sha256=hashlib.sha256(b"other").hexdigest())
    assert refusal(unlocking(*cards), same_card()) is Reason.OTHER_CARD_THAN_LOGIN


def test_another_certificate_of_the_same_card_does_not_unlock() -> None:
    reports = CertificateReport(ref=LEAF, der=b"second"), CertificateReport(ref=SECOND, der=b"leaf")
    both = card(token(manufacturer="Maker", model="M", certificates=reports))
    evidence = replace(unlocking(session_card()), card=both, attempts=()).with_certificate(
        SECOND, **as_changes(accepted_certificate())
    )
    assert decide(evidence, same_card(), NOW) == Needs(Step.PIN, account="alice", candidates=(SECOND,))


def test_the_cards_of_the_sessions_are_asked_for_before_the_card_is_read() -> None:
    evidence = replace(unlocking(), session_cards=None, card=None)
    assert decide(evidence, same_card(), NOW) == Needs(Step.TOKEN, account="alice")


@pytest.mark.parametrize(
    ("policy", "service"),
    [(Policy(), "swaylock"), (same_card(), "login"), (Policy(unlock=UnlockRules(same_card=False)), "swaylock")],
)
def test_where_no_same_card_is_demanded_any_card_of_the_account_counts(policy: Policy, service: str) -> None:
    evidence = replace(with_request(unlocking(session_card(serial="2")), service=service), session_cards=None)
    assert decide(unsigned(evidence), policy, NOW) == Needs(Step.PIN, account="alice", candidates=(LEAF,))


@pytest.mark.parametrize(
    ("otherwise", "reason", "code"),
    [
        (Otherwise.REFUSE, Reason.NO_CARD_LOGIN, PamCode.AUTH_ERR),
        (Otherwise.IGNORE, Reason.NO_CARD_LOGIN, PamCode.IGNORE),
    ],
)
def test_a_session_without_a_card_is_unlocked_as_the_file_says(otherwise: Otherwise, reason: Reason, code: PamCode) -> None:
    verdict = decide(unlocking(), same_card(otherwise), NOW)
    assert isinstance(verdict, Denied)
    assert (verdict.reason, verdict.code(card_required=True)) == (reason, code)


def test_a_session_without_a_card_is_unlocked_with_any_card_where_the_file_says_so() -> None:
    assert isinstance(decide(unsigned(unlocking()), same_card(), NOW), Needs)


def test_the_token_that_the_host_names_says_which_session() -> None:
    other = session_card(label="Other")
    assert isinstance(decide(unsigned(unlocking(session_card(), other, login_token="Card")), same_card(), NOW), Needs)
    assert refusal(unlocking(session_card(), other, login_token="Other"), same_card()) is Reason.OTHER_CARD_THAN_LOGIN


@pytest.mark.parametrize("cards", [(), (session_card(label="Other"),)])
def test_a_named_token_without_a_record_is_never_ignored(cards: tuple[SessionCard, ...]) -> None:
    evidence = unlocking(*cards, login_token="Card")
    assert isinstance(decide(unsigned(evidence), same_card(), NOW), Needs)
    assert refusal(unlocking(*cards, login_token="card"), same_card()) is Reason.OTHER_CARD_THAN_LOGIN
    for otherwise in (Otherwise.REFUSE, Otherwise.IGNORE):
        verdict = decide(evidence, same_card(otherwise), NOW)
        assert isinstance(verdict, Denied)
        assert (verdict.reason, verdict.code(card_required=True)) == (Reason.NO_CARD_LOGIN, PamCode.AUTH_ERR)


@pytest.mark.parametrize(("service", "login_token", "unlocks"), [
    ("gdm-smartcard", "Card", True), ("gdm-password", "Card", True), ("gdm-smartcard", "", False), ("gdm-password", "", False),
    ("login", "Card", False), ("gdm-smartcard2", "Card", False), ("swaylock", "", True),
])  # fmt: skip
def test_a_greeter_unlocks_only_where_the_host_names_the_token_of_the_session(
    service: str, login_token: str, unlocks: bool
) -> None:
    assert UnlockRules(same_card=True).unlocks(service, login_token) is unlocks
    evidence = with_request(unlocking(session_card(serial="2")), service=service, login_token=login_token)
    verdict = decide(unsigned(evidence), same_card(), NOW)
    assert (isinstance(verdict, Denied) and verdict.reason is Reason.OTHER_CARD_THAN_LOGIN) is unlocks


def test_the_card_does_not_say_whose_session_it_unlocks() -> None:
    evidence = replace(nameless(unlocking(session_card())), session_cards=None)
    policy = same_card(card_names_user=frozenset({"swaylock"}))
    assert refusal(evidence, policy) is Reason.ACCOUNT_NOT_NAMED


# ---------------------------------------------------------------- waiting


def empty_reader(evidence: Evidence) -> Evidence:
    return replace(evidence, card=CardReport((ModuleReport(index=0, path="/m", slots=(SlotReport(slot_id=1),)),)))


OTHER_LABEL = TokenSelector(text="label 'Other'", token="Other")
WAITED_FOR: list[tuple[str, Callable[[Evidence], Evidence], Policy, Reason]] = [
    ("no card", empty_reader, Policy(wait_s=30), Reason.NO_CARD),
    ("no reader", lambda e: replace(e, card=CardReport(())), Policy(wait_s=30), Reason.NO_READER),
    ("not selected", lambda e: e, Policy(wait_s=30, select=OTHER_LABEL), Reason.TOKEN_NOT_SELECTED),
]
waited_for = pytest.mark.parametrize(
    ("change", "policy", "reason"), [each[1:] for each in WAITED_FOR], ids=[each[0] for each in WAITED_FOR]
)


@waited_for
def test_where_no_card_is_there_one_is_waited_for(
    change: Callable[[Evidence], Evidence], policy: Policy, reason: Reason
) -> None:
    evidence = change(unsigned(granted_evidence()))
    assert decide(evidence, policy, NOW) == Needs(Step.TOKEN, wait=True)
    assert refusal(evidence, replace(policy, wait_s=0)) is reason


@waited_for
@pytest.mark.parametrize(
    ("answer", "expected"), [(Answer.TIMEOUT, None), (Answer.NOT_GIVEN, Reason.WAIT_CANCELLED),
                             (Answer.FAILED, Reason.WAIT_CANCELLED)],
)  # fmt: skip
def test_waiting_ends_with_the_time_or_with_a_cancel(
    change: Callable[[Evidence], Evidence], policy: Policy, reason: Reason, answer: Answer, expected: Reason | None
) -> None:
    assert refusal(replace(change(unsigned(granted_evidence())), waited=answer), policy) is (expected or reason)


def test_where_another_card_came_the_wait_goes_on() -> None:
    evidence, policy = replace(granted_evidence(), waited=Answer.WAITED, attempts=()), Policy(wait_s=30, select=OTHER_LABEL)
    assert decide(evidence, policy, NOW) == Needs(Step.TOKEN, wait=True)


@pytest.mark.parametrize("reason", [
    Reason.CARD_SERVICE_DOWN, Reason.MODULE_UNUSABLE, Reason.TOKEN_HIDDEN, Reason.CARD_TIMEOUT, Reason.CARD_PROCESS_LOST,
])  # fmt: skip
def test_what_a_card_would_not_mend_is_not_waited_for(reason: Reason) -> None:
    evidence = replace(granted_evidence(), card=Failure(reason, ""))
    assert refusal(evidence, Policy(wait_s=30)) is reason


def test_a_module_that_does_not_work_beside_an_empty_reader_is_not_waited_for() -> None:
    modules = (
        ModuleReport(index=0, path="/a", slots=(SlotReport(slot_id=1),)),
        ModuleReport(index=1, path="/b", failure=Failure(Reason.MODULE_UNUSABLE, "")),
    )
    assert refusal(replace(granted_evidence(), card=CardReport(modules)), Policy(wait_s=30)) is Reason.MODULE_UNUSABLE


def test_a_card_without_a_certificate_is_there() -> None:
    assert refusal(replace(granted_evidence(), card=card(token(certificates=()))), Policy(wait_s=30)) is Reason.NO_CERTIFICATE


def test_unlocking_waits_for_the_card_of_the_session_by_its_name() -> None:
    evidence = unsigned(empty_reader(unlocking(session_card())))
    assert decide(evidence, same_card(wait_s=30), NOW) == Needs(Step.TOKEN, wait=True, wanted="Card")
    other = unsigned(unlocking(session_card(serial="2")))
    assert decide(other, same_card(wait_s=30), NOW) == Needs(Step.TOKEN, wait=True, wanted="Card")


def test_once_a_pin_was_asked_for_no_other_card_is_waited_for() -> None:
    policy = same_card(wait_s=30, login_first=True)
    opened = Attempt(LEAF.token, Answer.ANSWERED, Opened())
    other = replace(unlocking(session_card(serial="2")), attempts=(opened,))
    assert refusal(other, policy) is Reason.OTHER_CARD_THAN_LOGIN
    assert decide(unsigned(other), policy, NOW) == Needs(Step.TOKEN, wait=True, wanted="Card")


def test_nobody_waits_for_a_session_that_had_no_card() -> None:
    assert refusal(empty_reader(unlocking()), same_card(Otherwise.REFUSE, wait_s=30)) is Reason.NO_CARD_LOGIN


def test_after_the_wait_the_login_goes_on() -> None:
    evidence = replace(granted_evidence(), waited=Answer.WAITED)
    assert decide(evidence, Policy(wait_s=30), NOW) == Granted("alice", LEAF)


def test_another_token_beside_the_selected_one_is_not_looked_at() -> None:
    evidence = replace(granted_evidence(), card=card(token(OTHER_TOKEN, label="Other"), token()))
    assert OTHER_LEAF not in evidence.certificates
    assert decide(evidence, Policy(select=TokenSelector(text="", token="Card")), NOW) == Granted("alice", LEAF)
