# SPDX-License-Identifier: LGPL-2.1-or-later
"""What follows from a granted login beside the grant: pure functions from its evidence to what is said and left.

The shim does what is left only when the verdict has granted (docs/protocol.md, FACT): variables of the PAM environment,
those of pam_pkcs11 among them, the card of the session, and that the PIN must be changed.
"""

from __future__ import annotations

import datetime

from pam_sc.conversation import Fact
from pam_sc.decision.card_report import CardReport, TokenReport
from pam_sc.decision.evidence import CertificateFacts, Evidence
from pam_sc.decision.identity import read_subject
from pam_sc.decision.request import Account, AccountLookup
from pam_sc.decision.verdict import Granted
from pam_sc.events import find_token, pseudonym
from pam_sc.record import record
from pam_sc.session import SessionCard, session_card_text
from pam_sc.texts import Text

VALUE_MAX = 255
"""Bytes of a variable, as pam_pkcs11 cuts them."""

Left = tuple[Fact, str, str]


@record
class Announcement:
    """A text that is shown after success, and the date in it."""

    text: Text
    date: str


def announcement(granted: Granted, evidence: Evidence, warn_days: int, at: datetime.datetime) -> Announcement | None:
    """Return the announcement that the certificate expires within `warn_days`, if it does; 0 days: never."""
    facts = evidence.about(granted.certificate).facts
    if not isinstance(facts, CertificateFacts) or not warn_days:
        return None
    soon = facts.not_after - at <= datetime.timedelta(days=warn_days)
    return Announcement(Text.EXPIRES_SOON, facts.not_after.date().isoformat()) if soon else None


def facts_of(granted: Granted, evidence: Evidence, machine_id: str) -> tuple[Left, ...]:
    """Return what is left with the shim: variables, the card of the session, and whether the PIN must be changed."""
    token = find_token(evidence, granted.certificate)
    facts = evidence.about(granted.certificate).facts
    if token is None or not isinstance(facts, CertificateFacts):
        return ()
    der = next((each.der for each in token.certificates if each.ref == granted.certificate), b"")
    card = SessionCard(
        uid=_uid(evidence, granted.account), account=granted.account, service=evidence.request.service,
        label=token.label, serial=token.serial, manufacturer=token.manufacturer, model=token.model,
        certificate_sha256=facts.sha256.hex(), removable=_is_removable(token, evidence),
    )  # fmt: skip
    parts = (token.manufacturer, token.model, token.serial, token.label)
    variables = {
        "PKCS11_LOGIN_TOKEN_NAME": token.label,
        "PKCS11_LOGIN_CERT_ISSUER": read_subject(der).issuer.oneline or "",
        "PKCS11_LOGIN_CERT_SERIAL": _serial(facts.serial_number),
        "PAM_SC_TOKEN": pseudonym("\0".join(parts).encode(), machine_id) if machine_id else "",
        "PAM_SC_CERTIFICATE": facts.sha256.hex(),
    }
    left: list[Left] = [(Fact.VARIABLE, name, _cut(value)) for name, value in variables.items() if value]
    text = session_card_text(card)
    if text and card.uid >= 0:
        left.append((Fact.SESSION_CARD, "", text))
    if token.to_be_changed:
        left.append((Fact.PIN_TO_BE_CHANGED, "", ""))
    return tuple(left)


def _is_removable(token: TokenReport, evidence: Evidence) -> bool:
    """Whether the slot of the token says that it can be taken away; True where that is not known."""
    slots = evidence.card.tokens() if isinstance(evidence.card, CardReport) else ()
    return all(slot.removable for _, slot, each in slots if each.ref == token.ref)


def _uid(evidence: Evidence, account: str) -> int:
    """The uid of the granted account, -1 where it was never looked up."""
    looked_up: list[AccountLookup | None] = [evidence.requested, evidence.accounts.get(account)]
    return next((each.uid for each in looked_up if isinstance(each, Account) and each.name == account), -1)


def _serial(number: int) -> str:
    """A serial number as pam_pkcs11 writes it: octets in upper-case hexadecimal digits with colons between them."""
    octets = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big") if number >= 0 else b""
    return ":".join(f"{octet:02X}" for octet in octets)


def _cut(value: str) -> str:
    return value.encode()[:VALUE_MAX].decode("utf-8", "ignore")
