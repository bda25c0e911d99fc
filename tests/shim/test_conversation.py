# SPDX-License-Identifier: LGPL-2.1-or-later
"""What people and applications do at a prompt, and what becomes of it."""

from __future__ import annotations

import pytest

from tests.support.shim_host import Host

SUCCESS, SYSTEM_ERR, AUTH_ERR, CONV_ERR, INCOMPLETE = 0, 4, 7, 19, 31
NOTHING = "6 secret of -1 bytes"


@pytest.mark.parametrize(
    ("step", "status", "secret", "code"),
    [
        ("secret", 1, 6, SUCCESS),
        ("text:Zq71#y", 1, 6, AUTH_ERR),
        ("length:0", 2, -1, AUTH_ERR),
        ("length:511", 1, 511, AUTH_ERR),
        ("length:512", 1, 512, AUTH_ERR),
        ("length:513", 6, -1, CONV_ERR),
        ("length:1048576", 6, -1, CONV_ERR),
        ("null", 3, -1, AUTH_ERR),
        ("no-response", 3, -1, AUTH_ERR),
        ("error", 4, -1, CONV_ERR),
        ("error-with-response", 4, -1, CONV_ERR),
        ("garbage", 4, -1, CONV_ERR),
        ("again", 5, -1, INCOMPLETE),
    ],
)
def test_each_answer_has_its_status_and_only_an_answer_reaches_the_card_process(
    host: Host, step: str, status: int, secret: int, code: int
) -> None:
    outcome = host.login("pin", f"step={step}")
    assert outcome.logs == [f"6 answer {status} echoed ''", f"6 secret of {secret} bytes"]
    assert outcome.code == code


@pytest.mark.parametrize("step", ["secret", "length:512", "length:513", "length:1048576", "error-with-response"])
def test_no_secret_is_left_in_the_memory_of_the_host(plain: Host, step: str) -> None:
    outcome = plain.login("pin", f"step={step}", "scan=1")
    assert outcome.word("copies") == "0"


def test_the_scan_for_secrets_finds_one(plain: Host) -> None:
    """The echoed answer is in the log buffer of the host, where the host itself has put it."""
    assert int(plain.login("echoed", "scan=1").word("copies")) > 0


def test_a_missing_conversation_has_failed(host: Host) -> None:
    outcome = host.login("pin", "no_conversation=1")
    assert (outcome.code, outcome.logs) == (CONV_ERR, ["6 answer 4 echoed ''", NOTHING])


def test_an_echoed_answer_comes_back_in_the_frame_and_not_in_the_secrets(host: Host) -> None:
    outcome = host.login("echoed", "step=text:bob")
    assert (outcome.code, outcome.logs) == (SUCCESS, ["6 answer 1 echoed 'bob'"])
    assert outcome.said == ["1 2 Account: "]


@pytest.mark.parametrize("text", ["b\x1bob", "b\udcffob", "b\nob"])
def test_an_echoed_answer_that_is_no_plain_text_is_none(host: Host, text: str) -> None:
    assert host.login("echoed", f"step=text:{text}").logs == ["6 answer 3 echoed ''"]


def test_texts_are_cleaned_before_they_are_shown_or_logged(host: Host) -> None:
    outcome = host.login("hostile-texts", "step=text:x")
    assert outcome.said[0] == "1 4 card ?[2J???31m?evil???? %s%n \xe9\U0001f600"
    assert outcome.said[1] == "1 3 an error?"
    assert outcome.said[2] == "1 2 " + "a" * 510, "cut between two characters, at PAM_MAX_MSG_SIZE with its NUL"
    assert outcome.logs[0] == "5 line one?authenticated %n"


def test_debug_lines_are_logged_only_with_debug(host: Host) -> None:
    assert "7 only for debug" not in host.login("hostile-texts").logs
    assert "7 only for debug" in host.login("hostile-texts", arguments=("debug",)).logs


@pytest.mark.parametrize(("arguments", "flags"), [(("quiet",), "0"), ((), "0x8000")])
def test_quiet_and_silent_hide_messages_but_not_prompts(host: Host, arguments: tuple[str, ...], flags: str) -> None:
    outcome = host.login("hostile-texts", f"flags={flags}", "step=text:x", arguments=arguments)
    assert [line[:3] for line in outcome.said] == ["1 2"]


def test_a_stacked_password_is_handed_over_only_where_an_argument_says_so(host: Host) -> None:
    above = f"auth required {host.build.folder / 'stacked.so'} 314159"
    for argument, logs in {
        "use_first_pass": ["6 answer 1 echoed ''", "6 secret of 6 bytes"],
        "try_first_pass": ["6 answer 1 echoed ''", "6 secret of 6 bytes"],
        "debug": ["6 answer 7 echoed ''", NOTHING],
    }.items():
        host.service(above, host.line("stacked", argument))
        assert host.run().logs == logs


@pytest.mark.parametrize(("above", "status"), [("", 7), ("''", 2), ("x" * 513, 6)])
def test_a_stacked_password_that_is_none_is_not_handed_over(host: Host, above: str, status: int) -> None:
    lines = (
        [f"auth required {host.build.folder / 'stacked.so'} {'' if above == chr(39) * 2 else above}"] if above else []
    )
    host.service(*lines, host.line("stacked", "use_first_pass"))
    outcome = host.run()
    assert outcome.logs == [f"6 answer {status} echoed ''", NOTHING]
    assert (outcome.code, outcome.said) == (AUTH_ERR, []), "and nobody is asked"


def test_an_answer_after_the_limit_of_a_prompt_is_not_given(hasty: Host) -> None:
    outcome = hasty.login("pin", "step=slow:1300")
    assert (outcome.code, outcome.logs) == (AUTH_ERR, ["6 answer 3 echoed ''", NOTHING])


def test_a_verdict_that_came_while_a_person_typed_is_what_is_returned(hasty: Host) -> None:
    outcome = hasty.login("gave-up", "step=slow:1300")
    assert (outcome.code, outcome.logs) == (9, [])
    assert any("The time is over" in said for said in outcome.said)


def test_a_verdict_that_came_while_a_person_typed_counts_after_the_limit_of_the_request(hasty: Host) -> None:
    outcome = hasty.login("gave-up", "step=slow:3300")
    assert (outcome.code, outcome.logs) == (9, [])
    outcome = hasty.login("gave-up-7", "step=slow:3300")
    assert (outcome.code, outcome.logs) == (AUTH_ERR, [])


def test_an_answer_within_the_limit_of_a_prompt_is_given(hasty: Host) -> None:
    assert hasty.login("pin", "step=slow:500").code == SUCCESS


def test_human_time_is_not_machine_time(plain: Host) -> None:
    assert plain.login("pin", "step=slow:1500", arguments=("timeout=1",)).code == SUCCESS


def test_the_request_as_a_whole_ends_too(hasty: Host) -> None:
    outcome = hasty.login("three-prompts", "step=slow:3300")
    assert outcome.code == SYSTEM_ERR
    assert outcome.logs[-1].startswith("3 refused: the card and its checks took too long")


def test_a_card_process_that_is_gone_is_for_the_verifier_to_explain(host: Host) -> None:
    outcome = host.login("card-process-gone")
    assert (outcome.code, outcome.logs) == (9, ["6 answer 1 echoed ''"])


@pytest.mark.parametrize(
    ("behaviour", "delayed"),
    [
        ("denied-7", True),
        ("denied-11", True),
        ("denied-9", False),
        ("denied-4", False),
        ("code-7", False),
        ("three-prompts", False),
    ],
)
def test_a_delay_is_asked_for_only_after_a_secret_was_sent_and_refused(
    host: Host, behaviour: str, delayed: bool
) -> None:
    assert (int(host.login(behaviour).word("delay")) > 0) == delayed
