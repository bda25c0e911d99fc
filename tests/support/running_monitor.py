# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc monitor` as a test starts it in a world: its stream of events, what it tells the service manager, its processes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.installation import PAM_SC
from tests.support.namespace import CLEAN_ENVIRONMENT
from tests.support.pam_world import World

LIMIT_S = 20.0
_KNOWN = ("here", "fixed", "gone")
Event = dict[str, Any]


class Notifications:
    """A socket as systemd makes one for a unit (sd_notify(3))."""

    def __init__(self, world: World, name: str) -> None:
        self.inside = f"/run/{name}.notify"
        self._folder = os.open(world.path("/run/"), os.O_PATH | os.O_DIRECTORY)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"/proc/self/fd/{self._folder}/{name}.notify"  # a socket's address has only 108 bytes
        world.path(self.inside).unlink(missing_ok=True)
        self._socket.bind(address)
        world.path(self.inside).chmod(0o666)
        self.said: list[str] = []

    def await_line(self, line: str, ended: int, limit_s: float = LIMIT_S) -> bool:
        """Say whether the unit says this in time, before what the descriptor `ended` is of has come to its end."""
        deadline = time.monotonic() + limit_s
        while line not in self.said:
            ready, _, _ = select.select([self._socket, ended], [], [], max(0.0, deadline - time.monotonic()))
            if self._socket not in ready:
                return False
            self.said += self._socket.recv(65536).decode().splitlines()
        return True

    def count(self, line: str) -> int:
        """How often it has said this."""
        while select.select([self._socket], [], [], 0)[0]:
            self.said += self._socket.recv(65536).decode().splitlines()
        return self.said.count(line)

    def close(self) -> None:
        """Remove it."""
        self._socket.close()
        os.close(self._folder)


class Events:
    """Lines of JSON from a pipe, read by a thread so that the writer never waits; each can be awaited."""

    def __init__(self, stream: IO[str]) -> None:
        self._events: list[Event] = []
        self._more = threading.Condition(threading.RLock())
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with contextlib.suppress(ValueError), self._more:
                self._events.append(json.loads(line))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def all(self) -> list[Event]:
        """What has come so far."""
        with self._more:
            return list(self._events)

    def mark(self) -> int:
        """Where the next one will be."""
        return len(self.all())

    def find(self, is_it: Callable[[Event], bool], since: int = 0, limit_s: float = LIMIT_S) -> Event:
        """The first that is it, awaited."""
        with self._more:
            self._more.wait_for(lambda: self._ended or any(map(is_it, self._events[since:])), limit_s)
            found = next(filter(is_it, self._events[since:]), None)
            assert found is not None, f"the monitor never tells it: {self._events[since:]}"
            return found

    def await_that(self, holds: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
        """Return when something about the events has come true."""
        with self._more:
            assert self._more.wait_for(holds, limit_s), f"it never comes true: {self._events[-10:]}"

    def close(self) -> None:
        """Wait for the end."""
        self._thread.join(LIMIT_S)


class RunningMonitor:
    """A monitor that says that it is ready. `errors` is what it wrote to standard error."""

    def __init__(self, world: World, name: str, arguments: Sequence[str] = (), *, user: str | None = None,
                 environment: Mapping[str, str] | None = None) -> None:
        self._world = world
        self.notifications = Notifications(world, name)
        self._errors = world.folder / f"{name}.err"
        variables = {"NOTIFY_SOCKET": self.notifications.inside, **(environment or {})}
        argv = world.namespace.enter([*PAM_SC, "monitor", *arguments], user=user, env=variables)
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(argv, env=dict(CLEAN_ENVIRONMENT), stdin=subprocess.DEVNULL, text=True,
                                            stdout=subprocess.PIPE, stderr=errors)
        assert self.process.stdout is not None
        self.events = Events(self.process.stdout)
        self._ended = os.pidfd_open(self.process.pid)

    @property
    def errors(self) -> str:
        """What it complained of."""
        return self._errors.read_text()

    def await_event(self, name: str, session: str = "", since: int = 0, **fields: str) -> Event:
        """The first event of this name, about this session and with these fields, awaited."""
        wanted = {"event": name, **({"session": session} if session else {}), **fields}
        return self.events.find(lambda event: wanted.items() <= event.items(), since)

    def whereabouts(self) -> dict[str, str]:
        """Where the cards of the sessions are, as root is told: by the system unit."""
        asked = self._world.run([*PAM_SC, "monitor", "status", "--json"])
        return {each["session"]: each["card"] for each in json.loads(asked.stdout)["sessions"]}

    def await_known(self, *sessions: str, where: str = "") -> None:
        """Return when it knows where the cards of these sessions are: a removal before that is one before the start."""
        deadline, known = time.monotonic() + LIMIT_S, (where,) if where else _KNOWN
        while not all(self.whereabouts().get(session) in known for session in sessions):
            assert time.monotonic() < deadline, f"the monitor never sees the cards: {self.whereabouts()}"

    def await_back(self, session: str, since: int = 0) -> None:
        """Return when it has told that a card is back."""
        self.await_event("card-returned", session, since)

    def count(self, name: str, session: str, since: int = 0) -> int:
        """How many events of this name about this session there were."""
        return sum((event["event"], event.get("session")) == (name, session) for event in self.events.all()[since:])

    def await_ready(self) -> None:
        """Return when it watches."""
        assert self.notifications.await_line("READY=1", self._ended), f"the monitor is not ready: {self.errors}"

    def reload(self) -> None:
        """Have it read its configuration again."""
        mark = self.events.mark()
        self.process.send_signal(signal.SIGHUP)
        self.events.find(lambda event: "read again" in event.get("detail", ""), mark)

    def processes(self) -> tuple[int, ...]:
        """It and all below it."""
        return (self.process.pid, *_below(self.process.pid))

    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kill(self) -> None:
        """End it as a crash does; its processes must notice."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as the service manager does."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process.poll() is None:
            below = _opened(_below(self.process.pid))
            self.process.send_signal(number)
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            finally:
                _require_end(below)
        self.events.close()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def close(self) -> None:
        """End it and let go of what it had."""
        try:
            self.stop()
        finally:
            self.notifications.close()
            os.close(self._ended)


@contextmanager
def running_monitor(world: World, name: str, arguments: Sequence[str] = (), *, user: str | None = None,
                    environment: Mapping[str, str] | None = None) -> Iterator[RunningMonitor]:
    """Start one, wait until it watches, and end it."""
    monitor = RunningMonitor(world, name, arguments, user=user, environment=environment)
    try:
        monitor.await_ready()
        yield monitor
    finally:
        monitor.close()


def _below(number: int) -> tuple[int, ...]:
    children: list[int] = []
    for task in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, task.read_text().split())
    return tuple(each for child in children for each in (child, *_below(child)))


def _opened(processes: Sequence[int]) -> list[int]:
    opened = []
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            opened.append(os.pidfd_open(process))
    return opened


def _require_end(processes: Sequence[int]) -> None:
    deadline = time.monotonic() + LIMIT_S
    left = 0
    for process in processes:
        if not select.select([process], [], [], max(0.0, deadline - time.monotonic()))[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            left += 1
        os.close(process)
    assert left == 0, f"{left} processes of the monitor outlived it"
