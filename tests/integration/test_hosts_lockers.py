# SPDX-License-Identifier: LGPL-2.1-or-later
"""Screen lockers as an ordinary user: a wrong PIN and no card leave the screen locked, the right PIN opens it.

The keys are pressed on screens without hardware. What a locker says of itself is awaited, so nothing waits for a while;
where a test fails, a picture of the screen is kept in the test's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.support.host_site import PIN, WRONG_PIN, HostSite, host_site
from tests.support.namespace import is_available
from tests.support.pam_world import HARNESS
from tests.support.screens import Screen, WaylandScreen, XScreen, wayland_screen, x_screen

pytestmark = pytest.mark.root

DAEMON_CHILD = ["/usr/bin/python3", "-I", f"{HARNESS}/tests/support/daemon_child.py"]
XSCREENSAVER_FILE = "mode: blank\nfade: False\nunfade: False\nlock: True\nsplash: False\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostSite]:
    """One machine for all lockers."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with host_site(tmp_path_factory.mktemp("lockers")) as made:
        made.services("i3lock", "swaylock", "xscreensaver")
        made.world.put("/home/alice/.xscreensaver", XSCREENSAVER_FILE, owner="alice")
        yield made


@pytest.fixture(scope="module")
def x_display(machine: HostSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XScreen]:
    """The X server of all tests."""
    with x_screen(machine.world, tmp_path_factory.mktemp("xvfb")) as made:
        yield made


@pytest.fixture(scope="module")
def wayland_display(machine: HostSite) -> Iterator[WaylandScreen]:
    """The compositor of all tests."""
    with wayland_screen(machine.world) as made:
        yield made


@dataclass(slots=True)
class Locked:
    """A locked screen. `refused` is what the locker says when PAM refused; `asks` whether it shows a prompt first."""

    site: HostSite
    screen: Screen
    child: pexpect.spawn[str]
    refused: str
    asks: str = ""
    opened: str = ""

    def begin(self) -> None:
        """Bring up the locker's prompt, where it has one; it ignores keys for a moment after it has locked."""
        if self.asks:
            self._press_until("authorizing", "shift")

    def require_refusal(self) -> None:
        """PAM has refused, and the locker is there; one that shows prompts shows an error until a key is pressed."""
        if self.asks:
            self._press_until(self.refused, "Return")
        else:
            self.child.expect(self.refused)
        assert self.child.isalive()

    def _press_until(self, said: str, key: str) -> None:
        for _attempt in range(40):
            if self.child.expect([pexpect.TIMEOUT, said], timeout=0.25):
                return
            self.screen.type("", key)
        raise AssertionError(f"the locker never says {said!r}: {self.child.before!r}")

    def answer(self, pin: str, *, key: str = "Return") -> None:
        """Type a PIN as a person does, where the locker asks for it."""
        self.begin()
        if self.asks:
            self.child.expect(self.asks)
        self.screen.type(pin, key)

    def require_open(self) -> None:
        """The screen is no longer locked, in the locker's own words: it says so, or ends with success."""
        if self.opened:
            self.child.expect(self.opened)
            return
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0


Locker = Callable[[], Locked]


@pytest.fixture(params=["i3lock", "swaylock", "xscreensaver"])
def lock(request: pytest.FixtureRequest, machine: HostSite, tmp_path: Path) -> Iterator[Locker]:
    """Locks the screen with one of the lockers; the reader is empty unless the test fills it before."""
    display = "wayland_display" if request.param == "swaylock" else "x_display"
    screen: Screen = request.getfixturevalue(display)
    started: list[Locked] = []

    def locked() -> Locked:
        started.append(LOCKERS[request.param](machine, screen))
        return started[0]

    failures = request.session.testsfailed
    yield locked
    if request.session.testsfailed > failures:
        screen.picture(tmp_path / "screen")
    for each in started:
        each.child.close(force=True)
    machine.require_no_secret()
    machine.require_nothing_left()


def lock_with_i3lock(site: HostSite, screen: Screen) -> Locked:
    child = site.world.spawn(["i3lock", "--nofork", "--debug"], user="alice", env=screen.environment, timeout=20)
    child.expect("Watching window")
    return Locked(site, screen, child, refused="\r\n[^\\[][^\r]*\r\n.*auth_state = 3")


def lock_with_swaylock(site: HostSite, screen: Screen) -> Locked:
    child = site.world.spawn([*DAEMON_CHILD, "swaylock", "--debug", "--daemonize"], user="alice",
                             env=screen.environment, timeout=20)
    child.expect("\nready")
    return Locked(site, screen, child, refused="pam_authenticate failed")


def lock_with_xscreensaver(site: HostSite, screen: Screen) -> Locked:
    child = site.world.spawn(["xscreensaver", "--no-splash", "--verbose"], user="alice", env=screen.environment,
                             timeout=20)
    child.expect("xscreensaver-auth exited normally")
    site.world.run(["xscreensaver-command", "-lock"], user="alice", env=screen.environment).check_returncode()
    child.expect("blanking")
    return Locked(site, screen, child, refused="authorization failed", asks="ECHO_OFF[^#]*re-creating window",
                  opened="unblanking")


LOCKERS = {"i3lock": lock_with_i3lock, "swaylock": lock_with_swaylock, "xscreensaver": lock_with_xscreensaver}


def test_without_a_card_the_screen_stays_locked(machine: HostSite, lock: Locker) -> None:
    machine.fresh(card=False)
    locked = lock()
    locked.begin()
    if not locked.asks:
        locked.screen.type(PIN, "Return")
    locked.require_refusal()
    assert machine.reasons() == ["no-card"]


def test_the_right_pin_opens_the_screen(machine: HostSite, lock: Locker) -> None:
    machine.fresh(card=True)
    locked = lock()
    locked.answer(PIN)
    locked.require_open()
    assert machine.reasons() == ["granted"]
    assert (machine.verifications, machine.card.applet.signatures) == (1, 1)


def test_after_a_wrong_pin_the_screen_stays_locked_until_the_right_one(machine: HostSite, lock: Locker) -> None:
    machine.fresh(card=True)
    locked = lock()
    locked.answer(WRONG_PIN)
    locked.require_refusal()
    assert machine.reasons() == ["pin-wrong"]
    assert (machine.verifications, machine.card.applet.tries, machine.card.applet.signatures) == (1, 2, 0)
    locked.answer(PIN)
    locked.require_open()
    assert machine.reasons() == ["pin-wrong", "granted"]


def test_a_person_who_takes_back_what_they_typed_leaves_the_card_untouched(machine: HostSite, lock: Locker) -> None:
    machine.fresh(card=True)
    locked = lock()
    locked.answer(PIN, key="Escape")
    if not locked.asks:
        locked.screen.type("", "Return")
    locked.require_refusal()
    assert machine.reasons()[-1:] in ([], ["pin-empty"], ["conversation-failed"])
    machine.require_untouched()
