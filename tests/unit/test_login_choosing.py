# SPDX-License-Identifier: LGPL-2.1-or-later
"""The loop that gathers evidence, where a card is waited for, a person is asked, and a session is unlocked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from pam_sc.card.client import OpenOrder, SignOrder
from pam_sc.config.model import (
    Configuration,
    MapperSettings,
    ModuleSettings,
    PromptSettings,
    TokenSettings,
    TrustSettings,
)
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.choosing import Offer
from pam_sc.decision.policy import RevocationRules, UnlockRules
from pam_sc.decision.possession import Answer, NotSigned, Signed
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account, AccountLookup, Locality, NoSuchAccount, Request
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.errors import CardProcessLost, DeadlineExceeded
from pam_sc.login import Login
from pam_sc.mapping import load_mappers
from pam_sc.material import Material
from pam_sc.proving import PinEntry
from pam_sc.record import replace
from pam_sc.session import SessionCard
from pam_sc.surroundings import Surroundings
from pam_sc.texts import Text
from pam_sc.trust.anchors import load_trust
from pam_sc.trust.revocation import CaRules, RevocationSources
from tests.support.pki import CertificateAuthority, Issued
from tests.unit.test_login import NOW, TRUSTED

EMPTY = CardReport((ModuleReport(index=0, path="/m.so", slots=(SlotReport(slot_id=1),)),))


def reader(*tokens: TokenReport) -> CardReport:
    slots = tuple(SlotReport(slot_id=token.ref.slot_id, token=token) for token in tokens)
    return CardReport((ModuleReport(index=0, path="/m.so", slots=slots),))


def token(*issued: Issued, slot: int = 1, label: str = "login") -> TokenReport:
    ref = TokenRef(0, slot)
    reports = tuple(CertificateReport(ref=CertificateRef(ref, at), der=one.der) for at, one in enumerate(issued))
    return TokenReport(ref=ref, label=label, serial="1", mechanisms=frozenset({"CKM_ECDSA"}), certificates=reports)


@dataclass
class Reader:
    """A reader that shows one report after another and signs with the keys of these certificates."""

    reports: list[CardReport]
    issued: Sequence[Issued]
    orders: list[SignOrder] = field(default_factory=list)

    def report(self, deadline: float) -> CardReport:
        return self.reports.pop(0)

    def report_again(self, deadline: float) -> CardReport:
        return self.reports.pop(0)

    def open(self, order: OpenOrder, deadline: float, cancel_fd: int | None = None) -> TokenReport | NotSigned:
        raise AssertionError("nothing is to be opened")

    def sign(self, order: SignOrder, deadline: float, cancel_fd: int | None = None) -> Signed | NotSigned:
        self.orders.append(order)
        candidate = order.candidates[0]
        key = next(one.key for one in self.issued if one.der == candidate.certificate.der)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        r, s = utils.decode_dss_signature(key.sign(candidate.choices[0].data, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
        return Signed(candidate.certificate.ref, "CKM_ECDSA", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


class People:
    """alice and bob."""

    def by_name(self, name: str) -> AccountLookup:
        return {"alice": Account("alice", 4001), "bob": Account("bob", 4002)}.get(name, NoSuchAccount())

    def by_uid(self, uid: int) -> AccountLookup:
        return NoSuchAccount()


@dataclass
class Site:
    """A CA that is trusted, and everything that happens to whoever logs in."""

    authority: CertificateAuthority
    configuration: Configuration
    material: Material
    prompts: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    questions: list[tuple[Text, list[Offer]]] = field(default_factory=list)

    def card(self, account: str = "alice") -> Issued:
        return self.authority.issue(common_name=account, key="p256")

    def login(
        self, reports: Sequence[CardReport], issued: Sequence[Issued], *, account: str | None = "alice", service: str = "login",
        waited: Sequence[Answer | Exception] | None = None, choice: str | None = None,
        cards: Sequence[SessionCard] = (), first_pass: bool = False,
    ) -> Login:
        """A login in which the waits end like this, and a choice is answered with this key."""
        ends = None if waited is None else list(waited)

        def wait(wanted: str) -> Answer:
            assert ends is not None
            self.waits.append(wanted)
            end = ends.pop(0)
            if isinstance(end, Exception):
                raise end
            return end

        def choose(question: Text, offers: Sequence[Offer]) -> tuple[Answer, str]:
            self.questions.append((question, list(offers)))
            return Answer.ANSWERED, choice or ""

        def ask(of: TokenReport, _prompt: object) -> Answer:
            self.prompts.append(of.label)
            return Answer.ANSWERED

        entry = PinEntry(ask=ask, take_stacked=lambda: Answer.ANSWERED, on_pinpad=lambda *_: Answer.NOT_GIVEN)
        surroundings = Surroundings(
            card=Reader(list(reports), issued), pin=entry, end_card=lambda: None, deadline=lambda: math.inf, at=NOW,
            accounts=People(), locality=lambda _request: Locality(False, "test"),
            wait=None if ends is None else wait, choose=None if choice is None else choose,
            session_cards=lambda uid: tuple(card for card in cards if card.uid == uid),
        )
        request = Request(
            service=service, account=account, real_uid=0, effective_uid=0, saved_uid=0, use_first_pass=first_pass
        )
        return Login(request, self.configuration, self.material, surroundings)


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def site(authority: CertificateAuthority, tmp_path: Path) -> Site:
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    configuration = Configuration(
        source="test", token=TokenSettings(modules=(ModuleSettings(path="/m.so"),)),
        trust=TrustSettings(anchors=str(tmp_path / "ca.pem")), wait_s=30, prompt=PromptSettings(choose=True),
        mappers=(MapperSettings(name="cn", table={}, where="[[mapper]]"),),
    )
    material = Material(
        trust=load_trust(str(tmp_path / "ca.pem"), None, TRUSTED),
        revocation=RevocationSources(default=CaRules(rules=RevocationRules())),
        mappers=load_mappers([("cn", {}, "[[mapper]]")], TRUSTED),
    )
    return Site(authority, configuration, material)


def reason(login: Login) -> Reason:
    verdict = login.run()
    assert isinstance(verdict, Denied)
    return verdict.reason


# ---------------------------------------------------------------- waiting


def test_a_card_that_comes_while_it_is_waited_for_is_used(site: Site) -> None:
    issued = site.card()
    login = site.login([EMPTY, reader(token(issued))], [issued], waited=[Answer.WAITED])
    assert login.run() == Granted("alice", CertificateRef(TokenRef(0, 1), 0))
    assert (site.waits, site.prompts) == ([""], ["login"])


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (Answer.TIMEOUT, Reason.NO_CARD), (Answer.NOT_GIVEN, Reason.WAIT_CANCELLED),
        (CardProcessLost("gone"), Reason.CARD_PROCESS_LOST), (DeadlineExceeded("slow"), Reason.CARD_TIMEOUT),
    ],
    ids=str,
)
def test_a_wait_that_ends_without_a_card_is_refused(site: Site, end: Answer | Exception, expected: Reason) -> None:
    assert reason(site.login([EMPTY], [], waited=[end])) is expected
    assert site.prompts == []


def test_a_card_that_is_gone_again_is_waited_for_once_more(site: Site) -> None:
    login = site.login([EMPTY, EMPTY], [], waited=[Answer.WAITED, Answer.TIMEOUT])
    assert reason(login) is Reason.NO_CARD
    assert site.waits == ["", ""]


def test_where_nobody_can_wait_the_refusal_comes_at_once(site: Site) -> None:
    assert reason(site.login([EMPTY], [])) is Reason.NO_CARD


def test_what_was_known_of_a_certificate_is_not_believed_of_the_next_card(site: Site) -> None:
    mine, foreign = site.card(), CertificateAuthority().issue(common_name="alice", key="p256")
    login = site.login([reader(token(mine)), reader(token(foreign))], [mine, foreign])
    assert isinstance(login.run(until=Step.PIN), Needs)
    login.read_card()
    assert reason(login) is Reason.UNTRUSTED


# ---------------------------------------------------------------- choosing


def two(site: Site) -> tuple[CardReport, list[Issued]]:
    first, second = site.card(), site.card()
    return reader(token(first, label="One"), token(second, slot=2, label="Two")), [first, second]


@pytest.mark.parametrize(("choice", "label", "slot"), [("1", "One", 1), ("2", "Two", 2)])
def test_the_token_that_is_chosen_is_the_one_that_is_used(site: Site, choice: str, label: str, slot: int) -> None:
    report, issued = two(site)
    assert site.login([report], issued, choice=choice).run() == Granted("alice", CertificateRef(TokenRef(0, slot), 0))
    assert site.prompts == [label]
    ((question, offers),) = site.questions
    assert (question, [offer.key for offer in offers], [offer.name for offer in offers]) == (
        Text.CHOOSE_TOKEN, ["1", "2"], ["One", "Two"],
    )  # fmt: skip
    assert all("alice" in offer.subject and offer.issuer and offer.date for offer in offers)


def test_another_answer_chooses_nothing_and_no_pin_is_asked_for(site: Site) -> None:
    report, issued = two(site)
    assert reason(site.login([report], issued, choice="")) is Reason.CHOICE_NOT_MADE
    assert (len(site.questions), site.prompts) == (1, [])


def test_one_token_is_taken_without_a_question(site: Site) -> None:
    issued = site.card()
    assert isinstance(site.login([reader(token(issued))], [issued], choice="1").run(), Granted)
    assert site.questions == []


@pytest.mark.parametrize("first_pass", [False, True])
def test_where_nobody_may_be_asked_the_first_token_is_taken(site: Site, first_pass: bool) -> None:
    report, issued = two(site)
    login = site.login([report], issued, choice="2" if first_pass else None, first_pass=first_pass)
    assert login.run() == Granted("alice", CertificateRef(TokenRef(0, 1), 0))
    assert site.questions == []


@pytest.mark.parametrize("account", ["alice", "bob"])
def test_the_account_that_is_chosen_is_the_one_that_is_granted(site: Site, account: str) -> None:
    issued = [site.card("alice"), site.card("bob")]
    verdict = site.login([reader(token(*issued))], issued, account=None, choice=account).run()
    assert isinstance(verdict, Granted)
    assert (verdict.account, [text for text, _offers in site.questions]) == (account, [Text.CHOOSE_ACCOUNT])


def test_an_explanation_stops_before_anybody_is_asked(site: Site) -> None:
    report, issued = two(site)
    verdict = site.login([report], issued, choice="1").run(until=Step.CANDIDATES)
    assert isinstance(verdict, Needs)
    assert (verdict.step, verdict.account, site.questions) == (Step.CANDIDATES, "alice", [])


# ---------------------------------------------------------------- unlocking


def opened_with(issued: Issued, **changes: object) -> SessionCard:
    card = SessionCard(
        uid=4001, account="alice", service="gdm-smartcard", label="login", serial="1", manufacturer="", model="",
        certificate_sha256=hashlib.sha256(issued.der).hexdigest(),
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def unlocking(site: Site) -> Site:
    site.configuration = replace(site.configuration, unlock=UnlockRules(same_card=True))
    return site


def test_the_card_of_the_session_unlocks_it_with_a_challenge_that_says_so(site: Site) -> None:
    issued = site.card()
    login = unlocking(site).login([reader(token(issued))], [issued], service="swaylock", cards=[opened_with(issued)])
    assert isinstance(login.run(), Granted)
    (challenge,) = login.evidence.challenges.values()
    assert b"unlock" in challenge


def test_a_login_is_no_unlocking(site: Site) -> None:
    issued = site.card()
    login = unlocking(site).login([reader(token(issued))], [issued], cards=[opened_with(site.card())])
    assert isinstance(login.run(), Granted)
    (challenge,) = login.evidence.challenges.values()
    assert b"unlock" not in challenge


def test_another_card_of_the_same_account_and_label_is_refused_and_the_right_one_waited_for(site: Site) -> None:
    right, other = site.card(), site.card()
    reports = [reader(token(other)), reader(token(right))]
    login = unlocking(site).login(
        reports, [right], service="swaylock", cards=[opened_with(right)], waited=[Answer.WAITED]
    )
    assert isinstance(login.run(), Granted)
    assert site.waits == ["login"]
    refused = site.login(reports[:1], [], service="swaylock", cards=[opened_with(right)])
    assert (reason(refused), site.prompts) == (Reason.OTHER_CARD_THAN_LOGIN, ["login"])


def test_cards_of_another_account_do_not_count(site: Site) -> None:
    issued = site.card()
    strict = replace(site.configuration, unlock=UnlockRules(same_card=True, otherwise=UnlockRules().otherwise.REFUSE))
    site.configuration = strict
    cards = [opened_with(issued, uid=4002)]
    assert reason(site.login([reader(token(issued))], [issued], service="swaylock", cards=cards)) is Reason.NO_CARD_LOGIN
