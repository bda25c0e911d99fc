# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tell a login as its eleven steps: for each, whether it was passed, and what was found. Pure, for `pam-sc explain`.

It judges nothing by itself: what is said of a certificate is what decide.py's own functions answer for it. Texts are as
the card gave them; render.py cleans them before they reach a terminal.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Iterator, Mapping

from pam_sc.cli.revocation_report import Values, path_lines, path_values
from pam_sc.decision.admission import judge_request
from pam_sc.decision.card_report import CardReport, CertificateRef, CertificateReport, Failure, TokenReport
from pam_sc.decision.decide import judge_certificate
from pam_sc.decision.evidence import (
    CertificateFacts,
    Evidence,
    MappedAccounts,
    MappingFailed,
    NoPath,
    Unparsable,
    ValidPath,
)
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer, NotSigned, Opened, PinWay, Signed
from pam_sc.decision.reasons import Step
from pam_sc.decision.request import Account, LookupFailed, NoSuchAccount
from pam_sc.decision.tokens import find_tokens, list_certificates
from pam_sc.decision.verdict import Denied, Granted, Needs, Verdict
from pam_sc.record import field, record

TITLES = {
    Step.REQUEST: "The request is allowed",
    Step.TOKEN: "A token is present that the configuration selects",
    Step.CERTIFICATES: "The token offers certificates",
    Step.SUITABLE: "A certificate is suitable",
    Step.PATH: "It chains to a trust anchor",
    Step.REVOCATION: "Nothing on the path is revoked",
    Step.MAPPING: "It maps to the account",
    Step.CANDIDATES: "The candidates are found",
    Step.PIN: "The PIN may be tried, and was given",
    Step.PROOF: "The token signed this login's challenge",
    Step.SIGNATURE: "The signature verifies under the certificate's key",
}


class Status(enum.Enum):
    """How a step ended."""

    PASSED = "passed"
    REFUSED = "refused"
    STOPPED = "stopped"
    """The explanation ends here, because the step would cost something (a PIN)."""
    NOT_REACHED = "not-reached"


@record
class StepReport:
    """One numbered step, and what was found at it, a line each."""

    number: int
    title: str
    status: Status
    found: tuple[str, ...]


@record(kw_only=True)
class Rehearsal:
    """A login that was run for its explanation: everything that was found, by which rules, and what came of it."""

    evidence: Evidence
    policy: Policy
    at: datetime.datetime
    verdict: Verdict
    problems: tuple[str, ...] = ()
    """Files that the configuration names and that could not be used."""
    why: Mapping[CertificateRef, tuple[str, ...]] = field(default_factory=dict)
    """What the mappers say about how they came to their answer, a line each."""


def tell_steps(rehearsal: Rehearsal) -> tuple[StepReport, ...]:
    """Return the eleven steps, in order."""
    return tuple(
        StepReport(int(step), title, status, _found(step, rehearsal) if status is not Status.NOT_REACHED else ())
        for step, title in TITLES.items()
        for status in [_status(step, rehearsal.verdict)]
    )


def _status(step: Step, verdict: Verdict) -> Status:
    if _opens_first(verdict) and Step.TOKEN < step < Step.PIN:
        return Status.NOT_REACHED
    if isinstance(verdict, Granted) or step < verdict.step:
        return Status.PASSED
    if step > verdict.step:
        return Status.NOT_REACHED
    return Status.REFUSED if isinstance(verdict, Denied) else Status.STOPPED


def _opens_first(verdict: Verdict) -> bool:
    """It is about the PIN of a token whose certificates are not known yet ([token] login_first)."""
    if isinstance(verdict, Granted) or not Step.PIN <= verdict.step <= Step.PROOF:
        return False
    return verdict.certificate is None if isinstance(verdict, Denied) else verdict.opens is not None


def _found(step: Step, rehearsal: Rehearsal) -> tuple[str, ...]:
    teller = _TELLERS[step]
    return tuple(teller(rehearsal))


# ---------------------------------------------------------------- 1 to 3


def _tell_request(rehearsal: Rehearsal) -> Iterator[str]:
    evidence = rehearsal.evidence
    yield f"service {evidence.request.service}"
    if evidence.locality is not None:
        yield f"{'remote' if evidence.locality.remote else 'local'}: {evidence.locality.why}"
    match evidence.requested:
        case Account(name=name, uid=uid):
            yield f"account {name}, uid {uid}"
        case NoSuchAccount():
            yield "there is no such account"
        case LookupFailed(why=why):
            yield why
        case None:
            asked = evidence.request.account
            yield "the account was not looked up" if asked else "no account is named: the card names it"


def _tell_tokens(rehearsal: Rehearsal) -> Iterator[str]:
    card = rehearsal.evidence.card
    if isinstance(card, Failure):
        yield card.detail
    if not isinstance(card, CardReport):
        return
    for module in card.modules:
        yield f"module {module.path}: " + (module.failure.detail if module.failure else f"{len(module.slots)} slots")
        for slot in module.slots:
            if slot.failure:
                yield f"slot {slot.slot_id}: {slot.failure.detail}"
    chosen = {token.ref for token in selected_tokens(rehearsal)}
    for _module, slot, token in card.tokens():
        yield f"{name_token(token)} in slot {slot.slot_id}" + ("" if token.ref in chosen else ": not selected")


def selected_tokens(rehearsal: Rehearsal) -> list[TokenReport]:
    """The tokens that count, in order."""
    tokens = find_tokens(rehearsal.evidence, rehearsal.policy, _asked(rehearsal))
    return tokens if isinstance(tokens, list) else []


def name_token(token: TokenReport) -> str:
    """Name a token for people."""
    return f"token '{token.label}'" if token.label else "a token without label"


def _tell_certificates(rehearsal: Rehearsal) -> Iterator[str]:
    tokens = selected_tokens(rehearsal)
    readable, refusals = list_certificates(tokens, rehearsal.policy)
    for at, report in enumerate(readable, 1):
        yield f"certificate {at}: {_name(rehearsal, report)}"
    for refused in refusals:
        yield refused.detail


# ---------------------------------------------------------------- 4 to 8, each certificate by itself


def _tell_each(
    step: Step, tell: Callable[[Rehearsal, CertificateReport], Iterator[str]], *, also_refused: bool = False,
    of_all: Callable[[Rehearsal, CertificateReport], Iterator[str]] = lambda *_: iter(()),
) -> Callable[[Rehearsal], Iterator[str]]:  # fmt: skip
    """Make the teller of a step that is taken for each certificate that has come so far.

    With `also_refused` `tell` knows what to say of those too that the step refuses; `of_all` adds to both.
    """

    def teller(rehearsal: Rehearsal) -> Iterator[str]:
        for at, report in enumerate(list_certificates(selected_tokens(rehearsal), rehearsal.policy)[0], 1):
            judged = judge(rehearsal, report)
            if isinstance(judged, Denied) and judged.step < step:
                continue
            refused = judged if isinstance(judged, Denied) and judged.step == step else None
            told = list(tell(rehearsal, report)) if refused is None or also_refused else []
            if refused is not None and not told:
                told = [refused.reason.value + (f": {refused.detail}" if refused.detail else "")]
            yield from (f"certificate {at}: {line}" for line in (*told, *of_all(rehearsal, report)))

    return teller


def judge(rehearsal: Rehearsal, report: CertificateReport) -> object:
    """What decide.py says of one certificate: Denied, Needs, or a candidate."""
    return judge_certificate(rehearsal.evidence, rehearsal.policy, rehearsal.at, report.ref, _asked(rehearsal))


def _asked(rehearsal: Rehearsal) -> Account | None:
    """The account that was asked for, if there was one and it may use a card."""
    asked = judge_request(rehearsal.evidence, rehearsal.policy)
    return asked if isinstance(asked, Account) else None


def _name(rehearsal: Rehearsal, report: CertificateReport) -> str:
    facts = rehearsal.evidence.about(report.ref).facts
    if isinstance(facts, CertificateFacts):
        return facts.subject
    return facts.why if isinstance(facts, Unparsable) else report.label or "not read"


def _tell_suitable(rehearsal: Rehearsal, report: CertificateReport) -> Iterator[str]:
    facts = rehearsal.evidence.about(report.ref).facts
    if isinstance(facts, CertificateFacts):
        yield f"{facts.key_text}, valid until {facts.not_after:%Y-%m-%d %H:%M} UTC"


def _tell_path(rehearsal: Rehearsal, report: CertificateReport) -> Iterator[str]:
    match rehearsal.evidence.about(report.ref).path:
        case ValidPath(subjects=subjects):
            yield " <- ".join(subjects)
        case NoPath(detail=detail):
            yield detail


def _tell_revocation(rehearsal: Rehearsal, report: CertificateReport) -> Iterator[str]:
    for member in path_of(rehearsal, report.ref):
        yield from path_lines(member)


def path_of(rehearsal: Rehearsal, ref: CertificateRef) -> list[Values]:
    """What is known of the revocation of each certificate on the path of this one, leaf first; empty without a path."""
    return path_values(rehearsal.evidence.about(ref).revocation, rehearsal.policy.revocation.mode, rehearsal.at)


def _tell_mapping(rehearsal: Rehearsal, report: CertificateReport) -> Iterator[str]:
    match rehearsal.evidence.about(report.ref).mapping:
        case MappedAccounts(accounts=accounts, detail=detail):
            yield f"maps to {', '.join(accounts) or 'no account'}" + (f" ({detail})" if detail else "")
        case MappingFailed(why=why):
            yield why


def _tell_why(rehearsal: Rehearsal, report: CertificateReport) -> Iterator[str]:
    yield from rehearsal.why.get(report.ref, ())


def _tell_candidate(rehearsal: Rehearsal, report: CertificateReport) -> Iterator[str]:
    if not isinstance(judge(rehearsal, report), Denied | Needs):
        yield _name(rehearsal, report)


# ---------------------------------------------------------------- 9 to 11


def _tell_pin(rehearsal: Rehearsal) -> Iterator[str]:
    verdict = rehearsal.verdict
    if isinstance(verdict, Needs) and verdict.step is Step.PIN:
        for token in selected_tokens(rehearsal):
            if token.ref == verdict.token:
                yield _WAYS[verdict.way] + name_token(token)
        if verdict.opens is not None:
            yield "it shows no certificate before: this may cost a PIN try for a card that is then refused"
    for attempt in rehearsal.evidence.attempts:
        if attempt.way is not PinWay.OPENED:
            yield f"the prompt was {attempt.answer.value}" if attempt.answer is not Answer.NOT_NEEDED else _NO_PROMPT


_WAYS = {
    PinWay.TYPED: "would ask for the PIN of ",
    PinWay.STACKED: "would take the stacked password for the PIN of ",
    PinWay.PINPAD: "would have the PIN typed on the reader, for ",
    PinWay.NONE: "would ask for no PIN, which is not needed for ",
}
_NO_PROMPT = "there was no prompt: the PIN is typed on the reader, or none is needed"


def _tell_proof(rehearsal: Rehearsal) -> Iterator[str]:
    for attempt in rehearsal.evidence.attempts:
        match attempt.outcome:
            case Opened():
                yield "the PIN opened the token, and its certificates were judged then"
            case Signed(mechanism=mechanism, signature=signature):
                yield f"signed with {mechanism}, {len(signature)} bytes"
            case NotSigned(failure=failure, detail=detail):
                yield f"not signed, {failure.value}" + (f": {detail}" if detail else "")


def _tell_signature(rehearsal: Rehearsal) -> Iterator[str]:
    if isinstance(rehearsal.verdict, Granted):
        facts = rehearsal.evidence.about(rehearsal.verdict.certificate).facts
        if isinstance(facts, CertificateFacts):
            yield f"under the key of {facts.subject}"


_TELLERS: dict[Step, Callable[[Rehearsal], Iterator[str]]] = {
    Step.REQUEST: _tell_request,
    Step.TOKEN: _tell_tokens,
    Step.CERTIFICATES: _tell_certificates,
    Step.SUITABLE: _tell_each(Step.SUITABLE, _tell_suitable),
    Step.PATH: _tell_each(Step.PATH, _tell_path),
    Step.REVOCATION: _tell_each(Step.REVOCATION, _tell_revocation, also_refused=True),
    Step.MAPPING: _tell_each(Step.MAPPING, _tell_mapping, of_all=_tell_why),
    Step.CANDIDATES: _tell_each(Step.CANDIDATES, _tell_candidate),
    Step.PIN: _tell_pin,
    Step.PROOF: _tell_proof,
    Step.SIGNATURE: _tell_signature,
}
