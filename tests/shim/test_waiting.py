# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for a card: whose time it is, what cancels it, and what must not come meanwhile. In a script of the worker, f15
is WAIT, f16 WAITED."""

from __future__ import annotations

import signal

import pytest

from tests.support.shim_host import Host

SUCCESS, SYSTEM_ERR, AUTHINFO_UNAVAIL = 0, 4, 9
PROTOCOL = "3 refused: the verifier broke the protocol"
TOO_LONG = "3 refused: the card and its checks took too long; raise timeout= if that is usual for this card"
WAIT, WAITED, VISIBLE = "f15:Insert your card", "f16", "f10:%02:Account"
WAITED_FOR, NOT_GIVEN = "6 answer 8 echoed ''", "6 answer 3 echoed ''"


def script(*words: str) -> str:
    return "script-" + "+".join(words).replace(" ", "_")


def test_a_wait_shows_its_text_and_is_answered_when_it_is_over(host: Host) -> None:
    outcome = host.login(script(WAIT, WAITED, "answer", "grant"))
    assert (outcome.code, outcome.logs, outcome.said) == (SUCCESS, [WAITED_FOR], ["1 4 Insert_your_card"])


@pytest.mark.parametrize(("arguments", "flags"), [(("quiet",), "0"), ((), "0x8000")])
def test_quiet_and_silent_hide_the_text_of_a_wait(host: Host, arguments: tuple[str, ...], flags: str) -> None:
    outcome = host.login(script(WAIT, WAITED, "answer", "grant"), f"flags={flags}", arguments=arguments)
    assert (outcome.code, outcome.logs, outcome.said) == (SUCCESS, [WAITED_FOR], [])


def test_a_wait_without_a_text_shows_no_empty_line(host: Host) -> None:
    outcome = host.login(script("f15:", WAITED, "answer", "grant"))
    assert (outcome.code, outcome.logs, outcome.said) == (SUCCESS, [WAITED_FOR], [])


def test_two_waits_one_after_the_other_have_an_answer_each(host: Host) -> None:
    outcome = host.login(script(WAIT, WAITED, "answer", WAIT, WAITED, "answer", "grant"))
    assert (outcome.code, outcome.logs) == (SUCCESS, [WAITED_FOR] * 2)


def test_a_caught_signal_cancels_a_wait_and_what_comes_late_is_not_answered_again(host: Host) -> None:
    outcome = host.login(
        script(WAIT, "signal", "answer", WAITED, VISIBLE, "answer", "code9"), "usr1=1", "step=text:bob"
    )
    assert (outcome.code, outcome.logs) == (AUTHINFO_UNAVAIL, [NOT_GIVEN, "6 answer 1 echoed 'bob'"])


CAUGHT = (WAIT, "sleep200", "sig:{0}", "sleep100", "sig:{0}", "sleep600", WAITED, "answer", "code9")


@pytest.mark.parametrize("number", ["SIGCHLD", "SIGWINCH", "SIGCONT", "SIGURG", "SIGIO", "SIGPROF", "SIGVTALRM"])
def test_what_a_host_catches_by_the_way_cancels_nothing_and_is_caught_soon(host: Host, number: str) -> None:
    """A child has ended, the window has another size: nobody has said anything."""
    caught = int(signal.Signals[number])
    outcome = host.login(script(*CAUGHT).format(caught), f"catch={caught}")
    assert (outcome.code, outcome.logs) == (AUTHINFO_UNAVAIL, [WAITED_FOR])
    assert int(outcome.word("caught")) >= 1


@pytest.mark.parametrize("number", ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGTSTP", "SIGALRM", "SIGUSR2"])
def test_what_a_person_says_by_a_signal_or_the_alarm_of_the_host_cancels(host: Host, number: str) -> None:
    caught = int(signal.Signals[number])
    outcome = host.login(script(*CAUGHT).format(caught), f"catch={caught}")
    assert (outcome.code, outcome.logs) == (AUTHINFO_UNAVAIL, [NOT_GIVEN])


@pytest.mark.parametrize("number", ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"])
def test_a_host_that_puts_off_its_end_does_not_put_off_the_persons(host: Host, number: str) -> None:
    """sudo blocks Ctrl-C while it authenticates."""
    told = int(signal.Signals[number])
    outcome = host.login(script(*CAUGHT).format(told), f"block={told}")
    assert (outcome.code, outcome.logs, outcome.word("caught")) == (AUTHINFO_UNAVAIL, [NOT_GIVEN], "0")


@pytest.mark.parametrize(
    ("number", "script_words"),
    [("SIGINT", ("block=2", "ignore=2")), ("SIGUSR1", ("block=10",)), ("SIGALRM", ("block=14",)), ("SIGTERM", ("ignore=15",))],
)
def test_what_is_blocked_and_means_nothing_cancels_nothing(host: Host, number: str, script_words: tuple[str, ...]) -> None:
    outcome = host.login(script(*CAUGHT).format(int(signal.Signals[number])), *script_words)
    assert (outcome.code, outcome.logs) == (AUTHINFO_UNAVAIL, [WAITED_FOR])


def test_a_second_signal_says_nothing_more(host: Host) -> None:
    outcome = host.login(
        script(WAIT, "signal", "answer", "kick", WAITED, VISIBLE, "answer", "code9"), "usr1=1", "step=text:bob"
    )
    assert outcome.logs == [NOT_GIVEN, "6 answer 1 echoed 'bob'"]


def test_a_signal_where_nothing_is_waited_for_is_passed_over(host: Host) -> None:
    outcome = host.login(script("kick", WAIT, WAITED, "answer", "kick", "grant"), "usr1=1")
    assert (outcome.code, outcome.logs) == (SUCCESS, [WAITED_FOR])


def test_after_a_cancelled_wait_another_may_follow(host: Host) -> None:
    outcome = host.login(script(WAIT, "signal", "answer", WAITED, WAIT, WAITED, "answer", "grant"), "usr1=1")
    assert (outcome.code, outcome.logs) == (SUCCESS, [NOT_GIVEN, WAITED_FOR])


def test_waiting_is_not_machine_time(plain: Host) -> None:
    outcome = plain.login(script(WAIT, "sleep1300", WAITED, "answer", "grant"), arguments=("timeout=1",))
    assert (outcome.code, outcome.logs) == (SUCCESS, [WAITED_FOR])


def test_without_a_wait_the_same_is_too_long(plain: Host) -> None:
    outcome = plain.login(script("sleep1300", "grant"), arguments=("timeout=1",))
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [TOO_LONG])


def test_after_a_wait_the_machines_time_goes_on(plain: Host) -> None:
    outcome = plain.login(script(WAIT, WAITED, "answer", "hang"), arguments=("timeout=1",))
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [WAITED_FOR, TOO_LONG])


def test_after_a_cancelled_wait_the_machines_time_goes_on(plain: Host) -> None:
    outcome = plain.login(script(WAIT, "signal", "answer", "hang"), "usr1=1", arguments=("timeout=1",))
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [NOT_GIVEN, TOO_LONG])


def test_a_wait_may_be_longer_than_a_prompt_and_not_longer_than_the_request(hasty: Host) -> None:
    outcome = hasty.login(script(WAIT, "sleep1500", WAITED, "answer", "grant"))
    assert (outcome.code, outcome.logs) == (SUCCESS, [WAITED_FOR])
    outcome = hasty.login(script(WAIT, "hang"))
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [TOO_LONG])


def test_a_refusal_within_a_wait_is_returned(host: Host) -> None:
    """The card process was lost meanwhile, say."""
    outcome = host.login(script(WAIT, "f12:%05:card process lost", "f11:%02:Sorry", "code9"))
    assert (outcome.code, outcome.logs) == (AUTHINFO_UNAVAIL, ["5 card_process_lost"])
    assert outcome.said[-1] == "1 3 Sorry"


@pytest.mark.parametrize(
    "words",
    [
        (WAIT, "grant"),
        (WAIT, "signal", "answer", "grant"),
        (WAIT, WAIT),
        (WAIT, "f10:%01:PIN"),
        (WAIT, VISIBLE),
        (WAIT, "f10:%03:"),
        (WAIT, "f14:Which:[a,b"),
        (WAITED, "grant"),
        (WAIT, WAITED, "answer", WAITED, "grant"),
        (WAIT, "signal", "answer", WAITED, WAITED, "grant"),
        ("f15", "grant"),
        ("f15:a:b", "grant"),
        ("f15:a%00b", "grant"),
        (WAIT, "f16:a", "answer", "grant"),
        (WAIT, "f16:", "answer", "grant"),
    ],
    ids=str,
)
def test_what_does_not_belong_into_a_wait_is_a_broken_protocol(host: Host, words: tuple[str, ...]) -> None:
    outcome = host.login(script(*words), "usr1=1")
    assert (outcome.code, outcome.logs[-1]) == (SYSTEM_ERR, PROTOCOL)
