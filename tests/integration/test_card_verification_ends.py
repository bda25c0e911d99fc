# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another user of the machine never gets a signature from a card that somebody logs in with.

OpenSC leaves a card PIN-verified after a logout, and then any process that reaches the reader may sign. Here somebody
tries, past every PKCS#11 module, at each command of a login, after it, and after the card process was killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import is_installed, module_in
from tests.support.login_setup import LoginSetup, configuration
from tests.support.pam_world import HARNESS, World
from tests.support.pcsc_thief import Thief
from tests.support.pcscd import READER, Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.softhsm import PIN

pytestmark = [pytest.mark.root, pytest.mark.skipif(not is_installed(), reason="needs the installed wheel")]

SIGN = 0x87
ATTEMPTS_AFTERWARDS = 20


@pytest.fixture
def card(world: World, pcscd: Pcscd) -> VirtualCard:
    """A PIV card of alice with an ordinary key, in the reader, and a PAM service that asks for it."""
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    world.pam_service("test", [f"required {module_in()}"])
    made = pcscd.card(PivApplet({place: setup.authority.issue(common_name="alice", key="p256")
                                 for place in (0x9A, 0x9C)}))
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
    return world.run(["pamtester", "test", "alice", "authenticate"], input=f"{pin}\n").returncode == 0


def kill_card_process(world: World) -> None:
    """Kill the card process of the login that runs in this world."""
    mine = os.readlink(f"/proc/{world.namespace.pid}/ns/mnt")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[1:2] == [b"card"] and os.readlink(process / "ns/mnt") == mine:
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue


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


def test_the_card_is_no_longer_verified_when_the_login_returns(world: World, card: VirtualCard) -> None:
    assert log_in(world)
    assert not card.applet.pin_verified


def test_nothing_is_stolen_after_a_wrong_pin(world: World, card: VirtualCard, thief: Thief) -> None:
    assert not log_in(world, "999999")
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0


def test_nothing_is_stolen_after_the_card_process_was_killed_with_the_pin_verified(
        world: World, card: VirtualCard, thief: Thief) -> None:
    killed: list[bool] = []

    def kill_when_verified(command: bytes) -> None:
        if card.applet.pin_verified and not killed:
            killed.append(True)
            kill_card_process(world)
        if command[1] != SIGN:
            thief.await_attempt()

    card.on_command = kill_when_verified
    assert not log_in(world)
    assert killed
    assert any("reason=card-process-lost-after-pin" in line.text for line in world.logged())
    thief.await_results(ATTEMPTS_AFTERWARDS)
    assert thief.successes == 0
    assert not card.applet.pin_verified


def test_the_next_login_after_a_killed_one_is_granted(world: World, card: VirtualCard) -> None:
    killed: list[bool] = []

    def kill_once(_command: bytes) -> None:
        if card.applet.pin_verified and not killed:
            killed.append(True)
            kill_card_process(world)

    card.on_command = kill_once
    assert not log_in(world)
    assert killed
    assert log_in(world)
