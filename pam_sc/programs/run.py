# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of one program: started without a shell, given one line, its output read, and dead at the end.

The program gets an environment of two variables, /dev/null as stderr, no other descriptor, a session of its own and
limits. It inherits who we are and our sandbox, so this must only run where both are what a program may have.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn

from pam_sc.programs.messages import ANSWER_MAX
from pam_sc.record import record

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_PIECE = 65536
_DESCRIPTORS_MAX = 65536
_ORPHANS_S = 1.0


@record(kw_only=True)
class Limits:
    """setrlimit(2) of a program. `processes`: whether its account is its own, so that counting its processes is fair."""

    processes: bool
    memory: int = 1 << 30
    cpu_s: int = 11
    file: int = 1 << 20
    descriptors: int = 64
    processes_max: int = 128

    def enter(self) -> None:
        """Set them on this process, each lower than what holds already."""
        wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, self.memory), (resource.RLIMIT_CPU, self.cpu_s),
                  (resource.RLIMIT_FSIZE, self.file), (resource.RLIMIT_NOFILE, self.descriptors)]
        if self.processes:
            wanted.append((resource.RLIMIT_NPROC, self.processes_max))
        for which, limit in wanted:
            _soft, hard = resource.getrlimit(which)
            lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(which, (lowest, lowest))


class ProgramRun:
    """A program that runs. Whoever makes one calls `end`."""

    def __init__(self, argv: tuple[str, ...], die_with: Callable[[int], None], limits: Limits) -> None:
        """Start it; OSError if it cannot be executed."""
        pipes = [os.pipe() for _ in range(3)]
        (its_input, self._input), (self._output, its_output), (self._complaint, its_complaint) = pipes
        runner = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _become(argv, (its_input, its_output, its_complaint), lambda: die_with(runner), limits)
        for each in (its_input, its_output, its_complaint):
            os.close(each)
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        self._ended = os.pidfd_open(self._pid)
        self._require_executed()

    def _require_executed(self) -> None:
        """Wait until the new program has taken the place of our code, which closes the pipe."""
        complaint = os.read(self._complaint, 16)
        os.close(self._complaint)
        if complaint:
            self.end()
            raise OSError(int(complaint), os.strerror(int(complaint)))

    def converse(self, line: bytes, deadline: float) -> bytes:
        """Give it the line and return everything that it wrote before it ended with status 0.

        TimeoutError at the deadline, OverflowError for more than ANSWER_MAX bytes, ChildProcessError for another end.
        """
        rest, output, ended = memoryview(line), bytearray(), False
        while not ended:
            ready = self._wait(bool(rest), deadline)
            ended = self._ended in ready
            if self._input in ready:
                rest = self._give(rest)
            if self._output in ready or ended:
                self._take(output)
        self._require_success()
        return bytes(output)

    def _wait(self, writing: bool, deadline: float) -> set[int]:
        left = deadline - time.monotonic()
        poller = select.poll()
        poller.register(self._ended, select.POLLIN)
        if self._output >= 0:
            poller.register(self._output, select.POLLIN)
        if writing:
            poller.register(self._input, select.POLLOUT)
        ready = poller.poll(left * 1000) if left > 0 else []
        if not ready:
            raise TimeoutError
        return {descriptor for descriptor, _events in ready}

    def _give(self, rest: memoryview) -> memoryview:
        """Write what it takes now. A program that reads no more has its reasons: its answer counts, not its manners."""
        try:
            rest = rest[os.write(self._input, rest[:_PIECE]) :]
        except BlockingIOError:
            return rest
        except BrokenPipeError:
            rest = rest[:0]
        if not rest:
            os.close(self._input)
            self._input = -1
        return rest

    def _take(self, output: bytearray) -> None:
        """Read what there is now."""
        with contextlib.suppress(BlockingIOError):
            while self._output >= 0:
                piece = os.read(self._output, _PIECE)
                output += piece
                if len(output) > ANSWER_MAX:
                    raise OverflowError
                if not piece:
                    os.close(self._output)
                    self._output = -1

    def _require_success(self) -> None:
        result = os.waitid(os.P_PIDFD, self._ended, os.WEXITED | os.WNOWAIT)
        if result is None or result.si_code != os.CLD_EXITED:
            raise ChildProcessError("it was ended by a signal")
        if result.si_status != 0:
            raise ChildProcessError(f"it ended with status {result.si_status}, expected 0")

    def end(self) -> None:
        """Kill it with its session's processes, and bury it. Its number is its own until then."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        signal.pidfd_send_signal(self._ended, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        for each in (self._input, self._output, self._ended):
            if each >= 0:
                os.close(each)


def _become(
    argv: tuple[str, ...], pipes: tuple[int, int, int], die_with_runner: Callable[[], None], limits: Limits
) -> NoReturn:
    """In the new process: put everything in its place and execute the program. Never returns."""
    its_input, its_output, complaint = pipes
    try:
        die_with_runner()
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(its_input, 0)
        os.dup2(its_output, 1)
        os.dup2(null, 2)
        os.dup2(complaint, 3, inheritable=False)
        complaint = 3
        os.closerange(4, _DESCRIPTORS_MAX)
        os.chdir("/")
        os.umask(0o077)
        limits.enter()
        os.execve(argv[0], argv, ENVIRONMENT)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        os.write(complaint, str(error.errno or 5).encode())
    finally:
        os._exit(127)


def end_orphans() -> bool:
    """Kill and bury every child that is left: what a program has left behind was given to us. False if one remains."""
    deadline = time.monotonic() + _ORPHANS_S
    while time.monotonic() < deadline:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    return False


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(each) for each in file.read().split()]
    except OSError:
        return []
