# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system unit's socket: user units say that they run and what they saw, `pam-sc monitor status` asks what is known.

Anybody may connect. Who it is, the kernel says (SO_PEERCRED), and a peer speaks, and is told, of the sessions of its own
account alone; root of all. Nothing that is said here is ever believed about another account, asks for an action, or
holds an action up: a line has a greatest length, an account a greatest number of connections, an answer a deadline, and
who says what the protocol does not allow is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable, Collection

from pam_sc.errors import MonitorError, ProtocolError
from pam_sc.monitor.facts import Outcome
from pam_sc.monitor.partner_messages import (
    LINE_MAX,
    AreYouThere,
    Hello,
    Report,
    Request,
    TellStatus,
    line_of,
    parse_request,
)  # fmt: skip

FOLDER = "/run/pam_sc_monitor"
SOCKET = f"{FOLDER}/monitor.sock"
CONNECTIONS_MAX = 8
"""Of one account."""
STRANGERS_MAX = 64
"""Of all accounts together that have no session with a card: by /etc/subuid(5) a person may have thousands of uids."""
_ALL_MAX = 512
_FIRST_LINE_S = 5.0
"""How long a connection that has not said hello may say nothing."""
_ANSWER_S = 2.0
_PAUSE_S = 0.02
"""Between two lines of one connection: no peer keeps the monitor busy."""
_FRESH_S = 10.0
"""How long a report may lie before it is asked for: the two units see a removal within moments of each other."""
_BACKLOG = 64
_FULL_S = 1.0


class AnotherRunsError(MonitorError):
    """Somebody listens at the socket already."""


class Meeting:
    """What user units have said, by session: who runs, and what they saw. A `Partner` of acting.py."""

    def __init__(self) -> None:
        self._running: dict[int, int] = {}
        self._reports: dict[str, tuple[float, Outcome]] = {}
        self._came: dict[str, asyncio.Event] = {}

    def present(self, uid: int) -> bool:
        """Say whether a user unit of this account is connected."""
        return self._running.get(uid, 0) > 0

    async def outcome(self, session: str, within_s: float) -> Outcome | None:
        """Return what the user unit reports of this session, once; None where nothing comes in time."""
        came = self._came.setdefault(session, asyncio.Event())
        try:
            async with asyncio.timeout(within_s):
                while (found := self._take(session)) is None:
                    came.clear()
                    await came.wait()
                return found
        except TimeoutError:
            return None

    def forget(self, session: str) -> None:
        """Drop what was reported: the screen was unlocked, or the card came back, since."""
        self._reports.pop(session, None)

    def close(self, session: str) -> None:
        """Drop all of a session that has ended."""
        self._reports.pop(session, None)
        self._came.pop(session, None)

    def _take(self, session: str) -> Outcome | None:
        at, outcome = self._reports.pop(session, (0.0, None))
        return outcome if asyncio.get_running_loop().time() - at <= _FRESH_S else None

    def came(self, uid: int) -> None:
        """A user unit of this account says that it runs."""
        self._running[uid] = self._running.get(uid, 0) + 1

    def went(self, uid: int) -> None:
        """A connection that had said so is closed."""
        self._running[uid] -= 1
        if not self._running[uid]:
            del self._running[uid]

    def report(self, report: Report) -> None:
        """Keep what a user unit saw; the caller has made sure that the session is its account's."""
        self._reports[report.session] = (asyncio.get_running_loop().time(), report.outcome)
        if report.session in self._came:
            self._came[report.session].set()


class Reception:
    """The socket. `owner_of` says whose a session is, `owners` who has one, `status` what an account (None: root) may know."""

    def __init__(
        self, meeting: Meeting, owner_of: Callable[[str], int | None], status: Callable[[int | None], object],
        able: Callable[[], bool], path: str = SOCKET, mode: int = 0o666,
        owners: Callable[[], Collection[int]] = lambda: (0,),
    ) -> None:  # fmt: skip
        self._mode, self._owners = mode, owners
        self._meeting, self._owner_of, self._status, self._able, self._path = meeting, owner_of, status, able, path
        self._connections: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None

    async def open(self) -> None:
        """Listen. MonitorError where another monitor does, or the folder does not allow it."""
        await asyncio.to_thread(_clear, self._path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            _bind(listening, self._path, self._mode)
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise MonitorError(f"cannot listen at {self._path}: {error.strerror or error}") from error
        self._listening = listening
        self._attend()

    async def close(self) -> None:
        """End all connections and remove the socket."""
        if self._listening is None:
            return
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        self._listening = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _attend(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        """Take one connection; who has too many is shut out before anything is made for it."""
        assert self._listening is not None  # noqa: S101 - for the type checker
        try:
            connection = self._listening.accept()[0]
        except BlockingIOError:
            return
        except OSError:  # no descriptor is left: not again before some are free
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listening)
            loop.call_later(_FULL_S, self._attend)
            return
        uid = peer_uid(connection)
        if not self._has_room(uid):
            connection.close()
            return
        connection.setblocking(False)
        self._connections[uid] = self._connections.get(uid, 0) + 1
        task = asyncio.ensure_future(self._meet(uid, connection))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._leave(uid, connection, done))

    def _has_room(self, uid: int) -> bool:
        if self._connections.get(uid, 0) >= CONNECTIONS_MAX or sum(self._connections.values()) >= _ALL_MAX:
            return False
        owners = {0, *self._owners()}
        strangers = sum(count for each, count in self._connections.items() if each not in owners)
        return uid in owners or strangers < STRANGERS_MAX

    def _leave(self, uid: int, connection: socket.socket, task: asyncio.Task[None]) -> None:
        connection.close()
        self._tasks.discard(task)
        self._connections[uid] -= 1
        if not self._connections[uid]:
            del self._connections[uid]

    async def _meet(self, uid: int, connection: socket.socket) -> None:
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_MAX)
            await self._listen(uid, reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass  # it went, said nothing or did not listen, or the monitor ends: there is nobody to tell
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _listen(self, uid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted = False
        try:
            while True:
                async with asyncio.timeout(None if greeted else _FIRST_LINE_S):
                    line = await _line(reader)
                if not line:
                    return
                request = parse_request(line)
                if isinstance(request, Hello) and not greeted:
                    greeted = True
                    self._meeting.came(uid)
                await _say(writer, self._answer(uid, request))
                await asyncio.sleep(_PAUSE_S)
        except ProtocolError as error:
            await _say(writer, line_of("error", str(error)))
        finally:
            if greeted:
                self._meeting.went(uid)

    def _answer(self, uid: int, request: Request) -> bytes:
        match request:
            case Hello():
                return line_of("welcome", {"pid": os.getpid()})
            case AreYouThere():
                return line_of("there", {"able": self._able()})
            case TellStatus():
                return line_of("status", self._status(None if uid == 0 else uid))
            case Report(session=session):
                if uid not in (0, self._owner_of(session)):
                    raise ProtocolError("cannot take a report: the session is not of your account")
                self._meeting.report(request)
                return line_of("taken", {})


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # asyncio's word for a line that is too long
        raise ProtocolError(f"cannot read a line of the monitor's socket: more than {LINE_MAX} bytes") from None


async def _say(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    async with asyncio.timeout(_ANSWER_S):
        await writer.drain()


def peer_uid(connection: socket.socket) -> int:
    """Return the uid that the process at the other end had when it connected, or began to listen (unix(7))."""
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])


def _bind(listening: socket.socket, path: str, mode: int) -> None:
    """Bind with these permissions from the first moment: a chmod by name could be led to another file."""
    before = os.umask(0o777 & ~mode)
    try:
        listening.bind(path)
    finally:
        os.umask(before)


def _clear(path: str) -> None:
    """Remove a socket that nobody listens at; MonitorError if somebody does, or if it is something else."""
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise MonitorError(f"cannot listen at {path}: it is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise MonitorError(f"cannot listen at {path}: {error.strerror or error}") from error
    raise AnotherRunsError(f"cannot listen at {path}: another monitor runs; see pam-sc monitor status")
