# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes of pam_sc_worker where no supervisor starts them: for the command line, never for a login.

They get what the supervisor would give them (docs/protocol.md): argv, environment, descriptors from 3 on, nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_FIRST = 3


class Channel(Protocol):
    """Our end of the channel to a process."""

    def close(self) -> None:
        """Close it, which ends the process in its own time."""


C = TypeVar("C", bound=Channel)


def start_child(worker_path: str, role: str, descriptors: Sequence[int]) -> int:
    """Start `worker_path role` with these as descriptors 3 and up; its pid, or OSError if it cannot be started."""
    # out of the way of the numbers that they get in the new process
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 16) for descriptor in descriptors]
    null = tuple((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(_FIRST))
    ours = tuple((os.POSIX_SPAWN_DUP2, source, number) for number, source in enumerate(high, start=_FIRST))
    others = tuple((os.POSIX_SPAWN_CLOSE, number) for number in _inheritable() if number >= _FIRST + len(high))
    try:
        return os.posix_spawn(
            worker_path, [worker_path, role], _ENVIRONMENT, file_actions=(*null, *ours, *others), setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        for descriptor in high:
            os.close(descriptor)


def end_child(pid: int) -> None:
    """Kill a process that `start_child` has started, and bury it."""
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # the program may ignore SIGCHLD
        os.waitpid(pid, 0)


class StartedChild(Generic[C]):
    """A process that `start_child` has started, and the channel to it. Leaving the `with` block kills it."""

    def __init__(self, pid: int, client: C) -> None:
        self.client = client
        self._pid: int | None = pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill the process and bury it; a second time does nothing."""
        if self._pid is None:
            return
        self.client.close()
        end_child(self._pid)
        self._pid = None


def _inheritable() -> list[int]:
    """The descriptors that a new process would get from this one beyond those meant for it."""
    found: list[int] = []
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the one that listed the folder is closed by now
            if os.get_inheritable(number):
                found.append(number)
    return found
