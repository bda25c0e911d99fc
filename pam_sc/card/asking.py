# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the verifier asks of the card process, in the words of a report, and the commands of orders.py that come of it.

Nothing here holds a PIN: a PIN lies in the secrets channel when an order that needs it is sent.
"""

from __future__ import annotations

from pam_sc.card.orders import MAX_CANDIDATES, CandidateCommand, ChangeKind, PinRules, SignCommand, Target
from pam_sc.decision.card_report import CertificateReport, TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.digest import sha256
from pam_sc.decision.possession import PinWay
from pam_sc.record import record


@record(kw_only=True)
class Candidate:
    """A certificate whose key may sign. `choices` are tried in order until C_SignInit takes one.

    `context_login`: the certificate has digitalSignature, so a key that wants a PIN for each signature may get it.
    """

    certificate: CertificateReport
    public_key_der: bytes
    choices: tuple[SigningChoice, ...]
    context_login: bool


@record
class SignOrder:
    """One login to a token, after which the first candidate with a usable key signs. The first 8 candidates count."""

    token: TokenReport
    candidates: tuple[Candidate, ...]
    way: PinWay = PinWay.TYPED
    rules: PinRules = PinRules()


@record
class OpenOrder:
    """One login to a token that shows its certificates only then."""

    token: TokenReport
    way: PinWay = PinWay.TYPED
    rules: PinRules = PinRules()


@record
class ChangeOrder:
    """A new PIN for a token. The rules are for the new PIN; the current one need only fit the token's own limits."""

    token: TokenReport
    kind: ChangeKind = ChangeKind.CHANGE
    way: PinWay = PinWay.TYPED
    rules: PinRules = PinRules()


@record
class Changed:
    """The token has the new PIN."""


def target_of(order: SignOrder | OpenOrder | ChangeOrder) -> Target:
    """The target of an order."""
    token = order.token
    return Target(
        module=token.ref.module, slot_id=token.ref.slot_id, label=token.label, manufacturer=token.manufacturer,
        model=token.model, serial=token.serial, pin_state=token.pin_state, way=order.way, rules=order.rules,
    )


def sign_command(order: SignOrder) -> SignCommand:
    """The command of an order to sign."""
    candidates = order.candidates[:MAX_CANDIDATES]
    return SignCommand(target_of(order), tuple(_candidate_command(candidate) for candidate in candidates))


def _candidate_command(candidate: Candidate) -> CandidateCommand:
    return CandidateCommand(
        certificate_sha256=sha256(candidate.certificate.der),
        object_id=candidate.certificate.object_id, public_key_der=candidate.public_key_der,
        context_login=candidate.context_login,
        choices=tuple((choice.mechanism, choice.data) for choice in candidate.choices),
    )
