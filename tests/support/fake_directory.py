# SPDX-License-Identifier: LGPL-2.1-or-later
"""Directories that only pretend: each answer is written down byte for byte, for whatever is asked."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.support.der import tlv
from tests.support.tcp_server import Handler

Reply = bytes | Callable[[bytes], bytes]
"""The operation of an answer, or what makes the whole answer of a request."""


def result(tag: int, code: int = 0) -> bytes:
    """An LDAPResult as the operation with this tag (RFC 4511, section 4.1.9)."""
    return tlv(tag, bytes([0x0A, 1, code]) + tlv(4, b"") + tlv(4, b""))


BIND_OK, DONE, EXTENDED_OK = result(0x61), result(0x65), result(0x78)


def entry(name: str, **attributes: bytes) -> bytes:
    """A SearchResultEntry whose attributes have one value each."""
    held = b"".join(tlv(0x30, tlv(4, key.encode()) + tlv(0x31, tlv(4, value))) for key, value in attributes.items())
    return tlv(0x64, tlv(4, name.encode()) + tlv(0x30, held))


def request_of(connection: socket.socket) -> bytes:
    """One whole request; nothing where the client has gone."""
    head = connection.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        return b""
    more = connection.recv(head[1] & 0x7F, socket.MSG_WAITALL) if head[1] & 0x80 else b""
    return head + more + connection.recv(int.from_bytes(more, "big") if more else head[1], socket.MSG_WAITALL)


def message(request: bytes, operation: bytes) -> bytes:
    """An LDAPMessage with an operation, about a request."""
    at = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
    number = request[at : at + 2 + request[at + 1]]
    return tlv(0x30, number + operation)


def replies(*each: Reply | tuple[bytes, ...]) -> Handler:
    """A handler that answers one request after the other, and says nothing more then."""

    def handler(connection: socket.socket, _head: bytes) -> None:
        for reply in each:
            request = request_of(connection)
            if not request:
                return
            operations = reply if isinstance(reply, tuple) else (reply,)
            connection.sendall(b"".join(
                operation(request) if callable(operation) else message(request, operation) for operation in operations
            ))
        while connection.recv(4096):  # until the client goes, or the server is closed
            pass

    return handler
