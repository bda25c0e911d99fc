# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looking at readers, with a PC/SC service that says what a test wants it to say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pam_sc.card.pcsc_watch import NEW_READERS, PcscSight
from pam_sc.card.presence import LostError

EMPTY, PRESENT, CHANGED, INUSE, UNAVAILABLE = 0x10, 0x20, 0x2, 0x100, 0x8
A, B = "Reader A 00", "Reader B 00"


class FakeScard:
    """The names of pyscard's low level that are used; states as the service would tell them."""

    SCARD_S_SUCCESS, SCARD_E_TIMEOUT, SCARD_E_UNKNOWN_READER = 0, 0x8010000A, 0x80100009
    SCARD_E_NO_READERS_AVAILABLE, SCARD_E_NO_SERVICE = 0x8010002E, 0x8010001D
    SCARD_SCOPE_SYSTEM, INFINITE = 2, 0xFFFFFFFF
    SCARD_STATE_UNAWARE, SCARD_STATE_CHANGED, SCARD_STATE_PRESENT = 0, CHANGED, PRESENT
    SCARD_STATE_UNKNOWN, SCARD_STATE_UNAVAILABLE = 0x4, UNAVAILABLE

    def __init__(self, states: dict[str, int]) -> None:
        self.states = states
        self.service = 0
        self.asked: list[tuple[int, list[tuple[str, int]]]] = []
        self.failures: list[int] = []
        self.while_waiting: Callable[[], object] = lambda: None

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:  # noqa: N802 - as pyscard has it
        return self.service, 7

    def SCardListReaders(self, context: int, groups: list[str]) -> tuple[int, list[str]]:  # noqa: N802 - as pyscard has it
        assert (context, groups) == (7, [])
        if self.service or not self.states:
            return self.service or self.SCARD_E_NO_READERS_AVAILABLE, []
        return 0, list(self.states)

    def SCardGetStatusChange(  # noqa: N802 - as pyscard has it
        self, context: int, limit: int, asked: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        self.asked.append((limit, asked))
        if self.failures:
            return self.failures.pop(0), []
        if limit == self.INFINITE:
            self.while_waiting()
        answer = [(name, self.states.get(name, 0) | CHANGED, []) for name, _state in asked]
        return self.service, [(name, state, atr) for name, state, atr in answer]

    def SCardGetErrorMessage(self, result: int) -> str:  # noqa: N802 - as pyscard has it
        return "Service not available."


def fake(**states: int) -> FakeScard:
    return FakeScard({{"a": A, "b": B}[name]: state for name, state in states.items()})


def test_readers_are_told_with_their_names_in_their_order() -> None:
    places = PcscSight(fake(a=EMPTY, b=PRESENT)).look()
    assert [(place.key, place.description, place.occupied) for place in places] == [(A, A, False), (B, B, True)]


def test_no_reader_is_no_fault() -> None:
    assert PcscSight(fake()).look() == ()


@pytest.mark.parametrize(("before", "after", "grown"), [
    (EMPTY, 1 << 16 | PRESENT, 1),
    (1 << 16 | PRESENT, 3 << 16 | PRESENT, 2),
    (0xFFFF << 16 | PRESENT, 0 << 16 | EMPTY, 1),
    (0xFFFF << 16 | PRESENT, 1 << 16 | PRESENT, 2),
    (PRESENT, EMPTY, 1),
    (1 << 16 | PRESENT, 1 << 16 | PRESENT | INUSE, 0),
    (1 << 16 | PRESENT | INUSE, 1 << 16 | PRESENT, 0),
])
def test_what_came_and_went_between_two_looks_is_counted(before: int, after: int, grown: int) -> None:
    scard = fake(a=before)
    sight = PcscSight(scard)
    first = sight.look()
    scard.states[A] = after
    second = sight.look()
    assert second[0].changes - first[0].changes == grown
    assert second[0].occupied is bool(after & PRESENT)


def test_a_reader_that_went_and_came_back_has_changed_though_it_counts_from_the_beginning() -> None:
    scard = fake(a=5 << 16 | PRESENT, b=EMPTY)
    sight = PcscSight(scard)
    before = sight.look()
    del scard.states[A]
    assert [place.key for place in sight.look()] == [B]
    scard.states[A] = PRESENT
    after = sight.look()
    assert {place.key: place.changes for place in after}[A] > before[0].changes


def test_a_reader_that_cannot_be_used_does_not_count() -> None:
    assert [place.key for place in PcscSight(fake(a=UNAVAILABLE | PRESENT, b=PRESENT)).look()] == [B]


def test_a_reader_that_goes_while_it_is_asked_has_the_list_read_anew() -> None:
    scard = fake(a=EMPTY)
    scard.failures = [scard.SCARD_E_UNKNOWN_READER] * 3
    assert [place.key for place in PcscSight(scard).look()] == [A]


def test_readers_that_never_stay_as_they_are_are_a_loss() -> None:
    scard = fake(a=EMPTY)
    scard.failures = [scard.SCARD_E_UNKNOWN_READER] * 100
    with pytest.raises(LostError, match="they change faster"):
        PcscSight(scard).look()


def test_the_wait_has_no_limit_and_names_what_was_seen_and_the_list_of_readers() -> None:
    scard = fake(a=3 << 16 | PRESENT)
    sight = PcscSight(scard)
    sight.look()
    sight.wait()
    assert scard.asked[-1] == (scard.INFINITE, [(A, 3 << 16 | PRESENT), (NEW_READERS, 0)])


def test_what_the_service_said_of_the_list_of_readers_is_said_to_it_the_next_time() -> None:
    scard = fake(a=EMPTY)
    sight = PcscSight(scard)
    sight.look()
    scard.states[NEW_READERS] = 2 << 16
    sight.wait()
    sight.wait()
    assert scard.asked[-1][1][-1] == (NEW_READERS, 2 << 16)


def test_a_reader_that_goes_during_the_wait_ends_it() -> None:
    scard = fake(a=EMPTY)
    sight = PcscSight(scard)
    sight.look()
    scard.failures = [scard.SCARD_E_UNKNOWN_READER]
    sight.wait()


@pytest.mark.parametrize("act", [PcscSight.look, PcscSight.wait], ids=["look", "wait"])
def test_a_service_that_went_is_a_loss_with_its_words(act: Callable[[PcscSight], object]) -> None:
    scard = fake(a=EMPTY)
    sight = PcscSight(scard)
    sight.look()
    scard.service = scard.SCARD_E_NO_SERVICE
    with pytest.raises(LostError, match=r"PC/SC says 'Service not available\.' \(0x8010001d\)"):
        act(sight)


def test_a_service_that_is_not_there_is_a_loss() -> None:
    scard = fake(a=EMPTY)
    scard.service = scard.SCARD_E_NO_SERVICE
    with pytest.raises(LostError, match="cannot see the readers"):
        PcscSight(scard)


def test_readers_whose_clean_names_are_alike_have_keys_of_their_own() -> None:
    places = PcscSight(FakeScard({"A\x01": EMPTY, "A\x02": PRESENT})).look()
    assert len({place.key for place in places}) == 2
    assert all(place.key.isprintable() for place in places)
