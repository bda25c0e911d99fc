# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a rehearsed login gets its PIN: asked for at the terminal in the words of a login, counted as a login counts."""

from __future__ import annotations

import time
from collections.abc import Callable

from pam_sc.card.client import StartedCardProcess
from pam_sc.cli.output import print_line
from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration
from pam_sc.decision.card_report import TokenReport
from pam_sc.decision.possession import Answer, PinPrompt
from pam_sc.events import clean
from pam_sc.host import machine_id
from pam_sc.identity import find_identity
from pam_sc.proving import PinEntry
from pam_sc.texts import PIN_PROMPTS, Text, Texts
from pam_sc.tries import CountedTries, UncountedTries, make_folder

PIN_BYTES_MAX = 512

Ask = Callable[[str], str]


def counting(configuration: Configuration) -> CountedTries | UncountedTries:
    """Count wrong PINs as a login of this caller would. To be called while still root, if at all."""
    verifier = find_identity(VERIFIER_ACCOUNT)
    if verifier is None:
        return UncountedTries()
    make_folder(verifier.uid, verifier.gid)
    return CountedTries(machine_id(), configuration.pin.wrong_max)


def pin_entry(card: StartedCardProcess | None, configuration: Configuration, ask: Ask | None) -> PinEntry:
    """Ask at the terminal as a login asks at its prompt; no password is stacked here."""
    texts = Texts(own=configuration.texts)

    def name(token: TokenReport) -> str:
        return clean(configuration.prompt.token_type or token.label)

    def ask_pin(token: TokenReport, prompt: PinPrompt) -> Answer:
        if ask is None or card is None:
            return Answer.NOT_GIVEN
        return send_pin(card, ask(texts.say(PIN_PROMPTS[prompt], token=name(token))))

    def on_pinpad(token: TokenReport, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        print_line(texts.say(Text.PINPAD, token=name(token)))
        return Answer.WAITED if until(time.monotonic() + limit_s, -1) else Answer.TIMEOUT

    return PinEntry(ask=ask_pin, take_stacked=lambda: Answer.NOT_STACKED, on_pinpad=on_pinpad)


def send_pin(card: StartedCardProcess, typed: str) -> Answer:
    """Put what was typed into the secrets channel, if it can be a PIN at all."""
    pin = typed.encode()
    if not pin:
        return Answer.EMPTY
    if len(pin) > PIN_BYTES_MAX:
        return Answer.TOO_LONG
    card.send_pin(pin)
    return Answer.ANSWERED
