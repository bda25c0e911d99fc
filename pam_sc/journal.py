# SPDX-License-Identifier: LGPL-2.1-or-later
"""The journal's own socket: one entry for each attempt, a field for each value (systemd.journal-fields(7)).

Speaks the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram of `NAME=value` lines. The socket is opened
while the verifier may still open it, and a machine without a journal has none. Nothing here fails a login: an entry that
cannot be sent is said to be unsent, and goes to syslog instead.
"""

from __future__ import annotations

import enum
import socket

from pam_sc.decision.reasons import Severity

SOCKET = "/run/systemd/journal/socket"
AUTHPRIV = 10
Pairs = list[tuple[str, str]]
"""Names in lower case and values of one event, in order."""


class Event(enum.Enum):
    """What is logged as an event of its own. The value begins its line."""

    GRANTED = "granted"
    REFUSED = "refused"
    PIN_CHANGED = "pin-changed"


MESSAGE_IDS = {
    Event.GRANTED: "d5f4367762a546389531ee35ec09a468",
    Event.REFUSED: "93263713ef074b308c9ba833795c2787",
    Event.PIN_CHANGED: "16ac4a1756eb43d79ebec6420020cf90",
}
"""Stable for ever: what watches the journal asks for these."""

_FIELDS = {"ms": "DURATION_MS"}


class Journal:
    """A connection to the journal, or none."""

    def __init__(self, path: str = SOCKET) -> None:
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(path)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the connection; what comes then goes to syslog."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def send(self, severity: Severity, event: Event, line: str, pairs: Pairs) -> bool:
        """Send one entry; False if there is no journal, or it does not take it at once."""
        return self.put(entry(severity, event, line, pairs))

    def put(self, datagram: bytes) -> bool:
        """Send an entry that is made already, in the same way."""
        if self._socket is None:
            return False
        try:
            self._socket.send(datagram, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True


def entry(severity: Severity, event: Event, line: str, pairs: Pairs) -> bytes:
    """Return the datagram of one entry of a login."""
    return datagram_of(severity, (event.value, MESSAGE_IDS[event]), line, pairs)


def datagram_of(
    severity: Severity, event: tuple[str, str], line: str, pairs: Pairs, facility: int = AUTHPRIV
) -> bytes:
    """Return the datagram of an event, given by its word and its MESSAGE_ID.

    A value with a line feed is sent with its length, so that it forges no field.
    """
    word, message_id = event
    fields = [
        ("MESSAGE", f"pam_sc: {line}"), ("PRIORITY", str(int(severity))), ("SYSLOG_FACILITY", str(facility)),
        ("SYSLOG_IDENTIFIER", "pam_sc"), ("MESSAGE_ID", message_id), ("PAM_SC_RESULT", word),
    ]  # fmt: skip
    fields += [(f"PAM_SC_{_FIELDS.get(name, name.upper())}", value) for name, value in pairs]
    return b"".join(_field(name.encode(), value.encode("utf-8", "backslashreplace")) for name, value in fields)


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"
