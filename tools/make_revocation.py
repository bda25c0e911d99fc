# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes docs/revocation.md from the table of outcomes: `python tools/make_revocation.py > docs/revocation.md`."""

from __future__ import annotations

import enum
import re
import sys

from pam_sc.decision.evidence import Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import REASONS, PamCode, Reason
from pam_sc.decision.revocation import OUTCOMES

_HEAD = """# Revocation: modes and situations

What a login makes of what is known about each certificate on the path but the trust anchor. The mode is `mode` of
`[revocation]`, or of the `[[revocation.ca]]` for whatever that CA issued. Every certificate on the path must be
accepted; one that is revoked is named before one that is not known, and the leaf before its issuers.
[trust.md](trust.md) says how to set it up, [messages.md](messages.md) has every reason. This page is generated from
`pam_sc/decision/revocation.py` by `tools/make_revocation.py`.
"""
_ABSENT = f"PAM_{PamCode.AUTHINFO_UNAVAIL.name}"
_NOTE = f"""
For an issuer on the path, {Reason.CERTIFICATE_REVOKED.value} is {Reason.ISSUER_REVOKED.value}, with the same PAM code.
No refusal here is {_ABSENT}: keeping an answer away from this machine never has the effect of "no card
here". A login that goes on though something is not known says so in its log line: `revocation=unknown because=` and the
situation.
"""
_PLAIN = {
    Situation.GOOD: "A source that counts says that it is not revoked.",
    Situation.REVOKED: "A source that counts says that it is revoked.",
}


def page() -> str:
    """The whole page."""
    return "\n".join([
        _HEAD, *_words("Situations", Situation), *_words("Modes", RevocationMode), *_overview(), *_outcomes(), _NOTE,
    ])  # fmt: skip


def _words(title: str, kind: type[enum.Enum]) -> list[str]:
    """The members and what the docstring of their class says of each ("NAME: text."), after its first line."""
    _, _, text = (kind.__doc__ or "").partition("\n\n")
    said = dict(re.findall(r"([A-Z_]{3,}): (.+?)(?= [A-Z_]{3,}: |$)", " ".join(text.split())))
    said |= {each.name: text for each, text in _PLAIN.items()}
    rows = [f"| {each.value} | {said[each.name][0].upper()}{said[each.name][1:]} |" for each in kind]
    return [f"## {title}", "", "| word | meaning |", "| --- | --- |", *rows, ""]


def _overview() -> list[str]:
    head = "| situation | " + " | ".join(mode.value for mode in RevocationMode) + " |"
    rows = [
        f"| {situation.value} | " + " | ".join(_word(OUTCOMES[mode][situation]) for mode in RevocationMode) + " |"
        for situation in Situation
    ]
    return ["## The table", "", head, "| --- " * (len(RevocationMode) + 1) + "|", *rows, ""]


def _word(reason: Reason | None) -> str:
    return "accepted" if reason is None else f"refused: {reason.value}"


def _outcomes() -> list[str]:
    head = ["| mode | situation | what happens | reason | PAM code | what to do |", "| --- " * 6 + "|"]
    rows = [_outcome(mode, situation) for mode in RevocationMode for situation in Situation]
    return ["## Each in full", "", *head, *rows]


def _outcome(mode: RevocationMode, situation: Situation) -> str:
    reason = OUTCOMES[mode][situation]
    if reason is None:
        return f"| {mode.value} | {situation.value} | the login goes on | | | |"
    row = REASONS[reason]
    return f"| {mode.value} | {situation.value} | refused | {reason.value} | PAM_{row.code.name} | {row.hint} |"


if __name__ == "__main__":
    sys.stdout.write(page())
