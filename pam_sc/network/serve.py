# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network process at work: orders in, a thread for each of them, and one that watches the time.

At most eight orders are carried out at once. One whose time is over is reported and makes room although its thread may still hang
in a look-up, so a server that does not answer delays nobody else. Only the main thread reads the channel, and it never
writes to it: the two ends cannot wait for each other.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError, TransferError
from pam_sc.frames import Channel, Frame
from pam_sc.network.job import TIME_OVER, WAIT_MAX_S, Job, Outbox, SearchJob, Work
from pam_sc.network.messages import Kind, read_cancel, read_order
from pam_sc.network.problems import sentence
from pam_sc.network.search_messages import read_search

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
        self._queue: deque[Work] = deque()
        self._running: set[Work] = set()
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
        work = self._work(frame)
        if work.number <= self._last:
            raise ProtocolError(f"network message is out of turn: number {work.number} after {self._last}")
        self._last = work.number
        with self._changed:
            self._queue.append(work)
            self._changed.notify_all()

    def _work(self, frame: Frame) -> Work:
        if frame.type == Kind.SEARCH:
            return SearchJob(read_search(frame), self._outbox)
        return Job(read_order(frame), self._outbox)

    def _cancel(self, number: int) -> None:
        with self._changed:
            for job in (*self._queue, *self._running):
                if job.number == number:
                    job.give_up()
                    self._forget(job)

    def _forget(self, job: Work) -> None:
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

    def _startable(self) -> list[Work]:
        started: list[Work] = []
        while self._queue and len(self._running) < AT_ONCE:
            job = self._queue.popleft()
            job.start()
            self._running.add(job)
            started.append(job)
        return started

    def _until_next(self) -> float | None:
        ends = [job.deadline for job in (*self._queue, *self._running)]
        return min(max(0.0, min(ends) - time.monotonic()), WAIT_MAX_S) if ends else None

    def _start(self, job: Work) -> None:
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

    def _carry_out(self, job: Work) -> None:
        try:
            carry_out(job)
        except Exception as error:  # noqa: BLE001 - whatever a server does to a library is a transfer that failed
            job.fail(sentence(error))
        finally:
            job.give_up()
            job.close()
            with self._changed:
                self._threads -= 1
                self._forget(job)


def carry_out(work: Work) -> None:
    """Carry out one order, by its kind and, for a transfer, the scheme of its URL."""
    if isinstance(work, SearchJob):
        from pam_sc.network.search import answer

        answer(work)
    elif isinstance(work, Job) and work.order.transfer.url[:4].lower() == "ldap":
        from pam_sc.network.ldap import fetch as fetch_directory

        fetch_directory(work)
    elif isinstance(work, Job):
        from pam_sc.network.http import fetch as fetch_web

        fetch_web(work)
