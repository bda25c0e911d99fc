# SPDX-License-Identifier: LGPL-2.1-or-later
"""One order under way: its time, its socket, and the only way in which anything of it reaches the channel.

The thread that carries it out and the one that watches the time both end it, and whoever is first counts: after FAILED,
REFUSED or DONE nothing more is said about it, and its socket is shut down, so that a read that waits on it returns.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence

from pam_sc.decision.reasons import Reason
from pam_sc.errors import DeadlineExceeded, ProtocolError, TransferError
from pam_sc.frames import Channel, Frame
from pam_sc.network.messages import PIECE_MAX, Done, Failed, Head, Order, Piece, answer_frame, plain_header
from pam_sc.network.search_messages import Entry, Refused, SearchOrder, entry_frame, refused_frame
from pam_sc.services import DirectoryEntry

TIME_OVER = "the time for it was over"
WAIT_MAX_S = 3600.0
"""The longest single wait, which every clock and every system call can take."""
_SEND_S = 60.0


class Outbox:
    """The channel to the verifier, for many threads. A verifier that takes nothing any longer is the end of the process."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.lock = threading.RLock()

    def send(self, frame: Frame) -> None:
        """Send one message whole."""
        with self.lock:
            try:
                self._channel.send(frame, time.monotonic() + _SEND_S)
            except (ProtocolError, DeadlineExceeded):
                os._exit(1)


class Work:
    """One order of whatever kind: its time, its sockets, and whether somebody still waits for it."""

    def __init__(self, order: Order | SearchOrder, outbox: Outbox) -> None:
        self.number = order.number
        self.deadline = order.end_ms / 1000
        self._limit_ms = order.limit_ms
        self._outbox = outbox
        self._over = False
        self._socket: socket.socket | None = None
        self._used: list[socket.socket] = []

    def start(self) -> None:
        """Begin to count the limit of this order alone."""
        if self._limit_ms:
            self.deadline = min(self.deadline, time.monotonic() + self._limit_ms / 1000)

    def remaining(self) -> float:
        """Return the seconds that are left, more than 0; TransferError if there are none, or nobody waits any longer."""
        left = self.deadline - time.monotonic()
        if left <= 0 or self._over:
            raise TransferError(TIME_OVER)
        return min(left, WAIT_MAX_S)

    def use(self, sock: socket.socket) -> None:
        """Work on this socket from now on: it is shut down when the time is over, and closed by `close`."""
        self._used.append(sock)
        self._socket = sock
        self.remaining()  # after that: give_up sets what this reads before it looks for the socket

    def fail(self, why: str) -> None:
        """Nothing came of it. Nothing happens where it is over already."""
        self._end(self._failure(why))

    def _failure(self, why: str) -> Frame:
        return answer_frame(Failed(self.number, why))

    def _end(self, frame: Frame) -> None:
        with self._outbox.lock:
            if not self._over:
                self._outbox.send(frame)
            self.give_up()

    def give_up(self) -> None:
        """Nobody waits for it any longer. Takes no lock: the thread that reads the channel calls it too."""
        self._over = True
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):  # not connected, or broken already
                # by the class, because that of a TLS socket changes what another thread may be reading from
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every socket; only for the thread that worked on them."""
        for sock in self._used:
            sock.close()

    def _say(self, frame: Frame) -> None:
        with self._outbox.lock:
            self.remaining()
            self._outbox.send(frame)


class Job(Work):
    """One transfer, from its start to DONE or FAILED."""

    def __init__(self, order: Order, outbox: Outbox) -> None:
        super().__init__(order, outbox)
        self.order = order
        self._size = 0

    def begin(self, *, not_modified: bool = False, etag: str | None = None, last_modified: str | None = None) -> None:
        """Say what is known before the body."""
        self._say(answer_frame(Head(number=self.number, not_modified=not_modified, etag=plain_header(etag),
                                    last_modified=plain_header(last_modified))))

    def add(self, data: bytes) -> None:
        """Hand on the next bytes of the body; TransferError if there are more than were wanted."""
        most = self.order.transfer.max_bytes
        if self._size + len(data) > most:
            raise TransferError(f"the body is larger than {most} bytes")
        self._size += len(data)
        for at in range(0, len(data), PIECE_MAX):
            self._say(answer_frame(Piece(self.number, data[at : at + PIECE_MAX])))

    def done(self) -> None:
        """The body is complete."""
        with self._outbox.lock:
            self._say(answer_frame(Done(self.number, self._size)))
            self.give_up()


class SearchJob(Work):
    """One search in a directory, from its start to DONE or REFUSED."""

    def __init__(self, order: SearchOrder, outbox: Outbox) -> None:
        super().__init__(order, outbox)
        self.search = order.search

    def found(self, entries: Sequence[DirectoryEntry]) -> None:
        """Say what was found: all of it."""
        with self._outbox.lock:
            for entry in entries:
                self._say(entry_frame(Entry(self.number, entry)))
            self._say(answer_frame(Done(self.number, len(entries))))
            self.give_up()

    def refuse(self, reason: Reason, why: str) -> None:
        """Say that nothing came of it and for what reason. Nothing happens where it is over already."""
        self._end(refused_frame(Refused(self.number, reason, why)))

    def _failure(self, why: str) -> Frame:
        reason = Reason.DIRECTORY_TIMEOUT if why == TIME_OVER else Reason.DIRECTORY_ANSWER_UNUSABLE
        return refused_frame(Refused(self.number, reason, why))
