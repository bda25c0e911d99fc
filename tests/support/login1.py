# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real systemd-logind and a real polkitd with our rule, on a system bus of their own, in a /run of their own.

`run` may be the /run of a World and of a Pcscd: then all of them are one machine. Sessions that are there at the start are
written as logind itself writes them; others come by CreateSession, which is what pam_systemd calls. What logind wants of
the service manager is done by a program of ours (fake_systemd1), and the machine's sleep is only told of.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection
from jeepney.wrappers import unwrap_msg

from tests.support.namespace import CLEAN_ENVIRONMENT, Cover, Namespace
from tests.support.pam_world import ACCOUNTS, REPOSITORY, write_accounts
from tests.support.system_bus import LIMIT_S, SystemBus, run_as

NAME = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = DBusAddress(PATH, bus_name=NAME, interface=f"{NAME}.Manager")
LOGIND = "/lib/systemd/systemd-logind"
POLKITD = "/usr/lib/polkit-1/polkitd"
_LOGIND_CONFIGURATION = """[Login]
NAutoVTs=0
ReserveVT=0
KillUserProcesses=no
RemoveIPC=no
HandlePowerKey=ignore
HandleSuspendKey=ignore
HandleLidSwitch=ignore
"""
RULES = REPOSITORY / "etc" / "polkit-1" / "rules.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """A session as its file has it. `leader` 0: a process of its own that does nothing, as each session needs another."""

    id: str
    uid: int
    type: str = "x11"
    leader: int = 0
    tty: str = ""
    display: str = ""
    session_class: str = "user"
    remote: bool = False
    service: str = "gdm-password"
    seat: str = ""

    @property
    def path(self) -> str:
        """Its object on the bus."""
        first, rest = self.id[0], self.id[1:]
        return f"{PATH}/session/" + (f"_{ord(first):02x}{rest}" if first.isdigit() else self.id)

    def text(self, now: float, leader: int) -> str:
        """The lines of /run/systemd/sessions/ID."""
        said = {
            "UID": self.uid, "USER": _account_name(self.uid), "ACTIVE": 1, "IS_DISPLAY": 1, "STATE": "active",
            "REMOTE": int(self.remote), "TYPE": self.type, "ORIGINAL_TYPE": self.type, "CLASS": self.session_class,
            "FIFO": f"/run/systemd/sessions/{self.id}.ref", "SERVICE": self.service, "SEAT": self.seat,
            "TTY": self.tty, "DISPLAY": self.display, "LEADER": leader,
            "REALTIME": int(now * 1e6), "MONOTONIC": int(time.monotonic() * 1e6),
        }  # fmt: skip
        return "".join(f"{key}={value}\n" for key, value in said.items() if value != "")


class Login1:
    """The daemons. `address` is for root outside; inside of the namespace the bus is at its usual place."""

    def __init__(self, run: Path, folder: Path, sessions: Sequence[SessionSpec] = (), *, logind: bool = True,
                 polkit: bool = True) -> None:
        folder.mkdir(parents=True)
        self.run_folder, self.folder = run, folder
        self._alive: dict[str, int] = {}
        self._logs: dict[str, Path] = {}
        self._stack = contextlib.ExitStack()
        self._logind: subprocess.Popen[str] | None = None
        try:
            self._start(sessions, logind=logind, polkit=polkit)
        except BaseException:
            self.close()
            raise

    def _start(self, sessions: Sequence[SessionSpec], *, logind: bool, polkit: bool) -> None:
        self.namespace = self._stack.enter_context(Namespace(_covers(self.run_folder, self.folder)))
        self.bus = SystemBus(self.namespace, self.run_folder, self.folder)
        self._stack.callback(self.bus.stop)
        for spec in sessions:
            self.write_session(spec)
        if polkit:
            self._daemon("polkitd", [POLKITD], "org.freedesktop.PolicyKit1")
        self._systemd1 = self._daemon(
            "systemd1", [sys.executable, "-P", str(REPOSITORY / "tests/support/fake_systemd1.py"), self.inside_address],
            "org.freedesktop.systemd1", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY)
        if logind:
            self.start_logind()

    def _daemon(self, what: str, argv: list[str], name: str, **more: Any) -> subprocess.Popen[str]:
        log = self._stack.enter_context((self.folder / f"{what}.log").open("ab"))
        variables = {"DBUS_SYSTEM_BUS_ADDRESS": self.inside_address, "SYSTEMD_LOG_LEVEL": "debug",
                     "SYSTEMD_LOG_TARGET": "console"}
        more = {"stdin": subprocess.DEVNULL, "stdout": log, **more}
        child = subprocess.Popen(self.namespace.enter(argv, env=variables), env=dict(CLEAN_ENVIRONMENT), text=True,
                                 stderr=log, **more)
        self._stack.callback(_end, child)
        self._logs[what] = self.folder / f"{what}.log"
        try:
            self.bus.await_name(name)
        except TimeoutError as error:
            raise RuntimeError(f"cannot start {what}: {self.log(what)}") from error
        return child

    @property
    def bus_address(self) -> str:
        """The bus, for root of this process; anybody inside of the namespace: `inside_address`."""
        return self.bus.address

    @property
    def inside_address(self) -> str:
        """The bus, as it is found inside of the namespace and of a World with the same /run."""
        return "unix:path=/run/dbus/system_bus_socket"

    def log(self, what: str = "logind") -> str:
        """What "logind", "polkitd" or "systemd1" said so far."""
        return self._logs[what].read_text(errors="replace")

    # logind itself

    def start_logind(self) -> None:
        """Start it, and return when it has its name."""
        self._logind = self._daemon("logind", [LOGIND], NAME)

    def stop_logind(self) -> None:
        """End it, and return when its name is free."""
        assert self._logind is not None
        _end(self._logind)
        self.bus.await_name(NAME, there=False)

    def restart_logind(self) -> None:
        """Another process, the same sessions."""
        self.stop_logind()
        self.start_logind()

    @contextlib.contextmanager
    def hanging_logind(self) -> Iterator[None]:
        """It is there, and does nothing."""
        assert self._logind is not None
        self._logind.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._logind.send_signal(signal.SIGCONT)

    # Sessions

    def write_session(self, spec: SessionSpec) -> None:
        """Write the files of a session, which logind reads when it starts."""
        systemd = self.run_folder / "systemd"
        for name in ("sessions", "users", "seats", "machines", "inhibit", "system"):
            (systemd / name).mkdir(parents=True, exist_ok=True)
        reference = systemd / "sessions" / f"{spec.id}.ref"
        if not reference.exists():
            os.mkfifo(reference, 0o600)
        self._alive[spec.id] = os.open(reference, os.O_RDWR | os.O_NONBLOCK)
        (systemd / "sessions" / spec.id).write_text(spec.text(time.time(), self._leader(spec)))
        (systemd / "users" / str(spec.uid)).write_text(
            f"NAME={_account_name(spec.uid)}\nSTATE=active\nSTOPPING=no\nSESSIONS={spec.id}\nACTIVE_SESSIONS={spec.id}\n")

    def _leader(self, spec: SessionSpec) -> int:
        if spec.leader:
            return spec.leader
        idle = subprocess.Popen(["sleep", "infinity"], text=True)
        self._stack.callback(_end, idle)
        return idle.pid

    def create_session(self, spec: SessionSpec) -> str:
        """Open a session as pam_systemd does, and return the name that logind gave it; `spec.id` is not used."""
        with self.bus.connect(enable_fds=True) as connection:
            answer = _create(connection, spec, self._leader(spec))
        self._alive[answer[0]] = answer[3].to_raw_fd()
        return str(answer[0])

    def end_session(self, session: str) -> None:
        """Let it end as a logout does: nobody holds it any longer."""
        os.close(self._alive.pop(session))

    def await_ended(self, session: str) -> bool:
        """Say whether logind told in time that the session is gone."""
        def told() -> bool:
            return any(message.body[0] == session for message in self.signals(f"{NAME}.Manager", "SessionRemoved"))
        return self.bus.heard.await_that(told)

    def set_locked_hint(self, session: str, locked: bool, *, uid: int | None = None) -> None:
        """Say, as the owner of the session, that its screen is locked, or is not. What a screen saver does."""
        owner = _owner(self.run_folder, session) if uid is None else uid
        path = SessionSpec(id=session, uid=owner).path
        done = self.run_as(owner, ["busctl", "call", NAME, path, f"{NAME}.Session", "SetLockedHint", "b", str(locked).lower()])
        if done.returncode != 0:
            raise RuntimeError(f"cannot set LockedHint: {done.stderr}")

    def locked_hint(self, session: str) -> bool:
        """What logind says of it."""
        properties = DBusAddress(SessionSpec(id=session, uid=0).path, bus_name=NAME, interface="org.freedesktop.DBus.Properties")
        return bool(self.bus.call(properties, "Get", "ss", (f"{NAME}.Session", "LockedHint"))[0][1])

    def run_as(self, uid: int, argv: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as an account, on this bus."""
        return run_as(self.namespace, uid, list(argv), **more)

    # Sleep

    def emit_sleep(self, asleep: bool) -> None:
        """Have logind tell that the machine goes to sleep (it is asked to suspend), or that it has woken up."""
        assert self._systemd1.stdout is not None
        assert self._systemd1.stdin is not None
        if asleep:
            self.bus.call(MANAGER, "Suspend", "b", (False,))
            assert self._systemd1.stdout.readline() == "asleep\n", self.log()
        else:
            self._systemd1.stdin.write("\n")
            self._systemd1.stdin.flush()
        if not self.bus.heard.await_that(lambda: self._told_of_sleep(asleep)):
            raise RuntimeError(f"logind does not tell of sleep: {self.log()}")

    def _told_of_sleep(self, asleep: bool) -> bool:
        told = self.signals(f"{NAME}.Manager", "PrepareForSleep")
        return bool(told) and told[-1].body == (asleep,)

    # What was said on the bus

    def signals(self, interface: str, *members: str) -> list[Message]:
        """The signals so far."""
        heard = self.bus.heard.messages(MessageType.signal, interface)
        return [message for message in heard if message.header.fields[HeaderFields.member] in members]

    def calls(self, *members: str) -> list[tuple[Any, ...]]:
        """What logind's manager was asked for so far: ("LockSession", "c1") and the like, whatever it answered."""
        heard = self.bus.heard.messages(MessageType.method_call, f"{NAME}.Manager")
        named = ((message.header.fields[HeaderFields.member], message.body) for message in heard)
        return [(member, *body) for member, body in named if member in members]

    def lock_signals(self) -> list[tuple[str, str]]:
        """The signals so far that ask sessions to lock or unlock: ("Lock", "c1"), ("Unlock", "c1")."""
        return [(message.header.fields[HeaderFields.member], _session_of(message.header.fields[HeaderFields.path]))
                for message in self.signals(f"{NAME}.Session", "Lock", "Unlock")]

    def await_lock_signals(self, count: int = 1, limit_s: float = LIMIT_S) -> list[tuple[str, str]]:
        """The signals, when there are so many or the time is over. Blocks: asyncio.to_thread."""
        self.bus.heard.await_that(lambda: len(self.lock_signals()) >= count, limit_s)
        return self.lock_signals()

    def close(self) -> None:
        """End all of it."""
        self._stack.close()
        for descriptor in self._alive.values():
            os.close(descriptor)
        self._alive.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _covers(run: Path, folder: Path) -> list[Cover]:
    """/run, the accounts, our polkit rule alone, a logind without terminals and keys, and a kernel that can sleep."""
    for name in ("etc", "power", "rules.d", "no-terminal"):
        (folder / name).mkdir()
    write_accounts(folder / "etc")
    (folder / "power" / "state").write_text("freeze mem disk\n")
    for rule in RULES.glob("*.rules"):
        Path(shutil.copy(rule, folder / "rules.d")).chmod(0o644)  # a clone under umask 077 is nobody else's to read
    files = [Cover(folder / "etc" / name, f"/etc/{name}") for name in ("passwd", "group", "shadow")]
    (folder / "etc" / "logind.conf").write_text(_LOGIND_CONFIGURATION)
    files.append(Cover(folder / "etc" / "logind.conf", "/etc/systemd/logind.conf"))
    return [*files, Cover(folder / "rules.d", "/etc/polkit-1/rules.d"), Cover(folder / "power", "/sys/power"),
            Cover(folder / "no-terminal", "/sys/class/tty/tty0"), Cover(run, "/run")]


def _create(connection: DBusConnection, spec: SessionSpec, leader: int) -> tuple[Any, ...]:
    body = (spec.uid, leader, spec.service, spec.type, spec.session_class, "", spec.seat, 0, spec.tty,
            spec.display, spec.remote, "", "", [])
    message = new_method_call(MANAGER, "CreateSession", "uusssssussbssa(sv)", body)
    answer: tuple[Any, ...] = unwrap_msg(connection.send_and_get_reply(message, timeout=LIMIT_S))
    return answer


def _account_name(uid: int) -> str:
    return next((account.name for account in ACCOUNTS if account.uid == uid), "nobody")


def _owner(run: Path, session: str) -> int:
    lines = (run / "systemd" / "sessions" / session).read_text().splitlines()
    return int(next(line for line in lines if line.startswith("UID=")).removeprefix("UID="))


def _session_of(path: str) -> str:
    last = path.rpartition("/")[2]
    return chr(int(last[1:3], 16)) + last[3:] if last.startswith("_") else last


def _end(child: subprocess.Popen[str]) -> None:
    for sent in (signal.SIGCONT, signal.SIGTERM):
        child.send_signal(sent)
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
