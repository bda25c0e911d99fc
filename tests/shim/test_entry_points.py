# SPDX-License-Identifier: LGPL-2.1-or-later
"""The entry points beside authenticate: they answer for what this handle was granted, and start nothing."""

from __future__ import annotations

import pytest

from tests.support.shim_host import Host

SUCCESS, PERM_DENIED = 0, 6
KINDS = {"setcred": "auth", "acct_mgmt": "account", "open_session": "session", "close_session": "session"}
# libpam turns a stack that only ignores into this.
IGNORED = PERM_DENIED


def full_service(host: Host, behaviour: str) -> None:
    host.service(*[host.line(behaviour, kind=kind) for kind in ("auth", "account", "session", "password")])


@pytest.mark.parametrize("call", KINDS)
def test_after_a_grant_they_succeed(host: Host, call: str) -> None:
    full_service(host, "grant")
    outcome = host.run(f"calls=authenticate,{call}")
    assert (outcome.code, outcome.codes(call)) == (SUCCESS, [SUCCESS])


@pytest.mark.parametrize("call", ["acct_mgmt", "open_session", "close_session"])
def test_without_a_grant_they_ignore(host: Host, call: str) -> None:
    full_service(host, "grant")
    assert host.run(f"calls={call}").codes(call) == [IGNORED]


def test_setcred_without_a_grant_leaves_the_answer_to_others(plain: Host) -> None:
    full_service(plain, "grant")
    assert plain.run("calls=setcred").codes("setcred") == [IGNORED]
    plain.service(plain.line("grant"), "auth required pam_permit.so")
    assert plain.run("calls=setcred").codes("setcred") == [SUCCESS]
    plain.service(plain.line("grant", control="sufficient"), "auth required pam_deny.so")
    assert plain.run("calls=setcred").codes("setcred") != [SUCCESS], "an ignored module cuts nobody off"


@pytest.mark.parametrize("call", ["acct_mgmt", "open_session", "close_session"])
def test_after_a_refusal_they_ignore(host: Host, call: str) -> None:
    full_service(host, "code-7")
    assert host.run(f"calls=authenticate,{call}").codes(call) == [IGNORED]


@pytest.mark.parametrize("call", ["acct_mgmt", "open_session", "close_session"])
def test_after_a_grant_to_another_account_they_ignore(host: Host, call: str) -> None:
    full_service(host, "grant")
    outcome = host.run(f"calls=authenticate,rename,{call}")
    assert (outcome.code, outcome.codes(call)) == (SUCCESS, [IGNORED])


def test_a_later_refusal_takes_the_grant_back(host: Host) -> None:
    full_service(host, "pin")
    outcome = host.run("calls=authenticate,acct_mgmt,authenticate,acct_mgmt", "step=secret", "step=text:wrong")
    assert outcome.codes("authenticate") == [SUCCESS, 7]
    assert outcome.codes("acct_mgmt") == [SUCCESS, IGNORED]


def test_a_new_grant_after_a_refusal_counts(host: Host) -> None:
    full_service(host, "pin")
    outcome = host.run("calls=authenticate,authenticate,acct_mgmt", "step=text:wrong", "step=secret")
    assert (outcome.codes("authenticate"), outcome.codes("acct_mgmt")) == ([7, SUCCESS], [SUCCESS])


def test_a_refused_argument_takes_the_grant_back(plain: Host) -> None:
    """The record is cleared before anything else can go wrong."""
    plain.service(plain.line("grant"), plain.line("grant", "nonsense"), plain.line("grant", kind="account"))
    outcome = plain.run("calls=authenticate,acct_mgmt")
    assert (outcome.code, outcome.codes("acct_mgmt")) == (3, [IGNORED])


def test_they_start_no_process(plain: Host) -> None:
    """A worker that does not exist would be a refusal."""
    arguments = "worker=/nonexistent"
    plain.service(*[plain.line("grant", arguments, kind=kind) for kind in ("auth", "account", "session", "password")])
    outcome = plain.run("calls=acct_mgmt,open_session,close_session,chauthtok,authenticate")
    assert [outcome.codes(call) for call in ("acct_mgmt", "open_session", "close_session")] == [[IGNORED]] * 3
    assert (outcome.codes("chauthtok"), outcome.code) == ([3], 3)
