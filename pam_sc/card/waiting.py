# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for a token to come, or for those that were reported to go. Reads flags and texts; never logs in.

What is there is compared with what was reported last, so that nothing is missed between a report and the wait. After
that only slots are looked at, until a token comes: to ask a card that has just been pulled can hang OpenSC. One
module whose slots are removable may block until it has something to say. Several modules cannot, nor one that does not
say what happens; and whoever waits for a token to go is not told by every module that the whole reader went. These are
asked again and again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from pam_sc.card.ckr import TokenError
from pam_sc.card.constants import CKF_REMOVABLE_DEVICE, CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT
from pam_sc.card.module import Module
from pam_sc.card.text import clean
from pam_sc.decision.card_report import ModuleReport, SlotReport

Place = tuple[int, int]
"""Module and slot."""
Identity = tuple[str, ...]

LOOK_EVERY = 0.25
"""Seconds between two looks."""
AFTER_EVENT = 0.02
"""Seconds after an event, so that a module that says "something happened" for ever does not keep the machine busy."""
_UNREADABLE: Identity = ()
_UNREADABLE_LOOKS = 4
"""A token that cannot be read has come when it still cannot be read after so many looks; it may be powering up."""


def tokens_of(reports: Iterable[ModuleReport]) -> dict[Place, Identity]:
    """The tokens of a report."""
    slots = ((module.index, slot) for module in reports for slot in module.slots)
    return {(index, slot.slot_id): identity for index, slot in slots if (identity := _identity_of(slot)) is not None}


def _identity_of(slot: SlotReport) -> Identity | None:
    token = slot.token
    if token is None:
        return None if slot.failure is None else _UNREADABLE
    return token.label, token.manufacturer, token.model, token.serial


class Watch:
    """One wait: the modules, and the tokens that were reported and are still there."""

    def __init__(self, modules: Mapping[int, Module], reported: Mapping[Place, Identity]) -> None:
        self._modules = modules
        self._left = dict(reported)
        self._read: dict[Place, Identity] = {}
        self._looks: Counter[Place] = Counter()
        self._may_block = len(modules) == 1

    def wait(self, *, present: bool, interrupted: Callable[[float], bool]) -> bool:
        """Wait until a token comes (`present`) or all are gone; False if interrupted.

        `interrupted` waits for some seconds and says whether something else is to be done.
        """
        while not self._has_come_true(present=present):
            if interrupted(self._pause(present=present)):
                return False
        return True

    def _pause(self, *, present: bool) -> float:
        """Block until something happens, where that can be done; then the seconds until the next look."""
        if not (present and self._may_block and not self._looks and self._removable()):
            return LOOK_EVERY
        ((index, module),) = self._modules.items()
        slot = module.await_event()
        if slot is None:
            self._may_block = False
            return LOOK_EVERY
        self._changed((index, slot))
        return AFTER_EVENT

    def _changed(self, place: Place) -> None:
        """Something came or went there: what was known of it counts no more."""
        self._left.pop(place, None)
        self._read.pop(place, None)

    def _has_come_true(self, *, present: bool) -> bool:
        for index, module in self._modules.items():
            for slot in module.drain_events():
                self._changed((index, slot))
        found = dict(self._found() if present else self._still_there())
        self._read = {place: identity for place, identity in found.items() if identity != _UNREADABLE}
        new = [place for place, identity in found.items() if self._left.get(place) != identity]
        self._looks = Counter({place: self._looks[place] + 1 for place in new})
        self._left = {place: identity for place, identity in self._left.items() if found.get(place) == identity}
        if not present:
            return not self._left
        return any(found[place] or looks >= _UNREADABLE_LOOKS for place, looks in self._looks.items())

    def _found(self) -> Iterator[tuple[Place, Identity]]:
        for index, module in self._modules.items():
            for slot in _slots(module):
                identity = _identity(module, slot, self._read.get((index, slot)))
                if identity is not None:
                    yield (index, slot), identity

    def _still_there(self) -> Iterator[tuple[Place, Identity]]:
        """Those that were reported and whose slot still says so: one that is just being taken out is not to be read.

        OpenSC 0.23 waits for itself for ever in C_GetTokenInfo where a card goes meanwhile.
        """
        for (index, slot), identity in self._left.items():
            if index in self._modules and _is_occupied(self._modules[index], slot):
                yield (index, slot), identity

    def _removable(self) -> bool:
        """Whether there is a slot, and none whose token stays for ever."""
        try:
            flags = [module.slot_info(slot).flags for module in self._modules.values() for slot in module.slots()]
        except TokenError:
            return False
        return bool(flags) and all(flag & CKF_REMOVABLE_DEVICE for flag in flags)


def _slots(module: Module) -> tuple[int, ...]:
    try:
        return module.slots()
    except TokenError:
        return ()


def _is_occupied(module: Module, slot: int) -> bool:
    try:
        return slot in module.slots() and bool(module.slot_info(slot).flags & CKF_TOKEN_PRESENT)
    except TokenError:
        return False


def _identity(module: Module, slot: int, known: Identity | None) -> Identity | None:
    """What the token in a slot says about itself, or has said before; None where there is none, or one without content."""
    try:
        if not module.slot_info(slot).flags & CKF_TOKEN_PRESENT:
            return None
        if known is not None:
            return known
        info = module.token_info(slot)
    except TokenError:
        return _UNREADABLE
    if not info.flags & CKF_TOKEN_INITIALIZED:
        return None
    return tuple(clean(raw) for raw in (info.label, info.manufacturer, info.model, info.serial))
