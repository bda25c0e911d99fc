# SPDX-License-Identifier: LGPL-2.1-or-later
"""chauthtok: both passes ask the verifier, the first asks nobody else, and the second does only what the first was granted.
In a script of the worker, what follows the word "second" is for the second pass."""

from __future__ import annotations

import pytest

from tests.support.shim_host import Host

SUCCESS, SYSTEM_ERR, IGNORED, NEW_AUTHTOK_REQD = 0, 4, 6, 12
PROTOCOL = "3 refused: the verifier broke the protocol"
NOT_OURS = "3 refused: the verdict is none for this request"
PROMPT = "f10:%01:PIN+answer"
ANSWERED = "6 answer 1 echoed ''"
AUTHTOK_ERR, TRY_AGAIN = 20, 24
ALLOWED = {3, 4, 5, 7, 9, 10, 11, 19, 20, 21, 24, 31}
TO_BE_CHANGED = "f17:%03::"


def passes(host: Host, behaviour: str, *script: str, calls: str = "chauthtok") -> tuple[list[int], list[str]]:
    host.service(host.line(behaviour, kind="password"))
    outcome = host.run(f"calls={calls}", *script)
    return outcome.codes(calls), outcome.logs


def test_a_change_asks_in_the_second_pass_alone_and_three_times(host: Host) -> None:
    codes, logs = passes(host, "script-second+" + "+".join([PROMPT] * 3) + "+grant")
    assert (codes, logs) == ([SUCCESS], [ANSWERED] * 3)


def test_the_passes_reach_the_verifier_as_function_2_with_their_flags(plain: Host) -> None:
    _, logs = passes(plain, "report", "flags=0x8000")
    assert [line for line in logs if "function" in line] == [
        f"6 version 3 nonce 32 function 2 flags {flags}" for flags in (0xC000, 0xA000)
    ]


@pytest.mark.parametrize("frame", ["f10:%01:PIN", "f10:%02:Account", "f10:%03:", "f14:Which:[a,b"])
def test_a_question_in_the_first_pass_is_a_broken_protocol(host: Host, frame: str) -> None:
    outcome_codes, logs = passes(host, f"script-{frame}+answer+grant")
    assert (outcome_codes, logs) == ([SYSTEM_ERR], [PROTOCOL])


def test_four_secrets_are_one_too_many(host: Host) -> None:
    codes, logs = passes(host, "script-second+" + "+".join([PROMPT] * 4) + "+grant")
    assert codes == [SYSTEM_ERR]
    assert logs[-1] == "3 refused: the verifier asks for more secrets than a login needs"


@pytest.mark.parametrize("when", ["", "second+"])
def test_a_fact_is_a_broken_protocol(host: Host, when: str) -> None:
    assert passes(host, f"script-{when}{TO_BE_CHANGED}+grant") == ([SYSTEM_ERR], [PROTOCOL])


@pytest.mark.parametrize("code", sorted(ALLOWED))
def test_a_refusal_of_the_first_pass_is_returned_and_there_is_no_second(plain: Host, code: int) -> None:
    codes, logs = passes(plain, f"script-f12:%06:asked+code{code}")
    assert (codes, logs) == ([code], ["6 asked"])


@pytest.mark.parametrize("code", sorted(ALLOWED - {TRY_AGAIN}))
def test_a_refusal_of_the_second_pass_is_returned(plain: Host, code: int) -> None:
    assert passes(plain, f"script-second+code{code}") == ([code], [])


@pytest.mark.parametrize("code", [TRY_AGAIN, 25])
def test_the_second_pass_never_lets_the_stack_go_on(plain: Host, code: int) -> None:
    """pam_unix below would take a new password without the old one."""
    assert passes(plain, f"script-second+code{code}") == ([AUTHTOK_ERR], [])


@pytest.mark.parametrize("code", [1, 6, 12, 13, 25 + 7, 255])
def test_a_code_off_the_list_is_none(plain: Host, code: int) -> None:
    assert passes(plain, f"code-{code}") == ([SYSTEM_ERR], [NOT_OURS])


def test_what_the_first_pass_ignores_the_second_ignores_without_a_process(plain: Host) -> None:
    codes, logs = passes(plain, "script-f12:%06:asked+code25")
    assert (codes, logs) == ([IGNORED], ["6 asked"]), "one process: the second pass asks nobody"


def test_what_the_first_pass_refused_the_second_refuses_without_a_process(plain: Host) -> None:
    """libpam calls an optional module in the second pass whatever it said in the first."""
    plain.service(
        plain.line("script-f12:%06:asked+code9", kind="password", control="optional"),
        "password required pam_permit.so",
    )
    outcome = plain.run("calls=chauthtok")
    assert (outcome.codes("chauthtok"), outcome.logs) == ([SUCCESS], ["6 asked"])


def test_a_second_pass_for_another_account_than_the_first_is_refused(plain: Host) -> None:
    renaming = plain.build.folder / "stacked.so"
    plain.service(
        plain.line("script-second+f12:%06:asked+grant", kind="password", control="required"),
        f"password required {renaming} mallory",
    )
    outcome = plain.run("calls=chauthtok")
    assert outcome.codes("chauthtok") == [SYSTEM_ERR]
    assert outcome.logs == ["3 refused: there was no first pass for the account that is to be changed now"]


@pytest.mark.parametrize(("renamed", "found"), [(True, "there"), (False, "(none)")])
def test_after_it_modules_below_find_an_old_password_that_is_none(plain: Host, renamed: bool, found: str) -> None:
    """They had no first pass either; without an old password pam_unix takes a new one from anybody."""
    other = plain.build.folder / "stacked.so"
    plain.service(
        plain.line("grant", kind="password", control="[success=1 default=ignore]"),
        "password required pam_permit.so",
        f"password optional {other} show",
        f"password required {other} {'mallory' if renamed else 'alice'}",
    )
    logs = plain.run("calls=chauthtok").logs
    assert logs[-1] == f"5 old password {found}"


@pytest.mark.parametrize(("code", "delayed"), [(7, True), (11, True), (21, True), (20, False), (24, False), (9, False)])
def test_a_wrong_current_pin_costs_time(host: Host, code: int, delayed: bool) -> None:
    for arguments, expected in (((), delayed), (("nodelay",), False)):
        host.service(host.line(f"script-second+{PROMPT}+code{code}", *arguments, kind="password"))
        assert (int(host.run("calls=chauthtok").word("delay")) > 0) == expected


def test_no_copy_of_a_new_pin_is_left(plain: Host) -> None:
    """forward_pin is about the PIN that has logged in."""
    host = plain
    host.service(host.line(f"script-second+{PROMPT}+grant", "forward_pin", kind="password"))
    outcome = host.run("calls=chauthtok", "scan=1")
    assert (outcome.codes("chauthtok"), outcome.word("copies")) == ([SUCCESS], "0")


# Forced after a login


def login_and(host: Host, calls: str, *, facts: str = f"{TO_BE_CHANGED}+", second: str = "grant") -> tuple[str, ...]:
    host.service(
        *[host.line(f"script-{facts}grant", kind=kind) for kind in ("auth", "account", "session")],
        host.line(f"script-second+f12:%06:changed+{second}", kind="password"),
    )
    lines = host.run(f"calls={calls}").lines
    return tuple(line for line in lines if not line.startswith(("delay", "log 3 _pam_init_handlers")))


def test_a_forced_change_is_done_and_then_the_account_is_in_order(host: Host) -> None:
    lines = login_and(host, "authenticate,acct_mgmt,chauthtok_expired,acct_mgmt")
    assert lines[:5] == ("authenticate 0", "acct_mgmt 12", "log 6 changed", "chauthtok_expired 0", "acct_mgmt 0")


def test_a_forced_change_that_fails_stays_due(host: Host) -> None:
    lines = login_and(host, "authenticate,chauthtok_expired,acct_mgmt", second="code20")
    assert lines[:4] == ("authenticate 0", "log 6 changed", "chauthtok_expired 20", "acct_mgmt 12")


def test_the_first_pass_alone_leaves_the_duty(host: Host) -> None:
    host.service(
        *[host.line(f"script-{TO_BE_CHANGED}+grant", kind=kind) for kind in ("auth", "account")],
        host.line("grant", kind="password"),
        "password requisite pam_deny.so",
    )
    outcome = host.run("calls=authenticate,chauthtok_expired,acct_mgmt")
    assert outcome.codes("acct_mgmt") == [NEW_AUTHTOK_REQD]


@pytest.mark.parametrize(
    ("calls", "facts"),
    [
        ("authenticate,chauthtok_expired", ""),
        ("chauthtok_expired", f"{TO_BE_CHANGED}+"),
        ("authenticate,rename,chauthtok_expired", f"{TO_BE_CHANGED}+"),
    ],
)
def test_an_expired_password_that_is_none_of_ours_is_ignored_at_once(host: Host, calls: str, facts: str) -> None:
    lines = login_and(host, calls, facts=facts)
    assert f"chauthtok_expired {IGNORED}" in lines
    assert "log 6 changed" not in lines
