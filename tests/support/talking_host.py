# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PAM application that is led by the hand: each thing it is told or asked is reported at once, each answer comes later.

Run as a program in a world (standard library and libpam only), one JSON value a line. The first line of its input is the
order; then `{"call": FUNCTION, "flags": N}` or `{"end": true}`. It writes `{"style": N, "text": ...}` for each message of
the conversation, waits for `{"answer": ...}` after a question, and writes `{"code": N, "user": ..., "environment": [...]}`
after a call. What modules say to syslog comes on standard error. With "extensions" in the order it understands GDM's
list of choices, as a gdm-session-worker does, and reports it with its choices.
"""

from __future__ import annotations

import ctypes
import json
import locale
import os
import struct
import sys
from typing import Any

ECHO_OFF, ECHO_ON, ERROR, INFORMATION, BINARY = 1, 2, 3, 4, 7
_CONV_ERR, _CONV_AGAIN = 19, 30
_ITEMS = {"tty": 3, "rhost": 4, "ruser": 8, "authtok": 6}
_USER, _FAIL_DELAY = 2, 10
_CHOICES = "org.gnome.DisplayManager.UserVerifier.ChoiceList"


class _Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_void_p)]


class _Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("retcode", ctypes.c_int)]


_Converse = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(_Message)), ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p
)
_FailDelay = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = [("converse", _Converse), ("data", ctypes.c_void_p)]


class _Host:
    def __init__(self, order: dict[str, Any]) -> None:
        self._libc, self._pam = ctypes.CDLL(None), ctypes.CDLL("libpam.so.0")
        self._libc.calloc.restype = self._libc.strdup.restype = ctypes.c_void_p
        self._pam.pam_getenvlist.restype = ctypes.POINTER(ctypes.c_char_p)
        self._handle = ctypes.c_void_p()
        self._conversation = _Conversation(_Converse(self._converse), None)
        self._no_delay = _FailDelay(lambda _code, _microseconds, _data: None)
        self._delays: list[int] = []
        if order.get("language"):
            locale.setlocale(locale.LC_ALL, order["language"])
        if order.get("extensions"):
            os.environ["GDM_SUPPORTED_PAM_EXTENSIONS"] = _CHOICES
        self._libc.openlog(b"host", 0x20, 10 << 3)
        self._start(order)

    def _start(self, order: dict[str, Any]) -> None:
        user = order.get("user")
        code = self._pam.pam_start_confdir(
            order["service"].encode(), None if user is None else user.encode(), ctypes.byref(self._conversation),
            b"/etc/pam.d", ctypes.byref(self._handle),
        )  # fmt: skip
        if code != 0:
            raise SystemExit(f"pam_start_confdir: {code}")
        self._pam.pam_set_item(self._handle, _FAIL_DELAY, self._no_delay)
        for name, value in order.get("items", {}).items():
            self._pam.pam_set_item(self._handle, _ITEMS[name], ctypes.c_char_p(value.encode()))
        for variable in order.get("environment", []):
            self._pam.pam_putenv(self._handle, variable.encode())

    def serve(self) -> None:
        code = 0
        while "end" not in (order := _hear()):
            code = getattr(self._pam, f"pam_{order['call']}")(self._handle, order.get("flags", 0))
            _say({"code": code, "user": self._user(), "environment": self._environment()})
        self._pam.pam_end(self._handle, code)

    def _user(self) -> str | None:
        user = ctypes.c_char_p()
        self._pam.pam_get_item(self._handle, _USER, ctypes.byref(user))
        return None if user.value is None else user.value.decode(errors="backslashreplace")

    def _environment(self) -> list[str]:
        found: list[str] = []
        entries = self._pam.pam_getenvlist(self._handle)
        while entries and (entry := entries[len(found)]) is not None:
            found.append(entry.decode())
        return found

    def _converse(self, count: int, messages: Any, responses: Any, _data: Any) -> int:
        array = self._libc.calloc(count, ctypes.sizeof(_Response))
        responses[0] = array
        for number in range(count):
            message = messages[number].contents
            _say(_told(message))
            if message.style in (ECHO_OFF, ECHO_ON, BINARY):
                response = _Response.from_address(array + number * ctypes.sizeof(_Response))
                code = self._answer(response, message.style, _hear()["answer"], responses)
                if code:
                    return code
        return 0

    def _answer(self, response: _Response, style: int, answer: Any, responses: Any) -> int:
        if answer == {"cancel": True}:
            return _CONV_ERR
        if answer == {"again": True}:
            return _CONV_AGAIN
        if answer == {"eof": True}:
            return 0
        if answer == {"nothing": True}:
            responses[0] = None
            return 0
        response.text = _choice(self._libc, answer) if style == BINARY else self._libc.strdup(answer.encode())
        return 0


def _told(message: _Message) -> dict[str, Any]:
    if message.style == BINARY:
        return {"style": BINARY, **_choices(message.text)}
    text = ctypes.string_at(message.text) if message.text else b""
    return {"style": message.style, "text": text.decode(errors="backslashreplace")}


def _choices(address: int) -> dict[str, Any]:
    """GDM's request for a choice (gdm-choice-list-pam-extension.h): header, prompt, number, pairs of key and text."""
    length, kind = struct.unpack(">IB", ctypes.string_at(address, 5))
    whole = ctypes.string_at(address, length)
    prompt, count = struct.unpack("@PN", whole[8:24])
    assert len(whole) == 24 + 16 * count
    pairs = [struct.unpack("@PP", whole[24 + 16 * at : 40 + 16 * at]) for at in range(count)]
    choices = [[ctypes.string_at(key).decode(), ctypes.string_at(text).decode()] for key, text in pairs]
    return {"type": kind, "text": ctypes.string_at(prompt).decode(), "choices": choices}


def _choice(libc: Any, key: str) -> int:
    """GDM's answer: header, and a pointer to the key."""
    place: int = libc.calloc(1, 16)
    ctypes.memmove(place, struct.pack(">IB", 16, 0), 5)
    ctypes.memmove(place + 8, struct.pack("@P", libc.strdup(key.encode())), 8)
    return place


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        os._exit(0)  # whoever led this has gone
    heard: dict[str, Any] = json.loads(line)
    return heard


if __name__ == "__main__":
    _Host(_hear()).serve()
