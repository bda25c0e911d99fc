# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the service manager is told (sd_notify(3)): datagrams to the socket it named, or to nobody.

Nothing here may hurt: without a manager, or with one that does not listen, the monitor goes on. Nothing is waited for.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

_TEXT_MAX = 512


class Notifier:
    """The manager's socket, if there is one."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = _open(self._address)
        self.watchdog_s = watchdog_s
        """How often `watchdog` is to be called, in seconds: half of the manager's limit. None: never."""

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def ready(self, status: str = "") -> bool:
        """It watches now. Also after `reloading`."""
        return self._send("READY=1", *_status(status))

    def reloading(self) -> bool:
        """It reads its configuration again; `ready` follows (systemd.service(5), Type=notify-reload)."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(status))

    def watchdog(self) -> bool:
        """It still turns."""
        return self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> bool:
        """It ends."""
        return self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> bool:
        """Send what is to be said at once; False where nobody takes it."""
        if self._socket is None or not lines:
            return False
        try:
            said = "\n".join(lines).encode("utf-8", "backslashreplace")
            self._socket.sendto(said, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, self._address)
        except OSError:
            return False
        return True


def notifier_of(environment: Mapping[str, str], pid: int) -> Notifier:
    """Return the notifier that the service manager's variables ask for (sd_notify(3), sd_watchdog_enabled(3))."""
    return Notifier(environment.get("NOTIFY_SOCKET", ""), _watchdog_s(environment, pid))


def own_notifier() -> Notifier:
    """Return the notifier of this process."""
    return notifier_of(os.environ, os.getpid())


def _watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    limit, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(pid))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 18) or int(limit) == 0 or whose != str(pid):
        return None
    return int(limit) / 2e6


def _open(address: str) -> socket.socket | None:
    if address[:1] not in ("/", "\0") or len(address) == 1:
        return None  # AF_VSOCK is for whole machines
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _status(status: str) -> tuple[str, ...]:
    """The line, or none; a line feed would begin another assignment."""
    return (f"STATUS={' '.join(status.split())[:_TEXT_MAX]}",) if status else ()
