# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session bus of a test's own (a real dbus-daemon), and programs on it that answer as a test wants, or do not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeepney import HeaderFields, Message, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusConnection, DBusRouter, Proxy, open_dbus_connection

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={folder}/bus</listen><servicedir>{folder}/services</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


@dataclass(frozen=True, slots=True)
class OwnBus:
    """A bus; `services` is where it looks for what it may activate."""

    address: str
    services: Path
    pid: int

    def stop(self) -> None:
        """Let it hang."""
        os.kill(self.pid, signal.SIGSTOP)


@contextmanager
def own_bus(folder: Path) -> Iterator[OwnBus]:
    """Start a bus in an empty folder, and end it by its number."""
    (folder / "services").mkdir(parents=True)
    (folder / "config").write_text(_CONFIG.format(folder=folder))
    daemon = subprocess.Popen(["dbus-daemon", f"--config-file={folder}/config", "--nofork", "--print-address=1"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert daemon.stdout is not None
    try:
        assert daemon.stdout.readline(), "dbus-daemon did not start"
        yield OwnBus(f"unix:path={folder}/bus", folder / "services", daemon.pid)
    finally:
        daemon.kill()
        daemon.stdout.close()
        daemon.wait()


@dataclass
class FakeSaver:
    """A screen saver. Each method is a function of its arguments to (signature, body), an error's name, or None: silence."""

    active: Any = False
    locks: bool = True
    refuses: str = ""
    silent: frozenset[str] = frozenset()
    crashes: bool = False
    paths: tuple[str, ...] = ()
    """Where it is; empty: anywhere."""
    called: list[str] = field(default_factory=list)

    def answer(self, member: str, path: str, body: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]] | str | None:
        """What it does and says."""
        if self.paths and path not in self.paths:
            return "org.freedesktop.DBus.Error.UnknownObject"
        self.called.append(f"{member}{body}" if body else member)
        if member == "Lock":
            if self.refuses:
                return self.refuses
            self.active = self.active or self.locks
        if member in self.silent:
            return None
        if member == "GetActive":
            return ("b" if isinstance(self.active, bool) else "s"), (self.active,)
        return "", ()


@asynccontextmanager
async def saver_on(bus: OwnBus, name: str, saver: FakeSaver) -> AsyncIterator[FakeSaver]:
    """Have a screen saver on the bus under a name."""
    async with asyncio.timeout(5):
        connection = await open_dbus_connection(bus.address)
    async with DBusRouter(connection) as router:
        await Proxy(message_bus, router).RequestName(name)
    serving = asyncio.create_task(_serve(connection, saver))
    try:
        yield saver
    finally:
        serving.cancel()
        await asyncio.wait({serving})
        with contextlib.suppress(OSError):
            await connection.close()


async def _serve(connection: DBusConnection, saver: FakeSaver) -> None:
    while True:
        message = await connection.receive()
        if message.header.message_type is not MessageType.method_call:
            continue
        fields = message.header.fields
        if saver.crashes and fields[HeaderFields.member] == "Lock":
            await connection.close()
            return
        await _answer(connection, message, saver.answer(fields[HeaderFields.member], fields[HeaderFields.path], message.body))


async def _answer(connection: DBusConnection, message: Message, said: tuple[str, tuple[Any, ...]] | str | None) -> None:
    match said:
        case None:
            return
        case str() as name:
            await connection.send(new_error(message, name))
        case (signature, body):
            await connection.send(new_method_return(message, signature or None, body))


