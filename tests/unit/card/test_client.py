# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client with a card process that says what a test puts into its mouth."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pam_sc.card.client import (
    Candidate,
    CardClient,
    Changed,
    ChangeKind,
    ChangeOrder,
    ModuleSetup,
    OpenOrder,
    PinRules,
    SignOrder,
)
from pam_sc.card.messages import Kind, Signature, failed_frame, outcome_frame, plain
from pam_sc.card.orders import read_change, read_open, read_sign, read_wait
from pam_sc.card.report_messages import frames_of_token
from pam_sc.card.sentences import NOT_SENT
from pam_sc.decision.card_report import CertificateRef, CertificateReport, Failure, TokenRef, TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay, Signed
from pam_sc.decision.reasons import Reason
from pam_sc.errors import CardIsolationFailed, CardProcessLost, ConfigError, DeadlineExceeded, PamScError
from pam_sc.frames import CARD_PAYLOAD_MAX, Channel, Frame, encode
from pam_sc.record import replace

TOKEN = TokenReport(ref=TokenRef(0, 1), label="login")
CERTIFICATE = CertificateReport(ref=CertificateRef(TokenRef(0, 1), 3), der=b"der", object_id=b"\x01")
CANDIDATE = Candidate(certificate=CERTIFICATE, public_key_der=b"spki", choices=(SigningChoice("CKM_ECDSA", b"d"),),
                      context_login=True)
ORDER = SignOrder(token=TOKEN, candidates=(CANDIDATE,))
PIN_SENT = plain(Kind.PIN_SENT)


@dataclass(frozen=True, slots=True)
class Puppet:
    """A client, and the other end of its channel."""

    client: CardClient
    end: socket.socket

    def say(self, *frames: Frame) -> None:
        self.end.sendall(b"".join(encode(frame, CARD_PAYLOAD_MAX) for frame in frames))

    def die_after(self, *frames: Frame) -> None:
        self.say(*frames)
        self.end.shutdown(socket.SHUT_WR)


def soon() -> float:
    return time.monotonic() + 5


def passed() -> float:
    return time.monotonic() - 1


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Puppet(CardClient(ours), theirs)


def test_a_signature_for_a_candidate_is_that_candidates(puppet: Puppet) -> None:
    puppet.say(PIN_SENT, outcome_frame(Signature(0, "CKM_ECDSA", b"sig")))
    assert puppet.client.sign(ORDER, soon()) == Signed(CERTIFICATE.ref, "CKM_ECDSA", b"sig")
    command = read_sign(Channel(puppet.end, CARD_PAYLOAD_MAX).receive(soon()))
    assert (command.target.label, command.target.slot_id, command.candidates[0].object_id) == ("login", 1, b"\x01")


@pytest.mark.parametrize("signature", [Signature(1, "CKM_ECDSA", b"sig"), Signature(0, "CKM_EDDSA", b"sig")])
def test_a_signature_that_nobody_asked_for_is_a_lost_process(puppet: Puppet, signature: Signature) -> None:
    puppet.say(PIN_SENT, outcome_frame(signature))
    with pytest.raises(CardProcessLost, match="nobody named"):
        puppet.client.sign(ORDER, soon())


def test_a_refusal_is_told(puppet: Puppet) -> None:
    puppet.say(outcome_frame(NotSigned(CardFailure.PIN_FORM, NOT_SENT)))
    assert puppet.client.sign(ORDER, soon()) == NotSigned(CardFailure.PIN_FORM, NOT_SENT)


def test_what_it_says_of_a_refusal_in_its_own_words_is_left_out(puppet: Puppet) -> None:
    puppet.say(outcome_frame(NotSigned(CardFailure.PIN_FORM, "the PIN is 123456")))
    assert puppet.client.sign(ORDER, soon()) == NotSigned(CardFailure.PIN_FORM, "")


@pytest.mark.parametrize(("frames", "sent"), [((), False), ((PIN_SENT,), True)])
def test_a_loss_says_whether_the_pin_was_sent(puppet: Puppet, frames: tuple[Frame, ...], sent: bool) -> None:
    puppet.die_after(*frames)
    with pytest.raises(CardProcessLost) as lost:
        puppet.client.sign(ORDER, soon())
    assert lost.value.pin_sent is sent


@pytest.mark.parametrize(("frames", "sent"), [((), False), ((PIN_SENT,), True)])
def test_a_deadline_says_whether_the_pin_was_sent(puppet: Puppet, frames: tuple[Frame, ...], sent: bool) -> None:
    puppet.say(*frames)
    with pytest.raises(DeadlineExceeded) as late:
        puppet.client.sign(ORDER, time.monotonic() + 0.05)
    assert late.value.pin_sent is sent


def test_after_a_deadline_the_card_process_can_no_longer_say_that_it_sends_the_pin(puppet: Puppet) -> None:
    """It says so before it sends one, and ends where that cannot be said: a try that is given back was none."""
    with pytest.raises(DeadlineExceeded):
        puppet.client.sign(ORDER, time.monotonic() + 0.05)
    with pytest.raises(BrokenPipeError):
        puppet.say(PIN_SENT)


@pytest.mark.parametrize(("frames", "sent"), [
    ((PIN_SENT,), True), ((PIN_SENT, outcome_frame(NotSigned(CardFailure.PIN_WRONG))), True),
    ((), False), ((outcome_frame(NotSigned(CardFailure.PIN_FORM, NOT_SENT)),), False),
])
def test_a_pin_that_went_to_the_token_as_the_time_ran_out_counts_as_sent(
    puppet: Puppet, monkeypatch: pytest.MonkeyPatch, frames: tuple[Frame, ...], sent: bool
) -> None:
    puppet.say(*frames)
    late = [DeadlineExceeded("the peer did not answer in time")]
    receive = Channel.receive

    def not_heard_in_time(self: Channel, deadline: float) -> Frame:
        if late:
            raise late.pop()
        return receive(self, deadline)

    monkeypatch.setattr(Channel, "receive", not_heard_in_time)
    with pytest.raises(DeadlineExceeded) as error:
        puppet.client.sign(ORDER, soon())
    assert error.value.pin_sent is sent


def test_a_loss_before_any_order_says_that_no_pin_was_sent(puppet: Puppet) -> None:
    puppet.client.set_up([ModuleSetup("/m.so", {})], None, soon())
    puppet.die_after()
    with pytest.raises(CardProcessLost) as lost:
        puppet.client.report(soon())
    assert lost.value.pin_sent is False


def test_a_loss_of_which_nothing_is_known_counts_as_a_sent_pin() -> None:
    assert CardProcessLost("why").pin_sent is True
    assert DeadlineExceeded("why").pin_sent is True


@pytest.mark.parametrize("frames", [
    (PIN_SENT, PIN_SENT), (plain(Kind.READY),), (plain(Kind.REPORTED),), (Frame(Kind.PIN_SENT, (b"",)),),
    (Frame(0x13, ()),), (PIN_SENT, plain(Kind.ENDED)),
])
def test_what_is_no_answer_to_an_order_is_a_lost_process(puppet: Puppet, frames: tuple[Frame, ...]) -> None:
    puppet.say(*frames)
    with pytest.raises(CardProcessLost):
        puppet.client.sign(ORDER, soon())


@pytest.mark.parametrize("noise", [
    b"\x89\1\0\0\0\0\0\0", b"\x89\0\0\0\xff\xff\xff\xff", b"\x89\0\0\0\0\0\0\4\0\0\0\xff", b"granted",
])
def test_noise_is_a_lost_process(puppet: Puppet, noise: bytes) -> None:
    puppet.end.sendall(noise)
    puppet.end.shutdown(socket.SHUT_WR)
    with pytest.raises(CardProcessLost):
        puppet.client.sign(ORDER, soon())


@pytest.mark.parametrize(("kind", "error"), [
    ("isolation", CardIsolationFailed), ("setup", CardProcessLost), ("anything", CardProcessLost),
])
def test_a_failure_to_set_up_is_told_by_its_kind(puppet: Puppet, kind: str, error: type[PamScError]) -> None:
    puppet.client.set_up([ModuleSetup("/m.so", {})], None, soon())
    puppet.die_after(failed_frame(kind, "why"))
    with pytest.raises(error, match="why") as failed:
        puppet.client.report(soon())
    assert type(failed.value) is error


def test_a_failure_is_told_though_the_process_was_gone_before_it_was_asked(puppet: Puppet) -> None:
    puppet.say(failed_frame("isolation", "why"))
    puppet.end.close()
    puppet.client.set_up([ModuleSetup("/m.so", {})], None, soon())
    with pytest.raises(CardIsolationFailed, match="why"):
        puppet.client.report(soon())


@pytest.mark.parametrize("count", [0, 17])
def test_no_module_and_too_many_modules_are_refused(puppet: Puppet, count: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot use {count} PKCS#11 modules"):
        puppet.client.set_up([ModuleSetup("/m.so", {})] * count, None, soon())


def test_a_report_before_ready_is_a_lost_process(puppet: Puppet) -> None:
    puppet.client.set_up([ModuleSetup("/m.so", {})], None, soon())
    puppet.say(plain(Kind.REPORTED))
    with pytest.raises(CardProcessLost):
        puppet.client.report(soon())


def test_a_report_has_its_deadline(puppet: Puppet) -> None:
    puppet.client.set_up([ModuleSetup("/m.so", {})], None, soon())
    with pytest.raises(DeadlineExceeded) as late:
        puppet.client.report(passed())
    assert late.value.pin_sent is False


def test_the_end_never_raises(puppet: Puppet) -> None:
    puppet.client.end(passed())
    puppet.say(plain(Kind.READY))
    puppet.client.end(soon())
    puppet.end.close()
    puppet.client.end(soon())


# ---------------------------------------------------------------- ways and rules


def received(puppet: Puppet) -> Frame:
    return Channel(puppet.end, CARD_PAYLOAD_MAX).receive(soon())


def test_way_and_rules_go_with_an_order(puppet: Puppet) -> None:
    puppet.say(outcome_frame(NotSigned(CardFailure.PIN_FORM)))
    rules = PinRules(4, 8, "[0-9]+")
    puppet.client.sign(SignOrder(TOKEN, (CANDIDATE,), PinWay.STACKED, rules), soon())
    target = read_sign(received(puppet)).target
    assert (target.way, target.rules) == (PinWay.STACKED, rules)


def test_a_loss_with_a_token_that_was_opened_before_counts_as_a_sent_pin(puppet: Puppet) -> None:
    puppet.die_after()
    with pytest.raises(CardProcessLost) as lost:
        puppet.client.sign(replace(ORDER, way=PinWay.OPENED), soon())
    assert lost.value.pin_sent is True


def test_nobody_typing_on_the_reader_is_a_refusal_and_the_process_is_of_no_more_use(puppet: Puppet) -> None:
    puppet.say(PIN_SENT)
    order = replace(ORDER, way=PinWay.PINPAD)
    assert puppet.client.sign(order, time.monotonic() + 0.05) == NotSigned(CardFailure.PINPAD_TIMEOUT)
    with pytest.raises(CardProcessLost):
        puppet.client.sign(order, soon())


@pytest.mark.parametrize("ask", ["sign", "open", "change_pin"])
def test_who_cancels_what_is_typed_on_the_reader_is_heard(puppet: Puppet, cancel: tuple[int, int], ask: str) -> None:
    orders = {"sign": ORDER, "open": OPEN, "change_pin": ChangeOrder(TOKEN)}
    puppet.say(PIN_SENT)
    cancelling = threading.Timer(0.05, os.write, [cancel[1], b"x"])
    cancelling.start()
    outcome = getattr(puppet.client, ask)(replace(orders[ask], way=PinWay.PINPAD), soon(), cancel[0])
    assert outcome == NotSigned(CardFailure.PINPAD_CANCELLED)
    with pytest.raises(CardProcessLost):
        puppet.client.report_again(soon())


def test_a_card_process_that_does_not_get_as_far_as_the_reader_is_a_deadline(puppet: Puppet) -> None:
    with pytest.raises(DeadlineExceeded) as late:
        puppet.client.sign(replace(ORDER, way=PinWay.PINPAD), time.monotonic() + 0.05)
    assert late.value.pin_sent is False


def test_the_card_process_cannot_say_that_nobody_typed(puppet: Puppet) -> None:
    puppet.say(PIN_SENT, outcome_frame(NotSigned(CardFailure.PINPAD_TIMEOUT)))
    with pytest.raises(CardProcessLost):
        puppet.client.sign(replace(ORDER, way=PinWay.PINPAD), soon())


# ---------------------------------------------------------------- opening


OPEN = OpenOrder(TOKEN)
SHOWN = replace(TOKEN, certificates=(replace(CERTIFICATE, ref=CertificateRef(TOKEN.ref, 0), label="private"),))


def test_an_opened_token_has_its_certificates(puppet: Puppet) -> None:
    puppet.say(PIN_SENT, *frames_of_token(SHOWN), plain(Kind.OPENED))
    assert puppet.client.open(OPEN, soon()) == SHOWN
    assert read_open(received(puppet)).way is PinWay.TYPED


def test_a_token_that_was_not_opened_says_why(puppet: Puppet) -> None:
    puppet.say(PIN_SENT, outcome_frame(NotSigned(CardFailure.PIN_WRONG, "C_Login: 123456")))
    assert puppet.client.open(OPEN, soon()) == NotSigned(CardFailure.PIN_WRONG, "C_Login")


def test_what_an_opened_token_says_of_a_failure_in_its_own_words_is_left_out(puppet: Puppet) -> None:
    failure = Failure(Reason.TOKEN_UNREADABLE, "the PIN is 123456")
    puppet.say(PIN_SENT, *frames_of_token(replace(SHOWN, failure=failure)), plain(Kind.OPENED))
    token = puppet.client.open(OPEN, soon())
    assert isinstance(token, TokenReport)
    assert token.failure == Failure(Reason.TOKEN_UNREADABLE, "")


@pytest.mark.parametrize("frames", [
    (PIN_SENT, *frames_of_token(replace(SHOWN, label="123456"))),
    (PIN_SENT, plain(Kind.OPENED)),
    (PIN_SENT, *frames_of_token(SHOWN), *frames_of_token(SHOWN)),
    (PIN_SENT, *frames_of_token(SHOWN), plain(Kind.REPORTED)),
    (PIN_SENT, outcome_frame(Signature(0, "CKM_ECDSA", b"sig"))),
    (PIN_SENT, tuple(frames_of_token(SHOWN))[1]),
], ids=["another token", "no token", "two tokens", "no end", "a signature", "no token, a certificate"])
def test_what_is_no_opened_token_is_a_lost_process(puppet: Puppet, frames: tuple[Frame, ...]) -> None:
    puppet.say(*frames)
    with pytest.raises(CardProcessLost) as lost:
        puppet.client.open(OPEN, soon())
    assert lost.value.pin_sent is True


# ---------------------------------------------------------------- changing


@pytest.mark.parametrize("kind", ChangeKind)
def test_a_changed_pin_is_changed(puppet: Puppet, kind: ChangeKind) -> None:
    puppet.say(PIN_SENT, plain(Kind.CHANGED))
    assert puppet.client.change_pin(ChangeOrder(TOKEN, kind), soon()) == Changed()
    assert read_change(received(puppet)).kind is kind


def test_a_pin_that_was_not_changed_says_why(puppet: Puppet) -> None:
    puppet.say(outcome_frame(NotSigned(CardFailure.NEW_PIN_SAME, NOT_SENT)))
    assert puppet.client.change_pin(ChangeOrder(TOKEN), soon()) == NotSigned(CardFailure.NEW_PIN_SAME, NOT_SENT)


@pytest.mark.parametrize("frame", [plain(Kind.ENDED), Frame(Kind.CHANGED, (b"",)), plain(Kind.OPENED)])
def test_what_is_no_answer_to_a_change_is_a_lost_process(puppet: Puppet, frame: Frame) -> None:
    puppet.say(PIN_SENT, frame)
    with pytest.raises(CardProcessLost):
        puppet.client.change_pin(ChangeOrder(TOKEN), soon())


# ---------------------------------------------------------------- waiting


@pytest.fixture
def cancel() -> Iterator[tuple[int, int]]:
    pipe = os.pipe()
    yield pipe
    for descriptor in pipe:
        os.close(descriptor)


@pytest.mark.parametrize("present", [True, False])
def test_a_wait_is_over_when_the_card_process_says_so(
    puppet: Puppet, cancel: tuple[int, int], present: bool,
) -> None:
    saying = threading.Timer(0.05, puppet.say, [plain(Kind.CAME)])
    saying.start()
    assert puppet.client.wait(present, soon(), cancel[0])
    assert read_wait(received(puppet)) is present


def test_after_a_wait_the_report_can_be_asked_for_again(puppet: Puppet, cancel: tuple[int, int]) -> None:
    puppet.say(plain(Kind.CAME), plain(Kind.REPORTED))
    assert puppet.client.wait(True, soon(), cancel[0])
    assert puppet.client.report_again(soon()).modules == ()


def test_a_wait_ends_at_its_deadline(puppet: Puppet, cancel: tuple[int, int]) -> None:
    assert not puppet.client.wait(True, time.monotonic() + 0.05, cancel[0])
    with pytest.raises(CardProcessLost):
        puppet.client.report_again(soon())


def test_a_wait_whose_deadline_has_passed_is_not_begun(puppet: Puppet, cancel: tuple[int, int]) -> None:
    assert not puppet.client.wait(True, passed(), cancel[0])


@pytest.mark.parametrize("how", ["written", "closed"])
def test_a_wait_ends_when_somebody_cancels(puppet: Puppet, how: str) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        if how == "written":
            theirs.send(b"x")
        theirs.close()
        assert not puppet.client.wait(True, soon(), ours.fileno())


def test_who_cancels_is_heard_before_the_card(puppet: Puppet, cancel: tuple[int, int]) -> None:
    puppet.say(plain(Kind.CAME))
    os.write(cancel[1], b"x")
    assert not puppet.client.wait(True, soon(), cancel[0])


@pytest.mark.parametrize("frame", [plain(Kind.ENDED), Frame(Kind.CAME, (b"",)), PIN_SENT])
def test_what_is_no_end_of_a_wait_is_a_lost_process(puppet: Puppet, cancel: tuple[int, int], frame: Frame) -> None:
    puppet.say(frame)
    with pytest.raises(CardProcessLost) as lost:
        puppet.client.wait(True, soon(), cancel[0])
    assert lost.value.pin_sent is False


def test_a_card_process_that_dies_while_it_waits_is_lost(puppet: Puppet, cancel: tuple[int, int]) -> None:
    puppet.die_after()
    with pytest.raises(CardProcessLost):
        puppet.client.wait(True, soon(), cancel[0])
