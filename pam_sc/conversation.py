# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the frames channel (docs/protocol.md): the request, prompts, messages, log lines, the verdict.

It never sees an answer to a PIN prompt: the shim sends that to the card process, and says here only that there was one.
"""

from __future__ import annotations

import enum
import socket
import struct
import time

from pam_sc.decision.evidence import Answer, Request
from pam_sc.decision.reasons import PamCode, Severity
from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.frames import Channel, Frame
from pam_sc.record import record

PROTOCOL_VERSION = 2
ARGUMENTS_MAX = 768
TEXT_MAX = 512
ANSWER_S = 120.0
VERDICT_RESERVE_S = 1.0
_U32 = struct.Struct(">I")
_IDS = struct.Struct(">6I")


class FrameType(enum.IntEnum):
    """The types of the frames channel."""

    REQUEST = 0x01
    ANSWER = 0x02
    PROMPT = 0x10
    MESSAGE = 0x11
    LOG = 0x12
    VERDICT = 0x13


class Function(enum.IntEnum):
    """The PAM functions for which the shim starts processes."""

    AUTHENTICATE = 1
    CHAUTHTOK = 2


class Option(enum.IntFlag):
    """Module arguments that change what the verifier does."""

    DEBUG = 1
    QUIET = 2
    TRY_FIRST_PASS = 4
    USE_FIRST_PASS = 8


class OptionalProcess(enum.Enum):
    """The processes that a login starts only where it needs them; the byte that says so on the control channel."""

    NETWORK = b"N"
    HOMES = b"R"
    PROGRAMS = b"P"
    DIRECTORY = b"D"


class Style(enum.IntEnum):
    """How an answer is got."""

    SECRET = 1
    ECHOED = 2
    STACKED = 3


class MessageKind(enum.IntEnum):
    """What a message to the person is."""

    INFORMATION = 1
    ERROR = 2


_ANSWERS = {
    1: Answer.ANSWERED,
    2: Answer.EMPTY,
    3: Answer.NOT_GIVEN,
    4: Answer.FAILED,
    5: Answer.AGAIN,
    6: Answer.TOO_LONG,
    7: Answer.NOT_STACKED,
}


@record(kw_only=True)
class ShimRequest:
    """The REQUEST frame: what is asked, and how the module was configured in the PAM stack."""

    request: Request
    nonce: bytes
    function: Function
    options: Option
    config_path: str
    machine_time_s: int
    arguments: tuple[str, ...] = ()
    """Those of pam_pkcs11, as they stand in the PAM line."""


class MachineClock:
    """The machine's time budget on CLOCK_MONOTONIC: it stands still while a person types.

    The shim and the supervisor end everything when the budget is over. `deadline` comes a little earlier, so that the
    verifier can still say why.
    """

    def __init__(self, seconds: float, gone: float = 0.0) -> None:
        """Start with this much time, some of which may be gone already."""
        self._end = time.monotonic() + seconds - gone
        self._reserve = min(VERDICT_RESERVE_S, seconds / 4)

    @property
    def deadline(self) -> float:
        """Until when work may go on."""
        return self._end - self._reserve

    @property
    def last_word(self) -> float:
        """Until when the verdict must be out."""
        return self._end

    def pause(self, seconds: float) -> None:
        """Give back time that was a person's."""
        self._end += seconds


def read_request(channel: Channel, deadline: float) -> ShimRequest:
    """Return the REQUEST, or raise ProtocolError."""
    frame = channel.receive(deadline)
    if frame.type != FrameType.REQUEST or len(frame.fields) != 15:
        raise ProtocolError(f"expected a REQUEST with 15 fields, got type {frame.type:#x} with {len(frame.fields)}")
    version, nonce, function, _flags, service, account, rhost, ruser, tty, ids, secure, options, path, time_s, words = (
        frame.fields
    )
    if _number(version) != PROTOCOL_VERSION or len(nonce) != 32 or len(ids) != _IDS.size or len(secure) != 1:
        raise ProtocolError("the REQUEST is malformed: version, nonce, ids or at_secure")
    real, effective, saved, *_gids = _IDS.unpack(ids)
    return ShimRequest(
        request=Request(
            service=_text(service),
            account=_text(account) or None,
            rhost=_text(rhost) or None,
            ruser=_text(ruser) or None,
            tty=_text(tty) or None,
            real_uid=real,
            effective_uid=effective,
            saved_uid=saved,
            at_secure=secure != b"\0",
        ),
        nonce=nonce,
        function=_function(function),
        options=Option(_number(options) & int(Option.DEBUG | Option.QUIET | Option.TRY_FIRST_PASS | Option.USE_FIRST_PASS)),
        config_path=_text(path),
        machine_time_s=_number(time_s),
        arguments=_arguments(words),
    )


def _function(field: bytes) -> Function:
    try:
        return Function(int.from_bytes(field, "big"))
    except ValueError as error:
        raise ProtocolError(f"the REQUEST is malformed: function {field!r} is unknown") from error


def _arguments(field: bytes) -> tuple[str, ...]:
    if len(field) > ARGUMENTS_MAX:
        raise ProtocolError(f"the REQUEST is malformed: the arguments have {len(field)} bytes")
    return tuple(_text(field).split("\n")) if field else ()


def _number(field: bytes) -> int:
    if len(field) != _U32.size:
        raise ProtocolError(f"the REQUEST is malformed: a number has {len(field)} bytes, expected {_U32.size}")
    return int(_U32.unpack(field)[0])


def _text(field: bytes) -> str:
    try:
        text = field.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("the REQUEST is malformed: a text is not UTF-8") from error
    if "\0" in text:
        raise ProtocolError("the REQUEST is malformed: a text holds NUL")
    return text


def clean(text: str, longest: int = TEXT_MAX) -> str:
    """Return the text without control characters, at most `longest` bytes of UTF-8. The shim cleans once more."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable.encode("utf-8", "replace")[:longest].decode("utf-8", "ignore")


class Conversation:
    """The person and the log, as the shim lets the verifier reach them; and the verdict at the end."""

    def __init__(self, channel: Channel, control: socket.socket, asked: ShimRequest, clock: MachineClock) -> None:
        self._channel = channel
        self._control = control
        self._asked = asked
        self._clock = clock

    def ask_pin(self, prompt: str) -> Answer:
        """Have the person (or the stacked password, where the administrator said so) answer for the card process."""
        options = self._asked.options
        if options & Option.USE_FIRST_PASS:
            return self._prompt(Style.STACKED, "")
        if options & Option.TRY_FIRST_PASS:
            stacked = self._prompt(Style.STACKED, "")
            if stacked is not Answer.NOT_STACKED:
                return stacked
        return self._prompt(Style.SECRET, prompt)

    def _prompt(self, style: Style, text: str) -> Answer:
        started = time.monotonic()
        self._control.send(b"H")
        try:
            self._send(FrameType.PROMPT, bytes([style]), clean(text).encode())
            frame = self._channel.receive(started + ANSWER_S)
        except DeadlineExceeded:
            return Answer.TIMEOUT
        finally:
            self._clock.pause(time.monotonic() - started)
            self._control.send(b"M")
        if frame.type != FrameType.ANSWER or len(frame.fields) != 2 or len(frame.fields[0]) != 1:
            raise ProtocolError(f"expected an ANSWER with 2 fields, got type {frame.type:#x}")
        if frame.fields[1] or frame.fields[0][0] not in _ANSWERS:
            raise ProtocolError("the ANSWER is malformed: unknown status, or a text for a secret")
        return _ANSWERS[frame.fields[0][0]]

    def tell(self, kind: MessageKind, text: str) -> None:
        """Show the person a text (the shim leaves it out with PAM_SILENT and quiet)."""
        self._send(FrameType.MESSAGE, bytes([kind]), clean(text).encode())

    def log(self, severity: Severity, text: str) -> None:
        """Write one line to the system log, through the shim's pam_syslog."""
        self._send(FrameType.LOG, bytes([severity]), clean(text, 1024).encode())

    def verdict(self, account: str, code: PamCode) -> None:
        """Send the verdict and say that nothing more will come."""
        asked = self._asked
        self._send(FrameType.VERDICT, asked.nonce, bytes([asked.function]), account.encode(), bytes([code]))
        self._channel.shutdown()

    def kill_card_process(self, deadline: float) -> None:
        """Have the supervisor kill the card process and wait until it is dead and buried."""
        self._control.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            self._control.send(b"K")
            answer = self._control.recv(2)
        except TimeoutError as error:
            raise DeadlineExceeded("the supervisor did not confirm the end of the card process") from error
        except OSError as error:
            raise ChannelClosed(f"the supervisor is gone: {error.strerror}") from error
        if answer != b"k":
            raise ProtocolError(f"expected 'k' from the supervisor, got {answer!r}")

    def start(self, process: OptionalProcess) -> None:
        """Have the supervisor start a process, each once in a login and in machine time. It gives no answer.

        A process that cannot be started is seen as the end of its channel.
        """
        try:
            self._control.send(process.value)
        except OSError as error:
            raise ChannelClosed(f"the supervisor is gone: {error.strerror}") from error

    def _send(self, kind: FrameType, *fields: bytes) -> None:
        self._channel.send(Frame(kind, fields), self._clock.last_word)
