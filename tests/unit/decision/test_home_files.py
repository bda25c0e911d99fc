# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a file in a home counts: never where it would let a person make themselves more than they are."""

from __future__ import annotations

import pytest

from pam_sc.decision.home_files import why_not_believed
from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES
from pam_sc.decision.request import Request

ALICE = 1000


def request(service: str = "login", uids: tuple[int, int, int] = (0, 0, 0), *, at_secure: bool = False) -> Request:
    real, effective, saved = uids
    return Request(
        service=service, account="alice", real_uid=real, effective_uid=effective, saved_uid=saved, at_secure=at_secure
    )


def why(asked: Request, *believed_for: str) -> str | None:
    return why_not_believed(asked, DEFAULT_PRIVILEGED_SERVICES, frozenset(believed_for))


def test_a_login_that_begins_with_nothing_believes_the_file() -> None:
    assert why(request("login")) is None
    assert why(request("sshd")) is None


def test_a_caller_without_privilege_may_use_its_own_file() -> None:
    assert why(request("swaylock", (ALICE, ALICE, ALICE))) is None


@pytest.mark.parametrize("service", sorted(DEFAULT_PRIVILEGED_SERVICES))
def test_a_service_that_gives_privilege_does_not_believe_the_file_whoever_asks(service: str) -> None:
    text = f"service {service!r} is in [account] privileged_services, and the mapper's believed_for does not name it"
    assert why(request(service)) == text
    assert why(request(service, (ALICE, 0, 0))) == text
    assert why(request(service, (ALICE, ALICE, ALICE))) == text


@pytest.mark.parametrize(
    ("uids", "at_secure"), [((ALICE, 0, 0), False), ((ALICE, ALICE, 0), False), ((ALICE,) * 3, True)]
)
def test_a_program_with_more_privilege_than_its_caller_does_not_believe_the_file(
    uids: tuple[int, int, int], at_secure: bool
) -> None:
    text = "the program has more privilege than who started it, and the mapper's believed_for does not name 'xlock'"
    assert why(request("xlock", uids, at_secure=at_secure)) == text


def test_the_configuration_may_name_the_service() -> None:
    assert why(request("sudo", (ALICE, 0, 0)), "sudo") is None
    assert why(request("xlock", (ALICE, 0, 0)), "sudo", "xlock") is None


def test_a_service_that_is_not_the_named_one_stays_refused() -> None:
    assert why(request("sudo-i", (ALICE, 0, 0)), "sudo") is not None
    assert why(request("sudo", (ALICE, 0, 0)), "SUDO") is not None


def test_without_privileged_services_a_setuid_program_is_refused_all_the_same() -> None:
    assert why_not_believed(request("sudo", (ALICE, 0, 0)), frozenset(), frozenset()) is not None
    assert why_not_believed(request("sudo"), frozenset(), frozenset()) is None
