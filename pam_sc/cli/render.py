# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write an explained login for people (eleven numbered steps) and for programs. Pure: returns rows and values."""

from __future__ import annotations

from collections.abc import Iterator

from pam_sc.cli.output import Row
from pam_sc.cli.steps import Rehearsal, Status, StepReport, path_of, selected_tokens, tell_steps
from pam_sc.decision.admission import card_is_required
from pam_sc.decision.reasons import REASONS, PamCode, Step
from pam_sc.decision.tokens import list_certificates
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.texts import Texts, values_of

WIDTHS = (4, 17, 13)

NAMES = {
    Step.START: "start",
    Step.REQUEST: "request",
    Step.TOKEN: "token",
    Step.CERTIFICATES: "certificates",
    Step.SUITABLE: "suitable",
    Step.PATH: "path",
    Step.REVOCATION: "revocation",
    Step.MAPPING: "mapping",
    Step.CANDIDATES: "candidates",
    Step.PIN: "pin",
    Step.PROOF: "proof",
    Step.SIGNATURE: "signature",
}


def explain_rows(rehearsal: Rehearsal) -> list[Row]:
    """Return the eleven steps and the verdict, for people."""
    steps = [row for report in tell_steps(rehearsal) for row in _step_rows(report, rehearsal)]
    problems = [Row((), f"problem: {problem}") for problem in rehearsal.problems]
    return [*steps, Row(()), *problems, *_verdict_rows(rehearsal)]


def _step_rows(report: StepReport, rehearsal: Rehearsal) -> Iterator[Row]:
    found = list(report.found)
    denied = rehearsal.verdict
    if report.status is Status.REFUSED and isinstance(denied, Denied):
        found.insert(0, denied.reason.value + (f": {denied.detail}" if denied.detail else ""))
    name = NAMES[Step(report.number)]
    yield Row((f"{report.number:2}", name, report.status.value), found[0] if found else report.title)
    yield from (Row(("", "", ""), line) for line in found[1:])
    if report.status is Status.REFUSED and isinstance(denied, Denied):
        yield Row(("", "", "do this"), REASONS[denied.reason].hint)


def _verdict_rows(rehearsal: Rehearsal) -> Iterator[Row]:
    match rehearsal.verdict:
        case Granted(account=account):
            yield Row((), f"granted: {account}")
        case Denied() as denied:
            code = _code(rehearsal, denied)
            yield Row((), f"refused: {denied.reason.value} at step {int(denied.step)}, PAM_{code.name}")
            yield Row((), f"the person reads: {Texts().say(denied.reason, **values_of(denied, rehearsal.evidence))}")
        case Needs(step=step):
            yield Row((), f"stopped: before step {int(step)}; nothing refuses the login so far (--pin goes on)")


def _code(rehearsal: Rehearsal, denied: Denied) -> PamCode:
    """What the application gets: for an account that must use a card, too, nothing is merely "unavailable"."""
    required = card_is_required(rehearsal.evidence, rehearsal.policy)
    return denied.code(card_required=required, by_name=not rehearsal.policy.card_required)


def explain_json(rehearsal: Rehearsal) -> dict[str, object]:
    """Return the same for programs. Keys are never renamed."""
    request = rehearsal.evidence.request
    return {
        "service": request.service,
        "requested_account": request.account,
        **verdict_json(rehearsal),
        "problems": list(rehearsal.problems),
        "paths": [
            path_of(rehearsal, report.ref) for report in list_certificates(selected_tokens(rehearsal), rehearsal.policy)[0]
        ],
        "steps": [
            {
                "number": report.number,
                "name": NAMES[Step(report.number)],
                "status": report.status.value,
                "found": list(report.found),
            }
            for report in tell_steps(rehearsal)
        ],
    }


def verdict_json(rehearsal: Rehearsal) -> dict[str, object]:
    """Return the verdict for programs."""
    match rehearsal.verdict:
        case Granted(account=account):
            return {"verdict": "granted", "account": account, "code": f"PAM_{PamCode.SUCCESS.name}"}
        case Denied() as denied:
            row = REASONS[denied.reason]
            code = _code(rehearsal, denied)
            return {
                "verdict": "refused",
                "reason": denied.reason.value,
                "step": int(row.step),
                "detail": denied.detail,
                "code": f"PAM_{code.name}",
                "text": Texts().say(denied.reason, **values_of(denied, rehearsal.evidence)),
                "hint": row.hint,
            }
        case Needs(step=step, account=account):
            return {"verdict": "stopped", "step": int(step), "account": account}


def exit_code(rehearsal: Rehearsal) -> int:
    """0 where nothing refuses the login, else 1."""
    return 1 if isinstance(rehearsal.verdict, Denied) else 0
