# SPDX-License-Identifier: LGPL-2.1-or-later
"""The log of a login: one line for each attempt, in a form that both people and programs read.

Where the machine has a journal the line goes there, with a field for each value and a MESSAGE_ID (journal.py); else
through the shim to syslog, facility authpriv. A line is an event word and key=value pairs. It holds no personal data: no
subject, serial, label or name of an account that does not exist (people type passwords at "login:"), and certificate and
token only as an HMAC under the machine's id. A detail that may name a certificate or its owner goes into a second line of
severity DEBUG. Nothing a card, a certificate or an application says can break out of its value: control characters are
escaped and lengths capped.
"""

from __future__ import annotations

from collections.abc import Callable

from pam_sc.decision.card_report import CardReport, CertificateRef, SessionCard, TokenReport
from pam_sc.decision.evidence import CertificateFacts, Evidence, Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import REASONS, Reason, Severity, Step
from pam_sc.decision.request import Account, Purpose, Request
from pam_sc.decision.verdict import Denied, Granted
from pam_sc.journal import Event, Journal, Pairs

LINE_MAX = 1024
_VALUE_MAX = 64
_DETAIL_MAX = 600
_LONG = frozenset({"detail", "hint", "subject"})
_IMPERSONAL_STEPS = frozenset({Step.START, Step.REQUEST, Step.TOKEN, Step.PIN, Step.PROOF})
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
    """Writes the lines of one attempt: to the journal with a field for each value, else through `write` to syslog."""

    def __init__(
        self,
        write: Callable[[Severity, str], None],
        *,
        machine_id: str = "",
        personal: bool = False,
        journal: Journal | None = None,
        elapsed_ms: Callable[[], int] | None = None,
    ) -> None:
        self._write = write
        self._machine_id = machine_id
        self.personal = personal
        """Whether names of certificates and tokens may be said: `[log] identity`, known once the file is read."""
        self._journal = journal
        self._elapsed_ms = elapsed_ms

    def refused(self, request: Request, denied: Denied, evidence: Evidence | None = None) -> None:
        """Log a refusal at the severity of its reason; a detail that may be personal goes into a line for debugging."""
        pairs = [("reason", denied.reason.value), ("step", str(int(denied.step))), *self._about(request)]
        if evidence is not None and isinstance(evidence.requested, Account):
            pairs.append(("account", evidence.requested.name))
        pairs += self._certificate(denied.certificate, evidence)
        if denied.certificate is None and evidence is not None and evidence.attempts:
            tried = next((token for token in _tokens(evidence) if token.ref == evidence.attempts[-1].token), None)
            pairs += [] if tried is None else self._token(tried)
        detail = [("detail", denied.detail)] if denied.detail else []
        open_to_all = self.personal or _is_impersonal(denied)
        hint = [("hint", REASONS[denied.reason].hint)] if denied.reason in _CURED_BY_A_COMMAND else []
        shown = [*pairs, *(detail if open_to_all else []), *hint, *self._duration()]
        self._line(REASONS[denied.reason].severity, Event.REFUSED, shown)
        if detail and not open_to_all:
            self._write(Severity.DEBUG, line_of("detail", [("reason", denied.reason.value), *detail]))

    def granted(self, request: Request, granted: Granted, evidence: Evidence | None = None) -> None:
        """Log a grant; one with a certificate on its path that is not known to be good says so, and is louder."""
        pairs = [*self._about(request), ("account", granted.account), *self._certificate(granted.certificate, evidence)]
        doubts = [] if evidence is None else _revocation_doubts(granted.certificate, evidence)
        severity = Severity.NOTICE if doubts else Severity.INFO
        self._line(severity, Event.GRANTED, pairs + doubts + self._duration())

    def changed(self, request: Request, account: str, token: TokenReport | None, what: str) -> None:
        """Log that the PIN of a token was changed or unblocked (`what`)."""
        pairs = [("what", what), *self._about(request), ("account", account)]
        named = [] if token is None else self._token(token)
        self._line(Severity.NOTICE, Event.PIN_CHANGED, pairs + named + self._duration())

    def problem(self, text: str) -> None:
        """Log something that is broken and that somebody should mend."""
        self._write(Severity.ERROR, clean(f"problem: {text}"))

    def note(self, text: str) -> None:
        """Log something worth knowing that stopped nothing."""
        self._write(Severity.NOTICE, clean(f"note: {text}"))

    def _line(self, severity: Severity, event: Event, pairs: Pairs) -> None:
        line = line_of(event.value, pairs)
        if self._journal is None or not self._journal.send(severity, event, line, cleaned(pairs)):
            self._write(severity, line)

    def _about(self, request: Request) -> Pairs:
        purpose = [] if request.purpose is Purpose.LOGIN else [("purpose", request.purpose.value)]
        seat = [(name, value) for name, value in (("tty", request.tty), ("rhost", request.rhost)) if value]
        return [("service", request.service), *purpose, *seat]

    def _certificate(self, ref: CertificateRef | None, evidence: Evidence | None) -> Pairs:
        """What stands for the certificate and its token in this machine's log; with `personal`, their names too."""
        if ref is None or evidence is None or not self._machine_id:
            return []
        facts = evidence.about(ref).facts
        known = isinstance(facts, CertificateFacts)
        pairs = [("certificate", pseudonym(facts.sha256, self._machine_id))] if isinstance(facts, CertificateFacts) else []
        if self.personal and isinstance(facts, CertificateFacts):
            pairs += [("subject", facts.subject), ("serial", f"{facts.serial_number:x}")]
        token = find_token(evidence, ref)
        return pairs + (self._token(token) if known and token is not None else [])

    def _token(self, token: TokenReport) -> Pairs:
        if not self._machine_id:
            return []
        pairs = [("token", token_pseudonym(token, self._machine_id))]
        return pairs + ([("label", token.label)] if self.personal else [])

    def _duration(self) -> Pairs:
        return [] if self._elapsed_ms is None else [("ms", str(self._elapsed_ms()))]


def line_of(word: str, pairs: Pairs) -> str:
    """Return one line: the word, and the pairs as key=value that cannot be forged by a value."""
    shown = [f"{key}={quoted(value, _most(key))}" for key, value in pairs]
    return " ".join([word, *shown])[:LINE_MAX]


def cleaned(pairs: Pairs) -> Pairs:
    """Return the pairs with values that are safe wherever they are shown, none of them without end."""
    return [(key, clean(value, _most(key))) for key, value in pairs]


def _most(key: str) -> int:
    """How many bytes of a value are shown."""
    return _DETAIL_MAX if key in _LONG else _VALUE_MAX


def _tokens(evidence: Evidence) -> list[TokenReport]:
    if not isinstance(evidence.card, CardReport):
        return []
    return [token for _module, _slot, token in evidence.card.tokens()]


def find_token(evidence: Evidence, ref: CertificateRef) -> TokenReport | None:
    """Return what was reported of the token that holds a certificate; None where nothing was."""
    return next((token for token in _tokens(evidence) if token.ref == ref.token), None)


def pseudonym(what: bytes, machine_id: str) -> str:
    """Return what stands for a certificate or token in this machine's log: always the same, of no use on another machine."""
    from cryptography.hazmat.primitives import hashes, hmac  # a login has it by now

    code = hmac.HMAC(b"pam_sc-log-v1\0" + machine_id.encode(), hashes.SHA256())
    code.update(what)
    return code.finalize().hex()[:16]


def token_pseudonym(token: TokenReport | SessionCard, machine_id: str) -> str:
    """Return what stands for a token in this machine's log."""
    parts = (token.manufacturer, token.model, token.serial, token.label)
    return pseudonym("\0".join(parts).encode(), machine_id)


def _revocation_doubts(ref: CertificateRef, evidence: Evidence) -> Pairs:
    """What was accepted without being known to be good, and why it is not known; never of whom."""
    findings = evidence.about(ref).revocation
    if findings is None:
        return [("revocation", "unknown"), ("because", "not-looked-up")]
    if any(finding.mode is RevocationMode.OFF for finding in findings):
        return [("revocation", "unknown"), ("because", "off")]
    found = {finding.situation for finding in findings if finding.situation is not Situation.GOOD}
    if Situation.REVOKED in found:
        return [("revocation", "revoked")]
    because = "+".join(situation.value.replace(" ", "-") for situation in Situation if situation in found)
    return [("revocation", "unknown"), ("because", because)] if found else []


def _is_impersonal(denied: Denied) -> bool:
    """Its detail speaks of the configuration, the request, the module or a PKCS#11 return value, not of a person."""
    return denied.step in _IMPERSONAL_STEPS and denied.reason not in _PERSONAL_REASONS
