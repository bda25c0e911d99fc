# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a PIN comes to a token: typed, stacked, on the reader or not at all; by which rules; and never twice."""

from __future__ import annotations

import hashlib
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pam_sc.card.client import PinRules, SignOrder
from pam_sc.card.sentences import NOT_RESET, NOT_TYPED, REFUSED_BEFORE
from pam_sc.decision.card_report import PinState
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay, Signed
from pam_sc.decision.proof import verify_signature
from pam_sc.errors import CardProcessLost
from pam_sc.record import replace
from tests.support.card_worker import (
    Card,
    build_hostile_module,
    calls,
    hostile,
    order_for,
    soon,
    started,
    the_token,
    write_worker,
)
from tests.support.soft_token import SoftToken, certificate_of, key_of, public_der

CHALLENGE = b"pam_sc-challenge-v1\0for a test"
PIN, WRONG, ALSO_WRONG = b"123456", b"654321", b"111111"
ECDSA = SigningChoice("CKM_ECDSA", hashlib.sha256(CHALLENGE).digest())
KEYPAD = "pinpad:123456"


class Bench:
    """One token behind the hostile module, its log, and its count of tries."""

    def __init__(self, worker: str, module: str, token: SoftToken, folder: Path) -> None:
        self.worker, self.module, self.token = worker, module, token
        self.log, self.tries = folder / "log", folder / "tries"
        self.tries.write_text("3")

    def started(self, faults: str = "") -> AbstractContextManager[Card]:
        setup = hostile(self.module, self.token, faults, self.log, HOSTILE_TRIES=str(self.tries))
        return started(self.worker, [setup])

    def logins(self) -> list[str]:
        return calls(self.log, "C_Login")

    def all_sessions_are_closed(self) -> bool:
        return len(calls(self.log, "C_OpenSession")) == len(calls(self.log, "C_CloseSession"))


def order_of(card: Card, way: PinWay = PinWay.TYPED, rules: PinRules = PinRules()) -> SignOrder:
    token = the_token(card.report())
    return replace(order_for(token, token.certificates[0], ECDSA), way=way, rules=rules)


def failure_of(outcome: object) -> CardFailure:
    assert isinstance(outcome, NotSigned), outcome
    return outcome.failure


def require_proof(outcome: object) -> None:
    assert isinstance(outcome, Signed), outcome
    assert verify_signature(public_der(key_of("P-256")), outcome.mechanism, CHALLENGE, outcome.signature) is None


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, SoftToken]:
    folder = tmp_path_factory.mktemp("pins")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    return write_worker(folder), build_hostile_module(folder), token


@pytest.fixture
def bench(kit: tuple[str, str, SoftToken], tmp_path: Path) -> Bench:
    worker, module, token = kit
    return Bench(worker, module, token.copy(tmp_path / "copy"), tmp_path)


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize("rules", [PinRules(7), PinRules(0, 5), PinRules(pattern="[a-z]+"), PinRules(pattern="[0-9]{5}")])
def test_an_answer_that_breaks_one_rule_is_not_sent(bench: Bench, rules: PinRules) -> None:
    with bench.started() as card:
        assert failure_of(card.sign(order_of(card, rules=rules), PIN)) is CardFailure.PIN_FORM
    assert bench.logins() == []
    assert bench.tries.read_text() == "3"


@pytest.mark.parametrize("rules", [PinRules(6), PinRules(0, 6), PinRules(pattern="[0-9]+"), PinRules(6, 6, "[0-9]{6}")])
def test_an_answer_that_keeps_the_rules_is_sent(bench: Bench, rules: PinRules) -> None:
    with bench.started() as card:
        require_proof(card.sign(order_of(card, rules=rules), PIN))


# ---------------------------------------------------------------- never twice


def test_a_refused_answer_is_not_sent_again_and_another_is(bench: Bench) -> None:
    with bench.started() as card:
        order = order_of(card)
        assert failure_of(card.sign(order, WRONG)) is CardFailure.PIN_WRONG_FEW_LEFT
        again = card.sign(order, WRONG)
        assert again == NotSigned(CardFailure.PIN_REPEATED, REFUSED_BEFORE)
        assert len(bench.logins()) == 1
        require_proof(card.sign(order, PIN))
    assert len(bench.logins()) == 2


def test_a_refused_answer_is_known_after_the_reader_was_read_again(bench: Bench) -> None:
    with bench.started() as card:
        assert failure_of(card.sign(order_of(card), WRONG)) is CardFailure.PIN_WRONG_FEW_LEFT
        token = the_token(card.client.report_again(soon()))
        order = order_for(token, token.certificates[0], ECDSA)
        assert failure_of(card.sign(order, WRONG)) is CardFailure.PIN_REPEATED
    assert len(bench.logins()) == 1


@pytest.mark.parametrize("way", [PinWay.TYPED, PinWay.STACKED])
def test_a_refused_answer_is_not_sent_again_in_another_way(bench: Bench, way: PinWay) -> None:
    with bench.started() as card:
        order = order_of(card)
        assert failure_of(card.sign(order, WRONG)) is CardFailure.PIN_WRONG_FEW_LEFT
        assert failure_of(card.sign(replace(order, way=way), WRONG)) is CardFailure.PIN_REPEATED
    assert len(bench.logins()) == 1


def test_each_try_tells_how_many_are_left(bench: Bench) -> None:
    """The token that was reported has all its tries; what this process told since then counts as known."""
    with bench.started() as card:
        order = order_of(card)
        assert order.token.pin_state is PinState.OK
        failures = [failure_of(card.sign(order, pin)) for pin in (WRONG, ALSO_WRONG, b"222222", PIN)]
    assert failures == [CardFailure.PIN_WRONG_FEW_LEFT, CardFailure.PIN_WRONG_ONE_LEFT, CardFailure.PIN_WRONG_NOW_LOCKED,
                        CardFailure.PIN_LOCKED]


def test_tries_that_somebody_else_used_meanwhile_are_no_consent_to_the_last(bench: Bench) -> None:
    with bench.started() as card:
        order = order_of(card)
        bench.tries.write_text("1")
        assert failure_of(card.sign(order, PIN)) is CardFailure.TOKEN_CHANGED
    assert bench.logins() == []


def test_a_token_without_a_counter_says_only_that_the_pin_is_wrong(bench: Bench) -> None:
    with bench.started("flags-clear:0x70000") as card:
        assert failure_of(card.sign(order_of(card), WRONG)) is CardFailure.PIN_WRONG


def test_the_last_try_is_used_where_the_verifier_knows_that_it_is_the_last(bench: Bench) -> None:
    bench.tries.write_text("1")
    with bench.started() as card:
        require_proof(card.sign(order_of(card), PIN))


def test_a_stacked_answer_is_never_the_last_try(bench: Bench) -> None:
    bench.tries.write_text("1")
    with bench.started() as card:
        assert failure_of(card.sign(order_of(card, PinWay.STACKED), PIN)) is CardFailure.LAST_TRY_STACKED
    assert bench.logins() == []


def test_a_stacked_answer_may_be_the_last_but_one(bench: Bench) -> None:
    bench.tries.write_text("2")
    with bench.started() as card:
        require_proof(card.sign(order_of(card, PinWay.STACKED), PIN))


# ---------------------------------------------------------------- on the reader


def test_a_pin_that_is_typed_on_the_reader_signs(bench: Bench) -> None:
    with bench.started(KEYPAD) as card:
        order = order_of(card, PinWay.PINPAD)
        assert order.token.protected_authentication_path
        require_proof(card.client.sign(order, soon()))
        card.client.end(soon())
    assert bench.logins() == ["C_Login 1 0"]
    assert len(calls(bench.log, "C_Logout")) == 1


def test_a_module_is_initialized_anew_before_the_reader_asks(bench: Bench) -> None:
    with bench.started(KEYPAD) as card:
        require_proof(card.client.sign(order_of(card, PinWay.PINPAD), soon()))
    assert len(calls(bench.log, "C_Finalize")) == 1
    assert len(calls(bench.log, "C_Initialize")) == 2


def test_a_wrong_pin_on_the_reader_is_told_and_may_be_typed_again(bench: Bench) -> None:
    with bench.started("pinpad:654321") as card:
        order = order_of(card, PinWay.PINPAD)
        assert failure_of(card.client.sign(order, soon())) is CardFailure.PIN_WRONG_FEW_LEFT
        assert failure_of(card.client.sign(order, soon())) is CardFailure.PIN_WRONG_ONE_LEFT
    assert bench.logins() == ["C_Login 1 0"] * 2


@pytest.mark.parametrize("ckr", ["0x50", "0x1"])
def test_who_cancels_on_the_reader_has_cancelled(bench: Bench, ckr: str) -> None:
    with bench.started(f"{KEYPAD},rv:C_Login:{ckr}") as card:
        assert failure_of(card.client.sign(order_of(card, PinWay.PINPAD), soon())) is CardFailure.PINPAD_CANCELLED
    assert len(bench.logins()) == 1


@pytest.mark.parametrize("ckr", ["0x50", "0x1"])
def test_a_typed_pin_is_not_cancelled_on_the_reader(bench: Bench, ckr: str) -> None:
    with bench.started(f"rv:C_Login:{ckr}") as card:
        assert failure_of(card.sign(order_of(card), PIN)) is CardFailure.LOGIN_FAILED


def test_nobody_typing_on_the_reader_costs_the_deadline(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},hang:C_Login") as card:
        order = order_of(card, PinWay.PINPAD)
        begun = time.monotonic()
        assert failure_of(card.client.sign(order, soon(1.5))) is CardFailure.PINPAD_TIMEOUT
        assert time.monotonic() - begun < 5
        with pytest.raises(CardProcessLost):
            card.client.report_again(soon())


@pytest.mark.parametrize("ckr", ["0x100", "0x104"])
def test_already_logged_in_is_a_refusal_on_the_reader(bench: Bench, ckr: str) -> None:
    with bench.started(f"{KEYPAD},rv:C_Login:{ckr}") as card:
        assert failure_of(card.client.sign(order_of(card, PinWay.PINPAD), soon())) is CardFailure.LOGIN_FAILED
    assert len(bench.logins()) == 1
    assert calls(bench.log, "C_Sign") == []


def test_a_login_on_the_reader_that_nobody_can_have_typed_is_refused_and_ended(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},verified") as card:
        outcome = card.client.sign(order_of(card, PinWay.PINPAD), soon())
        assert outcome == NotSigned(CardFailure.LOGIN_FAILED, NOT_TYPED)
    assert calls(bench.log, "C_Sign") == []
    assert len(calls(bench.log, "C_Logout")) == 1


def test_a_slot_of_hardware_that_cannot_be_reset_is_not_asked(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},slots:hardware") as card:
        outcome = card.client.sign(order_of(card, PinWay.PINPAD), soon())
        assert outcome == NotSigned(CardFailure.LOGIN_FAILED, NOT_RESET)
    assert bench.logins() == []


def test_a_slot_of_hardware_is_asked_where_opensc_resets_the_card(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},slots:hardware,opensc") as card:
        require_proof(card.client.sign(order_of(card, PinWay.PINPAD), soon()))


def test_a_reader_without_a_keypad_is_not_asked(bench: Bench) -> None:
    with bench.started() as card:
        assert failure_of(card.client.sign(order_of(card, PinWay.PINPAD), soon())) is CardFailure.TOKEN_CHANGED
    assert bench.logins() == []


def test_the_reader_is_asked_once_more_for_a_key_that_wants_it(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},always-authenticate") as card:
        require_proof(card.client.sign(order_of(card, PinWay.PINPAD), soon()))
    assert bench.logins() == ["C_Login 1 0", "C_Login 2 0"]


# ---------------------------------------------------------------- without a PIN


NO_LOGIN = "flags-clear:0x4,auto-login:123456"


def test_a_token_that_needs_no_login_signs_without_one(bench: Bench) -> None:
    with bench.started(NO_LOGIN) as card:
        order = order_of(card, PinWay.NONE)
        assert not order.token.login_required
        require_proof(card.client.sign(order, soon()))
        card.client.end(soon())
    assert bench.logins() == []
    assert bench.all_sessions_are_closed()


def test_a_token_that_wants_a_login_gets_none_without_a_pin(bench: Bench) -> None:
    with bench.started() as card:
        assert failure_of(card.client.sign(order_of(card, PinWay.NONE), soon())) is CardFailure.TOKEN_CHANGED
    assert bench.logins() == []


def test_a_key_that_wants_a_pin_for_each_signature_gets_none_where_there_is_none(bench: Bench) -> None:
    with bench.started(f"{NO_LOGIN},always-authenticate") as card:
        assert failure_of(card.client.sign(order_of(card, PinWay.NONE), soon())) is CardFailure.SIGNING_FAILED
    assert bench.logins() == []
    assert calls(bench.log, "C_Sign") == []


def test_a_loss_without_a_pin_says_that_none_was_sent(bench: Bench) -> None:
    with bench.started(f"{NO_LOGIN},crash:C_Sign") as card, pytest.raises(CardProcessLost) as lost:
        card.client.sign(order_of(card, PinWay.NONE), soon())
    assert lost.value.pin_sent is False
