# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts the programs of the policy: as the session's account, without a shell, with a limit; they are dead after it.

A program is a list of arguments. It is looked for in /usr/local/bin, /usr/bin and /bin, gets an environment made from
nothing (occasion.py), / as its folder, /dev/null as input and a few KiB for its output. A keeper (keeper.py) is its
subreaper: at the limit, on cancellation and at the monitor's death it kills the program and all that came of it, setsid(2)
or not. What another account's program started below it (sudo) cannot be killed by a monitor without privilege. Where the
monitor is root, programs become the account before they are executed, and root only where run_as says so; anyone else
runs programs as nobody but themself. No shell, no PATH of anybody's, and never a program for another account's session.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from pam_sc.decision.monitoring import Program, RunAs
from pam_sc.errors import MonitorError, OwnershipError
from pam_sc.monitor.occasion import PATH, Occasion, Person, cleaned, environment_for
from pam_sc.ownership import require_unwritable
from pam_sc.record import record

OUTPUT_MAX = 16384
_LOGGED_MAX = 1000
_BURY_S = 2.0
_LOOK_UP_S = 5.0
_ASK_S = 1.0
_KEEPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keeper.py")
_F_ADD_SEALS, _SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW = 1033, 0x1, 0x2, 0x4

Surroundings = Callable[[], Awaitable[Mapping[str, str]]]


@record(kw_only=True)
class Ran:
    """How a program ended."""

    status: int | None
    """128 and the signal's number where a signal ended it; None where its time was over."""
    output: str
    """The beginning of what it wrote, cleaned, line breaks kept."""

    @property
    def why(self) -> str:
        """What went wrong, for people; "" where nothing did."""
        if self.status is None:
            return "killed: its time was over"
        return f"ended with status {self.status}, expected 0" if self.status else ""


class Output:
    """A few KiB of memory that a program may write to. More is refused to it; nobody has to read, and nothing breaks."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, OUTPUT_MAX)
        fcntl.fcntl(self.descriptor, _F_ADD_SEALS, _SEAL_GROW | _SEAL_SHRINK | _SEAL_SEAL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.descriptor)

    def text(self) -> str:
        """Return what was written so far."""
        written = os.pread(self.descriptor, OUTPUT_MAX, 0).rstrip(b"\0").decode("utf-8", "replace")
        return "\n".join(cleaned(line.expandtabs(), OUTPUT_MAX) for line in written.splitlines())


class Programs:
    """Starts programs for sessions."""

    def __init__(self, surroundings: Surroundings | None = None, note: Callable[[str], None] | None = None) -> None:
        """`surroundings`: the user manager's environment now, which goes before ours; `note`: gets what programs wrote."""
        self._surroundings = surroundings
        self._note = note or (lambda _text: None)
        self._asking: dict[int, asyncio.Future[pwd.struct_passwd]] = {}

    async def run(self, program: Program, occasion: Occasion) -> Ran:
        """Run a program as `ask` does, and note what it wrote."""
        ran = await self.ask(program, occasion)
        if ran.output:
            self._note(f"{os.path.basename(program.arguments[0])}: {ran.output[:_LOGGED_MAX]}")
        return ran

    async def ask(self, program: Program, occasion: Occasion) -> Ran:
        """Run a program to its end or its limit; MonitorError if it cannot be started. Cancelled, it is dead before."""
        path = find_program(program)
        start = await self.start_of(program, occasion)
        lifeline, ours = os.pipe2(os.O_CLOEXEC)
        with Output() as output:
            try:
                child = start([sys.executable, "-I", "-S", _KEEPER, path, *program.arguments[1:]], lifeline, output)
            except BaseException:
                os.close(ours)
                raise
            finally:
                os.close(lifeline)
            status = await _end_or_kill(child, ours, program.limit_s)
            return Ran(status=status, output=output.text())

    async def start_of(self, program: Program, occasion: Occasion) -> Start:
        """Return what starts a command line as whom the program is for, in its environment."""
        person = await self._person(occasion.facts.uid)
        become = identity(program, person)
        environment = environment_for(occasion, person, await self._shown(person), language=os.environ.get("LANG", "C.UTF-8"))
        return Start(environment=environment, become=become)

    async def _person(self, uid: int) -> Person:
        """Return the account, our own also where the directory does not answer; MonitorError where there is none."""
        asking = self._asking.get(uid)
        if asking is None or asking.done():  # one that hangs keeps one thread, not one for each attempt
            asking = self._asking[uid] = asyncio.ensure_future(asyncio.to_thread(pwd.getpwuid, uid))
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                entry = await asyncio.shield(asking)
        except (KeyError, TimeoutError, OSError) as error:
            if isinstance(error, TimeoutError) and uid == os.geteuid() and (ours := _ourselves()) is not None:
                return ours
            raise MonitorError(f"cannot start a program for account {uid}: it cannot be looked up") from error
        return Person(uid=entry.pw_uid, gid=entry.pw_gid, name=entry.pw_name, home=entry.pw_dir, shell=entry.pw_shell)

    async def _shown(self, person: Person) -> dict[str, str]:
        """Return where the display may be: what the user manager says now, over our own, if we are this account."""
        shown = dict(os.environ) if os.geteuid() == person.uid else {}
        if self._surroundings is not None:
            with contextlib.suppress(MonitorError, TimeoutError):  # then ours has to do: a locker is not to fail for it
                async with asyncio.timeout(_ASK_S):
                    shown.update(await self._surroundings())
        return shown


@record(kw_only=True)
class Start:
    """How a process is started: for whom, with which environment."""

    environment: Mapping[str, str]
    become: Mapping[str, Any]

    def __call__(
        self, argv: list[str], stdin: int, output: Output, more: Mapping[str, str] | None = None, *,
        passed: tuple[int, ...] = (), stdout: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start it in a session of its own; MonitorError if it cannot be."""
        out = output.descriptor if stdout is None else stdout
        try:
            return subprocess.Popen(
                argv, stdin=stdin, stdout=out, stderr=out, env={**self.environment, **(more or {})}, cwd="/",
                umask=0o077, start_new_session=True, close_fds=True, pass_fds=passed, **self.become,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise MonitorError(f"cannot start {argv[0]!r:.200}: {why}") from error


def find_program(program: Program) -> str:
    """Return the path of a program; MonitorError where there is none that can be executed."""
    name = program.arguments[0] if program.arguments else ""
    if "\0" in "".join(program.arguments) or not name or ("/" in name and not name.startswith("/")):
        raise MonitorError(f"cannot start {name!r:.200}: expected an absolute path or a name")
    paths = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in PATH.split(":")]
    found = next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)
    if found is None:
        raise MonitorError(f"cannot start {name!r:.200}: there is no such program in {PATH}")
    return found


def identity(program: Program, person: Person) -> dict[str, Any]:
    """Return what Popen must change about who a program is; MonitorError where it could only run as the wrong one."""
    ours = os.geteuid()
    if program.run_as is RunAs.ROOT:
        if ours != 0:
            raise MonitorError(f"cannot start {program.arguments[0]!r:.200}: run_as is root, and the monitor is not root")
        _require_of_root(find_program(program))
        return {}
    if ours == person.uid:
        return {}
    if ours != 0:
        raise MonitorError(f"cannot start {program.arguments[0]!r:.200}: the session belongs to another account")
    groups = os.getgrouplist(person.name, person.gid)
    return {"user": person.uid, "group": person.gid, "extra_groups": groups}


def _ourselves() -> Person | None:
    """This account as the service manager has told us: a locker is not to fail for a directory that is away."""
    name, home = os.environ.get("USER"), os.environ.get("HOME")
    if not name or not home or os.geteuid() == 0:
        return None
    shell = os.environ.get("SHELL", "/bin/sh")
    return Person(uid=os.geteuid(), gid=os.getegid(), name=name, home=home, shell=shell)


async def end_of(child: subprocess.Popen[bytes]) -> int:
    """Return the exit status when a process has ended; cancelled, it goes on. Negative: the signal."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(child.pid)
    loop.add_reader(descriptor, lambda: settle(ended))
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return child.wait()


def settle(happened: asyncio.Future[None]) -> None:
    """Note that it has happened, once."""
    if not happened.done():
        happened.set_result(None)


async def _end_or_kill(keeper: subprocess.Popen[bytes], lifeline: int, limit_s: float) -> int | None:
    """Wait for the keeper; its program is dead, or left by its own will, when this returns or raises."""
    try:
        async with asyncio.timeout(limit_s):
            return await end_of(keeper)
    except TimeoutError:
        return None
    finally:
        os.close(lifeline)
        await _bury(keeper)


async def _bury(keeper: subprocess.Popen[bytes]) -> None:
    if keeper.returncode is not None:
        return
    try:
        async with asyncio.timeout(_BURY_S):
            await end_of(keeper)
    except TimeoutError:
        pass
    finally:
        if keeper.returncode is None:
            keeper.kill()
            keeper.wait()


def _require_of_root(path: str) -> None:
    try:
        require_unwritable(path, frozenset({0}))
    except OwnershipError as error:
        raise MonitorError(f"cannot start {path!r:.200} as root: {error}") from error
