# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting in human time for somebody to insert a card, or to take one out. What came of it is for others to judge.

The card process waits for the event; the person may cancel. Nothing here asks for anything, so no answer can get lost.
"""

from __future__ import annotations

import time
from typing import Protocol

from pam_sc.conversation import Conversation
from pam_sc.decision.possession import Answer
from pam_sc.errors import CardProcessLost, DeadlineExceeded
from pam_sc.texts import Text, Texts

HOLD_S = 60.0
WAITS_MAX = 12
"""Somebody who puts one wrong card after the other into the reader must not use up the frames of the login."""


class Waiter(Protocol):
    """What waiting needs of the card process (pam_sc.card.client.CardClient)."""

    def wait(self, present: bool, deadline: float, cancel_fd: int) -> bool:  # noqa: FBT001 - the contract of all waits
        """Say whether a token has come (`present`) or all have gone, before the deadline and without a cancel."""


class CardWaits:
    """The waits of one login. `limit_s` is for all waiting for a card together, however many wrong ones come."""

    def __init__(self, conversation: Conversation, texts: Texts, card: Waiter, *, limit_s: float, quiet: bool) -> None:
        self._conversation = conversation
        self._texts = texts
        self._card = card
        self._limit_s = limit_s
        self._quiet = quiet
        self._end: float | None = None
        self._waits = 0

    def for_card(self, wanted: str) -> Answer:
        """Have the person insert a card, the one of this label if one is given.

        WAITED, TIMEOUT, or NOT_GIVEN for a cancel. DeadlineExceeded and CardProcessLost go through.
        """
        if self._end is None:
            self._end = time.monotonic() + self._limit_s
        left = self._end - time.monotonic()
        self._waits += 1
        if left <= 0 or self._waits > WAITS_MAX:
            return Answer.TIMEOUT
        text = self._texts.say(Text.INSERT_LOGIN_CARD, token=wanted) if wanted else self._texts.say(Text.INSERT_CARD)
        return self._conversation.wait(
            "" if self._quiet else text, lambda deadline, cancel: self._card.wait(True, deadline, cancel), left
        )

    def for_removal(self, why: str) -> None:
        """Tell the person to take the card out, and return when that is done, cancelled, or a minute is over."""
        self._held(self._texts.say(Text.REMOVE_CARD, why=why), present=False)

    def for_insertion(self, why: str) -> None:
        """Say why nothing goes on, and return when a card is there, it is cancelled, or a minute is over."""
        self._held(why, present=True)

    def _held(self, text: str, *, present: bool) -> None:
        try:
            self._conversation.wait(
                "" if self._quiet else text, lambda deadline, cancel: self._card.wait(present, deadline, cancel), HOLD_S
            )
        except (DeadlineExceeded, CardProcessLost):
            return
