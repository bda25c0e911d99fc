# SPDX-License-Identifier: LGPL-2.1-or-later
"""A report arrives as it was sent; frames that make no report are an error of the protocol."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pam_sc.card.constants import MAX_OBJECTS, MAX_SLOTS
from pam_sc.card.messages import Kind, plain
from pam_sc.card.report_messages import MAX_REPORT_FRAMES, ReportBuilder, frames_of
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    Failure,
    ModuleReport,
    PinState,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ProtocolError
from pam_sc.frames import CARD_PAYLOAD_MAX, Frame, encode
from pam_sc.record import replace

REF = TokenRef(0, 5)
CERTIFICATES = (
    CertificateReport(ref=CertificateRef(REF, 0), der=b"x" * 65536, object_id=b"\x01", label="one"),
    CertificateReport(ref=CertificateRef(REF, 1), der=b"", failure=Failure(Reason.CERTIFICATE_UNREADABLE, "why")),
)
TOKEN = TokenReport(
    ref=REF, label="l", manufacturer="m", model="o", serial="s", login_required=False, protected_authentication_path=True,
    to_be_changed=True, pin_state=PinState.FINAL_TRY, pin_min=4, pin_max=2**64 - 1,
    mechanisms=frozenset({"CKM_ECDSA", "CKM_EDDSA"}), certificates=CERTIFICATES,
    failure=Failure(Reason.TOKEN_UNREADABLE, "C_FindObjects"),
)
SLOTS = (
    SlotReport(slot_id=5, description="Reader", manufacturer="Maker", token=TOKEN),
    SlotReport(slot_id=2**64 - 1, failure=Failure(Reason.TOKEN_UNREADABLE, "C_GetSlotInfo")),
    SlotReport(slot_id=0),
)
MODULES = (
    ModuleReport(index=0, path="/a.so", description="d", manufacturer="m", version="2.6", slots=SLOTS),
    ModuleReport(index=1, path="/b.so", failure=Failure(Reason.NO_READER, "no slot")),
)
MODULE, SLOT, TOKEN_FRAME, CERTIFICATE = list(frames_of(MODULES[0]))[:4]
END = plain(Kind.REPORTED)


def built(frames: Iterable[Frame], paths: tuple[str, ...] = ("/a.so",)) -> CardReport | None:
    builder = ReportBuilder(paths)
    report = None
    for frame in frames:
        report = builder.add(frame)
    return report


def test_a_report_arrives_as_it_was_sent() -> None:
    frames = [frame for module in MODULES for frame in frames_of(module)]
    assert built([*frames, END], ("/a.so", "/b.so")) == CardReport(MODULES)


def test_the_largest_certificate_fits_into_a_frame() -> None:
    assert len(encode(CERTIFICATE, CARD_PAYLOAD_MAX)) > 65536


def test_a_report_that_is_not_finished_is_no_report() -> None:
    assert built([MODULE, SLOT, TOKEN_FRAME, CERTIFICATE]) is None


@pytest.mark.parametrize("frames", [
    [SLOT], [TOKEN_FRAME], [CERTIFICATE], [MODULE, TOKEN_FRAME], [MODULE, CERTIFICATE], [MODULE, SLOT, CERTIFICATE],
    [MODULE, MODULE], [MODULE, SLOT, SLOT], [MODULE, SLOT, TOKEN_FRAME, TOKEN_FRAME], [END], [MODULE, plain(Kind.READY)],
    [MODULE, plain(Kind.PIN_SENT)], [MODULE, Frame(Kind.REPORTED, (b"",))],
], ids=lambda frames: "-".join(f"{frame.type:x}" for frame in frames))
def test_frames_in_a_wrong_order_are_refused(frames: list[Frame]) -> None:
    with pytest.raises(ProtocolError):
        built([*frames, END])


def slot(number: int) -> Frame:
    return next(iter(list(frames_of(replace(MODULES[0], slots=(SlotReport(slot_id=number),))))[1:]))


def test_more_slots_than_allowed_are_refused() -> None:
    allowed = [MODULE, *(slot(number) for number in range(MAX_SLOTS))]
    assert built([*allowed, END]) is not None
    with pytest.raises(ProtocolError):
        built([*allowed, slot(MAX_SLOTS)])


def test_more_certificates_than_allowed_are_refused() -> None:
    small = Frame(Kind.HAS_CERTIFICATE, (b"x", b"", b"", b"", b""))
    allowed = [MODULE, SLOT, TOKEN_FRAME, *[small] * MAX_OBJECTS]
    assert built([*allowed, END]) is not None
    with pytest.raises(ProtocolError):
        built([*allowed, small])


def test_a_report_of_more_bytes_than_allowed_is_refused() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        built([MODULE, SLOT, TOKEN_FRAME, *[CERTIFICATE] * MAX_OBJECTS])


def test_a_report_of_more_frames_than_allowed_is_refused() -> None:
    module = next(iter(frames_of(MODULES[1])))
    with pytest.raises(ProtocolError, match="too long"):
        built([module] * (MAX_REPORT_FRAMES + 1), ("/a.so",) * (MAX_REPORT_FRAMES + 1))


@pytest.mark.parametrize(("frame", "at", "value"), [
    (MODULE, 0, b"\x1b[2J"), (MODULE, 0, b"\xff"), (MODULE, 0, b"x" * 257), (MODULE, 3, b"granted"),
    (MODULE, 3, b"root-not-allowed"), (MODULE, 4, b"a\nb"), (SLOT, 0, b"\0"), (SLOT, 1, "\u202e".encode()),
    (TOKEN_FRAME, 0, b"a\0b"), (TOKEN_FRAME, 4, b"\0\0"), (TOKEN_FRAME, 5, b"fine"), (TOKEN_FRAME, 6, b"\4"),
    (TOKEN_FRAME, 8, b"\0\0\0\5CKM_X"), (TOKEN_FRAME, 8, b"\0\0\0\1"), (TOKEN_FRAME, 9, b"granted"),
    (CERTIFICATE, 0, b"x" * 65537), (CERTIFICATE, 1, b"x" * 1025), (CERTIFICATE, 2, b"\r"), (CERTIFICATE, 3, b"no"),
])
def test_a_field_out_of_its_bounds_is_refused(frame: Frame, at: int, value: bytes) -> None:
    fields = list(frame.fields)
    fields[at] = value
    order = [MODULE, SLOT, TOKEN_FRAME, CERTIFICATE]
    order[order.index(frame)] = Frame(frame.type, tuple(fields))
    with pytest.raises(ProtocolError):
        built(order)


@pytest.mark.parametrize("frame", [MODULE, SLOT, TOKEN_FRAME, CERTIFICATE])
@pytest.mark.parametrize("change", ["a field less", "a field more"])
def test_a_frame_with_a_field_less_or_more_is_refused(frame: Frame, change: str) -> None:
    fields = frame.fields[:-1] if change == "a field less" else (*frame.fields, b"")
    order = [MODULE, SLOT, TOKEN_FRAME, CERTIFICATE]
    order[order.index(frame)] = Frame(frame.type, fields)
    with pytest.raises(ProtocolError):
        built(order)
