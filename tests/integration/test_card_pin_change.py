# SPDX-License-Identifier: LGPL-2.1-or-later
"""A new PIN by the current one and by the PUK: what is judged before anything is sent, and what a token's no means."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pam_sc.card.client import Changed, ChangeKind, ChangeOrder, PinRules
from pam_sc.decision.card_report import PinState
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay, Signed
from pam_sc.errors import CardProcessLost
from tests.integration.test_card_pins import ECDSA, failure_of
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
from tests.support.soft_token import SoftToken, certificate_of, key_of

PIN, NEW, WRONG, PUK = b"123456", b"246810", b"654321", b"87654321"


class Bench:
    """One token behind the hostile module."""

    def __init__(self, worker: str, module: str, token: SoftToken, folder: Path) -> None:
        self.worker, self.module, self.token, self.folder = worker, module, token, folder
        self.log, self.tries = folder / "log", folder / "tries"
        self.tries.write_text("3")

    def started(self, faults: str = "") -> AbstractContextManager[Card]:
        setup = hostile(self.module, self.token, faults, self.log, HOSTILE_TRIES=str(self.tries),
                        HOSTILE_CHANGED=str(self.folder / "changed"))
        return started(self.worker, [setup])

    def change(self, *secrets: bytes, faults: str = "", kind: ChangeKind = ChangeKind.CHANGE,
               way: PinWay = PinWay.TYPED, rules: PinRules = PinRules()) -> Changed | NotSigned:
        with self.started(faults) as card:
            order = ChangeOrder(the_token(card.report()), kind, way, rules)
            card.type(*secrets)
            return card.client.change_pin(order, soon())

    def unblock(self, *secrets: bytes, faults: str = "", **more: PinWay) -> Changed | NotSigned:
        return self.change(*secrets, faults=faults, kind=ChangeKind.UNBLOCK, **more)

    def takes(self, pin: bytes) -> bool:
        """Whether the token lets somebody in with this PIN."""
        with self.started() as card:
            token = the_token(card.report())
            return isinstance(card.sign(order_for(token, token.certificates[0], ECDSA), pin), Signed)

    def count(self, function: str) -> int:
        return len(calls(self.log, function))

    def nothing_was_sent(self) -> bool:
        return not any(map(self.count, ("C_Login", "C_SetPIN", "C_InitPIN")))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, SoftToken]:
    folder = tmp_path_factory.mktemp("change")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    return write_worker(folder), build_hostile_module(folder), token


@pytest.fixture
def bench(kit: tuple[str, str, SoftToken], tmp_path: Path) -> Bench:
    worker, module, token = kit
    return Bench(worker, module, token.copy(tmp_path / "copy"), tmp_path)


# ---------------------------------------------------------------- by the current PIN


def test_the_new_pin_counts_and_the_old_one_does_not(bench: Bench) -> None:
    assert bench.change(PIN, NEW, NEW) == Changed()
    assert (calls(bench.log, "C_Login"), calls(bench.log, "C_SetPIN")) == (["C_Login 1 6"], ["C_SetPIN 6 6"])
    assert bench.count("C_Logout") == 1
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")
    assert not bench.takes(PIN)
    assert bench.takes(NEW)


@pytest.mark.parametrize(("secrets", "rules", "failure"), [
    ((PIN, NEW, b"246811"), PinRules(), CardFailure.NEW_PIN_REPEAT_DIFFERS),
    ((PIN, PIN, PIN), PinRules(), CardFailure.NEW_PIN_SAME),
    ((PIN, b"246", b"246"), PinRules(), CardFailure.NEW_PIN_UNFIT),
    ((PIN, b"2" * 256, b"2" * 256), PinRules(), CardFailure.NEW_PIN_UNFIT),
    ((PIN, NEW, NEW), PinRules(7), CardFailure.NEW_PIN_UNFIT),
    ((PIN, NEW, NEW), PinRules(0, 5), CardFailure.NEW_PIN_UNFIT),
    ((PIN, NEW, NEW), PinRules(pattern="[0-8]{5}"), CardFailure.NEW_PIN_UNFIT),
    ((PIN, b"2468\x00", b"2468\x00"), PinRules(), CardFailure.NEW_PIN_UNFIT),
    ((b"123", NEW, NEW), PinRules(), CardFailure.PIN_FORM),
])
def test_what_cannot_be_is_refused_before_anything_is_sent(
    bench: Bench, secrets: tuple[bytes, ...], rules: PinRules, failure: CardFailure,
) -> None:
    assert failure_of(bench.change(*secrets, rules=rules)) is failure
    assert bench.nothing_was_sent()


def test_the_rules_are_for_the_new_pin_alone(bench: Bench) -> None:
    assert bench.change(PIN, b"24681012", b"24681012", rules=PinRules(8, 8, "[024681]+")) == Changed()


def test_a_wrong_current_pin_costs_one_try_and_changes_nothing(bench: Bench) -> None:
    assert failure_of(bench.change(WRONG, NEW, NEW)) is CardFailure.PIN_WRONG_FEW_LEFT
    assert (bench.count("C_Login"), bench.count("C_SetPIN")) == (1, 0)
    assert bench.takes(PIN)


def test_a_refused_current_pin_is_not_sent_again(bench: Bench) -> None:
    with bench.started() as card:
        order = ChangeOrder(the_token(card.report()))
        card.type(WRONG, NEW, NEW, WRONG, NEW, NEW)
        assert failure_of(card.client.change_pin(order, soon())) is CardFailure.PIN_WRONG_FEW_LEFT
        assert failure_of(card.client.change_pin(order, soon())) is CardFailure.PIN_REPEATED
    assert bench.count("C_Login") == 1


def test_a_refused_pin_may_be_the_next_new_one(bench: Bench) -> None:
    with bench.started() as card:
        token = the_token(card.report())
        sign = order_for(token, token.certificates[0], ECDSA)
        assert failure_of(card.sign(sign, NEW)) is CardFailure.PIN_WRONG_FEW_LEFT
        card.type(PIN, NEW, NEW)
        assert card.client.change_pin(ChangeOrder(token), soon()) == Changed()
        assert isinstance(card.sign(sign, NEW), Signed)


def test_a_stacked_current_pin_is_never_the_last_try(bench: Bench) -> None:
    bench.tries.write_text("1")
    assert failure_of(bench.change(PIN, NEW, NEW, way=PinWay.STACKED)) is CardFailure.LAST_TRY_STACKED
    assert bench.nothing_was_sent()


def test_an_expired_pin_can_be_changed(bench: Bench) -> None:
    assert bench.change(PIN, NEW, NEW, faults="after:C_Login:0xa3") == Changed()
    assert bench.takes(NEW)


def test_a_pin_that_must_be_changed_no_longer_must(bench: Bench) -> None:
    with bench.started("to-be-changed") as card:
        token = the_token(card.report())
        assert token.to_be_changed
        card.type(PIN, NEW, NEW)
        assert card.client.change_pin(ChangeOrder(token), soon()) == Changed()
        assert not the_token(card.client.report_again(soon())).to_be_changed


@pytest.mark.parametrize(("faults", "failure"), [
    ("rv:C_SetPIN:0x54", CardFailure.PIN_CHANGE_UNSUPPORTED),
    ("rv:C_SetPIN:0xe2", CardFailure.PIN_CHANGE_UNSUPPORTED),
    ("rv:C_SetPIN:0xa0", CardFailure.PIN_CHANGE_FAILED),
    ("rv:C_SetPIN:0x5", CardFailure.PIN_CHANGE_FAILED),
    ("rv:C_SetPIN:0x80000001", CardFailure.PIN_CHANGE_FAILED),
    ("rv:C_SetPIN:0xa1", CardFailure.NEW_PIN_UNFIT),
    ("rv:C_SetPIN:0xa2", CardFailure.NEW_PIN_UNFIT),
    ("rv:C_SetPIN:0x1b8", CardFailure.NEW_PIN_UNFIT),
    ("rv:C_Login:0xa4", CardFailure.PIN_LOCKED),
    ("rv:C_Login:0x5", CardFailure.LOGIN_FAILED),
])
def test_a_tokens_no_is_told_and_not_tried_again(bench: Bench, faults: str, failure: CardFailure) -> None:
    assert failure_of(bench.change(PIN, NEW, NEW, faults=faults)) is failure
    assert bench.count("C_Login") == 1
    assert bench.count("C_SetPIN") <= 1
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")
    assert bench.takes(PIN)


def test_opensc_is_finalized_after_a_change(bench: Bench) -> None:
    assert bench.change(PIN, NEW, NEW, faults="opensc") == Changed()
    assert (bench.count("C_Logout"), bench.count("C_Finalize")) == (0, 1)


def test_a_process_lost_with_the_pin_says_so(bench: Bench) -> None:
    with pytest.raises(CardProcessLost) as lost:
        bench.change(PIN, NEW, NEW, faults="crash:C_SetPIN")
    assert lost.value.pin_sent is True


def test_fewer_secrets_than_three_are_a_lost_process(bench: Bench) -> None:
    with bench.started() as card:
        order = ChangeOrder(the_token(card.report()))
        card.type(PIN, NEW)
        card.process._secrets.shutdown(1)
        with pytest.raises(CardProcessLost) as lost:
            card.client.change_pin(order, soon())
    assert lost.value.pin_sent is False
    assert bench.nothing_was_sent()


def test_no_secret_is_in_the_log_or_in_what_the_client_says(bench: Bench) -> None:
    outcome = bench.change(b"94027351", b"73519402", b"73519402")
    assert not any(secret in repr(outcome) + bench.log.read_text() for secret in ("94027351", "73519402"))


# ---------------------------------------------------------------- by the PUK


def test_the_puk_sets_a_new_pin(bench: Bench) -> None:
    bench.tries.write_text("0")
    assert bench.unblock(PUK, NEW, NEW) == Changed()
    assert calls(bench.log, "C_Login") == ["C_Login 0 8"]
    assert (bench.count("C_InitPIN"), bench.count("C_SetPIN"), bench.count("C_Logout")) == (1, 0, 1)
    assert bench.takes(NEW)


def test_a_pin_that_is_locked_cannot_be_changed_by_itself(bench: Bench) -> None:
    bench.tries.write_text("0")
    assert failure_of(bench.change(PIN, NEW, NEW)) is CardFailure.PIN_LOCKED


def test_a_wrong_puk_is_told_and_not_sent_again(bench: Bench) -> None:
    with bench.started() as card:
        order = ChangeOrder(the_token(card.report()), ChangeKind.UNBLOCK)
        card.type(b"12345678", NEW, NEW, b"12345678", NEW, NEW)
        assert failure_of(card.client.change_pin(order, soon())) is CardFailure.PUK_WRONG
        assert failure_of(card.client.change_pin(order, soon())) is CardFailure.PIN_REPEATED
    assert (bench.count("C_Login"), bench.count("C_InitPIN")) == (1, 0)


@pytest.mark.parametrize(("secrets", "failure"), [
    ((PUK, NEW, b"246811"), CardFailure.NEW_PIN_REPEAT_DIFFERS),
    ((PUK, b"246", b"246"), CardFailure.NEW_PIN_UNFIT),
    ((b"8765\x00", NEW, NEW), CardFailure.PIN_FORM),
])
def test_what_cannot_be_is_refused_before_the_puk_is_sent(
    bench: Bench, secrets: tuple[bytes, ...], failure: CardFailure,
) -> None:
    assert failure_of(bench.unblock(*secrets)) is failure
    assert bench.nothing_was_sent()


@pytest.mark.parametrize(("faults", "failure"), [
    ("rv:C_Login:0xa4", CardFailure.PUK_LOCKED),
    ("rv:C_Login:0xa1", CardFailure.PUK_WRONG),
    ("rv:C_Login:0xa2", CardFailure.PIN_FORM),
    ("rv:C_Login:0x54", CardFailure.PIN_CHANGE_UNSUPPORTED),
    ("rv:C_Login:0x103", CardFailure.PIN_CHANGE_UNSUPPORTED),
    ("rv:C_Login:0x100", CardFailure.PIN_CHANGE_FAILED),
    ("rv:C_InitPIN:0x54", CardFailure.PIN_CHANGE_UNSUPPORTED),
    ("rv:C_InitPIN:0xa2", CardFailure.NEW_PIN_UNFIT),
    ("rv:C_InitPIN:0x5", CardFailure.PIN_CHANGE_FAILED),
])
def test_a_tokens_no_to_the_puk_is_told_and_not_tried_again(bench: Bench, faults: str, failure: CardFailure) -> None:
    assert failure_of(bench.unblock(PUK, NEW, NEW, faults=faults)) is failure
    assert bench.count("C_Login") == 1
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")
    assert bench.takes(PIN)


@pytest.mark.parametrize(("rv", "failure"), [
    ("0xa0", CardFailure.PUK_WRONG), ("0xa4", CardFailure.PUK_LOCKED), ("0x54", CardFailure.PIN_CHANGE_UNSUPPORTED),
])
def test_opensc_gets_puk_and_pin_in_one_call_without_a_login(bench: Bench, rv: str, failure: CardFailure) -> None:
    assert failure_of(bench.unblock(PUK, NEW, NEW, faults=f"opensc,rv:C_SetPIN:{rv}")) is failure
    assert (bench.count("C_Login"), calls(bench.log, "C_SetPIN")) == (0, ["C_SetPIN 8 6"])


# ---------------------------------------------------------------- on the reader


KEYPAD = "pinpad:123456,pinpad-new:246810"


def test_both_pins_are_typed_on_the_reader(bench: Bench) -> None:
    assert bench.change(faults=KEYPAD, way=PinWay.PINPAD) == Changed()
    assert (calls(bench.log, "C_Login"), calls(bench.log, "C_SetPIN")) == (["C_Login 1 0"], ["C_SetPIN 0 0"])
    assert bench.takes(NEW)


def test_the_puk_is_typed_on_the_reader(bench: Bench) -> None:
    assert bench.unblock(faults="pinpad:87654321,pinpad-new:246810", way=PinWay.PINPAD) == Changed()
    assert (calls(bench.log, "C_Login"), calls(bench.log, "C_InitPIN")) == (["C_Login 0 0"], ["C_InitPIN 0 0"])
    assert bench.takes(NEW)


@pytest.mark.parametrize("function", ["C_Login", "C_SetPIN"])
def test_who_cancels_on_the_reader_has_changed_nothing(bench: Bench, function: str) -> None:
    outcome = bench.change(faults=f"{KEYPAD},rv:{function}:0x50", way=PinWay.PINPAD)
    assert failure_of(outcome) is CardFailure.PINPAD_CANCELLED
    assert bench.takes(PIN)


def test_nobody_typing_the_new_pin_on_the_reader_costs_the_deadline(bench: Bench) -> None:
    with bench.started(f"{KEYPAD},hang:C_SetPIN") as card:
        order = ChangeOrder(the_token(card.report()), way=PinWay.PINPAD)
        assert failure_of(card.client.change_pin(order, soon(2))) is CardFailure.PINPAD_TIMEOUT


def test_a_token_that_was_reported_unlocked_and_is_locked_now_is_not_asked(bench: Bench) -> None:
    with bench.started() as card:
        token = the_token(card.report())
        assert token.pin_state is PinState.OK
        bench.tries.write_text("0")
        card.type(PIN, NEW, NEW)
        assert failure_of(card.client.change_pin(ChangeOrder(token), soon())) is CardFailure.PIN_LOCKED
    assert bench.nothing_was_sent()
