# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 module that misbehaves at every step: what the verifier learns, and that no PIN is ever tried twice."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pam_sc.card.client import SignOrder
from pam_sc.card.constants import MAX_OBJECTS, MAX_SLOTS
from pam_sc.decision.card_report import CardReport, PinState
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.possession import CardFailure, NotSigned, Signed
from pam_sc.decision.proof import verify_signature
from pam_sc.decision.reasons import Reason
from pam_sc.errors import CardProcessLost, DeadlineExceeded
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
PIN = b"123456"
ECDSA = SigningChoice("CKM_ECDSA", hashlib.sha256(CHALLENGE).digest())
AT_REPORT = ("C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetMechanismInfo",
             "C_OpenSession", "C_FindObjectsInit", "C_FindObjects", "C_GetAttributeValue", "C_FindObjectsFinal",
             "C_CloseSession", "C_WaitForSlotEvent")
AFTER_PIN = ("C_Login", "C_SignInit", "C_Sign")


class Bench:
    """One token behind the hostile module, and its log."""

    def __init__(self, worker: str, module: str, token: SoftToken, log: Path) -> None:
        self.worker, self.module, self.token, self.log = worker, module, token, log

    def started(self, faults: str, **environment: str) -> AbstractContextManager[Card]:
        return started(self.worker, [hostile(self.module, self.token, faults, self.log, **environment)])

    def report(self, faults: str, **environment: str) -> CardReport:
        with self.started(faults, **environment) as card:
            return card.report()

    def sign(self, faults: str, *choices: SigningChoice, pin: bytes = PIN) -> Signed | NotSigned:
        with self.started(faults) as card:
            return card.sign(order_of(card, *choices), pin)

    def count(self, function: str) -> int:
        return len(calls(self.log, function))


def order_of(card: Card, *choices: SigningChoice) -> SignOrder:
    token = the_token(card.report())
    return order_for(token, token.certificates[0], *(choices or (ECDSA,)))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, SoftToken]:
    folder = tmp_path_factory.mktemp("hostile")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    return write_worker(folder), build_hostile_module(folder), token


@pytest.fixture
def bench(kit: tuple[str, str, SoftToken], tmp_path: Path) -> Bench:
    worker, module, token = kit
    return Bench(worker, module, token.copy(tmp_path / "copy"), tmp_path / "log")


def failure_of(outcome: Signed | NotSigned) -> CardFailure:
    assert isinstance(outcome, NotSigned), outcome
    return outcome.failure


def test_without_a_fault_the_hostile_module_signs(bench: Bench) -> None:
    signed = bench.sign("")
    assert isinstance(signed, Signed)
    assert verify_signature(public_der(key_of("P-256")), signed.mechanism, CHALLENGE, signed.signature) is None
    assert calls(bench.log, "C_Login") == ["C_Login 1 6"]


# ---------------------------------------------------------------- it ends, or never answers


@pytest.mark.parametrize("function", AT_REPORT)
def test_a_crash_while_reading_is_a_lost_process(bench: Bench, function: str) -> None:
    with pytest.raises(CardProcessLost) as lost:
        bench.report(f"crash:{function}")
    assert lost.value.pin_sent is False


@pytest.mark.parametrize("how", ["exit", "abort", "close-fds", "write-all-fds"])
def test_whatever_else_ends_the_process_while_reading_is_a_lost_process(bench: Bench, how: str) -> None:
    with pytest.raises(CardProcessLost):
        bench.report(f"{how}:C_GetTokenInfo")


@pytest.mark.parametrize("how", ["hang", "spin"])
@pytest.mark.parametrize("function", ["C_Initialize", "C_GetSlotList", "C_GetAttributeValue"])
def test_a_module_that_never_answers_costs_the_deadline(bench: Bench, how: str, function: str) -> None:
    with bench.started(f"{how}:{function}") as card, pytest.raises(DeadlineExceeded) as late:
        card.report(0.7)
    assert late.value.pin_sent is False


@pytest.mark.parametrize("function", AFTER_PIN)
@pytest.mark.parametrize("how", ["crash", "exit", "abort", "close-fds", "write-all-fds"])
def test_a_process_lost_after_the_pin_says_so(bench: Bench, how: str, function: str) -> None:
    with bench.started(f"{how}:{function}") as card, pytest.raises(CardProcessLost) as lost:
        card.sign(order_of(card), PIN)
    assert lost.value.pin_sent is True
    assert bench.count("C_Login") == 1


@pytest.mark.parametrize("function", AFTER_PIN)
def test_a_deadline_after_the_pin_says_so(bench: Bench, function: str) -> None:
    with bench.started(f"hang:{function}") as card:
        order = order_of(card)
        with pytest.raises(DeadlineExceeded) as late:
            card.sign(order, PIN, 2.0)
    assert late.value.pin_sent is True


@pytest.mark.parametrize("how", ["print", "steal-fds"])
def test_noise_and_theft_of_what_is_not_there_change_nothing(bench: Bench, how: str) -> None:
    assert isinstance(bench.sign(f"{how}:C_GetTokenInfo,{how}:C_Login"), Signed)


def test_the_module_sees_its_own_variables_and_no_others(bench: Bench) -> None:
    bench.report("environment")
    seen = {line.split()[0].removeprefix("variable=") for line in bench.log.read_text().splitlines() if "=" in line}
    assert seen == {"SOFTHSM2_CONF", "HOSTILE", "HOSTILE_REAL", "HOSTILE_LOG", "OPENSC_CONF"}


# ---------------------------------------------------------------- it lies while it is read


@pytest.mark.parametrize("function", ["C_Initialize", "C_GetInfo", "C_GetSlotList"])
def test_a_module_that_fails_at_once_is_unusable(bench: Bench, function: str) -> None:
    (module,) = bench.report(f"rv:{function}:0x5").modules
    assert module.failure is not None
    assert module.failure.reason is Reason.MODULE_UNUSABLE
    assert "CKR_GENERAL_ERROR" in module.failure.detail


@pytest.mark.parametrize("function", ["C_GetSlotInfo", "C_GetTokenInfo"])
def test_a_slot_that_fails_is_unreadable(bench: Bench, function: str) -> None:
    (module,) = bench.report(f"rv:{function}:0x30").modules
    assert {slot.failure.reason for slot in module.slots if slot.failure} == {Reason.TOKEN_UNREADABLE}
    assert all(slot.token is None for slot in module.slots)


@pytest.mark.parametrize("function", ["C_OpenSession", "C_FindObjectsInit", "C_FindObjects"])
def test_a_token_that_cannot_be_searched_is_unreadable(bench: Bench, function: str) -> None:
    token = the_token(bench.report(f"rv:{function}:0x30"))
    assert token.failure is not None
    assert token.failure.reason is Reason.TOKEN_UNREADABLE
    assert "CKR_DEVICE_ERROR" in token.failure.detail
    assert token.certificates == ()


def test_a_broken_slot_does_not_hide_the_token_in_the_next(bench: Bench) -> None:
    report = bench.report("slots:broken")
    broken = report.modules[0].slots[0]
    assert broken.failure is not None
    assert broken.failure.reason is Reason.TOKEN_UNREADABLE
    assert the_token(report).label == "login"


def test_of_thousands_of_slots_the_first_are_looked_at(bench: Bench) -> None:
    (module,) = bench.report("slots:4096").modules
    assert len(module.slots) == MAX_SLOTS


@pytest.mark.parametrize("fault", ["slots:grow", "slots:4611686018427387904", "objects:overflow"])
def test_counts_that_do_not_fit_end_the_process_or_stay_within_bounds(bench: Bench, fault: str) -> None:
    """PyKCS11 writes or reads past its list here, so what happens is up to the heap."""
    with bench.started(fault) as card, contextlib.suppress(CardProcessLost):
        (module,) = card.report().modules
        assert len(module.slots) <= MAX_SLOTS
        assert all(slot.token is None or len(slot.token.certificates) <= MAX_OBJECTS for slot in module.slots)


def test_an_endless_search_ends(bench: Bench) -> None:
    assert len(the_token(bench.report("objects:endless")).certificates) == MAX_OBJECTS


def test_an_absurd_length_ends_the_process(bench: Bench) -> None:
    with pytest.raises(CardProcessLost):
        bench.report("attr:huge")


@pytest.mark.parametrize(("fault", "detail"), [
    ("attr:minus", "empty"), ("attr:grow", "65537 bytes"), ("attr:small", "CKR_BUFFER_TOO_SMALL"), ("cert:empty", "empty"),
    ("rv:C_GetAttributeValue:0x11", "CKR_ATTRIBUTE_SENSITIVE"),
])
def test_a_certificate_that_cannot_be_read_says_why(bench: Bench, fault: str, detail: str) -> None:
    (certificate,) = the_token(bench.report(fault)).certificates
    assert certificate.failure is not None
    assert certificate.failure.reason is Reason.CERTIFICATE_UNREADABLE
    assert detail in certificate.failure.detail
    assert certificate.der == b""


def test_a_label_with_control_characters_comes_out_harmless(bench: Bench) -> None:
    label = the_token(bench.report("label:escape")).label
    assert label.isprintable()
    assert label.startswith("a\ufffd\ufffd[2J\ufffd\ufffd\ufffd\ufffd%n")


@pytest.mark.parametrize(("flags", "state"), [
    ("0x10000", PinState.COUNT_LOW), ("0x30000", PinState.FINAL_TRY), ("0x70000", PinState.LOCKED),
])
def test_the_pin_state_is_the_worst_that_the_token_claims(bench: Bench, flags: str, state: PinState) -> None:
    assert the_token(bench.report(f"flags:{flags}")).pin_state is state


def test_no_slot_and_no_card_service_is_a_reason_of_its_own(bench: Bench, tmp_path: Path) -> None:
    (module,) = bench.report("slots:0", PCSCLITE_CSOCK_NAME=str(tmp_path / "nothing")).modules
    assert module.failure is not None
    assert module.failure.reason is Reason.CARD_SERVICE_DOWN


def test_no_slot_with_a_card_service_is_no_reader(bench: Bench, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as service:
        service.bind(str(tmp_path / "s"))
        service.listen()
        (module,) = bench.report("slots:0", PCSCLITE_CSOCK_NAME=str(tmp_path / "s")).modules
    assert module.failure is not None
    assert module.failure.reason is Reason.NO_READER


def test_no_session_is_open_after_the_report(bench: Bench) -> None:
    bench.report("")
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession") == 1


# ---------------------------------------------------------------- the token changes before the PIN is sent


@pytest.mark.parametrize(("how", "failure"), [
    ("serial", CardFailure.TOKEN_CHANGED), ("certificate", CardFailure.TOKEN_CHANGED),
    ("event", CardFailure.TOKEN_CHANGED), ("gone", CardFailure.TOKEN_REMOVED),
    ("final-try", CardFailure.TOKEN_CHANGED), ("locked", CardFailure.PIN_LOCKED),
])
def test_a_token_that_changed_after_the_report_gets_no_pin(bench: Bench, how: str, failure: CardFailure) -> None:
    assert failure_of(bench.sign(f"swap:{how}")) is failure
    assert bench.count("C_Login") == 0
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")


# ---------------------------------------------------------------- C_Login


@pytest.mark.parametrize(("faults", "failure"), [
    ("rv:C_Login:0xa0", CardFailure.PIN_WRONG),
    ("rv:C_Login:0xa1", CardFailure.PIN_WRONG),
    ("rv:C_Login:0xa2", CardFailure.PIN_WRONG),
    ("rv:C_Login:0xa3", CardFailure.PIN_EXPIRED),
    ("rv:C_Login:0xa4", CardFailure.PIN_LOCKED),
    ("rv:C_Login:0xa0,flags-after:0x40000", CardFailure.PIN_WRONG_NOW_LOCKED),
    ("rv:C_Login:0xa0,flags-after:0x10000", CardFailure.PIN_WRONG_FEW_LEFT),
    ("rv:C_Login:0xa0,flags-after:0x30000", CardFailure.PIN_WRONG_ONE_LEFT),
    ("rv:C_Login:0xa0,flags:0x20000", CardFailure.PIN_WRONG_ONE_LEFT),
    ("rv:C_Login:0xa4,flags:0x20000", CardFailure.PIN_WRONG_NOW_LOCKED),
    ("rv:C_Login:0x5", CardFailure.LOGIN_FAILED),
    ("rv:C_Login:0x32", CardFailure.LOGIN_FAILED),
    ("rv:C_Login:0x102", CardFailure.LOGIN_FAILED),
    ("rv:C_Login:0x80000001", CardFailure.LOGIN_FAILED),
    ("rv:C_Login:0xffffffffffffffff", CardFailure.LOGIN_FAILED),
    ("after:C_Login:0xa0", CardFailure.PIN_WRONG),
])
def test_a_failed_login_is_told_and_not_repeated(bench: Bench, faults: str, failure: CardFailure) -> None:
    assert failure_of(bench.sign(faults)) is failure
    assert bench.count("C_Login") == 1
    assert bench.count("C_SignInit") == bench.count("C_Sign") == 0
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")


def test_already_logged_in_is_ended_before_the_pin_is_judged(bench: Bench) -> None:
    assert isinstance(bench.sign("already-logged-in"), Signed)
    assert (bench.count("C_Login"), bench.count("C_Logout")) == (2, 1)


def test_already_logged_in_does_not_let_a_wrong_pin_through(bench: Bench) -> None:
    assert failure_of(bench.sign("already-logged-in,flags-clear:0x70000", pin=b"654321")) is CardFailure.PIN_WRONG
    assert bench.count("C_Sign") == 0


def test_already_logged_in_for_ever_is_a_failed_login(bench: Bench) -> None:
    assert failure_of(bench.sign("rv:C_Login:0x100,rv:C_Logout:0x0")) is CardFailure.LOGIN_FAILED
    assert (bench.count("C_Login"), bench.count("C_Sign")) == (2, 0)


def test_already_logged_in_where_logging_out_fails_is_a_failed_login(bench: Bench) -> None:
    assert failure_of(bench.sign("already-logged-in,rv:C_Logout:0x5")) is CardFailure.LOGIN_FAILED
    assert bench.count("C_Login") == 1


@pytest.mark.parametrize(("lengths", "pin"), [("7:8", PIN), ("4:5", PIN), ("6:0", b"12\x003456")])
def test_a_pin_outside_the_tokens_bounds_is_not_sent(bench: Bench, lengths: str, pin: bytes) -> None:
    assert failure_of(bench.sign(f"pin-length:{lengths}", pin=pin)) is CardFailure.PIN_FORM
    assert bench.count("C_Login") == 0


@pytest.mark.parametrize("lengths", ["6:6", "8:4", "7:0", "0:0"])
def test_bounds_that_make_no_sense_do_not_count(bench: Bench, lengths: str) -> None:
    assert isinstance(bench.sign(f"pin-length:{lengths}"), Signed)


# ---------------------------------------------------------------- after the login


def test_a_key_that_wants_its_own_login_gets_the_pin_once_more_and_no_oftener(bench: Bench, tmp_path: Path) -> None:
    bench.token = SoftToken.create(tmp_path / "token")
    bench.token.add(key_of("P-256"), certificate_of(key_of("P-256")), always_authenticate=True)
    refused = SigningChoice("CKM_ECDSA_SHA256", CHALLENGE)
    assert isinstance(bench.sign("", refused, ECDSA), Signed)
    assert calls(bench.log, "C_Login") == ["C_Login 1 6", "C_Login 2 6"]


def test_a_key_that_cannot_be_searched_for_is_no_key(bench: Bench, tmp_path: Path) -> None:
    bench.token = SoftToken.create(tmp_path / "token")
    bench.token.add(None, certificate_of(key_of("P-256")))
    assert failure_of(bench.sign("")) is CardFailure.NO_PRIVATE_KEY
    assert (bench.count("C_Logout"), bench.count("C_SignInit")) == (1, 0)
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")


@pytest.mark.parametrize("ckr", ["0x54", "0x62", "0x63", "0x68", "0x70", "0x71"])
def test_every_mechanism_is_tried_while_it_is_the_mechanism_that_is_refused(bench: Bench, ckr: str) -> None:
    choices = (ECDSA, SigningChoice("CKM_ECDSA_SHA256", CHALLENGE))
    assert failure_of(bench.sign(f"rv:C_SignInit:{ckr}", *choices)) is CardFailure.MECHANISM_REFUSED
    assert (bench.count("C_SignInit"), bench.count("C_Sign"), bench.count("C_Login")) == (2, 0, 1)


@pytest.mark.parametrize("ckr", ["0x5", "0x30", "0x90", "0x101", "0x80000000"])
def test_no_other_mechanism_is_tried_where_something_else_is_wrong(bench: Bench, ckr: str) -> None:
    choices = (ECDSA, SigningChoice("CKM_ECDSA_SHA256", CHALLENGE))
    assert failure_of(bench.sign(f"rv:C_SignInit:{ckr}", *choices)) is CardFailure.SIGNING_FAILED
    assert bench.count("C_SignInit") == 1


@pytest.mark.parametrize("fault", ["rv:C_Sign:0x5", "rv:C_Sign:0x150", "after:C_Sign:0x30", "sig-len:1025"])
def test_a_failed_signature_is_final(bench: Bench, fault: str) -> None:
    choices = (ECDSA, SigningChoice("CKM_ECDSA_SHA256", CHALLENGE))
    assert failure_of(bench.sign(fault, *choices)) is CardFailure.SIGNING_FAILED
    assert (bench.count("C_SignInit"), bench.count("C_Sign"), bench.count("C_Login")) == (1, 1, 1)


@pytest.mark.parametrize("length", [str(2**62), str(2**64 - 1)])
def test_a_signature_of_absurd_length_ends_the_process(bench: Bench, length: str) -> None:
    with bench.started(f"sig-len:{length}") as card, pytest.raises(CardProcessLost) as lost:
        card.sign(order_of(card), PIN)
    assert lost.value.pin_sent is True


@pytest.mark.parametrize("fault", ["sig:zero", "sig-len:0", "sig-len:1", "sig-len:63", "sig-len:65", "sig-len:1024"])
def test_a_wrong_signature_comes_back_within_bounds_and_does_not_verify(bench: Bench, fault: str) -> None:
    signed = bench.sign(fault)
    assert isinstance(signed, Signed)
    assert len(signed.signature) <= 1024
    assert verify_signature(public_der(key_of("P-256")), signed.mechanism, CHALLENGE, signed.signature) is not None


# ---------------------------------------------------------------- the end of the verification


def test_the_end_logs_out_and_closes_the_session(bench: Bench) -> None:
    with bench.started("") as card:
        assert isinstance(card.sign(order_of(card), PIN), Signed)
        assert bench.count("C_Logout") == 0
        card.client.end(soon())
    assert bench.count("C_Logout") == 1
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession")


def test_the_end_of_opensc_is_left_to_whoever_kills_the_process(bench: Bench) -> None:
    with bench.started("opensc") as card:
        assert isinstance(card.sign(order_of(card), PIN), Signed)
        card.client.end(soon())
    assert bench.count("C_Logout") == bench.count("C_Finalize") == 0
    assert bench.count("C_OpenSession") == bench.count("C_CloseSession") + 1


def test_a_failure_after_the_login_disconnects_opensc_and_never_logs_out(bench: Bench) -> None:
    with bench.started("opensc") as card:
        order = order_of(card, SigningChoice("CKM_ECDSA_SHA256", CHALLENGE))
        assert failure_of(card.sign(order, PIN)) is CardFailure.MECHANISM_REFUSED
        assert (bench.count("C_Logout"), bench.count("C_Finalize")) == (0, 1)
        again = order_for(order.token, order.token.certificates[0], ECDSA)
        assert isinstance(card.sign(again, PIN), Signed)


def test_an_end_that_never_comes_costs_its_deadline_and_raises_nothing(bench: Bench) -> None:
    with bench.started("hang:C_Logout") as card:
        assert isinstance(card.sign(order_of(card), PIN), Signed)
        card.client.end(soon(0.5))


def test_no_pin_is_in_the_log_or_in_what_the_client_says(bench: Bench) -> None:
    outcome = bench.sign("rv:C_Login:0xa0", pin=b"94027351")
    assert "94027351" not in repr(outcome)
    assert "94027351" not in bench.log.read_text()
