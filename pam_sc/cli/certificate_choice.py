# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which of the certificates on a card a command is about: what was read, what a login would trust, what was named. Pure.

The judgement is steps 4 to 6 of decide.py. Where two could be meant, none is.
"""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.cli.inspection import Inspection
from pam_sc.decision.card_report import CertificateReport, Failure
from pam_sc.decision.decide import judge_trust
from pam_sc.decision.evidence import CertificateFacts
from pam_sc.decision.identity import Subject, read_subject
from pam_sc.decision.reasons import REASONS
from pam_sc.decision.tokens import list_certificates, select_tokens
from pam_sc.decision.verdict import Denied
from pam_sc.errors import PamScError
from pam_sc.record import record


class Refusal(PamScError):
    """Nothing was changed, and why. `notes`: more lines about it."""

    def __init__(self, text: str, notes: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.notes = tuple(notes)


@record(kw_only=True)
class Selection:
    """Which certificate is meant, where a card has several; None: not said."""

    object_id: str | None = None
    """CKA_ID, hexadecimal."""
    label: str | None = None
    position: int | None = None

    def selects(self, found: Found) -> bool:
        """Say whether this certificate is meant."""
        return (
            (self.object_id is None or self.object_id.lower().replace(":", "") == found.report.object_id.hex())
            and (self.label is None or self.label == found.report.label)
            and (self.position is None or self.position == found.position)
        )


@record(kw_only=True)
class Found:
    """A certificate that could be read: its place among them, and why no login would trust it (None: it would)."""

    position: int
    report: CertificateReport
    name: str
    refusal: str | None

    @property
    def text(self) -> str:
        """The certificate for people."""
        marks = [f"id {self.report.object_id.hex()}"] if self.report.object_id else []
        marks += [f"label '{self.report.label}'"] if self.report.label else []
        return f"certificate {self.position}: {self.name}" + (f" ({', '.join(marks)})" if marks else "")


def find_certificates(inspection: Inspection) -> list[Found]:
    """Return the certificates on the selected tokens; Refusal if there is none."""
    evidence, policy = inspection.rehearsal.evidence, inspection.rehearsal.policy
    if evidence.card is None:
        raise Refusal("the card was not read")
    tokens = select_tokens(evidence.card, inspection.policy)
    if isinstance(tokens, Denied):
        raise _refused(tokens)
    readable, refusals = list_certificates(tokens, inspection.policy)
    if not readable:
        raise _refused(refusals[0]) if refusals else Refusal("there is no certificate")
    found = []
    for position, report in enumerate(readable, 1):
        known = evidence.about(report.ref)
        judged = judge_trust(known, policy, inspection.rehearsal.at)
        name = known.facts.subject if isinstance(known.facts, CertificateFacts) else report.label or "not readable"
        found.append(Found(position=position, report=report, name=name, refusal=_why_not(judged)))
    return found


def _why_not(judged: object) -> str | None:
    if judged is None:
        return None
    if isinstance(judged, Failure):
        return judged.reason.value + (f": {judged.detail}" if judged.detail else "")
    return "it was not judged to the end"


def _refused(denied: Denied) -> Refusal:
    return Refusal(f"{denied.reason.value}: {denied.detail or REASONS[denied.reason].hint}")


def choose_one(found: Sequence[Found], selection: Selection) -> tuple[Found, tuple[str, ...]]:
    """Return the one certificate that is meant and trusted, and why others do not count; Refusal if it is not one."""
    meant = [each for each in found if selection.selects(each)]
    trusted = [each for each in meant if each.refusal is None]
    others = tuple(f"{each.text} does not count: {each.refusal}" for each in meant if each.refusal is not None)
    if len(trusted) > 1:
        listed = [each.text for each in trusted]
        raise Refusal(f"{len(trusted)} certificates could be enrolled; choose one by --position, --id or --label",
                      (*listed, *others))  # fmt: skip
    if not trusted:
        text = "no certificate can be enrolled" if meant else "no certificate is the one that is asked for"
        raise Refusal(text, others or tuple(each.text for each in found))
    return trusted[0], others


def subjects_of(found: Sequence[Found], selection: Selection) -> tuple[Subject, ...]:
    """Return what the meant certificates say, trusted or not: whoever leaves may have an expired card."""
    meant = tuple(read_subject(each.report.der) for each in found if selection.selects(each))
    if not meant:
        raise Refusal("no certificate is the one that is asked for", [each.text for each in found])
    return meant
