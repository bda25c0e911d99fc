# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has come of the transfers of one call, put together from the answers of the network process.

Each answer is taken only in its turn and within the bounds of its transfer: one out of turn is a ProtocolError. Answers
about what was given up before are passed over. Nothing here reads a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pam_sc.errors import ProtocolError
from pam_sc.network.messages import Done, Failed, Head, Piece
from pam_sc.transfer import Outcome, Transfer, TransferFailed, Transferred


class _Body:
    """A body that is coming in."""

    def __init__(self, transfer: Transfer, head: Head) -> None:
        self.head = head
        self.data = bytearray()
        self._most = 0 if head.not_modified else transfer.max_bytes

    def add(self, data: bytes) -> None:
        if len(self.data) + len(data) > self._most:
            raise ProtocolError(f"network message is out of turn: more than {self._most} bytes of a body")
        self.data += data

    def finish(self, size: int) -> Transferred:
        if size != len(self.data):
            raise ProtocolError(f"network message is out of turn: {size} bytes are said to be {len(self.data)}")
        head = self.head
        return Transferred(
            body=bytes(self.data), not_modified=head.not_modified, etag=head.etag, last_modified=head.last_modified
        )


class Arrivals:
    """The transfers of one call: numbers `first` and up, their outcomes, and what is still to come."""

    def __init__(
        self, first: int, wanted: Sequence[Transfer], in_memory_max: int,
        on_done: Callable[[int, Outcome], None] | None, on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.out: set[int] = set()
        """Numbers that were ordered and are not finished."""
        self._first = first
        self._wanted = tuple(wanted)
        self._outcomes: dict[int, Outcome] = {}
        self._bodies: dict[int, _Body] = {}
        self._ordered = 0
        self._room = in_memory_max
        self._on_done = on_done
        self._on_progress = on_progress

    def complete(self) -> bool:
        """Say whether there is an outcome for each."""
        return len(self._outcomes) == len(self._wanted)

    def waiting(self) -> bool:
        """Say whether one was not ordered yet."""
        return self._ordered < len(self._wanted)

    def next_order(self) -> tuple[int, Transfer]:
        """Return the next one to order and its number."""
        self._ordered += 1
        return self._first + self._ordered - 1, self._wanted[self._ordered - 1]

    def open(self) -> list[int]:
        """Return the numbers that somebody should give up."""
        return sorted(self.out)

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return one outcome for each, in order."""
        return tuple(self._outcomes[index] for index in range(len(self._wanted)))

    def fail(self, number: int, why: str) -> None:
        """Finish one without success."""
        self._finish(number, TransferFailed(why))

    def fail_rest(self, why: str) -> None:
        """Finish without success what is not finished."""
        for index in range(len(self._wanted)):
            if index not in self._outcomes:
                self._finish(self._first + index, TransferFailed(why))

    def add(self, answer: Head | Piece | Done | Failed) -> int | None:
        """Take one answer; the number of a transfer that must be given up because the memory is full, or None."""
        number = answer.number
        if number >= self._first + self._ordered:
            raise ProtocolError(f"network message is out of turn: about number {number}, which nobody ordered")
        if number not in self.out:
            return None  # given up before
        match answer:
            case Head():
                self._begin(number, answer)
            case Piece(_, data):
                return self._grow(number, data)
            case Done(_, size):
                self._finish(number, self._body(number).finish(size))
            case Failed(_, why):
                self._finish(number, TransferFailed(why))
        return None

    def _begin(self, number: int, head: Head) -> None:
        wanted = self._wanted[number - self._first]
        if number in self._bodies:
            raise ProtocolError("network message is out of turn: a second HEAD")
        if head.not_modified and wanted.etag is None and wanted.last_modified is None:
            raise ProtocolError("network message is out of turn: not modified, where nothing was at hand")
        self._bodies[number] = _Body(wanted, head)

    def _grow(self, number: int, data: bytes) -> int | None:
        body = self._body(number)
        if len(data) > self._room:
            self.fail(number, "everything together is larger than there is memory for it")
            return number
        self._room -= len(data)
        body.add(data)
        if self._on_progress is not None:
            self._on_progress(number - self._first, len(body.data))
        return None

    def _body(self, number: int) -> _Body:
        if number not in self._bodies:
            raise ProtocolError("network message is out of turn: a body without HEAD")
        return self._bodies[number]

    def _finish(self, number: int, outcome: Outcome) -> None:
        self.out.discard(number)
        body = self._bodies.pop(number, None)
        if body is not None and isinstance(outcome, TransferFailed):
            self._room += len(body.data)
        index = number - self._first
        self._outcomes[index] = outcome
        if self._on_done is not None:
            self._on_done(index, outcome)
