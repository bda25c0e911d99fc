# SPDX-License-Identifier: LGPL-2.1-or-later
"""A desktop in small on a system bus: whoever is told to lock says at once that it is locked, as a good desktop does."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Self

from jeepney import DBusAddress, HeaderFields, MatchRule, MessageType, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.wrappers import unwrap_msg

from tests.support.login1 import NAME
from tests.support.system_bus import LIMIT_S, SystemBus


class HintingDesktop:
    """Of all sessions, except of those in `deaf`."""

    def __init__(self, bus: SystemBus) -> None:
        self.deaf: set[str] = set()
        self._connection = bus.connect()
        rule = MatchRule(type="signal", interface=f"{NAME}.Session", member="Lock")
        unwrap_msg(self._connection.send_and_get_reply(message_bus.AddMatch(rule), timeout=LIMIT_S))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            while True:
                message = self._connection.receive()
                path = str(message.header.fields.get(HeaderFields.path))
                is_lock = message.header.fields.get(HeaderFields.member) == "Lock"
                if message.header.message_type is MessageType.signal and is_lock and path.rpartition("/")[2] not in self.deaf:
                    session = DBusAddress(path, bus_name=NAME, interface=f"{NAME}.Session")
                    self._connection.send(new_method_call(session, "SetLockedHint", "b", (True,)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._connection.sock.shutdown(2)
        self._thread.join(LIMIT_S)
        self._connection.close()
