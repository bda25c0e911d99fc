# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for a card: what the person reads, what the limit is for, and how a wait ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pam_sc.conversation import Conversation
from pam_sc.decision.possession import Answer
from pam_sc.errors import CardProcessLost, DeadlineExceeded
from pam_sc.texts import Texts
from pam_sc.waiting import HOLD_S, WAITS_MAX, CardWaits


class Card:
    """A card process that has seen what it is told it has seen."""

    def __init__(self, came: bool | Exception = True) -> None:
        self.came = came
        self.asked: list[bool] = []

    def wait(self, present: bool, deadline: float, cancel_fd: int) -> bool:
        self.asked.append(present)
        if isinstance(self.came, Exception):
            raise self.came
        return self.came


class Talk(Conversation):
    """A conversation that only waits; the person may cancel."""

    def __init__(self, *, cancel: bool = False) -> None:
        self.heard: list[tuple[str, float]] = []
        self._cancel = cancel

    def wait(self, text: str, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        self.heard.append((text, limit_s))
        came = until(limit_s, -1)
        if self._cancel:
            return Answer.NOT_GIVEN
        return Answer.WAITED if came else Answer.TIMEOUT


def waits(talk: Talk, card: Card, *, limit_s: float = 30, quiet: bool = False) -> CardWaits:
    return CardWaits(talk, Texts(), card, limit_s=limit_s, quiet=quiet)


@pytest.mark.parametrize(
    ("wanted", "quiet", "text"),
    [("", False, "Please insert your card"), ("Red card", False, "Please insert your card Red card"), ("", True, "")],
)
def test_the_person_is_told_what_to_do(wanted: str, quiet: bool, text: str) -> None:
    talk, card = Talk(), Card()
    assert waits(talk, card, quiet=quiet).for_card(wanted) is Answer.WAITED
    assert ([each[0] for each in talk.heard], card.asked) == ([text], [True])


def test_a_wait_ends_with_the_time_or_with_a_cancel() -> None:
    assert waits(Talk(), Card(came=False)).for_card("") is Answer.TIMEOUT
    assert waits(Talk(cancel=True), Card()).for_card("") is Answer.NOT_GIVEN


def test_the_limit_is_for_all_waits_together() -> None:
    talk, card = Talk(), Card()
    waiting = waits(talk, card)
    waiting.for_card("")
    waiting.for_card("")
    assert [0 < limit <= 30 for _text, limit in talk.heard] == [True, True]
    assert talk.heard[1][1] < talk.heard[0][1]


def test_when_the_limit_is_over_nobody_waits_any_more() -> None:
    talk, card = Talk(), Card()
    assert waits(talk, card, limit_s=0).for_card("") is Answer.TIMEOUT
    assert (talk.heard, card.asked) == ([], [])


def test_whoever_inserts_one_wrong_card_after_the_other_does_so_a_dozen_times() -> None:
    waiting = waits(Talk(), Card())
    assert [waiting.for_card("") for _ in range(WAITS_MAX + 1)] == [Answer.WAITED] * WAITS_MAX + [Answer.TIMEOUT]


def test_a_quiet_refusal_is_held_without_a_word() -> None:
    talk = Talk()
    waits(talk, Card(), quiet=True).for_removal("The certificate on the card has expired")
    assert talk.heard == [("", HOLD_S)]


@pytest.mark.parametrize("error", [CardProcessLost("gone"), DeadlineExceeded("slow")])
def test_a_card_process_that_fails_is_not_a_card(error: CardProcessLost | DeadlineExceeded) -> None:
    with pytest.raises(type(error)):
        waits(Talk(), Card(error)).for_card("")


@pytest.mark.parametrize("came", [True, False, CardProcessLost("gone"), DeadlineExceeded("slow")], ids=str)
def test_a_refusal_is_held_at_most_a_minute_whatever_the_card_does(came: bool | Exception) -> None:
    talk, card = Talk(), Card(came)
    waits(talk, card).for_removal("The certificate on the card has expired")
    assert talk.heard == [("The certificate on the card has expired. Please remove the card", HOLD_S)]
    assert card.asked == [False]


@pytest.mark.parametrize(("quiet", "text"), [(True, ""), (False, "Expired. Please remove the card")])
def test_who_wants_to_read_nothing_reads_nothing_while_a_refusal_is_held(quiet: bool, text: str) -> None:
    talk, card = Talk(), Card()
    waits(talk, card, quiet=quiet).for_removal("Expired")
    assert talk.heard == [(text, HOLD_S)]
