# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each mode makes of good, revoked and unknown, with and without a named source."""

from __future__ import annotations

import pytest

from pam_sc.decision.evidence import RevocationFinding, Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import REASONS, PamCode, Reason
from pam_sc.decision.revocation import OUTCOMES, judge_revocation

REQUIRE, NAMED, PREFER, OFF = RevocationMode.REQUIRE, RevocationMode.NAMED, RevocationMode.PREFER, RevocationMode.OFF
GOOD, REVOKED, UNKNOWN = Situation.GOOD, Situation.REVOKED, Situation.UNKNOWN
NO_SOURCE, NOT_AT_HAND, STALE = Situation.NO_SOURCE, Situation.NOT_AT_HAND, Situation.STALE


def finding(
    situation: Situation, *, subject: str = "CN=alice", mode: RevocationMode | None = None
) -> RevocationFinding:
    return RevocationFinding(subject=subject, situation=situation, detail="why", mode=mode)


def reason(mode: RevocationMode, *findings: RevocationFinding) -> Reason | None:
    failure = judge_revocation(findings, mode)
    return None if failure is None else failure.reason


@pytest.mark.parametrize("mode", list(RevocationMode))
def test_good_is_enough_for_every_mode(mode: RevocationMode) -> None:
    assert reason(mode, finding(GOOD), finding(GOOD)) is None


@pytest.mark.parametrize("mode", [REQUIRE, NAMED, PREFER])
def test_revoked_certificate_is_refused_in_every_mode_but_off(mode: RevocationMode) -> None:
    assert reason(mode, finding(REVOKED), finding(GOOD)) is Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize("mode", [REQUIRE, NAMED, PREFER])
def test_revoked_issuer_is_refused_with_a_reason_of_its_own(mode: RevocationMode) -> None:
    assert reason(mode, finding(GOOD), finding(REVOKED)) is Reason.ISSUER_REVOKED


@pytest.mark.parametrize(
    ("mode", "situation", "expected"),
    [
        (REQUIRE, NO_SOURCE, Reason.REVOCATION_UNKNOWN),
        (REQUIRE, NOT_AT_HAND, Reason.REVOCATION_NOT_AT_HAND),
        (REQUIRE, STALE, Reason.REVOCATION_STALE),
        (REQUIRE, UNKNOWN, Reason.REVOCATION_UNKNOWN),
        (NAMED, NO_SOURCE, None),
        (NAMED, NOT_AT_HAND, Reason.REVOCATION_NOT_AT_HAND),
        (NAMED, STALE, Reason.REVOCATION_STALE),
        (NAMED, UNKNOWN, Reason.REVOCATION_UNKNOWN),
        *((mode, situation, None) for mode in (PREFER, OFF) for situation in (NO_SOURCE, NOT_AT_HAND, STALE, UNKNOWN)),
    ],
)
@pytest.mark.parametrize("index", [0, 1])
def test_what_is_not_known_is_refused_as_the_mode_says(
    mode: RevocationMode, situation: Situation, expected: Reason | None, index: int
) -> None:
    findings = [finding(GOOD), finding(GOOD)]
    findings[index] = finding(situation)
    assert reason(mode, *findings) is expected


def test_every_mode_has_an_outcome_for_every_situation() -> None:
    assert {mode: set(row) for mode, row in OUTCOMES.items()} == {mode: set(Situation) for mode in RevocationMode}


@pytest.mark.parametrize("reason_given", {reason for row in OUTCOMES.values() for reason in row.values() if reason})
def test_no_outcome_lets_another_module_take_over(reason_given: Reason) -> None:
    assert REASONS[reason_given].code is PamCode.AUTH_ERR


def test_rule_of_its_ca_counts_before_the_rule_of_the_whole() -> None:
    assert reason(PREFER, finding(UNKNOWN, mode=REQUIRE)) is Reason.REVOCATION_UNKNOWN
    assert reason(REQUIRE, finding(UNKNOWN, mode=PREFER)) is None
    assert reason(REQUIRE, finding(UNKNOWN, mode=PREFER), finding(UNKNOWN)) is Reason.REVOCATION_UNKNOWN


def test_off_does_not_look_at_revoked() -> None:
    assert reason(OFF, finding(REVOKED)) is None


def test_revoked_issuer_counts_before_an_unknown_leaf() -> None:
    assert reason(REQUIRE, finding(UNKNOWN), finding(REVOKED)) is Reason.ISSUER_REVOKED


def test_revoked_leaf_counts_before_a_revoked_issuer() -> None:
    assert reason(NAMED, finding(REVOKED), finding(REVOKED)) is Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize("mode", [REQUIRE, NAMED, PREFER])
def test_nothing_looked_up_is_never_enough(mode: RevocationMode) -> None:
    assert reason(mode) is Reason.REVOCATION_UNKNOWN


def test_detail_names_the_certificate_and_why() -> None:
    failure = judge_revocation((finding(GOOD), finding(UNKNOWN, subject="CN=Issuing")), REQUIRE)
    assert failure is not None
    assert failure.detail == "'CN=Issuing': why"
