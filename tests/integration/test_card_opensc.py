# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card process with OpenSC, pcscd and a PIV card in a virtual reader: what reaches the card, and what it keeps."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pam_sc.card.client import Changed, ChangeKind, ChangeOrder, ModuleSetup, OpenOrder, SignOrder
from pam_sc.decision.card_report import PinState, TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay, Signed
from pam_sc.decision.proof import verify_signature
from pam_sc.decision.reasons import Reason
from pam_sc.errors import DeadlineExceeded
from pam_sc.record import replace
from tests.support import namespace
from tests.support.card_worker import Card, order_for, soon, started, write_worker
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not namespace.is_available(), reason="needs root and the right to make namespaces"),
]

PIN, WRONG = b"123456", b"654321"
CHALLENGE = b"pam_sc-challenge-v1\0for a test"
KINDS = {0x9A: "p256", 0x9C: "rsa2048", 0x9D: "p384"}
ECDSA = SigningChoice("CKM_ECDSA", hashlib.sha256(CHALLENGE).digest())
VERIFY, CHANGE_PIN, UNBLOCK_PIN = 0x20, 0x24, 0x2C
NEW, PUK = b"246810", b"12345678"
UNSEEN = 1.0
"""Seconds after which pcscd has seen a removal: it asks the reader every 0.4 s, and there is no event to wait for."""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_worker(tmp_path_factory.mktemp("worker"))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Pcscd]:
    with Pcscd(tmp_path / "run", tmp_path / "pcscd") as made:
        yield made


def applet() -> PivApplet:
    authority = CertificateAuthority()
    return PivApplet({reference: authority.issue(key=kind) for reference, kind in KINDS.items()})


@pytest.fixture
def piv(daemon: Pcscd) -> VirtualCard:
    made = daemon.card(applet())
    made.insert()
    return made


def opensc(worker: str, daemon: Pcscd) -> AbstractContextManager[Card]:
    return started(worker, [ModuleSetup(opensc_module(), daemon.environment)])


def order_of(card: Card, object_id: bytes = b"\x01", choice: SigningChoice = ECDSA) -> SignOrder:
    """An order for the certificate with this id, on whichever slot of the card shows it."""
    for _module, _slot, token in card.report().tokens():
        for certificate in token.certificates:
            if certificate.object_id == object_id:
                return order_for(token, certificate, choice)
    raise AssertionError("no such certificate on the card")


def failure_of(outcome: Signed | Changed | NotSigned) -> CardFailure:
    assert isinstance(outcome, NotSigned), outcome
    return outcome.failure


def test_a_piv_card_signs_and_is_asked_once(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    with opensc(worker, daemon) as card:
        order = order_of(card)
        signed = card.sign(order, PIN)
    assert isinstance(signed, Signed)
    key = order.candidates[0].public_key_der
    assert verify_signature(key, signed.mechanism, CHALLENGE, signed.signature) is None
    verifications = [command for command in piv.applet.log if command.ins == VERIFY and command.data]
    assert (len(verifications), piv.applet.signatures) == (1, 1)


def test_a_key_that_wants_the_pin_for_each_signature_gets_it(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    with opensc(worker, daemon) as card:
        order = order_of(card, b"\x02", SigningChoice("CKM_SHA256_RSA_PKCS", CHALLENGE))
        signed = card.sign(order, PIN)
    assert isinstance(signed, Signed)
    assert verify_signature(order.candidates[0].public_key_der, signed.mechanism, CHALLENGE, signed.signature) is None
    assert len([command for command in piv.applet.log if command.ins == VERIFY and command.data]) == 2


def test_nothing_is_sent_to_the_card_to_end_it_but_the_killed_process_lets_pcscd_reset_it(
    worker: str, daemon: Pcscd, piv: VirtualCard,
) -> None:
    with opensc(worker, daemon) as card:
        assert isinstance(card.sign(order_of(card), PIN), Signed)
        before = len(piv.applet.log)
        card.client.end(soon())
        assert piv.applet.pin_verified
        assert len(piv.applet.log) == before
    await_unverified(piv)


def test_a_failure_after_the_login_leaves_no_verified_card(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    with opensc(worker, daemon) as card:
        outcome = card.sign(order_of(card, choice=SigningChoice("CKM_EDDSA", CHALLENGE)), PIN)
        assert failure_of(outcome) is CardFailure.MECHANISM_REFUSED
        await_unverified(piv)


def await_unverified(piv: VirtualCard) -> None:
    end = time.monotonic() + 2
    while piv.applet.pin_verified:
        assert time.monotonic() < end, "the card is still verified"
        time.sleep(0.01)  # the state of another process's card: there is no event to wait for


def test_wrong_pins_are_told_and_the_last_one_locks(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    for tries, expected in (
        (2, CardFailure.PIN_WRONG), (1, CardFailure.PIN_WRONG_ONE_LEFT), (0, CardFailure.PIN_WRONG_NOW_LOCKED),
    ):
        with opensc(worker, daemon) as card:
            assert failure_of(card.sign(order_of(card), WRONG)) is expected
        assert piv.applet.tries == tries
    with opensc(worker, daemon) as card:
        order = order_of(card)
        assert order.token.pin_state is PinState.LOCKED
        assert failure_of(card.sign(order, PIN)) is CardFailure.PIN_LOCKED


@pytest.mark.parametrize("pin", [b"12", b"123456789"])
def test_a_pin_of_the_wrong_length_costs_no_try(worker: str, daemon: Pcscd, piv: VirtualCard, pin: bytes) -> None:
    with opensc(worker, daemon) as card:
        assert failure_of(card.sign(order_of(card), pin)) is CardFailure.PIN_FORM
    assert piv.applet.tries == 3


def test_a_card_that_was_pulled_is_removed(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    with opensc(worker, daemon) as card:
        order = order_of(card)
        piv.remove()
        time.sleep(UNSEEN)
        assert failure_of(card.sign(order, PIN)) is CardFailure.TOKEN_REMOVED


def test_a_card_whose_removal_pcscd_has_not_seen_yet_gets_no_pin(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    """The card is what must not get it. OpenSC 0.23 locks itself up in C_GetTokenInfo then, so the deadline may be what
    ends it; 0.26 still answers from what it knows, and C_Login is the first call that fails."""
    with opensc(worker, daemon) as card:
        order = order_of(card)
        piv.remove()
        try:
            assert failure_of(card.sign(order, PIN, 3)) in (CardFailure.TOKEN_REMOVED, CardFailure.LOGIN_FAILED)
        except DeadlineExceeded as late:
            pin_sent = late.pin_sent
        else:
            pin_sent = False
    assert not pin_sent
    assert not any(command.ins == VERIFY and command.data for command in piv.applet.log)


@pytest.mark.parametrize("same", [True, False], ids=["the same card", "another card"])
def test_a_card_that_was_out_and_in_again_gets_no_pin(
    worker: str, daemon: Pcscd, piv: VirtualCard, same: bool,
) -> None:
    with opensc(worker, daemon) as card:
        order = order_of(card)
        piv.remove()
        time.sleep(UNSEEN)
        other = piv if same else daemon.card(applet())
        other.insert()
        assert failure_of(card.sign(order, PIN)) in (CardFailure.TOKEN_REMOVED, CardFailure.TOKEN_CHANGED)
    for one in (piv, other):
        assert not any(command.ins == VERIFY and command.data for command in one.applet.log)


def test_an_empty_reader_is_a_slot_without_a_token(worker: str, daemon: Pcscd) -> None:
    with opensc(worker, daemon) as card:
        (module,) = card.report().modules
    assert module.failure is None
    assert module.slots
    assert all(slot.token is None and slot.failure is None for slot in module.slots)


def test_a_card_service_that_is_down_is_a_reason_of_its_own(worker: str, tmp_path: Path) -> None:
    module = ModuleSetup(opensc_module(), {"PCSCLITE_CSOCK_NAME": str(tmp_path / "nothing")})
    with started(worker, [module]) as card:
        (report,) = card.report().modules
    assert report.failure is not None
    assert report.failure.reason is Reason.CARD_SERVICE_DOWN


# ---------------------------------------------------------------- login first


def test_an_opened_card_signs_without_another_pin_and_is_held_meanwhile(
    worker: str, daemon: Pcscd, piv: VirtualCard,
) -> None:
    with opensc(worker, daemon) as card:
        order = order_of(card)
        card.type(PIN)
        token = card.client.open(OpenOrder(order.token), soon())
        assert isinstance(token, TokenReport)
        assert token.certificates == order.token.certificates
        assert piv.applet.pin_verified
        signed = card.client.sign(replace(order, way=PinWay.OPENED), soon())
    assert isinstance(signed, Signed)
    assert len([command for command in piv.applet.log if command.ins == VERIFY and command.data]) == 1
    await_unverified(piv)


def test_an_opened_card_is_no_longer_verified_when_something_else_is_asked(
    worker: str, daemon: Pcscd, piv: VirtualCard,
) -> None:
    with opensc(worker, daemon) as card:
        order = order_of(card)
        card.type(PIN)
        assert isinstance(card.client.open(OpenOrder(order.token), soon()), TokenReport)
        assert card.client.report_again(soon()).tokens()
        await_unverified(piv)


# ---------------------------------------------------------------- a new PIN


def change(card: Card, kind: ChangeKind, *secrets: bytes) -> Changed | NotSigned:
    token = order_of(card).token
    card.type(*secrets)
    return card.client.change_pin(ChangeOrder(token, kind), soon())


def test_a_piv_card_gets_a_new_pin_and_is_not_left_verified(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    with opensc(worker, daemon) as card:
        assert change(card, ChangeKind.CHANGE, PIN, NEW, NEW) == Changed()
        await_unverified(piv)
        order = order_for_same_card(card)
        assert isinstance(card.sign(order, NEW), Signed)
    assert piv.applet.pin == NEW.decode()
    assert [command.ins for command in piv.applet.log].count(CHANGE_PIN) == 1


def order_for_same_card(card: Card) -> SignOrder:
    token = card.client.report_again(soon()).tokens()[0][2]
    (certificate,) = (certificate for certificate in token.certificates if certificate.object_id == b"\x01")
    return order_for(token, certificate, ECDSA)


def test_a_wrong_current_pin_of_a_piv_card_costs_one_try(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    with opensc(worker, daemon) as card:
        assert failure_of(change(card, ChangeKind.CHANGE, WRONG, NEW, NEW)) is CardFailure.PIN_WRONG
    assert (piv.applet.tries, piv.applet.pin) == (2, PIN.decode())
    assert CHANGE_PIN not in [command.ins for command in piv.applet.log]


@pytest.mark.parametrize(("secrets", "failure"), [
    ((PIN, b"123", b"123"), CardFailure.NEW_PIN_UNFIT), ((PIN, b"123456789", b"123456789"), CardFailure.NEW_PIN_UNFIT),
    ((PIN, NEW, b"246811"), CardFailure.NEW_PIN_REPEAT_DIFFERS), ((PIN, PIN, PIN), CardFailure.NEW_PIN_SAME),
])
def test_what_a_piv_card_could_not_take_is_not_sent(
    worker: str, daemon: Pcscd, piv: VirtualCard, secrets: tuple[bytes, ...], failure: CardFailure,
) -> None:
    with opensc(worker, daemon) as card:
        assert failure_of(change(card, ChangeKind.CHANGE, *secrets)) is failure
    assert not any(command.ins in (VERIFY, CHANGE_PIN) and command.data for command in piv.applet.log)


def test_a_locked_piv_card_is_unblocked_by_its_puk(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    piv.applet.tries = 0
    with opensc(worker, daemon) as card:
        assert order_of(card).token.pin_state is PinState.LOCKED
    with opensc(worker, daemon) as card:
        assert change(card, ChangeKind.UNBLOCK, PUK, NEW, NEW) == Changed()
        assert isinstance(card.sign(order_for_same_card(card), NEW), Signed)
    assert [command.ins for command in piv.applet.log].count(UNBLOCK_PIN) == 1
    await_unverified(piv)


def test_a_wrong_puk_of_a_piv_card_is_told_until_it_is_locked(worker: str, daemon: Pcscd, piv: VirtualCard) -> None:
    piv.applet.tries = 0
    with opensc(worker, daemon) as card:
        token = order_of(card).token
        failures = []
        for puk in (b"11111111", b"22222222", b"22222222", b"33333333", b"44444444"):
            card.type(puk, NEW, NEW)
            failures.append(failure_of(card.client.change_pin(ChangeOrder(token, ChangeKind.UNBLOCK), soon())))
    assert failures[:3] == [CardFailure.PUK_WRONG, CardFailure.PUK_WRONG, CardFailure.PIN_REPEATED]
    assert failures[3:] == [CardFailure.PUK_LOCKED, CardFailure.PUK_LOCKED]
    assert (piv.applet.puk_tries, piv.applet.pin) == (0, PIN.decode())


# ---------------------------------------------------------------- waiting


@pytest.fixture
def cancel() -> Iterator[int]:
    ends = os.pipe()
    yield ends[0]
    for end in ends:
        os.close(end)


def test_a_card_that_is_put_in_is_seen_and_signs(worker: str, daemon: Pcscd, cancel: int) -> None:
    made = daemon.card(applet())
    with opensc(worker, daemon) as card:
        assert card.report().tokens() == ()
        inserting = threading.Timer(1, made.insert)
        inserting.start()
        assert card.client.wait(True, soon(), cancel)
        inserting.join()
        assert isinstance(card.sign(order_for_same_card(card), PIN), Signed)


def test_a_card_that_is_put_in_between_report_and_wait_is_seen(worker: str, daemon: Pcscd, cancel: int) -> None:
    made = daemon.card(applet())
    with opensc(worker, daemon) as card:
        assert card.report().tokens() == ()
        made.insert()
        assert card.client.wait(True, soon(), cancel)
        assert card.client.report_again(soon()).tokens()


def test_a_card_that_is_pulled_is_seen(worker: str, daemon: Pcscd, piv: VirtualCard, cancel: int) -> None:
    with opensc(worker, daemon) as card:
        assert card.report().tokens()
        pulling = threading.Timer(1, piv.remove)
        pulling.start()
        assert card.client.wait(False, soon(), cancel)
        pulling.join()
        assert card.client.report_again(soon()).tokens() == ()


def test_a_card_that_was_reported_is_out_and_in_again(
    worker: str, daemon: Pcscd, piv: VirtualCard, cancel: int,
) -> None:
    def exchange() -> None:
        piv.remove()
        time.sleep(UNSEEN)
        piv.insert()

    with opensc(worker, daemon) as card:
        assert card.report().tokens()
        exchanging = threading.Timer(1, exchange)
        exchanging.start()
        assert card.client.wait(True, soon(), cancel)
        exchanging.join()


def test_an_empty_reader_is_waited_at_until_the_deadline(worker: str, daemon: Pcscd, cancel: int) -> None:
    with opensc(worker, daemon) as card:
        card.report()
        assert not card.client.wait(True, soon(2), cancel)
