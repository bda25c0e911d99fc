# SPDX-License-Identifier: LGPL-2.1-or-later
"""A GDM in small: one process for each conversation, as gdm-session-worker is one, and what GDM makes of its codes.

What it imitates: a worker has the items, the environment and the language of a gdm-session-worker; after PAM_AUTHINFO_UNAVAIL
the service is given up, after any other refusal it is begun again at once; who cancels has the worker killed; the lock screen
of a session asks through a worker that has the session's PAM environment as its process environment.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.lines import Lines
from tests.support.pam_world import HARNESS, World
from tests.support.talking_host import BINARY, ECHO_OFF, ECHO_ON, ERROR, INFORMATION

AUTHINFO_UNAVAIL, MAXTRIES, NEW_AUTHTOK_REQD, SUCCESS = 9, 11, 12, 0
ESTABLISH_CRED, REINITIALIZE_CRED = 2, 8
SMARTCARD, PASSWORD = "gdm-smartcard", "gdm-password"
_ITEMS: Mapping[str, str] = {"tty": "/dev/tty1"}
_ENVIRONMENT = ("XDG_SEAT=seat0", "XDG_VTNR=1")
_HOST = f"{HARNESS}/tests/support/talking_host.py"
_SAID_S = 30
_STYLES = {ECHO_OFF: "secret", ECHO_ON: "question", ERROR: "problem", INFORMATION: "info", BINARY: "choice"}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a worker says: secret, question, problem, info or choice with a text, or the code of a call."""

    kind: str
    text: str = ""
    code: int = -1
    choices: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    environment: tuple[str, ...] = ()


@dataclass(slots=True)
class Worker:
    """One conversation."""

    process: subprocess.Popen[str]
    lines: Lines
    last: Heard = field(default_factory=lambda: Heard("nothing"))

    @classmethod
    def start(
        cls, world: World, service: str, user: str | None = None, *, session: Iterable[str] = (),
        items: Mapping[str, str] = _ITEMS, environment: Iterable[str] = _ENVIRONMENT,
    ) -> Self:  # fmt: skip
        """Start one. `session`: the PAM environment of the session that is to be unlocked."""
        process = world.namespace.popen(
            ["/usr/bin/python3", "-I", _HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=dict(each.split("=", 1) for each in session),
        )  # fmt: skip
        assert process.stdout is not None
        worker = cls(process, Lines(process.stdout))
        worker.send({"service": service, "user": user, "items": dict(items), "extensions": True,
                     "environment": list(environment)})  # fmt: skip
        return worker

    def send(self, what: dict[str, Any]) -> None:
        """Tell the worker something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def call(self, function: str, flags: int = 0) -> None:
        """Have it call a function of PAM."""
        self.send({"call": function, "flags": flags})

    def begin(self) -> Self:
        """Have it authenticate."""
        self.call("authenticate")
        return self

    def hear(self) -> Heard:
        """What it says next."""
        line = self.lines.next(_SAID_S)
        assert line, "the worker says nothing more"
        said = json.loads(line)
        if "code" in said:
            self.last = Heard("code", "", said["code"], (), said["user"], tuple(said["environment"]))
        else:
            choices = tuple((key, text) for key, text in said.get("choices", []))
            self.last = Heard(_STYLES[said["style"]], said["text"], choices=choices)
        return self.last

    def is_heard(self, within_s: float) -> bool:
        """Whether it says something within this time."""
        return self.lines.is_ready(within_s)

    def answer(self, text: str) -> None:
        """What the person types, or the key of what they chose."""
        self.send({"answer": text})

    def heard_until(self, kind: str) -> list[Heard]:
        """What it says up to the first of this kind, or to the end of the call."""
        heard = [self.hear()]
        while heard[-1].kind not in (kind, "code"):
            heard.append(self.hear())
        return heard

    def finish(self, functions: Sequence[tuple[str, int]]) -> list[int]:
        """Have it call these one after the other; the code of each."""
        codes = []
        for function, flags in functions:
            self.call(function, flags)
            codes.append(self.heard_until("code")[-1].code)
        return codes

    def kill(self) -> None:
        """What a cancel does to it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Greeter:
    """A login screen, or a locked one: it keeps one conversation alive for as long as GDM would."""

    world: World
    service: str = SMARTCARD
    user: str | None = None
    session: tuple[str, ...] = ()
    begun: int = 0
    unavailable: bool = False
    workers: list[Worker] = field(default_factory=list)

    def begin(self) -> Worker:
        """Begin a conversation."""
        self.begun += 1
        self.workers.append(Worker.start(self.world, self.service, self.user, session=self.session).begin())
        return self.workers[-1]

    def after(self, heard: Heard) -> Worker | None:
        """What GDM does after a refusal: give the service up, or begin again at once."""
        assert heard.kind == "code"
        assert heard.code != SUCCESS
        self.unavailable = heard.code in (AUTHINFO_UNAVAIL, MAXTRIES)
        return None if self.unavailable else self.begin()

    def close(self) -> None:
        """End all that is left."""
        for worker in self.workers:
            worker.kill()
