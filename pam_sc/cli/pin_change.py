# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read the tokens' PIN states, and change a PIN, with a card process of one's own and a person at a terminal.

The dialogue is the one of `passwd` (pam_sc/passwd.py), with the same prompts and the same rules. Whose card it is does
not matter here: whoever knows its PIN, or its PUK, may change it, and nobody is logged in by that.
"""

from __future__ import annotations

import locale
import time
from collections.abc import Callable

from pam_sc.card.client import StartedCardProcess
from pam_sc.cli.pin_entry import Ask, counting, send_pin
from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration
from pam_sc.decision.card_report import CardReport, Failure, PinState, TokenReport
from pam_sc.decision.possession import Answer
from pam_sc.errors import PamScError
from pam_sc.events import clean
from pam_sc.identity import acting_as, find_identity
from pam_sc.own_card import end_card, own_card_process
from pam_sc.passwd import PinChange
from pam_sc.proving import pin_rules
from pam_sc.record import record
from pam_sc.texts import Texts
from pam_sc.tries import FOLDER, CountedTries, forget_all

MACHINE_TIME_S = 30.0

Choose = Callable[[CardReport], TokenReport]


@record
class Terminal:
    """Whoever sits at the terminal: what is typed there goes to the card process and nowhere else."""

    card: StartedCardProcess
    ask: Ask
    tell: Callable[[str], None]

    def ask_secret(self, prompt: str) -> Answer:
        """Have a secret typed for the card process."""
        return send_pin(self.card, self.ask(clean(prompt)))

    def wait(self, text: str, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        """Show a text while the reader takes what is typed."""
        self.tell(text)
        return Answer.WAITED if until(time.monotonic() + limit_s, -1) else Answer.TIMEOUT


def read_tokens(configuration: Configuration, worker: str) -> CardReport:
    """Return what the modules show without a PIN."""
    with own_card_process(configuration, worker, _deadline()) as card:
        return card.client.report(_deadline())


def change_pin(
    configuration: Configuration, worker: str, choose: Choose, ask: Ask, tell: Callable[[str], None]
) -> Failure | None:
    """Change or unblock the PIN of the token that `choose` picks; say why it stayed as it was, or None.

    What `choose` raises ends it before anything is asked.
    """
    tries = counting(configuration)
    with (
        own_card_process(configuration, worker, _deadline()) as card,
        acting_as(find_identity(VERIFIER_ACCOUNT)) as stop_acting,
    ):
        token = choose(card.client.report(_deadline()))
        counted = token.pin_state is PinState.OK
        return (tries.look(token, owner=True) if counted else None) or PinChange(
            card=card.client, person=Terminal(card, ask, tell), texts=texts_of(configuration),
            rules=pin_rules(configuration.pin), tries=tries, owner=True, deadline=_deadline,
            end_card=lambda: end_card(card, stop_acting),
        ).run(token)  # fmt: skip


def wrong_pins(configuration: Configuration, token: TokenReport) -> int | None:
    """Return how many wrong PINs are counted for a token on this machine; None where the caller cannot see that."""
    tries = counting(configuration)
    with acting_as(find_identity(VERIFIER_ACCOUNT)):
        return tries.count(token) if isinstance(tries, CountedTries) else None


def forget_wrong_pins(configuration: Configuration, token: TokenReport | None) -> None:
    """Drop what is counted for a token, or for all; PamScError for a caller who is not root, or if it cannot be done."""
    tries = counting(configuration)
    if not isinstance(tries, CountedTries):
        raise PamScError("cannot forget wrong PINs: only root can")
    with acting_as(find_identity(VERIFIER_ACCOUNT)):
        if token is not None:
            tries.clear(token)
            if tries.count(token) != 0:
                raise PamScError(f"cannot forget wrong PINs: {FOLDER} must be a folder of {VERIFIER_ACCOUNT} alone")
            return
        try:
            forget_all()
        except OSError as error:
            raise PamScError(f"cannot forget wrong PINs: {error.strerror}") from error


def texts_of(configuration: Configuration) -> Texts:
    """Return the texts of a login, in the language of this terminal."""
    try:
        language = locale.setlocale(locale.LC_MESSAGES, "")
    except locale.Error:
        language = ""
    return Texts(language, configuration.texts)


def _deadline() -> float:
    return time.monotonic() + MACHINE_TIME_S
