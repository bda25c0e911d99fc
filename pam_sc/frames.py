# SPDX-License-Identifier: LGPL-2.1-or-later
"""The framing of every stream channel (docs/protocol.md): an 8-byte header, then length-prefixed fields.

A pure codec (`encode`, `decode_header`, `decode_fields`) and `Channel`, the blocking socket around it with a deadline on
CLOCK_MONOTONIC. It bounds sizes; it does not know what the fields mean.
"""

from __future__ import annotations

import select
import socket
import struct
import time

from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.record import record

HEADER = struct.Struct(">B3xI")
_LENGTH = struct.Struct(">I")
MAX_FIELDS = 64
SHIM_PAYLOAD_MAX = 8192
CARD_PAYLOAD_MAX = 128 * 1024


@record
class Frame:
    """One message: its type and its fields, all bytes."""

    type: int
    fields: tuple[bytes, ...]


def encode(frame: Frame, payload_max: int) -> bytes:
    """Return the bytes of a frame; ProtocolError if it would be longer than the channel allows."""
    payload = b"".join(_LENGTH.pack(len(field)) + field for field in frame.fields)
    if len(payload) > payload_max or len(frame.fields) > MAX_FIELDS:
        raise ProtocolError(f"cannot send a frame of type {frame.type:#x}: {len(payload)} bytes, at most {payload_max}")
    return HEADER.pack(frame.type, len(payload)) + payload


def decode_header(header: bytes, payload_max: int) -> tuple[int, int]:
    """Return type and payload length of an 8-byte header."""
    kind, length = HEADER.unpack(header)
    if header[1:4] != b"\0\0\0":
        raise ProtocolError("frame header is malformed: bytes 1 to 3 are not zero")
    if length > payload_max:
        raise ProtocolError(f"frame of type {kind:#x} is too long: {length} bytes, at most {payload_max}")
    return kind, length


def decode_fields(payload: bytes) -> tuple[bytes, ...]:
    """Split a payload into its fields; every byte belongs to exactly one."""
    fields: list[bytes] = []
    at = 0
    while at < len(payload):
        start = at + _LENGTH.size
        if start > len(payload) or len(fields) == MAX_FIELDS:
            raise ProtocolError("frame payload is malformed: cut off in a length, or too many fields")
        (length,) = _LENGTH.unpack_from(payload, at)
        at = start + length
        if at > len(payload):
            raise ProtocolError("frame payload is malformed: a field is longer than the payload")
        fields.append(payload[start:at])
    return tuple(fields)


class Channel:
    """A stream socket that carries frames, each sent and received whole before a deadline."""

    def __init__(self, sock: socket.socket, payload_max: int) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._payload_max = payload_max

    def fileno(self) -> int:
        """The socket's descriptor, for poll."""
        return self._sock.fileno()

    def send(self, frame: Frame, deadline: float) -> None:
        """Send a whole frame before `deadline` (time.monotonic), or raise."""
        rest = memoryview(encode(frame, self._payload_max))
        while rest:
            self._wait(select.POLLOUT, deadline)
            try:
                rest = rest[self._sock.send(rest, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChannelClosed(f"cannot send a frame: {error.strerror}") from error

    def receive(self, deadline: float) -> Frame:
        """Return the next whole frame before `deadline` (time.monotonic), or raise."""
        kind, length = decode_header(self._exactly(HEADER.size, deadline), self._payload_max)
        return Frame(kind, decode_fields(self._exactly(length, deadline)))

    def shutdown(self) -> None:
        """Say that nothing more will come, whoever else may hold a copy of the descriptor."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer is gone already, which says the same

    def close(self) -> None:
        """Close this end."""
        self._sock.close()

    def _exactly(self, count: int, deadline: float) -> bytes:
        chunks = bytearray()
        while len(chunks) < count:
            self._wait(select.POLLIN, deadline)
            try:
                chunk = self._sock.recv(count - len(chunks))
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChannelClosed(f"cannot receive a frame: {error.strerror}") from error
            if not chunk:
                raise ChannelClosed(f"the peer closed the channel {len(chunks)} bytes into {count}")
            chunks += chunk
        return bytes(chunks)

    def _wait(self, events: int, deadline: float) -> None:
        poller = select.poll()
        poller.register(self._sock, events)
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poller.poll(remaining * 1000):
            raise DeadlineExceeded("the peer did not answer in time")
