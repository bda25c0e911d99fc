# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages of the card channel, and their fields in order. Both ends use this table; neither trusts the other's.

    verifier to card process
    0x01 SETUP        run as (empty, or uid u32 and gid u32 in 8 bytes) . groups (u32 each) . number of modules (u8)
    0x02 MODULE       path . environment (name, value, ...) . allowed system calls (name, ...)
    0x03 REPORT       nothing
    0x04 SIGN         module (u32) . slot (u64) . label . manufacturer . model . serial . PIN state . candidates, each
                      (SHA-256 of the certificate . object id . public key . context login (u8) .
                      choices (mechanism, bytes, ...))
    0x05 END          nothing
    card process to verifier
    0x81 READY        nothing                                                  answers SETUP and its MODULEs
    0x82 FAILED       "isolation" or "setup" . detail                          the same; then the process ends
    0x83 HAS_MODULE   description . manufacturer . version . failure . detail  one for each module, in order
    0x84 HAS_SLOT     slot (u64) . description . manufacturer . failure . detail
    0x85 HAS_TOKEN    label . manufacturer . model . serial . flags (u8) . PIN state . PIN min (u64) . PIN max (u64) .
                      mechanisms (name, ...) . failure . detail                in the slot that came last
    0x86 HAS_CERTIFICATE  certificate . object id . label . failure . detail   on the token that came last
    0x87 REPORTED     nothing                                                  ends the answer to REPORT
    0x88 PIN_SENT     nothing                                                  the PIN goes to the token now
    0x89 SIGNED       number of the candidate (u8) . mechanism . signature     answers SIGN
    0x8a NOT_SIGNED   failure . detail                                         answers SIGN
    0x8b ENDED        nothing                                                  answers END

This module knows widths and bounds; what may follow what is the business of process.py and client.py.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

from pam_sc.card.constants import MAX_DETAIL, MAX_MODULES, MAX_OBJECT_ID, MAX_SIGNATURE
from pam_sc.card.fields import Fields, nest, u8, u32, u64
from pam_sc.card.mechanisms import MECHANISMS
from pam_sc.decision.card_report import Failure, PinState
from pam_sc.decision.evidence import CardFailure, NotSigned
from pam_sc.errors import ConfigError, ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import record

_PATH_MAX = 4096
_PUBLIC_KEY_MAX = 8 * 1024
_LIST_MAX = 64 * 1024
_NAME_MAX = 64
_HASH_SIZE = 32
MAX_CANDIDATES = 8


class Kind(enum.IntEnum):
    """The type of a frame."""

    SETUP = 0x01
    MODULE = 0x02
    REPORT = 0x03
    SIGN = 0x04
    END = 0x05
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


@record(kw_only=True)
class CandidateCommand:
    """One certificate of a SIGN: how to find it and its key again, and what its key may sign."""

    certificate_sha256: bytes
    object_id: bytes
    public_key_der: bytes
    context_login: bool
    choices: tuple[tuple[str, bytes], ...]


@record(kw_only=True)
class SignCommand:
    """A SIGN message: which token to find again, and the certificates one of whose keys is to sign, in order."""

    module: int
    slot_id: int
    label: str
    manufacturer: str
    model: str
    serial: str
    pin_state: PinState
    candidates: tuple[CandidateCommand, ...]


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


def setup_frames(modules: Sequence[ModuleSetup], run_as: RunAs | None) -> Iterator[Frame]:
    """SETUP and one MODULE for each module."""
    identity = b"" if run_as is None else u32(run_as.uid) + u32(run_as.gid)
    groups = b"" if run_as is None else b"".join(map(u32, run_as.groups))
    yield Frame(Kind.SETUP, (identity, groups, u8(len(modules))))
    for module in modules:
        variables = (part.encode() for pair in module.environment.items() for part in pair)
        allow = (name.encode() for name in module.allow)
        yield Frame(Kind.MODULE, (module.path.encode(), nest(variables), nest(allow)))


def read_setup(frame: Frame) -> tuple[RunAs | None, int]:
    """The account and the number of modules of a SETUP."""
    fields = Fields(frame.fields)
    identity, groups, count = fields.octets(8), fields.octets(_LIST_MAX), fields.number(1)
    fields.end()
    if len(identity) not in (0, 8) or len(groups) % 4 or not 0 < count <= MAX_MODULES:
        raise ProtocolError("card message is malformed: identity, groups or number of modules")
    if not identity:
        return None, count
    numbers = tuple(int.from_bytes(groups[at : at + 4], "big") for at in range(0, len(groups), 4))
    return RunAs(int.from_bytes(identity[:4], "big"), int.from_bytes(identity[4:], "big"), numbers), count


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


def sign_frame(command: SignCommand) -> Frame:
    """SIGN."""
    texts = (command.label, command.manufacturer, command.model, command.serial, command.pin_state.value)
    return Frame(Kind.SIGN, (
        u32(command.module), u64(command.slot_id), *(text.encode() for text in texts),
        nest(_candidate_field(candidate) for candidate in command.candidates),
    ))


def _candidate_field(candidate: CandidateCommand) -> bytes:
    choices = nest(part for name, content in candidate.choices for part in (name.encode(), content))
    return nest((
        candidate.certificate_sha256, candidate.object_id, candidate.public_key_der, u8(candidate.context_login), choices,
    ))


def read_sign(frame: Frame) -> SignCommand:
    """The command of a SIGN."""
    fields = Fields(frame.fields)
    command = SignCommand(
        module=fields.number(4), slot_id=fields.number(8), label=fields.text(), manufacturer=fields.text(),
        model=fields.text(), serial=fields.text(), pin_state=read_pin_state(fields),
        candidates=_read_candidates(fields.nested(_LIST_MAX)),
    )
    fields.end()
    return command


def _read_candidates(fields: Fields) -> tuple[CandidateCommand, ...]:
    candidates: list[CandidateCommand] = []
    while fields.left:
        one = fields.nested(_LIST_MAX)
        candidates.append(CandidateCommand(
            certificate_sha256=one.octets(_HASH_SIZE), object_id=one.octets(MAX_OBJECT_ID),
            public_key_der=one.octets(_PUBLIC_KEY_MAX), context_login=one.flag(),
            choices=_read_choices(one.nested(_LIST_MAX)),
        ))
        one.end()
    if not 0 < len(candidates) <= MAX_CANDIDATES:
        raise ProtocolError(f"card message is malformed: {len(candidates)} candidates, at most {MAX_CANDIDATES}")
    return tuple(candidates)


def _read_choices(fields: Fields) -> tuple[tuple[str, bytes], ...]:
    choices: list[tuple[str, bytes]] = []
    while fields.left:
        name = read_mechanism(fields)
        choices.append((name, fields.octets(_LIST_MAX)))
    return tuple(choices)


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
    """FAILED, of the kind "isolation" or "setup"."""
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
    CardFailure.TIMEOUT.value, CardFailure.TIMEOUT_AFTER_PIN.value,
}


def read_outcome(frame: Frame) -> Signature | NotSigned:
    """The answer to a SIGN. What only the verifier can find out, the card process cannot claim."""
    fields = Fields(frame.fields)
    outcome: Signature | NotSigned
    if frame.type == Kind.SIGNED:
        outcome = Signature(fields.number(1), read_mechanism(fields), fields.octets(MAX_SIGNATURE))
    else:
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
