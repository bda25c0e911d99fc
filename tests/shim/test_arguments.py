# SPDX-License-Identifier: LGPL-2.1-or-later
"""The arguments of the PAM line, and the request that the verifier gets."""

from __future__ import annotations

import pytest

from tests.support.shim_host import Host

SUCCESS, SERVICE_ERR, SYSTEM_ERR, USER_UNKNOWN = 0, 3, 4, 10
ENTRY_POINTS = ["authenticate", "setcred", "acct_mgmt", "open_session", "close_session", "chauthtok"]
KINDS = {"authenticate": "auth", "setcred": "auth", "acct_mgmt": "account", "chauthtok": "password"}

WRONG = {
    "nonsense": "not known",
    "Debug": "not known",
    "forward_pins": "not known",
    "nodelay=1": "not known",
    "debug=1": "not known",
    "config": "not known",
    "config=": "not an absolute path",
    "config=relative/path": "not an absolute path",
    "config_file=relative/path": "not an absolute path",
    "nullok=1": "not known",
    "slot_num": "not known",
    "slot_nums=1": "not known",
    "Nullok": "not known",
    "use_mappers=cn": "not known",
    "token_type=a\x01b": "not plain text",
    "ca_dir=" + "x" * 762: "too long, together with those before it",
    "worker=": "not an absolute path",
    "worker=pam_sc_worker": "not an absolute path",
    "timeout=": "not a number of seconds from 1 to 300",
    "timeout=0": "not a number of seconds from 1 to 300",
    "timeout=007": "not a number of seconds from 1 to 300",
    "timeout=301": "not a number of seconds from 1 to 300",
    "timeout=4294967297": "not a number of seconds from 1 to 300",
    "timeout=99999999999999999999": "not a number of seconds from 1 to 300",
    "timeout=-1": "not a number of seconds from 1 to 300",
    "timeout=+5": "not a number of seconds from 1 to 300",
    "timeout=5s": "not a number of seconds from 1 to 300",
    "timeout=0x10": "not a number of seconds from 1 to 300",
}


def refusal(argument: str, why: str) -> str:
    return f"3 cannot use the argument '{argument}': {why}; correct the PAM service file"


@pytest.mark.parametrize("argument", WRONG)
def test_a_wrong_argument_is_refused_and_named_in_one_line(plain: Host, argument: str) -> None:
    outcome = plain.login("grant", arguments=(argument,))
    assert outcome.code == SERVICE_ERR
    assert outcome.logs == [refusal(argument, WRONG[argument])]


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_every_entry_point_refuses_an_unknown_argument(plain: Host, entry: str) -> None:
    kind = KINDS.get(entry, "session")
    plain.service(plain.line("grant", "nonsense", kind=kind))
    outcome = plain.run(f"calls={entry}")
    assert outcome.codes(entry) == [SERVICE_ERR]
    assert set(outcome.logs) == {refusal("nonsense", "not known")}


def test_two_ways_to_take_a_stacked_password_are_one_too_many(plain: Host) -> None:
    outcome = plain.login("grant", arguments=("try_first_pass", "use_first_pass"))
    assert outcome.code == SERVICE_ERR
    assert outcome.logs == [refusal("use_first_pass", "one of try_first_pass and use_first_pass too many")]


@pytest.mark.parametrize(
    ("arguments", "bits", "seconds"),
    [
        ((), 0, 20),
        (("debug",), 1, 20),
        (("quiet",), 2, 20),
        (("try_first_pass",), 4, 20),
        (("use_first_pass", "debug", "quiet"), 11, 20),
        (("forward_pin",), 16, 20),
        (("nodelay",), 0, 20),
        (("timeout=1",), 0, 1),
        (("timeout=300",), 0, 300),
    ],
)
def test_the_arguments_reach_the_verifier(plain: Host, arguments: tuple[str, ...], bits: int, seconds: int) -> None:
    logs = plain.login("report", arguments=arguments).logs
    assert f"6 at_secure 0 options {bits} config '/behaviour/report' time {seconds}" in logs
    assert any(line.startswith("6 order 36 PSC1") and line.endswith(f"time {seconds}") for line in logs)


RELAYED = (
    "nodebug", "nullok", "card_only", "wait_for_card", "dont_wait_for_card", "slot_description=reader", "slot_num=2",
    "ca_dir=/ca", "crl_dir=/crl", "nss_dir=", "cert_policy=ca,signature", "token_type=card", "pkcs11_module=/m.so",
)  # fmt: skip


@pytest.mark.parametrize("argument", RELAYED)
def test_an_argument_of_pam_pkcs11_is_relayed_as_it_stands(plain: Host, argument: str) -> None:
    assert f"6 arguments '{argument}'" in plain.login("report", arguments=(argument,)).logs


def test_the_arguments_of_pam_pkcs11_keep_their_order_and_others_are_not_among_them(plain: Host) -> None:
    logs = plain.login("report", arguments=("slot_num=1", "quiet", "slot_num=2", "nullok")).logs
    assert "6 arguments 'slot_num=1?slot_num=2?nullok'" in logs, "a line feed between two, as a log shows it"


@pytest.mark.parametrize(("length", "code"), [(761, SUCCESS), (762, SERVICE_ERR)])
def test_the_arguments_of_pam_pkcs11_have_at_most_768_bytes(plain: Host, length: int, code: int) -> None:
    assert plain.login("grant", arguments=("ca_dir=" + "x" * length,)).code == code


@pytest.mark.parametrize(("arguments", "bits"), [(("debug", "nodebug"), 0), (("nodebug", "debug"), 1)])
def test_the_last_word_about_debug_holds(plain: Host, arguments: tuple[str, ...], bits: int) -> None:
    logs = plain.login("report", arguments=arguments).logs
    assert any(line.startswith(f"6 at_secure 0 options {bits} ") for line in logs)


def test_config_file_is_another_name_of_config(plain: Host) -> None:
    logs = plain.login("report", arguments=("config_file=/behaviour/report",)).logs
    assert any("config '/behaviour/report'" in line for line in logs)


@pytest.mark.parametrize("name", ["config", "config_file"])
def test_of_two_configurations_none_is_taken(plain: Host, name: str) -> None:
    argument = f"{name}=/behaviour/deny"
    outcome = plain.login("grant", arguments=(argument,))
    assert outcome.code == SERVICE_ERR
    assert outcome.logs == [refusal(argument, "a second configuration")]
    assert plain.login("grant", arguments=(f"{name}=/behaviour/grant",)).code == SUCCESS


def test_without_config_the_verifier_takes_its_default(plain: Host) -> None:
    plain.service(f"auth required {plain.module}")
    assert plain.run().code == SUCCESS


def test_the_items_and_flags_reach_the_verifier(plain: Host) -> None:
    logs = plain.login(
        "report", "user=bob", "rhost=host.example.test", "ruser=rémi", "tty=/dev/tty3", "flags=0x8001"
    ).logs
    for line in ("service 'test'", "account 'bob'", "rhost 'host.example.test'", "ruser 'rémi'", "tty '/dev/tty3'"):
        assert f"6 {line}" in logs
    assert "6 version 3 nonce 32 function 1 flags 32769" in logs


@pytest.mark.parametrize(
    "text", ["b\x01b", "b\nb", "b\x7fb", "b\udcffb", "b\udcc0\udc80", "b\u202eb", "b\u009bb", "x" * 513]
)
@pytest.mark.parametrize(("item", "name", "code"), [
    ("user", "account", USER_UNKNOWN), ("rhost", "remote host", SYSTEM_ERR), ("ruser", "remote user", SYSTEM_ERR),
    ("tty", "terminal", SYSTEM_ERR),
])  # fmt: skip
def test_an_item_that_is_no_plain_text_is_refused(plain: Host, item: str, name: str, code: int, text: str) -> None:
    outcome = plain.login("grant", f"{item}={text}")
    assert (outcome.code, outcome.logs) == (code, [f"5 refused: the {name} is no plain text of at most 512 bytes"])


@pytest.mark.parametrize("text", ["a" * 512, "o'brien", "a b", "é", "\U0001f600", "../x", "%s%n"])
def test_an_item_that_is_plain_text_is_the_verifiers_to_judge(plain: Host, text: str) -> None:
    assert plain.login("grant", f"user={text}").code == SUCCESS
