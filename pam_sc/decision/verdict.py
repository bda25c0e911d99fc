# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `decide` answers: Granted, Denied with exactly one reason, or Needs with the one thing to find out next."""

from __future__ import annotations

from dataclasses import dataclass

from pam_sc.decision.evidence import CertificateRef
from pam_sc.decision.reasons import PamCode, Reason, REASONS, Step


@dataclass(frozen=True, slots=True)
class Granted:
    """The account is granted to whoever holds the card and its PIN."""

    account: str
    certificate: CertificateRef


@dataclass(frozen=True, slots=True)
class Denied:
    """The login is refused, for exactly one reason.

    `detail` is for the log and for `pam-sc explain`; it may name certificates, files and times, never a PIN.
    """

    reason: Reason
    detail: str = ""
    certificate: CertificateRef | None = None

    @property
    def step(self) -> Step:
        """The step of the login at which this reason arises."""
        return REASONS[self.reason].step

    def code(self, *, card_required: bool) -> PamCode:
        """The PAM code for the application: with a required card nothing is merely "unavailable"."""
        code = REASONS[self.reason].code
        if card_required and code is PamCode.AUTHINFO_UNAVAIL:
            return PamCode.AUTH_ERR
        return code


@dataclass(frozen=True, slots=True)
class Needs:
    """The decision cannot go on before this is found out. `certificate` names the candidate it is about."""

    step: Step
    certificate: CertificateRef | None = None
    account: str | None = None
    """For Step.MAPPING with an account: look this account up. For Step.PROOF: the account to be proven."""


Verdict = Granted | Denied | Needs
