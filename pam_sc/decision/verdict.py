# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `decide` answers: Granted, Denied with exactly one reason, or Needs with the one thing to find out next."""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.decision.card_report import CertificateRef, TokenRef, TokenReport
from pam_sc.decision.possession import PinPrompt, PinWay
from pam_sc.decision.reasons import REASONS, PamCode, Reason, Step
from pam_sc.record import record

_OF_THE_MACHINE = frozenset({PamCode.SERVICE_ERR, PamCode.SYSTEM_ERR, PamCode.BUF_ERR, PamCode.CONV_ERR, PamCode.INCOMPLETE})
"""Codes that mean the same whatever was asked for."""
_WRONG_OLD_PIN = frozenset({
    Reason.PIN_WRONG, Reason.PIN_WRONG_FEW_LEFT, Reason.PIN_WRONG_ONE_LEFT, Reason.PIN_REPEATED, Reason.PIN_FORM,
})  # fmt: skip


@record
class Granted:
    """The account is granted to whoever holds the card and its PIN."""

    account: str
    certificate: CertificateRef


@record
class Denied:
    """The login is refused, for exactly one reason.

    `detail` is for the log and for `pam-sc explain`; it may name certificates, files and times, never a PIN.
    """

    reason: Reason
    detail: str = ""
    certificate: CertificateRef | None = None
    ignored: bool = False
    """The configuration wants the stack to go on as if the line were not there: PAM_IGNORE."""

    @property
    def step(self) -> Step:
        """The step of the login at which this reason arises."""
        return REASONS[self.reason].step

    def code(self, *, card_required: bool, by_name: bool = False) -> PamCode:
        """The PAM code for the application: with a required card nothing is merely "unavailable".

        `by_name`: of some accounts alone. Then the stack has to let others on who have no card of their own, also where
        the reader holds somebody else's (PAM_USER_UNKNOWN); whoever must use one is not let on by that either.
        """
        if self.ignored:
            return PamCode.IGNORE
        code = REASONS[self.reason].code
        no_card_of_theirs = code is PamCode.USER_UNKNOWN and self.step > Step.REQUEST
        if card_required and (code is PamCode.AUTHINFO_UNAVAIL or (by_name and no_card_of_theirs)):
            return PamCode.AUTH_ERR
        return code

    def change_code(self, *, preliminary: bool) -> PamCode:
        """The PAM code of chauthtok.

        The first pass (PAM_PRELIM_CHECK) says TRY_AGAIN for whatever stands in the way; stacks go on to the password then.
        A pass in which a PIN has to be changed (PAM_CHANGE_EXPIRED_AUTHTOK) is none of these: whoever takes the card out
        after the login would change a password instead, and be let in with the old PIN. The second never says it either,
        not even of a card that was taken out meanwhile: below us pam_unix, which was never asked for the old password,
        would take a new one. A wrong old PIN or PUK is AUTHTOK_RECOVERY_ERR, one that is locked or must not be tried
        MAXTRIES, everything else that leaves the PIN as it was AUTHTOK_ERR.
        """
        code = REASONS[self.reason].code
        if code in _OF_THE_MACHINE:
            return code
        if preliminary:
            return PamCode.TRY_AGAIN
        if self.reason in _WRONG_OLD_PIN:
            return PamCode.AUTHTOK_RECOVERY_ERR
        return code if code in {PamCode.MAXTRIES, PamCode.AUTHTOK_RECOVERY_ERR} else PamCode.AUTHTOK_ERR


@record(kw_only=True)
class Changed:
    """What a call of chauthtok came to: the PIN has been changed or unblocked, or (the first pass) it can be."""

    account: str
    token: TokenReport
    preliminary: bool
    unblocked: bool


@record
class Needs:
    """The decision cannot go on before this is found out."""

    step: Step
    certificate: CertificateRef | None = None
    """Steps 4 to 7: the certificate it is about."""
    account: str | None = None
    """Step 2: whose sessions to look for. Step 7: look this account up, if given. From step 8: the account to be proven."""
    candidates: tuple[CertificateRef, ...] = ()
    """Steps 9 and 10: the certificates of one token that may prove it, in order of preference."""
    wait: bool = False
    """Step 2: wait for a card."""
    wanted: str = ""
    """Step 2: the label of the token that is waited for, where only one counts."""
    accounts: tuple[str, ...] = ()
    """Step 8: have the person choose one of these accounts."""
    tokens: tuple[TokenRef, ...] = ()
    """Step 8: have the person choose one of these tokens."""
    opens: TokenRef | None = None
    """Steps 9 and 10, without candidates: the token that is to be opened before its certificates are judged."""
    way: PinWay = PinWay.TYPED
    """Steps 9 and 10: how the PIN comes to the token."""
    prompt: PinPrompt = PinPrompt.FIRST
    """Step 9: what the question says."""

    @property
    def token(self) -> TokenRef:
        """Steps 9 and 10: whose PIN it is. ValueError at other steps."""
        if self.opens is not None:
            return self.opens
        if not self.candidates:
            raise ValueError(f"step {int(self.step)} is about no token")
        return self.candidates[0].token


Verdict = Granted | Denied | Needs


def furthest(refusals: Sequence[Denied]) -> Denied:
    """Return the refusal of the candidate that came furthest; at a tie the first."""
    if not refusals:
        return Denied(Reason.NO_CERTIFICATE, "no token shows a certificate")
    return max(refusals, key=lambda denied: denied.step)
