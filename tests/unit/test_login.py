# SPDX-License-Identifier: LGPL-2.1-or-later
"""The loop that gathers evidence: a whole login with a card that is played, and what happens when the card is not."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from pam_sc.card.client import OpenOrder, SignOrder
from pam_sc.config.model import Configuration, MapperSettings, ModuleSettings, TokenSettings, TrustSettings
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.challenge import CHALLENGE_PREFIX
from pam_sc.decision.policy import RevocationRules
from pam_sc.decision.possession import Answer, NotSigned, PinPrompt, Signed
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account, AccountLookup, Locality, NoSuchAccount, Request
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.errors import CardIsolationFailed, CardProcessLost, DeadlineExceeded
from pam_sc.login import Login
from pam_sc.mapping import load_mappers
from pam_sc.material import Material
from pam_sc.proving import PinEntry
from pam_sc.surroundings import Surroundings
from pam_sc.trust.anchors import load_trust
from pam_sc.trust.revocation import CaRules, RevocationSources
from tests.support.pki import CertificateAuthority, Issued

NOW = datetime.datetime.now(datetime.UTC)
TOKEN = TokenRef(0, 1)
TRUSTED = frozenset({0, os.geteuid()})


@dataclass
class PlayedCard:
    """A card with one certificate that signs whatever it is asked to, and remembers it."""

    issued: Issued
    fault: Exception | None = None
    report_fault: Exception | None = None
    orders: list[SignOrder] = field(default_factory=list)

    def report(self, deadline: float) -> CardReport:
        if self.report_fault is not None:
            raise self.report_fault
        certificate = CertificateReport(ref=CertificateRef(TOKEN, 0), der=self.issued.der, object_id=b"\1")
        token = TokenReport(ref=TOKEN, label="login", mechanisms=frozenset({"CKM_ECDSA"}), certificates=(certificate,))
        return CardReport((ModuleReport(index=0, path="/m.so", slots=(SlotReport(slot_id=1, token=token),)),))

    def open(self, order: OpenOrder, deadline: float, cancel_fd: int | None = None) -> TokenReport | NotSigned:
        raise AssertionError("nothing is to be opened")

    def sign(self, order: SignOrder, deadline: float, cancel_fd: int | None = None) -> Signed | NotSigned:
        self.orders.append(order)
        if self.fault is not None:
            raise self.fault
        candidate = order.candidates[0]
        key = self.issued.key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        der = key.sign(candidate.choices[0].data, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        r, s = utils.decode_dss_signature(der)
        return Signed(candidate.certificate.ref, "CKM_ECDSA", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


class PlayedAccounts:
    """alice, and nobody else."""

    def by_name(self, name: str) -> AccountLookup:
        return Account("alice", 4001) if name == "alice" else NoSuchAccount()

    def by_uid(self, uid: int) -> AccountLookup:
        return Account("alice", 4001) if uid == 4001 else NoSuchAccount()


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@dataclass
class Played:
    """A login that is ready to run, and what its surroundings saw."""

    login: Login
    card: PlayedCard
    events: list[str]


@pytest.fixture
def play(authority: CertificateAuthority, tmp_path: Path) -> Callable[..., Played]:
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    mapper = MapperSettings(name="cn", table={}, where="[[mapper]]")
    configuration = Configuration(
        source="test", token=TokenSettings(modules=(ModuleSettings(path="/m.so"),)),
        trust=TrustSettings(anchors=str(tmp_path / "ca.pem")), mappers=(mapper,),
    )
    material = Material(
        trust=load_trust(str(tmp_path / "ca.pem"), None, TRUSTED),
        revocation=RevocationSources(default=CaRules(rules=RevocationRules())),
        mappers=load_mappers([(mapper.name, mapper.table, mapper.where)], TRUSTED),
    )

    def make(card: PlayedCard | None = None, *, answer: Answer = Answer.ANSWERED, account: str | None = "alice",
             deadline: float = math.inf) -> Played:
        played = card or PlayedCard(authority.issue(key="p256"))
        events: list[str] = []

        def ask(_token: TokenReport, _prompt: PinPrompt) -> Answer:
            events.append("prompt")
            return answer

        entry = PinEntry(ask=ask, take_stacked=lambda: Answer.NOT_STACKED, on_pinpad=lambda *_: Answer.NOT_GIVEN)

        surroundings = Surroundings(
            card=played, pin=entry, end_card=lambda: events.append("end"), deadline=lambda: deadline, at=NOW,
            accounts=PlayedAccounts(), locality=lambda _request: Locality(False, "test"),
        )
        request = Request(service="login", account=account, real_uid=0, effective_uid=0, saved_uid=0)
        return Played(Login(request, configuration, material, surroundings), played, events)

    return make


def test_a_whole_login_is_granted_and_the_card_is_ended_before_the_verdict(play: Callable[..., Played]) -> None:
    played = play()
    assert played.login.run() == Granted("alice", CertificateRef(TOKEN, 0))
    assert played.events == ["prompt", "end"]


def test_the_card_may_name_the_account(play: Callable[..., Played]) -> None:
    assert play(account=None).login.run() == Granted("alice", CertificateRef(TOKEN, 0))


def test_each_login_has_a_challenge_of_its_own(play: Callable[..., Played]) -> None:
    seen = set()
    for _ in range(3):
        played = play()
        played.login.run()
        (challenge,) = played.login.evidence.challenges.values()
        assert challenge.startswith(CHALLENGE_PREFIX)
        seen.add(challenge)
    assert len(seen) == 3


def test_a_card_of_a_foreign_authority_is_never_asked_for_a_pin(play: Callable[..., Played]) -> None:
    played = play(PlayedCard(CertificateAuthority().issue(key="p256")))
    verdict = played.login.run()
    assert isinstance(verdict, Denied)
    assert (verdict.reason, played.events) == (Reason.UNTRUSTED, [])


def test_without_an_answer_the_card_is_not_asked_to_sign(play: Callable[..., Played]) -> None:
    played = play(answer=Answer.NOT_GIVEN)
    verdict = played.login.run()
    assert isinstance(verdict, Denied)
    assert (verdict.reason, played.card.orders) == (Reason.PIN_NOT_GIVEN, [])


@pytest.mark.parametrize(
    ("fault", "pin_sent", "reason"),
    [
        (DeadlineExceeded("slow"), True, Reason.CARD_TIMEOUT_AFTER_PIN),
        (DeadlineExceeded("slow"), False, Reason.CARD_TIMEOUT),
        (CardProcessLost("dead"), True, Reason.CARD_PROCESS_LOST_AFTER_PIN),
        (CardProcessLost("dead"), False, Reason.CARD_PROCESS_LOST),
        (CardProcessLost("dead"), None, Reason.CARD_PROCESS_LOST_AFTER_PIN),
    ],
)
def test_a_card_that_fails_at_the_signature_is_refused_and_ended(
    play: Callable[..., Played], authority: CertificateAuthority, fault: Exception, pin_sent: bool | None, reason: Reason
) -> None:
    if pin_sent is not None:
        fault.pin_sent = pin_sent  # type: ignore[attr-defined]
    played = play(PlayedCard(authority.issue(key="p256"), fault=fault))
    verdict = played.login.run()
    assert isinstance(verdict, Denied)
    assert (verdict.reason, played.events) == (reason, ["prompt", "end"])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (DeadlineExceeded("slow"), Reason.CARD_TIMEOUT),
        (CardProcessLost("dead"), Reason.CARD_PROCESS_LOST),
        (CardIsolationFailed("not confined"), Reason.ISOLATION_FAILED),
    ],
)
def test_a_card_that_reports_nothing_is_refused(
    play: Callable[..., Played], authority: CertificateAuthority, fault: Exception, reason: Reason
) -> None:
    verdict = play(PlayedCard(authority.issue(key="p256"), report_fault=fault)).login.run()
    assert isinstance(verdict, Denied)
    assert verdict.reason is reason


def test_explaining_stops_before_the_pin(play: Callable[..., Played]) -> None:
    played = play()
    verdict = played.login.run(until=Step.PIN)
    assert isinstance(verdict, Needs)
    assert (verdict.step, verdict.account, played.events) == (Step.PIN, "alice", [])


def test_certificates_are_not_checked_beyond_the_deadline(play: Callable[..., Played]) -> None:
    played = play(deadline=0.0)
    with pytest.raises(DeadlineExceeded):
        played.login.run()
    assert played.events == []
