# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real supervisor with a test in the place of the shim, and processes that do what the test says.

Each process evaluates the expressions that it gets over the channel that it has as descriptor 3 (frames, secrets, the
channel of an optional process), so each test writes down what its process does, in a line.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.worker_tree import WorkerTree

LETTERS = {"network": "N", "homes": "R", "programs": "P", "directory": "D"}
"""What the verifier says to have each of the optional processes started."""
STEP_S = 20.0
"""How long a step may take on a busy machine before the test fails."""

OBEDIENT = """
import json, os, resource, signal, socket, sys, time

HELD = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
FACTS = {os.path.basename(path): os.readlink(path) for path in HELD if os.path.islink(path)}

def read(path):
    with open(path, "rb") as file:
        return file.read().decode()

def ask(channel, expression):
    channel.sendall(expression.encode() + b"\\n")
    answer = channel.makefile("r").readline()
    return json.loads(answer) if answer else "it has ended"

def main():
    channel = socket.socket(fileno=3)
    others = {"other": "4", "control": "5", "network": "6", "homes": "7", "programs": "8", "directory": "9"}
    sockets = {name: socket.socket(fileno=int(fd)) for name, fd in others.items() if fd in FACTS}
    names = {**globals(), **sockets}
    for line in channel.makefile("r"):
        result = eval(line, names)
        if result == "end":
            return 0
        channel.sendall(json.dumps(result).encode() + b"\\n")
    return 0
"""


@dataclass(frozen=True, slots=True)
class Process:
    """The test's end of a channel whose other end is descriptor 3 of a process of the supervisor."""

    channel: socket.socket

    def tell(self, expression: str) -> None:
        """Have the process evaluate an expression; no answer is awaited."""
        self.channel.sendall(expression.encode() + b"\n")

    def run(self, expression: str) -> Any:
        """Have the process evaluate an expression, and return its value."""
        self.tell(expression)
        answer = b""
        while not answer.endswith(b"\n"):
            part = self.channel.recv(65536)
            if not part:
                raise EOFError(f"the process ended at {expression!r}")
            answer += part
        return json.loads(answer)

    def ended(self) -> bool:
        """Wait for the end of the channel; True if nothing more was said."""
        try:
            return self.channel.recv(1) == b""
        except ConnectionResetError:
            return True  # it ended with an unread expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a supervisor is started; the defaults are those of a host that does everything right."""

    uids: tuple[int, int, int] | None = None
    gids: tuple[int, int, int] | None = None
    at_secure: int = 0
    machine_seconds: int = 20
    order: bytes | None = None
    environment: dict[str, str] = field(default_factory=dict)
    host: int | None = None
    before: Callable[[], None] | None = None
    """Runs in the child before exec, to be a host of some kind."""
    identity: dict[str, Any] = field(default_factory=dict)
    """user, group and extra_groups for subprocess."""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A running supervisor and the shim's ends of its channels."""

    process: subprocess.Popen[bytes]
    verifier: Process
    card: Process
    lifeline: socket.socket
    pidfd: int

    def report(self) -> int | None:
        """Wait until the supervisor reports something or ends; the byte, or None if it ended without one."""
        byte = self.lifeline.recv(2)
        assert len(byte) <= 1
        return byte[0] if byte else None

    def start(self, role: str) -> int:
        """Have the verifier ask for an optional Python process; its pid, when it runs."""
        self.verifier.run(f"control.send(b'{LETTERS[role]}')")
        return int(self.ask(role, "os.getpid()"))

    def ask(self, role: str, expression: str) -> Any:
        """Have the verifier have an optional process evaluate an expression, and return its value."""
        return self.verifier.run(f"ask({role}, {expression!r})")

    def is_silent(self, seconds: float) -> bool:
        """True if for so long neither anything is reported nor the supervisor ends."""
        return not select.select([self.lifeline, self.pidfd], [], [], seconds)[0]

    def wait(self, seconds: float = STEP_S) -> int:
        """Wait for the end of the supervisor and return its status."""
        assert select.select([self.pidfd], [], [], seconds)[0], f"the supervisor did not end within {seconds} s"
        return self.process.wait()


def encode_order(start: Start) -> bytes:
    """The ORDER that belongs to `start`."""
    if start.order is not None:
        return start.order
    uid, gid = start.identity.get("user", os.getuid()), start.identity.get("group", os.getgid())
    uids, gids = start.uids or (uid,) * 3, start.gids or (gid,) * 3
    return struct.pack(">4s8I", b"PSC1", *uids, *gids, start.at_secure, start.machine_seconds)


def _launch(tree: WorkerTree, start: Start, ends: list[int]) -> subprocess.Popen[bytes]:
    """Start the worker with `ends` as descriptors 3 to 6; they must lie above."""

    def prepare() -> None:
        for target, source in enumerate(ends, start=3):
            os.dup2(source, target)
        if start.before is not None:
            start.before()

    return subprocess.Popen(
        [str(tree.worker)], preexec_fn=prepare, close_fds=False, env=start.environment, **start.identity
    )


def _high(descriptor: int) -> int:
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100)


@contextmanager
def supervisor(tree: WorkerTree, start: Start | None = None) -> Iterator[Supervisor]:
    """Start a supervisor as the shim does; afterwards everything that is left of it is ended."""
    start = start or Start()
    frames, secrets = socket.socketpair(), socket.socketpair()
    lifeline = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lifeline[0].send(encode_order(start))
    host = os.pidfd_open(start.host or os.getpid())
    ends = [_high(frames[1].fileno()), _high(secrets[1].fileno()), _high(lifeline[1].fileno()), _high(host)]
    process = _launch(tree, start, ends)
    for descriptor in (*ends, host):
        os.close(descriptor)
    for pair in (frames, secrets, lifeline):
        pair[1].close()
        pair[0].settimeout(STEP_S)
    pidfd = os.pidfd_open(process.pid)
    try:
        yield Supervisor(process, Process(frames[0]), Process(secrets[0]), lifeline[0], pidfd)
    finally:
        for pair in (frames, secrets, lifeline):
            pair[0].close()
        if not select.select([pidfd], [], [], STEP_S)[0]:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(pidfd)


def is_gone(pid: int, seconds: float) -> bool:
    """Wait for the end of a process that is not ours to bury."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def seconds_until(event: Callable[[], object]) -> float:
    """How long `event` takes to return."""
    begin = time.monotonic()
    event()
    return time.monotonic() - begin
