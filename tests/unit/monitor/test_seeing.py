# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is told when several processes watch, and how their counts go on over their ends."""

from __future__ import annotations

from pam_sc.card.presence import Occupancy, Presence, Way
from pam_sc.monitor.seeing import Whole
from pam_sc.monitor.sight import Place, Snapshot, Source, Trouble

Told = list[Snapshot | Trouble]


def sees(*occupied: bool, changes: int = 1, source: Way = Way.SLOTS, first: int = 0) -> Presence:
    return Presence(source, tuple(
        Occupancy(key=str(first + number), description="A 00", occupied=one, changes=changes)
        for number, one in enumerate(occupied)))


def whole() -> tuple[Whole, Told]:
    told: Told = []
    return Whole(told.append), told


def places(one: Snapshot | Trouble) -> tuple[Place, ...]:
    assert isinstance(one, Snapshot)
    return one.places


def test_nothing_is_told_before_each_process_has_said_something() -> None:
    together, told = whole()
    one, other = together.part("0:"), together.part("1:")
    one.see(sees(True))
    assert (told, together.source) == ([], None)
    other.see(sees(False))
    assert [place.key for place in places(told[0])] == ["0:0", "1:0"]
    assert (len(told), together.source) == (1, Source.SLOTS)


def test_what_has_not_changed_is_not_told_again() -> None:
    together, told = whole()
    part = together.part("")
    part.see(sees(True))
    part.see(sees(True))
    assert len(told) == 1


def test_a_card_that_was_too_quick_to_be_seen_is_told() -> None:
    together, told = whole()
    part = together.part("")
    part.see(sees(True, changes=1))
    part.see(sees(True, changes=3))
    assert [places(one)[0].changes for one in told] == [1, 3]


def test_one_that_polls_makes_the_whole_polled() -> None:
    together, _told = whole()
    one, other = together.part("0:"), together.part("1:")
    one.see(sees(True))
    other.see(sees(True, source=Way.POLLING))
    assert together.source is Source.POLLING


def test_an_outage_is_told_once_and_its_end_by_a_snapshot_with_grown_counts() -> None:
    together, told = whole()
    part = together.part("")
    part.see(sees(True, changes=5))
    part.lose("it ended")
    part.lose("it ended again")
    assert (told[1:], together.source) == ([Trouble("it ended")], None)
    part.see(sees(True, changes=1))
    assert len(told) == 3
    assert places(told[2])[0].changes > places(told[0])[0].changes


def test_a_second_outage_is_told_again() -> None:
    together, told = whole()
    part = together.part("")
    for _ in range(2):
        part.see(sees(True))
        part.lose("it ended")
    assert [type(one) for one in told] == [Snapshot, Trouble, Snapshot, Trouble]


def test_one_that_was_well_and_is_lost_holds_back_what_the_other_sees() -> None:
    together, told = whole()
    one, other = together.part("0:"), together.part("1:")
    one.see(sees(True))
    other.see(sees(True))
    other.lose("it ended")
    one.see(sees(False, changes=2))
    assert [type(entry) for entry in told] == [Snapshot, Trouble]
    other.see(sees(True))
    assert [place.occupied for place in places(told[2])] == [False, True]


def test_one_that_was_never_well_hides_nothing() -> None:
    together, told = whole()
    one, other = together.part("0:"), together.part("1:")
    one.see(sees(True))
    other.lose("there is no such file")
    assert [type(entry) for entry in told] == [Trouble, Snapshot]
    assert [place.key for place in places(told[1])] == ["0:0"]
    other.lose("there is no such file")
    assert len(told) == 2


def test_a_count_that_falls_is_a_change_all_the_same() -> None:
    together, told = whole()
    part = together.part("")
    part.see(sees(True, changes=9))
    part.see(sees(True, changes=2))
    assert places(told[1])[0].changes > places(told[0])[0].changes


def test_a_place_that_went_and_came_back_has_grown() -> None:
    together, told = whole()
    part = together.part("")
    part.see(sees(True, changes=4))
    part.see(sees(changes=0))
    part.see(sees(True, changes=4))
    assert places(told[2])[0].changes > places(told[0])[0].changes


def test_a_process_that_makes_up_places_does_not_fill_the_memory() -> None:
    together, _told = whole()
    part = together.part("")
    for number in range(2000):
        part.see(sees(True, first=number))
    assert len(part._totals) <= 300


def by_pcsc(name: str = "Reader 00", *, occupied: bool = False) -> Presence:
    return Presence(Way.PCSC, (Occupancy(key=name, description=name, occupied=occupied, changes=1),))


def beside(*names: str) -> Presence:
    return Presence(Way.SLOTS, tuple(
        Occupancy(key=str(number), description=name, occupied=True, changes=1) for number, name in enumerate(names)))


def test_slots_that_are_watched_beside_pcsc_count_where_they_are_no_readers() -> None:
    together, told = whole()
    together.part("").see(by_pcsc())
    together.part("0:", beside=True).see(beside("Reader 00", "A key with a driver of its own"))
    assert [place.key for place in places(told[-1])] == ["Reader 00", "0:1"]
    assert together.source is Source.PCSC


def test_a_slot_that_has_the_cut_name_of_a_reader_is_that_reader() -> None:
    together, told = whole()
    together.part("").see(by_pcsc("R" * 70))
    together.part("0:", beside=True).see(beside("R" * 64, "R" * 63))
    assert [place.key for place in places(told[-1])] == ["R" * 70, "0:1"]


def test_nobody_waits_for_slots_that_are_watched_beside() -> None:
    together, told = whole()
    reader, slots = together.part(""), together.part("0:", beside=True)
    reader.see(by_pcsc())
    assert len(told) == 1
    slots.see(beside("A key"))
    assert len(told) == 2


def test_slots_beside_that_are_lost_are_trouble_until_they_are_back() -> None:
    together, told = whole()
    reader, slots = together.part(""), together.part("0:", beside=True)
    reader.see(by_pcsc())
    slots.see(beside("A key"))
    slots.lose("it ended")
    reader.see(by_pcsc(occupied=True))
    assert [type(one) for one in told] == [Snapshot, Snapshot, Trouble]
    slots.see(beside("A key"))
    assert [place.key for place in places(told[-1])] == ["Reader 00", "0:0"]
