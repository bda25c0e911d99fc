# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the frames channel (docs/protocol.md): the request, prompts, messages, log lines, the verdict.

It never sees an answer to a PIN prompt: the shim sends that to the card process, and says here only that there was one.
"""

from __future__ import annotations

import enum
import socket
import struct
import time
from collections.abc import Callable, Sequence

from pam_sc.decision.possession import Answer
from pam_sc.decision.reasons import PamCode, Severity
from pam_sc.decision.request import Request
from pam_sc.errors import ChannelClosed, DeadlineExceeded, ProtocolError
from pam_sc.frames import Channel, Frame
from pam_sc.record import record

PROTOCOL_VERSION = 3
ARGUMENTS_MAX = 768
TEXT_MAX = 512
ANSWER_S = 120.0
WAITED_S = 5.0
VERDICT_RESERVE_S = 1.0
REQUEST_S = 300.0 - VERDICT_RESERVE_S
"""The time of a whole request, a person's among it, as the shim counts it, less what the last word needs."""
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
    CHOICE = 0x14
    WAIT = 0x15
    WAITED = 0x16
    FACT = 0x17


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
    FORWARD_PIN = 16


class PamFlag(enum.IntFlag):
    """The flags of a PAM call that change what the verifier does (security/_pam_types.h)."""

    DISALLOW_NULL_AUTHTOK = 0x1
    CHANGE_EXPIRED = 0x20
    PRELIM_CHECK = 0x4000
    UPDATE = 0x2000
    SILENT = 0x8000


class Extension(enum.IntFlag):
    """What the host can show beyond PAM's four kinds of message."""

    CHOICE_LIST = 1


class Fact(enum.IntEnum):
    """What a granted verdict leaves with the shim, which does it only then."""

    VARIABLE = 1
    """A variable of the PAM environment, out of a closed list (docs/protocol.md)."""
    SESSION_CARD = 2
    """What `open_session` writes into the file of the session, as it stands."""
    PIN_TO_BE_CHANGED = 3
    """acct_mgmt answers PAM_NEW_AUTHTOK_REQD."""


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
    8: Answer.WAITED,
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
    flags: PamFlag = PamFlag(0)
    language: str = ""
    """The host's LC_MESSAGES, as setlocale names it."""
    login_token: str = ""
    """PKCS11_LOGIN_TOKEN_NAME as a display manager says it, in the handle or as root; never what a person's shell says."""
    extensions: Extension = Extension(0)


class MachineClock:
    """The machine's time budget on CLOCK_MONOTONIC: it stands still while a person types.

    The shim and the supervisor end everything when the budget is over. `deadline` comes a little earlier, so that the
    verifier can still say why.
    """

    def __init__(self, seconds: float, gone: float = 0.0) -> None:
        """Start with this much time, some of which may be gone already."""
        self._end = time.monotonic() + seconds - gone
        self._request_end = time.monotonic() + REQUEST_S - gone
        self._reserve = min(VERDICT_RESERVE_S, seconds / 4)

    @property
    def deadline(self) -> float:
        """Until when work may go on."""
        return self.last_word - self._reserve

    @property
    def last_word(self) -> float:
        """Until when the verdict must be out."""
        return min(self._end, self._request_end)

    def person(self, seconds: float) -> float:
        """Until when a person may take who has this much time from now on."""
        return min(time.monotonic() + seconds, self._request_end - self._reserve)

    def pause(self, seconds: float) -> None:
        """Give back time that was a person's."""
        self._end += seconds


def read_request(channel: Channel, deadline: float) -> ShimRequest:
    """Return the REQUEST, or raise ProtocolError."""
    frame = channel.receive(deadline)
    if frame.type != FrameType.REQUEST or len(frame.fields) != 18:
        raise ProtocolError(f"expected a REQUEST with 18 fields, got type {frame.type:#x} with {len(frame.fields)}")
    (version, nonce, function, flags, service, account, rhost, ruser, tty, ids, secure, options, path, time_s, words,
     language, login_token, extensions) = frame.fields
    if _number(version) != PROTOCOL_VERSION or len(nonce) != 32 or len(ids) != _IDS.size or len(secure) != 1:
        raise ProtocolError("the REQUEST is malformed: version, nonce, ids or at_secure")
    real, effective, saved, *_gids = _IDS.unpack(ids)
    option, flag = Option(_known(options, Option)), PamFlag(_known(flags, PamFlag))
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
            try_first_pass=Option.TRY_FIRST_PASS in option,
            use_first_pass=Option.USE_FIRST_PASS in option,
            disallow_null=PamFlag.DISALLOW_NULL_AUTHTOK in flag,
        ),
        nonce=nonce,
        function=_function(function),
        options=option,
        config_path=_text(path),
        machine_time_s=_number(time_s),
        arguments=_arguments(words),
        flags=flag,
        language=_text(language),
        login_token=_text(login_token),
        extensions=Extension(_known(extensions, Extension)),
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


def _known(field: bytes, kind: type[enum.IntFlag]) -> int:
    return _number(field) & sum(kind)


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


def _read_answer(frame: Frame, *, visible: bool) -> tuple[Answer, str]:
    if frame.type != FrameType.ANSWER or len(frame.fields) != 2 or len(frame.fields[0]) != 1:
        raise ProtocolError(f"expected an ANSWER with 2 fields, got type {frame.type:#x}")
    status, text = frame.fields
    if status[0] not in _ANSWERS or (text and not visible):
        raise ProtocolError("the ANSWER is malformed: unknown status, or a text for a secret")
    return _ANSWERS[status[0]], _text(text)


class Conversation:
    """The person and the log, as the shim lets the verifier reach them; and the verdict at the end."""

    def __init__(self, channel: Channel, control: socket.socket, asked: ShimRequest, clock: MachineClock) -> None:
        self._channel = channel
        self._control = control
        self._asked = asked
        self._clock = clock

    def ask_secret(self, prompt: str) -> Answer:
        """Have the person type a secret for the card process; learn only how it went."""
        return self._prompt(Style.SECRET, prompt)

    def take_stacked(self) -> Answer:
        """Hand PAM_AUTHTOK, as an earlier module left it, to the card process. Nobody is asked."""
        return self._prompt(Style.STACKED, "")

    def _prompt(self, style: Style, text: str) -> Answer:
        return self._answered(FrameType.PROMPT, bytes([style]), clean(text).encode())[0]

    def ask_visibly(self, prompt: str) -> tuple[Answer, str]:
        """Ask for something that is no secret, echoed; the text is "" unless the answer is ANSWERED."""
        return self._answered(FrameType.PROMPT, bytes([Style.ECHOED]), clean(prompt).encode())

    def ask_choice(self, prompt: str, choices: Sequence[tuple[str, str]]) -> tuple[Answer, str]:
        """Show a list (key, text) in the host's own way (Extension.CHOICE_LIST) and return the key that was chosen."""
        texts = [each for key, text in choices for each in (key.encode(), clean(text).encode())]
        listed = b"".join(_U32.pack(len(each)) + each for each in texts)
        return self._answered(FrameType.CHOICE, clean(prompt).encode(), listed)

    def _answered(self, kind: FrameType, *fields: bytes) -> tuple[Answer, str]:
        """Send what a person answers, in human time, and return the answer. A text only where it is no secret."""
        started = time.monotonic()
        self._control.send(b"H")
        try:
            self._send(kind, *fields)
            frame = self._channel.receive(self._clock.person(ANSWER_S))
        except DeadlineExceeded:
            return Answer.TIMEOUT, ""
        finally:
            self._clock.pause(time.monotonic() - started)
            self._control.send(b"M")
        visible = kind is FrameType.CHOICE or fields[0] == bytes([Style.ECHOED])
        return _read_answer(frame, visible=visible)

    def wait(self, text: str, until: Callable[[float, int], bool], limit_s: float) -> Answer:
        """Show a text and let `until(deadline, descriptor)` wait for the card in human time.

        `until` says whether what it waited for has come. It stops at the deadline, and as soon as the descriptor can be
        read: then the person has cancelled. Answer.WAITED if it has come, NOT_GIVEN if cancelled, TIMEOUT if the time is
        over. DeadlineExceeded and CardProcessLost of `until` go through.
        """
        started = time.monotonic()
        self._control.send(b"W")
        try:
            self._send(FrameType.WAIT, clean(text).encode())
            came = until(self._clock.person(limit_s), self._channel.fileno())
            shown_until = time.monotonic() + WAITED_S  # the machine's time still stands as it did before the wait
            self._channel.send(Frame(FrameType.WAITED, ()), shown_until)
            answer, _text = _read_answer(self._channel.receive(shown_until), visible=False)
        finally:
            self._clock.pause(time.monotonic() - started)
            self._control.send(b"M")
        if answer is not Answer.WAITED:
            return answer
        return Answer.WAITED if came else Answer.TIMEOUT

    def leave(self, fact: Fact, name: str = "", value: str = "") -> None:
        """Leave something with the shim for the case that the verdict grants."""
        self._send(FrameType.FACT, bytes([fact]), name.encode(), value.encode())

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
