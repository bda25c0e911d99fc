# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server for CRLs on 127.0.0.1, as a CA has one: with ETags, and with every kind of misbehaviour in time.

Counts what was asked and what it answered. Ends with the `with`. For tests only.
"""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class CrlServer:
    """Serves bytes by path. `redirects` leads elsewhere; of `slow` paths comes one byte a second."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.endless: set[str] = set()
        self.slow: set[str] = set()
        self.statuses: list[tuple[str, int]] = []
        """Path and status of every answer."""
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, path: str = "/ca.crl") -> str:
        """Where a path is found."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = request.path
        body = self.files.get(path, b"")
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        status = 302 if path in self.redirects else 404 if path not in self.files else 200
        if status == 200 and request.headers.get("If-None-Match") == tag:
            status = 304
        self.statuses.append((path, status))
        request.send_response(status)
        if status == 302:
            request.send_header("Location", self.redirects[path])
        request.send_header("ETag", tag)
        if path not in self.endless:
            request.send_header("Content-Length", str(len(body) if status == 200 else 0))
        request.end_headers()
        if status == 200:
            self._send(request, body)

    def _send(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        try:
            if request.path in self.slow:
                for at in range(len(body)):
                    request.wfile.write(body[at : at + 1])
                    if self.closing.wait(1):
                        return
            elif request.path in self.endless:
                while not self.closing.is_set():
                    request.wfile.write(bytes(65536))
            else:
                request.wfile.write(body)
        except OSError:
            pass  # who asked has gone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
