# SPDX-License-Identifier: LGPL-2.1-or-later
"""GDM's choice list: to whom it is offered, what is shown, and that only a key of the list is an answer."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.support.shim_host import NOBODY, Host

SUCCESS, SYSTEM_ERR = 0, 4
PROTOCOL = "3 refused: the verifier broke the protocol"
VARIABLE = "GDM_SUPPORTED_PAM_EXTENSIONS"
NAME = "org.gnome.DisplayManager.UserVerifier.ChoiceList"
OTHER = "org.gnome.DisplayManager.UserVerifier.CustomJSON"
CHOICE = "script-f14:Which:[0,Alice,1,Bob+answer+grant"

root_only = pytest.mark.root


def offering(host: Host, names: str = NAME) -> Host:
    """The host, as gdm-session-worker tells its modules what it understands."""
    return replace(host, variables=((VARIABLE, names),))


def extensions(host: Host, *words: str) -> str:
    (line,) = (line for line in host.login("report", *words).logs if "extensions" in line)
    return line.rsplit(" ", 1)[1]


@root_only
@pytest.mark.parametrize(
    ("names", "offered"),
    [
        (NAME, True), (f"{OTHER} {NAME}", True), (f" {OTHER}  {NAME} x", True), (" ".join([OTHER] * 255 + [NAME]), True),
        ("", False), (" ", False), (OTHER, False), (NAME + "s", False), (NAME[:-1], False), (NAME.lower(), False),
        (f"{OTHER},{NAME}", False), (" ".join([OTHER] * 256 + [NAME]), False),
    ],
    ids=lambda value: str(value)[-60:],
)  # fmt: skip
def test_the_request_says_whether_the_host_shows_lists(plain: Host, names: str, offered: bool) -> None:
    assert extensions(offering(plain, names)) == ("1" if offered else "0")


@root_only
@pytest.mark.parametrize("uids", [f"{NOBODY}:0:0", f"0:{NOBODY}:0", f"0:0:{NOBODY}", f"{NOBODY}:{NOBODY}:{NOBODY}"])
def test_the_environment_counts_only_where_every_uid_is_roots(plain: Host, uids: str) -> None:
    assert extensions(offering(plain), f"uids={uids}") == "0"


def login_token(host: Host, *words: str) -> str:
    (line,) = (line for line in host.login("report", *words).logs if "extensions" in line)
    return line.rpartition(" token '")[2].partition("'")[0]


@root_only
@pytest.mark.parametrize("uids", ["0:0:0", f"{NOBODY}:0:0", f"0:{NOBODY}:0", f"0:0:{NOBODY}", f"{NOBODY}:{NOBODY}:{NOBODY}"])
def test_the_token_of_a_session_is_read_from_roots_environment_alone(plain: Host, uids: str) -> None:
    named = replace(plain, variables=(("PKCS11_LOGIN_TOKEN_NAME", "Card"),))
    assert login_token(named, f"uids={uids}") == ("Card" if uids == "0:0:0" else "")


@root_only
@pytest.mark.parametrize("value", ["x" * 129, "a\nb", "\x1b"])
def test_a_token_that_is_no_plain_text_of_128_bytes_is_not_said(plain: Host, value: str) -> None:
    assert login_token(replace(plain, variables=(("PKCS11_LOGIN_TOKEN_NAME", value),))) == ""


@root_only
def test_the_list_is_shown_and_the_key_comes_back(host: Host) -> None:
    outcome = offering(host, f"{OTHER} {NAME}").login(CHOICE, "step=choose:-1:-1:1")
    assert (outcome.code, outcome.logs) == (SUCCESS, ["6 answer 1 echoed '1'"])
    assert outcome.word("lists") == "56 1 Which|0=Alice|1=Bob"


@root_only
@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("choose:16:0:0", 1), ("choose:17:0:0", 1),
        ("choose:-1:-1:2", 3), ("choose:-1:-1:", 3), ("choose:-1:-1:01", 3), ("choose:-1:-1:NULL", 3),
        ("choose:15:-1:0", 3), ("choose:0:-1:0", 3), ("choose:-1:1:0", 3),
        ("no-response", 3), ("error", 4), ("again", 5), ("garbage", 4),
    ],
)  # fmt: skip
def test_only_a_whole_answer_with_a_key_of_the_list_is_one(host: Host, step: str, status: int) -> None:
    outcome = offering(host).login(CHOICE, f"step={step}")
    assert outcome.logs == [f"6 answer {status} echoed '{'0' if status == 1 else ''}'"]


@root_only
def test_texts_of_a_list_are_cleaned(host: Host) -> None:
    outcome = offering(host).login("script-f14:a%1bb:[k,c%e2%80%aed+answer+grant", "step=choose:-1:-1:k")
    assert outcome.word("lists") == "40 0 a?b|k=c?d"


@root_only
def test_a_choice_after_its_time_is_none(hasty: Host) -> None:
    outcome = offering(hasty).login("script-sleep1+f14:Which:[0,Alice+answer+grant", "step=choose-late")
    assert outcome.logs == ["6 answer 3 echoed ''"]


@root_only
@pytest.mark.parametrize(
    "frame",
    [
        "f14", "f14:Which", "f14:Which:", "f14:Which:[a", "f14:Which:[a,b,c", "f14:Which:[,b", "f14:Which:[a%7f,b",
        "f14:Which:[*33", "f14:Which:[a,b:", "f14:Wh%00ich:[a,b", "f14:Which:%00%00%00%05a",
    ],
)  # fmt: skip
def test_a_malformed_list_is_a_broken_protocol(host: Host, frame: str) -> None:
    outcome = offering(host).login(f"script-{frame}+answer+grant", "step=choose:-1:-1:a")
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [PROTOCOL])


@root_only
def test_a_list_of_32_is_the_longest(host: Host) -> None:
    outcome = offering(host).login("script-f14:Which:[*32+answer+grant", "step=choose:-1:-1:k")
    assert (outcome.code, outcome.logs) == (SUCCESS, ["6 answer 1 echoed 'k'"])


def test_a_list_for_a_host_that_shows_none_is_a_broken_protocol(host: Host) -> None:
    assert VARIABLE not in os.environ
    outcome = host.login(CHOICE, "step=choose:-1:-1:1")
    assert (outcome.code, outcome.logs) == (SYSTEM_ERR, [PROTOCOL])
