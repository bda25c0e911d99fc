# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a grant leaves with the shim, and what it announces."""

from __future__ import annotations

import datetime
import json

import pytest

from pam_sc.conversation import Fact
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.certificate import read_facts
from pam_sc.decision.evidence import CertificateFacts, Evidence
from pam_sc.decision.request import Account, Request
from pam_sc.decision.verdict import Granted
from pam_sc.events import pseudonym
from pam_sc.granted import VALUE_MAX, Announcement, announcement, facts_of
from pam_sc.record import replace
from pam_sc.texts import Text
from tests.support.pki import CertificateAuthority

REF = CertificateRef(TokenRef(0, 5), 0)
GRANTED = Granted("alice", REF)
DER = CertificateAuthority().issue(key="p256").der
TOKEN = TokenReport(
    ref=REF.token, label="PIV of alice", manufacturer="maker", model="PKCS#15", serial="0042",
    certificates=(CertificateReport(ref=REF, der=DER),),
)  # fmt: skip


def evidence(token: TokenReport = TOKEN, **changes: object) -> Evidence:
    facts = read_facts(DER)
    assert isinstance(facts, CertificateFacts)
    known = Evidence(
        request=Request(service="login", account="alice", real_uid=0, effective_uid=0, saved_uid=0),
        requested=Account("alice", 1000),
        card=CardReport((ModuleReport(index=0, path="/m.so", slots=(SlotReport(slot_id=5, token=token),)),)),
    )
    return known.with_certificate(REF, facts=replace(facts, **changes))


def session_card(known: Evidence) -> dict[str, object]:
    """What is left for the session's file."""
    (text,) = [text for fact, _, text in facts_of(GRANTED, known, "machine") if fact is Fact.SESSION_CARD]
    found: dict[str, object] = json.loads(text)
    return found


def test_the_card_of_a_session_is_said_to_stay_where_its_slot_says_so() -> None:
    assert session_card(evidence())["removable"] is False


def test_the_card_of_a_session_can_be_taken_away_where_its_slot_says_so() -> None:
    modules = (ModuleReport(index=0, path="/m.so", slots=(SlotReport(slot_id=5, token=TOKEN, removable=True),)),)
    assert "removable" not in session_card(replace(evidence(), card=CardReport(modules)))


def left(known: Evidence) -> dict[str, str]:
    """The variables that are left."""
    return {name: value for fact, name, value in facts_of(GRANTED, known, "machine") if fact is Fact.VARIABLE}


def test_the_variables_of_pam_pkcs11_and_ours_are_left() -> None:
    assert left(evidence(serial_number=0x0A1B2C)) == {
        "PKCS11_LOGIN_TOKEN_NAME": "PIV of alice",
        "PKCS11_LOGIN_CERT_ISSUER": "/O=Example/CN=Test Root",
        "PKCS11_LOGIN_CERT_SERIAL": "0A:1B:2C",
        "PAM_SC_TOKEN": pseudonym(b"maker\0PKCS#15\x000042\0PIV of alice", "machine"),
        "PAM_SC_CERTIFICATE": evidence_sha256(),
    }


def evidence_sha256() -> str:
    facts = evidence().about(REF).facts
    assert isinstance(facts, CertificateFacts)
    return facts.sha256.hex()


@pytest.mark.parametrize(("number", "shown"), [(0, "00"), (1, "01"), (255, "FF"), (256, "01:00")])
def test_a_serial_number_is_written_in_whole_octets(number: int, shown: str) -> None:
    assert left(evidence(serial_number=number))["PKCS11_LOGIN_CERT_SERIAL"] == shown


def test_an_empty_label_is_no_variable() -> None:
    assert "PKCS11_LOGIN_TOKEN_NAME" not in left(evidence(replace(TOKEN, label="")))


def test_a_long_label_is_cut_at_a_whole_character() -> None:
    value = left(evidence(replace(TOKEN, label="ü" * 200)))["PKCS11_LOGIN_TOKEN_NAME"]
    assert value == "ü" * (VALUE_MAX // 2)


def test_the_card_of_the_session_is_left_with_the_hash_of_the_granted_certificate() -> None:
    texts = [value for fact, _name, value in facts_of(GRANTED, evidence(), "machine") if fact is Fact.SESSION_CARD]
    assert len(texts) == 1
    for part in ('"uid": 1000', '"account": "alice"', '"serial": "0042"', '"label": "PIV of alice"', evidence_sha256()):
        assert part in texts[0]


def test_the_card_of_a_session_carries_the_uid_of_an_account_that_the_card_named() -> None:
    known = replace(evidence(), requested=None, accounts={"alice": Account("alice", 1007)})
    assert any('"uid": 1007' in value for _fact, _name, value in facts_of(GRANTED, known, "machine"))


def test_an_account_that_was_never_looked_up_leaves_no_card() -> None:
    known = replace(evidence(), requested=None)
    assert not [fact for fact, _n, _v in facts_of(GRANTED, known, "machine") if fact is Fact.SESSION_CARD]


@pytest.mark.parametrize("to_be_changed", [False, True])
def test_a_pin_that_is_to_be_changed_is_left_and_no_other(to_be_changed: bool) -> None:
    known = evidence(replace(TOKEN, to_be_changed=to_be_changed))
    assert ((Fact.PIN_TO_BE_CHANGED, "", "") in facts_of(GRANTED, known, "machine")) is to_be_changed


def test_without_a_report_nothing_is_left() -> None:
    assert facts_of(GRANTED, replace(evidence(), card=None), "machine") == ()


AT = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("days", "seconds", "warn_days", "announced"),
    [(30, 0, 30, True), (30, 1, 30, False), (5, 0, 30, True), (5, 0, 0, False), (5, 0, 4, False), (400, 0, 400, True)],
)
def test_a_certificate_is_announced_from_the_first_second_of_the_term(
    days: int, seconds: int, warn_days: int, announced: bool
) -> None:
    end = AT + datetime.timedelta(days=days, seconds=seconds)
    said = announcement(GRANTED, evidence(not_after=end), warn_days, AT)
    assert said == (Announcement(Text.EXPIRES_SOON, end.date().isoformat()) if announced else None)


