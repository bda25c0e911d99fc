# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run a PAM stack through python-pam, with a conversation of our own: one secret, once.

python-pam answers every hidden prompt with the password. A PIN must never go to a second prompt, which may be another
module's that sends it elsewhere or a second try on the card; so its pam_start is given our conversation instead, which
fails every prompt but the first hidden one. What we pass here lives in this short process; Python cannot wipe it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pam_sc.errors import ConfigError
from pam_sc.record import record

PROMPT_ECHO_OFF, PROMPT_ECHO_ON, ERROR_MSG, TEXT_INFO = 1, 2, 3, 4
SUCCESS, CONV_ERR = 0, 19
MESSAGES_MAX = 32

CODE_NAMES = dict(enumerate((
    "SUCCESS", "OPEN_ERR", "SYMBOL_ERR", "SERVICE_ERR", "SYSTEM_ERR", "BUF_ERR", "PERM_DENIED", "AUTH_ERR",
    "CRED_INSUFFICIENT", "AUTHINFO_UNAVAIL", "USER_UNKNOWN", "MAXTRIES", "NEW_AUTHTOK_REQD", "ACCT_EXPIRED",
    "SESSION_ERR", "CRED_UNAVAIL", "CRED_EXPIRED", "CRED_ERR", "NO_MODULE_DATA", "CONV_ERR", "AUTHTOK_ERR",
    "AUTHTOK_RECOVERY_ERR", "AUTHTOK_LOCK_BUSY", "AUTHTOK_DISABLE_AGING", "TRY_AGAIN", "IGNORE", "ABORT",
    "AUTHTOK_EXPIRED", "MODULE_UNKNOWN", "BAD_ITEM", "CONV_AGAIN", "INCOMPLETE",
)))  # fmt: skip
"""The return codes of Linux-PAM (security/_pam_types.h)."""


@record
class StackResult:
    """What a stack answered, what it said meanwhile, and how many prompts it did not get an answer to."""

    code: int
    text: str
    messages: tuple[str, ...]
    refused_prompts: int


class OneSecret:
    """The answers of a conversation: the secret to the first hidden prompt, and a failure to every other."""

    def __init__(self, secret: bytes) -> None:
        self._secret: bytes | None = secret
        self.messages: list[str] = []
        self.refused = 0

    def answer(self, style: int, text: str) -> bytes | None:
        """Return the answer to one message, None where none is due; ConversationFailedError for a prompt too many."""
        if style in (ERROR_MSG, TEXT_INFO):
            self.messages.append(text)
            return None
        if style == PROMPT_ECHO_OFF and self._secret is not None:
            secret, self._secret = self._secret, None
            return secret
        self.refused += 1
        raise ConversationFailedError


class ConversationFailedError(Exception):
    """A prompt that this conversation does not answer."""


def authenticate(user: str, service: str, secret: str) -> StackResult:
    """Run authentication and account check of a service; the secret goes to the first hidden prompt alone."""
    if "\0" in user + service + secret:
        raise ConfigError("cannot run the stack: a name or the PIN holds NUL")
    internals = import_module("pam.__internals")
    authenticator = internals.PamAuthenticator()
    answers = OneSecret(secret.encode())
    converse = internals.conv_func(_conversation(internals, authenticator, answers))
    ours = internals.PamConv(converse, None)
    start = authenticator.pam_start
    authenticator.pam_start = lambda name, who, _theirs, handle: start(name, who, ctypes.byref(ours), handle)
    authenticator.authenticate(user, "", service, resetcreds=False)
    return StackResult(
        int(authenticator.code), str(authenticator.reason or ""), tuple(answers.messages), answers.refused
    )


def _conversation(internals: Any, authenticator: Any, answers: OneSecret) -> Callable[..., int]:
    """Make the C callback: nothing may escape it, and what it allocated is freed unless libpam gets it."""
    libc = authenticator.libc
    libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None

    def converse(count: int, messages: Any, responses: Any, _appdata: object) -> int:
        given: list[int] = []
        try:
            if not 0 < count <= MESSAGES_MAX:
                return CONV_ERR
            for at in range(count):
                message = messages[at].contents
                answer = answers.answer(message.msg_style, (message.msg or b"").decode("utf-8", "backslashreplace"))
                given.append(0 if answer is None else _copy(authenticator, answer))
            responses[0] = _array(internals, authenticator, given)
        except Exception:  # noqa: BLE001 - ctypes would turn an exception into success
            _release(libc, given)
            return CONV_ERR
        return SUCCESS

    return converse


def _copy(authenticator: Any, answer: bytes) -> int:
    """Return a C string of libc's, which libpam will free."""
    address = int(authenticator.calloc(len(answer) + 1, 1) or 0)
    if not address:
        raise MemoryError
    ctypes.memmove(address, answer, len(answer))
    return address


def _array(internals: Any, authenticator: Any, given: list[int]) -> Any:
    address = authenticator.calloc(len(given), ctypes.sizeof(internals.PamResponse))
    if not address:
        raise MemoryError
    array = ctypes.cast(address, ctypes.POINTER(internals.PamResponse))
    for at, answer in enumerate(given):
        array[at].resp = answer or None
    return array


def _release(libc: Any, given: list[int]) -> None:
    for address in given:
        if address:
            ctypes.memset(address, 0, len(ctypes.string_at(address)))
            libc.free(address)
