# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person at the prompt reads: every text once, with places for what is known, in the language of the host.

The texts of refusals stand in the table of reasons; the others here. Each can be replaced in [texts] of the configuration
by its name. A text whose values are not all known gives way to one that needs none. Hosts such as sshd and swaylock show
information late or never, so a prompt carries the essential words itself. The language is data from the host: it picks
one of our own catalogues or none, and never becomes a part of a path.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping

from pam_sc.catalogues import translator
from pam_sc.decision.card_report import CardReport, TokenRef
from pam_sc.decision.evidence import CertificateFacts, Evidence
from pam_sc.decision.possession import PinPrompt
from pam_sc.decision.reasons import REASONS, Reason
from pam_sc.decision.verdict import Denied

PLACE = re.compile(r"\{([a-z]+)\}")
"""A place in a text; nothing else in braces is one."""


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


UNFILLED: dict[Text | Reason, str] = {
    Text.PIN: "PIN: ",
    Text.PIN_AGAIN: "Wrong PIN. PIN: ",
    Text.PIN_FEW_LEFT: "PIN (only a few tries are left): ",
    Text.PIN_LAST_TRY: "PIN (this is the last try): ",
    Text.PINPAD: "Please enter the PIN on the keypad of the reader",
    Text.INSERT_LOGIN_CARD: "Please insert the card that you logged in with",
    Text.REMOVE_CARD: "Please remove the card",
    Text.CHOICE: "{subject}, issued by {issuer}, valid until {date}",
    Text.EXPIRES_SOON: "The certificate on your card expires soon",
    Text.OLD_PIN: "Current PIN: ",
    Text.NEW_PIN: "New PIN: ",
    Text.NEW_PIN_AGAIN: "New PIN again: ",
    Text.PUK: "The PIN is locked. PUK: ",
    Text.CHANGE_ON_PINPAD: "Please enter the current and the new PIN on the keypad of the reader",
    Reason.CERTIFICATE_EXPIRED: "The certificate on the card has expired",
}
"""What is said instead where a value is not known: a token without a label, a certificate that was not read."""

PIN_PROMPTS = {
    PinPrompt.FIRST: Text.PIN,
    PinPrompt.AGAIN: Text.PIN_AGAIN,
    PinPrompt.FEW_LEFT: Text.PIN_FEW_LEFT,
    PinPrompt.LAST_TRY: Text.PIN_LAST_TRY,
}


class Texts:
    """The texts of one login, in the language of the host, or as the configuration has them."""

    def __init__(self, language: str = "", own: Mapping[str, str] | None = None) -> None:
        self._language = language
        self._own = own or {}
        self._translate: Callable[[str], str] | None = None

    def say(self, what: Text | Reason, **values: str) -> str:
        """Return a text with its places filled in: the first of its forms whose values are all known. Never raises."""
        text = ""
        for text in self._forms(what):
            if all(values.get(place) for place in PLACE.findall(text)):
                break
        return PLACE.sub(lambda place: values.get(place[1], ""), text)

    def _forms(self, what: Text | Reason) -> Iterator[str]:
        """Yield the administrator's own text, ours, and ours without values, as far as there are any."""
        own = self._own.get(what.value)
        if own is not None:
            yield own
        yield self._translated(english(what))
        if what in UNFILLED:
            yield self._translated(UNFILLED[what])

    def _translated(self, text: str) -> str:
        """Return one of our texts in the host's language; its catalogue is read when the first one is needed."""
        if self._translate is None:
            self._translate = translator(self._language)
        return self._translate(text) if text else ""


def english(what: Text | Reason) -> str:
    """Return a text as the tables have it."""
    return TEXTS[what] if isinstance(what, Text) else REASONS[what].text


def values_of(refused: Denied, evidence: Evidence | None) -> dict[str, str]:
    """Return what is known for the places in the text of a refusal: {date} of its certificate, {token} of its token."""
    ref = refused.certificate
    if ref is None or evidence is None:
        return {}
    values = {}
    facts = evidence.about(ref).facts
    if isinstance(facts, CertificateFacts):
        values["date"] = f"{facts.not_after:%Y-%m-%d}"
    label = _label(evidence, ref.token)
    return {**values, "token": label} if label else values


def _label(evidence: Evidence, ref: TokenRef) -> str:
    if not isinstance(evidence.card, CardReport):
        return ""
    return next((token.label for _, _, token in evidence.card.tokens() if token.ref == ref), "")
