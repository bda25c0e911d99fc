# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps 2 and 3 of a login (decide.py): the tokens and certificates that the configuration selects.

Where a session is unlocked with the same card, only the card that opened it counts: by its certificate too, because a
label and a serial number are quickly copied. Where there is no such token, and the configuration says so, one is
waited for; never for a card service that is down or a module that does not work, nor once a PIN was asked for: what is
known of that token must not come to be believed of the next one in its slot.
"""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.decision.card_report import CardReport, CertificateReport, Failure, SessionCard, TokenReport
from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.policy import Otherwise, Policy
from pam_sc.decision.possession import Answer
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account
from pam_sc.decision.verdict import Denied, Needs
from pam_sc.record import record, replace

WAITED_FOR = frozenset({Reason.NO_READER, Reason.NO_CARD, Reason.TOKEN_NOT_SELECTED, Reason.OTHER_CARD_THAN_LOGIN})
"""What may be otherwise once somebody has inserted a card."""


@record
class _LoginCard:
    """The card that a session was opened with: as recorded or, without a record, by what the host says of it."""

    cards: tuple[SessionCard, ...]
    label: str


def find_tokens(evidence: Evidence, policy: Policy, account: Account | None) -> list[TokenReport] | Denied | Needs:
    """Return the tokens that count, in order, why there is none, or what is missing."""
    wanted = _find_login_card(evidence, policy, account)
    if isinstance(wanted, Denied | Needs):
        return wanted
    if evidence.card is None:
        return Needs(Step.TOKEN)
    tokens = select_tokens(evidence.card, policy)
    if isinstance(tokens, list) and wanted is not None:
        tokens = _narrow(tokens, wanted)
    if isinstance(tokens, Denied) and tokens.reason in WAITED_FOR and policy.wait_s > 0 and not evidence.attempts:
        return _wait(evidence, tokens, "" if wanted is None else wanted.label)
    return tokens


def _wait(evidence: Evidence, refused: Denied, label: str) -> Denied | Needs:
    """Wait for a token, once more where another one came than is wanted; the limit is for all of it."""
    match evidence.waited:
        case None | Answer.WAITED:
            return Needs(Step.TOKEN, wait=True, wanted=label)
        case Answer.TIMEOUT:
            return refused
        case _:
            return Denied(Reason.WAIT_CANCELLED, refused.detail)


def select_tokens(card: CardReport | Failure, policy: Policy) -> list[TokenReport] | Denied:
    """Return the tokens that the configuration selects, in order, or why there is none."""
    if isinstance(card, Failure):
        return Denied(card.reason, card.detail)
    found = card.tokens()
    select = policy.select
    selected = [token for module, slot, token in found if select is None or select.selects(module, slot, token)]
    if selected:
        return selected
    if found and select is not None:
        return Denied(Reason.TOKEN_NOT_SELECTED, f"none of {len(found)} tokens matches {select.text}")
    return _why_no_token(card)


def _why_no_token(card: CardReport) -> Denied:
    failures = [slot.failure for module in card.modules for slot in module.slots if slot.failure]
    failures += [module.failure for module in card.modules if module.failure]
    readers = sum(len(module.slots) for module in card.modules)
    loud = [failure for failure in failures if failure.reason is not Reason.NO_READER]
    if loud:
        return Denied(loud[0].reason, loud[0].detail)
    if readers:
        return Denied(Reason.NO_CARD, f"{readers} slots, none with a token")
    return Denied(Reason.NO_READER, failures[0].detail if failures else "no module shows a slot")


# ---------------------------------------------------------------- unlocking with the same card


def _find_login_card(evidence: Evidence, policy: Policy, account: Account | None) -> _LoginCard | Denied | Needs | None:
    """Return the card that unlocks the account's session, None where any may, else what is wrong or missing."""
    request, rules = evidence.request, policy.unlock
    if not rules.same_card or not rules.unlocks(request.service, request.login_token):
        return None
    if account is None:
        return Denied(Reason.ACCOUNT_NOT_NAMED, "whose session is unlocked must be known before its card is")
    if evidence.session_cards is None:
        return Needs(Step.TOKEN, account=account.name)
    cards = tuple(card for card in evidence.session_cards if request.login_token in ("", card.label))
    if cards:
        return _LoginCard(cards, cards[0].label)
    if request.login_token and rules.otherwise is Otherwise.CARD:
        return _LoginCard((), request.login_token)
    if request.login_token or evidence.session_cards:
        return Denied(Reason.NO_CARD_LOGIN, "the card that the host names is in no record of a session")
    if rules.otherwise is Otherwise.CARD:
        return None
    return Denied(Reason.NO_CARD_LOGIN, "no session was opened with a card", ignored=rules.otherwise is Otherwise.IGNORE)


def _narrow(tokens: Sequence[TokenReport], wanted: _LoginCard) -> list[TokenReport] | Denied:
    same = [narrowed for token in tokens for narrowed in [_narrowed(token, wanted)] if narrowed is not None]
    return same or Denied(Reason.OTHER_CARD_THAN_LOGIN, f"none of {len(tokens)} tokens is the one that opened the session")


def _narrowed(token: TokenReport, wanted: _LoginCard) -> TokenReport | None:
    """Return the token with that certificate alone, None if it is another card.

    One that shows no certificate before a login may still be it.
    """
    if not wanted.cards:
        return token if token.label == wanted.label else None
    described = (token.label, token.serial, token.manufacturer, token.model)
    hashes = {
        card.certificate_sha256
        for card in wanted.cards
        if (card.label, card.serial, card.manufacturer, card.model) == described
    }
    same = tuple(each for each in token.certificates if each.failure is None and sha256(each.der).hex() in hashes)
    return replace(token, certificates=same) if same or (hashes and not token.certificates) else None


# ---------------------------------------------------------------- 3. their certificates


def list_certificates(tokens: Sequence[TokenReport], policy: Policy) -> tuple[list[CertificateReport], list[Denied]]:
    """Return the certificates that could be read and are selected, in order, and a refusal for every other thing."""
    certificates: list[CertificateReport] = []
    refusals: list[Denied] = []
    for token in tokens:
        if token.failure is not None:
            refusals.append(Denied(token.failure.reason, token.failure.detail))
        elif not token.certificates:
            refusals.append(Denied(Reason.NO_CERTIFICATE, "the token shows no certificate without a login"))
        for certificate in token.certificates:
            refused = _why_not_listed(certificate, policy)
            if refused is None:
                certificates.append(certificate)
            else:
                refusals.append(refused)
    return certificates, refusals


def _why_not_listed(certificate: CertificateReport, policy: Policy) -> Denied | None:
    if certificate.failure is not None:
        return Denied(certificate.failure.reason, certificate.failure.detail, certificate.ref)
    for select in (policy.certificate_select, policy.select.certificate if policy.select is not None else None):
        if select is not None and not select.selects(certificate):
            return Denied(Reason.CERTIFICATE_NOT_SELECTED, f"it is not {select.text}", certificate.ref)
    return None
