# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PIV card (NIST SP 800-73-4) for the virtual reader of vsmartcard: keys, certificates, PIN and PUK, in memory.

The card runs in a thread of the test, which sees its state (is the PIN verified, which tries are left, which commands
came) and may hold it at any command with `on_command`. Power off and reset end the verification, as on a real card.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.support.pki import Issued, PrivateKey

AID = bytes.fromhex("A000000308000010000100")
_HISTORICAL = b"\x80\xfb" + AID
_OK, _NOT_FOUND, _NOT_VERIFIED = 0x9000, 0x6A82, 0x6982
_BLOCKED, _WRONG_DATA, _NO_INSTRUCTION = 0x6983, 0x6A80, 0x6D00
_TRIES = 3
_CERTIFICATE_TAGS = {0x9A: "5FC105", 0x9C: "5FC10A", 0x9D: "5FC10B", 0x9E: "5FC101"}
_CHUID = bytes.fromhex("3019d4e739da739ced39ce739d836858210842108421384210c3f5") + bytes.fromhex("3410") + bytes(
    range(16)) + bytes.fromhex("3508") + b"20991231" + bytes.fromhex("3e00fe00")
_PREHASHED: Mapping[int, hashes.HashAlgorithm] = {
    20: hashes.SHA1(), 28: hashes.SHA224(), 32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}
_POWER_OFF, _POWER_ON, _RESET, _GET_ATR = 0, 1, 2, 4


def answer_to_reset() -> bytes:
    """T=1 and the PIV application's identifier in the historical bytes, by which OpenSC knows a PIV card."""
    body = bytes([0x80 | len(_HISTORICAL), 0x80, 0x01]) + _HISTORICAL
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes([check])


@dataclass(frozen=True, slots=True)
class Apdu:
    """One command as it came: header and data; `pin_verified` is the card's state before it."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    pin_verified: bool


@dataclass(slots=True)
class PivApplet:
    """What is on the chip: a command in, an answer out. No transport."""

    slots: Mapping[int, Issued]
    pin: str = "123456"
    puk: str = "12345678"
    tries: int = _TRIES
    puk_tries: int = _TRIES
    pin_verified: bool = False
    signatures: int = 0
    log: list[Apdu] = field(default_factory=list)
    _just_verified: bool = False
    _chained: bytes = b""
    _pending: bytes = b""

    def reset(self) -> None:
        """Lose what a card loses with its power."""
        self.pin_verified = self._just_verified = False
        self._chained = self._pending = b""

    def answer(self, command: bytes) -> bytes:
        """Carry one command out. Long answers are kept for GET RESPONSE."""
        cla, ins, p1, p2 = command[:4]
        data = command[5:5 + command[4]] if len(command) > 5 else b""
        self.log.append(Apdu(cla, ins, p1, p2, data, self.pin_verified))
        if ins == 0xC0:
            return self._next_part(command[4] or 256)
        if cla & 0x10:
            self._chained += data
            return _OK.to_bytes(2)
        expected = command[-1] if len(command) > 5 + len(data) else 0
        data, self._chained = self._chained + data, b""
        fresh, self._just_verified = self._just_verified, False
        self._pending, status = self._carry_out(ins, p1, p2, data, fresh)
        return self._next_part(expected or 256) if status == _OK else status.to_bytes(2)

    def _next_part(self, expected: int) -> bytes:
        part, self._pending = self._pending[:expected], self._pending[expected:]
        left = len(self._pending)
        return part + (0x6100 | min(left, 255) if left else _OK).to_bytes(2)

    def _carry_out(self, ins: int, p1: int, p2: int, data: bytes, fresh: bool) -> tuple[bytes, int]:
        match ins:
            case 0xA4:
                return self._select(p1, data)
            case 0xCB:
                return self._get_data(data)
            case 0x20 if p2 == 0x80:
                return b"", self._verify(data)
            case 0x24 if p2 == 0x80:
                return b"", self._change_pin(data)
            case 0x2C if p2 == 0x80:
                return b"", self._unblock(data)
            case 0x87:
                return self._authenticate(p2, data, fresh)
        return b"", _NO_INSTRUCTION

    def _select(self, p1: int, data: bytes) -> tuple[bytes, int]:
        if p1 != 4 or len(data) < 5 or not AID.startswith(data[:9]):
            return b"", _NOT_FOUND
        inside = tlv(0x4F, bytes.fromhex("000010000100")) + tlv(0x79, tlv(0x4F, AID[:5]))
        return tlv(0x61, inside), _OK

    def _get_data(self, data: bytes) -> tuple[bytes, int]:
        tag = data[2:].hex().upper()
        if tag == "7E":
            return tlv(0x7E, tlv(0x4F, AID) + bytes.fromhex("5f2f024000")), _OK
        if tag == "5FC102":
            return tlv(0x53, _CHUID), _OK
        for reference, slot in self.slots.items():
            if _CERTIFICATE_TAGS[reference] == tag:
                return tlv(0x53, tlv(0x70, slot.der) + bytes.fromhex("710100fe00")), _OK
        return b"", _NOT_FOUND

    def _verify(self, data: bytes) -> int:
        if self.tries == 0:
            return _BLOCKED
        if not data:
            return _OK if self.pin_verified else 0x63C0 | self.tries
        if len(data) != 8:
            return _WRONG_DATA
        if data != _padded(self.pin):
            self.pin_verified = False
            self.tries -= 1
            return 0x63C0 | self.tries if self.tries else _BLOCKED
        self.tries = _TRIES
        self.pin_verified = self._just_verified = True
        return _OK

    def _change_pin(self, data: bytes) -> int:
        status = self._verify(data[:8])
        if status == _OK:
            self.pin = data[8:].rstrip(b"\xff").decode()
        return status

    def _unblock(self, data: bytes) -> int:
        if self.puk_tries == 0:
            return _BLOCKED
        if data[:8] != _padded(self.puk):
            self.puk_tries -= 1
            return 0x63C0 | self.puk_tries if self.puk_tries else _BLOCKED
        self.puk_tries, self.tries, self.pin = _TRIES, _TRIES, data[8:].rstrip(b"\xff").decode()
        return _OK

    def _authenticate(self, reference: int, data: bytes, fresh: bool) -> tuple[bytes, int]:
        slot = self.slots.get(reference)
        if slot is None:
            return b"", _NOT_FOUND
        if reference != 0x9E and not (fresh if reference == 0x9C else self.pin_verified):
            return b"", _NOT_VERIFIED
        challenge = _inside(data, 0x7C, 0x81)
        if challenge is None:
            return b"", _WRONG_DATA
        self.signatures += 1
        return tlv(0x7C, tlv(0x82, _sign(slot.key, challenge))), _OK


def tlv(tag: int, value: bytes) -> bytes:
    """Tag, length and value in BER."""
    size = len(value)
    head = bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + head + value


def _parts(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 2:
        tag, size, start = data[0], data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start])
        found[tag], data = data[start:start + size], data[start + size:]
    return found


def _inside(data: bytes, outer: int, inner: int) -> bytes | None:
    return _parts(_parts(data).get(outer, b"")).get(inner)


def _padded(pin: str) -> bytes:
    return pin.encode().ljust(8, b"\xff")


def _sign(key: PrivateKey, challenge: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        n = numbers.public_numbers.n
        return pow(int.from_bytes(challenge), numbers.d, n).to_bytes((n.bit_length() + 7) // 8)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(challenge, ec.ECDSA(Prehashed(_PREHASHED[len(challenge)])))


class VirtualCard:
    """An applet in the virtual reader: insert() puts the card in, remove() takes it out."""

    def __init__(
        self, applet: PivApplet, connect: Callable[[], socket.socket], await_empty: Callable[[], None] = lambda: None
    ) -> None:
        """`connect` gives a connection to the reader's port, made in the reader's network namespace.

        `await_empty` returns when the reader has noticed that the card before is gone: else it takes this one for that.
        """
        self.applet = applet
        self.on_command: Callable[[bytes], None] | None = None
        """Called with each command before it is carried out; the reader waits as long as it takes."""
        self.resets = 0
        self.powered = threading.Event()
        self._connect = connect
        self._await_empty = await_empty
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_inserted(self) -> bool:
        """Whether the card is in the reader."""
        return self._socket is not None

    def insert(self) -> None:
        """Put the card in; returns when the reader gave it power."""
        self._await_empty()
        self.powered.clear()
        self._socket = self._connect()
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), daemon=True)
        self._thread.start()
        if not self.powered.wait(timeout=20):
            raise RuntimeError("cannot insert the card: the reader does not power it")

    def remove(self) -> None:
        """Take the card out."""
        if self._socket is None or self._thread is None:
            return
        with suppress(OSError):  # the reader has gone before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=20)
        self._socket.close()
        self._socket = self._thread = None
        self.applet.reset()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while (message := _receive(connection)) is not None:
                answer = self._react(message)
                if answer is not None:
                    connection.sendall(len(answer).to_bytes(2) + answer)
        except OSError:
            pass  # the reader went, or the card was pulled

    def _react(self, message: bytes) -> bytes | None:
        if len(message) != 1:
            if self.on_command is not None:
                self.on_command(message)
            return self.applet.answer(message)
        if message[0] == _GET_ATR:
            return answer_to_reset()
        self.applet.reset()
        self.resets += message[0] in (_POWER_OFF, _RESET)
        if message[0] in (_POWER_ON, _RESET):
            self.powered.set()
        return None


def _receive(connection: socket.socket) -> bytes | None:
    size = _exactly(connection, 2)
    return None if size is None else _exactly(connection, int.from_bytes(size))


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        # vpcd sends length and data apart; without this each command costs a delayed acknowledgement
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return data
