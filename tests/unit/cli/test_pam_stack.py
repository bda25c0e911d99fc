# SPDX-License-Identifier: LGPL-2.1-or-later
"""The conversation of try-login: the PIN goes to the first hidden prompt, once, and every other prompt fails."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from pam_sc.cli import pam_stack
from pam_sc.cli.pam_stack import CONV_ERR, ERROR_MSG, PROMPT_ECHO_OFF, PROMPT_ECHO_ON, SUCCESS, TEXT_INFO, OneSecret
from pam_sc.errors import ConfigError

internals: Any = import_module("pam.__internals")

Converse = Callable[..., tuple[int, list[bytes | None] | None]]


@pytest.fixture
def answers() -> OneSecret:
    return OneSecret(b"1234")


@pytest.fixture
def converse(answers: OneSecret) -> Converse:
    """The callback, called through C as libpam would."""
    callback = internals.conv_func(pam_stack._conversation(internals, internals.PamAuthenticator(), answers))

    def call(*messages: tuple[int, bytes], count: int | None = None) -> tuple[int, list[bytes | None] | None]:
        made = [internals.PamMessage(style, text) for style, text in messages]
        pointers = (ctypes.POINTER(internals.PamMessage) * max(1, len(made)))(*[ctypes.pointer(m) for m in made])
        responses = ctypes.POINTER(internals.PamResponse)()
        code = callback(len(made) if count is None else count, pointers, ctypes.byref(responses), None)
        return code, [responses[at].resp for at in range(len(made))] if responses else None

    return call


def test_the_first_hidden_prompt_gets_the_secret(converse: Converse, answers: OneSecret) -> None:
    assert converse((PROMPT_ECHO_OFF, b"PIN: ")) == (SUCCESS, [b"1234"])
    assert answers.refused == 0


def test_a_second_hidden_prompt_gets_nothing(converse: Converse, answers: OneSecret) -> None:
    converse((PROMPT_ECHO_OFF, b"PIN: "))
    assert converse((PROMPT_ECHO_OFF, b"Password: ")) == (CONV_ERR, None)
    assert answers.refused == 1


def test_a_second_hidden_prompt_in_the_same_call_gets_nothing_either(converse: Converse) -> None:
    assert converse((PROMPT_ECHO_OFF, b"PIN: "), (PROMPT_ECHO_OFF, b"Again: ")) == (CONV_ERR, None)


def test_a_visible_prompt_never_gets_the_secret(converse: Converse, answers: OneSecret) -> None:
    assert converse((PROMPT_ECHO_ON, b"login: ")) == (CONV_ERR, None)
    assert converse((PROMPT_ECHO_OFF, b"PIN: ")) == (SUCCESS, [b"1234"])
    assert answers.refused == 1


def test_texts_are_kept_and_need_no_answer(converse: Converse, answers: OneSecret) -> None:
    assert converse((TEXT_INFO, b"Insert"), (ERROR_MSG, b"b\xffd"), (PROMPT_ECHO_OFF, b"PIN: ")) == (
        SUCCESS,
        [None, None, b"1234"],
    )
    assert answers.messages == ["Insert", "b\\xffd"]


@pytest.mark.parametrize("count", [0, -1, 33])
def test_an_absurd_number_of_messages_fails(converse: Converse, count: int) -> None:
    assert converse((PROMPT_ECHO_OFF, b"PIN: "), count=count) == (CONV_ERR, None)


def test_a_style_that_nobody_knows_fails(converse: Converse) -> None:
    assert converse((7, b"binary")) == (CONV_ERR, None)


@pytest.mark.parametrize(("user", "secret"), [("a\0b", "1234"), ("alice", "12\x0034")])
def test_a_nul_is_refused_before_pam_is_asked(user: str, secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pam_stack.authenticate(user, "login", secret)
    assert "1234" not in str(caught.value)


def test_every_code_of_linux_pam_has_its_name() -> None:
    for code, name in pam_stack.CODE_NAMES.items():
        known = getattr(internals, f"PAM_{name}", None)
        assert known is None or known == code or name == "NEW_AUTHTOK_REQD"
    assert len(pam_stack.CODE_NAMES) == 32
