# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a card is: what a reading says of a place as it was, and what may have changed since."""

from __future__ import annotations

import pytest

from pam_sc.monitor.facts import Cause
from pam_sc.monitor.presence import Absent, Blind, Clue, Fixed, Here, NotKnown, Presence, find, fits, learn, outdate
from pam_sc.monitor.sight import Identified, Snapshot, Source, Trouble
from pam_sc.record import replace
from tests.unit.monitor.sightings import ALICE, BOB, HASH, place, read, seen, token

ONE = seen(place("A"))
TWO = seen(place("A"), place("B"))
EMPTY = seen(place("A", occupied=False, changes=1))


def clue(*readings: Identified) -> Clue:
    known = Clue()
    for reading in readings:
        known = learn(known, ALICE, reading)
    return known


def after(snapshot: Snapshot | Trouble | None, *readings: Identified) -> Presence:
    return find(clue(*readings), snapshot)


# ---------------------------------------------------------------- which token it is


def test_a_token_with_all_texts_and_the_certificate_is_the_card() -> None:
    assert fits(ALICE, token())
    assert fits(ALICE, token(certificates=["ee" * 32, HASH]))


@pytest.mark.parametrize("name", ["label", "serial", "manufacturer", "model"])
def test_a_token_with_one_other_text_is_another_card(name: str) -> None:
    assert not fits(ALICE, token(**{name: "other"}))


def test_a_token_with_equal_texts_and_another_certificate_is_another_card() -> None:
    assert not fits(ALICE, token(certificates=["ee" * 32]))


def test_texts_alone_count_where_no_certificate_could_be_read_or_none_is_shown() -> None:
    assert fits(ALICE, token(certificates=None))
    assert fits(ALICE, replace(token(), certificates=frozenset()))


# ---------------------------------------------------------------- here


def test_a_card_is_in_the_place_where_it_was_read_while_that_is_as_it_was() -> None:
    assert after(ONE, read(ONE, token())) == Here("A")
    assert after(seen(place("A"), place("B")), read(ONE, token())) == Here("A")


def test_a_place_that_changed_since_is_not_known_although_it_is_occupied() -> None:
    changed = seen(place("A", changes=2))
    assert after(changed, read(ONE, token())) == NotKnown(left=True, empty=False)


def test_of_two_cards_with_equal_labels_the_one_with_the_certificate_counts() -> None:
    other = token(BOB, "B", serial=ALICE.serial)
    assert after(TWO, read(TWO, other, token(where="A"))) == Here("A")
    gone = seen(place("A", occupied=False, changes=1), place("B"))
    assert after(gone, read(TWO, other, token(where="A"))) == Absent(Cause.REMOVED)


def test_something_with_its_texts_and_no_certificate_is_not_the_card_while_the_card_is_there() -> None:
    """A look-alike in a second reader, put there before the card is taken away."""
    gone = seen(place("A", occupied=False, changes=1), place("B"))
    alike = token(where="B", certificates=None)
    assert after(gone, read(TWO, token(where="A"), alike)) == Absent(Cause.REMOVED)
    assert after(gone, read(ONE, token()), read(TWO, token(where="A", certificates=None), alike)) == Absent(Cause.REMOVED)
    assert after(gone, read(TWO, token(where="A", certificates=None), alike)) == Here("B")  # nobody can tell which it is


def test_a_card_that_was_moved_to_another_reader_is_there() -> None:
    moved = seen(place("A", occupied=False, changes=1), place("B", changes=1))
    assert after(moved, read(ONE, token()), read(moved, token(where="B"))) == Here("B")


def test_a_card_that_is_shown_in_two_slots_is_here_while_one_of_them_shows_it() -> None:
    reading = read(TWO, token(where="A"), token(where="B"))
    assert after(seen(place("A", occupied=False, changes=1), place("B")), reading) == Here("B")


def test_a_card_stays_here_while_its_place_could_not_be_read_again_and_has_not_changed() -> None:
    assert after(ONE, read(ONE, token()), read(ONE, unread="A")) == Here("A")


def test_a_card_that_is_read_no_more_in_an_unchanged_place_is_not_here() -> None:
    assert after(ONE, read(ONE, token()), read(ONE)) == Absent(Cause.REPLACED)


# ---------------------------------------------------------------- absent


def test_an_empty_place_says_that_the_card_was_removed_without_a_reading() -> None:
    assert after(EMPTY, read(ONE, token())) == Absent(Cause.REMOVED)


def test_a_place_that_is_no_more_says_that_the_reader_was_removed() -> None:
    assert after(seen(), read(ONE, token())) == Absent(Cause.READER_REMOVED)


def test_another_card_in_its_place_is_known_once_it_was_read() -> None:
    swapped = seen(place("A", changes=2))
    assert after(swapped, read(ONE, token()), read(swapped, token(BOB))) == Absent(Cause.REPLACED)


def test_a_card_that_was_never_here_is_absent_once_all_was_read() -> None:
    assert after(ONE, read(ONE, token(BOB))) == Absent(Cause.REMOVED)
    assert after(seen(), read(seen())) == Absent(Cause.READER_REMOVED)


def test_nothing_is_absent_before_a_reading_worked() -> None:
    assert after(EMPTY) == NotKnown(left=False, empty=True)
    assert after(EMPTY, read(EMPTY, failure="no module")) == NotKnown(left=False, empty=True)
    assert after(ONE, read(ONE, token(), failure="no module")) == NotKnown(left=False, empty=False)


# ---------------------------------------------------------------- other places


def test_a_place_that_could_not_be_read_while_the_card_was_elsewhere_does_not_hold_it_later() -> None:
    without = seen(place("A", occupied=False, changes=1), place("B"))
    assert after(without, read(TWO, token(), unread="B")) == Absent(Cause.REMOVED)


def test_a_place_that_was_filled_meanwhile_may_hold_it_until_it_was_read() -> None:
    filled = seen(place("A", occupied=False, changes=1), place("B", changes=1))
    reading = read(seen(place("A"), place("B", occupied=False)), token())
    assert after(filled, reading) == NotKnown(left=True, empty=True)
    assert after(filled, reading, read(filled, unread="B")) == NotKnown(left=True, empty=True)
    assert after(filled, reading, read(filled, token(BOB, "B"))) == Absent(Cause.REMOVED)


def test_what_is_known_of_a_place_outlives_a_reading_that_could_not_read_it() -> None:
    first = read(TWO, token(), unread="B")
    swapped = seen(place("A", changes=2), place("B"))
    assert after(swapped, first, read(swapped, token(BOB), unread="B")) == Absent(Cause.REPLACED)


def test_a_place_that_was_never_read_may_hold_it() -> None:
    assert after(ONE, read(ONE, unread="A")) == NotKnown(left=False, empty=False)


# ---------------------------------------------------------------- tokens without a place, and fixed ones


def test_a_token_without_a_place_counts_until_anything_changes() -> None:
    reading = read(ONE, token(BOB), token(where=None))
    assert after(ONE, reading) == Here(None)
    assert after(EMPTY, reading) == NotKnown(left=False, empty=False)
    assert after(EMPTY, reading, read(EMPTY)) == Absent(Cause.REMOVED)


def test_a_place_that_the_snapshot_does_not_have_is_none() -> None:
    assert after(ONE, read(ONE, token(where="gone"))) == Here(None)


def test_a_token_that_cannot_be_taken_away_is_fixed_whatever_is_seen() -> None:
    reading = read(seen(), token(where=None, removable=False))
    for what in (None, Trouble("no pcscd"), seen(), ONE):
        assert after(what, reading) == Fixed()
    assert find(outdate(clue(reading)), ONE) == Fixed()
    assert after(ONE, reading, read(ONE)) == Fixed()


def test_a_fixed_token_of_another_card_never_matters() -> None:
    fixed = token(BOB, None, removable=False)
    assert after(EMPTY, read(ONE, fixed, token())) == Absent(Cause.REMOVED)


def test_a_card_that_is_read_beside_a_fixed_token_of_the_same_name_is_watched() -> None:
    assert after(ONE, read(ONE, token(where=None, removable=False), token())) == Here("A")


# ---------------------------------------------------------------- blind


@pytest.mark.parametrize("nothing", [None, Trouble("pcscd has gone")])
def test_nothing_is_known_of_a_card_while_nothing_is_seen(nothing: Trouble | None) -> None:
    assert after(nothing, read(ONE, token())) == Blind()


def test_after_a_time_of_blindness_an_occupied_place_is_read_again_and_an_empty_one_is_empty() -> None:
    blind = outdate(clue(read(TWO, token(), unread="B")))
    assert find(blind, ONE) == NotKnown(left=True, empty=False)
    assert find(blind, EMPTY) == Absent(Cause.REMOVED)
    assert find(blind, seen()) == Absent(Cause.READER_REMOVED)
    assert find(blind, seen(place("A", occupied=False), place("B"))) == NotKnown(left=True, empty=True)
    assert find(learn(blind, ALICE, read(ONE, token())), ONE) == Here("A")


def test_after_a_time_of_blindness_a_token_without_a_place_is_not_known() -> None:
    blind = outdate(clue(read(seen(), token(where=None))))
    assert find(blind, seen()) == NotKnown(left=False, empty=False)
    assert find(blind, seen(source=Source.POLLING)) == NotKnown(left=False, empty=False)
