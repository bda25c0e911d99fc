# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dialogue of a PIN change with a card and a person that are played: what is asked, what is counted, what is ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pam_sc.card.client import Changed as CardChanged
from pam_sc.card.client import ChangeKind, ChangeOrder, PinRules
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    Failure,
    ModuleReport,
    PinState,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.possession import Answer, CardFailure, NotSigned, PinWay
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Request
from pam_sc.decision.verdict import Changed, Denied, Needs
from pam_sc.errors import CardProcessLost, DeadlineExceeded
from pam_sc.passwd import PINPAD_S, PinChange, change_found
from pam_sc.record import replace
from pam_sc.texts import Texts

TOKEN = TokenReport(ref=TokenRef(0, 1), label="Card", pin_min=4, pin_max=8)
RULES = PinRules(6, 8, "[0-9]+")


@dataclass
class Played:
    """A card, a person and a counter of wrong PINs in one; it remembers everything in order."""

    answers: list[Answer] = field(default_factory=lambda: [Answer.ANSWERED] * 3)
    outcome: CardChanged | NotSigned | Exception = field(default_factory=CardChanged)
    no_try: Failure | None = None
    waited: Answer = Answer.WAITED
    events: list[str] = field(default_factory=list)
    orders: list[ChangeOrder] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)

    def change_pin(self, order: ChangeOrder, deadline: float, cancel_fd: int | None = None) -> CardChanged | NotSigned:
        self.events.append("change" if cancel_fd is None else f"change until {cancel_fd}")
        self.orders.append(order)
        self.deadlines.append(deadline)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def ask_secret(self, prompt: str) -> Answer:
        self.events.append(prompt)
        return self.answers.pop(0)

    def wait(self, text: str, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        self.events.append(text)
        assert limit_s == PINPAD_S
        until(99.0, 5)
        return self.waited

    def look(self, token: TokenReport, *, owner: bool) -> Failure | None:
        raise AssertionError("that is judged before")

    def take(self, token: TokenReport, *, owner: bool) -> Failure | None:
        self.events.append("take" if owner else "take, not the owner")
        return self.no_try

    def give_back(self, token: TokenReport) -> None:
        self.events.append("give back")

    def clear(self, token: TokenReport) -> None:
        self.events.append("clear")

    def change(self, *, owner: bool = True) -> PinChange:
        return PinChange(
            card=self, person=self, texts=Texts(), rules=RULES, tries=self, owner=owner, deadline=lambda: 7.0,
            end_card=lambda: self.events.append("end"),
        )  # fmt: skip


CURRENT, NEW, AGAIN = "Current PIN for Card: ", "New PIN for Card: ", "New PIN for Card again: "


def test_a_change_asks_three_times_and_ends_the_card() -> None:
    played = Played()
    assert played.change().run(TOKEN) is None
    assert played.events == [CURRENT, NEW, AGAIN, "take", "change", "clear", "end"]
    assert played.orders == [ChangeOrder(TOKEN, ChangeKind.CHANGE, PinWay.TYPED, RULES)]
    assert played.deadlines == [7.0]


@pytest.mark.parametrize(("state", "first"), [
    (PinState.COUNT_LOW, "PIN for Card (only a few tries are left): "),
    (PinState.FINAL_TRY, "PIN for Card (this is the last try): "),
])
def test_a_token_that_counts_says_so_in_the_first_prompt_and_is_not_counted_here(state: PinState, first: str) -> None:
    played = Played()
    assert played.change().run(replace(TOKEN, pin_state=state)) is None
    assert played.events == [first, NEW, AGAIN, "change", "clear", "end"]


def test_a_locked_pin_is_unblocked_and_no_try_of_the_pin_is_taken() -> None:
    played = Played()
    locked = replace(TOKEN, pin_state=PinState.LOCKED)
    assert played.change().run(locked) is None
    assert played.events == ["The PIN is locked. PUK for Card: ", NEW, AGAIN, "change", "clear", "end"]
    assert played.orders[0].kind is ChangeKind.UNBLOCK


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize(("answer", "reason"), [
    (Answer.NOT_GIVEN, Reason.PIN_NOT_GIVEN), (Answer.EMPTY, Reason.PIN_EMPTY), (Answer.TOO_LONG, Reason.ANSWER_TOO_LONG),
    (Answer.FAILED, Reason.CONVERSATION_FAILED), (Answer.AGAIN, Reason.CONVERSATION_AGAIN),
    (Answer.TIMEOUT, Reason.PROMPT_TIMEOUT),
])
def test_a_dialogue_that_is_left_asks_nothing_more_and_changes_nothing(at: int, answer: Answer, reason: Reason) -> None:
    played = Played(answers=[Answer.ANSWERED] * at + [answer])
    assert played.change().run(TOKEN) == Failure(reason, "nothing was changed")
    assert played.events == [*[CURRENT, NEW, AGAIN][: at + 1], "end"]
    assert played.orders == []


@pytest.mark.parametrize(("outcome", "reason", "kept"), [
    (NotSigned(CardFailure.PIN_WRONG), Reason.PIN_WRONG, True),
    (NotSigned(CardFailure.PIN_WRONG_FEW_LEFT), Reason.PIN_WRONG_FEW_LEFT, False),
    (NotSigned(CardFailure.NEW_PIN_UNFIT), Reason.NEW_PIN_UNFIT, False),
    (NotSigned(CardFailure.NEW_PIN_REPEAT_DIFFERS), Reason.NEW_PIN_REPEAT_DIFFERS, False),
    (NotSigned(CardFailure.TOKEN_REMOVED), Reason.TOKEN_REMOVED, False),
    (CardProcessLost("it died"), Reason.CARD_PROCESS_LOST_AFTER_PIN, True),
    (DeadlineExceeded("it hangs"), Reason.CARD_TIMEOUT_AFTER_PIN, True),
])
def test_a_try_is_given_back_unless_the_token_may_have_judged_the_pin(
    outcome: NotSigned | Exception, reason: Reason, kept: bool
) -> None:
    played = Played(outcome=outcome)
    failed = played.change().run(TOKEN)
    assert failed is not None
    assert failed.reason is reason
    assert ("give back" in played.events) is not kept
    assert "clear" not in played.events
    assert played.events[-1] == "end"


def test_where_no_try_is_left_nothing_goes_to_the_card() -> None:
    used = Failure(Reason.PIN_TRIES_USED, "2 of 2")
    played = Played(no_try=used)
    assert played.change(owner=False).run(TOKEN) == used
    assert played.events == [CURRENT, NEW, AGAIN, "take, not the owner", "end"]


# ---------------------------------------------------------------- a keypad


PINPAD = replace(TOKEN, protected_authentication_path=True)
ON_THE_READER = "Please enter the current and the new PIN for Card on the keypad of the reader"


def test_on_a_keypad_nobody_is_asked_here() -> None:
    played = Played()
    assert played.change().run(PINPAD) is None
    assert played.events == [ON_THE_READER, "take", "change until 5", "clear", "end"]
    assert played.orders[0].way is PinWay.PINPAD
    assert played.deadlines == [99.0]


@pytest.mark.parametrize("waited", [Answer.NOT_GIVEN, Answer.TIMEOUT])
def test_what_the_card_has_done_counts_whatever_the_host_says_of_the_waiting(waited: Answer) -> None:
    assert Played(waited=waited).change().run(PINPAD) is None
    refused = Played(waited=waited, outcome=NotSigned(CardFailure.PINPAD_CANCELLED)).change().run(PINPAD)
    assert refused is not None
    assert refused.reason is Reason.PINPAD_CANCELLED


# ---------------------------------------------------------------- the two passes


REF = CertificateRef(TOKEN.ref, 0)
FOUND = Needs(Step.PIN, account="alice", candidates=(REF,))


def evidence(token: TokenReport = TOKEN) -> Evidence:
    slot = SlotReport(slot_id=1, token=token)
    request = Request(service="passwd", account="alice", real_uid=0, effective_uid=0, saved_uid=0)
    return Evidence(request=request, card=CardReport((ModuleReport(index=0, path="/m", slots=(slot,)),)))


@pytest.mark.parametrize("state", [PinState.OK, PinState.LOCKED])
def test_the_first_pass_asks_nothing_and_touches_no_card(state: PinState) -> None:
    token, played = replace(TOKEN, pin_state=state), Played()
    found = change_found(FOUND, evidence(token), change=played.change(), preliminary=True)
    assert found == Changed(account="alice", token=token, preliminary=True, unblocked=state is PinState.LOCKED)
    assert played.events == []


def test_the_second_pass_changes_the_pin_of_the_token_that_was_found() -> None:
    played = Played()
    found = change_found(FOUND, evidence(), change=played.change(), preliminary=False)
    assert found == Changed(account="alice", token=TOKEN, preliminary=False, unblocked=False)
    assert "change" in played.events


def test_a_change_that_failed_names_the_certificate_of_its_token() -> None:
    played = Played(outcome=NotSigned(CardFailure.PIN_WRONG, "CKR"))
    found = change_found(FOUND, evidence(), change=played.change(), preliminary=False)
    assert found == Denied(Reason.PIN_WRONG, "CKR", REF)


def test_a_token_that_was_never_reported_is_a_defect() -> None:
    found = change_found(FOUND, evidence(replace(TOKEN, ref=TokenRef(0, 2))), change=Played().change(), preliminary=False)
    assert isinstance(found, Denied)
    assert found.reason is Reason.INTERNAL_ERROR
