# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looking at readers through PC/SC with pyscard: which readers there are, and which of them have a card in them.

Only states are asked for: no card is connected to, and between two events nothing runs here (SCardGetStatusChange without
a time limit). The upper half of a reader's state counts what came and went, so a card that was too quick is seen too.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

from pam_sc.card.constants import MAX_TEXT
from pam_sc.card.presence import MAX_PLACES, LostError, MissingError, Occupancy, Way, with_own_keys
from pam_sc.card.text import clean_text

NEW_READERS = "\\\\?PnP?\\Notification"
"""The reader that stands for the list of readers."""
_CALM_S = 0.02
"""After an event that changed nothing here, such as the number of programs that use a card."""
_COUNTER_MAX = 0xFFFF
_LISTS = 5
"""How often the list of readers is read anew when a reader goes while it is asked."""
_REMEMBERED = 4 * MAX_PLACES
_NUMBERING = 8


def load_pcsc() -> Any:
    """Return pyscard's low level; MissingError where pyscard or the PC/SC library is not installed."""
    try:
        return importlib.import_module("smartcard.scard")
    except ImportError as error:
        raise MissingError(f"cannot use PC/SC: {error}") from error


class PcscSight:
    """The readers of the PC/SC service."""

    source = Way.PCSC
    may_hang = False

    def __init__(self, scard: Any) -> None:
        """Connect to the service; LostError if there is none."""
        self._scard = scard
        result, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        self._require(result)
        self._states: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._list_state = 0
        self._seen: tuple[Occupancy, ...] | None = None

    def look(self) -> tuple[Occupancy, ...]:
        """Return the readers there are."""
        before, self._states = self._states, self._read()
        for name, state in self._states.items():
            self._changes[name] = self._changes.pop(name, 0) + self._events(before.get(name), state)
        for name in list(self._changes)[:-_REMEMBERED]:
            del self._changes[name]
        places = self._places()
        if places == self._seen:
            time.sleep(_CALM_S)
        self._seen = places
        return places

    def wait(self) -> None:
        """Return when a card or a reader comes or goes, or a program begins or ends to use a card."""
        scard = self._scard
        known = [(name, state & ~scard.SCARD_STATE_CHANGED) for name, state in self._states.items()]
        result, states = scard.SCardGetStatusChange(
            self._context, scard.INFINITE, [*known, (NEW_READERS, self._list_state)])
        self._require(result, scard.SCARD_E_TIMEOUT, scard.SCARD_E_UNKNOWN_READER)
        if result == scard.SCARD_S_SUCCESS and states:
            self._list_state = states[-1][1] & ~scard.SCARD_STATE_CHANGED

    def _places(self) -> tuple[Occupancy, ...]:
        keys = with_own_keys([clean_text(name, MAX_TEXT - _NUMBERING) for name in self._states])
        return tuple(
            Occupancy(key=key, description=clean_text(name, MAX_TEXT), occupied=self._has_card(state),
                      changes=self._changes[name])
            for key, (name, state) in zip(keys, self._states.items(), strict=True)
        )[:MAX_PLACES]

    def _events(self, before: int | None, state: int) -> int:
        """How much has come and gone between two states of a reader; the reader itself, if there is no state before."""
        if before is None:
            return 1
        counted = ((state >> 16) - (before >> 16)) & _COUNTER_MAX
        return counted or int(self._has_card(before) != self._has_card(state))

    def _has_card(self, state: int) -> bool:
        return bool(state & self._scard.SCARD_STATE_PRESENT)

    def _read(self) -> dict[str, int]:
        """The state of each reader. One that PC/SC has and cannot use does not count."""
        scard = self._scard
        for _ in range(_LISTS):
            asked = [(name, scard.SCARD_STATE_UNAWARE) for name in self._list()]
            if not asked:
                return {}
            result, states = scard.SCardGetStatusChange(self._context, 0, asked)
            self._require(result, scard.SCARD_E_TIMEOUT, scard.SCARD_E_UNKNOWN_READER)
            if result != scard.SCARD_E_UNKNOWN_READER:
                useless = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE
                return {name: state for name, state, _atr in states if not state & useless}
        raise LostError("cannot see the readers: they change faster than they can be asked")

    def _list(self) -> list[str]:
        result, readers = self._scard.SCardListReaders(self._context, [])
        self._require(result, self._scard.SCARD_E_NO_READERS_AVAILABLE)
        return list(readers) if result == self._scard.SCARD_S_SUCCESS else []

    def _require(self, result: int, *allowed: int) -> None:
        if result not in (self._scard.SCARD_S_SUCCESS, *allowed):
            why = clean_text(str(self._scard.SCardGetErrorMessage(result)))
            raise LostError(f"cannot see the readers: PC/SC says {why!r} ({result & 0xFFFFFFFF:#x})")
