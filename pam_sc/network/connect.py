# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections to servers: the address that is checked is the very address that is connected to, and TLS is verified.

A name is looked up once for a connection and each of its addresses tried in turn, so no second answer of a name server
can lead past the check.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Protocol

from pam_sc.errors import TransferError
from pam_sc.network.addresses import refusal, refused_class

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family and what connect() takes; the first of that is the address as text."""


class UnresolvedError(TransferError):
    """No name server knows an address of the host, or none answers."""


class Timed(Protocol):
    """What has its time and takes care of its sockets: a job, or a part of one."""

    def remaining(self) -> float:
        """Return the seconds that are left, more than 0, or raise."""

    def use(self, sock: socket.socket) -> None:
        """Work on this socket from now on, or raise where there is no time left."""


def connect(host: str, port: int, job: Timed, *, anywhere: bool) -> socket.socket:
    """Connect to a host, or raise TransferError or OSError. `anywhere`: the address is not checked."""
    job.remaining()
    addresses = look_up(host, port)
    return first_that_answers(addresses if anywhere else _allowed(addresses), job)


def look_up(host: str, port: int) -> list[Address]:
    """Return the addresses of a host; takes as long as the name servers like."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnresolvedError("the name of its server cannot be resolved") from error
    return [(family, address) for family, _, _, _, address in found]


def _allowed(addresses: Sequence[Address]) -> list[Address]:
    classes = [refused_class(str(address[0])) for _, address in addresses]
    allowed = [address for address, refused in zip(addresses, classes, strict=True) if refused is None]
    refused = [each for each in classes if each is not None]
    if refused and not allowed:
        raise TransferError(refusal(refused[0]))
    return allowed


def first_that_answers(addresses: Sequence[Address], job: Timed) -> socket.socket:
    """Connect to one of these, each with its share of the time, or raise what the last one raised."""
    for left in range(len(addresses), 0, -1):
        family, address = addresses[len(addresses) - left]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            job.use(sock)
            sock.settimeout(job.remaining() / left)
            sock.connect(address)
            return sock
        except OSError:
            if left == 1:
                raise
    raise TransferError("the name of its server has no address")


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The machine's CA certificates, host names checked, an end without close_notify is no end; made once."""
    context = ssl.create_default_context()
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # which Python sets with OpenSSL 3
    return context


def secured(sock: socket.socket, host: str, job: Timed, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """Speak TLS on a connection, with a server that proves to be `host`; with the machine's CAs unless a context is given."""
    sock.settimeout(job.remaining())
    wrapped = (context or tls_context()).wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
    job.use(wrapped)
    return wrapped
