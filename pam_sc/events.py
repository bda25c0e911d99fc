# SPDX-License-Identifier: LGPL-2.1-or-later
"""The log of a login: one line for each attempt, in a form that both people and programs read.

A line is an event word and key=value pairs. It holds no personal data: no subject, serial, label or name of an account
that does not exist (people type passwords at "login:"), and the certificate only as an HMAC under the machine's id. A
detail that may name a certificate or its owner goes into a second line of severity DEBUG. Nothing a card, a certificate
or an application says can break out of its value: control characters are escaped and lengths capped.
"""

from __future__ import annotations

from collections.abc import Callable

from pam_sc.decision.card_report import CertificateRef
from pam_sc.decision.evidence import Account, CertificateFacts, Evidence, Purpose, Request, Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import REASONS, Reason, Severity, Step
from pam_sc.decision.verdict import Denied, Granted

LINE_MAX = 1024
_VALUE_MAX = 64
_DETAIL_MAX = 600
_IMPERSONAL_STEPS = frozenset({Step.START, Step.REQUEST, Step.TOKEN, Step.PROOF})
_PERSONAL_REASONS = frozenset({Reason.TOKEN_UNREADABLE, Reason.ACCOUNT_LOOKUP_FAILED})
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@:+-")


def clean(text: str, most: int = LINE_MAX) -> str:
    """Return text that is safe in a log line and on a terminal, in at most `most` bytes of UTF-8.

    Everything that is not printable (control characters of C0 and C1, line and direction marks, lone surrogates) is
    written as an escape. A backslash stays as it is: most of these texts have escapes in them already.
    """
    return _fit([_escaped(character) for character in text[: most + 1]], most)


def quoted(text: str, most: int = _VALUE_MAX) -> str:
    """Return a value for a log line: bare where it is a plain word, else in double quotes that it cannot close."""
    if text and len(text) <= most and set(text) <= _BARE:
        return text
    pieces = ["\\" + character if character in '"\\' else _escaped(character) for character in text[: most + 1]]
    return '"' + _fit(pieces, most) + '"'


def _fit(pieces: list[str], most: int) -> str:
    """Join what fits; an escape is never cut in two."""
    if _size(pieces) <= most:
        return "".join(pieces)
    while pieces and _size(pieces) > most - 3:
        pieces.pop()
    return "".join(pieces) + "..."


def _size(pieces: list[str]) -> int:
    return sum(len(piece.encode()) for piece in pieces)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_CURED_BY_A_COMMAND = (Reason.REVOCATION_NOT_AT_HAND, Reason.REVOCATION_STALE)
"""Refusals that nobody is at fault for: the log says what to run."""


class EventLog:
    """Writes the lines of one login through `write`, which puts them where the system's log is."""

    def __init__(self, write: Callable[[Severity, str], None], *, machine_id: str = "", personal: bool = False) -> None:
        self._write = write
        self._machine_id = machine_id
        self._personal = personal

    def refused(self, request: Request, denied: Denied, evidence: Evidence | None = None) -> None:
        """Log a refusal at the severity of its reason; a detail that may be personal goes into a line for debugging."""
        parts = [f"refused reason={denied.reason.value}", f"step={int(denied.step)}", *self._about(request)]
        if evidence is not None and isinstance(evidence.requested, Account):
            parts.append(f"account={quoted(evidence.requested.name)}")
        parts += self._certificate(denied.certificate, evidence)
        detail = [f"detail={quoted(denied.detail, _DETAIL_MAX)}"] if denied.detail else []
        open_to_all = self._personal or _is_impersonal(denied)
        hint = [f"hint={quoted(REASONS[denied.reason].hint, _DETAIL_MAX)}"] if denied.reason in _CURED_BY_A_COMMAND else []
        self._line(REASONS[denied.reason].severity, parts + (detail if open_to_all else []) + hint)
        if detail and not open_to_all:
            self._line(Severity.DEBUG, [f"detail reason={denied.reason.value}", *detail])

    def granted(self, request: Request, granted: Granted, evidence: Evidence | None = None) -> None:
        """Log a grant; one with a certificate on its path that is not known to be good says so, and is louder."""
        parts = ["granted", *self._about(request), f"account={quoted(granted.account)}"]
        parts += self._certificate(granted.certificate, evidence)
        doubts = [] if evidence is None else _revocation_doubts(granted.certificate, evidence)
        self._line(Severity.NOTICE if doubts else Severity.INFO, parts + doubts)

    def problem(self, text: str) -> None:
        """Log something that is broken and that somebody should mend."""
        self._write(Severity.ERROR, clean(f"problem: {text}"))

    def note(self, text: str) -> None:
        """Log something worth knowing that stopped nothing."""
        self._write(Severity.NOTICE, clean(f"note: {text}"))

    def _line(self, severity: Severity, parts: list[str]) -> None:
        self._write(severity, " ".join(parts)[:LINE_MAX])

    def _about(self, request: Request) -> list[str]:
        purpose = [] if request.purpose is Purpose.LOGIN else [f"purpose={request.purpose.value}"]
        return [f"service={quoted(request.service)}", *purpose]

    def _certificate(self, ref: CertificateRef | None, evidence: Evidence | None) -> list[str]:
        facts = evidence.about(ref).facts if ref is not None and evidence is not None else None
        if not isinstance(facts, CertificateFacts) or not self._machine_id:
            return []
        return [f"certificate={pseudonym(facts.sha256, self._machine_id)}"]


def pseudonym(certificate_sha256: bytes, machine_id: str) -> str:
    """Return what names a certificate in this machine's log: the same in every line, of no use on another machine."""
    from cryptography.hazmat.primitives import hashes, hmac  # a login has it by now

    code = hmac.HMAC(b"pam_sc-log-v1\0" + machine_id.encode(), hashes.SHA256())
    code.update(certificate_sha256)
    return code.finalize().hex()[:16]


def _revocation_doubts(ref: CertificateRef, evidence: Evidence) -> list[str]:
    """What was accepted without being known to be good, and why it is not known; never of whom."""
    findings = evidence.about(ref).revocation
    if findings is None:
        return ["revocation=unknown", "because=not-looked-up"]
    if any(finding.mode is RevocationMode.OFF for finding in findings):
        return ["revocation=unknown", "because=off"]
    found = {finding.situation for finding in findings if finding.situation is not Situation.GOOD}
    if Situation.REVOKED in found:
        return ["revocation=revoked"]
    because = "+".join(situation.value.replace(" ", "-") for situation in Situation if situation in found)
    return ["revocation=unknown", f"because={because}"] if found else []


def _is_impersonal(denied: Denied) -> bool:
    """Its detail speaks of the configuration, the request, the module or a PKCS#11 return value, not of a person."""
    return denied.step in _IMPERSONAL_STEPS and denied.reason not in _PERSONAL_REASONS
