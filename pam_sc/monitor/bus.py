# SPDX-License-Identifier: LGPL-2.1-or-later
"""A connection to a message bus on which every call has its time, and only those who were named are heard.

Anybody on the system bus may send anybody a signal, of any size. Here the sender of each message is looked at before its
body is read: it must be the bus itself or a program that `hear` was told of. Whose signals are not heard is found out from
the bytes, much faster than a bus passes them on: what one stranger sends must not hold up logind's answers behind it. What
is too long is passed over unread. A bus that goes, or that talks nonsense, ends all calls with MonitorError and is told of once; nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Literal

from jeepney import (
    DBusAddress,
    Header,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    new_method_call,
)
from jeepney.auth import BEGIN, Authenticator
from jeepney.bus import get_bus
from jeepney.low_level import calc_msg_size

from pam_sc.errors import MonitorError

CALL_LIMIT_S = 2.0
MESSAGE_MAX = 1 << 18
"""Bytes of a message that is read. A list of a thousand sessions is shorter."""
_FIXED = 16
"""Bytes of a message's beginning that tell its length."""
_ERROR_MAX = 200
_SENDER = b"\x07\x01s\0"
"""How the field with the sender begins in a message: its code, and the signature of a text."""
_BUS_NAME = "org.freedesktop.DBus"
_BUS = DBusAddress("/org/freedesktop/DBus", bus_name=_BUS_NAME, interface=_BUS_NAME)


class CallRefused(MonitorError):
    """The other side answered a call with an error."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name
        """The error's name on the bus."""


class Bus:
    """Made by `open`. `signalled` is called with each signal of those who are heard, `lost` once when it is over."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                 signalled: Callable[[Message], None], lost: Callable[[str], None]) -> None:  # fmt: skip
        self._reader, self._writer = reader, writer
        self._signalled, self._lost = signalled, lost
        self._serials = count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._heard: set[str] = set()
        self._senders: dict[Literal["little", "big"], tuple[bytes, ...]] = {"little": (), "big": ()}
        """The sender's field of those who are heard, by the byte order of a message."""
        self.hear(_BUS_NAME)
        self._over = ""
        self.name = ""
        """What the bus calls this connection."""
        self._task = asyncio.create_task(self._receive())

    @classmethod
    async def open(
        cls, address: str, signalled: Callable[[Message], None], lost: Callable[[str], None], limit_s: float = CALL_LIMIT_S
    ) -> Bus:
        """Connect as this process's account; MonitorError where that does not work in time."""
        try:
            async with asyncio.timeout(limit_s):
                reader, writer = await asyncio.open_unix_connection(get_bus(address))
                try:
                    await _authenticate(reader, writer)
                except BaseException:
                    writer.transport.abort()
                    raise
        except TimeoutError:
            raise MonitorError(f"cannot connect to the bus: no answer within {limit_s:g} s") from None
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise MonitorError(f"cannot connect to the bus: {_cleaned(str(error) or type(error).__name__)}") from error
        bus = cls(reader, writer, signalled, lost)
        try:
            bus.name = str((*await bus.call(_BUS, "Hello", limit_s=limit_s), "")[0])
        except BaseException:
            await bus.close()
            raise
        return bus

    async def call(
        self, address: DBusAddress, member: str, signature: str = "", body: tuple[Any, ...] = (),
        limit_s: float = CALL_LIMIT_S,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return what is answered, unchecked; CallRefused for an error, MonitorError where there is no answer in time."""
        what = f"{address.bus_name} does not answer {member}"
        if self._over:
            raise MonitorError(f"{what}: {self._over}")
        serial = next(self._serials)
        answer = self._waiting[serial] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(limit_s):
                self._writer.write(new_method_call(address, member, signature or None, body).serialise(serial))
                await self._writer.drain()
                message = await answer
        except TimeoutError:
            raise MonitorError(f"{what}: {limit_s:g} s are over") from None
        except OSError as error:
            raise MonitorError(f"{what}: {_cleaned(str(error))}") from error
        finally:
            self._waiting.pop(serial, None)
        return _body_of(message, f"{address.bus_name} refuses {member}")

    async def ask_bus(self, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Call the bus itself."""
        return await self.call(_BUS, member, signature, body)

    async def subscribe(self, rules: Iterable[MatchRule]) -> None:
        """Have the bus pass signals on. They are heard only from those `hear` was told of, and from the bus."""
        for rule in rules:
            await self.ask_bus("AddMatch", "s", (rule.serialise(),))

    def hear(self, unique_name: str) -> None:
        """Listen to this program from now on."""
        self._heard.add(unique_name)
        name = unique_name.encode()
        for order in self._senders:
            self._senders[order] += (_SENDER + len(name).to_bytes(4, order) + name + b"\0",)

    async def close(self) -> None:
        """End the connection. Calls that still wait end with MonitorError; nothing is told of."""
        self._lost = _nobody
        self._task.cancel()
        await asyncio.wait([self._task])
        self._end("the connection was closed")
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _receive(self) -> None:
        try:
            while True:
                message = await self._next_message()
                if message is not None:
                    self._dispatch(message)
        except (OSError, EOFError) as error:
            self._end(f"the bus is gone: {_cleaned(str(error))}")
        except Exception as error:  # noqa: BLE001 - a bus that breaks the protocol is a bus that is gone
            self._end(f"the bus talks nonsense: {type(error).__name__}")

    async def _next_message(self) -> Message | None:
        """Read one message; None for one that is nobody's we listen to, or too long."""
        start = await self._reader.readexactly(_FIXED)
        rest = calc_msg_size(start) - _FIXED
        if rest > MESSAGE_MAX:
            await _skip(self._reader, rest)
            return None
        whole = start + await self._reader.readexactly(rest)
        if not self._may_be_heard(whole):
            return None
        try:
            header, _ = Header.from_buffer(whole)
            return Message.from_buffer(whole) if self._is_heard(header) else None
        except (ValueError, KeyError, IndexError, AssertionError, TypeError, RecursionError):
            return None

    def _may_be_heard(self, whole: bytes) -> bool:
        """Whether the message is worth reading: no signal of a stranger, and no call, of which none is taken here."""
        if whole[1] != MessageType.signal.value:
            return whole[1] != MessageType.method_call.value
        order: Literal["little", "big"] = "little" if whole[:1] == b"l" else "big"
        end = _FIXED + int.from_bytes(whole[12:_FIXED], order)
        return any(whole.find(sender, _FIXED, end) >= 0 for sender in self._senders[order])

    def _is_heard(self, header: Header) -> bool:
        """Answers are the bus's care: it lets nobody answer what he was not asked."""
        is_signal = header.message_type is MessageType.signal
        return header.fields.get(HeaderFields.sender) in self._heard if is_signal else self._answered(header) is not None

    def _answered(self, header: Header) -> asyncio.Future[Message] | None:
        is_answer = header.message_type in (MessageType.method_return, MessageType.error)
        return self._waiting.get(header.fields.get(HeaderFields.reply_serial, 0)) if is_answer else None

    def _dispatch(self, message: Message) -> None:
        waiting = self._answered(message.header)
        if waiting is None:
            self._signalled(message)
        elif not waiting.done():
            waiting.set_result(message)

    def _end(self, why: str) -> None:
        if self._over:
            return
        self._over = why
        self._writer.transport.abort()  # what is unsent to a bus that hangs would be waited for
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError(why))
        self._lost(why)


async def _authenticate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    authenticator = Authenticator()
    for line in authenticator:
        writer.write(line)
        await writer.drain()
        said = await reader.read(1024)
        if not said:
            raise ConnectionError("it closed the connection")
        authenticator.feed(said)
    writer.write(BEGIN)


async def _skip(reader: asyncio.StreamReader, size: int) -> None:
    while size > 0:
        read = await reader.read(min(size, MESSAGE_MAX))
        if not read:
            raise EOFError
        size -= len(read)


def _body_of(message: Message, refusal: str) -> tuple[Any, ...]:
    body: tuple[Any, ...] = message.body
    if message.header.message_type is not MessageType.error:
        return body
    name = str(message.header.fields.get(HeaderFields.error_name, ""))
    said = body[0] if body and isinstance(body[0], str) else name
    raise CallRefused(f"{refusal}: {_cleaned(said)}", name)


def _cleaned(text: str) -> str:
    return "".join(character for character in text[:_ERROR_MAX] if character.isprintable())


def _nobody(why: str) -> None:
    """Not told of: the connection was closed on purpose."""
    del why
