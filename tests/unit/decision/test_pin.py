# SPDX-License-Identifier: LGPL-2.1-or-later
"""How often a PIN is tried, in which way, and what ends it: each rule beside the login that differs in one thing."""

from __future__ import annotations

from typing import Any

import pytest

from pam_sc.decision.attempt import judge_pin_state
from pam_sc.decision.card_report import CertificateReport, Failure, PinState
from pam_sc.decision.decide import decide
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.pin import FAILURE_REASONS
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer, Attempt, CardFailure, NotSigned, Opened, PinPrompt, PinWay, Signed
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.record import replace
from tests.unit.decision.test_decide import (
    LEAF,
    NOW,
    OTHER_LEAF,
    OTHER_TOKEN,
    TOKEN,
    accepted_certificate,
    as_changes,
    card,
    challenge,
    granted_evidence,
    sign,
    token,
    with_request,
)

THREE = Policy(prompts=3)
GOES_ON = (CardFailure.PIN_WRONG, CardFailure.PIN_WRONG_FEW_LEFT, CardFailure.PIN_FORM)
BEFORE_A_CHANGE = (
    CardFailure.LOGIN_FAILED, CardFailure.PIN_EXPIRED, CardFailure.NO_PRIVATE_KEY, CardFailure.MECHANISM_REFUSED,
    CardFailure.SIGNING_FAILED,
)  # fmt: skip


def typed(failure: CardFailure, way: PinWay = PinWay.TYPED) -> Attempt:
    given = Answer.ANSWERED if way in (PinWay.TYPED, PinWay.STACKED) else Answer.NOT_NEEDED
    return Attempt(TOKEN, given, NotSigned(failure), way)


def signed(way: PinWay = PinWay.TYPED) -> Attempt:
    given = Answer.ANSWERED if way in (PinWay.TYPED, PinWay.STACKED) else Answer.NOT_NEEDED
    return Attempt(TOKEN, given, Signed(LEAF, "CKM_ECDSA", sign(challenge())), way)


def with_attempts(*attempts: Attempt, request: dict[str, Any] | None = None, **changes: Any) -> Evidence:
    """A login in which these attempts were made, on a token with these changes."""
    evidence = with_request(granted_evidence(), **(request or {}))
    return replace(evidence, card=card(token(**changes)), attempts=attempts)


def verdict(evidence: Evidence, policy: Policy = THREE) -> Granted | Denied | Needs:
    return decide(evidence, policy, NOW)


def refusal(evidence: Evidence, policy: Policy = THREE) -> Reason:
    judged = verdict(evidence, policy)
    assert isinstance(judged, Denied), judged
    return judged.reason


def asks(evidence: Evidence, policy: Policy = THREE) -> tuple[PinWay, PinPrompt]:
    judged = verdict(evidence, policy)
    assert isinstance(judged, Needs), judged
    assert (judged.step, judged.token, judged.candidates) == (Step.PIN, TOKEN, (LEAF,))
    return judged.way, judged.prompt


# ---------------------------------------------------------------- how many prompts


@pytest.mark.parametrize("failure", GOES_ON)
def test_after_a_wrong_pin_the_person_is_asked_again_while_prompts_are_left(failure: CardFailure) -> None:
    assert asks(with_attempts(typed(failure)), Policy(prompts=2))[0] is PinWay.TYPED
    assert asks(with_attempts(typed(failure), typed(failure)), Policy(prompts=3))[0] is PinWay.TYPED


@pytest.mark.parametrize("failure", GOES_ON)
def test_after_a_wrong_pin_nobody_is_asked_again_without_prompts(failure: CardFailure) -> None:
    assert refusal(with_attempts(typed(failure)), Policy(prompts=1)) is FAILURE_REASONS[failure]
    assert refusal(with_attempts(typed(failure), typed(failure)), Policy(prompts=2)) is FAILURE_REASONS[failure]


@pytest.mark.parametrize("failure", sorted(set(CardFailure) & set(FAILURE_REASONS) - set(GOES_ON), key=lambda each: each.value))
def test_after_anything_else_nobody_is_asked_again(failure: CardFailure) -> None:
    assert refusal(with_attempts(typed(failure))) is FAILURE_REASONS[failure]


def test_a_pin_that_was_refused_before_ends_the_login() -> None:
    """Hosts give one stored answer to every prompt."""
    attempts = typed(CardFailure.PIN_WRONG), typed(CardFailure.PIN_REPEATED)
    assert refusal(with_attempts(*attempts)) is Reason.PIN_REPEATED


@pytest.mark.parametrize(("allowed", "expected"), [(True, PinPrompt.LAST_TRY), (False, None)])
def test_the_last_try_is_asked_for_only_where_allowed(allowed: bool, expected: PinPrompt | None) -> None:
    evidence, policy = with_attempts(typed(CardFailure.PIN_WRONG_ONE_LEFT)), Policy(prompts=3, allow_last_try=allowed)
    if expected:
        assert asks(evidence, policy) == (PinWay.TYPED, expected)
    else:
        assert refusal(evidence, policy) is Reason.PIN_WRONG_ONE_LEFT


def test_a_state_that_was_seen_holds_after_an_answer_of_no_fit_form() -> None:
    attempts = typed(CardFailure.PIN_WRONG_ONE_LEFT), typed(CardFailure.PIN_FORM)
    assert refusal(with_attempts(*attempts)) is Reason.PIN_FORM
    assert asks(with_attempts(*attempts), Policy(prompts=3, allow_last_try=True)) == (PinWay.TYPED, PinPrompt.LAST_TRY)


def test_the_final_refusal_is_the_last_attempts() -> None:
    attempts = typed(CardFailure.PIN_FORM), typed(CardFailure.PIN_WRONG), typed(CardFailure.PIN_WRONG_NOW_LOCKED)
    assert refusal(with_attempts(*attempts)) is Reason.PIN_WRONG_NOW_LOCKED


@pytest.mark.parametrize("answer", [Answer.EMPTY, Answer.NOT_GIVEN, Answer.TIMEOUT, Answer.AGAIN, Answer.TOO_LONG])
def test_without_an_answer_nobody_is_asked_again(answer: Answer) -> None:
    evidence = with_attempts(typed(CardFailure.PIN_WRONG), Attempt(TOKEN, answer))
    assert refusal(evidence) not in (Reason.PIN_WRONG, Reason.INTERNAL_ERROR)


def test_a_right_pin_after_wrong_ones_is_a_login() -> None:
    assert verdict(with_attempts(typed(CardFailure.PIN_WRONG), signed())) == Granted("alice", LEAF)


def test_an_answer_that_was_never_given_is_no_login() -> None:
    never = replace(signed(), answer=Answer.NOT_NEEDED)
    assert refusal(with_attempts(never)) is Reason.PIN_NOT_GIVEN


def test_all_tries_are_on_one_token() -> None:
    evidence = with_attempts(typed(CardFailure.PIN_WRONG))
    evidence = replace(evidence, card=card(token(), token(OTHER_TOKEN)))
    evidence = evidence.with_certificate(OTHER_LEAF, **as_changes(accepted_certificate()))
    assert asks(evidence)[0] is PinWay.TYPED
    assert refusal(replace(evidence, card=card(token(OTHER_TOKEN)))) is Reason.TOKEN_CHANGED


# ---------------------------------------------------------------- what the question says


@pytest.mark.parametrize(
    ("state", "attempts", "prompt"),
    [
        (PinState.OK, (), PinPrompt.FIRST),
        (PinState.OK, (typed(CardFailure.PIN_WRONG),), PinPrompt.AGAIN),
        (PinState.OK, (typed(CardFailure.PIN_FORM),), PinPrompt.AGAIN),
        (PinState.OK, (typed(CardFailure.PIN_WRONG_FEW_LEFT),), PinPrompt.FEW_LEFT),
        (PinState.COUNT_LOW, (), PinPrompt.FEW_LEFT),
        (PinState.COUNT_LOW, (typed(CardFailure.PIN_FORM),), PinPrompt.FEW_LEFT),
        (PinState.FINAL_TRY, (), PinPrompt.LAST_TRY),
    ],
)
def test_the_question_says_what_is_known_of_the_tries(
    state: PinState, attempts: tuple[Attempt, ...], prompt: PinPrompt
) -> None:
    policy = Policy(prompts=3, allow_last_try=True)
    assert asks(with_attempts(*attempts, pin_state=state), policy) == (PinWay.TYPED, prompt)


# ---------------------------------------------------------------- a stacked password

TRY, USE = {"try_first_pass": True}, {"use_first_pass": True}


@pytest.mark.parametrize("request_", [TRY, USE])
def test_a_stacked_password_comes_first_where_the_line_says_so(request_: dict[str, Any]) -> None:
    assert asks(with_attempts(request=request_)) == (PinWay.STACKED, PinPrompt.FIRST)
    assert verdict(with_attempts(signed(PinWay.STACKED), request=request_)) == Granted("alice", LEAF)


def test_without_these_words_it_is_not_touched() -> None:
    assert asks(with_attempts()) == (PinWay.TYPED, PinPrompt.FIRST)


@pytest.mark.parametrize("answer", [Answer.NOT_STACKED, Answer.EMPTY, Answer.TOO_LONG])
def test_where_there_is_no_fit_stacked_password_try_first_pass_asks_and_use_first_pass_refuses(answer: Answer) -> None:
    none = Attempt(TOKEN, answer, None, PinWay.STACKED)
    assert asks(with_attempts(none, request=TRY), Policy()) == (PinWay.TYPED, PinPrompt.FIRST)
    expected = Reason.PIN_FORM if answer is Answer.TOO_LONG else Reason.NO_STACKED_PIN
    assert refusal(with_attempts(none, request=USE)) is expected


def test_a_stacked_password_of_another_form_costs_no_prompt() -> None:
    unfit = typed(CardFailure.PIN_FORM, PinWay.STACKED)
    assert asks(with_attempts(unfit, request=TRY), Policy()) == (PinWay.TYPED, PinPrompt.FIRST)
    assert refusal(with_attempts(unfit, typed(CardFailure.PIN_WRONG), request=TRY), Policy()) is Reason.PIN_WRONG
    assert refusal(with_attempts(unfit, request=USE), Policy()) is Reason.PIN_FORM


def test_a_stacked_password_that_the_token_refused_counts_as_one_prompt() -> None:
    wrong = typed(CardFailure.PIN_WRONG, PinWay.STACKED)
    assert refusal(with_attempts(wrong, request=TRY), Policy()) is Reason.PIN_WRONG
    assert asks(with_attempts(wrong, request=TRY), Policy(prompts=2)) == (PinWay.TYPED, PinPrompt.AGAIN)
    assert refusal(with_attempts(wrong, typed(CardFailure.PIN_WRONG), request=TRY), Policy(prompts=2)) is Reason.PIN_WRONG
    assert refusal(with_attempts(wrong, request=USE)) is Reason.PIN_WRONG


@pytest.mark.parametrize("allowed", [True, False])
def test_a_stacked_password_is_never_the_last_try(allowed: bool) -> None:
    policy = Policy(prompts=3, allow_last_try=allowed)
    first, card_says = {"pin_state": PinState.FINAL_TRY}, typed(CardFailure.LAST_TRY_STACKED, PinWay.STACKED)
    assert refusal(with_attempts(request=USE, **first), policy) is Reason.PIN_LAST_TRY
    assert refusal(with_attempts(card_says, request=USE), policy) is Reason.PIN_LAST_TRY
    for evidence in (with_attempts(request=TRY, **first), with_attempts(card_says, request=TRY)):
        if allowed:
            assert asks(evidence, policy) == (PinWay.TYPED, PinPrompt.LAST_TRY)
        else:
            assert refusal(evidence, policy) is Reason.PIN_LAST_TRY


def test_a_conversation_that_fails_is_not_a_password_that_does_not_fit() -> None:
    failed = Attempt(TOKEN, Answer.FAILED, None, PinWay.STACKED)
    assert refusal(with_attempts(failed, request=TRY)) is Reason.CONVERSATION_FAILED


# ---------------------------------------------------------------- readers with a keypad, tokens without a PIN


def test_a_pin_is_typed_on_the_reader_only_where_configured() -> None:
    keypad = {"protected_authentication_path": True}
    assert refusal(with_attempts(**keypad)) is Reason.PINPAD_ONLY
    assert asks(with_attempts(**keypad), Policy(pinpad=True)) == (PinWay.PINPAD, PinPrompt.FIRST)
    assert verdict(with_attempts(signed(PinWay.PINPAD), **keypad), Policy(pinpad=True)) == Granted("alice", LEAF)


def test_a_stacked_password_is_no_pin_for_a_reader_with_a_keypad() -> None:
    keypad = {"protected_authentication_path": True}
    assert asks(with_attempts(request=TRY, **keypad), Policy(pinpad=True))[0] is PinWay.PINPAD
    assert refusal(with_attempts(request=USE, **keypad), Policy(pinpad=True)) is Reason.PINPAD_ONLY


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(CardFailure.PINPAD_CANCELLED, Reason.PINPAD_CANCELLED), (CardFailure.PINPAD_TIMEOUT, Reason.PINPAD_TIMEOUT)],
)
def test_who_types_nothing_on_the_reader_is_not_asked_again(failure: CardFailure, reason: Reason) -> None:
    evidence = with_attempts(typed(failure, PinWay.PINPAD), protected_authentication_path=True)
    assert refusal(evidence, Policy(pinpad=True, prompts=3)) is reason


def test_a_wrong_pin_on_the_reader_may_be_followed_by_another_there() -> None:
    evidence = with_attempts(typed(CardFailure.PIN_WRONG, PinWay.PINPAD), protected_authentication_path=True)
    assert asks(evidence, Policy(pinpad=True, prompts=2)) == (PinWay.PINPAD, PinPrompt.AGAIN)
    assert refusal(evidence, Policy(pinpad=True)) is Reason.PIN_WRONG


def test_a_token_without_a_pin_counts_only_where_configured_and_nobody_is_asked() -> None:
    free = {"login_required": False}
    assert refusal(with_attempts(**free)) is Reason.PIN_NOT_ASKED_FOR
    assert asks(with_attempts(**free), Policy(allow_no_pin=True))[0] is PinWay.NONE
    assert verdict(with_attempts(signed(PinWay.NONE), **free), Policy(allow_no_pin=True)) == Granted("alice", LEAF)


def test_a_token_without_a_pin_never_counts_where_the_application_wants_a_secret() -> None:
    evidence = with_attempts(request={"disallow_null": True}, login_required=False)
    assert refusal(evidence, Policy(allow_no_pin=True)) is Reason.PIN_NOT_ASKED_FOR


def test_a_token_that_wants_a_pin_is_not_opened_without_one() -> None:
    assert refusal(with_attempts(signed(PinWay.NONE)), Policy(allow_no_pin=True)) is Reason.PIN_NOT_GIVEN


# ---------------------------------------------------------------- a PIN that must be changed


@pytest.mark.parametrize("failure", BEFORE_A_CHANGE)
def test_a_token_that_works_only_after_a_change_of_its_pin_says_so(failure: CardFailure) -> None:
    assert refusal(with_attempts(typed(failure), to_be_changed=True)) is Reason.PIN_TO_BE_CHANGED
    assert refusal(with_attempts(typed(failure))) is FAILURE_REASONS[failure]


def test_a_pin_that_must_be_changed_is_wrong_all_the_same_where_it_is() -> None:
    assert refusal(with_attempts(typed(CardFailure.PIN_WRONG), to_be_changed=True), Policy()) is Reason.PIN_WRONG


def test_a_token_that_works_before_the_change_is_a_login() -> None:
    assert verdict(with_attempts(signed(), to_be_changed=True)) == Granted("alice", LEAF)


# ---------------------------------------------------------------- wrong PINs that were counted here

USED = Failure(Reason.PIN_TRIES_USED, "2 of 2")


def test_where_no_try_is_left_nobody_is_asked() -> None:
    assert refusal(with_attempts().with_refused_tries(TOKEN, USED)) is Reason.PIN_TRIES_USED


def test_the_tries_of_another_token_are_no_matter() -> None:
    assert asks(with_attempts().with_refused_tries(OTHER_TOKEN, USED))[0] is PinWay.TYPED


def test_where_the_last_try_went_while_the_person_typed_nothing_is_sent() -> None:
    answered = Attempt(TOKEN, Answer.ANSWERED)
    needs = verdict(with_attempts(answered))
    assert isinstance(needs, Needs)
    assert needs.step is Step.PROOF
    assert refusal(with_attempts(answered).with_refused_tries(TOKEN, USED)) is Reason.PIN_TRIES_USED


def test_after_the_wrong_pin_that_was_the_last_one_to_count_the_refusal_is_that_it_was_wrong() -> None:
    evidence = with_attempts(typed(CardFailure.PIN_WRONG)).with_refused_tries(TOKEN, USED)
    assert refusal(evidence) is Reason.PIN_WRONG


def test_a_token_without_tries_does_not_hide_the_next() -> None:
    evidence = replace(with_attempts(), card=card(token(), token(OTHER_TOKEN)))
    evidence = evidence.with_certificate(OTHER_LEAF, **as_changes(accepted_certificate()))
    needs = verdict(evidence.with_refused_tries(TOKEN, USED))
    assert isinstance(needs, Needs)
    assert needs.token == OTHER_TOKEN


def test_wrong_pins_that_cannot_be_counted_are_not_tried() -> None:
    why = Failure(Reason.PIN_TRIES_UNCOUNTED, "read-only file system")
    assert refusal(with_attempts().with_refused_tries(TOKEN, why)) is Reason.PIN_TRIES_UNCOUNTED


# ---------------------------------------------------------------- a token that is opened before it is judged

FIRST = Policy(login_first=True, prompts=2)
SHOWN = (CertificateReport(ref=LEAF, der=b"leaf"),)


def closed(*attempts: Attempt, **changes: Any) -> Evidence:
    return with_attempts(*attempts, **{"certificates": (), **changes})


def test_a_token_that_shows_no_certificate_is_opened_only_where_configured() -> None:
    assert verdict(closed(), FIRST) == Needs(Step.PIN, opens=TOKEN)
    assert refusal(closed(), Policy()) is Reason.NO_CERTIFICATE


def test_a_token_with_certificates_is_never_opened_before_they_are_judged() -> None:
    assert verdict(with_attempts(), FIRST) == Needs(Step.PIN, account="alice", candidates=(LEAF,))
    untrusted = with_attempts().with_certificate(LEAF, mapping=None)
    needs = verdict(untrusted, FIRST)
    assert isinstance(needs, Needs)
    assert needs.step is Step.MAPPING


def test_a_candidate_on_another_token_comes_first() -> None:
    evidence = replace(closed(), card=card(token(certificates=()), token(OTHER_TOKEN)))
    evidence = evidence.with_certificate(OTHER_LEAF, **as_changes(accepted_certificate()))
    assert verdict(evidence, FIRST) == Needs(Step.PIN, account="alice", candidates=(OTHER_LEAF,))


def test_a_token_that_cannot_be_read_is_not_opened() -> None:
    assert refusal(closed(failure=Failure(Reason.TOKEN_UNREADABLE, "")), FIRST) is Reason.TOKEN_UNREADABLE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pin_state": PinState.LOCKED}, Reason.PIN_LOCKED),
        ({"pin_state": PinState.FINAL_TRY}, Reason.PIN_LAST_TRY),
        ({"protected_authentication_path": True}, Reason.PINPAD_ONLY),
        ({"login_required": False}, Reason.PIN_NOT_ASKED_FOR),
    ],
)
def test_the_rules_for_the_pin_are_the_same_there(changes: dict[str, Any], reason: Reason) -> None:
    judged = verdict(closed(**changes), FIRST)
    assert isinstance(judged, Denied)
    assert (judged.reason, judged.certificate) == (reason, None)


def test_a_wrong_pin_there_is_followed_by_another_while_prompts_are_left() -> None:
    wrong = typed(CardFailure.PIN_WRONG)
    assert verdict(closed(wrong), FIRST) == Needs(Step.PIN, opens=TOKEN, prompt=PinPrompt.AGAIN)
    assert refusal(closed(wrong, wrong), FIRST) is Reason.PIN_WRONG


def test_what_an_opened_token_shows_is_judged_and_then_it_signs_without_another_pin() -> None:
    opened = Attempt(TOKEN, Answer.ANSWERED, Opened())
    evidence = with_attempts(opened, certificates=SHOWN)
    assert verdict(evidence, FIRST) == Needs(Step.PROOF, account="alice", candidates=(LEAF,), way=PinWay.OPENED)
    proven = replace(evidence, attempts=(opened, signed(PinWay.OPENED)))
    assert verdict(proven, FIRST) == Granted("alice", LEAF)


def test_that_it_was_opened_proves_nothing() -> None:
    opened = Attempt(TOKEN, Answer.ANSWERED, Opened())
    expired = with_attempts(opened, certificates=SHOWN).with_certificate(LEAF, mapping=None)
    needs = verdict(expired, FIRST)
    assert isinstance(needs, Needs)
    assert needs.step is Step.MAPPING
    assert refusal(closed(opened), FIRST) is Reason.NO_CERTIFICATE


def test_a_failure_after_the_opening_asks_for_no_other_pin() -> None:
    opened = Attempt(TOKEN, Answer.ANSWERED, Opened())
    evidence = with_attempts(opened, typed(CardFailure.PIN_WRONG, PinWay.OPENED), certificates=SHOWN)
    assert refusal(evidence, FIRST) is Reason.PIN_WRONG


def test_only_one_token_is_opened_in_a_login() -> None:
    opened = Attempt(TOKEN, Answer.ANSWERED, Opened())
    evidence = replace(closed(opened), card=card(token(certificates=()), token(OTHER_TOKEN, certificates=())))
    assert refusal(evidence, FIRST) is Reason.NO_CERTIFICATE


# ---------------------------------------------------------------- by itself


def test_the_state_of_a_pin_can_be_judged_without_a_request() -> None:
    assert judge_pin_state(token(), Policy(), LEAF) is None
    locked = judge_pin_state(token(pin_state=PinState.LOCKED), Policy(), LEAF)
    assert locked is not None
    assert locked.reason is Reason.PIN_LOCKED
