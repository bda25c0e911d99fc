# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages between the verifier and the program runner, and their bounds (docs/protocol.md, "Program channel").

Both ends check what arrives. What a program wrote goes through as bytes that nobody has looked at.
"""

from __future__ import annotations

import enum
import struct

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import record

PROGRAMS_PAYLOAD_MAX = 512 * 1024
LINE_MAX = 256 * 1024
"""Bytes of the line that a program is given."""
ANSWER_MAX = 64 * 1024
"""Bytes that a program may answer."""
PROGRAMS_MAX = 32
ARGUMENTS_MAX = 64
WHY_MAX = 200

_U32 = struct.Struct(">I")
_RUN = struct.Struct(">II")
_KEEP = 0xFFFFFFFF


class Kind(enum.IntEnum):
    """The types of the program channel."""

    SETUP = 0x01
    RUN = 0x02
    READY = 0x81
    ANSWER = 0x82
    FAILED = 0x83
    UNUSABLE = 0x84


class Failure(enum.IntEnum):
    """How a program failed to answer."""

    FAILED = 1
    TIMEOUT = 2
    TOO_MUCH = 3


@record
class ProgramAccount:
    """Who the runner and its programs become."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@record
class Setup:
    """All the programs there are, and their account. None: they stay who the caller is, who has no privilege."""

    account: ProgramAccount | None
    programs: tuple[tuple[str, ...], ...]


@record
class Run:
    """Run program `number`, give it the line, wait `timeout_ms`."""

    number: int
    timeout_ms: int
    line: bytes


@record
class Answered:
    """What a program that ended with status 0 wrote."""

    output: bytes


@record
class NotAnswered:
    """Why a program gave no answer. Never quotes the program."""

    failure: Failure
    why: str


@record
class Unusable:
    """The runner can run nothing."""

    why: str


@record
class Ready:
    """The runner has given up what privilege it had."""


Answer = Answered | NotAnswered | Unusable | Ready


def setup_frame(setup: Setup) -> Frame:
    """Encode SETUP."""
    account = setup.account
    ids = (_KEEP, _KEEP) if account is None else (account.uid, account.gid, *account.groups)
    programs = ("\0".join(argv).encode("utf-8", "surrogateescape") for argv in setup.programs)
    return Frame(Kind.SETUP, (b"".join(_U32.pack(each) for each in ids), *programs))


def read_setup(frame: Frame) -> Setup:
    """Decode SETUP; ProtocolError for anything else, also for uid or gid 0."""
    if frame.type != Kind.SETUP or not 2 <= len(frame.fields) <= 1 + PROGRAMS_MAX:
        raise _malformed("expected SETUP with 1 to 32 programs")
    ids, *programs = frame.fields
    if len(ids) < 2 * _U32.size or len(ids) % _U32.size:
        raise _malformed("ids")
    uid, gid, *groups = (number for (number,) in _U32.iter_unpack(ids))
    account = None if uid == _KEEP else ProgramAccount(uid, gid, tuple(groups))
    if account is not None and (0 in (uid, gid, *groups) or gid == _KEEP):
        raise _malformed("a program would have root's uid or group")
    return Setup(account, tuple(_argv(each) for each in programs))


def _argv(field: bytes) -> tuple[str, ...]:
    argv = tuple(field.decode("utf-8", "surrogateescape").split("\0"))
    if not argv[0].startswith("/") or len(argv) > ARGUMENTS_MAX:
        raise _malformed("a program has no absolute path, or too many arguments")
    return argv


def run_frame(run: Run) -> Frame:
    """Encode RUN."""
    return Frame(Kind.RUN, (_RUN.pack(run.number, run.timeout_ms), run.line))


def read_run(frame: Frame, programs: int) -> Run:
    """Decode RUN for one of so many programs; ProtocolError for anything else."""
    if frame.type != Kind.RUN or len(frame.fields) != 2 or len(frame.fields[0]) != _RUN.size:
        raise _malformed("expected RUN")
    number, timeout_ms = _RUN.unpack(frame.fields[0])
    line = frame.fields[1]
    if number >= programs or len(line) > LINE_MAX:
        raise _malformed("there is no such program, or the line is too long")
    return Run(number, timeout_ms, line)


def answer_frame(answer: Answer) -> Frame:
    """Encode what the runner says."""
    match answer:
        case Ready():
            return Frame(Kind.READY, ())
        case Answered(output):
            return Frame(Kind.ANSWER, (output,))
        case NotAnswered(failure, why):
            return Frame(Kind.FAILED, (bytes([failure]), _why(why)))
        case Unusable(why):
            return Frame(Kind.UNUSABLE, (_why(why),))


def read_answer(frame: Frame) -> Answer:
    """Decode what the runner says; ProtocolError for anything else."""
    match frame:
        case Frame(Kind.READY, ()):
            return Ready()
        case Frame(Kind.ANSWER, (output,)) if len(output) <= ANSWER_MAX:
            return Answered(output)
        case Frame(Kind.FAILED, (failure, why)) if len(failure) == 1 and failure[0] in tuple(Failure):
            return NotAnswered(Failure(failure[0]), _text(why))
        case Frame(Kind.UNUSABLE, (why,)):
            return Unusable(_text(why))
    raise _malformed(f"type {frame.type:#x} with {len(frame.fields)} fields")


def _why(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:WHY_MAX]


def _text(field: bytes) -> str:
    text = field[:WHY_MAX].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "?" for each in text)


def _malformed(what: str) -> ProtocolError:
    return ProtocolError(f"program message is malformed: {what}")
