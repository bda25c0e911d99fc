# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service manager in small on a private bus: what systemd-logind needs of org.freedesktop.systemd1 to open a session.

Units start at once and do nothing; a scope keeps the processes that it was made for, and stopping it ends them, as the
end of a session does. Runtime directories of accounts are made by whoever sets the world up. A program of its own
(jeepney): `systemd1.py SOCKET`, which says "ready" when it has its name and ends with its standard input.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
_MANAGER = DBusAddress(PATH, bus_name=NAME, interface=f"{NAME}.Manager")
_PROPERTIES = "org.freedesktop.DBus.Properties"


def unit_path(name: str) -> str:
    """The object path of a unit: what is no letter or digit as _ and two hexadecimal digits (sd_bus_path_encode)."""
    return f"{PATH}/unit/" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in name)


@dataclass(slots=True)
class ServiceManager:
    """The units that were started, by their paths, with the processes of each."""

    connection: DBusConnection
    units: dict[str, tuple[int, ...]] = field(default_factory=dict)
    jobs: int = 0

    def answer(self, message: Message) -> None:
        """Carry one call out."""
        fields = message.header.fields
        member = fields.get(HeaderFields.member, "")
        handler = getattr(self, f"_{member}", None)
        if handler is None:
            self.connection.send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "s", (member,)))
            return
        handler(message, *message.body)

    def _Subscribe(self, message: Message) -> None:
        self.connection.send(new_method_return(message))

    def _StartUnit(self, message: Message, name: str, _mode: str) -> None:
        self.units[unit_path(name)] = ()
        self._job(message, name)

    def _StartTransientUnit(self, message: Message, name: str, _mode: str, properties: Any, _auxiliary: Any) -> None:
        self.units[unit_path(name)] = next((tuple(value[1]) for key, value in properties if key == "PIDs"), ())
        self._job(message, name)

    def _StopUnit(self, message: Message, name: str, _mode: str) -> None:
        self._end(unit_path(name), signal.SIGTERM)
        self._job(message, name)

    def _KillUnit(self, message: Message, name: str, _whom: str, number: int) -> None:
        self._end(unit_path(name), number, keep=True)
        self.connection.send(new_method_return(message))

    def _Abandon(self, message: Message) -> None:
        path = message.header.fields[HeaderFields.path]
        self.units.pop(path, None)
        self.connection.send(new_method_return(message))

    def _Get(self, message: Message, _interface: str, wanted: str) -> None:
        path = message.header.fields[HeaderFields.path]
        value: Any = ("s", "active" if path in self.units else "inactive")
        if wanted == "Job":
            value = ("(uo)", (0, "/"))
        self.connection.send(new_method_return(message, "v", (value,)))

    def _end(self, path: str, number: int, *, keep: bool = False) -> None:
        for process in self.units.get(path, ()):
            with suppress(ProcessLookupError):
                os.kill(process, number)
        if not keep:
            self.units.pop(path, None)

    def _job(self, message: Message, name: str) -> None:
        self.jobs += 1
        job = f"{PATH}/job/{self.jobs}"
        self.connection.send(new_method_return(message, "o", (job,)))
        self.connection.send(new_signal(_MANAGER, "JobRemoved", "uoss", (self.jobs, job, name, "done")))


def serve(address: str) -> None:
    """Answer until standard input ends."""
    connection = open_dbus_connection(address)
    if connection.send_and_get_reply(message_bus.RequestName(NAME)).body != (1,):
        raise SystemExit(f"cannot become {NAME}: somebody else is")
    manager = ServiceManager(connection)
    print("ready", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(connection.sock, selectors.EVENT_READ)
        while all(key.fileobj is not sys.stdin for key, _ in selector.select()):
            with suppress(TimeoutError):
                while True:
                    message = connection.receive(timeout=0)
                    if message.header.message_type is MessageType.method_call:
                        manager.answer(message)


if __name__ == "__main__":
    serve(f"unix:path={sys.argv[1]}")
