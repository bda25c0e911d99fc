# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier where the time is over: what it says depends on who was asked by then."""

from __future__ import annotations

import socket

import pytest

from pam_sc.conversation import Conversation, FrameType, Function, MachineClock, Option, ShimRequest
from pam_sc.decision.card_report import CertificateRef, TokenRef
from pam_sc.decision.evidence import Evidence, MappedAccounts, MappingFailed
from pam_sc.decision.reasons import PamCode, Reason
from pam_sc.decision.request import Request
from pam_sc.decision.verdict import Denied, Granted
from pam_sc.errors import DeadlineExceeded
from pam_sc.frames import SHIM_PAYLOAD_MAX, Channel
from pam_sc.worker import Verifier

NONCE = b"n" * 32
REQUEST = Request(service="login", account="alice", real_uid=0, effective_uid=0, saved_uid=0)
FIRST, SECOND = (CertificateRef(TokenRef(0, 0), number) for number in range(2))
NOTHING_ASKED = Evidence(request=REQUEST).with_certificate(FIRST).with_certificate(SECOND)
FAILED = MappingFailed("openssh: reading it took too long", Reason.MAPPER_FAILED)


class OutOfTime(Verifier):
    """A verifier whose time is over when this much is known."""

    known: Evidence | None = None

    def _log_in(self) -> Granted | Denied:
        self._evidence = self.known
        raise DeadlineExceeded("the certificates on the card took too long to check")


@pytest.mark.parametrize(
    ("known", "code"),
    [
        (None, PamCode.AUTHINFO_UNAVAIL),
        (NOTHING_ASKED, PamCode.AUTHINFO_UNAVAIL),
        (NOTHING_ASKED.with_certificate(FIRST, mapping=FAILED), PamCode.AUTH_ERR),
        (NOTHING_ASKED.with_certificate(FIRST, mapping=MappedAccounts(())), PamCode.AUTH_ERR),
    ],
    ids=["nobody", "no mapper", "a mapper that failed", "a mapper that knows nobody"],
)
def test_time_that_mappers_used_up_does_not_make_a_card_unavailable(known: Evidence | None, code: PamCode) -> None:
    asked = ShimRequest(
        request=REQUEST, nonce=NONCE, function=Function.AUTHENTICATE, options=Option(0), config_path="", machine_time_s=5
    )  # fmt: skip
    clock = MachineClock(5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        verifier = OutOfTime(asked, Conversation(Channel(ours, SHIM_PAYLOAD_MAX), ours, asked, clock), clock)
        verifier.known = known
        verifier.serve()
        shim = Channel(theirs, SHIM_PAYLOAD_MAX)
        frames = [shim.receive(clock.last_word)]
        while frames[-1].type != FrameType.VERDICT:
            frames.append(shim.receive(clock.last_word))
    reason = "card-timeout" if code is PamCode.AUTHINFO_UNAVAIL else "mapper-failed"
    assert any(f"refused reason={reason} ".encode() in field for frame in frames for field in frame.fields)
    assert frames[-1].fields == (NONCE, b"\1", b"alice", bytes([code]))


class Refused(Verifier):
    """A verifier that refuses an expired certificate of which nothing more is known."""

    def _log_in(self) -> Granted | Denied:
        return Denied(Reason.CERTIFICATE_EXPIRED)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de_AT.UTF-8", "Das Zertifikat auf der Karte ist abgelaufen"),
        ("", "The certificate on the card has expired"),
        ("C", "The certificate on the card has expired"),
        ("../../x", "The certificate on the card has expired"),
        ("de\n", "The certificate on the card has expired"),
        ("de" * 5_000, "The certificate on the card has expired"),
    ],
    ids=["German", "none", "C", "a path", "a line", "10,000 bytes"],
)
def test_a_refusal_is_told_in_the_language_of_the_host(language: str, text: str) -> None:
    asked = ShimRequest(
        request=REQUEST, nonce=NONCE, function=Function.AUTHENTICATE, options=Option(0), config_path="", machine_time_s=5,
        language=language,
    )  # fmt: skip
    clock = MachineClock(5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Refused(asked, Conversation(Channel(ours, SHIM_PAYLOAD_MAX), ours, asked, clock), clock).serve()
        shim = Channel(theirs, SHIM_PAYLOAD_MAX)
        frames = [shim.receive(clock.last_word) for _ in range(3)]
    assert [frame.type for frame in frames] == [FrameType.LOG, FrameType.MESSAGE, FrameType.VERDICT]
    assert frames[1].fields == (b"\2", text.encode())
