# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes docs/verdicts.md from the one table of reasons: `python tools/make_verdicts.py > docs/verdicts.md`."""

from __future__ import annotations

import sys

from pam_sc.decision.reasons import REASONS, Reason, Step

_STEPS = {
    Step.START: "Before the first step",
    Step.REQUEST: "1. The request",
    Step.TOKEN: "2. The token",
    Step.CERTIFICATES: "3. Its certificates",
    Step.SUITABLE: "4. A certificate is suitable",
    Step.PATH: "5. It chains to a trust anchor",
    Step.REVOCATION: "6. Nothing on the path is revoked",
    Step.MAPPING: "7. It maps to the account",
    Step.CANDIDATES: "8. Which card, which account",
    Step.PIN: "9. The PIN may be tried, and was given",
    Step.PROOF: "10. The token signed the challenge",
    Step.SIGNATURE: "11. The signature verifies",
    Step.CHANGE: "Changing and unblocking a PIN",
}
_HEAD = """# Verdicts

Every way a login can be refused, by the step at which it arises (`pam_sc/decision/decide.py`). The reason is the word
after `reason=` in the log. With `card = "required"`, PAM_AUTHINFO_UNAVAIL becomes PAM_AUTH_ERR. This page is generated
from `pam_sc/decision/reasons.py` by `tools/make_verdicts.py`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(step, title) for step, title in _STEPS.items())])


def _section(step: Step, title: str) -> str:
    rows = [_row(reason) for reason in Reason if REASONS[reason].step is step]
    head = ["| reason | PAM code | the person reads | what to do |", "| --- | --- | --- | --- |"]
    return "\n".join([f"## {title}", "", *head, *rows, ""])


def _row(reason: Reason) -> str:
    row = REASONS[reason]
    return f"| {reason.value} | PAM_{row.code.name} | {row.text} | {row.hint} |"


if __name__ == "__main__":
    sys.stdout.write(page())
