# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 module within bounds: the only place that touches PyKCS11, and only its low level.

PyKCS11's own conveniences loop, allocate and copy as the module tells them; here every list is cut off, every buffer
has its size before the module sees it, and every text stays bytes. A module can still crash or hang this process: that
is what the process is for. Nothing here believes a module, retries a call or sends a PIN on its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from PyKCS11 import LowLevel

from pam_sc.card.ckr import CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_OK, TokenError, normal, require_ok
from pam_sc.card.constants import (
    CKF_DONT_BLOCK,
    CKF_SERIAL_SESSION,
    CKF_SIGN,
    MAX_OBJECTS,
    MAX_SIGNATURE,
    MAX_SLOTS,
)
from pam_sc.card.mechanisms import MECHANISMS, Mechanism
from pam_sc.record import record

_FIND_AT_ONCE = 16
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

    def open_session(self, slot: int) -> Session:
        """Open a read-only session. Who opens it closes it, or ends the process."""
        handle = LowLevel.CK_SESSION_HANDLE()
        require_ok("C_OpenSession", self._lib.C_OpenSession(slot, CKF_SERIAL_SESSION, handle))
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


class Session:
    """One open session."""

    def __init__(self, lib: Any, handle: Any) -> None:
        self._lib = lib
        self._handle = handle

    def close(self) -> None:
        """Close the session, whatever the module says to that."""
        self._lib.C_CloseSession(self._handle)

    def find(self, wanted: Mapping[int, int | bytes]) -> tuple[int, ...]:
        """The handles of the objects with these attributes, in the token's order, at most MAX_OBJECTS."""
        require_ok("C_FindObjectsInit", self._lib.C_FindObjectsInit(self._handle, _template(wanted)))
        try:
            return self._found()
        finally:
            self._lib.C_FindObjectsFinal(self._handle)

    def _found(self) -> tuple[int, ...]:
        handles: list[int] = []
        while len(handles) < MAX_OBJECTS:
            chunk = LowLevel.ckulonglist(_FIND_AT_ONCE)
            require_ok("C_FindObjects", self._lib.C_FindObjects(self._handle, chunk))
            if not 0 < len(chunk) <= _FIND_AT_ONCE:
                break
            handles.extend(chunk)
        return tuple(handles[:MAX_OBJECTS])

    def attribute(self, handle: int, kind: int, limit: int) -> bytes:
        """One attribute of at most `limit` bytes, in one call with a buffer of that size; TokenError without it."""
        template = LowLevel.ckattrlist(1)
        template[0].SetType(kind)
        template[0].Reserve(limit)
        rv = self._lib.C_GetAttributeValue(self._handle, _object(handle), template)
        require_ok("C_GetAttributeValue", rv)
        value = bytes(template[0].GetBin())
        if len(value) > limit:
            raise OversizedError(len(value), limit)
        return value

    def attribute_or(self, handle: int, kind: int, limit: int, default: bytes = b"") -> bytes:
        """The same, with a default for an attribute that cannot be read."""
        try:
            return self.attribute(handle, kind, limit)
        except TokenError:
            return default

    def login(self, user_type: int, pin: bytearray) -> int:
        """Call C_Login once and return what it says. ValueError for an empty PIN, which would start a pinpad."""
        if not pin:
            raise ValueError("an empty PIN is never sent")
        vector = LowLevel.ckbytelist(len(pin))
        try:
            for index, byte in enumerate(pin):
                vector[index] = byte
            return normal(self._lib.C_Login(self._handle, user_type, vector))
        finally:
            for index in range(len(pin)):
                vector[index] = 0

    def logout(self) -> int:
        """Call C_Logout once and return what it says."""
        return normal(self._lib.C_Logout(self._handle))

    def sign_init(self, mechanism: Mechanism, key: int) -> int:
        """Call C_SignInit once and return what it says."""
        native, _parameters = _native(mechanism)  # the parameters live until the call is over
        return normal(self._lib.C_SignInit(self._handle, native, _object(key)))

    def sign(self, content: bytes) -> bytes:
        """Call C_Sign once with a buffer of MAX_SIGNATURE bytes and return the signature, or TokenError."""
        signature = LowLevel.ckbytelist(MAX_SIGNATURE)
        require_ok("C_Sign", self._lib.C_Sign(self._handle, LowLevel.ckbytelist(content), signature))
        if len(signature) > MAX_SIGNATURE:
            raise OversizedError(len(signature), MAX_SIGNATURE)
        return bytes(signature)


class OversizedError(TokenError):
    """The module says that it wrote more than it was given room for."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("the module's answer", CKR_OK)
        self.args = (f"the module's answer: {size} bytes where {limit} were allowed",)


def _raw(structure: Any, size: int) -> bytes:
    """The first bytes of a C structure: PyKCS11's own getters drop what is no UTF-8 without a trace."""
    raw = LowLevel.cdata(structure, size)
    # SWIG before 4.2 gives a str with surrogates for what is no UTF-8
    return raw if isinstance(raw, bytes) else str(raw).encode("utf-8", "surrogateescape")


def _object(handle: int) -> Any:
    native = LowLevel.CK_OBJECT_HANDLE()
    native.assign(handle)
    return native


def _template(wanted: Mapping[int, int | bytes]) -> Any:
    template = LowLevel.ckattrlist(len(wanted))
    for index, (kind, value) in enumerate(wanted.items()):
        if isinstance(value, int):
            template[index].SetNum(kind, value)
        else:
            template[index].SetBin(kind, LowLevel.ckbytelist(value))
    return template


def _native(mechanism: Mechanism) -> tuple[Any, Any]:
    native = LowLevel.CK_MECHANISM()
    native.mechanism = mechanism.number
    if mechanism.pss is None:
        return native, None
    parameters = LowLevel.CK_RSA_PKCS_PSS_PARAMS()
    parameters.hashAlg = mechanism.pss.hash
    parameters.mgf = mechanism.pss.mgf
    parameters.sLen = mechanism.pss.salt
    native.pParameter = parameters
    native.ulParameterLen = LowLevel.CK_RSA_PKCS_PSS_PARAMS_LENGTH
    return native, parameters
