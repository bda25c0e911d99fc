# SPDX-License-Identifier: LGPL-2.1-or-later
"""The orders that need a token and perhaps a PIN, as values and as the frames that messages.py lists.

    target: module (u32) . slot (u64) . label . manufacturer . model . serial . PIN state . PIN way .
            least length (u32) . greatest length (u32) . pattern
    SIGN    target . candidates
    OPEN    target
    CHANGE  target . kind of change

No secret is part of an order: secrets lie in the secrets channel before the order comes. This module knows widths and
bounds, and never what a token says.
"""

from __future__ import annotations

import enum
from typing import TypeVar

from pam_sc.card.constants import MAX_OBJECT_ID
from pam_sc.card.fields import Fields, nest, u8, u32, u64
from pam_sc.card.messages import Kind, read_mechanism, read_pin_state
from pam_sc.decision.card_report import PinState
from pam_sc.decision.possession import PinWay
from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import record

MAX_CANDIDATES = 8
_MAX_PATTERN = 1000
_PUBLIC_KEY_MAX = 8 * 1024
_LIST_MAX = 64 * 1024
_HASH_SIZE = 32
E = TypeVar("E", bound=enum.Enum)


@record
class PinRules:
    """What a PIN must look like before any token sees it. Lengths are bytes of UTF-8; a greatest length of 0 is none.

    `pattern` is a regular expression (Python's, ASCII classes) for the whole PIN. Whoever reads it from a configuration
    has measured it with pam_sc.pattern; here it is believed.
    """

    min_length: int = 0
    max_length: int = 0
    pattern: str | None = None


class ChangeKind(enum.Enum):
    """How a PIN is replaced. The value is its name in the card protocol."""

    CHANGE = "change"
    """By the current PIN."""
    UNBLOCK = "unblock"
    """By the PUK, or whatever the card has in its place."""


@record(kw_only=True)
class Target:
    """Which token an order is for, as it was reported, and how the PIN comes to it."""

    module: int
    slot_id: int
    label: str
    manufacturer: str
    model: str
    serial: str
    pin_state: PinState
    way: PinWay = PinWay.TYPED
    rules: PinRules = PinRules()

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What the token says about itself."""
        return self.label, self.manufacturer, self.model, self.serial

    @property
    def has_secret(self) -> bool:
        """Whether a secret lies in the secrets channel for this order."""
        return self.way in (PinWay.TYPED, PinWay.STACKED)


@record(kw_only=True)
class CandidateCommand:
    """One certificate of a SIGN: how to find it and its key again, and what its key may sign."""

    certificate_sha256: bytes
    object_id: bytes
    public_key_der: bytes
    context_login: bool
    choices: tuple[tuple[str, bytes], ...]


@record
class SignCommand:
    """A SIGN message: which token to find again, and the certificates one of whose keys is to sign, in order."""

    target: Target
    candidates: tuple[CandidateCommand, ...]


@record
class ChangeCommand:
    """A CHANGE message: the token whose PIN is to be replaced, and how."""

    target: Target
    kind: ChangeKind


def sign_frame(command: SignCommand) -> Frame:
    """SIGN."""
    candidates = nest(_candidate_field(candidate) for candidate in command.candidates)
    return Frame(Kind.SIGN, (*_target_fields(command.target), candidates))


def open_frame(target: Target) -> Frame:
    """OPEN."""
    return Frame(Kind.OPEN, _target_fields(target))


def change_frame(command: ChangeCommand) -> Frame:
    """CHANGE."""
    return Frame(Kind.CHANGE, (*_target_fields(command.target), command.kind.value.encode()))


def wait_frame(*, present: bool) -> Frame:
    """WAIT."""
    return Frame(Kind.WAIT, (u8(present),))


def read_sign(frame: Frame) -> SignCommand:
    """The command of a SIGN."""
    fields = Fields(frame.fields)
    command = SignCommand(_read_target(fields), _read_candidates(fields.nested(_LIST_MAX)))
    fields.end()
    return command


def read_open(frame: Frame) -> Target:
    """The token of an OPEN."""
    fields = Fields(frame.fields)
    target = _read_target(fields)
    fields.end()
    if target.way is PinWay.OPENED:
        raise ProtocolError("card order is malformed: to open what is open")
    return target


def read_change(frame: Frame) -> ChangeCommand:
    """The command of a CHANGE."""
    fields = Fields(frame.fields)
    command = ChangeCommand(_read_target(fields), _read_enum(fields, ChangeKind))
    fields.end()
    if command.target.way in (PinWay.OPENED, PinWay.NONE):
        raise ProtocolError("card order is malformed: to change a PIN without one")
    return command


def read_wait(frame: Frame) -> bool:
    """Whether a WAIT is for a token to come; else it is for those that were reported to go."""
    fields = Fields(frame.fields)
    present = fields.flag()
    fields.end()
    return present


def _target_fields(target: Target) -> tuple[bytes, ...]:
    texts = (*target.identity, target.pin_state.value, target.way.value)
    rules = target.rules
    return (u32(target.module), u64(target.slot_id), *(text.encode() for text in texts),
            u32(rules.min_length), u32(rules.max_length), (rules.pattern or "").encode())


def _read_target(fields: Fields) -> Target:
    return Target(
        module=fields.number(4), slot_id=fields.number(8), label=fields.text(), manufacturer=fields.text(),
        model=fields.text(), serial=fields.text(), pin_state=read_pin_state(fields), way=_read_enum(fields, PinWay),
        rules=PinRules(fields.number(4), fields.number(4), fields.any_text(4 * _MAX_PATTERN) or None),
    )


def _read_enum(fields: Fields, kind: type[E]) -> E:
    name = fields.text()
    for member in kind:
        if member.value == name:
            return member
    raise ProtocolError(f"card order is malformed: unknown {kind.__name__} {name!r}")


def _candidate_field(candidate: CandidateCommand) -> bytes:
    choices = nest(part for name, content in candidate.choices for part in (name.encode(), content))
    return nest((
        candidate.certificate_sha256, candidate.object_id, candidate.public_key_der, u8(candidate.context_login), choices,
    ))


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
