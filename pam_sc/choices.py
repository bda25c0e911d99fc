# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks a person to choose from a list: by the host's own choice list where it has one, else by one echoed prompt.

Only the key of an entry leaves this module. Any other answer may be a PIN that was typed too early, or that a host gives
to every prompt: it is compared and forgotten, never kept, shown or logged, and nobody is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.conversation import TEXT_MAX, Conversation, MessageKind, clean
from pam_sc.decision.choosing import Offer
from pam_sc.decision.possession import Answer
from pam_sc.texts import Text, Texts

_LEAST_BYTES = 12


def ask_choice(
    conversation: Conversation, texts: Texts, question: Text, offers: Sequence[Offer], *, as_list: bool, quiet: bool
) -> tuple[Answer, str]:
    """Ask once; return how it went and the key that was chosen, "" for anything that is no key.

    `as_list`: the host shows lists. `quiet`: no text but the prompt, which has the essential words in any case.
    """
    if as_list:
        answer, said = conversation.ask_choice(
            texts.say(question), [(offer.key, _line(texts, offer)) for offer in offers]
        )
    else:
        for offer in offers:
            if offer.subject and not quiet:
                conversation.tell(MessageKind.INFORMATION, f"{offer.key}: {_line(texts, offer)}")
        answer, said = conversation.ask_visibly(prompt_of(texts.say(question), offers))
    key = said.strip()
    return answer, key if answer is Answer.ANSWERED and any(key == offer.key for offer in offers) else ""


def prompt_of(question: str, offers: Sequence[Offer]) -> str:
    """Return the question with its list before it, in one text: hosts show information late or never.

    Long names are cut, so that the question itself is never cut off.
    """
    room = max(_LEAST_BYTES, (TEXT_MAX - len(question.encode()) - 2) // len(offers) - 2)
    return f"{', '.join(clean(_short(offer, offers), room) for offer in offers)}. {question}"


def _short(offer: Offer, offers: Sequence[Offer]) -> str:
    if offer.key == offer.name:
        return offer.key
    alike = sum(each.name == offer.name for each in offers) > 1
    name = " ".join(part for part in (offer.name, offer.subject if alike or not offer.name else "") if part)
    return f"{offer.key} = {name}"


def _line(texts: Texts, offer: Offer) -> str:
    if not offer.subject:
        return offer.name or offer.key
    return texts.say(Text.CHOICE, label=offer.name, subject=offer.subject, issuer=offer.issuer, date=offer.date)
