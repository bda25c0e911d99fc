# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers on free loopback ports that do what a test says with each connection, down to the byte.

`serving` gives one whose handler gets the connection and the head of the request, if one was awaited; it ends with the
port closed and every connection shut, whatever the handler waits for.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Handler = Callable[[socket.socket, bytes], None]
HEAD_MAX = 65536


@dataclass(slots=True)
class TcpServer:
    """A listening socket with a thread for each connection. `heads` are the requests so far, in order."""

    listener: socket.socket
    handler: Handler
    reads_head: bool
    tls: ssl.SSLContext | None
    heads: list[bytes] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _connections: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.listener.getsockname()[1])

    def url(self, path: str = "/a.crl", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """A URL of this server."""
        return f"{scheme}://{host}:{self.port}{path}"

    def accept_all(self) -> None:
        """Serve until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has gone, which many tests are about
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            head = read_head(connection) if self.reads_head else b""
            if head:
                self.heads.append(head)
            if head or not self.reads_head:
                self.handler(connection, head)
            connection.close()

    def close(self) -> None:
        """Shut everything."""
        self.closing.set()
        for one in (self.listener, *self._connections):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)
            one.close()


def read_head(connection: socket.socket) -> bytes:
    """What a client sends up to the empty line, and the body that Content-Length announces."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < HEAD_MAX:
        part = connection.recv(4096)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(4096)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def serving(handler: Handler, *, reads_head: bool = True, tls: ssl.SSLContext | None = None,
            host: str = "127.0.0.1") -> Iterator[TcpServer]:
    """A server that hands each connection to `handler`, which may block for as long as it likes."""
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    server = TcpServer(listener, handler, reads_head, tls)
    thread = threading.Thread(target=server.accept_all, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)


def answers(*parts: bytes) -> Handler:
    """A handler that sends this and closes."""

    def handler(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"".join(parts))

    return handler


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """An answer that leads on."""
    return ok(b"", f"Location: {location}", status=status)
