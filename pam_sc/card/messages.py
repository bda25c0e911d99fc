# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of the card channel, and their fields in order. Both ends use this table; neither trusts the other's.

    verifier to card process
    0x01 SETUP        run as (empty, or uid u32 and gid u32 in 8 bytes) . groups (u32 each) . number of modules (u8) .
                      PINs may be typed on the reader (u8)
    0x02 MODULE       path . environment (name, value, ...) . allowed system calls (name, ...)
    0x03 REPORT       nothing
    0x04 SIGN         target (11 fields, see orders.py) . candidates, each (SHA-256 of the certificate . object id .
                      public key . context login (u8) . choices (mechanism, bytes, ...))
    0x05 END          nothing
    0x06 OPEN         target
    0x07 WAIT         1 for a token that was not reported last, 0 for the end of all that were (u8)
    0x08 CHANGE       target . "change" or "unblock"
    0x09 WATCH        way (u8) . milliseconds between two looks (u32)          to a watcher alone, see presence.py
    card process to verifier
    0x81 READY        nothing                                                  answers SETUP and its MODULEs
    0x82 FAILED       "isolation" or "setup" . detail                          the same; then the process ends
    0x83 HAS_MODULE   description . manufacturer . version . failure . detail  one for each module, in order
    0x84 HAS_SLOT     slot (u64) . description . manufacturer . flags (u8) . failure . detail
    0x85 HAS_TOKEN    label . manufacturer . model . serial . flags (u8) . PIN state . PIN min (u64) . PIN max (u64) .
                      mechanisms (name, ...) . failure . detail                in the slot that came last
    0x86 HAS_CERTIFICATE  certificate . object id . label . failure . detail   on the token that came last
    0x87 REPORTED     nothing                                                  ends the answer to REPORT
    0x88 PIN_SENT     nothing                                                  the PIN goes to the token now
    0x89 SIGNED       number of the candidate (u8) . mechanism . signature     answers SIGN
    0x8a NOT_SIGNED   failure . detail                                         answers SIGN, OPEN and CHANGE
    0x8b ENDED        nothing                                                  answers END
    0x8c OPENED       nothing                      ends the answer to OPEN: a HAS_TOKEN and its HAS_CERTIFICATEs
    0x8d CAME         nothing                      answers WAIT; any other order before it ends the process
    0x8e CHANGED      nothing                      answers CHANGE
    0x8f LOOKING      nothing                      a watcher asks its module now, which may hang
    0x90 PRESENCE     source (u8) . places, each (key . description . occupied (u8) . changes (u64))

This module knows widths and bounds; what may follow what is the business of process.py and client.py.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

from pam_sc.card.constants import MAX_DETAIL, MAX_MODULES, MAX_SIGNATURE
from pam_sc.card.fields import Fields, nest, u8, u32
from pam_sc.card.mechanisms import MECHANISMS
from pam_sc.decision.card_report import Failure, PinState
from pam_sc.decision.possession import CardFailure, NotSigned
from pam_sc.errors import ConfigError, ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import record

_PATH_MAX = 4096
_LIST_MAX = 64 * 1024
_NAME_MAX = 64


class Kind(enum.IntEnum):
    """The type of a frame."""

    SETUP = 0x01
    MODULE = 0x02
    REPORT = 0x03
    SIGN = 0x04
    END = 0x05
    OPEN = 0x06
    WAIT = 0x07
    CHANGE = 0x08
    WATCH = 0x09
    READY = 0x81
    FAILED = 0x82
    HAS_MODULE = 0x83
    HAS_SLOT = 0x84
    HAS_TOKEN = 0x85
    HAS_CERTIFICATE = 0x86
    REPORTED = 0x87
    PIN_SENT = 0x88
    SIGNED = 0x89
    NOT_SIGNED = 0x8A
    ENDED = 0x8B
    OPENED = 0x8C
    CAME = 0x8D
    CHANGED = 0x8E
    LOOKING = 0x8F
    PRESENCE = 0x90


@record
class ModuleSetup:
    """One PKCS#11 module to load: its path, the variables that it sees, the system calls that it needs beyond the usual."""

    path: str
    environment: Mapping[str, str]
    allow: tuple[str, ...] = ()


@record
class RunAs:
    """The account that the card process becomes before it loads a module."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@record
class Signature:
    """For which candidate the token signed, with what, and the signature; not verified."""

    candidate: int
    mechanism: str
    signature: bytes


def plain(kind: Kind) -> Frame:
    """A message without fields."""
    return Frame(kind, ())


def require_plain(frame: Frame) -> None:
    """Make sure that a message has no fields."""
    Fields(frame.fields).end()


def merged_environment(modules: Sequence[ModuleSetup]) -> dict[str, str]:
    """The variables of all modules; ConfigError if two modules want one variable to differ, or one cannot be set."""
    merged: dict[str, str] = {}
    for module in modules:
        for name, value in module.environment.items():
            if not name or "=" in name or "\0" in name + value:
                raise ConfigError(f"cannot set the environment of {module.path!r}: bad variable {name!r}")
            if merged.setdefault(name, value) != value:
                raise ConfigError(f"cannot set the environment of {module.path!r}: {name} differs between modules")
    return merged


@record
class ProcessSetup:
    """A SETUP message: the account, how many modules will follow, and whether PINs may be typed on the reader."""

    run_as: RunAs | None
    modules: int
    pinpad: bool


def setup_frames(modules: Sequence[ModuleSetup], run_as: RunAs | None, *, pinpad: bool) -> Iterator[Frame]:
    """SETUP and one MODULE for each module."""
    identity = b"" if run_as is None else u32(run_as.uid) + u32(run_as.gid)
    groups = b"" if run_as is None else b"".join(map(u32, run_as.groups))
    yield Frame(Kind.SETUP, (identity, groups, u8(len(modules)), u8(pinpad)))
    for module in modules:
        variables = (part.encode() for pair in module.environment.items() for part in pair)
        allow = (name.encode() for name in module.allow)
        yield Frame(Kind.MODULE, (module.path.encode(), nest(variables), nest(allow)))


def read_setup(frame: Frame) -> ProcessSetup:
    """What a SETUP says."""
    fields = Fields(frame.fields)
    identity, groups, count, pinpad = fields.octets(8), fields.octets(_LIST_MAX), fields.number(1), fields.flag()
    fields.end()
    if len(identity) not in (0, 8) or len(groups) % 4 or not 0 < count <= MAX_MODULES:
        raise ProtocolError("card message is malformed: identity, groups or number of modules")
    if not identity:
        return ProcessSetup(None, count, pinpad)
    numbers = tuple(int.from_bytes(groups[at : at + 4], "big") for at in range(0, len(groups), 4))
    run_as = RunAs(int.from_bytes(identity[:4], "big"), int.from_bytes(identity[4:], "big"), numbers)
    return ProcessSetup(run_as, count, pinpad)


def read_module(frame: Frame) -> ModuleSetup:
    """The module of a MODULE."""
    fields = Fields(frame.fields)
    path, variables, allowed = fields.any_text(_PATH_MAX), fields.nested(_LIST_MAX), fields.nested(_LIST_MAX)
    fields.end()
    environment: dict[str, str] = {}
    while variables.left:
        name = variables.any_text(_LIST_MAX)
        environment[name] = variables.any_text(_LIST_MAX)
    return ModuleSetup(path, environment, tuple(allowed.text(_NAME_MAX) for _ in range(allowed.left)))


def read_mechanism(fields: Fields) -> str:
    """The next field as the name of a mechanism that we know."""
    name = fields.text(_NAME_MAX)
    if name not in MECHANISMS:
        raise ProtocolError(f"card message is malformed: unknown mechanism {name!r}")
    return name


def read_pin_state(fields: Fields) -> PinState:
    """The next field as a PIN state."""
    name = fields.text(_NAME_MAX)
    for state in PinState:
        if state.value == name:
            return state
    raise ProtocolError(f"card message is malformed: unknown PIN state {name!r}")


def failed_frame(kind: str, detail: str) -> Frame:
    """FAILED, of the kind "isolation" or "setup"; of a watcher also "missing" and "lost"."""
    return Frame(Kind.FAILED, (kind.encode(), detail[:MAX_DETAIL].encode()))


def read_failed(frame: Frame) -> tuple[str, str]:
    """Kind and detail of a FAILED."""
    fields = Fields(frame.fields)
    kind, detail = fields.text(_NAME_MAX), fields.text(MAX_DETAIL)
    fields.end()
    return kind, detail


def outcome_frame(outcome: Signature | NotSigned) -> Frame:
    """SIGNED or NOT_SIGNED."""
    if isinstance(outcome, Signature):
        return Frame(Kind.SIGNED, (u8(outcome.candidate), outcome.mechanism.encode(), outcome.signature))
    return Frame(Kind.NOT_SIGNED, (outcome.failure.value.encode(), outcome.detail[:MAX_DETAIL].encode()))


_SAYABLE = {failure.value for failure in CardFailure} - {
    CardFailure.PROCESS_LOST.value, CardFailure.PROCESS_LOST_AFTER_PIN.value,
    CardFailure.TIMEOUT.value, CardFailure.TIMEOUT_AFTER_PIN.value, CardFailure.PINPAD_TIMEOUT.value,
}


def read_outcome(frame: Frame) -> Signature | NotSigned:
    """The answer to a SIGN."""
    if frame.type != Kind.SIGNED:
        return read_not_signed(frame)
    fields = Fields(frame.fields)
    outcome = Signature(fields.number(1), read_mechanism(fields), fields.octets(MAX_SIGNATURE))
    fields.end()
    return outcome


def read_not_signed(frame: Frame) -> NotSigned:
    """The refusal of a NOT_SIGNED. What only the verifier can find out, the card process cannot claim."""
    fields = Fields(frame.fields)
    name = fields.text(_NAME_MAX)
    if frame.type != Kind.NOT_SIGNED or name not in _SAYABLE:
        raise ProtocolError(f"card message is malformed: type {frame.type:#x}, outcome {name!r}")
    outcome = NotSigned(CardFailure(name), fields.text(MAX_DETAIL))
    fields.end()
    return outcome


def failure_fields(failure: Failure | None) -> tuple[bytes, bytes]:
    """A failure as two fields, both empty where there is none."""
    if failure is None:
        return b"", b""
    return failure.reason.value.encode(), failure.detail[:MAX_DETAIL].encode()
