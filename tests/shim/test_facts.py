# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a verdict leaves beside the grant: only if it grants, only what is on the list, and the PIN only if asked for. In a
script of the worker, f17 is FACT."""

from __future__ import annotations

import pytest

from tests.support.shim_host import Host

SUCCESS, SYSTEM_ERR, AUTH_ERR, NEW_AUTHTOK_REQD, IGNORED = 0, 4, 7, 12, 6
PROTOCOL = "3 refused: the verifier broke the protocol"
WENT_ON = "3 refused: the verifier went on after its verdict"
NAMES = [
    "PKCS11_LOGIN_TOKEN_NAME", "PKCS11_LOGIN_CERT_ISSUER", "PKCS11_LOGIN_CERT_SERIAL", "PAM_SC_TOKEN",
    "PAM_SC_CERTIFICATE",
]  # fmt: skip
TO_BE_CHANGED = "f17:%03::"


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_of_the_list_is_left_where_it_is_granted(host: Host, name: str) -> None:
    assert host.login(f"script-f17:%01:{name}:My_card+grant").variables == [f"{name}=My_card"]


def test_all_variables_together_and_the_last_word_about_one(host: Host) -> None:
    facts = "+".join(f"f17:%01:{name}:{value}" for value in ("old", "new") for name in NAMES)
    assert host.login(f"script-{facts}+grant").variables == [f"{name}=new" for name in NAMES]


@pytest.mark.parametrize("end", ["code7", "f13:short", "hang"])
def test_nothing_is_left_where_it_is_not_granted(host: Host, end: str) -> None:
    outcome = host.login(f"script-f17:%01:PAM_SC_TOKEN:x+{end}", arguments=("timeout=1",))
    assert (outcome.code != SUCCESS, outcome.variables) == (True, [])


def test_nothing_is_left_for_another_account(host: Host) -> None:
    host.service(host.line("script-f17:%01:PAM_SC_TOKEN:x+f10:%01:PIN+answer+grant"))
    outcome = host.run("step=become:mallory")
    assert (outcome.code, outcome.variables) == (SYSTEM_ERR, [])


def test_a_grant_leaves_no_variable_of_somebody_else_standing_beside_its_own(host: Host) -> None:
    """Half of one card and half of another would be no card at all."""
    outcome = host.login("script-f17:%01:PAM_SC_CERTIFICATE:new+grant", "putenv=PAM_SC_TOKEN=other")
    assert outcome.variables == ["PAM_SC_CERTIFICATE=new"]


def test_what_an_application_says_stays_where_it_is_refused(host: Host) -> None:
    outcome = host.login("code7", "putenv=PKCS11_LOGIN_TOKEN_NAME=My")
    assert outcome.variables == ["PKCS11_LOGIN_TOKEN_NAME=My"]


def test_a_refused_login_takes_back_what_the_one_before_it_has_left(host: Host) -> None:
    host.service(
        host.line("script-f17:%01:PAM_SC_TOKEN:x+f17:%01:PKCS11_LOGIN_TOKEN_NAME:My+grant", control="optional"),
        host.line("denied-7"),
    )
    outcome = host.run()
    assert (outcome.code, outcome.variables) == (AUTH_ERR, [])


@pytest.mark.parametrize(
    "fact",
    [
        "%01:PATH:x", "%01:LD_PRELOAD:x", "%01:PAM_SC_TOKE:x", "%01:PAM_SC_TOKENS:x", "%01:pam_sc_token:x", "%01::x",
        "%01:PAM_SC_TOKEN=a:x", "%01:PAM_SC_TOKEN:a%0ab", "%01:PAM_SC_TOKEN:a%00b", "%01:PAM_SC_TOKEN:%ff",
        "%01:PAM_SC_TOKEN:*4097", "%01:PAM_SC_TOKEN", "%01:PAM_SC_TOKEN:x:", "%00::", "%04::", "%01%01:PAM_SC_TOKEN:x",
        ":PAM_SC_TOKEN:x", "%02::", "%02:x:{}", "%02::*4097", "%02::{%00}", "%03:x:", "%03::x", "%03:",
    ],
)  # fmt: skip
def test_a_fact_that_is_none_is_a_broken_protocol(host: Host, fact: str) -> None:
    outcome = host.login(f"script-f17:{fact}+grant")
    assert (outcome.code, outcome.logs, outcome.variables) == (SYSTEM_ERR, [PROTOCOL], [])


def test_4096_bytes_are_the_longest_value(host: Host) -> None:
    outcome = host.login("script-f17:%01:PAM_SC_TOKEN:*4096+f17:%02::*4096+grant")
    assert (outcome.code, outcome.variables) == (SUCCESS, ["PAM_SC_TOKEN=" + "x" * 4096])


@pytest.mark.parametrize(("count", "code"), [(16, SUCCESS), (17, SYSTEM_ERR)])
def test_a_login_has_at_most_16_facts(host: Host, count: int, code: int) -> None:
    outcome = host.login("script-" + "f17:%01:PAM_SC_TOKEN:x+" * count + "grant")
    assert (outcome.code, outcome.logs) == (code, [] if code == SUCCESS else [PROTOCOL])


def test_a_fact_after_the_verdict_takes_the_grant_back(host: Host) -> None:
    outcome = host.login("fact-after-verdict")
    assert (outcome.code, outcome.logs, outcome.variables) == (SYSTEM_ERR, [WENT_ON], [])


# A PIN that is to be changed


def full_service(host: Host, behaviour: str) -> None:
    host.service(*[host.line(behaviour, kind=kind) for kind in ("auth", "account", "session", "password")])


def test_a_pin_that_is_to_be_changed_is_the_account_phases_to_say_and_never_authenticates(host: Host) -> None:
    full_service(host, f"script-{TO_BE_CHANGED}+grant")
    outcome = host.run("calls=authenticate,acct_mgmt,acct_mgmt,setcred,open_session")
    assert (outcome.codes("authenticate"), outcome.codes("acct_mgmt")) == ([SUCCESS], [NEW_AUTHTOK_REQD] * 2)
    assert outcome.codes("setcred") + outcome.codes("open_session") == [SUCCESS, SUCCESS]


def test_it_holds_for_the_granted_account_alone(host: Host) -> None:
    full_service(host, f"script-{TO_BE_CHANGED}+grant")
    assert host.run("calls=authenticate,rename,acct_mgmt").codes("acct_mgmt") == [IGNORED]


def test_a_refused_login_leaves_no_duty_to_change(host: Host) -> None:
    full_service(host, f"script-{TO_BE_CHANGED}+code7")
    assert host.run("calls=authenticate,acct_mgmt").codes("acct_mgmt") == [IGNORED]


# forward_pin


def service_below(host: Host, behaviour: str, *arguments: str, above: str = "") -> None:
    stacked = host.build.folder / "stacked.so"
    lines = [f"auth required {stacked} {above}"] if above else []
    host.service(*lines, host.line(behaviour, *arguments, control="optional"), f"auth required {stacked} show")


def test_the_pin_is_handed_down_only_with_forward_pin(host: Host) -> None:
    for arguments, shown in {("forward_pin",): "Zq71#x", (): "(none)"}.items():
        service_below(host, "pin", *arguments)
        assert host.run().logs[-1] == f"5 authtok {shown}"


def test_a_pin_that_was_refused_is_not_handed_down(host: Host) -> None:
    service_below(host, "pin", "forward_pin")
    outcome = host.run("step=text:wrong")
    assert outcome.logs[-1] == "5 authtok (none)"


def test_the_last_of_several_pins_is_handed_down(host: Host) -> None:
    service_below(host, "script-f10:%01:PIN+answer+f10:%01:PIN+answer+grant", "forward_pin")
    assert host.run("step=text:longer-one", "step=text:right").logs[-1] == "5 authtok right"


def test_a_pin_before_an_empty_answer_is_not_handed_down(host: Host) -> None:
    """It was not the one that opened the card."""
    service_below(host, "script-f10:%01:PIN+answer+f10:%01:PIN+answer+grant", "forward_pin")
    outcome = host.run("step=text:first", "step=length:0")
    assert (outcome.code, outcome.logs[-1]) == (SUCCESS, "5 authtok (none)")


def test_what_was_typed_before_a_wait_is_not_handed_down(host: Host) -> None:
    """The card may have been opened at its pinpad."""
    service_below(host, "script-f10:%01:PIN+answer+f15:Use the pinpad+f16+answer+grant".replace(" ", "_"), "forward_pin")
    outcome = host.run()
    assert (outcome.code, outcome.logs[-1]) == (SUCCESS, "5 authtok (none)")


def test_an_echoed_answer_is_not_handed_down(host: Host) -> None:
    service_below(host, "echoed", "forward_pin")
    assert host.run("step=text:bob").logs[-1] == "5 authtok (none)"


def test_a_stacked_password_stays_what_it_was(host: Host) -> None:
    service_below(host, "stacked", "forward_pin", "use_first_pass", above="314159")
    assert host.run().logs[-1] == "5 authtok 314159"


@pytest.mark.parametrize("behaviour", ["pin", "denied-7", "script-f10:%01:PIN+answer+f13:x"])
def test_no_copy_of_the_pin_is_left_in_the_host(plain: Host, behaviour: str) -> None:
    """libpam frees what it was handed when the handle ends, and wipes it."""
    outcome = plain.login(behaviour, "scan=1", arguments=("forward_pin",))
    assert outcome.word("copies") == "0"


# nodelay


def test_nodelay_asks_for_no_delay_after_a_wrong_pin(host: Host) -> None:
    assert int(host.login("denied-7").word("delay")) > 0
    assert int(host.login("denied-7", arguments=("nodelay",)).word("delay")) == 0
