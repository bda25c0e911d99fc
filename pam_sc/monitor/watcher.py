# SPDX-License-Identifier: LGPL-2.1-or-later
"""One watching process, as the monitor has it: started, listened to within bounds, ended, and started again.

What it says is a claim. What breaks the protocol, comes too fast, does not come in time or ends is WatcherLost, with the
reason; then the process is killed, and begun anew after a pause that doubles. Nothing here gives up, and nothing runs
here while the process has nothing to say.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Callable

from pam_sc.card.messages import Kind, ModuleSetup, RunAs, read_failed, require_plain, setup_frames
from pam_sc.card.presence import Presence, Way, read_presence, watch_frame
from pam_sc.children import start_child
from pam_sc.errors import MonitorError, PamScError, ProtocolError
from pam_sc.frames import CARD_PAYLOAD_MAX, HEADER, Frame, decode_fields, decode_header, encode
from pam_sc.record import record

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0
WELL_S = 60.0
"""After so long without a fault the pauses begin anew."""
FRAMES_MAX = 1000
FRAMES_S = 5.0
"""More than FRAMES_MAX messages within FRAMES_S are nonsense."""
_BURY_S = 1.0


class WatcherLost(MonitorError):
    """The process cannot go on. The message is the reason, for people."""


class NothingToWatchWith(WatcherLost):
    """What is to look is not installed."""


@record(kw_only=True)
class Task:
    """What a process is to look at: `modules` has one, or for PC/SC all, whose environment it then shares."""

    way: Way
    modules: tuple[ModuleSetup, ...]
    run_as: RunAs | None
    poll_s: float
    start_s: float = 15.0
    """Until the process is in its sandbox, and for the first look of PC/SC."""
    look_s: float = 15.0
    """For one look of a module, which may read a card that has just come."""


class Watcher:
    """A process that is begun anew for ever."""

    def __init__(self, worker: str, task: Task) -> None:
        self._worker = worker
        self._task = task
        self._dead: list[_Process] = []

    async def run(self, see: Callable[[Presence], None], lose: Callable[[str], None]) -> None:
        """Tell `see` what the process sees and `lose` why it was lost, each time, until cancelled.

        NothingToWatchWith, which only PC/SC can be, ends it: whoever wants to go on all the same calls it again.
        """
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            began = loop.time()
            try:
                await self._watch(see)
            except NothingToWatchWith:
                raise
            except (PamScError, OSError) as error:
                lose(str(error))
            if loop.time() - began >= WELL_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _watch(self, see: Callable[[Presence], None]) -> None:
        """Start the process and listen to it until it is lost."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            with theirs:
                try:
                    process = _Process(start_child(self._worker, "watcher", (theirs.fileno(),)))
                except OSError as error:
                    raise WatcherLost(f"cannot start {self._worker}: {error.strerror}") from error
            try:
                await self._talk(ours, see)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise WatcherLost(f"the watching process ended: {process.end_in_words()}") from error
            except ProtocolError as error:
                raise WatcherLost(f"the watching process talks nonsense: {error}") from error
            finally:
                process.kill()
                # one that hangs in a driver is buried when it lets go
                self._dead = [dead for dead in (*self._dead, process) if not dead.is_buried()]

    async def _talk(self, ours: socket.socket, see: Callable[[Presence], None]) -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            for frame in setup_frames(self._task.modules, self._task.run_as, pinpad=False):
                writer.write(encode(frame, CARD_PAYLOAD_MAX))
            poll_ms = max(1, round(self._task.poll_s * 1000))
            writer.write(encode(watch_frame(self._task.way, poll_ms), CARD_PAYLOAD_MAX))
            await _Listener(reader, self._task).listen(see)
        finally:
            writer.close()


class _Listener:
    """What is known of the conversation with one process."""

    def __init__(self, reader: asyncio.StreamReader, task: Task) -> None:
        self._reader = reader
        self._task = task
        self._ready = False
        self._limit_s: float | None = task.start_s
        self._counted = 0
        self._since = asyncio.get_running_loop().time()

    async def listen(self, see: Callable[[Presence], None]) -> None:
        """Tell `see` of each Presence, until WatcherLost, ProtocolError or the end of the stream."""
        while True:
            frame = await self._receive()
            match frame.type:
                case Kind.PRESENCE if self._ready:
                    see(self._presence(frame))
                case Kind.LOOKING if self._ready and self._task.way is not Way.PCSC:
                    require_plain(frame)
                    self._limit_s = self._task.look_s
                case Kind.READY if not self._ready:
                    require_plain(frame)
                    self._ready = True
                case Kind.FAILED:
                    raise _failed(frame, self._task.way)
                case _:
                    raise ProtocolError(f"card message is malformed: type {frame.type:#x} from a watcher")

    def _presence(self, frame: Frame) -> Presence:
        presence = read_presence(frame)
        if (presence.source is Way.PCSC) != (self._task.way is Way.PCSC):
            raise ProtocolError(f"card message is malformed: {presence.source.name} in place of {self._task.way.name}")
        polls = presence.source is Way.POLLING
        self._limit_s = self._task.poll_s + self._task.look_s if polls else None
        return presence

    async def _receive(self) -> Frame:
        try:
            async with asyncio.timeout(self._limit_s):
                kind, length = decode_header(await self._reader.readexactly(HEADER.size), CARD_PAYLOAD_MAX)
                frame = Frame(kind, decode_fields(await self._reader.readexactly(length)))
        except TimeoutError:
            raise WatcherLost(f"the watching process hangs: nothing came for {self._limit_s:g} s") from None
        self._count()
        return frame

    def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._since > FRAMES_S:
            self._counted, self._since = 0, now
        self._counted += 1
        if self._counted > FRAMES_MAX:
            raise ProtocolError(f"more than {FRAMES_MAX} messages in {FRAMES_S:g} s")


class _Process:
    """A child, by a descriptor that means no other process when this one is gone."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def kill(self) -> None:
        """Kill it, if it is not dead already."""
        signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def is_buried(self) -> bool:
        """Bury it if it is dead within a second, and say whether it was."""
        if not self._is_dead():
            return False
        try:
            os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            pass  # the program may ignore SIGCHLD
        os.close(self._descriptor)
        return True

    def end_in_words(self) -> str:
        """How it ended, before it is buried."""
        try:
            end = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG | os.WNOWAIT) if self._is_dead() else None
        except ChildProcessError:
            end = None
        if end is None:
            return "it said no more"
        return f"status {end.si_status}" if end.si_code == os.CLD_EXITED else f"signal {end.si_status}"

    def _is_dead(self) -> bool:
        return bool(select.select([self._descriptor], [], [], _BURY_S)[0])


def _failed(frame: Frame, way: Way) -> WatcherLost:
    """What FAILED means. A process that runs a module cannot claim that there is nothing to watch with."""
    kind, detail = read_failed(frame)
    return NothingToWatchWith(detail) if kind == "missing" and way is Way.PCSC else WatcherLost(detail)
