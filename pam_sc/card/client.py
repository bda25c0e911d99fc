# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the card channel: orders out, answers in, each answer within its bounds or not at all.

The card process runs the PKCS#11 module and is not believed: whatever it says is a claim, and whatever it says out of
turn is CardProcessLost. This module never imports PyKCS11. In a login it sees no PIN and starts nothing; only the
command line, where no supervisor does it, starts a card process here and hands it a PIN.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pam_sc.card.asking import Candidate, Changed, ChangeOrder, OpenOrder, SignOrder, sign_command, target_of
from pam_sc.card.constants import MAX_MODULES, MAX_SECRET
from pam_sc.card.messages import (
    Kind,
    ModuleSetup,
    RunAs,
    Signature,
    merged_environment,
    plain,
    read_failed,
    read_not_signed,
    read_outcome,
    require_plain,
    setup_frames,
)
from pam_sc.card.orders import ChangeCommand, ChangeKind, PinRules, change_frame, open_frame, sign_frame, wait_frame
from pam_sc.card.report_messages import OpenedBuilder, ReportBuilder
from pam_sc.card.sentences import closed
from pam_sc.children import StartedChild, start_child
from pam_sc.decision.card_report import CardReport, TokenReport
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay, Signed
from pam_sc.errors import (
    CardIsolationFailed,
    CardProcessLost,
    ChannelClosed,
    ConfigError,
    DeadlineExceeded,
    ProtocolError,
)
from pam_sc.frames import CARD_PAYLOAD_MAX, Channel, Frame

__all__ = [
    "Candidate", "CardClient", "ChangeKind", "ChangeOrder", "Changed", "ModuleSetup", "OpenOrder", "PinRules", "RunAs",
    "SignOrder", "StartedCardProcess", "start_card_process",
]

T = TypeVar("T")


class CardClient:
    """One card process, as the verifier sees it. Deadlines are on time.monotonic."""

    def __init__(self, sock: socket.socket) -> None:
        self._channel = Channel(sock, CARD_PAYLOAD_MAX)
        self._paths: tuple[str, ...] = ()

    def set_up(self, modules: Sequence[ModuleSetup], run_as: RunAs | None, deadline: float, *,
               pinpad: bool = False) -> None:
        """Have the card process become the account, enter its sandbox, load the modules and read what they show.

        `pinpad`: OpenSC may let PINs be typed on the reader. Then a reader with a keypad takes them nowhere else.

        Does not wait for it: `report` does, so the caller has other work done meanwhile. ConfigError if the modules'
        settings contradict each other.
        """
        merged_environment(modules)
        if not 0 < len(modules) <= MAX_MODULES:
            raise ConfigError(f"cannot use {len(modules)} PKCS#11 modules: at least 1, at most {MAX_MODULES}")
        self._paths = tuple(module.path for module in modules)
        # a process that has ended already may have said why; `report` reads that
        with _no_pin_sent(), _lost(), contextlib.suppress(ChannelClosed):
            for frame in (*setup_frames(modules, run_as, pinpad=pinpad), plain(Kind.REPORT)):
                self._channel.send(frame, deadline)

    def report(self, deadline: float) -> CardReport:
        """Return all that the modules show without a login. CardIsolationFailed if the sandbox could not be set."""
        with _no_pin_sent(), _lost():
            frame = self._channel.receive(deadline)
            if frame.type == Kind.FAILED:
                raise _failed(frame)
            _require(frame, Kind.READY)
            return self._read_report(deadline)

    def report_again(self, deadline: float) -> CardReport:
        """Read everything once more. What an earlier order had opened is ended before."""
        with _no_pin_sent(), _lost():
            self._channel.send(plain(Kind.REPORT), deadline)
            return self._read_report(deadline)

    def sign(self, order: SignOrder, deadline: float, cancel_fd: int | None = None) -> Signed | NotSigned:
        """Have the token sign. A typed or stacked PIN must lie in the secrets channel already; this order uses it up.

        May be asked again after a wrong PIN: one that the token has refused is not sent twice. CardProcessLost and
        DeadlineExceeded carry `pin_sent`: whether the card process had said that the PIN goes to the token now; if it had
        not by the deadline, no PIN is sent after it. Where
        nobody types on the reader until the deadline, the answer is PINPAD_TIMEOUT and the card process of no more use;
        so it is with PINPAD_CANCELLED, when `cancel_fd` can be read first.
        """
        return self._carried_out(sign_frame(sign_command(order)), order.way, deadline,
                                 lambda answer: _allowed(read_outcome(answer), order), cancel_fd)

    def open(self, order: OpenOrder, deadline: float, cancel_fd: int | None = None) -> TokenReport | NotSigned:
        """Log in, and read the token's certificates again: some show themselves only now. Secrets and errors as in `sign`.

        The token stays open for one `sign` with PinWay.OPENED; whatever else is asked ends that.
        """
        return self._carried_out(open_frame(target_of(order)), order.way, deadline,
                                 lambda answer: self._read_opened(answer, order, deadline), cancel_fd)

    def change_pin(self, order: ChangeOrder, deadline: float, cancel_fd: int | None = None) -> Changed | NotSigned:
        """Give the token a new PIN. Errors as in `sign`; the card's verification is ended when this returns.

        Three secrets must lie in the channel: the current PIN or the PUK, the new PIN, the new PIN again. None with
        PinWay.PINPAD: there the reader asks for all of them.
        """
        frame = change_frame(ChangeCommand(target_of(order), order.kind))
        return self._carried_out(frame, order.way, deadline, _changed, cancel_fd)

    def wait(self, present: bool, deadline: float, cancel_fd: int) -> bool:  # noqa: FBT001 - the contract of all waits
        """Wait until a token comes that was not reported last (`present`), or until all that were reported are gone.

        False at the deadline, or when `cancel_fd` can be read: then the card process is of no use any more.
        """
        with _no_pin_sent(), _lost():
            try:
                self._channel.send(wait_frame(present=present), deadline)
                if self._answered_first(deadline, cancel_fd):
                    _require(self._channel.receive(deadline), Kind.CAME)
                    return True
            except DeadlineExceeded:
                pass  # the person has taken the time that there is
            self._channel.shutdown()
            return False

    def end(self, deadline: float) -> None:
        """Have the card's verification ended, as far as the module can. Then kill the process, whatever came of it."""
        with contextlib.suppress(CardProcessLost, DeadlineExceeded), _lost():
            self._channel.send(plain(Kind.END), deadline)
            _require(self._channel.receive(deadline), Kind.ENDED)

    def fileno(self) -> int:
        """The channel's descriptor, for poll."""
        return self._channel.fileno()

    def close(self) -> None:
        """Close the channel, which ends a card process that is still able to listen."""
        self._channel.close()

    def _read_report(self, deadline: float) -> CardReport:
        builder = ReportBuilder(self._paths)
        while (report := builder.add(self._channel.receive(deadline))) is None:
            pass
        return report

    def _read_opened(self, frame: Frame, order: OpenOrder, deadline: float) -> TokenReport | NotSigned:
        if frame.type == Kind.NOT_SIGNED:
            return _closed(read_not_signed(frame))
        builder = OpenedBuilder(order.token)
        while (token := builder.add(frame)) is None:
            frame = self._channel.receive(deadline)
        return token

    def _carried_out(
        self, order: Frame, way: PinWay, deadline: float, read: Callable[[Frame], T], cancel_fd: int | None = None
    ) -> T | NotSigned:
        """What `read` makes of the answer to an order that may send a PIN."""
        pin_sent = way is PinWay.OPENED
        try:
            with _lost():
                self._channel.send(order, deadline)
                frame = self._answer(deadline, cancel_fd)
                if frame is not None and frame.type == Kind.PIN_SENT:
                    require_plain(frame)
                    pin_sent = True
                    frame = self._answer(deadline, cancel_fd)
                return read(frame) if frame is not None else NotSigned(CardFailure.PINPAD_CANCELLED)
        except (CardProcessLost, DeadlineExceeded) as error:
            if way is PinWay.PINPAD and pin_sent and isinstance(error, DeadlineExceeded):
                self._channel.shutdown()
                return NotSigned(CardFailure.PINPAD_TIMEOUT)
            error.pin_sent = pin_sent or (isinstance(error, DeadlineExceeded) and self._sends_meanwhile())
            raise

    def _sends_meanwhile(self) -> bool:
        """Whether the PIN goes to the token, though the card process was not heard to say so in time.

        What it has not said by now it cannot say any more; then it ends and sends nothing.
        """
        self._channel.shutdown()
        try:
            return self._channel.receive(time.monotonic() + 1).type == Kind.PIN_SENT
        except ChannelClosed:
            return False
        except (ProtocolError, DeadlineExceeded):
            return True

    def _answer(self, deadline: float, cancel_fd: int | None) -> Frame | None:
        """The next frame; None where somebody cancels first, and then the card process is of no more use."""
        if cancel_fd is None or self._answered_first(deadline, cancel_fd) or time.monotonic() >= deadline:
            return self._channel.receive(deadline)
        self._channel.shutdown()
        return None

    def _answered_first(self, deadline: float, cancel_fd: int) -> bool:
        """Whether the card process says something before the deadline and before somebody cancels."""
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        poller.register(cancel_fd, select.POLLIN)
        ready = {descriptor for descriptor, _events in poller.poll(max(0.0, deadline - time.monotonic()) * 1000)}
        return cancel_fd not in ready and self._channel.fileno() in ready


def _allowed(outcome: Signature | NotSigned, order: SignOrder) -> Signed | NotSigned:
    if isinstance(outcome, NotSigned):
        return _closed(outcome)
    if outcome.candidate >= len(order.candidates):
        raise ProtocolError(f"card message is malformed: signed for candidate {outcome.candidate}, which nobody named")
    candidate = order.candidates[outcome.candidate]
    if all(outcome.mechanism != choice.mechanism for choice in candidate.choices):
        raise ProtocolError(f"card message is malformed: signed with {outcome.mechanism}, which nobody named")
    return Signed(candidate.certificate.ref, outcome.mechanism, outcome.signature)


def _changed(frame: Frame) -> Changed | NotSigned:
    if frame.type == Kind.NOT_SIGNED:
        return _closed(read_not_signed(frame))
    _require(frame, Kind.CHANGED)
    return Changed()


def _closed(outcome: NotSigned) -> NotSigned:
    return NotSigned(outcome.failure, closed(outcome.detail))


def _require(frame: Frame, kind: Kind) -> None:
    if frame.type != kind:
        raise ProtocolError(f"card message is malformed: type {frame.type:#x} in place of {kind.name}")
    require_plain(frame)


def _failed(frame: Frame) -> CardProcessLost:
    kind, detail = read_failed(frame)
    if kind == "isolation":
        return CardIsolationFailed(f"the card process cannot be isolated: {detail}")
    return CardProcessLost(f"the card process cannot work: {detail}")


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    """Whatever breaks the protocol means that the card process is lost."""
    try:
        yield
    except ProtocolError as error:
        raise CardProcessLost(f"the card process is lost: {error}") from error


@contextlib.contextmanager
def _no_pin_sent() -> Iterator[None]:
    """What fails here fails before the card process was given an order that needs a PIN."""
    try:
        yield
    except (CardProcessLost, DeadlineExceeded) as error:
        error.pin_sent = False
        raise


class StartedCardProcess(StartedChild[CardClient]):
    """A card process of one's own, with the channel for PINs."""

    def __init__(self, pid: int, client: CardClient, secrets: socket.socket) -> None:
        super().__init__(pid, client)
        self._secrets = secrets

    def send_pin(self, pin: bytes) -> None:
        """Put one PIN into the secrets channel, for the next SIGN order. ValueError unless it has 1 to 512 bytes."""
        if not 0 < len(pin) <= MAX_SECRET:
            raise ValueError(f"a PIN has 1 to {MAX_SECRET} bytes")
        self._secrets.sendall(len(pin).to_bytes(4, "big") + pin)

    def kill(self) -> None:
        """Kill the process and bury it; a second time does nothing."""
        self._secrets.close()
        super().kill()


def start_card_process(worker_path: str) -> StartedCardProcess:
    """Start `worker_path card` with a secrets channel and a card channel; OSError if it cannot be started."""
    secrets, secrets_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel, channel_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with secrets_there, channel_there:
        try:
            pid = start_child(worker_path, "card", (secrets_there.fileno(), channel_there.fileno()))
        except OSError:
            secrets.close()
            channel.close()
            raise
    return StartedCardProcess(pid, CardClient(channel), secrets)
