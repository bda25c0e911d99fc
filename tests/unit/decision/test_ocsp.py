# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one OCSP response says at a moment, by its status, its times and its nonce; each rule beside its near-misses."""

from __future__ import annotations

import datetime

import pytest

from pam_sc.decision.evidence import RevocationStatus, Situation
from pam_sc.decision.ocsp import REFUSALS, SUCCESSFUL, NonceVerdict, OcspFacts, OcspJudgement, SingleFacts, judge_ocsp
from pam_sc.decision.policy import RevocationRules
from pam_sc.record import replace

AT = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
HOUR, SECOND = datetime.timedelta(hours=1), datetime.timedelta(seconds=1)
SKEW = datetime.timedelta(minutes=5)
RULES = RevocationRules(clock_skew=SKEW)
GOOD, REVOKED, STALE, UNKNOWN = Situation.GOOD, Situation.REVOKED, Situation.STALE, Situation.UNKNOWN
END_OF_TIME = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)

SINGLE = SingleFacts(status=RevocationStatus.GOOD, this_update=AT - HOUR, next_update=AT + HOUR)
REVOKED_SINGLE = replace(SINGLE, status=RevocationStatus.REVOKED, revoked_at=AT - 2 * HOUR, reason="keyCompromise")
UNKNOWN_SINGLE = replace(SINGLE, status=RevocationStatus.UNKNOWN)
FACTS = OcspFacts(response=SUCCESSFUL, singles=(SINGLE,), produced_at=AT - HOUR, signer=None)


def judged(*singles: SingleFacts, nonce_required: bool = False, **changes: object) -> OcspJudgement:
    facts = replace(FACTS, singles=singles or FACTS.singles, **changes)
    return judge_ocsp(facts, RULES, AT, nonce_required=nonce_required)


def expect(judgement: OcspJudgement, situation: Situation, detail: str) -> None:
    assert judgement.situation is situation, judgement
    assert detail in judgement.detail


# ---------------------------------------------------------------- status


def test_good_answer_within_its_times_is_good() -> None:
    found = judged()
    expect(found, GOOD, "good as of 2030-01-02 02:04 UTC")
    assert (found.as_of, found.next_update) == (SINGLE.this_update, SINGLE.next_update)


def test_revoked_answer_is_revoked_and_says_since_when_and_why() -> None:
    found = judged(REVOKED_SINGLE)
    expect(found, REVOKED, "revoked since 2030-01-02 01:04 UTC (keyCompromise)")
    assert found.detail.endswith("(keyCompromise)")


@pytest.mark.parametrize("reason", [None, "certificateHold", "removeFromCRL", "superseded"])
def test_every_reason_of_a_revocation_counts(reason: str | None) -> None:
    expect(judged(replace(REVOKED_SINGLE, reason=reason)), REVOKED, reason or "revoked since")


def test_certificate_that_was_never_issued_is_revoked() -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    expect(judged(replace(REVOKED_SINGLE, reason="certificateHold", revoked_at=epoch)), REVOKED, "since 1970-01-01")


def test_revocation_that_begins_later_is_revoked_already() -> None:
    expect(judged(replace(REVOKED_SINGLE, revoked_at=AT + HOUR)), REVOKED, "since 2030-01-02 04:04")


def test_unknown_answer_is_unknown() -> None:
    expect(judged(UNKNOWN_SINGLE), UNKNOWN, "the responder does not know the certificate")


@pytest.mark.parametrize(("response", "detail"), REFUSALS.items())
def test_refusing_responder_leaves_it_unknown_with_a_clause_of_its_own(response: str, detail: str) -> None:
    found = judged(response=response)
    assert (found.situation, found.detail, found.as_of) == (UNKNOWN, detail, None)


def test_no_two_refusals_of_a_responder_read_alike() -> None:
    assert len(set(REFUSALS.values())) == len(REFUSALS) == 5


def test_status_that_nobody_knows_leaves_it_unknown() -> None:
    expect(judged(response="somethingNew"), UNKNOWN, "a status that nobody knows")


def test_answer_about_another_certificate_leaves_it_unknown() -> None:
    found = judge_ocsp(replace(FACTS, singles=()), RULES, AT)
    assert (found.situation, found.detail) == (UNKNOWN, "it is about another certificate")


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("single", "situation", "detail"),
    [
        (replace(SINGLE, this_update=AT + SKEW), GOOD, ""),
        (replace(SINGLE, this_update=AT + SKEW + SECOND), UNKNOWN, "from the future: its thisUpdate is 2030-01-02 03:09"),
        (replace(SINGLE, next_update=AT - SKEW), GOOD, ""),
        (replace(SINGLE, next_update=AT - SKEW - SECOND), STALE, "it was to be renewed by 2030-01-02 02:59 UTC"),
        (replace(SINGLE, next_update=END_OF_TIME), GOOD, ""),
        (replace(SINGLE, next_update=SINGLE.this_update), STALE, "it was to be renewed by 2030-01-02 02:04 UTC"),
        (replace(SINGLE, this_update=AT, next_update=AT), GOOD, ""),
        (replace(SINGLE, this_update=AT, next_update=AT - SECOND), UNKNOWN, "nextUpdate lies before its thisUpdate"),
    ],
)
def test_times_count_to_the_second_with_the_skew(single: SingleFacts, situation: Situation, detail: str) -> None:
    expect(judged(single), situation, detail)


@pytest.mark.parametrize(
    ("produced_at", "situation", "detail"),
    [
        (AT + SKEW, GOOD, ""),
        (AT + SKEW + SECOND, UNKNOWN, "from the future: its producedAt is 2030-01-02 03:09"),
        (AT - 1000 * HOUR, GOOD, ""),
    ],
)
def test_answer_that_was_produced_in_the_future_does_not_count(
    produced_at: datetime.datetime, situation: Situation, detail: str
) -> None:
    expect(judged(produced_at=produced_at), situation, detail)


def test_without_skew_one_second_is_too_much() -> None:
    rules = RevocationRules(clock_skew=datetime.timedelta())
    late = replace(FACTS, singles=(replace(SINGLE, next_update=AT - SECOND),))
    expect(judge_ocsp(late, rules, AT), STALE, "renewed")
    exact = replace(FACTS, singles=(replace(SINGLE, next_update=AT),))
    expect(judge_ocsp(exact, rules, AT), GOOD, "")


BEGIN, END = datetime.datetime.min.replace(tzinfo=datetime.UTC), datetime.datetime.max.replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("at", "next_update", "situation"),
    [
        (BEGIN, END_OF_TIME, UNKNOWN),
        (BEGIN, BEGIN, UNKNOWN),
        (END, END_OF_TIME, GOOD),
        (END, BEGIN, UNKNOWN),
        (END, SINGLE.next_update, STALE),
        (END, None, STALE),
    ],
)
def test_no_time_is_too_far_away_to_be_judged(
    at: datetime.datetime, next_update: datetime.datetime | None, situation: Situation
) -> None:
    facts = replace(FACTS, singles=(replace(SINGLE, next_update=next_update),))
    expect(judge_ocsp(facts, RULES, at), situation, "")


UNDATED = replace(SINGLE, next_update=None)


@pytest.mark.parametrize(
    ("nonce", "this_update", "situation"),
    [
        (NonceVerdict.REPEATED, AT - HOUR, GOOD),
        (NonceVerdict.ABSENT, AT - HOUR, STALE),
        (NonceVerdict.ABSENT, AT - SKEW, GOOD),
        (NonceVerdict.ABSENT, AT - SKEW - SECOND, STALE),
        (NonceVerdict.STORED, AT, STALE),
        (NonceVerdict.OTHER, AT, UNKNOWN),
    ],
)
def test_answer_without_next_update_counts_only_when_it_is_given(
    nonce: NonceVerdict, this_update: datetime.datetime, situation: Situation
) -> None:
    expect(judged(replace(UNDATED, this_update=this_update), nonce=nonce), situation, "")


def test_stored_answer_without_next_update_says_why_it_is_stale() -> None:
    expect(judged(UNDATED), STALE, "it has no nextUpdate, so it counts only at the moment it is given")


# ---------------------------------------------------------------- nonce, signer, extensions


@pytest.mark.parametrize(
    ("nonce", "required", "situation", "detail"),
    [
        (NonceVerdict.REPEATED, True, GOOD, ""),
        (NonceVerdict.ABSENT, True, UNKNOWN, "it does not repeat the nonce that was sent"),
        (NonceVerdict.ABSENT, False, GOOD, ""),
        (NonceVerdict.OTHER, False, UNKNOWN, "its nonce is not the one that was sent"),
        (NonceVerdict.STORED, True, GOOD, ""),
    ],
)
def test_nonce_must_be_the_one_that_was_sent(
    nonce: NonceVerdict, required: bool, situation: Situation, detail: str
) -> None:
    expect(judged(nonce=nonce, nonce_required=required), situation, detail)


@pytest.mark.parametrize("single", [SINGLE, REVOKED_SINGLE])
def test_what_a_wrong_signer_says_does_not_count(single: SingleFacts) -> None:
    expect(judged(single, signer="its signer is nobody"), UNKNOWN, "its signer is nobody")


@pytest.mark.parametrize("single", [SINGLE, REVOKED_SINGLE])
def test_response_that_must_not_be_used_does_not_count(single: SingleFacts) -> None:
    expect(judged(single, unusable="it is critical"), UNKNOWN, "it is critical")
    expect(judged(replace(single, unusable="this one is critical")), UNKNOWN, "this one is critical")


# ---------------------------------------------------------------- what keeps "good" from counting does not save anybody


@pytest.mark.parametrize(
    ("single", "changes", "good", "detail"),
    [
        ({"next_update": AT - HOUR}, {}, STALE, "though it was to be renewed by"),
        ({"this_update": AT + HOUR}, {}, UNKNOWN, "though it is from the future"),
        ({"next_update": None}, {}, STALE, "though it has no nextUpdate"),
        ({}, {"produced_at": AT + HOUR}, UNKNOWN, "though it is from the future"),
        ({}, {"nonce": NonceVerdict.OTHER}, UNKNOWN, "though its nonce is not the one that was sent"),
        ({}, {"nonce": NonceVerdict.ABSENT, "nonce_required": True}, UNKNOWN, "though it does not repeat"),
        ({}, {"doubt": "got a signature with sha1"}, UNKNOWN, "though got a signature with sha1"),
    ],
)
def test_genuine_revoked_counts_where_a_good_would_not(
    single: dict[str, object], changes: dict[str, object], good: Situation, detail: str
) -> None:
    expect(judged(replace(SINGLE, **single), **changes), good, detail.removeprefix("though "))
    expect(judged(replace(REVOKED_SINGLE, **single), **changes), REVOKED, detail)


# ---------------------------------------------------------------- several answers about one certificate


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "situation"),
    [
        (SINGLE, REVOKED_SINGLE, REVOKED),
        (replace(SINGLE, this_update=AT - HOUR + SECOND), REVOKED_SINGLE, GOOD),
        (replace(SINGLE, this_update=AT - HOUR - SECOND), REVOKED_SINGLE, REVOKED),
        (SINGLE, replace(UNKNOWN_SINGLE, this_update=AT), GOOD),
        (replace(SINGLE, next_update=AT - HOUR), UNKNOWN_SINGLE, STALE),
        (replace(SINGLE, this_update=AT + HOUR), replace(SINGLE, this_update=AT - 2 * HOUR), GOOD),
        (replace(SINGLE, this_update=AT - HOUR, next_update=AT - HOUR), SINGLE, GOOD),
    ],
)
def test_newest_definite_answer_speaks_and_at_a_tie_the_one_that_refuses(
    one: SingleFacts, other: SingleFacts, situation: Situation, swap: bool
) -> None:
    singles = (other, one) if swap else (one, other)
    expect(judged(*singles), situation, "")
