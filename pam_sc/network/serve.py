# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network process at work: orders in, a thread for each transfer, and one that watches the time.

At most eight transfers run at once. One whose time is over is reported and makes room although its thread may still hang
in a look-up, so a server that does not answer delays nobody else. Only the main thread reads the channel, and it never
writes to it: the two ends cannot wait for each other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError, TransferError
from pam_sc.frames import Channel, Frame
from pam_sc.network.job import TIME_OVER, WAIT_MAX_S, Job, Outbox
from pam_sc.network.messages import Kind, read_cancel, read_order
from pam_sc.network.problems import sentence

AT_ONCE = 8
THREADS_MAX = 64
IDLE_S = 86400.0
"""Seconds without a word from the verifier after which the process ends by itself."""


class NetworkServer:
    """One network process: its channel, its transfers."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._outbox = Outbox(channel)
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._running: set[Job] = set()
        self._threads = 0
        self._last = 0

    def run(self) -> int:
        """Serve until the verifier closes the channel; the exit status."""
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            while True:
                self._obey(self._channel.receive(time.monotonic() + IDLE_S))
        except (ChannelClosed, DeadlineExceeded):
            return 0
        except ProtocolError:
            return 1

    def _obey(self, frame: Frame) -> None:
        if frame.type == Kind.CANCEL:
            self._cancel(read_cancel(frame))
            return
        order = read_order(frame)
        if order.number <= self._last:
            raise ProtocolError(f"network message is out of turn: number {order.number} after {self._last}")
        self._last = order.number
        with self._changed:
            self._queue.append(Job(order, self._outbox))
            self._changed.notify_all()

    def _cancel(self, number: int) -> None:
        with self._changed:
            for job in (*self._queue, *self._running):
                if job.order.number == number:
                    job.give_up()
                    self._forget(job)

    def _forget(self, job: Job) -> None:
        """Make room for the next one. The caller holds the condition."""
        self._running.discard(job)
        if job in self._queue:
            self._queue.remove(job)
        self._changed.notify_all()

    def _watch(self) -> None:
        """Start what there is room for, and end what has no time left; for ever."""
        while True:
            with self._changed:
                overdue = [job for job in (*self._queue, *self._running) if job.deadline <= time.monotonic()]
                started = [] if overdue else self._startable()
                if not overdue and not started:
                    self._changed.wait(self._until_next())
                for job in overdue:
                    self._forget(job)
            for job in overdue:
                job.fail(TIME_OVER)
            for job in started:
                self._start(job)

    def _startable(self) -> list[Job]:
        started: list[Job] = []
        while self._queue and len(self._running) < AT_ONCE:
            job = self._queue.popleft()
            job.start()
            self._running.add(job)
            started.append(job)
        return started

    def _until_next(self) -> float | None:
        ends = [job.deadline for job in (*self._queue, *self._running)]
        return min(max(0.0, min(ends) - time.monotonic()), WAIT_MAX_S) if ends else None

    def _start(self, job: Job) -> None:
        with self._changed:
            possible = self._threads < THREADS_MAX
            self._threads += possible
        try:
            if not possible:
                raise TransferError("too many others hang")
            threading.Thread(target=self._carry_out, args=(job,), daemon=True).start()
        except (TransferError, RuntimeError) as error:  # RuntimeError: the system gives no thread
            with self._changed:
                self._threads -= possible
                self._forget(job)
            job.fail(f"it cannot be started: {error}")

    def _carry_out(self, job: Job) -> None:
        try:
            fetcher_for(job)(job)
        except Exception as error:  # noqa: BLE001 - whatever a server does to a library is a transfer that failed
            job.fail(sentence(error))
        finally:
            job.give_up()
            job.close()
            with self._changed:
                self._threads -= 1
                self._forget(job)


def fetcher_for(job: Job) -> Callable[[Job], None]:
    """Return what carries out this transfer, by the scheme of its URL."""
    if job.order.transfer.url[:4].lower() == "ldap":
        from pam_sc.network.ldap import fetch as fetch_directory

        return fetch_directory
    from pam_sc.network.http import fetch as fetch_web

    return fetch_web
