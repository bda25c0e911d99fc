# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tell of each certificate on a path what is known of its revocation: by which source, how old, and what came of it.

Pure: the outcome is decision/revocation.py's own. `path_values` gives plain values with stable keys (they are the JSON),
`path_lines` writes the same for people. The trust anchor is not among them: nobody revokes it but the administrator.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from pam_sc.decision.evidence import RevocationFinding, SourceAnswer
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.decision.revocation import judge_member

Values = dict[str, Any]

KINDS = {RevocationSource.OCSP.value: "OCSP", RevocationSource.CRL.value: "CRL"}
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def path_values(
    findings: Sequence[RevocationFinding] | None, mode: RevocationMode, at: datetime.datetime
) -> list[Values]:
    """Return the path but the anchor, leaf first; empty where there is no valid path. `mode` is that of the whole."""
    return [_member(finding, index, mode, at) for index, finding in enumerate(findings or ())]


def path_lines(member: Values) -> Iterator[str]:
    """Write one member of `path_values`: what was decided, then each source that was asked."""
    refused = f"refused ({member['reason']})" if member["reason"] else "accepted"
    line = f"{member['subject']}: {member['situation']}, {refused} by mode {member['mode']}"
    if not member["answers"]:
        yield line + (f": {member['detail']}" if member["detail"] else "")
        return
    yield line
    yield from (f"  {_answer_text(answer)}" for answer in member["answers"])


def age_text(seconds: int) -> str:
    """Say how old something is; what is from the future is that."""
    if seconds < 0:
        return f"{_duration_text(-seconds)} in the future"
    return "less than a minute old" if seconds < _MINUTE else f"{_duration_text(seconds)} old"


def _duration_text(seconds: int) -> str:
    """In the largest unit of which there are at least two; minutes from one on."""
    if seconds < _MINUTE:
        return "less than a minute"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE} min"
    return f"{seconds // _HOUR} h" if seconds < 2 * _DAY else f"{seconds // _DAY} days"


def _member(finding: RevocationFinding, index: int, mode: RevocationMode, at: datetime.datetime) -> Values:
    held = finding.mode or mode
    failure = judge_member(finding, mode, is_leaf=index == 0)
    return {
        "subject": finding.subject,
        "situation": finding.situation.value,
        "detail": finding.detail,
        "mode": held.value,
        "decided": "refused" if failure else "accepted",
        "reason": failure.reason.value if failure else None,
        "answers": [_answer(answer, at) for answer in finding.answers],
    }


def _answer(answer: SourceAnswer, at: datetime.datetime) -> Values:
    as_of, due = answer.as_of, answer.next_update
    return {
        "kind": answer.kind.value,
        "situation": answer.situation.value,
        "source": answer.source,
        "as_of": as_of.isoformat() if as_of else None,
        "age_seconds": int((at - as_of).total_seconds()) if as_of else None,
        "next_update": due.isoformat() if due else None,
        "due_in_seconds": int((due - at).total_seconds()) if due else None,
        "detail": answer.detail,
    }


def _answer_text(answer: Values) -> str:
    facts = [answer["source"]] if answer["source"] and answer["source"] not in answer["detail"] else []
    facts += [age_text(answer["age_seconds"])] if answer["age_seconds"] is not None else []
    facts += [_due_text(answer["due_in_seconds"])] if answer["due_in_seconds"] is not None else []
    about = f" ({', '.join(facts)})" if facts else ""
    detail = f": {answer['detail']}" if answer["detail"] else ""
    return f"{KINDS[answer['kind']]}: {answer['situation']}{detail}{about}"


def _due_text(seconds: int) -> str:
    if seconds < 0:
        return f"the next one was due {_duration_text(-seconds)} ago"
    return f"the next one is due in {_duration_text(seconds)}"
