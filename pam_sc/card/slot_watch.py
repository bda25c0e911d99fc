# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looking at the slots of one PKCS#11 module: by its slot events, or again and again where it has none.

By events only flags are asked for (what a module then does with its card is its own affair), and a token that was swapped
faster than the module tells is not seen to be another one. Where nothing tells of events, the texts of tokens are compared
as well, so that a token that was swapped between two looks shows itself; not with OpenSC, whose own record of events
shows that, and which may wait for ever where a card that has just been pulled is asked. A module that has lost all its slots
is initialized anew: some do not find the reader service again when it comes back. Never logs in, opens no session.
"""

from __future__ import annotations

import time

from pam_sc.card.ckr import CKR_FUNCTION_NOT_SUPPORTED, TokenError
from pam_sc.card.constants import CKF_REMOVABLE_DEVICE, CKF_TOKEN_PRESENT
from pam_sc.card.ending import is_opensc
from pam_sc.card.module import Module, SlotInfo
from pam_sc.card.presence import LostError, Occupancy, Way
from pam_sc.card.text import clean

AFTER_EVENT_S = 0.02
"""After an event, growing while events bring nothing new: a module may say that something happened for ever."""
_ERRORS_MAX = 3
"""Looks that fail one after the other before the process begins anew."""


class SlotSight:
    """The slots of a module. Without `events`, or where the module has none, it polls."""

    may_hang = True

    def __init__(self, module: Module, *, events: bool, poll_s: float) -> None:
        self._module = module
        self._has_events = events
        self._events = events
        self._poll_s = poll_s
        self._reads_texts = not is_opensc(module)
        self._pause_s = AFTER_EVENT_S
        self._errors = 0
        self._changes: dict[int, int] = {}
        self._known: dict[int, tuple[object, ...]] = {}
        self._seen: tuple[Occupancy, ...] | None = None
        module.drain_events()  # some tell at first of all that is there

    @property
    def source(self) -> Way:
        """Who tells of changes."""
        return Way.SLOTS if self._events else Way.POLLING

    def look(self) -> tuple[Occupancy, ...]:
        """Return the slots there are; as last time if the module fails, but not for ever."""
        try:
            places = self._look()
            self._errors = 0
        except TokenError as error:
            self._errors += 1
            if self._seen is None or self._errors >= _ERRORS_MAX:
                raise LostError(f"cannot see the slots: {error}") from error
            places = self._seen
        self._pause_s = min(2 * self._pause_s, self._poll_s) if places == self._seen else AFTER_EVENT_S
        self._seen = places
        return places

    def wait(self) -> None:
        """Return after the next event, or when it is time for the next look."""
        if not (self._events and self._seen and not self._errors):
            time.sleep(self._poll_s)
            return
        try:
            slot = self._module.next_event()
        except TokenError as error:
            self._events = False  # until it is initialized anew, unless it has none at all
            self._has_events &= error.ckr != CKR_FUNCTION_NOT_SUPPORTED
            return
        self._changes[slot] = self._changes.get(slot, 0) + 1
        time.sleep(self._pause_s)

    def _look(self) -> tuple[Occupancy, ...]:
        slots = self._module.slots()
        if not slots and self._seen is not None:
            self._module.finalize()
            self._module.initialize()
            self._events = self._has_events
            slots = self._module.slots()
        for slot in self._module.drain_events():
            self._changes[slot] = self._changes.get(slot, 0) + 1
        self._changes = {slot: self._changes.get(slot, 0) for slot in (*slots, *self._changes)}
        self._known = {slot: known for slot, known in self._known.items() if slot in slots}
        return tuple(self._place(slot) for slot in slots)

    def _place(self, slot: int) -> Occupancy:
        info = self._module.slot_info(slot)
        occupied = bool(info.flags & CKF_TOKEN_PRESENT)
        here = (occupied, *self._texts(slot, info))
        if self._known.get(slot) != here:
            self._changes[slot] += 1
            self._known[slot] = here
        return Occupancy(key=str(slot), description=clean(info.description), occupied=occupied,
                         changes=self._changes[slot])

    def _texts(self, slot: int, info: SlotInfo) -> tuple[bytes, ...]:
        """What the token says about itself, where nothing else would tell that it is another one."""
        wanted = CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE
        if self._events or not self._reads_texts or info.flags & wanted != wanted:
            return ()
        try:
            token = self._module.token_info(slot)
        except TokenError as error:
            return (str(error).encode(),)
        return token.label, token.manufacturer, token.model, token.serial
