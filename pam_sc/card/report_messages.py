# SPDX-License-Identifier: LGPL-2.1-or-later
"""A report as frames and back: the card process writes `frames_of`, the verifier reads with `ReportBuilder`.

The builder believes no order and no number: it counts everything, gives modules and certificates their places itself,
and refuses what does not fit, because what comes out of it goes on to the decision as a claim within bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pam_sc.card.constants import MAX_ATTRIBUTE, MAX_DETAIL, MAX_OBJECT_ID, MAX_OBJECTS, MAX_SLOTS
from pam_sc.card.fields import Fields, nest, u8, u64
from pam_sc.card.messages import Kind, failure_fields, read_mechanism, read_pin_state, require_plain
from pam_sc.card.sentences import closed
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    Failure,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import replace

MAX_REPORT_BYTES = 16 * 1024 * 1024
MAX_REPORT_FRAMES = 8192

_LOGIN_REQUIRED, _PROTECTED_PATH, _TO_BE_CHANGED = 1, 2, 4
_REMOVABLE, _OCCUPIED = 1, 2

_REPORTABLE = frozenset({
    Reason.CARD_SERVICE_DOWN, Reason.MODULE_UNUSABLE, Reason.NO_READER, Reason.TOKEN_HIDDEN, Reason.TOKEN_UNREADABLE,
    Reason.CERTIFICATE_UNREADABLE,
})
"""The failures that a card process may report. Every other reason is the decision's own."""


def frames_of(module: ModuleReport) -> Iterator[Frame]:
    """HAS_MODULE and everything below it."""
    texts = (module.description, module.manufacturer, module.version)
    yield Frame(Kind.HAS_MODULE, (*(text.encode() for text in texts), *failure_fields(module.failure)))
    for slot in module.slots:
        flags = _REMOVABLE * slot.removable | _OCCUPIED * slot.occupied
        yield Frame(Kind.HAS_SLOT, (u64(slot.slot_id), slot.description.encode(), slot.manufacturer.encode(), u8(flags),
                                    *failure_fields(slot.failure)))
        if slot.token is not None:
            yield from frames_of_token(slot.token)


def frames_of_token(token: TokenReport) -> Iterator[Frame]:
    """HAS_TOKEN and its HAS_CERTIFICATEs."""
    yield _token_frame(token)
    yield from map(_certificate_frame, token.certificates)


def _token_frame(token: TokenReport) -> Frame:
    flags = (_LOGIN_REQUIRED * token.login_required | _PROTECTED_PATH * token.protected_authentication_path
             | _TO_BE_CHANGED * token.to_be_changed)
    texts = (token.label, token.manufacturer, token.model, token.serial)
    return Frame(Kind.HAS_TOKEN, (
        *(text.encode() for text in texts), u8(flags), token.pin_state.value.encode(), u64(token.pin_min),
        u64(token.pin_max), nest(name.encode() for name in sorted(token.mechanisms)), *failure_fields(token.failure),
    ))


def _certificate_frame(certificate: CertificateReport) -> Frame:
    return Frame(Kind.HAS_CERTIFICATE, (certificate.der, certificate.object_id, certificate.label.encode(),
                                        *failure_fields(certificate.failure)))


class _Counter:
    """Counts what comes, and ends what does not."""

    def __init__(self) -> None:
        self._frames = 0
        self._bytes = 0

    def count(self, frame: Frame) -> None:
        """Take one more frame into account, or ProtocolError."""
        self._frames += 1
        self._bytes += sum(map(len, frame.fields))
        if self._frames > MAX_REPORT_FRAMES or self._bytes > MAX_REPORT_BYTES:
            raise ProtocolError(f"card report is too long: more than {self._frames - 1} frames or {MAX_REPORT_BYTES} bytes")


class ReportBuilder:
    """Puts a report together, frame by frame, for the modules with these paths."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._modules: list[ModuleReport] = []
        self._counter = _Counter()

    def add(self, frame: Frame) -> CardReport | None:
        """Take the next frame; the whole report once REPORTED came, None before."""
        self._counter.count(frame)
        fields = Fields(frame.fields)
        match frame.type:
            case Kind.HAS_MODULE:
                self._add_module(fields)
            case Kind.HAS_SLOT:
                self._add_slot(fields)
            case Kind.HAS_TOKEN:
                self._add_token(fields)
            case Kind.HAS_CERTIFICATE:
                self._add_certificate(fields)
            case Kind.REPORTED:
                return self._whole(frame)
            case _:
                raise ProtocolError(f"card report is malformed: a frame of type {frame.type:#x} in it")
        fields.end()
        return None

    def _whole(self, frame: Frame) -> CardReport:
        require_plain(frame)
        if len(self._modules) != len(self._paths):
            raise ProtocolError(f"card report is malformed: {len(self._modules)} of {len(self._paths)} modules")
        return CardReport(tuple(self._modules))

    def _add_module(self, fields: Fields) -> None:
        index = len(self._modules)
        if index == len(self._paths):
            raise ProtocolError("card report is malformed: a module too many")
        self._modules.append(ModuleReport(
            index=index, path=self._paths[index], description=fields.text(), manufacturer=fields.text(),
            version=fields.text(), failure=_read_failure(fields),
        ))

    def _add_slot(self, fields: Fields) -> None:
        module = self._last_module()
        slot_id, description, manufacturer, flags = fields.number(8), fields.text(), fields.text(), fields.number(1)
        slot = SlotReport(slot_id=slot_id, description=description, manufacturer=manufacturer,
                          removable=bool(flags & _REMOVABLE), occupied=bool(flags & _OCCUPIED),
                          failure=_read_failure(fields))
        if len(module.slots) == MAX_SLOTS or any(other.slot_id == slot.slot_id for other in module.slots):
            raise ProtocolError("card report is malformed: too many slots, or one twice")
        self._modules[-1] = replace(module, slots=(*module.slots, slot))

    def _add_token(self, fields: Fields) -> None:
        slot = self._last_slot()
        if slot.token is not None:
            raise ProtocolError("card report is malformed: two tokens in a slot")
        self._put_token(_read_token(fields, TokenRef(len(self._modules) - 1, slot.slot_id)))

    def _add_certificate(self, fields: Fields) -> None:
        token = self._last_slot().token
        if token is None:
            raise ProtocolError("card report is malformed: a certificate without a token")
        self._put_token(_with_certificate(token, fields))

    def _last_module(self) -> ModuleReport:
        if not self._modules:
            raise ProtocolError("card report is malformed: a slot or token without a module")
        return self._modules[-1]

    def _last_slot(self) -> SlotReport:
        slots = self._last_module().slots
        if not slots:
            raise ProtocolError("card report is malformed: a token without a slot")
        return slots[-1]

    def _put_token(self, token: TokenReport) -> None:
        module = self._last_module()
        slot = replace(module.slots[-1], token=token)
        self._modules[-1] = replace(module, slots=(*module.slots[:-1], slot))


class OpenedBuilder:
    """Puts the answer to OPEN together: the token that was reported before, with the certificates that it shows now.

    The card process has had a PIN by then, and texts of a token are logged. So the token's own texts are those that were
    reported before, and what failed is told in the closed set of words alone.
    """

    def __init__(self, reported: TokenReport) -> None:
        self._reported = reported
        self._token: TokenReport | None = None
        self._counter = _Counter()

    def add(self, frame: Frame) -> TokenReport | None:
        """Take the next frame; the whole token once OPENED came, None before."""
        self._counter.count(frame)
        fields = Fields(frame.fields)
        if frame.type == Kind.HAS_TOKEN and self._token is None:
            self._token = self._same(_read_token(fields, self._reported.ref))
        elif self._token is None:
            raise ProtocolError(f"card report is malformed: type {frame.type:#x} in place of HAS_TOKEN")
        elif frame.type == Kind.HAS_CERTIFICATE:
            self._token = _with_certificate(self._token, fields)
        elif frame.type == Kind.OPENED:
            require_plain(frame)
            return _in_closed_words(self._token)
        else:
            raise ProtocolError(f"card report is malformed: a frame of type {frame.type:#x} in it")
        fields.end()
        return None

    def _same(self, token: TokenReport) -> TokenReport:
        if _texts(token) != _texts(self._reported):
            raise ProtocolError("card report is malformed: another token than the one that was to be opened")
        return token


def _texts(token: TokenReport) -> tuple[str, ...]:
    return token.label, token.manufacturer, token.model, token.serial


def _in_closed_words(token: TokenReport) -> TokenReport:
    certificates = (replace(certificate, failure=_closed(certificate.failure)) for certificate in token.certificates)
    return replace(token, failure=_closed(token.failure), certificates=tuple(certificates))


def _closed(failure: Failure | None) -> Failure | None:
    return None if failure is None else Failure(failure.reason, closed(failure.detail))


def _with_certificate(token: TokenReport, fields: Fields) -> TokenReport:
    if len(token.certificates) == MAX_OBJECTS:
        raise ProtocolError("card report is malformed: a certificate too many")
    certificate = CertificateReport(
        ref=CertificateRef(token.ref, len(token.certificates)), der=fields.octets(MAX_ATTRIBUTE),
        object_id=fields.octets(MAX_OBJECT_ID), label=fields.text(), failure=_read_failure(fields),
    )
    return replace(token, certificates=(*token.certificates, certificate))


def _read_token(fields: Fields, ref: TokenRef) -> TokenReport:
    label, manufacturer, model, serial = (fields.text() for _ in range(4))
    flags, pin_state, pin_min, pin_max = fields.number(1), read_pin_state(fields), fields.number(8), fields.number(8)
    names = fields.nested(4096)
    mechanisms = frozenset(read_mechanism(names) for _ in range(names.left))
    return TokenReport(
        ref=ref, label=label, manufacturer=manufacturer, model=model, serial=serial,
        login_required=bool(flags & _LOGIN_REQUIRED), protected_authentication_path=bool(flags & _PROTECTED_PATH),
        to_be_changed=bool(flags & _TO_BE_CHANGED), pin_state=pin_state, pin_min=pin_min, pin_max=pin_max,
        mechanisms=mechanisms, failure=_read_failure(fields),
    )


def _read_failure(fields: Fields) -> Failure | None:
    name, detail = fields.text(), fields.text(MAX_DETAIL)
    if not name:
        return None
    for reason in _REPORTABLE:
        if reason.value == name:
            return Failure(reason, detail)
    raise ProtocolError(f"card report is malformed: a failure {name!r}")
