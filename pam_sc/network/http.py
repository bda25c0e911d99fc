# SPDX-License-Identifier: LGPL-2.1-or-later
"""GET and POST over http and https (RFC 9110, RFC 9112) with the standard library's client on connections of our own.

Every connection, also after a redirect, is made by connect.py, and every wait is inside the time of the job. Bodies go
on in pieces as they arrive. What is not checked: what a body means, and whether it is fresh.
"""

from __future__ import annotations

import http.client
import io
import socket

from pam_sc.errors import TransferError
from pam_sc.network.addresses import refusal, refused_name
from pam_sc.network.connect import connect, secured
from pam_sc.network.job import Job
from pam_sc.network.urls import Url, parse_proxy, parse_url, redirected

MAX_REDIRECTS = 5
HEAD_MAX = 64 * 1024
_CHUNK = 64 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_SAME_METHOD = {307, 308}


def fetch(job: Job) -> None:
    """Carry out one transfer: `begin`, `add` and `done` of the job, or an exception.

    Addresses: see addresses.py. A URL of the configuration may lead anywhere, and so may a redirect to the same host; a
    redirect to another host is the server's choice. With a proxy the address is the proxy's affair, and a host that is
    written as a loopback or link-local address, or as localhost, is refused by its name alone.
    """
    order = job.order
    url = origin = parse_url(order.transfer.url)
    for _ in range(MAX_REDIRECTS + 1):
        anywhere = order.loopback or (order.transfer.configured and url.host == origin.host)
        response = _ask(job, url, anywhere=anywhere)
        if response.status not in _REDIRECTS:
            _receive(job, response)
            return
        if order.transfer.body is not None and response.status not in _SAME_METHOD:
            raise TransferError(f"the server redirects what was posted, with status {response.status}")
        url = redirected(url, response.headers.get("Location"))
    raise TransferError(f"the server redirects more than {MAX_REDIRECTS} times")


class _Stream(io.RawIOBase):
    """What http.client needs of a socket, inside the time of the job and with a bound on what is read before a body."""

    def __init__(self, sock: socket.socket, job: Job) -> None:
        self._sock = sock
        self._job = job
        self._left = HEAD_MAX

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def body_follows(self, size: int) -> None:
        """A body of so many bytes follows, and what belongs to its transfer coding."""
        self._left = 8 * size + HEAD_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._sock.settimeout(self._job.remaining())
        count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise TransferError("the server sends too much beside the body")
        return count

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._job.remaining())
        self._sock.sendall(data)

    def close(self) -> None:
        """Nothing: the client closes when it has read the head, and the job closes in the end."""


def _ask(job: Job, url: Url, *, anywhere: bool) -> http.client.HTTPResponse:
    """Send the request over a connection of its own, and return the answer with its head read."""
    proxy = parse_proxy(job.order.proxy) if job.order.proxy else None
    if proxy is None:
        sock = connect(url.host, url.port, job, anywhere=anywhere)
    else:
        refused = None if anywhere else refused_name(url.host)
        if refused is not None:
            raise TransferError(refusal(refused))
        sock = connect(proxy.host, proxy.port, job, anywhere=True)
        if url.secure:
            _tunnel(_Stream(sock, job), url)
    stream = _Stream(secured(sock, url.host, job) if url.secure else sock, job)
    client = http.client.HTTPConnection(url.host, url.port)
    client.auto_open = 0
    client.sock = stream
    _request(client, job, url, url.text if proxy is not None and not url.secure else url.rest)
    response = client.getresponse()
    stream.body_follows(job.order.transfer.max_bytes)
    return response


def _request(client: http.client.HTTPConnection, job: Job, url: Url, target: str) -> None:
    wanted = job.order.transfer
    headers = {"Host": url.authority, "User-Agent": "pam_sc", "Accept": "*/*", "Accept-Encoding": "identity",
               "Connection": "close"}
    if wanted.etag is not None:
        headers["If-None-Match"] = wanted.etag
    if wanted.last_modified is not None:
        headers["If-Modified-Since"] = wanted.last_modified
    if wanted.body is not None:
        headers |= {"Content-Type": wanted.content_type or "application/octet-stream",
                    "Content-Length": str(len(wanted.body))}
    client.putrequest("GET" if wanted.body is None else "POST", target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        client.putheader(name, value)
    client.endheaders(wanted.body)


def _tunnel(stream: _Stream, url: Url) -> None:
    """Have the proxy connect us through (RFC 9110, section 9.3.6)."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    target = f"{host}:{url.port}"
    stream.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: pam_sc\r\n\r\n".encode())
    response = http.client.HTTPResponse(stream, method="CONNECT")  # type: ignore[arg-type]  # a part of a socket
    response.begin()
    if response.status != 200:
        raise TransferError(f"the proxy answers with status {response.status}")


def _receive(job: Job, response: http.client.HTTPResponse) -> None:
    wanted = job.order.transfer
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    if response.status == 304 and not (wanted.etag is None and wanted.last_modified is None):
        job.begin(not_modified=True, etag=etag, last_modified=modified)
        job.done()
        return
    if response.status != 200:
        raise TransferError(f"the server answers with status {response.status}")
    expected = _expected_size(response, wanted.max_bytes)
    job.begin(etag=etag, last_modified=modified)
    size = 0
    while chunk := response.read(_CHUNK):
        size += len(chunk)
        job.add(chunk)
    if expected is not None and size != expected:
        raise TransferError("its server closed the connection early")
    job.done()


def _expected_size(response: http.client.HTTPResponse, most: int) -> int | None:
    """Return what Content-Length says, None where it does not count; TransferError for codings that were not asked for."""
    codings = {one.strip().lower() for one in response.headers.get_all("Content-Encoding", [])}
    if codings - {"identity"}:
        raise TransferError("the server encodes the body, which it was not asked for")
    transfer = [one.strip().lower() for one in response.headers.get_all("Transfer-Encoding", [])]
    if transfer:
        if transfer != ["chunked"]:
            raise TransferError("the server uses a transfer coding that is not chunked")
        return None
    sizes = set(response.headers.get_all("Content-Length", []))
    if not sizes:
        return None
    size = sizes.pop()
    if sizes or not (size.isascii() and size.isdigit()) or len(size) > 15:
        raise TransferError("the server says in no clear way how long the body is")
    if int(size) > most:
        raise TransferError(f"the body has {int(size)} bytes, at most {most}")
    return int(size)
