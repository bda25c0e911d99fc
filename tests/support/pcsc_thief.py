# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody else at the reader: asks the card for signatures without knowing the PIN, again and again.

Runs as a program of its own (standard library only) under another account. Each attempt goes straight to the card
through PC/SC, past every PKCS#11 module. It says "try" before each attempt and its result after it: the card's status
word in hex, or "pcsc" and the error of the reader daemon. It ends with its standard input.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

_SHARE_SHARED, _PROTOCOL_T1, _LEAVE_CARD = 2, 2, 0
_SIGN_9A = bytes.fromhex("0087119a267c2482008120") + bytes(32)
_SIGN_9C = bytes.fromhex("0087119c267c2482008120") + bytes(32)
SUCCESS = "9000"


class _IoRequest(ctypes.Structure):
    _fields_ = [("protocol", ctypes.c_ulong), ("length", ctypes.c_ulong)]


class _Thief:
    def __init__(self, reader: str) -> None:
        self._reader = reader.encode()
        self._pcsc = ctypes.CDLL("libpcsclite.so.1")
        self._context = ctypes.c_long()

    def attempt(self, command: bytes) -> str:
        handle, protocol = ctypes.c_long(), ctypes.c_ulong()
        code = self._establish() or self._pcsc.SCardConnect(
            self._context, self._reader, ctypes.c_ulong(_SHARE_SHARED), ctypes.c_ulong(_PROTOCOL_T1),
            ctypes.byref(handle), ctypes.byref(protocol))
        if code:
            return f"pcsc {code & 0xFFFFFFFF:08x}"
        try:
            return self._transmit(handle, protocol, command)
        finally:
            self._pcsc.SCardDisconnect(handle, ctypes.c_ulong(_LEAVE_CARD))

    def _establish(self) -> int:
        if self._context.value and self._pcsc.SCardIsValidContext(self._context) == 0:
            return 0
        return int(self._pcsc.SCardEstablishContext(ctypes.c_ulong(2), None, None, ctypes.byref(self._context)))

    def _transmit(self, handle: ctypes.c_long, protocol: ctypes.c_ulong, command: bytes) -> str:
        request = _IoRequest(protocol.value, ctypes.sizeof(_IoRequest))
        answer, size = ctypes.create_string_buffer(512), ctypes.c_ulong(512)
        code = self._pcsc.SCardTransmit(handle, ctypes.byref(request), command, ctypes.c_ulong(len(command)), None,
                                        answer, ctypes.byref(size))
        return f"pcsc {code & 0xFFFFFFFF:08x}" if code else answer.raw[size.value - 2:size.value].hex()


def _steal(reader: str) -> None:
    thief, ended = _Thief(reader), threading.Event()

    def end_with_input() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    while not ended.is_set():
        for command in (_SIGN_9A, _SIGN_9C):
            print("try", flush=True)
            print(thief.attempt(command), flush=True)


# From here on: how a test uses it.

class Thief:
    """The running program. `popen` starts a command line in a world as somebody else."""

    def __init__(self, popen: Callable[..., subprocess.Popen[str]], program: str, reader: str) -> None:
        self.results: list[str] = []
        self._trying = False
        self._news = threading.Condition()
        self._process = popen(["/usr/bin/python3", "-I", program, reader], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._trying = line.strip() == "try"
                if not self._trying:
                    self.results.append(line.strip())
                self._news.notify_all()

    def await_attempt(self) -> None:
        """Return when an attempt is on its way to the card; it takes the next chance that the reader gives it."""
        self._await(lambda: self._trying)

    def await_results(self, more: int) -> None:
        """Return when `more` attempts from now on have ended."""
        wanted = len(self.results) + more
        self._await(lambda: len(self.results) >= wanted)

    def _await(self, reached: Callable[[], Any]) -> None:
        with self._news:
            if not self._news.wait_for(reached, timeout=20):
                raise RuntimeError(f"the thief got stuck after {len(self.results)} attempts")

    @property
    def successes(self) -> int:
        """How many signatures were stolen."""
        return self.results.count(SUCCESS)

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(timeout=20)
        self._process.stdout.close()


if __name__ == "__main__":
    _steal(sys.argv[1])
