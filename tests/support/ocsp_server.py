# SPDX-License-Identifier: LGPL-2.1-or-later
"""The HTTP side of the OCSP responder for tests: how it may answer, and a server on 127.0.0.1 that answers so.

What a response holds is for ocsp_responder.py; here is only what HTTP can do to it.
"""

from __future__ import annotations

import enum
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

MIB = 1 << 20


class Answer(enum.Enum):
    """How the responder answers a POST from now on. The first three are written by `openssl ocsp` itself."""

    DELEGATED = "signed by a delegated responder with id-pkix-ocsp-nocheck; the nonce is repeated"
    CA_SIGNED = "signed by the authority itself"
    BAD_SIGNATURE = "openssl -badsig"

    WRITTEN = "as DELEGATED, but written by ocsp_answer.py, as all that follow: each differs from it in one thing"
    STALE = "nextUpdate was a day ago"
    FUTURE = "thisUpdate is in a day"
    UNDATED = "without nextUpdate"
    UNKNOWN = "the status is unknown, whatever was said of the certificate"
    WRONG_ISSUER = "about the same serial number of another authority"
    WRONG_SIGNER = "signed by a responder of another authority"
    REVOKED_SIGNER = "signed by `revoked_delegate`, which the responder itself calls revoked when it is asked"
    CHECKED_SIGNER = "signed by `checked_delegate`, which has no id-pkix-ocsp-nocheck and is not revoked"
    REPLAYED = "with another nonce than was sent"
    NO_NONCE = "without a nonce"

    TRY_LATER = "tryLater"
    UNAUTHORIZED = "unauthorized"
    INTERNAL_ERROR = "internalError"

    GARBAGE = "bytes that are no OCSP response"
    EMPTY = "no bytes"
    HUGE = "100 MiB, with a Content-Length"
    ENDLESS = "100 MiB, without a Content-Length"
    SLOW = "one byte a second"
    SILENT = "nothing at all: the connection stays open until the responder is closed"
    HANG_UP = "nothing at all: the connection is closed"
    REDIRECT_TO_FILE = "302 to file:///etc/passwd"
    REDIRECT_TO_SELF = "302 to itself, for ever"
    SERVER_ERROR = "500"
    WRONG_CONTENT_TYPE = "a good answer as text/html"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """The names are in lower case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Served:
    """Something to be fetched by GET."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Responder(Protocol):
    """What the server asks."""

    answer: Answer
    closing: threading.Event
    failures: list[BaseException]
    misbehaving: Mapping[str, Answer]

    @property
    def url(self) -> str:
        """Where it answers."""

    def respond(self, request: bytes, answer: Answer) -> bytes:
        """Answer a DER request."""

    def note(self, asked: Asked) -> None:
        """Remember a request."""

    def find(self, path: str) -> Served | None:
        """What is served under a path."""


class Server(ThreadingHTTPServer):
    """Loopback only; a client that goes away is no failure of ours."""

    daemon_threads = True

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            self.responder.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:  # a test's output is not a server's log
        pass

    def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
        self._note(b"")
        if self._misbehave(self.server.responder.misbehaving.get(self.path), b""):
            return
        found = self.server.responder.find(self.path)
        if found is None:
            self.send_error(404)
        elif "ETag" in found.headers and self.headers.get("If-None-Match") == found.headers["ETag"]:
            self._send(304, b"", found.content_type, found.headers)
        else:
            self._send(200, found.body, found.content_type, found.headers)

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._note(body)
        answer = self.server.responder.answer
        if not self._misbehave(answer, body):
            kind = "text/html" if answer is Answer.WRONG_CONTENT_TYPE else "application/ocsp-response"
            self._send(200, self.server.responder.respond(body, answer), kind, {})

    def _misbehave(self, answer: Answer | None, request: bytes) -> bool:
        """Answer as HTTP can go wrong, and say whether that was wanted."""
        here = f"{self.server.responder.url}{self.path.lstrip('/')}"
        ways = {
            Answer.HUGE: lambda: self._huge(measured=True),
            Answer.ENDLESS: lambda: self._huge(measured=False),
            Answer.SLOW: lambda: self._slow(request),
            Answer.SILENT: self.server.responder.closing.wait,
            Answer.HANG_UP: lambda: None,
            Answer.REDIRECT_TO_FILE: lambda: self._send(302, b"", "", {"Location": "file:///etc/passwd"}),
            Answer.REDIRECT_TO_SELF: lambda: self._send(302, b"", "", {"Location": here}),
            Answer.SERVER_ERROR: lambda: self._send(500, b"out of order", "text/plain", {}),
        }
        way = ways.get(answer) if answer is not None else None
        if way is not None:
            way()
        return way is not None

    def _note(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.responder.note(Asked(self.command, self.path, headers, body))

    def _send(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        self._head(status, content_type, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _huge(self, *, measured: bool) -> None:
        self._head(200, "application/ocsp-response", {"Content-Length": str(100 * MIB)} if measured else {})
        for _ in range(100):
            self.wfile.write(bytes(MIB))

    def _slow(self, request: bytes) -> None:
        body = self.server.responder.respond(request, Answer.WRITTEN) if request else bytes(1000)
        self._head(200, "application/ocsp-response", {"Content-Length": str(len(body))})
        for index in range(len(body)):
            self.wfile.write(body[index:index + 1])
            if self.server.responder.closing.wait(1):
                return
