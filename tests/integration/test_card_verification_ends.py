# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another user of the machine never gets a signature from a card that somebody logs in with.

OpenSC leaves a card PIN-verified after a logout, and then any process that reaches the reader may sign. Here somebody
tries, past every PKCS#11 module, at each command of a login, after it, and after the card process was killed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.installation import module_in
from tests.support.login_setup import LoginSetup, configuration
from tests.support.pam_world import HARNESS, World
from tests.support.pcsc_thief import Thief
from tests.support.pcscd import READER, Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import fresh_key
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

PAMTESTER = ["pamtester", "test", "alice", "authenticate"]
SIGN = 0x87
PROCESSES = 3  # supervisor, verifier, card process
END_S = 2
ATTEMPTS_AFTERWARDS = 20


@pytest.fixture(params=[0x9A, 0x9C], ids=["ordinary-key", "always-authenticate-key"])
def card(request: pytest.FixtureRequest, world: World, pcscd: Pcscd) -> VirtualCard:
    """A PIV card of alice in the reader, and a PAM service that asks for it; another key of the card is nobody's."""
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    world.pam_service("test", [f"required {module_in()}"])
    issued = {place: setup.authority.issue(common_name="alice" if place == request.param else "other", key="p256")
              for place in (0x9A, 0x9C)}
    made = pcscd.card(PivApplet(issued))
    made.insert()
    return made


@pytest.fixture
def thief(world: World, card: VirtualCard) -> Iterator[Thief]:
    """Bob, who knows no PIN, at the same reader; an attempt of his is on its way at each command of anybody else."""
    made = Thief(lambda argv, **more: world.namespace.popen(argv, user="bob", **more),
                 f"{HARNESS}/tests/support/pcsc_thief.py", READER)
    made.await_results(2)
    card.on_command = lambda command: None if command[1] == SIGN else made.await_attempt()
    yield made
    card.on_command = None
    made.stop()


def log_in(world: World, pin: str = PIN) -> bool:
    """Log alice in."""
    return world.run(PAMTESTER, input=f"{pin}\n").returncode == 0


def logged(world: World) -> str:
    """Everything that was logged."""
    return "\n".join(line.text for line in world.logged())


def workers(world: World) -> list[tuple[int, bytes]]:
    """The processes of pam_sc that run in this world: number and role ("" for the supervisor)."""
    mine, found = os.readlink(f"/proc/{world.namespace.pid}/ns/mnt"), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"/pam_sc_worker") and os.readlink(process / "ns/mnt") == mine:
                found.append((int(process.name), argv[1]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def kill_card_process(world: World, how: signal.Signals = signal.SIGKILL) -> None:
    """Kill the card process of the login that runs in this world, or have it crash."""
    for number, role in workers(world):
        if role == b"card":
            os.kill(number, how)


class OnceVerified:
    """Does something at the first command that comes while the PIN is verified; an attempt of the thief is on its way."""

    def __init__(self, card: VirtualCard, thief: Thief | None, act: Callable[[], None]) -> None:
        self.done = threading.Event()
        self._card, self._thief, self._act = card, thief, act
        card.on_command = self._react

    def _react(self, command: bytes) -> None:
        if self._card.applet.pin_verified and not self.done.is_set():
            self._act()
            self.done.set()
        if self._thief is not None and command[1] != SIGN:
            self._thief.await_attempt()


def test_the_thief_succeeds_where_the_card_is_left_verified(world: World, card: VirtualCard, thief: Thief) -> None:
    tool = ["pkcs11-tool", "--module", opensc_module(), "--login", "--pin", PIN, "-O", "--type", "cert"]
    assert world.run(tool, user="alice").returncode == 0
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes > 0


def test_nothing_is_stolen_during_a_login_or_after_it(world: World, card: VirtualCard, thief: Thief) -> None:
    before = len(thief.results)
    assert log_in(world)
    assert len(thief.results) > before, "the thief had no chance to try"
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert card.applet.signatures == 1
    assert not card.applet.pin_verified


def test_nothing_is_stolen_while_the_person_types(world: World, card: VirtualCard, thief: Thief) -> None:
    child = world.spawn(PAMTESTER)
    child.expect("PIN[^:]*:")
    thief.await_results(ATTEMPTS_AFTERWARDS)
    child.sendline(PIN)
    child.expect("successfully authenticated")
    assert thief.successes == 0


def test_the_card_is_no_longer_verified_soon_after_the_login_returns(world: World, card: VirtualCard) -> None:
    """pcscd resets the card when it sees that the card process is dead; until then nobody else gets at it (see below)."""
    assert log_in(world)
    deadline = time.monotonic() + 2
    while card.applet.pin_verified and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not card.applet.pin_verified


def test_nothing_is_stolen_after_a_wrong_pin(world: World, card: VirtualCard, thief: Thief) -> None:
    assert not log_in(world, "999999")
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert "reason=pin-wrong" in logged(world)


def test_nothing_is_stolen_after_the_card_process_was_killed_with_the_pin_verified(
        world: World, card: VirtualCard, thief: Thief) -> None:
    killed = OnceVerified(card, thief, lambda: kill_card_process(world))
    assert not log_in(world)
    assert killed.done.is_set()
    assert "reason=card-process-lost-after-pin" in logged(world)
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert not card.applet.pin_verified


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT])
def test_nothing_is_stolen_after_the_card_process_crashed_with_the_pin_verified(
        world: World, card: VirtualCard, thief: Thief, how: signal.Signals) -> None:
    crashed = OnceVerified(card, thief, lambda: kill_card_process(world, how))
    assert not log_in(world)
    assert crashed.done.is_set()
    assert "reason=card-process-lost-after-pin" in logged(world)
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert not card.applet.pin_verified


def test_nothing_is_stolen_after_a_login_that_was_refused_with_the_pin_verified(
        world: World, card: VirtualCard, thief: Thief) -> None:
    """The key is another than the certificate's, so the PIN is right and the signature is not."""
    slots = card.applet.slots
    card.applet.slots = {place: replace(slot, key=fresh_key("p256")) for place, slot in slots.items()}
    assert not log_in(world)
    assert "reason=signature-invalid" in logged(world)
    assert card.applet.signatures == 1
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert not card.applet.pin_verified


def test_nothing_is_stolen_after_the_card_refused_to_sign_with_the_pin_verified(
        world: World, card: VirtualCard, thief: Thief) -> None:
    refuse = OnceVerified(card, thief, lambda: setattr(card.applet, "slots", {}))
    assert not log_in(world)
    assert refuse.done.is_set()
    assert "reason=signing-failed" in logged(world)
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert not card.applet.pin_verified


def test_nothing_is_stolen_after_the_application_was_killed_with_the_pin_verified(
        world: World, card: VirtualCard, thief: Thief) -> None:
    left: list[int] = []
    login = world.namespace.popen(PAMTESTER, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def kill_application() -> None:
        left.extend(os.pidfd_open(number) for number, _role in workers(world))
        login.kill()

    killed = OnceVerified(card, thief, kill_application)
    login.communicate(f"{PIN}\n", timeout=60)
    assert killed.done.is_set()
    assert len(left) == PROCESSES
    for process in left:
        assert select.select([process], [], [], END_S)[0], "a process of the login outlived the application"
        os.close(process)
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert not card.applet.pin_verified


def test_the_next_login_after_a_killed_one_is_granted(world: World, card: VirtualCard) -> None:
    killed = OnceVerified(card, None, lambda: kill_card_process(world))
    assert not log_in(world)
    assert killed.done.is_set()
    assert log_in(world)
