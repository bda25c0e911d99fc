# SPDX-License-Identifier: LGPL-2.1-or-later
"""A system bus of one's own: a real dbus-daemon with the machine's policies and ours, and an ear that hears all that is said on it.

Its socket is where programs look for it, in a /run that belongs to a test; nothing is started on demand.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, MatchRule, Message, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import unwrap_msg

from tests.support.namespace import CLEAN_ENVIRONMENT, Namespace

SOCKET = "/run/dbus/system_bus_socket"
LIMIT_S = 20.0
_BUS = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
_CONFIGURATION = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path={SOCKET}</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  <includedir>/usr/share/dbus-1/system.d</includedir>
  <includedir>{Path(__file__).resolve().parents[2]}/etc/dbus-1/system.d</includedir>
  <includedir>/run/dbus/system.d</includedir>
</busconfig>
"""


class SystemBus:
    """The daemon, in a namespace whose /run is `run`."""

    def __init__(self, namespace: Namespace, run: Path, folder: Path) -> None:
        (run / "dbus").mkdir(parents=True, exist_ok=True)
        (run / "dbus" / SOCKET.rpartition("/")[2]).unlink(missing_ok=True)
        (folder / "bus.conf").write_text(_CONFIGURATION)
        self.address = f"unix:path=/proc/{namespace.pid}/root{SOCKET}"
        """For root outside of the namespace, and short enough for a socket's name wherever `run` lies."""
        self._log = (folder / "bus.log").open("wb")
        self._daemon = subprocess.Popen(
            namespace.enter(["dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--nopidfile",
                             "--print-address=1"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, env=dict(CLEAN_ENVIRONMENT))
        assert self._daemon.stdout is not None
        if not self._daemon.stdout.readline():
            raise RuntimeError(f"cannot start dbus-daemon: {Path(self._log.name).read_text()}")
        self._control = self.connect()
        self._lock = threading.Lock()
        self.heard = Ear(self.connect())

    def connect(self, *, enable_fds: bool = False) -> DBusConnection:
        """A connection as root."""
        return open_dbus_connection(self.address, enable_fds=enable_fds, auth_timeout=LIMIT_S)

    def call(self, address: DBusAddress, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """What root is answered; DBusErrorResponse."""
        message = new_method_call(address, member, signature or None, body)
        with self._lock:
            answer: tuple[Any, ...] = unwrap_msg(self._control.send_and_get_reply(message, timeout=LIMIT_S))
        return answer

    def await_name(self, name: str, *, there: bool = True) -> None:
        """Return when somebody has this name, or nobody."""
        rule = MatchRule(type="signal", sender="org.freedesktop.DBus", interface="org.freedesktop.DBus",
                         member="NameOwnerChanged", path="/org/freedesktop/DBus")
        rule.add_arg_condition(0, name)
        deadline = time.monotonic() + LIMIT_S
        with self.connect() as connection, connection.filter(rule, bufsize=100) as changes:
            _ask(connection, "AddMatch", "s", (rule.serialise(),))
            while _ask(connection, "NameHasOwner", "s", (name,))[0] != int(there):
                connection.recv_until_filtered(changes, timeout=max(0.0, deadline - time.monotonic()))

    def kill(self) -> None:
        """Kill the daemon: every connection is lost at once."""
        self._daemon.kill()
        self._daemon.wait(timeout=LIMIT_S)

    def stop(self) -> None:
        """End all of it."""
        self.kill()
        assert self._daemon.stdout is not None
        self._daemon.stdout.close()
        self.heard.close()
        self._control.close()
        self._log.close()


def _ask(connection: DBusConnection, member: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
    message = new_method_call(_BUS, member, signature, body)
    answer: tuple[Any, ...] = unwrap_msg(connection.send_and_get_reply(message, timeout=LIMIT_S))
    return answer


class Ear:
    """Hears every message on the bus (dbus-monitor's way), until the bus is gone."""

    def __init__(self, connection: DBusConnection) -> None:
        monitoring = _BUS.with_interface("org.freedesktop.DBus.Monitoring")
        unwrap_msg(connection.send_and_get_reply(
            new_method_call(monitoring, "BecomeMonitor", "asu", ([], 0)), timeout=LIMIT_S))
        self._connection = connection
        self._messages: list[Message] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            while True:
                message = self._connection.receive()
                with self._more:
                    self._messages.append(message)
                    self._more.notify_all()

    def messages(self, kind: MessageType, interface: str) -> list[Message]:
        """All messages of one kind and interface so far."""
        with self._more:
            return [message for message in self._messages if message.header.message_type is kind
                    and message.header.fields.get(HeaderFields.interface) == interface]

    def await_that(self, holds: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
        """Say whether something about the messages came true in time."""
        with self._more:
            return self._more.wait_for(holds, limit_s)

    def close(self) -> None:
        """Wait for the end, which the daemon's end brings."""
        self._thread.join(LIMIT_S)
        self._connection.close()


def run_as(namespace: Namespace, uid: int, argv: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in the namespace as an account that /etc/passwd there has."""
    return namespace.run(argv, user=None if uid == os.geteuid() else str(uid), **more)


def request_name(connection: DBusConnection, name: str) -> None:
    """Take a name that nobody has."""
    if _ask(connection, "RequestName", "su", (name, 4)) != (1,):
        raise RuntimeError(f"somebody has the name {name} already")
