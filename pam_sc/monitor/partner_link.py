# SPDX-License-Identifier: LGPL-2.1-or-later
"""The user unit's end of the system unit's socket: whether a system unit runs and is able, and what to report to it.

Only a socket that root or the system unit's own account listens at is believed. A system unit that is not there, does
not answer in time, or says that it cannot act leaves everything to this side: two locks are no harm, none would be.
Nothing is asked again and again: a lost connection is tried for a minute, then when something happens anyway (`nudge`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
from collections import deque
from collections.abc import Callable

from pam_sc.errors import MonitorError, ProtocolError
from pam_sc.monitor.facts import Side
from pam_sc.monitor.partner import SOCKET, peer_uid
from pam_sc.monitor.partner_messages import (
    ANSWER_MAX,
    AreYouThere,
    Hello,
    Report,
    Request,
    TellStatus,
    parse_line,
    request_line,
)  # fmt: skip

ACCOUNT = "pam_sc_monitor"
_CONNECT_S = 1.0
_THERE_S = 0.3
"""How long a system unit may take to say that it is there, before this side does all."""
_REPORT_S = 2.0
_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def system_uids() -> frozenset[int]:
    """Return whose socket is believed: root's, and the system unit's account's where there is one."""
    with contextlib.suppress(KeyError):
        return frozenset({0, pwd.getpwnam(ACCOUNT).pw_uid})
    return frozenset({0})


class Connection:
    """A connection to the system unit: requests are answered in their order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked: deque[asyncio.Future[tuple[str, object]]] = deque()

    async def ask(self, request: Request, within_s: float) -> object:
        """Return what is answered; MonitorError where nothing is in time, or an error."""
        answer: asyncio.Future[tuple[str, object]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                self._writer.write(request_line(request))
                self._asked.append(answer)
                await self._writer.drain()
                kind, value = await answer
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise MonitorError(f"cannot reach the system's monitor: {_cause(error)}") from error
        if kind == "error":
            raise MonitorError(f"the system's monitor refuses: {str(value)[:200]}")
        return value

    async def follow(self) -> None:
        """Take the answers until the system unit closes the connection or says what the protocol does not allow."""
        try:
            while line := await self._reader.readline():
                said = parse_line(line)
                if not self._asked:
                    raise ProtocolError("cannot read the monitor's socket: an answer that nothing asked for")
                answer = self._asked.popleft()
                if not answer.done():
                    answer.set_result(said)
        except (OSError, ValueError, ProtocolError):
            pass  # is as good as closed
        finally:
            self.close()

    def close(self) -> None:
        """End it; what still waits for an answer gets none."""
        self._writer.transport.abort()
        while self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(ConnectionResetError("it ended the connection"))
                answer.exception()  # looked at: whoever waited is told, and nobody else need be


async def connect(path: str, believed: frozenset[int]) -> Connection:
    """Connect; MonitorError where nobody listens, or somebody who is not believed."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_MAX)
    except (OSError, TimeoutError) as error:
        raise MonitorError(f"cannot reach the system's monitor at {path}: {_cause(error)}") from error
    listener = peer_uid(writer.get_extra_info("socket"))
    if listener not in believed:
        writer.transport.abort()
        raise MonitorError(f"cannot believe the socket {path}: the account with uid {listener} listens at it")
    return Connection(reader, writer)


class Link:
    """The standing connection of a user unit. `told` hears of each change: whether a system unit is met."""

    def __init__(self, told: Callable[[bool], None], path: str = SOCKET, believed: frozenset[int] | None = None) -> None:
        self._told, self._path = told, path
        self._believed = system_uids() if believed is None else believed
        self._connection: Connection | None = None
        self._nudged = asyncio.Event()
        self._changed = asyncio.Event()
        self.losses = 0
        """How often a connection was lost: one that was lost in the middle of an action leaves it to this side."""

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def nudge(self) -> None:
        """Something has happened: look for the system unit, if it is not met."""
        self._nudged.set()

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        delays = iter(_DELAYS_S)
        while True:
            if os.path.exists(self._path) and await self._meet():
                delays = iter(_DELAYS_S)
            self._nudged.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(next(delays, None)):
                    await self._nudged.wait()

    async def _meet(self) -> bool:
        """Connect, say hello and stay; True if that worked for a while."""
        try:
            connection = await connect(self._path, self._believed)
        except MonitorError:
            return False
        following = asyncio.ensure_future(connection.follow())
        try:
            await connection.ask(Hello(), _CONNECT_S)
            self._set(connection)
            await following
        except MonitorError:
            return False
        except asyncio.CancelledError:
            self._connection = None  # this side ends: of the other nothing is known, and nothing told
            raise
        finally:
            following.cancel()
            connection.close()
            if self._connection is not None:
                self.losses += 1
                self._set(None)
        return True

    def _set(self, connection: Connection | None) -> None:
        self._connection = connection
        self._changed.set()
        self._told(connection is not None)

    async def side(self) -> Side:
        """Return what is this side's to do now: USER where a system unit answers that it is able, else ALONE."""
        try:
            async with asyncio.timeout(_THERE_S):
                connection = await self._met()
                said = await connection.ask(AreYouThere(), _THERE_S)
        except (MonitorError, TimeoutError):
            return Side.ALONE
        return Side.USER if isinstance(said, dict) and said.get("able") is True else Side.ALONE

    async def _met(self) -> Connection:
        """Return the connection, or the one that is made now because there is a socket; MonitorError without one."""
        if self._connection is None and not os.path.exists(self._path):
            raise MonitorError("no system's monitor runs")
        self.nudge()
        while self._connection is None:
            self._changed.clear()
            await self._changed.wait()
        return self._connection

    async def report(self, report: Report) -> None:
        """Say what this side saw; one that cannot be said is lost, and the system unit acts as if there were none."""
        if self._connection is not None:
            with contextlib.suppress(MonitorError):
                await self._connection.ask(report, _REPORT_S)


async def ask_status(path: str = SOCKET, believed: frozenset[int] | None = None, within_s: float = 3.0) -> object:
    """Return what the system unit tells this account; MonitorError where it does not run or does not answer."""
    connection = await connect(path, system_uids() if believed is None else believed)
    following = asyncio.ensure_future(connection.follow())
    try:
        return await connection.ask(TellStatus(), within_s)
    finally:
        following.cancel()
        connection.close()


def _cause(error: BaseException) -> str:
    return str(error) or "no answer in time"
