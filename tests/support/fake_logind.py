# SPDX-License-Identifier: LGPL-2.1-or-later
"""A logind that does what no real one does: says yes and does nothing, never answers, answers nonsense.

It has the name org.freedesktop.login1 on a bus of Login1's (made with logind=False), until it is closed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return, new_signal

from tests.support.login1 import NAME, PATH, SessionSpec
from tests.support.system_bus import SystemBus, request_name

Answer = tuple[str | None, tuple[Any, ...]]
"""Signature and body."""


def silence(*arguments: Any) -> None:
    """No answer, ever."""


class FakeLogind:
    """`answers`: for a member of an interface, what is answered instead, from the arguments; None for no answer."""

    def __init__(self, bus: SystemBus, sessions: Sequence[SessionSpec] = (),
                 answers: Mapping[str, Callable[..., Answer | None]] | None = None) -> None:
        self.answers = dict(answers or {})
        self.properties = {spec.id: _properties(spec) for spec in sessions}
        self._paths = {spec.path: spec.id for spec in sessions}
        self._connection = bus.connect()
        request_name(self._connection, NAME)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is MessageType.method_call:
                    self._answer(message, str(message.header.fields[HeaderFields.member]))

    def _answer(self, message: Message, member: str) -> None:
        try:
            answer = self.answers.get(member, getattr(self, f"_{member}", self._unknown))
            said = answer(*message.body) if member != "GetAll" or member in self.answers else self._get_all(message)
        except KeyError:
            self._connection.send(new_error(message, f"{NAME}.NoSuchSession", "s", ("no such session",)))
        else:
            if said is not None:
                self._connection.send(new_method_return(message, *said))

    def _unknown(self, *arguments: Any) -> Answer:
        return None, ()

    def _GetSession(self, session: str) -> Answer:  # noqa: N802
        return "o", ({name: path for path, name in self._paths.items()}[session],)

    def _LockSession(self, session: str) -> Answer:  # noqa: N802
        self._GetSession(session)
        return None, ()

    _TerminateSession = _LockSession

    def _ListSessions(self) -> Answer:  # noqa: N802
        return "a(susso)", ([(name, 0, "alice", "", path) for path, name in self._paths.items()],)

    def _get_all(self, message: Message) -> Answer:
        return "a{sv}", (self.properties[self._paths[message.header.fields[HeaderFields.path]]],)

    def emit(self, member: str, signature: str, body: tuple[Any, ...], *, path: str = PATH,
             interface: str = f"{NAME}.Manager") -> None:
        """Send a signal as logind."""
        self._connection.send(new_signal(DBusAddress(path, interface=interface), member, signature, body))

    def change(self, session: str, name: str, signature: str, value: Any, *, tell: bool = True) -> None:
        """Change a property of a session, with or without a word."""
        self.properties[session][name] = (signature, value)
        if tell:
            path = next(path for path, found in self._paths.items() if found == session)
            self.emit("PropertiesChanged", "sa{sv}as", (f"{NAME}.Session", {name: (signature, value)}, []), path=path,
                      interface="org.freedesktop.DBus.Properties")

    def close(self) -> None:
        """Give the name up: to everybody else it has ended."""
        self._connection.sock.shutdown(2)
        self._thread.join(10)
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _properties(spec: SessionSpec) -> dict[str, tuple[str, Any]]:
    return {
        "Id": ("s", spec.id), "User": ("(uo)", (spec.uid, f"{PATH}/user/_{spec.uid}")), "Name": ("s", "alice"),
        "Type": ("s", spec.type), "Class": ("s", spec.session_class), "Remote": ("b", spec.remote),
        "State": ("s", "active"), "TTY": ("s", spec.tty), "Display": ("s", spec.display), "LockedHint": ("b", False),
    }  # fmt: skip
