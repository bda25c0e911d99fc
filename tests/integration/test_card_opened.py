# SPDX-License-Identifier: LGPL-2.1-or-later
"""Login first: a token is opened, shows what it hides, signs once, and is closed whatever else is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.card.client import OpenOrder, SignOrder
from pam_sc.card.sentences import NOT_OPEN
from pam_sc.decision.card_report import TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay
from pam_sc.errors import DeadlineExceeded
from pam_sc.record import replace
from tests.integration.test_card_pins import CHALLENGE, ECDSA, KEYPAD, PIN, WRONG, Bench, failure_of, require_proof
from tests.support.card_worker import Card, build_hostile_module, calls, order_for, soon, the_token, write_worker
from tests.support.soft_token import SoftToken, certificate_of, key_of


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, SoftToken]:
    folder = tmp_path_factory.mktemp("opened")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    return write_worker(folder), build_hostile_module(folder), token


@pytest.fixture
def bench(kit: tuple[str, str, SoftToken], tmp_path: Path) -> Bench:
    worker, module, token = kit
    return Bench(worker, module, token.copy(tmp_path / "copy"), tmp_path)


def opened(card: Card, *, way: PinWay = PinWay.TYPED, pin: bytes = PIN) -> TokenReport | NotSigned:
    order = OpenOrder(the_token(card.report()), way)
    if way is PinWay.TYPED:
        card.type(pin)
    return card.client.open(order, soon())


def order_for_opened(token: TokenReport | NotSigned) -> SignOrder:
    assert isinstance(token, TokenReport), token
    return replace(order_for(token, token.certificates[0], ECDSA), way=PinWay.OPENED)


@pytest.fixture
def private(bench: Bench, tmp_path: Path) -> Bench:
    """A token whose certificate shows itself after a login only."""
    bench.token = SoftToken.create(tmp_path / "private")
    bench.token.add(key_of("P-256"), certificate_of(key_of("P-256")), private_certificate=True)
    return bench


def test_a_token_with_private_certificates_shows_them_once_it_is_open_and_signs(private: Bench) -> None:
    with private.started() as card:
        assert the_token(card.report()).certificates == ()
        card.type(PIN)
        token = card.client.open(OpenOrder(the_token(card.client.report_again(soon()))), soon())
        require_proof(card.client.sign(order_for_opened(token), soon()))
        card.client.end(soon())
    assert private.logins() == ["C_Login 1 6"]
    assert private.all_sessions_are_closed()
    assert len(calls(private.log, "C_Logout")) == 1


def test_a_token_without_its_certificates_signs_for_none(private: Bench) -> None:
    with private.started() as card:
        token = opened(card)
        order = order_for_opened(token)
        again = the_token(card.client.report_again(soon()))
        assert again.certificates == ()
        assert failure_of(card.sign(replace(order, way=PinWay.TYPED), PIN)) is CardFailure.TOKEN_CHANGED
    assert len(private.logins()) == 1


@pytest.mark.parametrize(("pin", "failure"), [(WRONG, CardFailure.PIN_WRONG_FEW_LEFT), (b"12", CardFailure.PIN_FORM)])
def test_a_token_is_not_opened_by_a_wrong_pin(bench: Bench, pin: bytes, failure: CardFailure) -> None:
    with bench.started() as card:
        token = the_token(card.report())
        card.type(pin)
        assert failure_of(card.client.open(OpenOrder(token), soon())) is failure
        sign = replace(order_for(token, token.certificates[0], ECDSA), way=PinWay.OPENED)
        assert card.client.sign(sign, soon()) == NotSigned(CardFailure.TOKEN_REMOVED, NOT_OPEN)
    assert calls(bench.log, "C_Sign") == []


def test_a_token_is_open_for_one_signature(bench: Bench) -> None:
    with bench.started() as card:
        order = order_for_opened(opened(card))
        require_proof(card.client.sign(order, soon()))
        assert failure_of(card.client.sign(order, soon())) is CardFailure.TOKEN_REMOVED


def test_what_is_asked_in_between_ends_an_open_token(bench: Bench) -> None:
    with bench.started() as card:
        order = order_for_opened(opened(card))
        card.client.report_again(soon())
        assert len(calls(bench.log, "C_Logout")) == 1
        assert failure_of(card.client.sign(order, soon())) is CardFailure.TOKEN_REMOVED


def test_a_refusal_in_an_open_token_ends_it(bench: Bench) -> None:
    with bench.started() as card:
        order = order_for_opened(opened(card))
        (candidate,) = order.candidates
        refused = replace(candidate, choices=(SigningChoice("CKM_ECDSA_SHA256", CHALLENGE),))
        outcome = card.client.sign(replace(order, candidates=(refused,)), soon())
        assert failure_of(outcome) is CardFailure.MECHANISM_REFUSED
        assert len(calls(bench.log, "C_Logout")) == 1
    assert bench.all_sessions_are_closed()


def test_an_open_token_that_is_never_used_is_ended(bench: Bench) -> None:
    with bench.started() as card:
        order_for_opened(opened(card))
        card.client.end(soon())
    assert len(calls(bench.log, "C_Logout")) == 1
    assert bench.all_sessions_are_closed()


def test_a_key_in_an_open_token_gets_the_pin_once_more(bench: Bench) -> None:
    with bench.started("always-authenticate") as card:
        require_proof(card.client.sign(order_for_opened(opened(card)), soon()))
    assert bench.logins() == ["C_Login 1 6", "C_Login 2 6"]


def test_a_token_opened_on_the_reader_asks_there_for_the_key(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},always-authenticate") as card:
        require_proof(card.client.sign(order_for_opened(opened(card, way=PinWay.PINPAD)), soon()))
    assert bench.logins() == ["C_Login 1 0", "C_Login 2 0"]


def test_a_deadline_in_an_open_token_counts_as_a_sent_pin(bench: Bench) -> None:
    with bench.started("hang:C_SignInit") as card:
        order = order_for_opened(opened(card))
        with pytest.raises(DeadlineExceeded) as late:
            card.client.sign(order, soon(0.5))
    assert late.value.pin_sent is True


def test_no_pin_is_in_what_an_open_token_leaves(bench: Bench) -> None:
    with bench.started() as card:
        outcome = opened(card, pin=b"94027351")
    assert "94027351" not in repr(outcome)
    assert "94027351" not in bench.log.read_text()
