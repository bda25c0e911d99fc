# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the program channel: which programs there are goes out once, then lines, and answers come back.

Everything that a program or the runner does wrong is a CannotMap with its reason. In a login this starts nothing; only
the command line, where no supervisor does it, starts a runner here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from pam_sc.children import StartedChild, start_child
from pam_sc.decision.reasons import Reason
from pam_sc.errors import DeadlineExceeded, ProtocolError
from pam_sc.frames import Channel
from pam_sc.programs.messages import (
    LINE_MAX,
    PROGRAMS_PAYLOAD_MAX,
    Answer,
    Answered,
    Failure,
    NotAnswered,
    Ready,
    Run,
    Setup,
    Unusable,
    read_answer,
    run_frame,
    setup_frame,
)
from pam_sc.services import CannotMap

__all__ = ["ProgramsClient", "start_program_runner"]

_SETUP_S = 5.0
_SPARE_S = 1.5
"""How much longer than the program the runner may take: it must start it, end it and all that it left behind."""
_REASONS = {
    Failure.FAILED: Reason.PROGRAM_FAILED,
    Failure.TIMEOUT: Reason.PROGRAM_TIMEOUT,
    Failure.TOO_MUCH: Reason.PROGRAM_ANSWER_UNUSABLE,
}


class ProgramsClient:
    """One program runner, as the verifier sees it. `deadline` says until when (time.monotonic) the login may work."""

    def __init__(self, sock: socket.socket, setup: Setup, deadline: Callable[[], float]) -> None:
        """Tell the runner which programs there are. To be made while we still have the privilege it gives up."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._channel = Channel(sock, PROGRAMS_PAYLOAD_MAX)
        self._numbers = {argv: number for number, argv in enumerate(setup.programs)}
        self._deadline = deadline
        self._ready = False
        self._lost: str | None = None
        try:
            self._channel.send(setup_frame(setup), time.monotonic() + _SETUP_S)
        except (ProtocolError, DeadlineExceeded) as error:
            self._lost = str(error)

    def ask(self, argv: tuple[str, ...], line: str, timeout_s: float) -> str:
        """Give the program one line and return the one line that it answers; CannotMap for anything else."""
        number = self._numbers.get(argv)
        given = line.encode() + b"\n"
        if number is None or len(given) > LINE_MAX:
            why = f"its question has {len(given)} bytes" if number is not None else "it is not among the programs"
            raise _failed(argv, Reason.PROGRAM_FAILED, why)
        if self._lost is not None:
            raise _failed(argv, Reason.PROGRAM_FAILED, f"the program runner is lost: {self._lost}")
        answer = self._exchange(argv, number, given, timeout_s)
        if isinstance(answer, NotAnswered):
            raise _failed(argv, _REASONS[answer.failure], answer.why)
        return _one_line(argv, answer.output)

    def close(self) -> None:
        """Close the channel, which ends the runner."""
        self._channel.close()

    def _exchange(self, argv: tuple[str, ...], number: int, given: bytes, timeout_s: float) -> Answered | NotAnswered:
        left = min(timeout_s, self._deadline() - _SPARE_S - time.monotonic())
        if left <= 0:
            raise _failed(argv, Reason.PROGRAM_TIMEOUT, "no time is left for it")
        try:
            self._wait_until_ready()
            self._channel.send(run_frame(Run(number, int(left * 1000), given)), time.monotonic() + left)
            answer = self._receive(time.monotonic() + left + _SPARE_S)
        except DeadlineExceeded as error:
            self._lost = "it did not answer in time"
            raise _failed(argv, Reason.PROGRAM_TIMEOUT, "the program runner did not answer in time") from error
        except ProtocolError as error:
            self._lost = str(error)
            raise _failed(argv, Reason.PROGRAM_FAILED, f"the program runner is lost: {error}") from error
        if not isinstance(answer, Answered | NotAnswered):
            self._lost = "it spoke out of turn"
            raise _failed(argv, Reason.PROGRAM_FAILED, "the program runner spoke out of turn")
        return answer

    def _wait_until_ready(self) -> None:
        if not self._ready:
            answer = self._receive(self._deadline())
            if not isinstance(answer, Ready):
                raise ProtocolError("it spoke out of turn")
            self._ready = True

    def _receive(self, deadline: float) -> Answer:
        answer = read_answer(self._channel.receive(deadline))
        if isinstance(answer, Unusable):
            raise ProtocolError(answer.why)
        return answer


def _one_line(argv: tuple[str, ...], output: bytes) -> str:
    try:
        text = output.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _failed(argv, Reason.PROGRAM_ANSWER_UNUSABLE, "its answer is not UTF-8") from error
    line = text.removesuffix("\n")
    if not line or "\n" in line:
        raise _failed(argv, Reason.PROGRAM_ANSWER_UNUSABLE, f"it wrote {text.count(chr(10))} lines, expected one")
    return line


def _failed(argv: tuple[str, ...], reason: Reason, why: str) -> CannotMap:
    return CannotMap(reason, f"program {argv[0]!r}: {why}")


def start_program_runner(worker_path: str, setup: Setup, deadline: Callable[[], float]) -> StartedChild[ProgramsClient]:
    """Start `worker_path programs` and tell it which programs there are; OSError if it cannot be started."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        try:
            # before it can be told: the kernel adds the sender to what is said while either end asks for it
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            pid = start_child(worker_path, "programs", (theirs.fileno(),))
        except OSError:
            ours.close()
            raise
    return StartedChild(pid, ProgramsClient(ours, setup, deadline))
