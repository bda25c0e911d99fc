# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person at the prompt reads: every text once, with the places that are filled in.

The texts of refusals stand in the table of reasons; the others here. Each can be replaced in [texts] of the configuration
by its name. Hosts such as sshd and swaylock show information late or never, so a prompt carries the essential words itself.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pam_sc.decision.reasons import REASONS, Reason


class Text(enum.Enum):
    """Texts that are no refusals. The value is the name in [texts]."""

    PIN = "pin"
    PIN_AGAIN = "pin-again"
    PIN_FEW_LEFT = "pin-few-left"
    PIN_LAST_TRY = "pin-last-try-prompt"
    PINPAD = "pinpad"
    INSERT_CARD = "insert-card"
    INSERT_LOGIN_CARD = "insert-login-card"
    REMOVE_CARD = "remove-card"
    CHOOSE_TOKEN = "choose-token"
    CHOOSE_ACCOUNT = "choose-account"
    CHOICE = "choice"
    EXPIRES_SOON = "expires-soon"
    PIN_MUST_BE_CHANGED = "pin-must-be-changed"
    OLD_PIN = "old-pin"
    NEW_PIN = "new-pin"
    NEW_PIN_AGAIN = "new-pin-again"
    PUK = "puk"
    PIN_CHANGED = "pin-changed"
    PIN_UNBLOCKED = "pin-unblocked"
    CHANGE_ON_PINPAD = "change-on-pinpad"


TEXTS: dict[Text, str] = {
    Text.PIN: "PIN for {token}: ",
    Text.PIN_AGAIN: "Wrong PIN. PIN for {token}: ",
    Text.PIN_FEW_LEFT: "PIN for {token} (only a few tries are left): ",
    Text.PIN_LAST_TRY: "PIN for {token} (this is the last try): ",
    Text.PINPAD: "Please enter the PIN for {token} on the keypad of the reader",
    Text.INSERT_CARD: "Please insert your card",
    Text.INSERT_LOGIN_CARD: "Please insert your card {token}",
    Text.REMOVE_CARD: "{why}. Please remove the card",
    Text.CHOOSE_TOKEN: "Which card? Number: ",
    Text.CHOOSE_ACCOUNT: "Which account? Name: ",
    Text.CHOICE: "{label}: {subject}, issued by {issuer}, valid until {date}",
    Text.EXPIRES_SOON: "The certificate on your card expires on {date}",
    Text.PIN_MUST_BE_CHANGED: "The PIN of your card must be changed now",
    Text.OLD_PIN: "Current PIN for {token}: ",
    Text.NEW_PIN: "New PIN for {token}: ",
    Text.NEW_PIN_AGAIN: "New PIN for {token} again: ",
    Text.PUK: "The PIN is locked. PUK for {token}: ",
    Text.PIN_CHANGED: "The PIN of the card has been changed",
    Text.PIN_UNBLOCKED: "The PIN of the card has been unblocked",
    Text.CHANGE_ON_PINPAD: "Please enter the current and the new PIN for {token} on the keypad of the reader",
}


class Texts:
    """The texts of one login, in the language of the host, or as the configuration has them."""

    def __init__(self, language: str = "", own: Mapping[str, str] | None = None) -> None:
        self._language = language
        self._own = own or {}

    def say(self, what: Text | Reason, **values: str) -> str:
        """Return a text with its places filled in; one that is not given stays empty. Never raises."""
        text = self._own.get(what.value)
        if text is None:
            text = TEXTS[what] if isinstance(what, Text) else REASONS[what].text
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text
