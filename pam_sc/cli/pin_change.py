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
from pam_sc.cli.own_card import end_card, own_card_process
from pam_sc.cli.pin_entry import Ask, send_pin
from pam_sc.config.model import Configuration
from pam_sc.decision.card_report import CardReport, Failure, TokenReport
from pam_sc.decision.evidence import Answer
from pam_sc.events import clean
from pam_sc.passwd import PinChange
from pam_sc.proving import pin_rules
from pam_sc.record import record
from pam_sc.texts import Texts

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
    with own_card_process(configuration, worker, _deadline()) as card:
        token = choose(card.client.report(_deadline()))
        return PinChange(
            card=card.client, person=Terminal(card, ask, tell), texts=texts_of(configuration),
            rules=pin_rules(configuration.pin), deadline=_deadline, end_card=lambda: end_card(card),
        ).run(token)  # fmt: skip


def texts_of(configuration: Configuration) -> Texts:
    """Return the texts of a login, in the language of this terminal."""
    try:
        language = locale.setlocale(locale.LC_MESSAGES, "")
    except locale.Error:
        language = ""
    return Texts(language, configuration.texts)


def _deadline() -> float:
    return time.monotonic() + MACHINE_TIME_S
