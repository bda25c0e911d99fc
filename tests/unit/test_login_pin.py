# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps 9 and 10 as they are gathered: which way the PIN takes, what is counted, when the card is ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pam_sc.card.client import OpenOrder, PinRules, SignOrder
from pam_sc.config.model import (
    Configuration,
    MapperSettings,
    ModuleSettings,
    PinSettings,
    TokenSettings,
    TrustSettings,
)
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    ModuleReport,
    PinState,
    SlotReport,
    TokenReport,
)
from pam_sc.decision.policy import RevocationRules
from pam_sc.decision.possession import Answer, CardFailure, NotSigned, PinPrompt, Signed
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Locality, Request
from pam_sc.decision.verdict import Denied, Granted
from pam_sc.errors import CardProcessLost, DeadlineExceeded
from pam_sc.login import Login
from pam_sc.mapping import load_mappers
from pam_sc.material import Material
from pam_sc.proving import PinEntry
from pam_sc.record import replace
from pam_sc.surroundings import Surroundings
from pam_sc.tries import CountedTries, UncountedTries
from pam_sc.trust.anchors import load_trust
from pam_sc.trust.revocation import CaRules, RevocationSources
from tests.support.pki import CertificateAuthority
from tests.unit.test_login import NOW, TOKEN, TRUSTED, PlayedAccounts, PlayedCard

RIGHT = Signed
FEW, WRONG, FORM = CardFailure.PIN_WRONG_FEW_LEFT, CardFailure.PIN_WRONG, CardFailure.PIN_FORM


@dataclass
class ScriptedCard(PlayedCard):
    """A card that answers as it is told, and then signs; `hidden`: it shows its certificate only when it is open."""

    outcomes: list[CardFailure | Exception] = field(default_factory=list)
    token: dict[str, Any] = field(default_factory=dict)
    hidden: bool = False
    events: list[str] = field(default_factory=list)
    opened: list[OpenOrder] = field(default_factory=list)

    def report(self, deadline: float) -> CardReport:
        (module,) = super().report(deadline).modules
        (slot,) = module.slots
        assert slot.token is not None
        token = replace(slot.token, **self.token, **({"certificates": ()} if self.hidden else {}))
        return CardReport((ModuleReport(index=0, path="/m.so", slots=(SlotReport(slot_id=1, token=token),)),))

    def _next(self) -> NotSigned | None:
        if not self.outcomes:
            return None
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return NotSigned(outcome)

    def open(self, order: OpenOrder, deadline: float, cancel_fd: int | None = None) -> TokenReport | NotSigned:
        self.events.append(f"open {order.way.value}")
        self.opened.append(order)
        certificate = CertificateReport(ref=CertificateRef(TOKEN, 0), der=self.issued.der)
        return self._next() or replace(order.token, certificates=(certificate,), login_required=False)

    def sign(self, order: SignOrder, deadline: float, cancel_fd: int | None = None) -> Signed | NotSigned:
        self.events.append(f"sign {order.way.value}")
        failed = self._next()
        if failed is not None:
            self.orders.append(order)
        return failed or super().sign(order, deadline, cancel_fd)


@dataclass
class Played:
    """A login that is ready to run, and what happened in it."""

    login: Login
    card: ScriptedCard
    events: list[str]

    def reason(self) -> Reason | None:
        verdict = self.login.run()
        assert isinstance(verdict, Denied | Granted), verdict
        return verdict.reason if isinstance(verdict, Denied) else None

    @property
    def sent(self) -> int:
        """How often the card was asked to look at a PIN."""
        return sum(event.startswith(("sign", "open")) and not event.endswith("opened") for event in self.events)


Play = Callable[..., Played]


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def play(authority: CertificateAuthority, tmp_path: Path) -> Play:
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    mapper = MapperSettings(name="cn", table={}, where="[[mapper]]")
    material = Material(
        trust=load_trust(str(tmp_path / "ca.pem"), None, TRUSTED),
        revocation=RevocationSources(default=CaRules(rules=RevocationRules())),
        mappers=load_mappers([(mapper.name, mapper.table, mapper.where)], TRUSTED),
    )

    def make(
        *outcomes: CardFailure | Exception, answer: Answer = Answer.ANSWERED, stacked: Answer = Answer.ANSWERED,
        pinpad: Answer = Answer.WAITED, pin: dict[str, Any] | None = None, login_first: bool = False,
        tries: CountedTries | UncountedTries | None = None, hidden: bool = False, uid: int = 0,
        request: dict[str, Any] | None = None, **token: Any,
    ) -> Played:
        card = ScriptedCard(authority.issue(key="p256"), outcomes=list(outcomes), token=token, hidden=hidden)
        events = card.events

        def ask(_token: TokenReport, prompt: PinPrompt) -> Answer:
            events.append(f"ask {prompt.value}")
            return answer

        def take_stacked() -> Answer:
            events.append("stacked")
            return stacked

        def on_pinpad(_token: TokenReport, until: Callable[[float, int], bool], limit_s: float) -> Answer:
            events.append(f"pinpad {limit_s:.0f}")
            until(math.inf, -1)
            return pinpad

        configuration = Configuration(
            source="test", trust=TrustSettings(anchors=str(tmp_path / "ca.pem")), mappers=(mapper,),
            token=TokenSettings(modules=(ModuleSettings(path="/m.so"),), login_first=login_first),
            pin=PinSettings(**(pin or {})),
        )
        surroundings = Surroundings(
            card=card, pin=PinEntry(ask=ask, take_stacked=take_stacked, on_pinpad=on_pinpad),
            end_card=lambda: events.append("end"), deadline=lambda: math.inf, at=NOW, accounts=PlayedAccounts(),
            tries=tries or UncountedTries(), locality=lambda _request: Locality(False, "test"),
        )
        asked = Request(service="login", account="alice", real_uid=uid, effective_uid=0, saved_uid=0, **(request or {}))
        return Played(Login(asked, configuration, material, surroundings), card, events)

    return make


# ---------------------------------------------------------------- several tries, and the end of the card


def test_the_card_process_lives_between_tries_and_ends_after_the_signature(play: Play) -> None:
    played = play(WRONG, pin={"prompts": 2})
    assert played.reason() is None
    assert played.events == ["ask first", "sign typed", "ask again", "sign typed", "end"]


def test_the_card_process_ends_once_after_the_attempt_that_ends_the_login(play: Play) -> None:
    played = play(WRONG, WRONG, pin={"prompts": 2})
    assert played.reason() is Reason.PIN_WRONG
    assert played.events == ["ask first", "sign typed", "ask again", "sign typed", "end"]


def test_one_prompt_is_the_default(play: Play) -> None:
    played = play(WRONG)
    assert played.reason() is Reason.PIN_WRONG
    assert played.events == ["ask first", "sign typed", "end"]


def test_a_card_that_was_asked_once_is_ended_though_the_second_prompt_is_cancelled(play: Play) -> None:
    played = play(WRONG, pin={"prompts": 2})
    entry = played.login._prover._entry  # noqa: SLF001 - the second answer is another one
    answers = [Answer.ANSWERED, Answer.NOT_GIVEN]
    played.login._prover._entry = replace(entry, ask=lambda *_: answers.pop(0))  # noqa: SLF001
    assert played.reason() is Reason.PIN_NOT_GIVEN
    assert played.events == ["sign typed", "end"]


def test_a_card_that_no_pin_went_to_is_left_to_the_end_of_the_request(play: Play) -> None:
    played = play(answer=Answer.NOT_GIVEN)
    assert played.reason() is Reason.PIN_NOT_GIVEN
    assert played.events == ["ask first"]


def test_the_card_is_ended_though_something_breaks(play: Play) -> None:
    played = play(RuntimeError("a defect"))
    with pytest.raises(RuntimeError):
        played.login.run()
    assert played.events == ["ask first", "sign typed", "end"]


def test_the_state_that_was_seen_goes_with_the_next_order(play: Play) -> None:
    """The card process refuses a token whose state got worse since: it must know what we know."""
    played = play(CardFailure.PIN_WRONG_ONE_LEFT, pin={"prompts": 2, "allow_last_try": True})
    assert played.reason() is None
    assert [order.token.pin_state for order in played.card.orders] == [PinState.OK, PinState.FINAL_TRY]


def test_each_try_signs_a_challenge_of_its_own(play: Play) -> None:
    played = play(WRONG, pin={"prompts": 2})
    played.reason()
    assert len({order.candidates[0].choices[0].data for order in played.card.orders}) == 2


def test_the_rules_for_a_pin_go_to_the_card_process(play: Play) -> None:
    played = play(pin={"min_length": 4, "max_length": 8, "pattern": "[0-9]+"})
    played.reason()
    assert played.card.orders[0].rules == PinRules(min_length=4, max_length=8, pattern="[0-9]+")


# ---------------------------------------------------------------- the ways


def test_a_stacked_password_is_taken_and_nobody_is_asked(play: Play) -> None:
    played = play(request={"use_first_pass": True})
    assert played.reason() is None
    assert played.events == ["stacked", "sign stacked", "end"]


def test_a_stacked_password_of_no_fit_form_costs_no_prompt(play: Play) -> None:
    played = play(FORM, request={"try_first_pass": True})
    assert played.reason() is None
    assert played.events == ["stacked", "sign stacked", "ask first", "sign typed", "end"]


def test_without_a_stacked_password_the_card_is_not_asked(play: Play) -> None:
    played = play(stacked=Answer.NOT_STACKED, request={"use_first_pass": True})
    assert played.reason() is Reason.NO_STACKED_PIN
    assert played.events == ["stacked"]


def test_a_pin_on_the_reader_is_waited_for_a_minute_and_nobody_is_asked(play: Play) -> None:
    played = play(pin={"pinpad": True}, protected_authentication_path=True)
    assert played.reason() is None
    assert played.events == ["pinpad 60", "sign pinpad", "end"]


@pytest.mark.parametrize(
    ("answer", "reason"), [(Answer.NOT_GIVEN, Reason.PINPAD_CANCELLED), (Answer.TIMEOUT, Reason.PINPAD_TIMEOUT)]
)
def test_what_the_reader_says_after_the_cancel_is_no_login(play: Play, answer: Answer, reason: Reason) -> None:
    played = play(pin={"pinpad": True}, pinpad=answer, protected_authentication_path=True)
    assert played.reason() is reason
    assert played.events == ["pinpad 60", "sign pinpad", "end"]


def test_a_card_process_that_is_lost_while_somebody_types_on_the_reader_is_lost_after_the_pin(play: Play) -> None:
    played = play(CardProcessLost("gone"), pin={"pinpad": True}, protected_authentication_path=True)
    assert played.reason() is Reason.CARD_PROCESS_LOST_AFTER_PIN


def test_a_token_without_a_pin_signs_and_nobody_is_asked(play: Play) -> None:
    played = play(pin={"allow_no_pin": True}, login_required=False)
    assert played.reason() is None
    assert played.events == ["sign none", "end"]


# ---------------------------------------------------------------- a token that is opened first


def test_a_hidden_certificate_is_read_judged_and_signs_with_the_one_pin(play: Play) -> None:
    played = play(hidden=True, login_first=True)
    assert played.reason() is None
    assert played.events == ["ask first", "open typed", "sign opened", "end"]


def test_without_login_first_a_hidden_certificate_is_none(play: Play) -> None:
    played = play(hidden=True)
    assert played.reason() is Reason.NO_CERTIFICATE
    assert played.events == []


def test_a_hidden_certificate_of_a_foreign_authority_costs_the_pin_and_is_refused(play: Play) -> None:
    played = play(hidden=True, login_first=True)
    played.card.issued = CertificateAuthority().issue(key="p256")
    assert played.reason() is Reason.UNTRUSTED
    assert played.events == ["ask first", "open typed", "end"]


def test_a_wrong_pin_at_the_opening_may_be_followed_by_another(play: Play) -> None:
    played = play(WRONG, hidden=True, login_first=True, pin={"prompts": 2})
    assert played.reason() is None
    assert played.events == ["ask first", "open typed", "ask again", "open typed", "sign opened", "end"]


def test_nothing_but_certificates_of_an_opened_token_counts(play: Play) -> None:
    """The double says login_required = False once it is open; by that no login would be allowed."""
    assert play(hidden=True, login_first=True).reason() is None


def test_explaining_stops_before_the_opening(play: Play) -> None:
    played = play(hidden=True, login_first=True)
    verdict = played.login.run(until=Step.PIN)
    assert (getattr(verdict, "opens", None), played.events) == (TOKEN, [])


# ---------------------------------------------------------------- what is counted


@pytest.fixture
def tries(tmp_path: Path) -> CountedTries:
    folder = tmp_path / "tries"
    folder.mkdir(mode=0o700)
    return CountedTries("machine", 2, str(folder))


def test_after_two_wrong_pins_nobody_is_asked_any_more(play: Play, tries: CountedTries) -> None:
    assert [play(WRONG, tries=tries).reason() for _ in range(2)] == [Reason.PIN_WRONG] * 2
    third = play(tries=tries)
    assert (third.reason(), third.events) == (Reason.PIN_TRIES_USED, [])


def test_explaining_says_that_no_try_is_left(play: Play, tries: CountedTries) -> None:
    for _ in range(2):
        play(WRONG, tries=tries).reason()
    verdict = play(tries=tries).login.run(until=Step.PIN)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.PIN_TRIES_USED


def test_prompts_never_go_beyond_what_is_counted(play: Play, tries: CountedTries) -> None:
    played = play(WRONG, WRONG, WRONG, tries=tries, pin={"prompts": 3})
    assert (played.reason(), played.sent) == (Reason.PIN_WRONG, 2)
    assert play(tries=tries).reason() is Reason.PIN_TRIES_USED


def test_a_right_pin_clears_what_was_counted(play: Play, tries: CountedTries) -> None:
    assert play(WRONG, tries=tries).reason() is Reason.PIN_WRONG
    assert play(tries=tries).reason() is None
    assert [play(WRONG, tries=tries).reason() for _ in range(2)] == [Reason.PIN_WRONG] * 2


@pytest.mark.parametrize(
    "failure",
    [FEW, FORM, CardFailure.PIN_REPEATED, CardFailure.PIN_WRONG_ONE_LEFT, CardFailure.PIN_WRONG_NOW_LOCKED,
     CardFailure.TOKEN_REMOVED, CardFailure.TOKEN_CHANGED, CardFailure.NO_PRIVATE_KEY, CardFailure.PROCESS_LOST],
)  # fmt: skip
def test_what_the_token_did_not_judge_or_counts_itself_is_not_counted(
    play: Play, tries: CountedTries, failure: CardFailure
) -> None:
    for _ in range(3):
        play(failure, tries=tries).reason()
    assert play(tries=tries).reason() is None


@pytest.mark.parametrize(
    "fault", [CardFailure.LOGIN_FAILED, CardProcessLost("gone"), DeadlineExceeded("slow"), RuntimeError("a defect")]
)
def test_what_the_token_may_have_judged_stays_counted(
    play: Play, tries: CountedTries, fault: CardFailure | Exception
) -> None:
    for _ in range(2):
        played = play(fault, tries=tries)
        if isinstance(fault, RuntimeError):
            with pytest.raises(RuntimeError):
                played.login.run()
        else:
            played.reason()
    assert play(tries=tries).reason() is Reason.PIN_TRIES_USED


def test_a_token_that_shows_a_counter_is_not_counted_at_all(play: Play, tries: CountedTries) -> None:
    for _ in range(3):
        assert play(WRONG, tries=tries, pin_state=PinState.COUNT_LOW).reason() is Reason.PIN_WRONG


def test_a_cancelled_prompt_is_not_counted(play: Play, tries: CountedTries) -> None:
    for _ in range(3):
        assert play(tries=tries, answer=Answer.NOT_GIVEN).reason() is Reason.PIN_NOT_GIVEN
    assert play(tries=tries).reason() is None


def test_a_stranger_cannot_use_up_the_tries_of_the_owner(play: Play, tries: CountedTries) -> None:
    assert play(WRONG, tries=tries, uid=4002).reason() is Reason.PIN_WRONG
    stranger = play(WRONG, tries=tries, uid=4002)
    assert (stranger.reason(), stranger.events) == (Reason.PIN_TRIES_USED, [])
    assert play(tries=tries, uid=4001).reason() is None


@pytest.mark.parametrize(("uid", "hidden", "reason"), [
    (4001, False, None), (0, False, None), (4002, False, Reason.PIN_LAST_TRY), (4001, True, Reason.PIN_LAST_TRY), (0, True, None),
])
def test_the_last_try_that_the_token_shows_is_for_the_owner_too_where_it_is_allowed_at_all(
    play: Play, uid: int, hidden: bool, reason: Reason | None
) -> None:
    last: dict[str, Any] = {"pin": {"allow_last_try": True}, "pin_state": PinState.FINAL_TRY, "uid": uid}
    played = play(hidden=hidden, login_first=hidden, **last)
    assert (played.reason(), played.sent) == (reason, int(reason is None))


@pytest.mark.parametrize(("uid", "sent"), [(4001, 2), (4002, 1)])
def test_a_stranger_is_not_asked_again_for_the_last_try(play: Play, uid: int, sent: int) -> None:
    played = play(CardFailure.PIN_WRONG_ONE_LEFT, pin={"prompts": 2, "allow_last_try": True}, uid=uid)
    assert (played.reason(), played.sent) == (None if sent == 2 else Reason.PIN_WRONG_ONE_LEFT, sent)


def test_the_owner_can_use_them_all(play: Play, tries: CountedTries) -> None:
    assert [play(WRONG, tries=tries, uid=4001).reason() for _ in range(2)] == [Reason.PIN_WRONG] * 2
    assert play(tries=tries, uid=4001).reason() is Reason.PIN_TRIES_USED


def test_a_try_that_went_while_the_person_typed_is_not_sent(play: Play, tries: CountedTries) -> None:
    played = play(tries=tries)
    entry = played.login._prover._entry  # noqa: SLF001 - somebody else's login runs while this one asks

    def ask(token: TokenReport, _prompt: PinPrompt) -> Answer:
        assert tries.take(token, owner=True) is None
        assert tries.take(token, owner=True) is None
        return Answer.ANSWERED

    played.login._prover._entry = replace(entry, ask=ask)  # noqa: SLF001
    assert (played.reason(), played.sent) == (Reason.PIN_TRIES_USED, 0)


def test_wrong_pins_that_cannot_be_counted_are_not_sent(play: Play, tmp_path: Path) -> None:
    played = play(tries=CountedTries("machine", 2, str(tmp_path / "nowhere")))
    assert (played.reason(), played.events) == (Reason.PIN_TRIES_UNCOUNTED, [])


def test_a_pin_for_a_token_that_is_opened_is_counted_as_well(play: Play, tries: CountedTries) -> None:
    for _ in range(2):
        assert play(WRONG, hidden=True, login_first=True, tries=tries).reason() is Reason.PIN_WRONG
    assert play(hidden=True, login_first=True, tries=tries).reason() is Reason.PIN_TRIES_USED


def test_the_last_try_of_a_token_of_which_nobody_knows_whose_it_is_is_not_for_whoever_asks_for_himself(
    play: Play, tries: CountedTries
) -> None:
    """alice's own sudo, and in the reader a card that may be anybody's."""
    hidden: dict[str, Any] = {"hidden": True, "login_first": True, "tries": tries}
    assert play(WRONG, uid=4001, **hidden).reason() is Reason.PIN_WRONG
    second = play(WRONG, uid=4001, **hidden)
    assert (second.reason(), second.events) == (Reason.PIN_TRIES_USED, [])
    assert play(uid=0, **hidden).reason() is None


def test_a_stacked_password_is_not_used_for_the_last_try_that_is_counted(play: Play, tries: CountedTries) -> None:
    first: dict[str, Any] = {"request": {"try_first_pass": True}, "tries": tries}
    assert play(WRONG, **first).reason() is Reason.PIN_WRONG
    second = play(**first)
    assert second.reason() is None
    assert second.events == ["ask last-try", "sign typed", "end"]


def test_the_question_says_that_the_last_try_is_left_which_is_counted_here(play: Play, tries: CountedTries) -> None:
    played = play(WRONG, WRONG, tries=tries, pin={"prompts": 2})
    assert played.reason() is Reason.PIN_WRONG
    assert played.events == ["ask first", "sign typed", "ask last-try", "sign typed", "end"]


def test_use_first_pass_has_nobody_asked_for_the_last_try_that_is_counted(play: Play, tries: CountedTries) -> None:
    only: dict[str, Any] = {"request": {"use_first_pass": True}, "tries": tries}
    assert play(WRONG, **only).reason() is Reason.PIN_WRONG
    second = play(**only)
    assert (second.reason(), second.events) == (Reason.PIN_TRIES_USED, [])
    assert play(tries=tries).reason() is None


def test_a_last_try_that_came_while_a_stacked_password_was_handed_over_is_not_for_it(
    play: Play, tries: CountedTries
) -> None:
    played = play(tries=tries, request={"try_first_pass": True})
    entry = played.login._prover._entry  # noqa: SLF001 - somebody else's login runs meanwhile

    def take_stacked() -> Answer:
        assert tries.take(played.card.report(math.inf).tokens()[0][2], owner=True) is None
        return Answer.ANSWERED

    played.login._prover._entry = replace(entry, take_stacked=take_stacked)  # noqa: SLF001
    assert (played.reason(), played.sent) == (Reason.PIN_TRIES_USED, 0)


def test_a_pin_on_the_reader_is_counted_as_well(play: Play, tries: CountedTries) -> None:
    keypad: dict[str, Any] = {"pin": {"pinpad": True}, "protected_authentication_path": True}
    for _ in range(2):
        assert play(WRONG, tries=tries, **keypad).reason() is Reason.PIN_WRONG
    assert play(tries=tries, **keypad).reason() is Reason.PIN_TRIES_USED


def test_a_token_without_a_pin_has_no_wrong_ones(play: Play, tmp_path: Path) -> None:
    nowhere = CountedTries("machine", 2, str(tmp_path / "nowhere"))
    assert play(pin={"allow_no_pin": True}, login_required=False, tries=nowhere).reason() is None
