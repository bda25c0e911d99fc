# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes docs/messages.md from the tables of texts and reasons: `python tools/make_messages.py > docs/messages.md`."""

from __future__ import annotations

import sys

from pam_sc.catalogues import LANGUAGES
from pam_sc.decision.reasons import REASONS, PamCode, Reason, Step
from pam_sc.journal import MESSAGE_IDS, Event
from pam_sc.texts import UNFILLED, Text, english

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
_HEAD = """# Messages

What a person reads, what the application gets and what the log says, each once. This page is generated from
`pam_sc/texts.py` and `pam_sc/decision/reasons.py` by `tools/make_messages.py`.

Every text has a name. In `[texts]` of the configuration that name stands for your own words:

```toml
[texts]
insert-card = "Please put your badge on the reader"
certificate-expired = "Your badge ran out on {date}: call 4711"
```

A word in braces is a place that is filled in: {token} is the label of the card's token, {date} the last day of the
certificate's validity, as YYYY-MM-DD. Where a value is not known (a token without a label), a text that has its place is
not used, and the text after "else" is shown in its stead. PAM_SILENT and `quiet` leave out all but the questions.

The language is that of the application: the locale that it set for LC_MESSAGES. There are translations for
@languages@; everybody else, and everybody whose application never calls `setlocale`
(a daemon, or a program that is not made for it), reads English. A locale with another encoding than UTF-8 gets English
too. What stands in `[texts]` is shown in every language as it is.
"""
_EVENTS = """## Events

What the log says of an attempt, once for each, with the MESSAGE_ID by which a journal finds it; [log.md](log.md) has the
fields.
"""
_CODES = """## PAM codes

What the application gets, and for which reasons. With `card = "required"`, PAM_AUTHINFO_UNAVAIL becomes PAM_AUTH_ERR. Where
a PIN is changed (chauthtok), what stands in the way before is PAM_TRY_AGAIN, a wrong PIN PAM_AUTHTOK_RECOVERY_ERR, and what else
leaves the PIN as it was PAM_AUTHTOK_ERR: [pin.md](pin.md) has that table.
"""
_ALWAYS = {
    PamCode.SUCCESS: "granted, or a PIN was changed",
    PamCode.IGNORE: "no reason: only where the configuration lets a refusal count as if pam_sc were not there",
}
_REFUSALS = """## Refusals

Every way a login can be refused, by the step at which it arises (`pam_sc/decision/decide.py`). The reason is the name of
the text, the name of the event, and the word after `reason=` in the log; the severity is that of the line in the log
(RFC 5424).
"""


def page() -> str:
    """The whole page."""
    head = _HEAD.replace("@languages@", ", ".join(LANGUAGES))
    refusals = (_section(step, title) for step, title in _STEPS.items())
    return "\n".join([head, _texts(), _EVENTS, _events(), _CODES, _codes(), _REFUSALS, *refusals])


def _texts() -> str:
    rows = [f"| {text.value} | {_shown(text)} |" for text in Text]
    return "\n".join(["## Questions and information", "", "| name | text |", "| --- | --- |", *rows, ""])


def _events() -> str:
    rows = [f"| {event.value} | {MESSAGE_IDS[event]} |" for event in Event]
    return "\n".join(["| event | MESSAGE_ID |", "| --- | --- |", *rows, ""])


def _codes() -> str:
    rows = [f"| PAM_{code.name} | {int(code)} | {_reasons_of(code)} |" for code in PamCode]
    return "\n".join(["| code | number | reasons |", "| --- | --- | --- |", *rows, ""])


def _reasons_of(code: PamCode) -> str:
    reasons = [reason.value for reason in Reason if REASONS[reason].code is code]
    return _ALWAYS.get(code) or ", ".join(reasons) or "none"


def _shown(what: Text | Reason) -> str:
    """A text in the table, visibly with a space at its end, and what stands in for it."""
    unfilled = f", else `{UNFILLED[what]}`" if what in UNFILLED else ""
    return f"`{english(what)}`{unfilled}" if english(what) else "(nothing)"


def _section(step: Step, title: str) -> str:
    rows = [_row(reason) for reason in Reason if REASONS[reason].step is step]
    head = ["| reason | PAM code | severity | the person reads | what to do |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([f"### {title}", "", *head, *rows, ""])


def _row(reason: Reason) -> str:
    row = REASONS[reason]
    return f"| {reason.value} | PAM_{row.code.name} | {row.severity.name.lower()} | {_shown(reason)} | {row.hint} |"


if __name__ == "__main__":
    sys.stdout.write(page())
