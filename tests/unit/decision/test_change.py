# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a PIN may be changed: one change that goes on, and beside it the near-misses that do not, with their codes."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from pam_sc.decision.card_report import CardReport, CertificateReport, Failure, ModuleReport, PinState, SlotReport
from pam_sc.decision.change import judge_change, moment_of
from pam_sc.decision.evidence import Evidence, MappedAccounts, MappingFailed, NoPath, Situation, Unparsable
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules, TokenSelector
from pam_sc.decision.reasons import PamCode, Reason, Step
from pam_sc.decision.request import Account, Locality, NoSuchAccount
from pam_sc.decision.verdict import Denied, Needs
from pam_sc.record import replace
from tests.unit.decision.test_decide import (
    LEAF,
    NOW,
    OTHER_LEAF,
    OTHER_TOKEN,
    TOKEN,
    accepted_certificate,
    card,
    facts,
    good,
    granted_evidence,
    private_key,
    token,
    with_leaf,
    with_request,
)

SECOND = datetime.timedelta(seconds=1)
YEAR = datetime.timedelta(days=365)
GOES_ON = Needs(Step.PIN, account="alice", candidates=(LEAF,))
Change = Callable[[Evidence], Evidence]


def known() -> Evidence:
    """Everything known about a change that goes on: as in a login, but nothing about revocation."""
    return replace(with_leaf(granted_evidence(), revocation=None), attempts=(), challenges={})


def with_token(evidence: Evidence, **changes: object) -> Evidence:
    return replace(evidence, card=card(token(**changes)))


def test_a_change_goes_on_where_the_card_is_the_accounts() -> None:
    assert judge_change(known(), Policy(), NOW) == GOES_ON


@pytest.mark.parametrize(("missing", "step"), [
    ({"facts": None}, Step.SUITABLE), ({"path": None}, Step.PATH), ({"mapping": None}, Step.MAPPING),
])
def test_what_is_not_known_is_asked_for_one_thing_at_a_time(missing: dict[str, object], step: Step) -> None:
    assert judge_change(with_leaf(known(), **missing), Policy(), NOW) == Needs(step, LEAF)


def test_revocation_is_never_asked_for() -> None:
    strict = Policy(revocation=RevocationRules(mode=RevocationMode.REQUIRE))
    assert judge_change(known(), strict, NOW) == GOES_ON


@pytest.mark.parametrize("change", [
    lambda e: with_leaf(e, facts=facts(private_key(), not_after=NOW - SECOND)),
    lambda e: with_leaf(e, facts=facts(private_key(), not_before=NOW + SECOND)),
    lambda e: with_leaf(e, revocation=(good(Situation.REVOKED),)),
], ids=["expired", "not yet valid", "revoked"])  # fmt: skip
def test_who_cannot_log_in_any_more_may_change_the_pin_of_their_card(change: Change) -> None:
    assert judge_change(change(known()), Policy(), NOW) == GOES_ON


NEAR_MISSES: list[tuple[str, Change, Policy, Reason]] = [
    ("service not listed", lambda e: e, Policy(services=frozenset({"sudo"})), Reason.SERVICE_NOT_ALLOWED),
    ("remote", lambda e: replace(e, locality=Locality(True, "PAM_RHOST")), Policy(), Reason.REMOTE_REFUSED),
    ("no such account", lambda e: replace(e, requested=NoSuchAccount()), Policy(), Reason.ACCOUNT_UNKNOWN),
    ("root", lambda e: replace(e, requested=Account("alice", 0)), Policy(), Reason.ROOT_NOT_ALLOWED),
    (
        "no account, where a login would let the card name it",
        lambda e: with_request(e, account=None),
        Policy(),
        Reason.ACCOUNT_NOT_NAMED,
    ),
    (
        "somebody else's account for a caller without privilege",
        lambda e: with_request(e, real_uid=4002, effective_uid=4002, saved_uid=4002),
        Policy(),
        Reason.OTHER_ACCOUNT,
    ),
    ("no reader", lambda e: replace(e, card=card()), Policy(), Reason.NO_CARD_TO_CHANGE),
    (
        "an empty reader",
        lambda e: replace(e, card=CardReport((ModuleReport(index=0, path="/m", slots=(SlotReport(slot_id=1),)),))),
        Policy(),
        Reason.NO_CARD_TO_CHANGE,
    ),
    (
        "the card service is down",
        lambda e: replace(e, card=Failure(Reason.CARD_SERVICE_DOWN, "")),
        Policy(),
        Reason.CARD_SERVICE_DOWN,
    ),
    (
        "another token than selected",
        lambda e: e,
        Policy(select=TokenSelector(text="pkcs11:token=other", token="other")),
        Reason.TOKEN_NOT_SELECTED,
    ),
    ("no certificate", lambda e: with_token(e, certificates=()), Policy(), Reason.NO_CERTIFICATE),
    ("unparsable", lambda e: with_leaf(e, facts=Unparsable("not DER")), Policy(), Reason.CERTIFICATE_UNREADABLE),
    (
        "no certificate for logins",
        lambda e: with_leaf(e, facts=facts(private_key(), key_usage=frozenset({"keyEncipherment"}))),
        Policy(),
        Reason.KEY_USAGE_UNSUITABLE,
    ),
    ("issued by somebody", lambda e: with_leaf(e, path=NoPath(Reason.UNTRUSTED, "")), Policy(), Reason.UNTRUSTED),
    ("somebody else's card", lambda e: with_leaf(e, mapping=MappedAccounts(("bob",))), Policy(), Reason.NOT_MAPPED),
    ("nobody's card", lambda e: with_leaf(e, mapping=MappedAccounts(())), Policy(), Reason.NOT_MAPPED),
    ("a mapper failed", lambda e: with_leaf(e, mapping=MappingFailed("no")), Policy(), Reason.MAPPER_FAILED),
    ("a token without PIN", lambda e: with_token(e, login_required=False), Policy(), Reason.PIN_CHANGE_UNSUPPORTED),
    ("a keypad", lambda e: with_token(e, protected_authentication_path=True), Policy(), Reason.PINPAD_ONLY),
    ("a PIN that was never set", lambda e: with_token(e, pin_state=PinState.NOT_SET), Policy(), Reason.PIN_NOT_SET),
    ("the last try", lambda e: with_token(e, pin_state=PinState.FINAL_TRY), Policy(), Reason.PIN_LAST_TRY),
    (
        "too many wrong PINs counted",
        lambda e: replace(e, tries_refused={TOKEN: Failure(Reason.PIN_TRIES_USED, "2 of 2")}),
        Policy(),
        Reason.PIN_TRIES_USED,
    ),
]


@pytest.mark.parametrize(("change", "policy", "reason"), [miss[1:] for miss in NEAR_MISSES],
                         ids=[miss[0] for miss in NEAR_MISSES])  # fmt: skip
def test_a_near_miss_is_refused_and_the_first_pass_says_try_again(
    change: Change, policy: Policy, reason: Reason
) -> None:
    judged = judge_change(change(known()), policy, NOW)
    assert isinstance(judged, Denied)
    assert judged.reason is reason
    assert judged.change_code(preliminary=True) is PamCode.TRY_AGAIN


@pytest.mark.parametrize(("change", "policy"), [
    (lambda e: with_token(e, protected_authentication_path=True), Policy(pinpad=True)),
    (lambda e: with_token(e, pin_state=PinState.FINAL_TRY), Policy(allow_last_try=True)),
    (lambda e: with_token(e, pin_state=PinState.COUNT_LOW), Policy()),
    (lambda e: with_token(e, pin_state=PinState.LOCKED), Policy()),
    (
        lambda e: replace(with_token(e, pin_state=PinState.LOCKED), tries_refused={TOKEN: Failure(Reason.PIN_TRIES_USED, "")}),
        Policy(),
    ),
], ids=["a keypad that is allowed", "a last try that is allowed", "few left", "locked", "locked, and wrong ones counted"])
def test_what_the_policy_allows_goes_on(change: Change, policy: Policy) -> None:
    assert judge_change(change(known()), policy, NOW) == GOES_ON


def two_tokens(first: dict[str, object], second: dict[str, object]) -> Evidence:
    evidence = replace(known(), card=card(token(**first), token(OTHER_TOKEN, **second)))
    return evidence.with_certificate(OTHER_LEAF, **{
        name: getattr(accepted_certificate(), name) for name in ("facts", "path", "mapping")
    })  # fmt: skip


def chosen(evidence: Evidence, *, forced: bool = False) -> object:
    judged = judge_change(evidence, Policy(), NOW, forced=forced)
    assert isinstance(judged, Needs)
    return judged.candidates[0].token


def test_of_two_cards_the_first_is_taken_and_a_locked_one_last() -> None:
    assert chosen(two_tokens({}, {})) == TOKEN
    assert chosen(two_tokens({"pin_state": PinState.LOCKED}, {})) == OTHER_TOKEN
    assert chosen(two_tokens({"pin_state": PinState.LOCKED}, {"pin_state": PinState.LOCKED})) == TOKEN


def test_a_forced_change_takes_the_card_whose_pin_must_be_changed() -> None:
    cards = two_tokens({}, {"to_be_changed": True})
    assert chosen(cards, forced=True) == OTHER_TOKEN
    assert chosen(cards) == TOKEN


def test_somebody_elses_card_beside_ones_own_is_not_asked_for_its_pin() -> None:
    cards = two_tokens({}, {}).with_certificate(LEAF, mapping=MappedAccounts(("bob",)))
    assert chosen(cards) == OTHER_TOKEN


def test_a_path_is_judged_at_the_moment_at_which_the_certificate_is_valid_that_is_nearest() -> None:
    assert moment_of(facts(private_key()), NOW) == NOW
    assert moment_of(facts(private_key(), not_after=NOW - YEAR, not_before=NOW - 2 * YEAR), NOW) == NOW - YEAR - SECOND
    assert moment_of(facts(private_key(), not_before=NOW + SECOND), NOW) == NOW + SECOND
    assert moment_of(Unparsable("not DER"), NOW) == NOW


@pytest.mark.parametrize(("reason", "code"), [
    (Reason.PIN_WRONG, PamCode.AUTHTOK_RECOVERY_ERR),
    (Reason.PIN_WRONG_FEW_LEFT, PamCode.AUTHTOK_RECOVERY_ERR),
    (Reason.PIN_WRONG_ONE_LEFT, PamCode.AUTHTOK_RECOVERY_ERR),
    (Reason.PIN_FORM, PamCode.AUTHTOK_RECOVERY_ERR),
    (Reason.PUK_WRONG, PamCode.AUTHTOK_RECOVERY_ERR),
    (Reason.PIN_WRONG_NOW_LOCKED, PamCode.MAXTRIES),
    (Reason.PIN_LOCKED, PamCode.MAXTRIES),
    (Reason.PIN_TRIES_USED, PamCode.MAXTRIES),
    (Reason.PUK_LOCKED, PamCode.MAXTRIES),
    (Reason.NEW_PIN_UNFIT, PamCode.AUTHTOK_ERR),
    (Reason.NEW_PIN_REPEAT_DIFFERS, PamCode.AUTHTOK_ERR),
    (Reason.NEW_PIN_SAME, PamCode.AUTHTOK_ERR),
    (Reason.PIN_CHANGE_FAILED, PamCode.AUTHTOK_ERR),
    (Reason.PIN_CHANGE_UNSUPPORTED, PamCode.AUTHTOK_ERR),
    (Reason.PIN_NOT_GIVEN, PamCode.AUTHTOK_ERR),
    (Reason.PIN_EMPTY, PamCode.AUTHTOK_ERR),
    (Reason.PROMPT_TIMEOUT, PamCode.AUTHTOK_ERR),
    (Reason.CARD_PROCESS_LOST_AFTER_PIN, PamCode.AUTHTOK_ERR),
    (Reason.CARD_TIMEOUT_AFTER_PIN, PamCode.AUTHTOK_ERR),
    (Reason.NO_CARD_TO_CHANGE, PamCode.AUTHTOK_ERR),
    (Reason.NO_CARD, PamCode.AUTHTOK_ERR),
    (Reason.NOT_MAPPED, PamCode.AUTHTOK_ERR),
    (Reason.CONVERSATION_FAILED, PamCode.CONV_ERR),
    (Reason.CONVERSATION_AGAIN, PamCode.INCOMPLETE),
    (Reason.CONFIGURATION_UNUSABLE, PamCode.SERVICE_ERR),
    (Reason.INTERNAL_ERROR, PamCode.SYSTEM_ERR),
    (Reason.OUT_OF_MEMORY, PamCode.BUF_ERR),
])  # fmt: skip
def test_each_kind_of_failure_has_its_code_in_the_second_pass(reason: Reason, code: PamCode) -> None:
    assert Denied(reason).change_code(preliminary=False) is code


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("preliminary", [True, False])
def test_no_refusal_of_a_change_is_a_success_or_a_code_of_a_login(reason: Reason, preliminary: bool) -> None:
    code = Denied(reason).change_code(preliminary=preliminary)
    assert code not in {PamCode.SUCCESS, PamCode.AUTH_ERR, PamCode.AUTHINFO_UNAVAIL, PamCode.USER_UNKNOWN, PamCode.IGNORE}


@pytest.mark.parametrize("reason", list(Reason))
def test_no_refusal_in_the_second_pass_lets_the_stack_go_on_to_the_password(reason: Reason) -> None:
    assert Denied(reason).change_code(preliminary=False) is not PamCode.TRY_AGAIN


def test_a_certificate_that_could_not_be_read_does_not_hide_the_others() -> None:
    broken = CertificateReport(ref=LEAF, der=b"", failure=Failure(Reason.CERTIFICATE_UNREADABLE, "CKR"))
    cards = replace(two_tokens({}, {}), card=card(token(certificates=(broken,)), token(OTHER_TOKEN)))
    assert chosen(cards) == OTHER_TOKEN
