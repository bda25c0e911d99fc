# SPDX-License-Identifier: LGPL-2.1-or-later
"""The person in front of one login: the questions and texts of the verifier, as the configuration wants them.

What a person answers to the question for a PIN goes to the card process; here only how it went is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pam_sc.config.model import PromptSettings
from pam_sc.conversation import Conversation, MessageKind
from pam_sc.decision.card_report import TokenReport
from pam_sc.decision.possession import Answer, PinPrompt
from pam_sc.texts import PIN_PROMPTS, Text, Texts

if TYPE_CHECKING:
    from pam_sc.decision.choosing import Offer


class Person:
    """Whoever answers, through the shim's conversation. `prompt` and `texts` are known once the configuration is read."""

    def __init__(self, conversation: Conversation, texts: Texts, *, shows_lists: bool) -> None:
        self._conversation = conversation
        self._shows_lists = shows_lists
        self.texts = texts
        self.prompt = PromptSettings()
        self.pin_is_out = False
        """A PIN has gone to the card process, or somebody may be typing one on the reader."""

    def tell(self, kind: MessageKind, text: str) -> None:
        """Show a text, unless there is none or [prompt] quiet keeps it back."""
        if text and not self.prompt.quiet:
            self._conversation.tell(kind, text)

    def ask_pin(self, token: TokenReport, prompt: PinPrompt) -> Answer:
        """Ask for the PIN of a token."""
        kind = self.prompt.token_type
        if kind and prompt is PinPrompt.FIRST:
            return self._sent(self._conversation.ask_secret(f"{kind} PIN: "))
        return self._sent(self._conversation.ask_secret(self.texts.say(PIN_PROMPTS[prompt], token=self._name(token))))

    def take_stacked(self) -> Answer:
        """Take what an earlier module asked for."""
        return self._sent(self._conversation.take_stacked())

    def wait_for_pinpad(self, token: TokenReport, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        """Have the PIN typed on the reader, while `until` waits for the card."""
        self.pin_is_out = True
        text = "" if self.prompt.quiet else self.texts.say(Text.PINPAD, token=self._name(token))
        return self._conversation.wait(text, until, limit_s)

    def _name(self, token: TokenReport) -> str:
        """What people call the token: as configured, else by its label."""
        return self.prompt.token_type or token.label

    def _sent(self, answer: Answer) -> Answer:
        self.pin_is_out = self.pin_is_out or answer is Answer.ANSWERED
        return answer

    def choose(self, question: Text, offers: Sequence[Offer]) -> tuple[Answer, str]:
        """Have one of the offers chosen; the key of it, or "" where none was."""
        from pam_sc.choices import ask_choice

        return ask_choice(self._conversation, self.texts, question, offers, as_list=self._shows_lists, quiet=self.prompt.quiet)
