# SPDX-License-Identifier: LGPL-2.1-or-later
"""One thing grants a login: a whole verdict for this request, then end of file. Beside it, everything that only looks so."""

from __future__ import annotations

import pytest

from tests.support.shim_host import Host

SUCCESS, SERVICE_ERR, SYSTEM_ERR, AUTH_ERR = 0, 3, 4, 7
PROTOCOL = "3 refused: the verifier broke the protocol"
NO_VERDICT = "3 refused: the verifier ended without a verdict"
NOT_OURS = "3 refused: the verdict is none for this request"
WENT_ON = "3 refused: the verifier went on after its verdict"
OTHER_ACCOUNT = "3 refused: the verdict is for another account than PAM asks for"
TOO_MANY_SECRETS = "3 refused: the verifier asks for more secrets than a login needs"
TOO_LONG = "3 refused: the card and its checks took too long; raise timeout= if that is usual for this card"

GRANTING = ["grant", "byte-by-byte", "frames-63", "length-at-limit", "three-prompts"]

# behaviour: code and last log line
REFUSED = {
    "exit-zero": (SYSTEM_ERR, NO_VERDICT),
    "killed": (SYSTEM_ERR, NO_VERDICT),
    "crashes": (SYSTEM_ERR, NO_VERDICT),
    "half-header": (SYSTEM_ERR, NO_VERDICT),
    "half-frame": (SYSTEM_ERR, NO_VERDICT),
    "unknown-frame": (SYSTEM_ERR, PROTOCOL),
    "request-frame": (SYSTEM_ERR, PROTOCOL),
    "reserved-bytes": (SYSTEM_ERR, PROTOCOL),
    "field-too-many": (SYSTEM_ERR, PROTOCOL),
    "field-too-few": (SYSTEM_ERR, PROTOCOL),
    "wide-code": (SYSTEM_ERR, PROTOCOL),
    "huge-length": (SYSTEM_ERR, PROTOCOL),
    "length-over-limit": (SYSTEM_ERR, PROTOCOL),
    "bad-style": (SYSTEM_ERR, PROTOCOL),
    "bad-kind": (SYSTEM_ERR, PROTOCOL),
    "bad-severity": (SYSTEM_ERR, PROTOCOL),
    "nul-text": (SYSTEM_ERR, PROTOCOL),
    "nul-account": (SYSTEM_ERR, PROTOCOL),
    "log-flood": (SYSTEM_ERR, PROTOCOL),
    "frames-64": (SYSTEM_ERR, PROTOCOL),
    "prompt-flood": (SYSTEM_ERR, TOO_MANY_SECRETS),
    "four-prompts": (SYSTEM_ERR, TOO_MANY_SECRETS),
    "two-verdicts": (SYSTEM_ERR, WENT_ON),
    "denied-then-granted": (SYSTEM_ERR, WENT_ON),
    "trailing-byte": (SYSTEM_ERR, WENT_ON),
    "wrong-nonce": (SYSTEM_ERR, NOT_OURS),
    "wrong-nonce-denied": (SYSTEM_ERR, NOT_OURS),
    "wrong-function": (SYSTEM_ERR, NOT_OURS),
    "no-account": (SYSTEM_ERR, NOT_OURS),
    "long-account": (SYSTEM_ERR, NOT_OURS),
    "wrong-account": (SYSTEM_ERR, OTHER_ACCOUNT),
    "prefix-account": (SYSTEM_ERR, OTHER_ACCOUNT),
    "longer-account": (SYSTEM_ERR, OTHER_ACCOUNT),
    "complain-1": (SYSTEM_ERR, "3 refused: a system call of the supervisor failed"),
    "complain-2": (SERVICE_ERR, "3 refused: the supervisor got no privilege, or could not set its limits"),
    "complain-3": (SYSTEM_ERR, TOO_LONG),
    "complain-4": (SYSTEM_ERR, "3 refused: the verifier crashed"),
    "complain-5": (
        SERVICE_ERR,
        "3 refused: unsafe owner or mode of the worker, libpython or a search directory; run pam-sc check-config",
    ),
    "complain-6": (SYSTEM_ERR, "3 refused: the supervisor broke the protocol"),
    "complain-and-end-5": (
        SERVICE_ERR,
        "3 refused: unsafe owner or mode of the worker, libpython or a search directory; run pam-sc check-config",
    ),
    "complain-after-pin-3": (AUTH_ERR, TOO_LONG),
    "lifeline-closed": (SYSTEM_ERR, "3 refused: the supervisor ended without a verdict"),
    "no-such-behaviour": (SYSTEM_ERR, NO_VERDICT),
}
ALLOWED = {3, 4, 5, 7, 9, 10, 11, 19, 31}
IGNORE, IGNORED = 25, 6
"""libpam turns a stack that only ignores into the second."""


@pytest.mark.parametrize("behaviour", GRANTING)
def test_a_whole_verdict_with_its_end_of_file_grants(host: Host, behaviour: str) -> None:
    assert host.login(behaviour).code == SUCCESS


@pytest.mark.parametrize("behaviour", REFUSED)
def test_whatever_is_not_a_whole_verdict_is_refused_with_its_reason(host: Host, behaviour: str) -> None:
    outcome = host.login(behaviour)
    assert (outcome.code, outcome.logs[-1]) == REFUSED[behaviour]


@pytest.mark.parametrize("behaviour", REFUSED)
def test_a_required_line_above_pam_permit_denies_every_failure(plain: Host, behaviour: str) -> None:
    plain.service(plain.line(behaviour), "auth required pam_permit.so")
    assert plain.run().code == REFUSED[behaviour][0]


def test_a_required_line_above_pam_permit_admits_a_grant(plain: Host) -> None:
    plain.service(plain.line("grant"), "auth required pam_permit.so")
    assert plain.run().code == SUCCESS


@pytest.mark.parametrize("code", [code for code in range(256) if code != 0])
def test_a_verdict_carries_only_codes_of_the_list(plain: Host, code: int) -> None:
    outcome = plain.login(f"code-{code}")
    if code == IGNORE:
        assert (outcome.code, outcome.logs) == (IGNORED, [])
    elif code in ALLOWED:
        assert (outcome.code, outcome.logs) == (code, [])
    else:
        assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [NOT_OURS])


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("hangs", SYSTEM_ERR),
        ("stopped", SYSTEM_ERR),
        ("hangs-after-pin", AUTH_ERR),
        ("half-frame-hang", SYSTEM_ERR),
        ("no-end", SYSTEM_ERR),
        ("denied-no-end", SYSTEM_ERR),
    ],
)
def test_a_verifier_that_never_comes_to_an_end_is_refused_when_its_time_is_over(
    host: Host, behaviour: str, code: int
) -> None:
    outcome = host.login(behaviour, arguments=("timeout=1",))
    assert (outcome.code, outcome.logs[-1]) == (code, TOO_LONG)


def test_a_host_that_was_stopped_reads_the_refusal_that_waits_for_it(host: Host) -> None:
    """Whoever starts a setuid program may stop it; that must not turn a refusal into "unavailable"."""
    outcome = host.login("stops-host-7", arguments=("timeout=1",))
    assert (outcome.code, outcome.logs) == (AUTH_ERR, [])


def test_a_grant_that_is_read_after_its_time_is_none(host: Host) -> None:
    outcome = host.login("stops-host-0", arguments=("timeout=1",))
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [TOO_LONG])


def test_a_worker_that_lingers_after_its_verdict_is_killed_and_the_grant_stands(plain: Host) -> None:
    assert plain.login("lingers").code == SUCCESS


def test_the_card_names_the_account_where_pam_names_none(host: Host) -> None:
    outcome = host.login("grant", "user=")
    assert (outcome.code, outcome.word("user")) == (SUCCESS, "alice")


def test_an_account_that_the_conversation_sets_meanwhile_is_not_the_card_s(host: Host) -> None:
    outcome = host.login("pin", "user=", "step=become:mallory")
    assert (outcome.code, outcome.logs[-1]) == (SYSTEM_ERR, OTHER_ACCOUNT)


def test_an_account_that_the_conversation_sets_meanwhile_may_be_the_card_s(host: Host) -> None:
    assert host.login("pin", "user=", "step=become:alice").code == SUCCESS


def test_a_verdict_for_the_account_that_the_conversation_changed_to_is_refused(host: Host) -> None:
    outcome = host.login("asks-wrong-account", "step=become:mallory")
    assert (outcome.code, outcome.logs[-1]) == (SYSTEM_ERR, OTHER_ACCOUNT)


def test_an_account_that_the_conversation_changes_is_refused(host: Host) -> None:
    outcome = host.login("pin", "step=become:mallory")
    assert (outcome.code, outcome.logs[-1]) == (SYSTEM_ERR, OTHER_ACCOUNT)


def test_an_account_that_the_conversation_removes_is_refused(host: Host) -> None:
    outcome = host.login("pin", "step=become:")
    assert (outcome.code, outcome.logs[-1]) == (SYSTEM_ERR, OTHER_ACCOUNT)
