# SPDX-License-Identifier: LGPL-2.1-or-later
"""When a card counts as gone, and when it is back: each order once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pam_sc.monitor.facts import CardBack, CardGone, Cause, Order
from pam_sc.monitor.judging import ASLEEP_MAX_S, BLIND, Judge, Times, Whereabouts
from pam_sc.monitor.sight import Place, SeenToken, Snapshot, Source, Trouble
from pam_sc.record import replace
from pam_sc.session import SessionCard
from tests.unit.monitor.sightings import ALICE, BOB, place, read, seen, token

TIMES = Times(grace_s=0.1, reader_grace_s=2.0, resume_grace_s=10.0, unwatched_s=60.0)
IN = seen(place("A"))
OUT = seen(place("A", occupied=False, changes=1))
AGAIN = seen(place("A", changes=2))
NO_READER = seen()
LOST = Trouble("pcscd has gone")
BACK = CardBack("3")


def gone(cause: Cause = Cause.REMOVED, session: str = "3") -> CardGone:
    return CardGone(session, cause)


class Scene:
    """A judge, what it sees, and all orders that it has given."""

    def __init__(self, *cards: SessionCard, times: Times = TIMES, acted: Iterable[str] = ()) -> None:
        self.judge = Judge(times)
        self.given: list[Order] = []
        self.judge.watch(cards or (ALICE,), 0.0, frozenset(acted))

    def see(self, what: Snapshot | Trouble, at: float) -> list[Order]:
        self.judge.see(what, at)
        return self.at(at)

    def read(self, at: float, *tokens: SeenToken, unread: Iterable[str] = (), failure: str = "") -> list[Order]:
        wanted = self.judge.to_identify()
        assert wanted is not None
        self.judge.know(read(wanted, *tokens, unread=unread, failure=failure), at)
        return self.at(at)

    def at(self, at: float) -> list[Order]:
        """The orders of this moment."""
        orders = list(self.judge.orders(at))
        self.given += orders
        return orders

    def when(self, at: float, until: float = 1000.0) -> tuple[float, list[Order]]:
        """The next moment with orders, found by asking when to look."""
        for _ in range(100):
            look = self.judge.next_look(at)
            if look is None or look > until:
                return until, []
            assert look >= at
            at = look
            if orders := self.at(at):
                return at, orders
        raise AssertionError("a busy loop")

    @property
    def whereabouts(self) -> Whereabouts:
        return self.judge.whereabouts("3")


def here(*cards: SessionCard, times: Times = TIMES, snapshot: Snapshot = IN, tokens: Iterable[SeenToken] = ()) -> Scene:
    """A session whose card was seen at time 0."""
    scene = Scene(*cards, times=times)
    assert scene.see(snapshot, 0.0) == []
    assert scene.read(0.0, *(tokens or (token(),))) == []
    assert scene.whereabouts is Whereabouts.HERE
    return scene


# ---------------------------------------------------------------- a card that was fixed at the login

STAYS = replace(ALICE, removable=False)
"""Such as a TPM, which the monitor's account may not open."""


def test_a_card_that_cannot_be_taken_away_and_cannot_be_read_is_not_gone() -> None:
    scene = Scene(STAYS)
    assert scene.see(OUT, 0.0) == []
    assert scene.read(0.0) == []
    assert (scene.when(0.0), scene.whereabouts) == ((1000.0, []), Whereabouts.FIXED)


def test_a_card_that_can_be_taken_away_and_is_not_there_is_gone() -> None:
    scene = Scene(ALICE)
    assert scene.see(OUT, 0.0) == []
    assert scene.read(0.0) == []
    assert scene.when(0.0) == (pytest.approx(TIMES.grace_s), [gone(Cause.GONE_AT_START)])


def test_a_card_that_is_said_to_stay_and_is_found_in_a_reader_is_watched() -> None:
    scene = here(STAYS)
    scene.see(OUT, 1.0)
    assert scene.when(1.0) == (pytest.approx(1.0 + TIMES.grace_s), [gone()])


def test_a_card_that_cannot_be_taken_away_is_not_read_without_end() -> None:
    scene, at, readings = Scene(STAYS), 0.0, 0
    scene.see(OUT, at)
    while (wanted := scene.judge.to_identify()) is not None and readings < 100:
        scene.judge.know(read(wanted, failure="no module works"), at)
        readings, at = readings + 1, at + 100.0
        assert scene.at(at) == []
    assert 1 < readings < 10


# ---------------------------------------------------------------- removal


def test_a_card_that_is_removed_is_gone_when_its_grace_is_over_and_once() -> None:
    scene = here()
    assert scene.see(OUT, 5.0) == []
    assert scene.whereabouts is Whereabouts.LEAVING
    assert scene.judge.next_look(5.0) == pytest.approx(5.1)
    assert scene.at(5.09) == []
    assert scene.at(5.1) == [gone()]
    assert scene.whereabouts is Whereabouts.GONE
    assert scene.when(5.1) == (1000.0, [])


def test_a_removal_needs_no_reading() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    assert scene.judge.to_identify() is None


def test_without_a_grace_it_is_gone_at_once() -> None:
    assert here(times=replace(TIMES, grace_s=0.0)).see(OUT, 5.0) == [gone()]


def test_a_card_that_is_back_within_its_grace_and_read_was_not_removed() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    assert scene.see(AGAIN, 5.05) == []
    assert scene.whereabouts is Whereabouts.UNKNOWN
    assert scene.read(5.4, token()) == []
    assert scene.whereabouts is Whereabouts.HERE
    assert scene.when(5.4) == (1000.0, [])


def test_a_card_that_is_back_just_after_its_grace_is_gone_and_back_also_where_nobody_asked_between() -> None:
    scene = here()
    scene.judge.see(OUT, 5.0)
    scene.judge.see(AGAIN, 5.11)
    assert scene.at(5.11) == [gone()]
    assert scene.read(5.4, token()) == [BACK]


def test_a_change_that_was_too_quick_to_be_seen_is_read_again() -> None:
    scene = here()
    assert scene.see(AGAIN, 5.0) == []
    assert scene.read(5.3, token()) == []
    assert scene.whereabouts is Whereabouts.HERE


def test_one_that_comes_back_and_cannot_be_read_counts_as_gone() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.see(AGAIN, 5.05)
    assert scene.read(5.4, unread="A") == []
    when, orders = scene.when(5.4)
    assert (when, orders) == (pytest.approx(10.05), [gone()])


def test_one_that_comes_back_and_is_read_too_late_counts_as_gone_and_is_back_then() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.see(AGAIN, 5.05)
    assert scene.read(10.06, token()) == [gone(), BACK]


def test_another_card_in_its_place_is_acted_on_when_it_was_read() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.see(AGAIN, 5.05)
    assert scene.read(5.4, token(BOB)) == [gone(Cause.REPLACED)]


def test_another_card_that_was_read_within_the_grace_waits_for_its_end() -> None:
    scene = here(times=replace(TIMES, grace_s=1.0))
    scene.see(AGAIN, 5.0)
    assert scene.read(5.4, token(BOB)) == []
    assert scene.when(5.4) == (pytest.approx(6.0), [gone(Cause.REPLACED)])


def test_a_card_that_went_while_another_reader_was_filled_is_gone_once_that_was_read() -> None:
    moved = seen(place("A", occupied=False, changes=1), place("B"))
    scene = here()
    assert scene.see(moved, 5.0) == []
    assert scene.read(5.3, token(BOB, "B")) == []
    assert scene.when(5.3) == (pytest.approx(5.4), [gone()])


def test_a_card_that_went_while_another_reader_was_filled_that_cannot_be_read_is_gone_after_the_limit() -> None:
    scene = here()
    scene.see(seen(place("A", occupied=False, changes=1), place("B")), 5.0)
    scene.read(5.3, unread="B")
    assert scene.when(5.3) == (pytest.approx(10.0), [gone()])


def test_a_card_that_was_moved_to_another_reader_is_not_gone() -> None:
    scene = here()
    scene.see(seen(place("A", occupied=False, changes=1), place("B")), 5.0)
    assert scene.read(5.3, token(where="B")) == []
    assert scene.whereabouts is Whereabouts.HERE


def test_a_card_that_comes_and_goes_too_often_to_be_read_is_gone_in_the_end() -> None:
    scene = here()
    for number in range(400):
        scene.see(seen(place("A", occupied=bool(number % 2), changes=number + 1)), 5.0 + number * 0.05)
    assert scene.given == [gone()]


def test_a_card_that_came_and_went_too_often_and_then_cannot_be_read_has_no_more_time_than_any_other() -> None:
    scene = here()
    for number in range(44):
        scene.see(seen(place("A", occupied=bool(number % 2), changes=number + 1)), 5.0 + number * 0.09)
    assert scene.when(8.87) == (pytest.approx(12.0), [gone()])


def test_a_hundred_quick_removals_and_insertions_lock_nothing_where_the_card_is_read_in_the_end() -> None:
    scene = here()
    for number in range(200):
        scene.see(seen(place("A", occupied=bool(number % 2), changes=number + 1)), 5.0 + number * 0.02)
    assert scene.read(9.3, token()) == []
    assert scene.given == []
    assert scene.whereabouts is Whereabouts.HERE


def test_a_hundred_removals_for_good_are_a_hundred_orders_and_as_many_returns() -> None:
    scene = here()
    for number in range(100):
        at = 10.0 * (number + 1)
        scene.see(seen(place("A", occupied=False, changes=2 * number + 1)), at)
        scene.at(at + 1)
        scene.see(seen(place("A", changes=2 * number + 2)), at + 2)
        scene.read(at + 3, token())
    assert scene.given == [gone(), BACK] * 100


# ---------------------------------------------------------------- readers


def test_a_reader_that_goes_has_its_own_grace() -> None:
    scene = here()
    assert scene.see(NO_READER, 5.0) == []
    assert scene.when(5.0) == (pytest.approx(7.0), [gone(Cause.READER_REMOVED)])


def test_a_reader_that_was_reset_locks_nothing() -> None:
    scene = here()
    scene.see(NO_READER, 5.0)
    scene.see(seen(place("A", occupied=False, changes=3)), 6.0)
    scene.see(seen(place("A", changes=4)), 6.05)
    assert scene.read(6.3, token()) == []


def test_a_reader_that_comes_back_empty_has_the_grace_of_a_card() -> None:
    scene = here()
    scene.see(NO_READER, 5.0)
    scene.see(OUT, 6.0)
    assert scene.when(6.0) == (pytest.approx(6.1), [gone(Cause.REMOVED)])


def test_a_reader_that_goes_just_after_its_card_does_not_put_it_off_for_ever() -> None:
    scene = here()
    for number in range(200):
        scene.see(OUT if number % 2 else NO_READER, 5.0 + number * 0.09)
    assert scene.given == [gone(Cause.REMOVED)] or scene.given == [gone(Cause.READER_REMOVED)]


# ---------------------------------------------------------------- start


def test_a_card_that_is_absent_at_the_start_is_gone_at_start() -> None:
    scene = Scene()
    assert scene.see(OUT, 1.0) == []
    assert scene.read(1.3) == []
    assert scene.when(1.3) == (pytest.approx(1.4), [gone(Cause.GONE_AT_START)])


def test_one_that_was_acted_on_before_a_restart_is_not_acted_on_again_and_is_back_later() -> None:
    scene = Scene(acted="3")
    scene.see(OUT, 1.0)
    assert scene.read(1.3) == []
    assert scene.when(1.3) == (1000.0, [])
    assert scene.whereabouts is Whereabouts.GONE
    scene.see(AGAIN, 50.0)
    assert scene.read(50.3, token()) == [BACK]
    scene.see(seen(place("A", occupied=False, changes=3)), 60.0)
    assert scene.when(60.0) == (pytest.approx(60.1), [gone()])


def test_one_that_was_acted_on_and_is_here_at_the_start_is_watched_again() -> None:
    scene = Scene(acted="3")
    scene.see(IN, 1.0)
    assert scene.read(1.3, token()) == [BACK]  # else its end, if that was put off, and the state file would wait on
    scene.see(OUT, 5.0)
    assert scene.when(5.0) == (pytest.approx(5.1), [gone()])


def test_one_that_was_acted_on_is_not_acted_on_because_nothing_can_be_read_or_seen() -> None:
    scene = Scene(acted="3")
    scene.see(OUT, 1.0)
    scene.read(1.3, failure="no module")
    scene.when(1.3, until=100.0)
    scene.see(LOST, 100.0)
    scene.when(100.0)
    assert scene.given == []
    scene = Scene(acted="3")
    scene.see(LOST, 1.0)
    assert scene.when(1.0) == (1000.0, [])
    scene.see(IN, 1000.0)
    assert scene.read(1000.3, token()) == [BACK]


def test_before_the_first_snapshot_nothing_is_decided_but_that_nothing_is_watched() -> None:
    scene = Scene()
    assert scene.at(30.0) == []
    assert scene.judge.to_identify() is None
    assert scene.whereabouts is Whereabouts.UNSEEN
    assert scene.when(30.0) == (60.0, [gone(Cause.NOT_WATCHED)])


def test_a_card_that_is_here_at_the_start_gives_no_order() -> None:
    scene = here()
    assert scene.when(0.0) == (1000.0, [])


def test_a_session_that_appears_later_and_whose_card_has_gone_is_gone_at_start() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.at(5.1)
    scene.judge.watch((ALICE, replace(ALICE, session="7")), 6.0)
    assert scene.when(6.0) == (pytest.approx(6.1), [gone(Cause.GONE_AT_START, "7")])


def test_a_session_that_appears_later_needs_no_reading_of_a_card_that_was_read() -> None:
    scene = here()
    scene.judge.watch((ALICE, replace(ALICE, session="7")), 6.0)
    assert scene.judge.to_identify() is None
    assert scene.judge.whereabouts("7") is Whereabouts.HERE


def test_an_empty_reader_and_a_module_that_does_not_work_is_a_card_that_is_gone() -> None:
    scene = Scene()
    scene.see(OUT, 1.0)
    scene.read(1.3, failure="no module")
    assert scene.when(1.3) == (pytest.approx(6.0), [gone(Cause.GONE_AT_START)])


def test_an_occupied_reader_and_a_module_that_does_not_work_is_a_card_that_is_not_watched() -> None:
    scene = Scene()
    scene.see(IN, 1.0)
    scene.read(1.3, failure="no module")
    assert scene.when(1.3) == (pytest.approx(60.0), [gone(Cause.NOT_WATCHED)])


# ---------------------------------------------------------------- readings


def test_a_place_that_stays_unread_is_read_again_with_longer_and_longer_pauses() -> None:
    scene = Scene(times=replace(TIMES, unwatched_s=0.0))
    scene.see(IN, 0.0)
    tries, at = [], 0.0
    while at < 300.0:
        assert scene.read(at, unread="A") == []
        assert scene.judge.to_identify() is None
        look = scene.judge.next_look(at)
        assert look is not None
        tries.append(look - at)
        at = look
        scene.at(at)
    assert tries[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert scene.given == []


def test_for_a_mere_return_a_place_is_not_read_without_end() -> None:
    scene = here()
    scene.see(OUT, 1.0)
    scene.at(2.0)
    scene.see(AGAIN, 3.0)
    at, tries = 3.0, 0
    while scene.judge.to_identify() is not None:
        scene.read(at, unread="A")
        tries += 1
        at = scene.judge.next_look(at) or at
        scene.at(at)
    assert tries == 5
    assert scene.judge.next_look(at) is None
    scene.see(seen(place("A", changes=4)), 500.0)
    assert scene.read(500.3, token()) == [BACK]


def test_what_was_read_before_something_changed_is_read_again_at_once() -> None:
    scene = Scene()
    scene.see(IN, 0.0)
    old = scene.judge.to_identify()
    assert old == IN
    scene.see(AGAIN, 0.1)
    scene.judge.know(read(IN, token()), 0.3)
    assert scene.judge.to_identify() == AGAIN


def test_nothing_is_read_where_no_session_is_watched() -> None:
    judge = Judge(TIMES)
    judge.see(IN, 0.0)
    assert judge.to_identify() is None
    assert judge.next_look(0.0) is None


def test_other_cards_do_not_make_anything_be_read_while_the_card_is_here() -> None:
    scene = here()
    scene.see(seen(place("A"), place("B")), 3.0)
    assert scene.judge.to_identify() is None


def test_a_session_that_comes_while_a_reading_is_put_off_is_read_at_once() -> None:
    scene = Scene()
    scene.see(IN, 0.0)
    scene.read(0.3, unread="A")
    assert scene.judge.to_identify() is None
    scene.judge.watch((ALICE, BOB), 0.4)
    assert scene.judge.to_identify() == IN


def test_a_reading_that_failed_does_not_make_forget_what_was_read_before() -> None:
    fixed = replace(BOB, session="7")
    scene = here(tokens=[token(), token(fixed, None, removable=False)])
    scene.see(AGAIN, 1.0)
    scene.read(1.3, failure="busy")
    scene.judge.watch((ALICE, fixed), 2.0)
    assert scene.judge.whereabouts("7") is Whereabouts.FIXED


# ---------------------------------------------------------------- blind


def test_blindness_for_too_long_is_acted_on_once_and_armed_again_only_by_the_card() -> None:
    scene = here()
    assert scene.see(LOST, 10.0) == []
    assert scene.whereabouts is Whereabouts.UNSEEN
    assert scene.when(10.0) == (pytest.approx(70.0), [gone(Cause.NOT_WATCHED)])
    scene.see(OUT, 80.0)
    scene.see(LOST, 90.0)
    assert scene.when(90.0) == (1000.0, [])
    scene.see(IN, 1000.0)
    assert scene.read(1000.3, token()) == [BACK]
    scene.see(LOST, 1001.0)
    assert scene.when(1001.0, 2000.0) == (pytest.approx(1061.0), [gone(Cause.NOT_WATCHED)])


def test_where_blindness_never_counts_nothing_is_acted_on() -> None:
    scene = here(times=replace(TIMES, unwatched_s=0.0))
    scene.see(LOST, 10.0)
    assert scene.when(10.0) == (1000.0, [])


def test_troubles_one_after_the_other_are_one_time_of_blindness() -> None:
    scene = here()
    for number in range(7):
        scene.see(Trouble(f"{number}"), 10.0 + 10 * number)
    assert scene.given == [gone(Cause.NOT_WATCHED)]


def test_after_blindness_the_card_is_read_again_because_it_may_be_another() -> None:
    scene = here()
    scene.see(LOST, 10.0)
    assert scene.see(IN, 12.0) == []
    assert scene.whereabouts is Whereabouts.UNKNOWN
    assert scene.read(12.3, token(BOB)) == []
    assert scene.when(12.3) == (pytest.approx(12.4), [gone(Cause.REPLACED)])


def test_after_blindness_the_same_card_is_here_and_an_empty_place_is_a_removal() -> None:
    scene = here()
    scene.see(LOST, 10.0)
    scene.see(IN, 12.0)
    assert scene.read(12.3, token()) == []
    assert scene.whereabouts is Whereabouts.HERE
    scene.see(LOST, 20.0)
    scene.see(OUT, 21.0)
    assert scene.when(21.0) == (pytest.approx(21.1), [gone()])


def test_a_reading_that_began_before_blindness_says_nothing() -> None:
    scene = Scene()
    scene.see(IN, 0.0)
    began = scene.judge.to_identify()
    assert began == IN
    scene.see(LOST, 0.1)
    scene.see(IN, 0.2)
    scene.judge.know(read(began, token()), 0.3)
    assert scene.whereabouts is Whereabouts.UNKNOWN
    assert scene.read(0.6, token()) == []
    assert scene.whereabouts is Whereabouts.HERE


def test_a_removal_that_was_seen_is_not_put_off_by_blindness() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.see(LOST, 5.05)
    assert scene.when(5.05) == (pytest.approx(5.1), [gone()])


def test_a_return_that_is_not_read_yet_is_not_put_off_by_blindness() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.see(AGAIN, 5.05)
    scene.see(LOST, 5.06)
    assert scene.when(5.06) == (pytest.approx(10.05), [gone()])


FULL = (place("A", changes=4), place("B", changes=4))


@pytest.mark.parametrize(
    "other", [seen(*FULL, source=Source.POLLING), seen(FULL[0], place("B", changes=3)), seen(place("A", changes=3), FULL[1])]
)
def test_what_is_counted_anew_is_read_anew(other: Snapshot) -> None:
    scene = here(snapshot=seen(*FULL))
    scene.see(other, 5.0)
    assert scene.judge.to_identify() == other


def test_what_is_counted_on_is_not_read_anew() -> None:
    scene = here(snapshot=seen(*FULL))
    scene.see(seen(FULL[0], place("B", changes=5)), 5.0)
    assert scene.judge.to_identify() is None


def test_what_was_read_before_blindness_says_nothing_about_a_session_that_comes_later() -> None:
    scene = here()
    scene.see(LOST, 5.0)
    scene.see(IN, 6.0)
    scene.judge.watch((ALICE, replace(ALICE, session="7")), 7.0)
    assert scene.judge.whereabouts("7") is Whereabouts.UNKNOWN


# ---------------------------------------------------------------- fixed tokens, tokens without a place


def test_a_token_that_cannot_be_taken_away_is_never_gone() -> None:
    scene = Scene()
    scene.see(seen(), 0.0)
    scene.read(0.3, token(where=None, removable=False))
    assert scene.whereabouts is Whereabouts.FIXED
    scene.judge.sleep(1.0)
    scene.judge.resume(2.0)
    scene.see(LOST, 3.0)
    scene.see(IN, 4.0)
    assert scene.when(4.0) == (1000.0, [])
    assert scene.judge.to_identify() is None


def test_a_token_that_cannot_be_taken_away_is_recognised_where_nothing_is_ever_seen() -> None:
    scene = Scene()
    scene.see(LOST, 0.0)
    assert scene.judge.to_identify() == BLIND
    assert scene.read(0.3, token(where=None, removable=False)) == []
    assert scene.whereabouts is Whereabouts.FIXED
    assert scene.when(0.3) == (1000.0, [])


def test_a_token_that_can_be_taken_away_is_not_watched_where_nothing_is_ever_seen() -> None:
    scene = Scene()
    scene.see(LOST, 0.0)
    scene.read(0.3, token(where=None))
    assert scene.judge.to_identify() is None
    assert scene.when(0.3) == (60.0, [gone(Cause.NOT_WATCHED)])


def test_a_token_without_a_place_is_read_again_when_anything_changes() -> None:
    scene = here(tokens=[token(where=None)])
    scene.see(OUT, 5.0)
    assert scene.read(5.3, token(where=None)) == []
    assert scene.whereabouts is Whereabouts.HERE
    scene.see(AGAIN, 6.0)
    assert scene.read(6.3) == []
    assert scene.when(6.3) == (pytest.approx(6.4), [gone()])


def test_a_token_without_a_place_that_cannot_be_read_again_is_not_watched() -> None:
    scene = here(tokens=[token(where=None)])
    scene.see(OUT, 5.0)
    scene.read(5.3, failure="busy")
    assert scene.when(5.3) == (pytest.approx(65.0), [gone(Cause.NOT_WATCHED)])


# ---------------------------------------------------------------- sleep


def asleep(*while_asleep: Snapshot | Trouble) -> Scene:
    """A card that was here; the machine slept from 5 to 6."""
    scene = here()
    scene.judge.sleep(5.0)
    for what in while_asleep:
        assert scene.see(what, 5.5) == []
    scene.judge.resume(6.0)
    return scene


def test_nothing_is_decided_and_read_while_the_machine_sleeps() -> None:
    scene = here()
    scene.judge.sleep(5.0)
    scene.see(OUT, 5.1)
    scene.see(AGAIN, 5.5)
    assert scene.at(9.0) == []
    assert scene.judge.to_identify() is None
    assert scene.whereabouts is Whereabouts.HERE


def test_the_same_card_after_sleep_is_here_when_it_was_read() -> None:
    scene = asleep(NO_READER)
    scene.see(IN, 8.0)
    assert scene.read(8.3, token()) == []
    assert scene.whereabouts is Whereabouts.HERE
    assert scene.when(8.3) == (1000.0, [])


def test_a_reader_that_is_not_back_after_sleep_has_the_grace_of_resume() -> None:
    assert asleep(NO_READER).when(6.0) == (pytest.approx(16.0), [gone(Cause.GONE_AFTER_SLEEP)])


def test_a_reader_that_is_back_and_empty_after_sleep_has_the_usual_grace() -> None:
    scene = asleep(NO_READER)
    scene.see(OUT, 8.0)
    assert scene.when(8.0) == (pytest.approx(8.1), [gone(Cause.GONE_AFTER_SLEEP)])


def test_a_place_that_was_last_seen_empty_before_the_machine_woke_has_the_grace_of_a_reader() -> None:
    scene = asleep(OUT)
    assert scene.when(6.0) == (pytest.approx(8.0), [gone(Cause.GONE_AFTER_SLEEP)])
    scene = asleep(OUT)
    scene.see(AGAIN, 7.9)
    assert scene.read(8.3, token()) == []


def test_another_card_after_sleep_is_acted_on() -> None:
    scene = asleep()
    assert scene.read(6.3, token(BOB)) == []
    assert scene.when(6.3) == (pytest.approx(6.4), [gone(Cause.GONE_AFTER_SLEEP)])


def test_a_removal_whose_grace_was_over_before_sleep_is_acted_on_although_the_machine_sleeps() -> None:
    scene = here()
    scene.judge.see(OUT, 5.0)
    scene.judge.sleep(5.2)
    assert scene.judge.next_look(5.2) == 5.2
    assert scene.at(5.2) == [gone()]


def test_a_removal_within_whose_grace_the_machine_fell_asleep_is_judged_when_it_is_awake() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.judge.sleep(5.05)
    assert scene.at(7.0) == []
    scene.judge.resume(8.0)
    assert scene.when(8.0) == (pytest.approx(10.0), [gone(Cause.GONE_AFTER_SLEEP)])


def test_a_session_that_was_acted_on_is_not_acted_on_after_sleep() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.at(5.1)
    scene.judge.sleep(6.0)
    scene.judge.resume(7.0)
    assert scene.when(7.0) == (1000.0, [])


def test_a_session_that_is_not_judged_yet_when_the_machine_sleeps_is_judged_as_at_the_start() -> None:
    scene = Scene()
    scene.judge.sleep(1.0)
    scene.judge.resume(2.0)
    scene.see(OUT, 2.1)
    scene.read(2.3)
    assert scene.when(2.3) == (pytest.approx(2.4), [gone(Cause.GONE_AT_START)])


def test_a_wakening_that_was_missed_is_assumed_when_time_goes_on() -> None:
    scene = here()
    scene.judge.sleep(5.0)
    scene.see(OUT, 5.1)
    assert scene.judge.next_look(6.0) == 5.0 + ASLEEP_MAX_S
    assert scene.when(6.0) == (pytest.approx(5.0 + ASLEEP_MAX_S + 2.0), [gone(Cause.GONE_AFTER_SLEEP)])


def test_what_is_first_seen_after_sleep_begins_the_grace_of_a_place_that_stayed_empty() -> None:
    scene = asleep(OUT)
    assert scene.see(seen(*OUT.places, place("B", occupied=False)), 7.0) == []
    assert scene.when(7.0) == (pytest.approx(7.1), [gone(Cause.GONE_AFTER_SLEEP)])


def test_the_grace_of_resume_ends_when_the_card_was_seen_again() -> None:
    scene = asleep()
    assert scene.read(6.3, token()) == []
    scene.see(NO_READER, 7.0)
    assert scene.when(7.0) == (pytest.approx(9.0), [gone(Cause.READER_REMOVED)])


def test_a_card_that_was_absent_at_the_start_stays_so_when_the_machine_slept_within_its_grace() -> None:
    scene = Scene()
    scene.see(NO_READER, 0.0)
    scene.read(0.3)
    assert scene.whereabouts is Whereabouts.LEAVING
    scene.judge.sleep(1.0)
    scene.judge.resume(2.0)
    assert scene.when(2.0) == (pytest.approx(12.0), [gone(Cause.GONE_AT_START)])


# ---------------------------------------------------------------- removal during unlock


def removed() -> Scene:
    scene = here()
    scene.see(OUT, 5.0)
    assert scene.at(5.1) == [gone()]
    return scene


def test_a_session_that_is_unlocked_just_after_its_card_went_is_acted_on_once_more_and_only_once() -> None:
    scene = removed()
    scene.judge.unlocked("3", 7.0)
    assert scene.judge.next_look(7.0) == 7.0
    assert scene.at(7.0) == [gone(Cause.UNLOCKED_MEANWHILE)]
    scene.judge.unlocked("3", 7.5)
    assert scene.at(7.5) == []


def test_a_session_that_is_unlocked_later_is_left_alone() -> None:
    scene = removed()
    scene.judge.unlocked("3", 10.2)
    assert scene.at(10.2) == []


def test_an_unlock_while_the_card_is_here_or_of_another_session_is_none_of_its_business() -> None:
    scene = here()
    scene.judge.unlocked("3", 1.0)
    scene.judge.unlocked("nobody's", 1.0)
    assert scene.at(1.0) == []


def test_an_unlock_after_the_card_came_back_is_left_alone() -> None:
    scene = removed()
    scene.see(AGAIN, 6.0)
    assert scene.read(6.3, token()) == [BACK]
    scene.judge.unlocked("3", 7.0)
    assert scene.at(7.0) == []


# ---------------------------------------------------------------- sessions


def test_a_session_that_ended_gets_no_order() -> None:
    scene = here()
    scene.judge.see(OUT, 5.0)
    scene.judge.see(AGAIN, 6.0)
    scene.judge.watch((), 6.0)
    assert scene.at(7.0) == []
    assert scene.judge.next_look(7.0) is None
    assert scene.whereabouts is Whereabouts.UNKNOWN


def test_a_session_whose_name_is_used_again_with_another_card_begins_anew() -> None:
    scene = removed()
    scene.judge.watch((replace(BOB, session="3"),), 6.0)
    assert scene.when(6.0) == (pytest.approx(6.1), [gone(Cause.GONE_AT_START)])


def test_being_told_of_the_same_sessions_again_changes_nothing() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.judge.watch((ALICE,), 5.05)
    assert scene.when(5.05) == (pytest.approx(5.1), [gone()])
    scene.judge.watch((ALICE,), 6.0, frozenset({"3"}))
    assert scene.when(6.0) == (1000.0, [])


def test_two_sessions_with_the_same_card_both_lose_it() -> None:
    scene = here(ALICE, replace(ALICE, session="5"))
    scene.see(OUT, 5.0)
    assert scene.at(5.1) == [gone(), gone(session="5")]


def test_two_sessions_with_a_card_each_lose_their_own() -> None:
    both: list[Place] = [place("A"), place("B")]
    scene = here(ALICE, BOB, snapshot=seen(*both), tokens=[token(), token(BOB, "B")])
    scene.see(seen(both[0], place("B", occupied=False, changes=1)), 5.0)
    assert scene.when(5.0) == (pytest.approx(5.1), [gone(session="4")])
    scene.see(seen(place("A", occupied=False, changes=1), place("B", occupied=False, changes=1)), 6.0)
    assert scene.when(6.0) == (pytest.approx(6.1), [gone()])


# ---------------------------------------------------------------- wrong times


def test_a_time_long_past_breaks_nothing() -> None:
    scene = here()
    scene.see(OUT, 5.0)
    scene.judge.see(OUT, -100.0)
    assert scene.at(-50.0) in ([], [gone()])
    scene.at(5.2)
    assert scene.given == [gone()]


@pytest.mark.parametrize("how", ["see", "sleep", "watch", "retry"])
def test_a_time_far_ahead_puts_nothing_off_for_ever(how: str) -> None:
    scene = here()
    if how == "sleep":
        scene.judge.sleep(1e9)
    if how == "watch":
        scene.judge.watch((ALICE,), 1e9)
    if how == "retry":
        scene.judge.see(AGAIN, 1e9)
        scene.judge.know(read(AGAIN, unread="A"), 1e9)
    scene.judge.see(OUT, 1e9 if how == "see" else 5.0)
    scene.at(5.0)
    when, _orders = scene.when(5.0)
    assert when <= 5.0 + ASLEEP_MAX_S + 60
    assert len(scene.given) == 1


def test_an_unlock_at_a_time_before_the_removal_was_acted_on_counts() -> None:
    scene = removed()
    scene.judge.unlocked("3", 5.0)
    assert scene.at(5.2) == [gone(Cause.UNLOCKED_MEANWHILE)]


def test_the_reader_is_known_by_the_last_reading_also_of_a_card_that_has_gone() -> None:
    scene = Scene()
    assert scene.judge.reader("3") == ""
    scene.see(IN, 0.0)
    scene.read(0.1, token())
    assert (scene.judge.reader("3"), scene.judge.reader("4")) == ("A 00 00", "")
    scene.see(OUT, 1.0)
    assert scene.when(1.0)[1] == [gone()]
    assert scene.judge.reader("3") == "A 00 00"
    scene.see(seen(place("A", occupied=False, changes=1), place("B")), 2.0)
    assert scene.read(2.1, token(ALICE, "B")) == [BACK]
    assert scene.judge.reader("3") == "B 00 00"
