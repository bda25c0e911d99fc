# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gathers steps 9 and 10 of a login: gets the PIN to the card process in the way that `decide` says, and has it sign.

It sees no PIN, and decides nothing: which way, how often and what a refusal means is in decision/pin.py. Before a PIN goes
out a try is taken (tries.py), and given back unless the token may have judged it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from pam_sc.card.client import Candidate, OpenOrder, PinRules, SignOrder
from pam_sc.config.model import PinSettings
from pam_sc.decision.card_report import (
    CardReport,
    CertificateReport,
    Failure,
    PinState,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.pin import may_have_the_last, pin_state
from pam_sc.decision.possession import Answer, Attempt, CardFailure, NotSigned, Opened, PinPrompt, PinWay, Signed
from pam_sc.decision.verdict import Needs
from pam_sc.errors import CardProcessLost, DeadlineExceeded
from pam_sc.record import record, replace

PINPAD_S = 60.0
"""For how long a person may type on the reader."""

_COUNTED = (PinWay.TYPED, PinWay.STACKED, PinWay.PINPAD)
MAYBE_JUDGED = frozenset({
    CardFailure.PIN_WRONG, CardFailure.LOGIN_FAILED, CardFailure.PROCESS_LOST_AFTER_PIN, CardFailure.TIMEOUT_AFTER_PIN,
})  # fmt: skip
"""After these the token may have counted a wrong PIN, and shows no counter of its own."""


T = TypeVar("T")
_Ask = Callable[[float, "int | None"], "T | NotSigned"]
"""Asks the card, until a deadline; it stops where a descriptor can be read."""


class Card(Protocol):
    """What these steps need of the card process (pam_sc.card.client.CardClient)."""

    def sign(self, order: SignOrder, deadline: float, cancel_fd: int | None = None) -> Signed | NotSigned:
        """Have the card sign for one of the candidates, with the PIN that was sent to it."""

    def open(self, order: OpenOrder, deadline: float, cancel_fd: int | None = None) -> TokenReport | NotSigned:
        """Have the card let us in, and tell what it shows then."""


class Tries(Protocol):
    """Who counts wrong PINs (pam_sc.tries)."""

    def look(self, token: TokenReport, *, owner: bool) -> Failure | None:
        """Why the PIN of this token is not to be tried, or None."""

    def take(self, token: TokenReport, *, owner: bool) -> Failure | None:
        """Take a try, or say why there is none."""

    def give_back(self, token: TokenReport) -> None:
        """The try was none."""

    def clear(self, token: TokenReport) -> None:
        """The PIN was right."""


@record(kw_only=True)
class PinEntry:
    """The three ways in which a PIN gets to the card process. None of them shows it to us."""

    ask: Callable[[TokenReport, PinPrompt], Answer]
    """Have the person's answer sent to the card process; learn only how it went."""
    take_stacked: Callable[[], Answer]
    """Have PAM_AUTHTOK sent to the card process. Nobody is asked."""
    on_pinpad: Callable[[TokenReport, Callable[[float, int], bool], float], Answer]
    """Say where the PIN is typed, and let `until(deadline, descriptor)` wait for the reader at most so many seconds
    (Conversation.wait)."""


class Prover:
    """Makes the attempts of one login. `deadline` is the end of the machine's time, on CLOCK_MONOTONIC."""

    def __init__(
        self, card: Card, entry: PinEntry, tries: Tries, rules: PinRules, deadline: Callable[[], float]
    ) -> None:
        self._card = card
        self._entry = entry
        self._tries = tries
        self._rules = rules
        self._deadline = deadline

    def look(self, evidence: Evidence, needs: Needs, token: TokenReport) -> Evidence:
        """Add why no PIN is to be asked for, if too many wrong ones were counted here; else the same evidence."""
        if not _is_counted(evidence, needs, token):
            return evidence
        why = self._tries.look(token, owner=_may_have_the_last(evidence, needs))
        return evidence if why is None else evidence.with_refused_tries(token.ref, why)

    def get_pin(self, evidence: Evidence, needs: Needs, token: TokenReport) -> Evidence:
        """Get the PIN to the card process, if that is how it comes to the token."""
        match needs.way:
            case PinWay.TYPED:
                last = self._is_last_counted(evidence, needs, token)
                answer = self._entry.ask(token, PinPrompt.LAST_TRY if last else needs.prompt)
            case PinWay.STACKED:
                answer = self._take_stacked(evidence, needs, token)
            case _:
                answer = Answer.NOT_NEEDED
        return evidence.with_attempt(Attempt(token.ref, answer, None, needs.way))

    def _take_stacked(self, evidence: Evidence, needs: Needs, token: TokenReport) -> Answer:
        """Hand a stacked password over, unless what is left is the last try: that is as if there were none."""
        if self._is_last_counted(evidence, needs, token):
            return Answer.NOT_STACKED
        return self._entry.take_stacked()

    def _is_last_counted(self, evidence: Evidence, needs: Needs, token: TokenReport) -> bool:
        """Whether after one more wrong PIN this machine leaves the token alone."""
        return _is_counted(evidence, needs, token) and self._tries.look(token, owner=False) is not None

    def sign(
        self, evidence: Evidence, needs: Needs, token: TokenReport, candidates: tuple[Candidate, ...]
    ) -> Evidence:
        """Add what came of having the token sign for one of the candidates, or that no try was left for it."""
        if needs.way is PinWay.OPENED:
            evidence = self.get_pin(evidence, needs, token)
        token = replace(token, pin_state=pin_state(evidence, token))
        order = SignOrder(token=token, candidates=candidates, way=needs.way, rules=self._rules)
        outcome = self._counted(evidence, needs, token, partial(self._card.sign, order))
        if isinstance(outcome, Failure):
            return evidence.with_refused_tries(token.ref, outcome)
        return evidence.with_outcome(outcome)

    def open(self, evidence: Evidence, needs: Needs, token: TokenReport) -> Evidence:
        """Add what came of opening the token and, if that went well, its certificates; or that no try was left for it.

        Nothing else that the token says now counts.
        """
        token = replace(token, pin_state=pin_state(evidence, token))
        order = OpenOrder(token=token, way=needs.way, rules=self._rules)
        outcome = self._counted(evidence, needs, token, partial(self._card.open, order))
        if isinstance(outcome, Failure):
            return evidence.with_refused_tries(token.ref, outcome)
        if isinstance(outcome, NotSigned):
            return evidence.with_outcome(outcome)
        return _with_certificates(evidence, token.ref, outcome.certificates).with_outcome(Opened())

    def _counted(
        self, evidence: Evidence, needs: Needs, token: TokenReport, ask_card: _Ask[T]
    ) -> T | NotSigned | Failure:
        """Take a try, have the card do its work, and keep the try or give it back."""
        counted = _is_counted(evidence, needs, token)
        owner = _may_have_the_last(evidence, needs) and needs.way is not PinWay.STACKED
        refused = self._tries.take(token, owner=owner) if counted else None
        if refused is not None:
            return refused
        if needs.way is PinWay.PINPAD:
            outcome = self._at_the_reader(token, ask_card)
        else:
            outcome = translated(ask_card, self._deadline(), None)
        if counted:
            self._settle(token, outcome)
        return outcome

    def _settle(self, token: TokenReport, outcome: object) -> None:
        if not isinstance(outcome, NotSigned):
            self._tries.clear(token)
        elif outcome.failure not in MAYBE_JUDGED:
            self._tries.give_back(token)

    def _at_the_reader(self, token: TokenReport, ask_card: _Ask[T]) -> T | NotSigned:
        """Wait in human time, until the card has answered, the host has caught a signal, or the time to type is over."""
        outcomes: list[T | NotSigned] = []

        def until(deadline: float, cancel_fd: int) -> bool:
            outcomes.append(translated(ask_card, deadline, cancel_fd if cancel_fd >= 0 else None))
            return True

        answer = self._entry.on_pinpad(token, until, PINPAD_S)
        if outcomes and (answer is Answer.WAITED or isinstance(outcomes[0], NotSigned)):
            return outcomes[0]
        return NotSigned(CardFailure.PINPAD_TIMEOUT if answer is Answer.TIMEOUT else CardFailure.PINPAD_CANCELLED)


def translated(ask_card: _Ask[T], deadline: float, cancel_fd: int | None) -> T | NotSigned:
    """Return what the card said, or how it was lost."""
    try:
        return ask_card(deadline, cancel_fd)
    except DeadlineExceeded as error:
        sent = getattr(error, "pin_sent", True)
        return NotSigned(CardFailure.TIMEOUT_AFTER_PIN if sent else CardFailure.TIMEOUT, str(error))
    except CardProcessLost as error:
        sent = getattr(error, "pin_sent", True)
        return NotSigned(CardFailure.PROCESS_LOST_AFTER_PIN if sent else CardFailure.PROCESS_LOST, str(error))


def _is_counted(evidence: Evidence, needs: Needs, token: TokenReport) -> bool:
    """A PIN goes to the token, which has not said, in this login or before it, that it counts wrong ones itself."""
    return needs.way in _COUNTED and pin_state(evidence, token) is PinState.OK


def _may_have_the_last(evidence: Evidence, needs: Needs) -> bool:
    """Say whether this PIN may cost the last try: not that of a token of which nobody knows yet whose it is.

    A password that is stacked never may, but where a person can be asked instead that is seen only when it is taken.
    """
    if needs.way is PinWay.STACKED and evidence.request.use_first_pass:
        return False
    return may_have_the_last(evidence, needs.candidates)


def _with_certificates(evidence: Evidence, ref: TokenRef, certificates: tuple[CertificateReport, ...]) -> Evidence:
    """The same evidence, with what an opened token shows."""
    if not isinstance(evidence.card, CardReport):
        return evidence

    def shown(slot: SlotReport) -> SlotReport:
        if slot.token is None or slot.token.ref != ref:
            return slot
        return replace(slot, token=replace(slot.token, certificates=certificates))

    modules = (replace(module, slots=tuple(map(shown, module.slots))) for module in evidence.card.modules)
    return replace(evidence, card=CardReport(tuple(modules)))


def pin_rules(pin: PinSettings) -> PinRules:
    """What [pin] says of the form of a PIN, for the card process."""
    return PinRules(min_length=pin.min_length, max_length=pin.max_length, pattern=pin.pattern)
