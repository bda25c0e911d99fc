# SPDX-License-Identifier: LGPL-2.1-or-later
"""What logind needs of the service manager, as a program: units that start and stop at once, and a machine that sleeps.

Argument: the address of the bus. Every job is done as soon as it is asked for, except that of suspend.target: that one
ends when a line comes on standard input.
"""

from __future__ import annotations

import itertools
import re
import sys
import threading
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageFlag,
    MessageType,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import DBusConnection, open_dbus_connection

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = DBusAddress(PATH, bus_name=NAME, interface=f"{NAME}.Manager")
BUS = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
SLEEP = "suspend.target"


class Units:
    """Which units run, and the jobs that made it so."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._active: set[str] = set()

    def serve(self) -> None:
        """Answer until the bus is gone."""
        while True:
            message = self._connection.receive()
            if message.header.message_type is MessageType.method_call:
                self._answer(message, str(message.header.fields[HeaderFields.member]))

    def _answer(self, message: Message, member: str) -> None:
        unit = str(message.body[0]) if message.body else ""
        if member in ("StartUnit", "StartTransientUnit", "StopUnit"):
            self._job(message, unit)
            self._change(_path_of(unit), unit, running=member != "StopUnit")
        elif member == "Abandon":
            path = str(message.header.fields[HeaderFields.path])
            self._reply(message, None, ())
            self._change(path, _unit_of(path), running=False)
        elif member == "Get" and message.body[1] in ("ActiveState", "LoadState"):
            running = message.header.fields[HeaderFields.path] in self._active
            states = {"ActiveState": "active" if running else "inactive", "LoadState": "loaded"}
            self._reply(message, "v", (("s", states[message.body[1]]),))
        elif member in ("Subscribe", "KillUnit", "ResetFailedUnit"):
            self._reply(message, None, ())
        else:
            self._send(new_error(message, "org.freedesktop.DBus.Error.UnknownObject"), message)

    def _change(self, path: str, unit: str, *, running: bool) -> None:
        if running:
            self._active.add(path)
        else:
            self._active.discard(path)
            self._connection.send(new_signal(MANAGER, "UnitRemoved", "so", (unit, path)))

    def _job(self, message: Message, unit: str) -> None:
        number = next(self._numbers)
        path = f"{PATH}/job/{number}"
        self._reply(message, "o", (path,))
        done = new_signal(MANAGER, "JobRemoved", "uoss", (number, path, unit, "done"))
        if unit == SLEEP:
            print("asleep", flush=True)
            threading.Thread(target=self._wake, args=(done,), daemon=True).start()
        else:
            self._connection.send(done)

    def _wake(self, done: Message) -> None:
        sys.stdin.readline()
        self._connection.send(done)

    def _reply(self, message: Message, signature: str | None, body: tuple[Any, ...]) -> None:
        self._send(new_method_return(message, signature, body), message)

    def _send(self, answer: Message, message: Message) -> None:
        if not message.header.flags & MessageFlag.no_reply_expected:
            self._connection.send(answer)


def _path_of(unit: str) -> str:
    return f"{PATH}/unit/" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in unit)


def _unit_of(path: str) -> str:
    return re.sub("_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), path.removeprefix(f"{PATH}/unit/"))


def main() -> None:
    """Take the name and serve."""
    connection = open_dbus_connection(sys.argv[1])
    connection.send_and_get_reply(new_method_call(BUS, "RequestName", "su", (NAME, 0)))
    try:
        Units(connection).serve()
    except ConnectionError:
        pass  # the bus has ended


if __name__ == "__main__":
    main()
