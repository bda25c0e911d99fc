# SPDX-License-Identifier: LGPL-2.1-or-later
"""An open session of a PKCS#11 module: objects, logins, signatures and new PINs, one call each, within bounds.

Like module.py it uses PyKCS11's low level only. It never retries a call and never keeps a PIN.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from PyKCS11 import LowLevel

from pam_sc.card.ckr import CKR_OK, TokenError, normal, require_ok
from pam_sc.card.constants import MAX_OBJECTS, MAX_SIGNATURE
from pam_sc.card.mechanisms import Mechanism

_FIND_AT_ONCE = 16


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
        with _native_secret(pin) as native:
            return normal(self._lib.C_Login(self._handle, user_type, native))

    def login_on_reader(self, user_type: int) -> int:
        """The same with the PIN typed on the reader: NULL and 0. Returns when somebody has typed, or the reader gives up."""
        return normal(self._lib.C_Login(self._handle, user_type, LowLevel.ckbytelist()))

    def set_pin(self, old: bytearray, new: bytearray) -> int:
        """Call C_SetPIN once and return what it says. ValueError for an empty PIN."""
        with _native_secret(old) as native_old, _native_secret(new) as native_new:
            return normal(self._lib.C_SetPIN(self._handle, native_old, native_new))

    def set_pin_on_reader(self) -> int:
        """The same with both PINs typed on the reader."""
        return normal(self._lib.C_SetPIN(self._handle, LowLevel.ckbytelist(), LowLevel.ckbytelist()))

    def init_pin(self, new: bytearray) -> int:
        """Call C_InitPIN once and return what it says. ValueError for an empty PIN."""
        with _native_secret(new) as native:
            return normal(self._lib.C_InitPIN(self._handle, native))

    def init_pin_on_reader(self) -> int:
        """The same with the PIN typed on the reader."""
        return normal(self._lib.C_InitPIN(self._handle, LowLevel.ckbytelist()))

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


@contextlib.contextmanager
def _native_secret(secret: bytearray) -> Iterator[Any]:
    """The secret as PyKCS11 wants it, wiped at the end; ValueError if it is empty."""
    if not secret:
        raise ValueError("an empty PIN is never sent")
    vector = LowLevel.ckbytelist(len(secret))
    try:
        for index, byte in enumerate(secret):
            vector[index] = byte
        yield vector
    finally:
        for index in range(len(secret)):
            vector[index] = 0


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
