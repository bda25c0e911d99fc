# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PAM application with a scripted conversation, one process for each login, driven through libpam itself.

`Login(...).run()` starts this very file as a program (standard library only, no imports of this project), which calls
pam_start_confdir and then the wanted functions, and tells codes, prompts, messages and log lines. The log is seen
without a syslog daemon, because the program asks glibc to repeat on stderr what is sent to syslog.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import locale
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PAM_SUCCESS, PAM_CONV_ERR, PAM_CONV_AGAIN = 0, 19, 30
ECHO_OFF, ECHO_ON, ERROR, INFORMATION = 1, 2, 3, 4
ITEMS = {"tty": 3, "rhost": 4, "ruser": 8, "user_prompt": 9}
_PAM_USER, _PAM_FAIL_DELAY = 2, 10
_FUNCTIONS = ("authenticate", "setcred", "acct_mgmt", "open_session", "close_session", "chauthtok")
_LOG_PERROR, _LOG_AUTHPRIV = 0x20, 10 << 3
_IDENTITY = b"pam_host"

Answer = str | dict[str, Any]
"""A text; or {"null": true} (no text), {"fail": CODE} (the conversation fails), {"length": N} (a long text),
{"never": true} (it never returns), {"response": "null"} (it succeeds without a response)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the conversation: style (ECHO_OFF, ECHO_ON, ERROR, INFORMATION) and text."""

    style: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the login went: a code for each function in order, what was said, PAM_USER and the PAM environment."""

    codes: dict[str, int]
    said: tuple[Said, ...]
    user: str | None
    environment: tuple[str, ...]
    log: tuple[str, ...]
    seconds: float

    @property
    def code(self) -> int:
        """The code of the first function, which is authenticate unless told otherwise."""
        return next(iter(self.codes.values()))

    def texts(self, *styles: int) -> tuple[str, ...]:
        """What was said in these styles."""
        return tuple(said.text for said in self.said if said.style in styles)


Runner = Callable[[Sequence[str], str], subprocess.CompletedProcess[str]]
"""Runs a command line with a text as standard input; a world's `run` bound to a user is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What the application does: the service, the account, the answers to prompts in turn, and which functions.

    A function may have flags of its own: "chauthtok:32". Its code then stands under that whole name.
    """

    service: str
    user: str | None
    answers: Sequence[Answer] = ()
    functions: Sequence[str] = ("authenticate",)
    confdir: str | None = None
    items: dict[str, str] = field(default_factory=dict)
    flags: int = 0
    interrupted: bool = False
    """A signal that the application catches comes five times a second, as from a person who presses Ctrl-C."""
    language: tuple[str, str] | None = None
    """A locale for LC_MESSAGES and the folder that holds it (LOCPATH). None: like a host that never calls setlocale."""

    def run(self, runner: Runner | None = None, *, program: str = __file__) -> Outcome:
        """Log in, in a process of its own. `program` is this file as that process sees it."""
        result = (runner or _run_here)(["/usr/bin/python3", "-I", program], json.dumps(asdict(self)))
        if result.returncode != 0:
            raise HostDiedError(result.returncode, result.stderr)
        told = json.loads(result.stdout)
        log = [line.removeprefix(f"{_IDENTITY.decode()}: ") for line in result.stderr.splitlines()]
        return Outcome(told["codes"], tuple(Said(**said) for said in told["said"]), told["user"],
                       tuple(told["environment"]), tuple(log), told["seconds"])


class HostDiedError(Exception):
    """The application ended by a signal (negative status) or with an error of its own."""

    def __init__(self, status: int, stderr: str) -> None:
        super().__init__(f"the PAM application ended with status {status}: {stderr}")
        self.status = status


def _run_here(argv: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=False)


# From here on: the application.

class _Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class _Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("retcode", ctypes.c_int)]


_Converse = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(_Message)),
                             ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)


_FailDelay = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = [("converse", _Converse), ("data", ctypes.c_void_p)]


class _Application:
    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.said: list[Said] = []
        self._answers = list(order["answers"])
        self._libc = ctypes.CDLL(None)
        self._libc.calloc.restype = self._libc.strdup.restype = ctypes.c_void_p
        self._pam = ctypes.CDLL("libpam.so.0")
        self._pam.pam_getenvlist.restype = ctypes.POINTER(ctypes.c_char_p)
        self._handle = ctypes.c_void_p()
        self._conversation = _Conversation(_Converse(self._converse), None)
        self._no_delay = _FailDelay(lambda _code, _microseconds, _data: None)  # the application's right: it waits itself

    def run(self) -> dict[str, Any]:
        self._libc.openlog(_IDENTITY, _LOG_PERROR, _LOG_AUTHPRIV)
        self._speak()
        began = time.monotonic()
        self._start()
        if self.order["interrupted"]:
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        codes = {}
        for function in self.order["functions"]:
            name, _, flags = function.partition(":")
            assert name in _FUNCTIONS
            codes[function] = getattr(self._pam, f"pam_{name}")(self._handle, int(flags or self.order["flags"]))
        told = {"codes": codes, "said": [asdict(said) for said in self.said], "user": self._user(),
                "environment": self._environment(), "seconds": time.monotonic() - began}
        self._pam.pam_end(self._handle, list(codes.values())[-1])
        return told

    def _speak(self) -> None:
        if self.order["language"] is not None:
            name, os.environ["LOCPATH"] = self.order["language"]
            assert locale.setlocale(locale.LC_MESSAGES, name) == name

    def _start(self) -> None:
        texts = [None if self.order[name] is None else self.order[name].encode() for name in
                 ("service", "user", "confdir")]
        code = self._pam.pam_start_confdir(texts[0], texts[1], ctypes.byref(self._conversation), texts[2],
                                           ctypes.byref(self._handle))
        if code != PAM_SUCCESS:
            raise SystemExit(f"pam_start_confdir: {code}")
        self._pam.pam_set_item(self._handle, _PAM_FAIL_DELAY, self._no_delay)
        for name, value in self.order["items"].items():
            self._pam.pam_set_item(self._handle, ITEMS[name], ctypes.c_char_p(value.encode()))

    def _user(self) -> str | None:
        user = ctypes.c_char_p()
        self._pam.pam_get_item(self._handle, _PAM_USER, ctypes.byref(user))
        return None if user.value is None else user.value.decode(errors="backslashreplace")

    def _environment(self) -> list[str]:
        found: list[str] = []
        entries = self._pam.pam_getenvlist(self._handle)
        while entries and (entry := entries[len(found)]) is not None:
            found.append(entry.decode())
        return found

    def _converse(self, count: int, messages: Any, responses: Any, _data: Any) -> int:
        array = self._libc.calloc(count, ctypes.sizeof(_Response))
        responses[0] = array
        for number in range(count):
            message = messages[number].contents
            self.said.append(Said(message.style, (message.text or b"").decode(errors="backslashreplace")))
            if message.style in (ECHO_OFF, ECHO_ON):
                code = self._answer(_Response.from_address(array + number * ctypes.sizeof(_Response)), responses)
                if code != PAM_SUCCESS:
                    return code
        return PAM_SUCCESS

    def _answer(self, response: _Response, responses: Any) -> int:
        answer: Answer = self._answers.pop(0) if self._answers else {"fail": PAM_CONV_ERR}
        match {"text": answer} if isinstance(answer, str) else answer:
            case {"fail": code}:
                return int(code)
            case {"never": _}:
                while True:
                    time.sleep(3600)
            case {"response": "null"}:
                responses[0] = None
            case {"length": length}:
                response.text = self._libc.strdup(b"1" * int(length))
            case {"text": str(text)}:
                response.text = self._libc.strdup(text.encode())
        return PAM_SUCCESS


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_Application(json.load(sys.stdin)).run()))
