# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program of its own (`python -I -S keeper.py PROGRAM [ARGUMENT...]`): runs one program, and ends all that it started.

It is the subreaper of the program, so that what leaves the program's session or process group by fork and setsid(2) is
still its child. Standard input is a lifeline: when its other end is closed, by the monitor's order or the monitor's death,
everything below is killed, and the keeper ends. When the program ends by itself, the keeper ends with its status and
leaves what the program has left running. It never runs as anyone but the account that it was started as.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

ENDED_BY_ORDER = 124
CANNOT_RUN = 127
_SET_CHILD_SUBREAPER = 36
_ORPHANS_S = 1.0


def main(argv: list[str]) -> int:
    """Run the program; the exit status."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    lifeline = os.dup(0)
    try:
        pid = os.posix_spawn(
            argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsid=True, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT),
        )
    except OSError as error:
        print(os.strerror(error.errno or 0), flush=True)  # noqa: T201 - standard output is what the monitor reads
        return CANNOT_RUN
    ended = os.pidfd_open(pid)
    poller = select.poll()
    for each in (lifeline, ended):
        poller.register(each, select.POLLIN)
    ready = {descriptor for descriptor, _events in poller.poll()}
    if ended not in ready:
        _end_all()
        return ENDED_BY_ORDER
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _end_all() -> None:
    """Kill and bury children until none is left: those of a killed child become ours."""
    deadline = time.monotonic() + _ORPHANS_S
    while time.monotonic() < deadline:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                select.select([], [], [], 0.001)
        except ChildProcessError:
            return


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(each) for each in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
