# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program runner at work: one order, one program, one answer, without privilege and one after the other.

When an answer goes out, the program and everything that it has started are dead. Nothing that a program does raises
here, and nothing that it writes is looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.frames import Channel
from pam_sc.programs.messages import Answer, Answered, Failure, NotAnswered, answer_frame, read_run
from pam_sc.programs.run import Limits, ProgramRun, end_orphans

IDLE_S = 86400.0
_SAY_S = 5.0


class ProgramServer:
    """One program runner: its channel, its programs."""

    def __init__(
        self, channel: Channel, programs: tuple[tuple[str, ...], ...], die_with: Callable[[int], None], *,
        limit_processes: bool,
    ) -> None:
        self._channel = channel
        self._programs = programs
        self._die_with = die_with
        self._limits = Limits(processes=limit_processes)

    def run(self) -> int:
        """Serve until the verifier closes the channel; the exit status."""
        try:
            while True:
                order = read_run(self._channel.receive(time.monotonic() + IDLE_S), len(self._programs))
                deadline = time.monotonic() + order.timeout_ms / 1000
                answer = self._answer(self._programs[order.number], order.line, deadline)
                if not end_orphans():
                    return 1
                self._channel.send(answer_frame(answer), time.monotonic() + _SAY_S)
        except (ChannelClosed, DeadlineExceeded):
            return 0
        except ProtocolError:
            return 1

    def _answer(self, argv: tuple[str, ...], line: bytes, deadline: float) -> Answer:
        try:
            program = ProgramRun(argv, self._die_with, self._limits)
        except OSError as error:
            return NotAnswered(Failure.FAILED, f"it cannot be started: {error.strerror}")
        try:
            return Answered(program.converse(line, deadline))
        except TimeoutError:
            return NotAnswered(Failure.TIMEOUT, "it did not answer in time")
        except OverflowError:
            return NotAnswered(Failure.TOO_MUCH, "it wrote more than a program may")
        except ChildProcessError as error:
            return NotAnswered(Failure.FAILED, str(error))
        except OSError as error:
            return NotAnswered(Failure.FAILED, f"it cannot be talked to: {os.strerror(error.errno or 0)}")
        finally:
            program.end()
