# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers on the loopback interface that answer with what a test gives them, or never, and count who came."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


def http_answer(body: bytes, kind: str = "application/pkix-crl") -> bytes:
    """A whole HTTP answer with this body."""
    head = f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


class Loopback:
    """Sends the same bytes to everybody, after one read; with None it takes the connection and never says a word."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._came = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, path: str = "/ca.crl") -> str:
        """Where it is found."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}{path}"

    def wait_for_a_connection(self, timeout_s: float) -> bool:
        """Say whether somebody came within this time."""
        return self._came.wait(timeout_s)

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._came.set()
            if self.answer is None:
                self._open.append(connection)
                continue
            with connection:
                self._reply(connection, self.answer)

    @staticmethod
    def _reply(connection: socket.socket, answer: bytes) -> None:
        try:
            connection.recv(65536)
            connection.sendall(answer)
        except OSError:
            pass  # who came has gone

    def close(self) -> None:
        """Take no more connections and drop the held ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
