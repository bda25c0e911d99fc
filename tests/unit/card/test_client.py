# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client with a card process that says what a test puts into its mouth."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pam_sc.card.client import Candidate, CardClient, ModuleSetup, SignOrder
from pam_sc.card.messages import Kind, Signature, failed_frame, outcome_frame, plain
from pam_sc.card.orders import read_sign
from pam_sc.card.sentences import NOT_SENT
from pam_sc.decision.card_report import CertificateRef, CertificateReport, TokenRef, TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.evidence import CardFailure, NotSigned, Signed
from pam_sc.errors import CardIsolationFailed, CardProcessLost, ConfigError, DeadlineExceeded, PamScError
from pam_sc.frames import CARD_PAYLOAD_MAX, Channel, Frame, encode

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
