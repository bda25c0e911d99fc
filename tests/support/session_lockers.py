# SPDX-License-Identifier: LGPL-2.1-or-later
"""Screen lockers of sessions, each as a person has it set up: what runs beforehand, and what the monitor is told of it.

Whether a screen is covered is looked at on the screen itself: each locker has a colour that nothing else there has. A
locker that the monitor starts lets go of its standard streams by itself or not at all, as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pexpect

from tests.support.desk import CardSession, Desk
from tests.support.login1 import NAME, PATH
from tests.support.screens import Screen

LIMIT_S = 20.0
_ATTEMPTS, _HEARD_S = 8, 1.5
_SWAYIDLE_LOCK = "/srv/lock"
_HINT = f"busctl call {NAME} {PATH}/session/$XDG_SESSION_ID {NAME}.Session SetLockedHint b"
_LOCK_WITH_HINT = f"""#!/bin/sh
# Locks, tells logind when the screen is locked, and when it is open again: swaylock keeps descriptor 3 until then.
{{ swaylock --daemonize --color aa0000 3>&1 >/dev/null && {_HINT} true >/dev/null; }} | cat
{_HINT} false
"""
_XSCREENSAVER_FILE = "mode: blank\nfade: False\nunfade: False\nlock: True\nsplash: False\n"
_X_ROOT = "ffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockerKind:
    """A way in which sessions get locked. `service`: the PAM service that opens such a session."""

    name: str
    session_type: str
    colour: str
    configured: str = ""
    """What [[monitor.rule]] says for such a session."""
    beforehand: tuple[str, ...] = ()
    """What runs in the session from its beginning, and says what `ready` holds when it does."""
    ready: str = ""
    wakes: bool = False
    """It asks only after a key, and shows a refusal until there is another."""
    hint: bool = False
    """logind is told that the session is locked."""

    @property
    def service(self) -> str:
        """The PAM service."""
        return f"desk-{self.name}"

    @property
    def rule(self) -> str:
        """The table of the configuration."""
        return f'[[monitor.rule]]\nservice = ["{self.service}"]\n{self.configured}\n' if self.configured else ""


SWAYIDLE = LockerKind(
    name="swayidle", session_type="wayland", colour="aa0000", hint=True,
    beforehand=("swayidle", "-d", "lock", _SWAYIDLE_LOCK), ready="(?i)lock",
)  # fmt: skip
SWAYLOCK = LockerKind(
    name="swaylock", session_type="wayland", colour="00aa00",
    configured='locker = { run = ["swaylock", "--daemonize", "--color", "00aa00"], sign = "exit" }',
)
I3LOCK = LockerKind(
    name="i3lock", session_type="x11", colour="0000aa",
    configured='locker = { run = ["i3lock", "--color=0000aa"], sign = "exit" }',
)
XSCREENSAVER = LockerKind(
    name="xscreensaver", session_type="x11", colour="000000",
    configured='locker = { run = ["xscreensaver-command", "-lock"], '
               'sign = { query = ["xscreensaver-command", "-time"], text = "screen locked" } }',
    beforehand=("xscreensaver", "--no-splash", "--verbose"), ready="xscreensaver-auth exited normally",
    wakes=True,
)  # fmt: skip
LOCKERS = {kind.name: kind for kind in (SWAYIDLE, SWAYLOCK, I3LOCK, XSCREENSAVER)}


@dataclass(slots=True)
class SessionScreen:
    """The screen of a session with its locker."""

    desk: Desk
    kind: LockerKind
    screen: Screen
    session: CardSession
    child: pexpect.spawn[str] | None

    @property
    def environment(self) -> dict[str, str]:
        """What programs of the session have."""
        return {**self.session.environment, **self.screen.environment}

    @property
    def covered(self) -> bool:
        """Whether the locker's colour is what is shown."""
        return self.screen.corner() == self.kind.colour

    def await_covered(self, covered: bool = True) -> None:
        """Return when the locker covers the screen, or does not."""
        _await(lambda: self.covered is covered, f"the screen is never {'covered' if covered else 'open'}")

    def answer(self, pin: str) -> None:
        """Type a PIN as a person does, and again where the locker was not listening; return when pam_sc has judged it."""
        before = len(self.desk.site.reasons())
        for _attempt in range(_ATTEMPTS):
            if self.kind.wakes:
                self._wake()
            self.screen.type(pin, "Return")
            with suppress(AssertionError):
                _await(lambda: len(self.desk.site.reasons()) > before, "", _HEARD_S)
                return
            self.screen.type("", "Escape")
        raise AssertionError("the locker never asks pam_sc")

    def acknowledge(self) -> None:
        """Put away what the locker shows of a refusal, where it waits for that."""
        if self.kind.wakes:
            self._press_until("authorization failed", "Return")

    def _wake(self) -> None:
        self._press_until("authorizing", "shift")
        assert self.child is not None
        self.child.expect("ECHO_OFF[^#]*re-creating window")

    def _press_until(self, said: str, key: str) -> None:
        assert self.child is not None
        for _attempt in range(40):
            if self.child.expect([pexpect.TIMEOUT, said], timeout=0.25):
                return
            self.screen.type("", key)
        raise AssertionError(f"the locker never says {said!r}: {self.child.before[-1000:]!r}")


@contextmanager
def session_screen(desk: Desk, kind: LockerKind, screen: Screen, session: CardSession) -> Iterator[SessionScreen]:
    """Set a session's screen up, and end what was started for it."""
    if kind.session_type == "x11":
        done = desk.world.run(["xsetroot", "-solid", f"#{_X_ROOT}"], user=session.account, env=screen.environment)
        assert done.returncode == 0, done.stderr
    made = SessionScreen(desk, kind, screen, session, None)
    if kind.beforehand:
        made.child = desk.world.spawn(list(kind.beforehand), user=session.account, env=made.environment, timeout=LIMIT_S)
        made.child.expect(kind.ready)
    try:
        yield made
    finally:
        if made.child is not None:
            made.child.close(force=True)


def prepare(desk: Desk) -> None:
    """Put the files down that the lockers want, and their PAM services."""
    desk.site.services("swaylock", "i3lock", "xscreensaver")
    desk.world.put(_SWAYIDLE_LOCK, _LOCK_WITH_HINT, mode=0o755)
    desk.world.put("/home/alice/.xscreensaver", _XSCREENSAVER_FILE, owner="alice")
    for kind in LOCKERS.values():
        desk.service(kind.service)


def _await(holds: Callable[[], bool], failure: str, limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, failure
        time.sleep(0.02)  # a screen tells nobody that it has changed
