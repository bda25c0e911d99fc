# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks for the current PIN (or the PUK), the new one and the new one again, and has the card changed: nothing else.

Which token it is, and that it may be, is found out before (decision/change.py). No process but the card process ever
holds one of the three secrets; here it is only known whether each was typed. A dialogue that is left at any prompt has
changed nothing. `passwd` and `pam-sc pin` both come here, so they ask, check and say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from pam_sc.card.client import Changed as CardChanged
from pam_sc.card.client import ChangeKind, ChangeOrder, PinRules
from pam_sc.decision.card_report import Failure, PinState, TokenReport
from pam_sc.decision.change import is_locked
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.pin import ANSWER_REASONS, FAILURE_REASONS
from pam_sc.decision.possession import Answer, NotSigned, PinWay
from pam_sc.decision.reasons import Reason
from pam_sc.decision.verdict import Changed, Denied, Needs
from pam_sc.events import find_token
from pam_sc.proving import MAYBE_JUDGED, Tries, translated
from pam_sc.record import record
from pam_sc.texts import Text, Texts

PINPAD_S = 150.0
"""For all three entries on a reader's keypad."""

_CURRENT = {PinState.COUNT_LOW: Text.PIN_FEW_LEFT, PinState.FINAL_TRY: Text.PIN_LAST_TRY, PinState.LOCKED: Text.PUK}
"""What the first prompt says where it is not plainly the current PIN that is asked for."""


class Card(Protocol):
    """What a change needs of the card process (pam_sc.card.client.CardClient)."""

    def change_pin(self, order: ChangeOrder, deadline: float, cancel_fd: int | None = None) -> CardChanged | NotSigned:
        """Have the token's PIN changed with the three secrets that were sent to the card process."""


class Person(Protocol):
    """Whoever types (pam_sc.conversation.Conversation, or the terminal of `pam-sc pin`)."""

    def ask_secret(self, prompt: str) -> Answer:
        """Have a secret typed for the card process; learn only how it went."""

    def wait(self, text: str, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        """Show a text while `until(deadline, descriptor)` has the reader take what is typed."""


@record(kw_only=True)
class PinChange:
    """Changes or unblocks the PIN of one token. After `run` the card's verification is ended, whatever came of it."""

    card: Card
    person: Person
    texts: Texts
    rules: PinRules
    """What the configuration demands of a new PIN."""
    tries: Tries
    """Who counts wrong PINs where the token does not."""
    owner: bool
    """Whoever asks may use every try that is left (tries.py)."""
    deadline: Callable[[], float]
    """The end of the machine's time, on CLOCK_MONOTONIC."""
    end_card: Callable[[], None]
    """End the card's verification: the card process is gone when this returns."""

    def run(self, token: TokenReport) -> Failure | None:
        """Ask, and have the PIN changed, or unblocked where it is locked; say why it stayed as it was, or None."""
        try:
            if token.protected_authentication_path:
                return self._on_the_reader(token)
            unanswered = self._ask(token)
            return self._have_changed(token, self.deadline()) if unanswered is None else unanswered
        finally:
            self.end_card()

    def _ask(self, token: TokenReport) -> Failure | None:
        for text in (_CURRENT.get(token.pin_state, Text.OLD_PIN), Text.NEW_PIN, Text.NEW_PIN_AGAIN):
            answer = self.person.ask_secret(self.texts.say(text, token=token.label))
            if answer is not Answer.ANSWERED:
                return Failure(ANSWER_REASONS[answer], "nothing was changed")
        return None

    def _on_the_reader(self, token: TokenReport) -> Failure | None:
        """The reader takes all three, in a person's time; whatever the host says of it meanwhile, the card knows best."""
        came: list[Failure | None] = []

        def until(deadline: float, cancel_fd: int) -> bool:
            came.append(self._have_changed(token, deadline, cancel_fd if cancel_fd >= 0 else None))
            return True

        text = self.texts.say(Text.CHANGE_ON_PINPAD, token=token.label)
        self.person.wait(text, until, PINPAD_S)
        return came[0] if came else Failure(Reason.PINPAD_CANCELLED, "nothing was changed")

    def _have_changed(self, token: TokenReport, deadline: float, cancel_fd: int | None = None) -> Failure | None:
        """Take a try, have the card do its work, and keep the try or give it back. A PUK is no try of the PIN."""
        counted = token.pin_state is PinState.OK
        refused = self.tries.take(token, owner=self.owner) if counted else None
        if refused is not None:
            return refused
        order = ChangeOrder(
            token=token,
            kind=ChangeKind.UNBLOCK if is_locked(token) else ChangeKind.CHANGE,
            way=PinWay.PINPAD if token.protected_authentication_path else PinWay.TYPED,
            rules=self.rules,
        )
        outcome = translated(partial(self.card.change_pin, order), deadline, cancel_fd)
        if not isinstance(outcome, NotSigned):
            self.tries.clear(token)
            return None
        if counted and outcome.failure not in MAYBE_JUDGED:
            self.tries.give_back(token)
        return Failure(FAILURE_REASONS[outcome.failure], outcome.detail)


def change_found(found: Needs, evidence: Evidence, *, change: PinChange, preliminary: bool) -> Changed | Denied:
    """Have the PIN of the token that judge_change has found changed; in libpam's first pass only say that it can be."""
    ref = found.candidates[0]
    token = find_token(evidence, ref)
    if token is None:
        return Denied(Reason.INTERNAL_ERROR, "a token was judged that was never reported")
    failed = None if preliminary else change.run(token)
    if failed is not None:
        return Denied(failed.reason, failed.detail, ref)
    return Changed(account=found.account or "", token=token, preliminary=preliminary, unblocked=is_locked(token))
