# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looking at the slots of a module that shows what a test puts into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from pam_sc.card.ckr import CKR_FUNCTION_NOT_SUPPORTED, TokenError
from pam_sc.card.module import Module, ModuleInfo, SlotInfo, TokenInfo
from pam_sc.card.presence import LostError, Occupancy, Way
from pam_sc.card.slot_watch import SlotSight

PRESENT, REMOVABLE = 0x1, 0x2
DEVICE_ERROR = 0x30


class FakeModule:
    """Slots with the serial number of their token in them; None is empty."""

    def __init__(self, slots: dict[int, str | None], *, description: bytes = b"A module", removable: bool = True) -> None:
        self.content = slots
        self.description = description
        self.removable = removable
        self.events: list[int] = [9]
        self.blocking: list[Callable[[], int]] = []
        self.read = 0
        self.begun = 0
        self.failing = False

    def info(self) -> ModuleInfo:
        return ModuleInfo(description=self.description, manufacturer=b"", version="1.0")

    def slots(self) -> tuple[int, ...]:
        if self.failing:
            raise TokenError("C_GetSlotList", DEVICE_ERROR)
        return tuple(self.content)

    def slot_info(self, slot: int) -> SlotInfo:
        flags = (PRESENT if self.content[slot] is not None else 0) | (REMOVABLE if self.removable else 0)
        return SlotInfo(description=b"Reader 00   ", manufacturer=b"", flags=flags)

    def token_info(self, slot: int) -> TokenInfo:
        self.read += 1
        serial = self.content[slot] or ""
        if serial == "!":
            raise TokenError("C_GetTokenInfo", DEVICE_ERROR)
        return TokenInfo(label=b"login", manufacturer=b"", model=b"", serial=serial.encode(), flags=0, pin_min=0, pin_max=0)

    def drain_events(self) -> frozenset[int]:
        events, self.events = frozenset(self.events), []
        return events

    def next_event(self) -> int:
        return self.blocking.pop(0)()

    def finalize(self) -> None:
        self.begun -= 1

    def initialize(self) -> None:
        self.begun += 2


def sight(module: FakeModule, *, events: bool = False) -> SlotSight:
    return SlotSight(cast("Module", module), events=events, poll_s=0.001)


def changes(places: tuple[Occupancy, ...]) -> dict[str, int]:
    return {place.key: place.changes for place in places}


def test_slots_are_told_by_their_number_with_their_description() -> None:
    (place,) = sight(FakeModule({7: "1"})).look()
    assert (place.key, place.description, place.occupied) == ("7", "Reader 00", True)


def test_what_a_module_tells_at_first_of_all_that_is_there_is_no_change() -> None:
    module = FakeModule({9: "1"})
    one = sight(module)
    assert one.look() == one.look()


@pytest.mark.parametrize(("before", "after"), [("1", None), (None, "1"), ("1", "2"), ("1", "!")])
def test_a_token_that_came_went_or_was_swapped_between_two_looks_is_counted(before: str | None, after: str | None) -> None:
    module = FakeModule({1: before, 2: "other"})
    one = sight(module)
    first = changes(one.look())
    module.content[1] = after
    second = changes(one.look())
    assert second["1"] > first["1"]
    assert second["2"] == first["2"]


def test_a_token_that_was_put_back_is_counted_where_the_module_tells_of_it() -> None:
    module = FakeModule({1: "1"})
    one = sight(module)
    first = changes(one.look())
    module.events = [1]
    assert changes(one.look())["1"] == first["1"] + 1


@pytest.mark.parametrize("module", [
    FakeModule({1: "1"}, description=b"OpenSC smartcard framework"), FakeModule({1: "1"}, removable=False),
], ids=["OpenSC may hang", "it stays for ever"])
def test_texts_are_not_asked_for_where_that_helps_nobody(module: FakeModule) -> None:
    sight(module).look()
    assert module.read == 0


def test_by_events_no_token_is_asked_for_anything() -> None:
    module = FakeModule({1: "1"})
    module.blocking = [lambda: 1]
    one = sight(module, events=True)
    first = one.look()
    one.wait()
    assert changes(one.look())["1"] == first[0].changes + 1
    assert (module.read, one.source) == (0, Way.SLOTS)


def fail(ckr: int) -> Callable[[], int]:
    def raise_it() -> int:
        raise TokenError("C_WaitForSlotEvent", ckr)
    return raise_it


def test_a_module_without_events_is_polled() -> None:
    module = FakeModule({1: "1"})
    module.blocking = [fail(CKR_FUNCTION_NOT_SUPPORTED)]
    one = sight(module, events=True)
    one.look()
    one.wait()
    one.look()
    one.wait()
    assert one.source is Way.POLLING


@pytest.mark.parametrize(("ckr", "source"), [(CKR_FUNCTION_NOT_SUPPORTED, Way.POLLING), (DEVICE_ERROR, Way.SLOTS)])
def test_a_module_that_has_lost_its_slots_is_begun_anew_and_asked_for_events_if_it_has_them(ckr: int, source: Way) -> None:
    module = FakeModule({1: "1"})
    module.blocking = [fail(ckr)]
    one = sight(module, events=True)
    one.look()
    one.wait()
    module.content = {}
    assert one.look() == ()
    assert (module.begun, one.source) == (1, source)


def test_a_module_that_fails_now_and_then_shows_what_it_showed_before() -> None:
    module = FakeModule({1: "1"})
    one = sight(module)
    first = one.look()
    module.failing = True
    assert one.look() == first
    module.failing = False
    assert one.look() == first


def test_a_module_that_goes_on_failing_is_a_loss() -> None:
    module = FakeModule({1: "1"})
    one = sight(module)
    one.look()
    module.failing = True
    one.look()
    one.look()
    with pytest.raises(LostError, match="cannot see the slots: C_GetSlotList"):
        one.look()


def test_a_module_that_fails_at_once_is_a_loss() -> None:
    module = FakeModule({})
    module.failing = True
    with pytest.raises(LostError, match="C_GetSlotList"):
        sight(module).look()


def test_a_module_that_tells_of_events_for_ever_is_asked_more_and_more_seldom() -> None:
    module = FakeModule({1: "1"})
    one = SlotSight(cast("Module", module), events=True, poll_s=1.0)
    pauses = []
    for _ in range(8):
        one.look()
        pauses.append(one._pause_s)
    assert pauses[0] < 0.05 and pauses[-1] == 1.0
