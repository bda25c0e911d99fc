# SPDX-License-Identifier: LGPL-2.1-or-later
"""When logind was asked for something: an ear on a system bus that writes down the time of each call."""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Any, Self

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.wrappers import unwrap_msg

from tests.support.login1 import NAME
from tests.support.system_bus import LIMIT_S, SystemBus

_MONITORING = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus",
                          interface="org.freedesktop.DBus.Monitoring")


class TimedCalls:
    """Calls of logind's manager."""

    def __init__(self, bus: SystemBus) -> None:
        self._connection = bus.connect()
        rule = f"type='method_call',interface='{NAME}.Manager'"
        unwrap_msg(self._connection.send_and_get_reply(new_method_call(_MONITORING, "BecomeMonitor", "asu", ([rule], 0))))
        self._calls: list[tuple[float, str, tuple[Any, ...]]] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            while True:
                message = self._connection.receive()
                at = time.monotonic()
                if message.header.message_type is MessageType.method_call:
                    with self._more:
                        self._calls.append((at, str(message.header.fields[HeaderFields.member]), tuple(message.body)))
                        self._more.notify_all()

    def after(self, moment: float, member: str, session: str) -> float:
        """When this was asked about a session for the first time after a moment; TimeoutError."""
        def found() -> list[float]:
            return [at for at, name, body in self._calls if at > moment and name == member and body[:1] == (session,)]
        with self._more:
            if not self._more.wait_for(found, LIMIT_S):
                raise TimeoutError(f"nobody asks for {member} of {session}")
            return found()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._connection.sock.shutdown(2)
        self._thread.join(LIMIT_S)
        self._connection.close()
