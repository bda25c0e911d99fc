# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 module within bounds: here and in session.py alone PyKCS11 is touched, and only its low level.

PyKCS11's own conveniences loop, allocate and copy as the module tells them; here every list is cut off, every buffer
has its size before the module sees it, and every text stays bytes. A module can still crash or hang this process: that
is what the process is for. Nothing here believes a module, retries a call or sends a PIN on its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from PyKCS11 import LowLevel

from pam_sc.card.ckr import CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_OK, normal, require_ok
from pam_sc.card.constants import (
    CKF_DONT_BLOCK,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKF_SIGN,
    MAX_SLOTS,
)
from pam_sc.card.mechanisms import MECHANISMS
from pam_sc.card.session import Session
from pam_sc.record import record

_MAX_EVENTS = 2 * MAX_SLOTS


@record(kw_only=True)
class ModuleInfo:
    """CK_INFO, texts as the module wrote them."""

    description: bytes
    manufacturer: bytes
    version: str


@record(kw_only=True)
class SlotInfo:
    """CK_SLOT_INFO, texts as the module wrote them."""

    description: bytes
    manufacturer: bytes
    flags: int


@record(kw_only=True)
class TokenInfo:
    """CK_TOKEN_INFO, texts as the module wrote them."""

    label: bytes
    manufacturer: bytes
    model: bytes
    serial: bytes
    flags: int
    pin_min: int
    pin_max: int


class Module:
    """One loaded and initialized module."""

    def __init__(self, lib: Any) -> None:
        self._lib = lib

    @classmethod
    def load(cls, path: str) -> Module:
        """Load and initialize the module at this absolute path, or TokenError."""
        lib = LowLevel.CPKCS11Lib()
        require_ok("C_Initialize", lib.Load(path))
        return cls(lib)

    def initialize(self) -> None:
        """Initialize the module again after `finalize`."""
        rv = normal(self._lib.C_Initialize())
        if rv != CKR_CRYPTOKI_ALREADY_INITIALIZED:
            require_ok("C_Initialize", rv)

    def finalize(self) -> None:
        """End every session and connection of the module, whatever it says to that."""
        self._lib.C_Finalize()

    def info(self) -> ModuleInfo:
        """What the module says about itself."""
        found = LowLevel.CK_INFO()
        require_ok("C_GetInfo", self._lib.C_GetInfo(found))
        raw = _raw(found, 80)
        version = found.libraryVersion
        return ModuleInfo(description=raw[48:80], manufacturer=raw[2:34], version=f"{version.major}.{version.minor}")

    def slots(self) -> tuple[int, ...]:
        """The slot ids, each once, in the module's order, at most MAX_SLOTS."""
        found = LowLevel.ckulonglist()
        require_ok("C_GetSlotList", self._lib.C_GetSlotList(0, found))
        return tuple(dict.fromkeys(found[index] for index in range(min(len(found), MAX_SLOTS))))

    def slot_info(self, slot: int) -> SlotInfo:
        """What the module says about one slot."""
        found = LowLevel.CK_SLOT_INFO()
        require_ok("C_GetSlotInfo", self._lib.C_GetSlotInfo(slot, found))
        raw = _raw(found, 96)
        return SlotInfo(description=raw[:64], manufacturer=raw[64:96], flags=found.flags)

    def token_info(self, slot: int) -> TokenInfo:
        """What the module says about the token in a slot."""
        found = LowLevel.CK_TOKEN_INFO()
        require_ok("C_GetTokenInfo", self._lib.C_GetTokenInfo(slot, found))
        raw = _raw(found, 96)
        return TokenInfo(label=raw[:32], manufacturer=raw[32:64], model=raw[64:80], serial=raw[80:96],
                         flags=found.flags, pin_min=found.ulMinPinLen, pin_max=found.ulMaxPinLen)

    def signature_mechanisms(self, slot: int) -> frozenset[str]:
        """Those of our mechanisms that the token can sign with. Asked one by one: PyKCS11 makes up list entries."""
        return frozenset(name for name, mechanism in MECHANISMS.items() if self._signs(slot, mechanism.number))

    def drain_events(self) -> frozenset[int]:
        """The slots where a token came or went since this was last asked; empty where the module cannot say."""
        changed: set[int] = set()
        for _ in range(_MAX_EVENTS):
            rv, slot = self._lib.C_WaitForSlotEvent(CKF_DONT_BLOCK, 0)
            if rv != CKR_OK:
                break
            changed.add(slot)
        return frozenset(changed)

    def await_event(self) -> int | None:
        """Block until a token comes or goes, and say in which slot; None if the module does not. Nothing else runs then."""
        rv, slot = self._lib.C_WaitForSlotEvent(0, 0)
        return slot if rv == CKR_OK else None

    def next_event(self) -> int:
        """Block until a token comes or goes, and say in which slot; TokenError if the module does not. Nothing else runs."""
        rv, slot = self._lib.C_WaitForSlotEvent(0, 0)
        require_ok("C_WaitForSlotEvent", rv)
        return int(slot)

    def open_session(self, slot: int, *, writable: bool = False) -> Session:
        """Open a session, read-only unless `writable`. Who opens it closes it, or ends the process."""
        handle = LowLevel.CK_SESSION_HANDLE()
        flags = CKF_SERIAL_SESSION | (CKF_RW_SESSION if writable else 0)
        require_ok("C_OpenSession", self._lib.C_OpenSession(slot, flags, handle))
        return Session(self._lib, handle)

    @contextlib.contextmanager
    def session(self, slot: int) -> Iterator[Session]:
        """A read-only session that is closed at the end."""
        session = self.open_session(slot)
        try:
            yield session
        finally:
            session.close()

    def _signs(self, slot: int, mechanism: int) -> bool:
        found = LowLevel.CK_MECHANISM_INFO()
        rv = normal(self._lib.C_GetMechanismInfo(slot, mechanism, found))
        return rv == CKR_OK and bool(found.flags & CKF_SIGN)


def _raw(structure: Any, size: int) -> bytes:
    """The first bytes of a C structure: PyKCS11's own getters drop what is no UTF-8 without a trace."""
    raw = LowLevel.cdata(structure, size)
    # SWIG before 4.2 gives a str with surrogates for what is no UTF-8
    return raw if isinstance(raw, bytes) else str(raw).encode("utf-8", "surrogateescape")
