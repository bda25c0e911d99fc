# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person's session at a desk, as desktops expect it: programs in the session's scope, a session bus, settings of the machine.

Screen savers find out by the process which session is theirs: theirs lie in session-ID.scope, in a slice that belongs to
this test alone. Root may speak on this session bus too, so that a test can ask what is there.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, MessageFlag, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import unwrap_msg

from tests.support.desk import CardSession, Desk
from tests.support.login1 import MANAGER, PATH
from tests.support.namespace import CLEAN_ENVIRONMENT

LIMIT_S = 20.0
_LOOK_S = 0.05
_SETTINGS = ("X11", "fonts", "xdg", "gtk-3.0", "dconf", "glvnd", "cinnamon", "mate", "pki")
_BUS = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
_SESSION_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path={socket}</listen>
  <standard_session_servicedirs/>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class NoAnswer(Exception):
    """A call was not answered in time."""


class Refused(Exception):
    """A call was answered with this error's name."""


@dataclass(slots=True)
class DesktopSession:
    """A session that a card opened. Everything that `start` starts is ended with it."""

    desk: Desk
    session: CardSession
    variables: dict[str, str]
    scope: Path
    bus: DBusConnection = field(init=False)
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """What logind calls it."""
        return self.session.id

    def start(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a program of the session and leave it running; what it says is in the world's /srv/PROGRAM.log."""
        log = self.desk.world.path(f"/srv/{Path(argv[0]).name}.log").open("ab")
        into_scope = ["/bin/sh", "-c", 'echo $$ >"$1" && shift && exec "$@"', "scope", str(self.scope / "cgroup.procs")]
        account = self.session.account
        become = ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--"]
        settings = {**self.variables, **(environment or {})}
        command = [*into_scope, *become, "env", *(f"{name}={value}" for name, value in settings.items()), *argv]
        with log:
            self._started.append(subprocess.Popen(
                self.desk.world.namespace.enter(command), env=dict(CLEAN_ENVIRONMENT), text=True,
                cwd=self.desk.world.path(f"/home/{account}"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True))

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program of the session to its end."""
        return self.desk.world.run(argv, user=self.session.account, env=self.variables)

    def programs(self) -> list[str]:
        """The names of the programs that run in the session; of what has ended, none."""
        names = []
        for pid in (self.scope / "cgroup.procs").read_text().split():
            with suppress(OSError):
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                    names.append(Path(f"/proc/{pid}/comm").read_text().strip())
        return names

    # What logind knows

    def lock(self) -> None:
        """logind's LockSession: it says yes, and that is all that it means."""
        self.desk.login1.bus.call(MANAGER, "LockSession", "s", (self.id,))

    def unlock(self) -> None:
        """logind's UnlockSession, as a display manager calls it."""
        self.desk.login1.bus.call(MANAGER, "UnlockSession", "s", (self.id,))

    @property
    def hint(self) -> bool:
        """LockedHint."""
        return self.desk.login1.locked_hint(self.id)

    def await_hint(self, locked: bool, limit_s: float) -> bool:
        """Say whether LockedHint is this in time."""
        def told() -> bool:
            changes = self.desk.login1.signals("org.freedesktop.DBus.Properties", "PropertiesChanged")
            ours = [message.body[1]["LockedHint"][1] for message in changes
                    if message.header.fields[HeaderFields.path] == f"{PATH}/session/{self.object}"
                    and "LockedHint" in message.body[1]]
            return bool(ours) and ours[-1] is locked
        return self.hint is locked or self.desk.login1.bus.heard.await_that(told, limit_s)

    @property
    def object(self) -> str:
        """The last part of its path on the bus."""
        first, rest = self.id[0], self.id[1:]
        return f"_{ord(first):02x}{rest}" if first.isdigit() else self.id

    # The session bus

    def connect(self) -> None:
        """Start the session bus and connect to it."""
        inside = f"{self.variables['XDG_RUNTIME_DIR']}/bus"
        self.desk.world.put("/srv/session_bus.conf", _SESSION_BUS.format(socket=inside))
        self.start(["dbus-daemon", "--config-file=/srv/session_bus.conf", "--nofork", "--nopidfile"])
        address = f"unix:path=/proc/{self.desk.world.namespace.pid}/root{inside}"

        def connected() -> bool:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                self.bus = open_dbus_connection(address, auth_timeout=LIMIT_S)
                return True
            return False

        assert await_that(connected), "there is no session bus"

    def names(self) -> list[str]:
        """The names that are owned on the session bus."""
        return [name for name in self.call(_BUS, "ListNames")[0] if not name.startswith(":")]

    def call(self, address: DBusAddress, member: str, signature: str = "", body: tuple[Any, ...] = (),
             limit_s: float = 2.0, *, start: bool = False) -> tuple[Any, ...]:
        """What is answered; NoAnswer, Refused. Nothing is started by it unless `start` says so."""
        message = new_method_call(address, member, signature or None, body)
        if not start:
            message.header.flags |= MessageFlag.no_auto_start
        try:
            answer: tuple[Any, ...] = unwrap_msg(self.bus.send_and_get_reply(message, timeout=limit_s))
        except TimeoutError as error:
            raise NoAnswer from error
        except DBusErrorResponse as error:
            raise Refused(error.name.rpartition(".")[2]) from error
        return answer

    def close(self) -> None:
        """End all that runs in the session, and the slice."""
        with suppress(AttributeError):
            self.bus.close()
        gone = await_that(self._is_gone)
        for child in self._started:
            child.wait(LIMIT_S)
        assert gone, f"what still runs in the session: {self.programs()}"
        for folder in self.scope.parents[:2]:
            folder.rmdir()

    def _is_gone(self) -> bool:
        """Kill all that runs, and remove the scope, which holds on while there are processes that end."""
        for pid in (self.scope / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for child in self._started:
            child.poll()
        with suppress(OSError):
            self.scope.rmdir()
        return not self.scope.exists()


def await_that(holds: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
    """Say whether something came true in time that has no event of its own."""
    deadline = time.monotonic() + limit_s
    while not (true := holds()) and time.monotonic() < deadline:
        select.select([], [], [], _LOOK_S)
    return true


def cgroup_root() -> Path:
    """Where the hierarchy lies in which systemd keeps its units."""
    unified = Path("/sys/fs/cgroup/unified")
    return unified if (unified / "cgroup.procs").exists() else Path("/sys/fs/cgroup")


@contextmanager
def desktop_session(desk: Desk, session_type: str, desktop: str, account: str = "alice") -> Iterator[DesktopSession]:
    """Open a session with the account's card."""
    for name in _SETTINGS:
        if (Path("/etc") / name).exists() and not desk.world.path(f"/etc/{name}").exists():
            shutil.copytree(Path("/etc") / name, desk.world.path(f"/etc/{name}"), symlinks=True)
    uid = desk.world.account(account).uid
    _empty(desk.world.path(f"/run/user/{uid}"))
    desk.world.path("/run/systemd/system").mkdir(exist_ok=True)  # by this loginctl and busctl know that systemd runs
    session = desk.log_in(account, session_type=session_type)
    scope = cgroup_root() / f"pam{os.getpid()}.slice" / f"user-{uid}.slice" / f"session-{session.id}.scope"
    scope.mkdir(parents=True)
    made = DesktopSession(desk, session, {**_variables(desk, session, uid), "XDG_CURRENT_DESKTOP": desktop}, scope)
    try:
        made.connect()
        yield made
    finally:
        made.close()
        desk.log_out(session)


def _empty(folder: Path) -> None:
    """Sockets of an earlier session: logind's user-runtime-dir@.service would have removed them."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _variables(desk: Desk, session: CardSession, uid: int) -> dict[str, str]:
    runtime = f"/run/user/{uid}"
    return {**session.environment, "HOME": desk.world.account(session.account).home, "USER": session.account,
            "LOGNAME": session.account, "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": runtime,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
