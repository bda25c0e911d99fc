# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program of its own (`python -I -S tty_lock.py FD TERMINAL LOCKER [ARGUMENT...]`): a locker alone with its terminal.

The shell of a session goes on to read its terminal, and may not be made to let go of it without privilege: a locker that
is started beside it would get half of the keys. So everything that has the terminal as its controlling one is stopped
first (SIGSTOP), the locker is started on it, and when the locker has ended with status 0 all is continued, the shell
last. Once the locker has turned off signals by key and echo (vlock does both before it asks), HELD goes to FD. A locker
that ends in another way is started again: the terminal stays held, until the session's leader is gone or the terminal
is (hung up: a locker that reads it would find its end for ever, and vlock asks again without a pause). What cannot be
stopped (a program of another account, such as sudo's) could read on: then everything is continued, nothing is locked, and
the status is 1, as where a screen server has the terminal (startx): stopped, nobody could open it. A program that reads the terminal without having it as its controlling one is not found; the account
itself must have started it like that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time

HELD = b"held\n"
_AGAIN_S = 1.0
_STOP_S = 1.0
_SIGN_S = 60.0
_LOOK_S = 0.02
_STOPPED = "TtZX"
_PRIVATE = termios.ISIG | termios.ECHO
_ORDINARY = _PRIVATE | termios.ICANON
_KDGETMODE, _KD_GRAPHICS = 0x4B3B, 1
_HANG_UP = select.POLLHUP | select.POLLERR


def main(argv: list[str]) -> int:
    """Hold the terminal until the locker lets go of it; the exit status."""
    tells, path, *locker = argv
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if _is_graphical(terminal):
        print("a graphical program has the terminal: stopped, it would neither be locked nor ever be opened", flush=True)  # noqa: T201
        return 1
    before = termios.tcgetattr(terminal)
    device = os.fstat(terminal).st_rdev
    left = _stopped_leaders(device)
    stopped = stop_all(device)
    if stopped is None:
        print("a program on the terminal cannot be stopped: it belongs to another account", flush=True)  # noqa: T201
        return 1
    _set_modes(terminal, _ORDINARY, 0)  # whatever was there may have left it private: then that would be no sign
    ended_well, held = _lock(locker, terminal, int(tells), left + stopped)
    while held and not ended_well and _alive(left + stopped) and not _is_hung_up(terminal):
        _set_modes(terminal, 0, _PRIVATE)  # no key may send a signal to what is stopped
        select.select([], [], [], _AGAIN_S)
        ended_well = _ended_well(_started(locker, terminal), terminal, left + stopped)
    with contextlib.suppress(termios.error):
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    continue_all(left + stopped if held else stopped)
    return 0 if ended_well else 1


def _lock(locker: list[str], terminal: int, tells: int, stopped: list[int]) -> tuple[bool, bool]:
    """Run the locker for the first time, and tell when it holds the terminal: whether it ended with 0, and ever held."""
    child, held = _started(locker, terminal), False
    deadline = time.monotonic() + _SIGN_S
    while child is not None and child.poll() is None and not held and time.monotonic() < deadline:
        if _is_hung_up(terminal):
            break
        held = _is_private(terminal) and all(_state(pid) in _STOPPED for pid in stopped)
        if not held:
            select.select([], [], [], _LOOK_S)
    with contextlib.suppress(OSError):
        os.write(tells, HELD if held else b"not held\n")
    os.close(tells)
    return _ended_well(child, terminal, stopped), held


def _ended_well(child: subprocess.Popen[bytes] | None, terminal: int, stopped: list[int]) -> bool:
    """Wait for the locker, or for the end of the session or its terminal: nothing is left to lock. Whether it ended with 0."""
    if child is None or child.poll() is not None:  # buried already: its number may be another's
        return child is not None and child.returncode == 0
    with contextlib.ExitStack() as opened:
        poller = select.poll()
        for pid in (child.pid, *stopped[:1]):
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                opened.callback(os.close, descriptor)
                poller.register(descriptor, select.POLLIN)
        poller.register(terminal, 0)  # of its end poll(2) always tells
        poller.poll()
    if child.poll() is None:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # a script that has started the locker is not the locker
    return child.wait() == 0


def _started(locker: list[str], terminal: int) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(locker, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    except OSError as error:
        print(os.strerror(error.errno or 0), flush=True)  # noqa: T201 - the monitor reads it
        return None


def stop_all(device: int) -> list[int] | None:
    """Stop all that has this terminal; what was stopped, its sessions' leaders first, or None if something cannot be."""
    stopped: list[int] = []
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        ours = _on_terminal(device)
        running = [pid for pid in ours if _state(pid) not in _STOPPED]
        if not running:
            return stopped
        for pid in sorted(running, key=lambda each: (_session(each) != each, each)):
            try:
                os.kill(pid, signal.SIGSTOP)
            except PermissionError:
                continue_all(stopped)
                return None
            except ProcessLookupError:
                continue
            if pid not in stopped:
                stopped.append(pid)
        select.select([], [], [], _LOOK_S)
    continue_all(stopped)
    return None


def _stopped_leaders(device: int) -> list[int]:
    """Leaders that are stopped already: a holder that was killed left them so, and nobody else would let them go on."""
    return [pid for pid in _on_terminal(device) if _session(pid) == pid and _state(pid) in "Tt"]


def continue_all(stopped: list[int]) -> None:
    """Let everything go on, the leaders last: a shell sees its jobs as if nothing had been."""
    for pid in reversed(stopped):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGCONT)


def _session(pid: int) -> int:
    """The session of a process; 0 where there is none."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _alive(stopped: list[int]) -> bool:
    return any(_state(pid) not in "ZX" for pid in stopped)


def _on_terminal(device: int) -> list[int]:
    """All processes with this controlling terminal."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _stat(pid)[4:5] == [_tty_nr(device)]]


def _tty_nr(device: int) -> str:
    """The number as /proc/PID/stat has it (proc(5)): minor in bits 31 to 20 and 7 to 0, major in 15 to 8."""
    major, minor = os.major(device), os.minor(device)
    return str((minor & 0xFF) | (major << 8) | ((minor >> 8) << 20))


def _state(pid: int) -> str:
    return (_stat(pid) or ["X"])[0]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _is_graphical(terminal: int) -> bool:
    """Whether a screen server shows its own picture there (KDGETMODE, ioctl_console(2)), as after startx."""
    mode = bytearray(4)
    try:
        fcntl.ioctl(terminal, _KDGETMODE, mode)
    except OSError:
        return False  # no console of the kernel's
    return int.from_bytes(mode, sys.byteorder) == _KD_GRAPHICS


def _is_hung_up(terminal: int) -> bool:
    poller = select.poll()
    poller.register(terminal, 0)
    return any(events & _HANG_UP for _descriptor, events in poller.poll(0))


def _is_private(terminal: int) -> bool:
    """Whether the locker has turned off signals by key, and echo."""
    with contextlib.suppress(termios.error):
        return not termios.tcgetattr(terminal)[3] & _PRIVATE
    return False


def _set_modes(terminal: int, on: int, off: int) -> None:
    with contextlib.suppress(termios.error):
        modes = termios.tcgetattr(terminal)
        modes[3] = modes[3] & ~off | on
        termios.tcsetattr(terminal, termios.TCSAFLUSH, modes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
