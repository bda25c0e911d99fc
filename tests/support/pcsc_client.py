# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another program that works with the card through PC/SC: a process of its own, since the library remembers a dead pcscd.

Each line of its input is a command in hex; it answers with the status word in hex, or "pcsc" and the error.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping


def _serve(reader: str) -> None:
    from smartcard import scard

    _result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    both = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    result, card, protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, both)
    for line in sys.stdin:
        if result == scard.SCARD_S_SUCCESS:
            result, answer = scard.SCardTransmit(card, protocol, list(bytes.fromhex(line)))
        failed = result != scard.SCARD_S_SUCCESS
        print(f"pcsc {scard.SCardGetErrorMessage(result)}" if failed else bytes(answer[-2:]).hex(), flush=True)
    scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)


class PcscClient:
    """The running program."""

    def __init__(self, reader: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, reader], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True, env=dict(environment))

    def send(self, command: bytes) -> str:
        """Send one command to the card; its status word, or what PC/SC says, such as that the card was reset."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command.hex()}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it; the card stays as it is."""
        self._process.communicate(timeout=20)


if __name__ == "__main__":
    _serve(sys.argv[1])
