# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts a screen locker in a session, and says what was seen of it. Never ends one: that could open the screen.

| sign  | LOCKED                                                         | else                                        |
|-------|----------------------------------------------------------------|---------------------------------------------|
| EXIT  | it ended with 0 in time, and something of it goes on behind    | alive: STARTED; ended with 0 and nothing    |
|       |                                                                | left of it: NOT_SEEN; else FAILED           |
| QUERY | the query ended with 0 and printed the text in time            | alive: STARTED; ended with 0: NOT_SEEN;     |
|       |                                                                | else FAILED                                 |
| NONE  | on a terminal: tty_lock.py holds it, and the locker reads it   | the same                                    |

"Of it" are processes of the session's account with PAM_SC_LOCKER=SESSION in their environment (/proc/PID/environ), which
a locker hands on to what it forks; of one whose environment cannot be read (physlock is setuid), a process of the same
name that is younger. A locker that was seen to lock and still runs has not been opened: it is not started twice. It gets
/dev/null or the terminal as input, memory for its output and a session of its own, so that neither the end of the monitor
nor a full pipe ends it; as a unit, the monitor must let its other processes be (KillMode=process).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time

from pam_sc.decision.monitoring import Locker, Program, Sign
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Outcome
from pam_sc.monitor.lockers import with_sign
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Output, Programs, Ran, end_of, find_program, settle
from pam_sc.monitor.tty_lock import HELD
from pam_sc.record import record

_MARK = "PAM_SC_LOCKER"
_ASK_AGAIN_S = 0.1
_LEAVE_S = 0.05
"""How long a locker is given after a sign of trouble to have ended, so that its status is known."""
_EXEC_LOOKS, _EXEC_LOOK_S = 10, 0.03
_WHY_MAX = 200
_TTY_LOCK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tty_lock.py")


@record
class Attempt:
    """What an attempt to lock came to, and in words."""

    outcome: Outcome
    detail: str


@record
class Process:
    """A process; with its time of start the number is its own."""

    pid: int
    began: int


class Lockers:
    """The lockers of all sessions of this monitor."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._locked: dict[str, tuple[Process, ...]] = {}
        self._running: dict[str, _Started] = {}

    async def run(self, program: Program, occasion: Occasion) -> Ran:
        """Run a program that is no locker (programs.py)."""
        return await self._programs.run(program, occasion)

    async def lock(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        """Start the locker of a graphical session, and watch it so long; MonitorError if it cannot be started."""
        return await self._lock(with_sign(locker), occasion, within_s, tty="")

    async def lock_console(self, locker: Locker, occasion: Occasion, within_s: float) -> Attempt:
        """The same on the terminal of the session."""
        tty = terminal_of(occasion.facts.tty)
        return await self._lock(with_sign(locker), occasion, within_s, tty=tty)

    async def _lock(self, locker: Locker, occasion: Occasion, within_s: float, tty: str) -> Attempt:
        name = os.path.basename(locker.program.arguments[0] if locker.program.arguments else "")
        earlier = self._earlier(occasion.facts.id, occasion.facts.uid, name)
        if earlier is not None and locker.sign is not Sign.QUERY:
            return earlier
        started = await self._start(locker, occasion, tty)
        self._running[occasion.facts.id] = started
        deadline = time.monotonic() + within_s
        match locker.sign:
            case Sign.EXIT:
                return await self._await_exit(started, deadline)
            case Sign.QUERY if locker.query is not None:
                return await self._await_answer(started, locker, locker.query, occasion, deadline)
        if tty:
            return await self._await_held(started, deadline)
        return await started.after(deadline)

    def _earlier(self, session: str, uid: int, name: str) -> Attempt | None:
        """Say what a locker that was started before is now; None where none runs any more."""
        known = self._locked.get(session, ())
        if known and all(_began(each.pid) == each.began for each in known):  # a helper that is left alone locks nothing
            return Attempt(Outcome.LOCKED, f"{name}: what locked before still runs")
        self._locked.pop(session, None)
        if _marked(session, uid):
            return Attempt(Outcome.STARTED, f"{name}: one that was started before still runs; it gave no sign")
        return None

    async def _start(self, locker: Locker, occasion: Occasion, tty: str) -> _Started:
        path, session = find_program(locker.program), occasion.facts.id
        start = await self._programs.start_of(locker.program, occasion)
        argv = [path, *locker.program.arguments[1:]]
        output, said = Output(), -1
        more = {_MARK: session}
        began = _now_in_ticks()
        if tty and locker.sign is Sign.NONE:
            said, tells = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            command = [sys.executable, "-I", "-S", _TTY_LOCK, str(tells), tty, *argv]
            try:
                child = start(command, subprocess.DEVNULL, output, more, passed=(tells,))
            finally:
                os.close(tells)
        elif tty:
            terminal = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                child = start(argv, terminal, output, more, stdout=terminal)
            finally:
                os.close(terminal)
        else:
            child = start(argv, subprocess.DEVNULL, output, more)
        return _Started(os.path.basename(path), session, occasion.facts.uid, child, output, said, began)

    async def _await_exit(self, started: _Started, deadline: float) -> Attempt:
        attempt = await started.after(deadline)
        if attempt.outcome is not Outcome.NOT_SEEN:
            return attempt
        left = await self._left_of(started)
        if not left:
            return Attempt(Outcome.NOT_SEEN, f"{started.name}: ended with status 0, and nothing of it is left")
        self._locked[started.session] = left
        return Attempt(Outcome.LOCKED, f"{started.name}: ended with status 0 and goes on in the background")

    @staticmethod
    async def _left_of(started: _Started) -> tuple[Process, ...]:
        """Return what goes on of a locker that has ended; one that is just being executed shows no environment yet."""
        for _ in range(_EXEC_LOOKS):
            left = _marked(started.session, started.uid) or _namesakes(started.name, started.began)
            if left:
                return left
            await asyncio.sleep(_EXEC_LOOK_S)
        return ()

    async def _await_answer(
        self, started: _Started, locker: Locker, query: Program, occasion: Occasion, deadline: float
    ) -> Attempt:
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    ran = await self._programs.ask(query, occasion)
            except TimeoutError:
                break
            if ran.status == 0 and locker.locked_text and locker.locked_text in ran.output:
                return Attempt(Outcome.LOCKED, f"{started.name}: {query.arguments[0]} says so")
            if started.has_failed:
                break
            await asyncio.sleep(min(_ASK_AGAIN_S, max(0.0, deadline - time.monotonic())))
        return await started.after(time.monotonic() + _LEAVE_S)

    async def _await_held(self, started: _Started, deadline: float) -> Attempt:
        if not await started.says_held(deadline):
            return await started.after(max(deadline, time.monotonic() + _LEAVE_S))
        self._locked[started.session] = (Process(started.child.pid, _began(started.child.pid)),)
        return Attempt(Outcome.LOCKED, f"{started.name}: reads the terminal, and all else on it is stopped")


class _Started:
    """A locker that was started; somebody waits for its end, whatever becomes of whoever started it."""

    def __init__(
        self, name: str, session: str, uid: int, child: subprocess.Popen[bytes], output: Output, said: int, began: int
    ) -> None:
        self.name, self.session, self.uid, self.child, self.began = name, session, uid, child, began
        self._output, self._said = output, said
        self._end = asyncio.create_task(self._bury())

    @property
    def has_failed(self) -> bool:
        """Whether it ended with anything but 0."""
        return bool(self.child.returncode)

    async def after(self, deadline: float) -> Attempt:
        """Wait for its end or until then. Status 0 is NOT_SEEN: by itself it says nothing of a lock."""
        await asyncio.wait({self._end}, timeout=max(0.0, deadline - time.monotonic()))
        if not self._end.done():
            return Attempt(Outcome.STARTED, f"{self.name}: runs, and has given no sign")
        if self.child.returncode == 0:
            return Attempt(Outcome.NOT_SEEN, f"{self.name}: ended with status 0, which is no sign of a lock")
        why = " ".join(self.said.split())[:_WHY_MAX]
        return Attempt(Outcome.FAILED, f"{self.name}: ended with status {self.child.returncode}" + (why and f": {why}"))

    async def says_held(self, deadline: float) -> bool:
        """Whether tty_lock.py says in time that the terminal is the locker's."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._said, lambda: settle(told))
        try:
            async with asyncio.timeout_at(loop.time() + max(0.0, deadline - time.monotonic())):
                await told
            return os.read(self._said, 16) == HELD
        except (TimeoutError, OSError):
            return False
        finally:
            loop.remove_reader(self._said)

    async def _bury(self) -> None:
        self.said = ""
        try:
            await end_of(self.child)
            self.said = self._output.text()
        finally:
            if self.child.returncode is None:
                self.child.returncode = 0  # it stays: nobody waits for it, and Popen is not to complain
            self._output.__exit__()
            if self._said >= 0:
                os.close(self._said)


def terminal_of(tty: str) -> str:
    """Return the device of logind's TTY; MonitorError where a session has none."""
    path = f"/dev/{tty}"
    if not tty or ".." in tty or not os.path.exists(path):
        raise MonitorError(f"cannot lock the terminal {tty!r:.40}: there is no such device")
    return path


def _marked(session: str, uid: int) -> tuple[Process, ...]:
    """The processes of the account that carry the mark of this session's locker."""
    mark = f"{_MARK}={session}".encode()
    found = []
    for pid in _numbers():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid != uid:
                continue
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(Process(pid, _began(pid)))
    return tuple(each for each in found if each.began)


def _namesakes(name: str, since: int) -> tuple[Process, ...]:
    """Younger processes of this name whose environment we may not read."""
    found = []
    for pid in _numbers():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                if file.read().rstrip("\n") != name[:15] or os.access(f"/proc/{pid}/environ", os.R_OK):
                    continue
            found.append(Process(pid, _began(pid)))
    return tuple(each for each in found if each.began >= since)


def _numbers() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _began(pid: int) -> int:
    """When a process began, in ticks since boot; 0 where there is none, or only what is left of it (a zombie)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _now_in_ticks() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
