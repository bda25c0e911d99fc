# SPDX-License-Identifier: LGPL-2.1-or-later
"""CRLs from a directory, by ldap and ldaps URLs (RFC 4516, RFC 4523): an anonymous bind and one search of one object.

ldap3 speaks the protocol, on a connection that connect.py has made: its own would skip the check of the address, and it
binds a port first, which the sandbox forbids. Referrals are not followed. Each message is read whole here, so that its
size is bounded before it is in memory. What is not checked: what the value means.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException

from pam_sc.errors import TransferError
from pam_sc.network.connect import connect, secured
from pam_sc.network.job import Job
from pam_sc.network.ldap_urls import BINARY, LdapQuery, parse_ldap_query
from pam_sc.network.urls import parse_url

BESIDE_VALUE = 64 * 1024
"""How much larger than the value everything may be that the server sends."""
BYTES_MAX = 64 << 20
"""Of one answer, whatever `max_bytes` allows: LDAP has it in one piece, and ldap3 in several copies."""
_SUCCESS = 0


def fetch(job: Job) -> None:
    """Carry out one transfer: `begin`, `add` and `done` of the job, or an exception. No proxy is used."""
    wanted = job.order.transfer
    url = parse_url(wanted.url)
    query = parse_ldap_query(url.rest)
    if wanted.body is not None:
        raise TransferError("nothing can be posted to a directory")
    sock = connect(url.host, url.port, job, anywhere=job.order.loopback or wanted.configured)
    value = _search(_Messages(secured(sock, url.host, job) if url.secure else sock, job), query, url.host)
    job.begin()
    job.add(value)
    job.done()


class _Messages:
    """What ldap3 needs of a socket: each `recv` is one whole LDAP message, within the time and the size of the job."""

    def __init__(self, sock: socket.socket, job: Job) -> None:
        self._sock = sock
        self._job = job
        self._most = min(job.order.transfer.max_bytes, BYTES_MAX)
        self._left = self._most + BESIDE_VALUE
        self.error: Exception | None = None
        """What went wrong here, which ldap3 turns into an exception of its own."""

    def recv(self, _size: int) -> bytes:
        with self._remembered():
            return self._message()

    def sendall(self, data: bytes) -> None:
        with self._remembered():
            self._sock.settimeout(self._job.remaining())
            self._sock.sendall(data)

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            raise

    def _message(self) -> bytes:
        head = self._exactly(2)
        if head[0] != 0x30 or head[1] == 0x80 or head[1] > 0x84:
            raise TransferError("its server's answer is not LDAP")
        length = head[1]
        if length > 0x80:
            more = self._exactly(length - 0x80)
            head, length = head + more, int.from_bytes(more, "big")
        return head + self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            raise TransferError(f"the answer of the directory is larger than {self._most} bytes")
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._job.remaining())
            got = self._sock.recv_into(rest)
            if got == 0:
                raise ConnectionResetError
            rest = rest[got:]
        return bytes(data)

    def shutdown(self, _how: int) -> None:
        """Nothing: the job does it in the end."""

    def close(self) -> None:
        """Nothing: the job does it in the end."""


def _search(messages: _Messages, query: LdapQuery, host: str) -> bytes:
    connection = _connection(messages, host)
    try:
        if not connection.bind():
            raise TransferError(f"the directory refuses an anonymous bind: {_outcome(connection)}")
        connection.search(query.name, query.search_filter, ldap3.BASE, attributes=[query.attribute + BINARY])
        if connection.result["result"] != _SUCCESS:
            raise TransferError(f"the directory does not answer the search: {_outcome(connection)}")
        return _value(connection.response, query.attribute)
    except LDAPException as error:
        if messages.error is not None:
            raise messages.error from error
        raise TransferError(f"the directory cannot be asked: {type(error).__name__}") from error


def _connection(messages: _Messages, host: str) -> ldap3.Connection:
    server = ldap3.Server(host, get_info=ldap3.NONE)
    connection = ldap3.Connection(
        server, authentication=ldap3.ANONYMOUS, client_strategy=ldap3.SYNC, auto_referrals=False, read_only=True,
        check_names=False, raise_exceptions=False,
    )

    def attach(*_address: object, **_options: object) -> None:
        connection.socket = messages
        connection.closed = False

    server.candidate_addresses = lambda: [[socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 0), None, None]]
    server.update_availability = lambda *_: None
    connection.strategy._open_socket = attach  # noqa: SLF001 - ldap3 has no way to be given a connection
    connection.open(read_server_info=False)
    return connection


def _outcome(connection: ldap3.Connection) -> str:
    """ldap3's own name of a result code, and never the server's words."""
    return str(connection.result.get("description", "no reason is given"))


def _value(response: list[dict[str, Any]], attribute: str) -> bytes:
    entries = [one for one in response if one.get("type") == "searchResEntry"]
    values = [
        value for entry in entries for name, found in entry.get("raw_attributes", {}).items()
        if name.lower().removesuffix(BINARY) == attribute for value in found
    ]
    if len(values) != 1:
        raise TransferError(f"the directory has {len(values)} values of the attribute, expected one")
    return bytes(values[0])
