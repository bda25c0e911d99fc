# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which OCSP responses count for a certificate, and why the others do not; each rule beside its near-misses."""

from __future__ import annotations

import datetime

import pytest

from pam_sc.decision.evidence import Situation
from pam_sc.decision.policy import Policy, RevocationRules
from pam_sc.trust.ocsp import ask_ocsp
from pam_sc.trust.sources import OcspMessage
from tests.support import ocsp_answer as answer
from tests.support.der import tlv
from tests.support.ocsp_answer import HOUR, Response, ocsp_response
from tests.support.pki import name_of
from tests.unit.trust.ocsp_question import (
    AT,
    DELEGATE,
    GOOD,
    ISSUERS,
    ISSUING,
    LEAF,
    NAMESAKE,
    NEXT,
    NO_SOURCE,
    NONCE,
    NOT_AT_HAND,
    OTHER_NONCE,
    REVOKED,
    ROOT,
    SECOND,
    SINGLE,
    STALE,
    UNKNOWN,
    URL,
    ask,
    expect,
    nobody_asks,
    path_certificate,
    response,
    single,
)

# ---------------------------------------------------------------- what a login sees


def test_good_answer_of_a_delegated_responder_is_good() -> None:
    found = ask(response())
    expect(found, GOOD, f"from '{URL}0' says: good as of ")
    assert (found.source, found.as_of, found.next_update) == (f"{URL}0", AT - HOUR, AT + HOUR)


def test_good_answer_of_the_issuer_is_good() -> None:
    expect(ask(response(signer=ISSUING)), GOOD)


def test_revoked_answer_is_revoked_with_its_reason() -> None:
    expect(ask(response(single(status="revoked", reason=1))), REVOKED, "(keyCompromise)")


def test_certificate_on_hold_is_revoked() -> None:
    expect(ask(response(single(status="revoked", reason=6))), REVOKED, "(certificateHold)")


def test_revocation_for_a_reason_that_does_not_exist_is_revoked() -> None:
    expect(ask(response(single(status="revoked", reason=7))), REVOKED, "revoked since")


def test_certificate_that_was_never_issued_is_revoked() -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    extended = (answer.EXTENDED_REVOKE, False, b"\x05\x00")
    der = response(single(status="revoked", reason=6, revoked_at=epoch), extensions=[extended])
    expect(ask(der), REVOKED, "since 1970-01-01")


def test_unknown_answer_is_unknown() -> None:
    expect(ask(response(single(status="unknown"))), UNKNOWN, "does not count: the responder does not know")


@pytest.mark.parametrize(("named", "situation"), [(True, NOT_AT_HAND), (False, NO_SOURCE)])
def test_without_an_answer_it_matters_whether_a_responder_is_named(named: bool, situation: Situation) -> None:
    found = ask_ocsp(
        path_certificate(LEAF), ISSUERS, [], rules=RevocationRules(), policy=Policy(), at=AT, responder=None,
        nonce_required=True, judge_signer=nobody_asks, named=named,
    )
    expect(found, situation)
    assert (found.source, found.as_of, found.next_update) == (None, None, None)


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (answer.MALFORMED_REQUEST, "found the request malformed"),
        (answer.INTERNAL_ERROR, "has an internal error"),
        (answer.TRY_LATER, "wants to be asked again later"),
        (answer.SIG_REQUIRED, "answers signed requests only"),
        (answer.UNAUTHORIZED, "does not answer for this certificate"),
        (4, "cannot be read"),
        (99, "cannot be read"),
    ],
)
def test_refusing_responder_leaves_it_unknown(status: int, detail: str) -> None:
    expect(ask(answer.ocsp_failure(status)), UNKNOWN, detail)


@pytest.mark.parametrize(
    ("der", "detail"),
    [
        (b"", "it is empty"),
        (b"\0", "it cannot be read"),
        (b"<html>no such page</html>", "it cannot be read"),
        (response() + b"\0", "it cannot be read"),
        (response()[:-1], "it cannot be read"),
        (LEAF.der, "it cannot be read"),
        (answer.ocsp_failure(0), "it cannot be read"),
        (b"\x30\x84\x7f\xff\xff\xff", "it cannot be read"),
        (b"\0" * ((1 << 20) + 1), "it has 1048577 bytes, expected at most 1048576"),
    ],
)
def test_bytes_that_are_no_response_leave_it_unknown(der: bytes, detail: str) -> None:
    expect(ask(der), UNKNOWN, detail)


def test_control_characters_of_a_url_do_not_reach_people() -> None:
    found = ask_ocsp(
        path_certificate(LEAF), ISSUERS, [OcspMessage(der=response(), source="http://a/\x1b[2J")],
        rules=RevocationRules(), policy=Policy(), at=AT, responder=None, nonce_required=False,
        judge_signer=nobody_asks, named=True,
    )
    assert "\x1b" not in f"{found.detail}{found.source}"
    assert found.situation is GOOD


def test_url_of_any_length_stays_readable() -> None:
    found = ask_ocsp(
        path_certificate(LEAF), ISSUERS, [OcspMessage(der=response(), source="http://a/" + "b" * 10_000)],
        rules=RevocationRules(), policy=Policy(), at=AT, responder=None, nonce_required=False,
        judge_signer=nobody_asks, named=True,
    )
    assert len(found.detail) < 1000
    assert found.situation is GOOD


def test_certificate_without_an_issuer_on_its_path_is_unknown() -> None:
    expect(ask(response(), issuers=()), UNKNOWN, "has no issuer on this path")


# ---------------------------------------------------------------- CertID


@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_certificate_is_found_under_every_hash(hash_name: str, status: str) -> None:
    expect(ask(response(single(hash_name=hash_name, status=status))), Situation(status))


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": NEXT},
        {"certificate": LEAF.serial + 1},
        {"certificate": -LEAF.serial},
        {"name_of": ROOT},
        {"key_of": NAMESAKE},
        {"issuer": NAMESAKE},
    ],
)
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_answer_counts_only_for_its_own_serial_issuer_name_and_issuer_key(
    changes: dict[str, object], hash_name: str, status: str
) -> None:
    found = ask(response(single(hash_name=hash_name, status=status, **changes)))
    expect(found, UNKNOWN, "it is about another certificate")


def test_cert_id_with_a_hash_that_is_no_choice_is_about_another_certificate() -> None:
    expect(ask(response(single(hash_name="md5"))), UNKNOWN, "it is about another certificate")
    expect(ask(response(single(hash_name="md5", status="revoked"), SINGLE)), GOOD)


def test_response_without_any_answer_is_about_another_certificate() -> None:
    expect(ask(ocsp_response(Response(singles=(), signer=DELEGATE))), UNKNOWN)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_ours_is_picked_among_the_answers_of_one_response(position: int, status: str) -> None:
    others = [single(certificate=NEXT, status="revoked"), single(certificate=LEAF.serial + 2, status="unknown")]
    others.insert(position, single(status=status))
    expect(ask(response(*others)), Situation(status))


def test_several_answers_none_of_which_is_ours_leave_it_unknown() -> None:
    der = response(single(certificate=NEXT), single(certificate=LEAF.serial + 2))
    expect(ask(der), UNKNOWN, "it is about another certificate")


def test_foreign_answer_under_an_unknown_hash_does_not_hide_ours() -> None:
    expect(ask(response(single(certificate=NEXT, hash_name="md5"), SINGLE)), GOOD)


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_answers_about_it_in_one_response_the_one_that_refuses_counts(swap: bool) -> None:
    both = [single(hash_name="sha256"), single(status="revoked")]
    expect(ask(response(*(reversed(both) if swap else both))), REVOKED)


# ---------------------------------------------------------------- nonce


@pytest.mark.parametrize(
    ("sent", "found", "required", "situation", "detail"),
    [
        (NONCE, NONCE, True, GOOD, ""),
        (NONCE, None, False, GOOD, ""),
        (NONCE, None, True, UNKNOWN, "it does not repeat the nonce that was sent"),
        (NONCE, OTHER_NONCE, False, UNKNOWN, "its nonce is not the one that was sent"),
        (NONCE, NONCE[:-1], False, UNKNOWN, "its nonce is not the one that was sent"),
        (NONCE, b"", False, UNKNOWN, "its nonce is not the one that was sent"),
        (None, OTHER_NONCE, True, GOOD, ""),
        (None, None, True, GOOD, ""),
    ],
)
def test_nonce_is_looked_at_where_one_was_sent(
    sent: bytes | None, found: bytes | None, required: bool, situation: Situation, detail: str
) -> None:
    expect(ask(response(nonce=found), nonce=sent, nonce_required=required), situation, detail)


def test_answer_without_next_update_counts_with_its_nonce_and_not_from_the_store() -> None:
    der = response(single(next_update=None), nonce=NONCE)
    expect(ask(der, nonce=NONCE), GOOD)
    expect(ask(der), STALE, "it has no nextUpdate")


def test_answer_without_next_update_to_a_question_without_a_nonce_counts_in_its_moment() -> None:
    fresh, old = (response(single(next_update=None, this_update=AT - datetime.timedelta(minutes=age))) for age in (4, 6))
    expect(ask(fresh, fetched=True), GOOD)
    expect(ask(old, fetched=True), STALE, "it has no nextUpdate")
    expect(ask(fresh), STALE, "it has no nextUpdate")


# ---------------------------------------------------------------- times


def test_stale_and_future_answers_do_not_count() -> None:
    minutes = datetime.timedelta(minutes=6)
    expect(ask(response(single(next_update=AT - minutes))), STALE, "does not count: it was to be renewed by")
    expect(ask(response(single(this_update=AT + minutes))), UNKNOWN, "its thisUpdate is")
    expect(ask(response(produced_at=AT + minutes)), UNKNOWN, "its producedAt is")
    expect(ask(response(single(next_update=AT - minutes, status="revoked"))), REVOKED, "though it was to be renewed")


# ---------------------------------------------------------------- extensions


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_critical_unknown_extension_of_the_response_rules_it_out(critical: bool, status: str) -> None:
    extension = (answer.UNKNOWN_EXTENSION, critical, b"\x05\x00")
    found = ask(response(single(status=status), extensions=[extension]))
    expect(found, UNKNOWN if critical else Situation(status), answer.UNKNOWN_EXTENSION if critical else "")


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("status", ["good", "revoked"])
@pytest.mark.parametrize("others", [0, 1])
def test_critical_unknown_extension_of_our_answer_rules_it_out(critical: bool, status: str, others: int) -> None:
    extension = (answer.UNKNOWN_EXTENSION, critical, b"\x05\x00")
    found = ask(response(single(status=status, extensions=[extension]), *[single(certificate=NEXT)] * others))
    expect(found, UNKNOWN if critical else Situation(status), "its answer about the certificate" if critical else "")


@pytest.mark.parametrize("status", ["good", "revoked"])
def test_critical_unknown_extension_of_another_answer_does_no_harm(status: str) -> None:
    extension = (answer.UNKNOWN_EXTENSION, True, b"\x05\x00")
    expect(ask(response(single(certificate=NEXT, extensions=[extension]), single(status=status))), Situation(status))


@pytest.mark.parametrize("next_update", [None, AT + HOUR])
def test_critical_extension_is_found_with_and_without_next_update(next_update: datetime.datetime | None) -> None:
    extension = (answer.UNKNOWN_EXTENSION, True, b"\x05\x00")
    der = response(single(next_update=next_update, extensions=[extension]), nonce=NONCE)
    expect(ask(der, nonce=NONCE), UNKNOWN, "its answer about the certificate")


def test_critical_extensions_that_are_known_do_no_harm() -> None:
    time = tlv(0x18, b"20200101000000Z")
    cutoff, invalidity = ("1.3.6.1.5.5.7.48.1.6", True, time), ("2.5.29.24", True, time)
    expect(ask(response(single(extensions=[cutoff, invalidity]))), GOOD)
    nonce = (answer.NONCE, True, tlv(0x04, NONCE))
    expect(ask(response(extensions=[nonce, (answer.EXTENDED_REVOKE, True, b"\x05\x00")]), nonce=NONCE), GOOD)


def test_certificate_issuer_of_another_authority_rules_an_answer_out() -> None:
    other = tlv(0x30, tlv(0xA4, name_of("Elsewhere").public_bytes()))
    expect(ask(response(single(extensions=[("2.5.29.29", True, other)]))), UNKNOWN, "critical extension")


# ---------------------------------------------------------------- several messages


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "situation", "speaks"),
    [
        (response(single(this_update=AT - HOUR + SECOND)), response(single(status="revoked")), GOOD, 0),
        (response(single(this_update=AT - HOUR - SECOND)), response(single(status="revoked")), REVOKED, 1),
        (response(), response(single(status="revoked")), REVOKED, 1),
        (response(), response(single(status="unknown", this_update=AT)), GOOD, 0),
        (response(), answer.ocsp_failure(answer.TRY_LATER), GOOD, 0),
        (response(), response(single(status="revoked", this_update=AT), break_signature=True), GOOD, 0),
        (response(single(status="revoked")), response(single(this_update=AT), break_signature=True), REVOKED, 0),
        (response(single(next_update=AT - HOUR)), b"", STALE, 0),
        (response(), b"garbage", GOOD, 0),
    ],
)
def test_newest_definite_genuine_answer_speaks(
    one: bytes, other: bytes, situation: Situation, speaks: int, swap: bool
) -> None:
    found = ask(*((other, one) if swap else (one, other)))
    expect(found, situation)
    assert found.source == f"{URL}{1 - speaks if swap else speaks}"


def test_where_none_counts_each_says_why() -> None:
    found = ask(b"", answer.ocsp_failure(answer.TRY_LATER), response(single(certificate=NEXT)))
    expect(found, UNKNOWN, f"from '{URL}0' does not count: it is empty; ")
    assert "asked again later; " in found.detail
    assert found.detail.endswith("it is about another certificate")
