# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a text says: the first of its forms whose values are all known, in the words of the configuration if it has some."""

from __future__ import annotations

import datetime

import pytest

from pam_sc.decision.card_report import CardReport, CertificateRef, ModuleReport, SlotReport, TokenRef, TokenReport
from pam_sc.decision.evidence import CertificateFacts, Evidence, Unparsable
from pam_sc.decision.reasons import REASONS, Reason
from pam_sc.decision.request import Request
from pam_sc.decision.verdict import Denied
from pam_sc.texts import PLACE, TEXTS, UNFILLED, Text, Texts, english, values_of

TOKEN = TokenRef(0, 0)
LEAF = CertificateRef(TOKEN, 0)
EXPIRED = Denied(Reason.CERTIFICATE_EXPIRED, certificate=LEAF)
EVERYTHING = [*Text, *Reason]


def evidence(label: str = "alice's card", not_after: datetime.datetime | None = None) -> Evidence:
    token = TokenReport(ref=TOKEN, label=label)
    slots = (SlotReport(slot_id=0, token=token),)
    known = Evidence(
        request=Request(service="login", account="alice", real_uid=0, effective_uid=0, saved_uid=0),
        card=CardReport((ModuleReport(index=0, path="/module.so", slots=slots),)),
    )
    if not_after is None:
        return known
    facts = CertificateFacts(
        subject="", issuer="", serial_number=1, not_before=not_after, not_after=not_after, key_kind=None, key_bits=0,
        key_text="", signature_hash=None, key_usage=None, extended_key_usage=None, sha256=b"", public_key_der=b"",
    )  # fmt: skip
    return known.with_certificate(LEAF, facts=facts)


def test_the_pin_prompt_names_the_card() -> None:
    assert Texts().say(Text.PIN, token="alice's card") == "PIN for alice's card: "


@pytest.mark.parametrize("values", [{}, {"token": ""}])
def test_a_card_without_a_name_is_not_named(values: dict[str, str]) -> None:
    assert Texts().say(Text.PIN, **values) == "PIN: "


def test_the_words_of_the_configuration_come_first() -> None:
    assert Texts(own={"pin": "Badge PIN ({token}): "}).say(Text.PIN, token="A") == "Badge PIN (A): "


def test_the_words_of_the_configuration_replace_a_refusal_too() -> None:
    assert Texts(own={"no-card": "No badge"}).say(Reason.NO_CARD) == "No badge"


def test_no_words_in_the_configuration_are_no_words() -> None:
    assert Texts(own={"no-card": ""}).say(Reason.NO_CARD) == ""


@pytest.mark.parametrize("own", ["Badge PIN ({token}): ", "PIN of {nobody}: "])
def test_words_of_the_configuration_with_a_value_that_is_not_known_give_way(own: str) -> None:
    assert Texts(own={"pin": own}).say(Text.PIN) == "PIN: "


def test_a_value_is_never_read_as_a_place() -> None:
    assert Texts().say(Text.INSERT_LOGIN_CARD, token="{why}{token}", why="x") == "Please insert your card {why}{token}"


def test_braces_that_are_no_place_stay() -> None:
    assert Texts(own={"no-card": "{} {0} {A}"}).say(Reason.NO_CARD) == "{} {0} {A}"


def test_an_expired_certificate_is_told_with_its_date() -> None:
    at = datetime.datetime(2026, 1, 31, 23, 59, 59, tzinfo=datetime.UTC)
    values = values_of(EXPIRED, evidence(not_after=at))
    assert values == {"date": "2026-01-31", "token": "alice's card"}
    assert Texts().say(Reason.CERTIFICATE_EXPIRED, **values) == "The certificate on the card expired on 2026-01-31"


@pytest.mark.parametrize(
    ("denied", "known"),
    [
        (EXPIRED, None),
        (EXPIRED, evidence()),
        (EXPIRED, evidence().with_certificate(LEAF, facts=Unparsable("no certificate"))),
        (Denied(Reason.CERTIFICATE_EXPIRED), evidence(not_after=datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC))),
    ],
    ids=["no evidence", "no certificate in it", "one that cannot be read", "none named"],
)
def test_without_a_date_it_has_expired(denied: Denied, known: Evidence | None) -> None:
    text = Texts().say(Reason.CERTIFICATE_EXPIRED, **values_of(denied, known))
    assert text == "The certificate on the card has expired"


def test_a_token_without_a_label_gives_no_value() -> None:
    assert values_of(EXPIRED, evidence(label="")) == {}


@pytest.mark.parametrize("what", EVERYTHING, ids=lambda what: what.value)
def test_every_text_reads_well_where_nothing_is_known(what: Text | Reason) -> None:
    if what is not Text.CHOICE:  # a list is only shown with values
        assert not PLACE.findall(UNFILLED.get(what, english(what)))


def test_every_text_has_a_name_of_its_own() -> None:
    assert len({what.value for what in EVERYTHING}) == len(EVERYTHING)
    assert set(TEXTS) == set(Text)
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize(
    "reasons",
    [
        [Reason.NO_CARD, Reason.TOKEN_NOT_SELECTED, Reason.PIN_WRONG, Reason.PIN_WRONG_FEW_LEFT, Reason.PIN_WRONG_ONE_LEFT,
         Reason.PIN_LAST_TRY, Reason.PIN_LOCKED, Reason.PIN_WRONG_NOW_LOCKED, Reason.PIN_TO_BE_CHANGED, Reason.PIN_EXPIRED,
         Reason.TOKEN_REMOVED, Reason.TOKEN_CHANGED, Reason.NOT_MAPPED, Reason.CERTIFICATE_EXPIRED, Reason.UNTRUSTED,
         Reason.CERTIFICATE_REVOKED, Reason.REVOCATION_UNKNOWN, Reason.CARD_SERVICE_DOWN, Reason.PIN_REPEATED,
         Reason.OTHER_CARD_THAN_LOGIN, Reason.NO_READER],
    ],
)  # fmt: skip
def test_what_a_person_must_act_on_differently_reads_differently(reasons: list[Reason]) -> None:
    assert len({english(reason) for reason in reasons}) == len(reasons)


@pytest.mark.parametrize("denied", [Reason.ACCOUNT_UNKNOWN, Reason.ROOT_NOT_ALLOWED, Reason.ACCOUNT_NOT_ALLOWED])
def test_what_only_a_stranger_wants_to_know_reads_the_same(denied: Reason) -> None:
    assert english(denied) == english(Reason.OTHER_ACCOUNT)
