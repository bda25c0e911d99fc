# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whose signals are read: those of the bus and of whoever is heard. A stranger's are passed over by their bytes alone."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from jeepney import DBusAddress, Endianness, Header, HeaderFields, Message, new_method_call, new_signal

from pam_sc.monitor.bus import Bus
from tests.support.play import play

LOGIND = ":1.10"


def signal(sender: str, body: str = "", endianness: Endianness = Endianness.little) -> bytes:
    return of(new_signal(DBusAddress("/a", interface="org.freedesktop.DBus"), "Happened", "s", (body,)), sender, endianness)


def of(message: Message, sender: str, endianness: Endianness = Endianness.little) -> bytes:
    """What the bus passes on."""
    message.header.fields[HeaderFields.sender] = sender
    message.header.endianness = endianness
    return message.serialise(serial=7)


LAST = signal(LOGIND, "last")


async def _heard(said: bytes) -> list[Any]:
    """The texts of the signals that were heard, up to the last one."""
    ours, theirs = socket.socketpair()
    found: asyncio.Queue[Any] = asyncio.Queue()
    bus = Bus(*await asyncio.open_unix_connection(sock=ours), lambda message: found.put_nowait(message.body[0]),
              lambda why: found.put_nowait(why))
    bus.hear(LOGIND)
    with theirs:
        theirs.sendall(said + LAST)
        heard = [await found.get()]
        while heard[-1] != "last":
            heard.append(await found.get())
    await bus.close()
    return heard[:-1]


@pytest.mark.parametrize("endianness", list(Endianness))
@pytest.mark.parametrize("sender", [LOGIND, "org.freedesktop.DBus"])
def test_signals_of_who_is_heard_are_read_in_either_order_of_bytes(sender: str, endianness: Endianness) -> None:
    assert play(_heard(signal(sender, "one", endianness))) == ["one"]


@pytest.mark.parametrize("said", [
    signal(":1.1", "x"), signal(":1.1", "x", Endianness.big), signal(":1.100", "x"), signal(":1.2", f"\x07\x01s {LOGIND}"),
    of(new_method_call(DBusAddress("/a", LOGIND, "a.b"), "Call", "s", ("x",)), LOGIND),
], ids=["another", "big-endian", "a longer name", "the name in its body", "a call"])  # fmt: skip
def test_what_nobody_listens_to_is_passed_over_without_being_parsed(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    parsed: list[bytes] = []
    parse = Header.from_buffer
    monkeypatch.setattr(Header, "from_buffer", lambda whole: (parsed.append(whole), parse(whole))[1])
    assert play(_heard(said)) == []
    assert set(parsed) == {LAST}
