# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the network channel: what is wanted goes out, capped bytes or a reason come back.

Nothing that the network or the network process does raises here: it is a TransferFailed, or Refused. What was fetched
is not looked at. In a login this starts nothing; only the command line, where no supervisor does it, starts a network
process here.
"""

from __future__ import annotations

import os
import pwd
import select
import socket
import time
from collections.abc import Callable, Sequence

from pam_sc.children import StartedChild, start_child
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ChannelClosed, ConfigError, DeadlineExceeded, ProtocolError
from pam_sc.frames import Channel, Frame
from pam_sc.network.account import NETWORK_ACCOUNT
from pam_sc.network.arrivals import Arrivals
from pam_sc.network.messages import (
    NETWORK_PAYLOAD_MAX,
    Done,
    Failed,
    Head,
    Order,
    Piece,
    Unusable,
    cancel_frame,
    order_frame,
    read_answer,
)
from pam_sc.network.search_messages import Entry, Refused, SearchOrder, read_search_answer, search_frame
from pam_sc.services import DirectoryEntry, DirectorySearch
from pam_sc.transfer import Outcome, Transfer

__all__ = ["NetworkClient", "start_network_process"]

IN_MEMORY_MAX = 256 * 1024 * 1024
TIME_OVER = "the time for it was over"
_WINDOW = 16
"""Orders that are out at once; the network process carries out fewer."""
_LONGEST_S = 86400.0
_FRAME_S = 0.2
"""How long a frame that has begun to arrive may take beyond the deadline."""

OnDone = Callable[[int, Outcome], None]
OnProgress = Callable[[int, int], None]


class NetworkClient:
    """One network process, as the verifier sees it. Deadlines are on time.monotonic."""

    def __init__(self, sock: socket.socket) -> None:
        self._channel = Channel(sock, NETWORK_PAYLOAD_MAX)
        self._next = 1
        self._lost: str | None = None
        self._searches: set[int] = set()
        """Numbers of searches, to know what is said late about one that was given up."""

    def transfer(  # noqa: PLR0913 - each is a limit or a listener of its own, by keyword
        self, wanted: Sequence[Transfer], deadline: float, *, proxy: str | None = None, loopback: bool = False,
        each_s: float | None = None, in_memory_max: int = IN_MEMORY_MAX,
        on_done: OnDone | None = None, on_progress: OnProgress | None = None,
    ) -> tuple[Outcome, ...]:
        """Fetch everything at the same time; one outcome for each, in order.

        `deadline` is for all of them, `each_s` for each from its start. `proxy` (http://host:port) is for http and https
        alone. `loopback`: any address may be asked, whoever named the URL. `in_memory_max`: bytes of all bodies together.
        `on_done` hears index and outcome as they come, `on_progress` index and bytes so far; what these two raise
        goes through, and the transfers that are under way then are given up.
        """
        deadline = min(deadline, time.monotonic() + _LONGEST_S)
        arrivals = Arrivals(self._next, wanted, in_memory_max, on_done, on_progress)
        self._next += len(wanted)
        limit_ms = 0 if each_s is None else max(1, int(min(each_s, _LONGEST_S) * 1000))
        try:
            if self._lost is None:
                self._run(arrivals, deadline, lambda number, one: Order(
                    number=number, transfer=one, end_ms=max(0, int(deadline * 1000)), limit_ms=limit_ms, proxy=proxy,
                    loopback=loopback))
        except DeadlineExceeded:
            self._cancel(arrivals.open())
            arrivals.fail_rest(TIME_OVER)
        except ProtocolError as error:
            self._lost = f"the network process is lost: {error}"
        except BaseException:
            self._cancel(arrivals.open())
            raise
        if self._lost is not None:
            arrivals.fail_rest(self._lost)
        return arrivals.outcomes()

    def search(self, wanted: DirectorySearch, deadline: float) -> tuple[DirectoryEntry, ...] | Refused:
        """Search a directory; the entries, or why there is no answer. Raises nothing."""
        deadline = min(deadline, time.monotonic() + _LONGEST_S)
        number = self._next
        self._next += 1
        self._searches.add(number)
        try:
            frame = search_frame(SearchOrder(number=number, search=wanted, end_ms=max(0, int(deadline * 1000))))
        except ProtocolError as error:
            return Refused(number, Reason.DIRECTORY_ANSWER_UNUSABLE, f"it cannot be asked for: {error}")
        try:
            if self._lost is None:
                return self._searched(number, frame, wanted, deadline)
        except DeadlineExceeded:
            self._cancel([number])
            return Refused(number, Reason.DIRECTORY_TIMEOUT, TIME_OVER)
        except ProtocolError as error:
            self._lost = f"the network process is lost: {error}"
        return Refused(number, Reason.DIRECTORY_UNREACHABLE, self._lost or "")

    def _searched(
        self, number: int, order: Frame, wanted: DirectorySearch, deadline: float
    ) -> tuple[DirectoryEntry, ...] | Refused:
        entries: list[DirectoryEntry] = []
        self._send_frame(order, deadline)
        while True:
            answer = self._next_answer(deadline)
            if 0 < answer.number < number:
                continue  # about something that was given up
            if answer.number == number and isinstance(answer, Refused):
                return answer
            if answer.number == number and isinstance(answer, Done) and answer.size == len(entries):
                return tuple(entries)
            if answer.number != number or not isinstance(answer, Entry) or len(entries) == wanted.entries_max:
                raise ProtocolError("network message is out of turn: nothing like it was asked for")
            entries.append(answer.entry)

    def fileno(self) -> int:
        """The channel's descriptor, for poll."""
        return self._channel.fileno()

    def close(self) -> None:
        """Close the channel, which ends the network process."""
        self._channel.close()

    def _run(self, arrivals: Arrivals, deadline: float, order: Callable[[int, Transfer], Order]) -> None:
        while not arrivals.complete():
            while arrivals.waiting() and len(arrivals.out) < _WINDOW:
                self._send(arrivals, deadline, order)
            if arrivals.out:
                self._receive(arrivals, deadline)

    def _send(self, arrivals: Arrivals, deadline: float, order: Callable[[int, Transfer], Order]) -> None:
        number, transfer = arrivals.next_order()
        try:
            frame = order_frame(order(number, transfer))
        except ProtocolError as error:
            arrivals.fail(number, f"it cannot be asked for: {error}")
            return
        if deadline <= time.monotonic():
            raise DeadlineExceeded(TIME_OVER)
        arrivals.out.add(number)
        self._send_frame(frame, deadline)

    def _send_frame(self, frame: Frame, deadline: float) -> None:
        try:
            self._channel.send(frame, deadline)
        except DeadlineExceeded as error:  # perhaps half of it
            raise ProtocolError("it took no order in time") from error
        except ChannelClosed:
            self._next_answer(deadline)  # it may have said why
            raise

    def _receive(self, arrivals: Arrivals, deadline: float) -> None:
        answer = self._next_answer(deadline)
        if answer.number in self._searches:
            return  # given up before
        if isinstance(answer, Entry | Refused):
            raise ProtocolError("network message is out of turn: about a search, which nobody ordered")
        given_up = arrivals.add(answer)
        if given_up is not None:
            self._cancel([given_up])

    def _next_answer(self, deadline: float) -> Head | Piece | Done | Failed | Entry | Refused:
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise DeadlineExceeded(TIME_OVER)
        try:
            frame = self._channel.receive(max(deadline, time.monotonic() + _FRAME_S))
        except DeadlineExceeded as error:  # in the middle of a frame
            raise ProtocolError("it did not finish a message") from error
        answer = read_search_answer(frame) or read_answer(frame)
        if isinstance(answer, Unusable):
            raise ProtocolError(answer.why)
        return answer

    def _cancel(self, numbers: Sequence[int]) -> None:
        """Tell the network process what nobody waits for; if that fails, it is lost, which the next call says."""
        try:
            for number in numbers:
                if self._lost is None:
                    self._channel.send(cancel_frame(number), time.monotonic() + _FRAME_S)
        except (ProtocolError, DeadlineExceeded) as error:
            self._lost = f"the network process is lost: {error}"


def start_network_process(worker_path: str) -> StartedChild[NetworkClient]:
    """Start `worker_path network`; it becomes the account pam_sc where we are root, and stays who we are elsewhere.

    ConfigError if we are root and there is no such account; OSError if it cannot be started.
    """
    if os.geteuid() == 0:
        _require_account()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        try:
            pid = start_child(worker_path, "network", (theirs.fileno(),))
        except OSError:
            ours.close()
            raise
    return StartedChild(pid, NetworkClient(ours))


def _require_account() -> None:
    try:
        pwd.getpwnam(NETWORK_ACCOUNT)
    except KeyError:
        raise ConfigError(f"account {NETWORK_ACCOUNT!r} does not exist; the network process needs it to give up root "
                          f"(sysusers.d/pam_sc.conf)") from None
