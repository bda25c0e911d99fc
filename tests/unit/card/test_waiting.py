# SPDX-License-Identifier: LGPL-2.1-or-later
"""What counts as a token that came or went, with a module that shows what a test puts into its slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import pytest

from pam_sc.card.ckr import TokenError
from pam_sc.card.module import Module, SlotInfo, TokenInfo
from pam_sc.card.waiting import AFTER_EVENT, LOOK_EVERY, Watch, tokens_of
from pam_sc.decision.card_report import Failure, ModuleReport, SlotReport, TokenRef, TokenReport
from pam_sc.decision.reasons import Reason

PRESENT, REMOVABLE, INITIALIZED = 0x1, 0x2, 0x400
ALICE, BOB = "alice", "bob"
BROKEN = "!"
EMPTY = "-"


class FakeModule:
    """Slots with the serial number of their token in them."""

    def __init__(self, slots: Mapping[int, str | None], *, removable: bool = False) -> None:
        self.content = dict(slots)
        self.events: list[int] = []
        self.blocking: list[Callable[[], int | None]] = []
        self.removable = removable

    def slots(self) -> tuple[int, ...]:
        return tuple(self.content)

    def slot_info(self, slot: int) -> SlotInfo:
        flags = (PRESENT if self.content[slot] is not None else 0) | (REMOVABLE if self.removable else 0)
        return SlotInfo(description=b"", manufacturer=b"", flags=flags)

    def token_info(self, slot: int) -> TokenInfo:
        serial = self.content[slot] or ""
        if serial == BROKEN:
            raise TokenError("C_GetTokenInfo", 0xE1)
        return TokenInfo(label=b"login", manufacturer=b"", model=b"", serial=serial.encode(),
                         flags=0 if serial == EMPTY else INITIALIZED, pin_min=0, pin_max=0)

    def drain_events(self) -> frozenset[int]:
        events, self.events = frozenset(self.events), []
        return events

    def await_event(self) -> int | None:
        return self.blocking.pop(0)()


class Looks:
    """Lets one thing happen between two looks; the wait is interrupted when nothing more is to happen."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        self.left = list(happenings)
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        if not self.left:
            return True
        self.left.pop(0)()
        return False


def watch(*modules: FakeModule, reported: Mapping[tuple[int, int], str]) -> Watch:
    identities = {place: ("login", "", "", serial) if serial else () for place, serial in reported.items()}
    return Watch(cast(Mapping[int, Module], dict(enumerate(modules))), identities)


def nothing() -> None:
    """A look at which all is as it was."""


def test_a_token_that_came_before_the_wait_began_is_seen() -> None:
    assert watch(FakeModule({0: ALICE}), reported={}).wait(present=True, interrupted=Looks())


def test_a_token_that_was_reported_has_not_come() -> None:
    looks = Looks(nothing, nothing)
    assert not watch(FakeModule({0: ALICE}), reported={(0, 0): ALICE}).wait(present=True, interrupted=looks)
    assert looks.pauses == [LOOK_EVERY] * 3


def test_another_token_in_the_slot_has_come() -> None:
    assert watch(FakeModule({0: BOB}), reported={(0, 0): ALICE}).wait(present=True, interrupted=Looks())


def test_a_reader_that_comes_with_a_token_is_seen() -> None:
    module = FakeModule({0: ALICE})
    looks = Looks(lambda: module.content.update({1: BOB}))
    assert watch(module, reported={(0, 0): ALICE}).wait(present=True, interrupted=looks)


def test_a_token_in_the_second_module_is_seen() -> None:
    first, second = FakeModule({0: None}), FakeModule({0: None})
    looks = Looks(nothing, lambda: second.content.update({0: ALICE}))
    assert watch(first, second, reported={}).wait(present=True, interrupted=looks)


def test_the_same_token_out_and_in_again_has_come() -> None:
    module = FakeModule({0: ALICE})
    looks = Looks(lambda: module.content.update({0: None}), lambda: module.content.update({0: ALICE}))
    assert watch(module, reported={(0, 0): ALICE}).wait(present=True, interrupted=looks)


def test_the_same_token_out_and_in_between_two_looks_has_come_where_the_module_says_so() -> None:
    module = FakeModule({0: ALICE})
    assert watch(module, reported={(0, 0): ALICE}).wait(present=True, interrupted=Looks(lambda: module.events.append(0)))


def test_an_empty_token_never_comes() -> None:
    assert not watch(FakeModule({0: EMPTY}), reported={}).wait(present=True, interrupted=Looks(nothing))


def test_a_token_that_cannot_be_read_has_come_when_it_stays_so() -> None:
    looks = Looks(*[nothing] * 10)
    assert watch(FakeModule({0: BROKEN}), reported={}).wait(present=True, interrupted=looks)
    assert len(looks.pauses) == 3


def test_a_token_that_is_powering_up_has_come_when_it_can_be_read() -> None:
    module = FakeModule({0: BROKEN})
    looks = Looks(lambda: module.content.update({0: ALICE}))
    assert watch(module, reported={}).wait(present=True, interrupted=looks)
    assert len(looks.pauses) == 1


def test_a_slot_that_was_reported_as_broken_has_not_come() -> None:
    assert not watch(FakeModule({0: BROKEN}), reported={(0, 0): ""}).wait(present=True, interrupted=Looks(*[nothing] * 6))


def test_all_are_gone_when_none_was_there() -> None:
    assert watch(FakeModule({0: BOB}), reported={}).wait(present=False, interrupted=Looks())


def test_all_are_gone_when_each_went() -> None:
    module = FakeModule({0: ALICE, 1: BOB})
    looks = Looks(lambda: module.content.update({0: None}), lambda: module.content.pop(1))
    assert watch(module, reported={(0, 0): ALICE, (0, 1): BOB}).wait(present=False, interrupted=looks)
    assert len(looks.pauses) == 2


def test_another_token_does_not_stay_for_the_one_that_went() -> None:
    module = FakeModule({0: ALICE})
    looks = Looks(lambda: (module.content.update({0: BOB}), module.events.append(0)))
    assert watch(module, reported={(0, 0): ALICE}).wait(present=False, interrupted=looks)


def test_whoever_waits_for_tokens_to_go_reads_none() -> None:
    module = FakeModule({0: BROKEN})
    assert not watch(module, reported={(0, 0): ALICE}).wait(present=False, interrupted=Looks(nothing, nothing))


def test_a_token_that_stays_in_its_slot_is_not_asked_again() -> None:
    """A card that was pulled before the card service has seen it can hang the module that asks it."""
    module = FakeModule({0: ALICE})
    looks = Looks(lambda: module.content.update({0: BROKEN}), nothing, nothing, nothing, nothing)
    assert not watch(module, reported={(0, 0): ALICE}).wait(present=False, interrupted=looks)


def test_one_that_stays_is_waited_for() -> None:
    module = FakeModule({0: ALICE, 1: BOB})
    looks = Looks(lambda: module.content.update({0: None}))
    assert not watch(module, reported={(0, 0): ALICE, (0, 1): BOB}).wait(present=False, interrupted=looks)


# ---------------------------------------------------------------- blocking


def test_one_module_with_removable_slots_blocks() -> None:
    module = FakeModule({0: None}, removable=True)

    def insert() -> int:
        module.content[0] = ALICE
        return 0

    module.blocking.append(insert)
    looks = Looks(nothing)
    assert watch(module, reported={}).wait(present=True, interrupted=looks)
    assert looks.pauses == [AFTER_EVENT]


def test_a_module_that_cannot_block_is_looked_at() -> None:
    module = FakeModule({0: None}, removable=True)
    module.blocking.append(lambda: None)
    looks = Looks(nothing, nothing)
    assert not watch(module, reported={}).wait(present=True, interrupted=looks)
    assert looks.pauses == [LOOK_EVERY] * 3


@pytest.mark.parametrize(("removable", "modules", "present"), [(False, 1, True), (True, 2, True), (True, 1, False)])
def test_whoever_might_miss_something_does_not_block(removable: bool, modules: int, present: bool) -> None:
    made = [FakeModule({0: ALICE}, removable=removable) for _ in range(modules)]
    reported = {(index, 0): ALICE for index in range(modules)}
    looks = Looks(nothing)
    assert not watch(*made, reported=reported).wait(present=present, interrupted=looks)
    assert looks.pauses == [LOOK_EVERY] * 2


def test_a_module_without_a_slot_does_not_block() -> None:
    looks = Looks(nothing)
    assert not watch(FakeModule({}, removable=True), reported={}).wait(present=True, interrupted=looks)


def test_a_token_that_may_be_powering_up_is_not_blocked_for() -> None:
    module = FakeModule({0: BROKEN}, removable=True)
    assert watch(module, reported={}).wait(present=True, interrupted=Looks(*[nothing] * 4))


# ---------------------------------------------------------------- what was reported


def test_tokens_and_slots_that_could_not_be_read_are_known_from_the_report() -> None:
    token = TokenReport(ref=TokenRef(1, 5), label="login", serial="01")
    slots = (SlotReport(slot_id=5, token=token), SlotReport(slot_id=6, failure=Failure(Reason.TOKEN_UNREADABLE, "")),
             SlotReport(slot_id=7))
    reports = (ModuleReport(index=0, path="/a"), ModuleReport(index=1, path="/b", slots=slots))
    assert tokens_of(reports) == {(1, 5): ("login", "", "", "01"), (1, 6): ()}
