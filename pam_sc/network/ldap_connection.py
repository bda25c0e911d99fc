# SPDX-License-Identifier: LGPL-2.1-or-later
"""ldap3 on a connection that connect.py has made, each message read whole and bounded before it is in memory.

A connection of ldap3's own would skip the check of the address, and it binds a port first, which the sandbox forbids.
Nothing is read beyond the message that is due, so nothing that was sent before TLS is taken for something after it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import ldap3

from pam_sc.errors import TransferError
from pam_sc.network.connect import Timed


class TooManyMessages(TransferError):
    """The server sends more messages than can be an answer."""


class LdapSocket:
    """What ldap3 needs of a socket: each `recv` is one whole LDAP message, within the time and the size of the job."""

    def __init__(self, sock: socket.socket, job: Timed, most: int, *, beside: int = 0, messages: int = 1 << 20) -> None:
        """Read at most `most` bytes and `beside` of them, in at most this many messages."""
        self._sock = sock
        self._job = job
        self._most = most
        self._left = most + beside
        self._messages_left = messages
        self.error: Exception | None = None
        """What went wrong here, which ldap3 turns into an exception of its own."""

    def over(self, sock: socket.socket, job: Timed) -> None:
        """Go on over this socket, in this time; what may be read is not more for it."""
        self._sock, self._job = sock, job

    def recv(self, _size: int) -> bytes:
        """Return one whole message."""
        with self._remembered():
            self._messages_left -= 1
            if self._messages_left < 0:
                raise TooManyMessages("the directory sends more than was asked for")
            return self._message()

    def sendall(self, data: bytes) -> None:
        """Send one whole message."""
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


def ldap_connection(messages: LdapSocket, host: str, **options: Any) -> ldap3.Connection:
    """Return an open connection of ldap3 that speaks over these messages; the options are those of ldap3.Connection."""
    server = ldap3.Server(host, get_info=ldap3.NONE)
    connection = ldap3.Connection(
        server, client_strategy=ldap3.SYNC, auto_referrals=False, read_only=True, check_names=False,
        raise_exceptions=False, **options,
    )

    def attach(*_address: object, **_options: object) -> None:
        connection.socket = messages
        connection.closed = False

    server.candidate_addresses = lambda: [[socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 0), None, None]]
    server.update_availability = lambda *_: None
    connection.strategy._open_socket = attach  # noqa: SLF001 - ldap3 has no way to be given a connection
    connection.open(read_server_info=False)
    return connection


def outcome(connection: ldap3.Connection) -> str:
    """ldap3's own name of a result code, and never the server's words."""
    return str(connection.result.get("description", "no reason is given"))
