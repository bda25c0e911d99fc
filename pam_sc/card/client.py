# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the card channel: orders out, answers in, each answer within its bounds or not at all.

The card process runs the PKCS#11 module and is not believed: whatever it says is a claim, and whatever it says out of
turn is CardProcessLost. This module never imports PyKCS11. In a login it sees no PIN and starts nothing; only the
command line, where no supervisor does it, starts a card process here and hands it a PIN.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

from pam_sc.card.constants import MAX_MODULES, MAX_SECRET
from pam_sc.card.messages import (
    MAX_CANDIDATES,
    CandidateCommand,
    Kind,
    ModuleSetup,
    RunAs,
    Signature,
    SignCommand,
    merged_environment,
    plain,
    read_failed,
    read_outcome,
    require_plain,
    setup_frames,
    sign_frame,
)
from pam_sc.card.report_messages import ReportBuilder
from pam_sc.card.sentences import closed
from pam_sc.children import StartedChild, start_child
from pam_sc.decision.card_report import CardReport, CertificateReport, TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import NotSigned, PinWay, Signed
from pam_sc.errors import (
    CardIsolationFailed,
    CardProcessLost,
    ChannelClosed,
    ConfigError,
    DeadlineExceeded,
    ProtocolError,
)
from pam_sc.frames import CARD_PAYLOAD_MAX, Channel, Frame
from pam_sc.record import record

__all__ = ["Candidate", "CardClient", "ModuleSetup", "RunAs", "SignOrder", "StartedCardProcess", "start_card_process"]


@record(kw_only=True)
class Candidate:
    """A certificate whose key may sign. `choices` are tried in order until C_SignInit takes one.

    `context_login`: the certificate has digitalSignature, so a key that wants a PIN for each signature may get it.
    """

    certificate: CertificateReport
    public_key_der: bytes
    choices: tuple[SigningChoice, ...]
    context_login: bool


@record(kw_only=True)
class PinRules:
    """[pin]: what a PIN must look like before a token sees it."""

    min_length: int = 0
    max_length: int = 0
    pattern: str | None = None


@record(kw_only=True)
class SignOrder:
    """One login to a token, after which the first candidate with a usable key signs. The first 8 candidates count."""

    token: TokenReport
    candidates: tuple[Candidate, ...]
    way: PinWay = PinWay.TYPED
    rules: PinRules = PinRules()


@record(kw_only=True)
class OpenOrder:
    """One login to a token that shows no certificate before."""

    token: TokenReport
    way: PinWay = PinWay.TYPED
    rules: PinRules = PinRules()


class CardClient:
    """One card process, as the verifier sees it. Deadlines are on time.monotonic."""

    def __init__(self, sock: socket.socket) -> None:
        self._channel = Channel(sock, CARD_PAYLOAD_MAX)
        self._paths: tuple[str, ...] = ()

    def set_up(self, modules: Sequence[ModuleSetup], run_as: RunAs | None, deadline: float) -> None:
        """Have the card process become the account, enter its sandbox, load the modules and read what they show.

        Does not wait for it: `report` does, so the caller has other work done meanwhile. ConfigError if the modules'
        settings contradict each other.
        """
        merged_environment(modules)
        if not 0 < len(modules) <= MAX_MODULES:
            raise ConfigError(f"cannot use {len(modules)} PKCS#11 modules: at least 1, at most {MAX_MODULES}")
        self._paths = tuple(module.path for module in modules)
        # a process that has ended already may have said why; `report` reads that
        with _no_pin_sent(), _lost(), contextlib.suppress(ChannelClosed):
            for frame in (*setup_frames(modules, run_as), plain(Kind.REPORT)):
                self._channel.send(frame, deadline)

    def report(self, deadline: float) -> CardReport:
        """Return all that the modules show without a login. CardIsolationFailed if the sandbox could not be set."""
        builder = ReportBuilder(self._paths)
        with _no_pin_sent(), _lost():
            frame = self._channel.receive(deadline)
            if frame.type == Kind.FAILED:
                raise _failed(frame)
            _require(frame, Kind.READY)
            while (report := builder.add(self._channel.receive(deadline))) is None:
                pass
            return report

    def sign(self, order: SignOrder, deadline: float) -> Signed | NotSigned:
        """Have the token sign. The PIN must lie in the secrets channel already; this order uses it up.

        CardProcessLost and DeadlineExceeded carry `pin_sent`: whether the card process had said that the PIN goes to
        the token now.
        """
        pin_sent = False
        try:
            with _lost():
                self._channel.send(sign_frame(_command(order)), deadline)
                frame = self._channel.receive(deadline)
                if frame.type == Kind.PIN_SENT:
                    require_plain(frame)
                    pin_sent = True
                    frame = self._channel.receive(deadline)
                return _allowed(read_outcome(frame), order)
        except (CardProcessLost, DeadlineExceeded) as error:
            error.pin_sent = pin_sent
            raise

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


def _command(order: SignOrder) -> SignCommand:
    token = order.token
    return SignCommand(
        module=token.ref.module, slot_id=token.ref.slot_id, label=token.label, manufacturer=token.manufacturer,
        model=token.model, serial=token.serial, pin_state=token.pin_state,
        candidates=tuple(_candidate_command(candidate) for candidate in order.candidates[:MAX_CANDIDATES]),
    )


def _candidate_command(candidate: Candidate) -> CandidateCommand:
    return CandidateCommand(
        certificate_sha256=sha256(candidate.certificate.der),
        object_id=candidate.certificate.object_id, public_key_der=candidate.public_key_der,
        context_login=candidate.context_login,
        choices=tuple((choice.mechanism, choice.data) for choice in candidate.choices),
    )


def _allowed(outcome: Signature | NotSigned, order: SignOrder) -> Signed | NotSigned:
    if isinstance(outcome, NotSigned):
        return NotSigned(outcome.failure, closed(outcome.detail))
    if outcome.candidate >= len(order.candidates):
        raise ProtocolError(f"card message is malformed: signed for candidate {outcome.candidate}, which nobody named")
    candidate = order.candidates[outcome.candidate]
    if all(outcome.mechanism != choice.mechanism for choice in candidate.choices):
        raise ProtocolError(f"card message is malformed: signed with {outcome.mechanism}, which nobody named")
    return Signed(candidate.certificate.ref, outcome.mechanism, outcome.signature)


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
