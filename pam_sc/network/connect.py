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
from typing import Any

from pam_sc.errors import TransferError
from pam_sc.network.addresses import refusal, refused_class
from pam_sc.network.job import Job

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family and what connect() takes; the first of that is the address as text."""


def connect(host: str, port: int, job: Job, *, anywhere: bool) -> socket.socket:
    """Connect to a host, or raise TransferError or OSError. `anywhere`: the address is not checked."""
    job.remaining()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransferError("the name of its server cannot be resolved") from error
    addresses: list[Address] = [(family, address) for family, _, _, _, address in found]
    return _first_that_answers(addresses if anywhere else _allowed(addresses), job)


def _allowed(addresses: Sequence[Address]) -> list[Address]:
    classes = [refused_class(str(address[0])) for _, address in addresses]
    allowed = [address for address, refused in zip(addresses, classes, strict=True) if refused is None]
    refused = [each for each in classes if each is not None]
    if refused and not allowed:
        raise TransferError(refusal(refused[0]))
    return allowed


def _first_that_answers(addresses: Sequence[Address], job: Job) -> socket.socket:
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


def secured(sock: socket.socket, host: str, job: Job) -> ssl.SSLSocket:
    """Speak TLS on a connection, with a server that proves to be `host`."""
    sock.settimeout(job.remaining())
    wrapped = tls_context().wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
    job.use(wrapped)
    return wrapped
