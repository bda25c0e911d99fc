# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each mode makes of good, revoked and unknown, with and without a named source."""

from __future__ import annotations

import pytest

from pam_sc.decision.evidence import RevocationFinding, RevocationStatus
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.reasons import Reason
from pam_sc.decision.revocation import judge_revocation

GOOD, REVOKED, UNKNOWN = RevocationStatus.GOOD, RevocationStatus.REVOKED, RevocationStatus.UNKNOWN
REQUIRE, NAMED, PREFER, OFF = RevocationMode.REQUIRE, RevocationMode.NAMED, RevocationMode.PREFER, RevocationMode.OFF


def finding(status: RevocationStatus, *, named: bool = True, subject: str = "CN=alice") -> RevocationFinding:
    return RevocationFinding(subject=subject, status=status, source_named=named, detail="why")


def reason(mode: RevocationMode, *findings: RevocationFinding) -> Reason | None:
    failure = judge_revocation(findings, mode)
    return None if failure is None else failure.reason


@pytest.mark.parametrize("mode", list(RevocationMode))
def test_good_is_enough_for_every_mode(mode: RevocationMode) -> None:
    assert reason(mode, finding(GOOD), finding(GOOD)) is None


@pytest.mark.parametrize("mode", [REQUIRE, NAMED, PREFER])
@pytest.mark.parametrize("named", [True, False])
def test_revoked_certificate_is_refused_in_every_mode_but_off(mode: RevocationMode, named: bool) -> None:
    assert reason(mode, finding(REVOKED, named=named), finding(GOOD)) is Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize("mode", [REQUIRE, NAMED, PREFER])
def test_revoked_issuer_is_refused_with_a_reason_of_its_own(mode: RevocationMode) -> None:
    assert reason(mode, finding(GOOD), finding(REVOKED)) is Reason.ISSUER_REVOKED


@pytest.mark.parametrize(
    ("mode", "named", "expected"),
    [
        (REQUIRE, True, Reason.REVOCATION_UNKNOWN),
        (REQUIRE, False, Reason.REVOCATION_UNKNOWN),
        (NAMED, True, Reason.REVOCATION_UNKNOWN),
        (NAMED, False, None),
        (PREFER, True, None),
        (PREFER, False, None),
        (OFF, True, None),
    ],
)
@pytest.mark.parametrize("index", [0, 1])
def test_unknown_status_is_refused_as_the_mode_says(
    mode: RevocationMode, named: bool, expected: Reason | None, index: int
) -> None:
    findings = [finding(GOOD), finding(GOOD)]
    findings[index] = finding(UNKNOWN, named=named)
    assert reason(mode, *findings) is expected


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
