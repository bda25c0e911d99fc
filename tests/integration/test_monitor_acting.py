# SPDX-License-Identifier: LGPL-2.1-or-later
"""Acting on a removed card with real programs and a real session bus: what hangs or lies leaves the next way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pam_sc.decision.monitoring import Commands, Locker, Program, SessionPolicy, Sign
from pam_sc.monitor.acting import act, welcome
from pam_sc.monitor.facts import Cause, Outcome, SessionFacts, Side
from pam_sc.monitor.gnome import NAME, removal_action
from pam_sc.monitor.hands import Hands
from pam_sc.monitor.locking import Lockers
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Programs
from pam_sc.monitor.session_bus import SessionBus
from tests.support.removal import CARD, FakeLogind, Told, facts
from tests.support.session_bus import FakeSaver, OwnBus, own_bus, saver_on

MATE, XFCE = "org.mate.ScreenSaver", "org.xfce.ScreenSaver"
MINE = facts(uid=os.geteuid(), id=f"test{os.getpid()}")
WAIT_S = 1.0


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[OwnBus]:
    """A session bus."""
    with own_bus(tmp_path / "bus") as made:
        yield made


@pytest.fixture
def locker(tmp_path: Path) -> Iterator[Locker]:
    """A locker that forks and ends when it has locked; what it leaves behind ends with the test."""
    path = tmp_path / "mylock"
    path.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {tmp_path}/pid\n")
    path.chmod(0o755)
    yield Locker(program=Program(arguments=(str(path),)), sign=Sign.EXIT)
    if (tmp_path / "pid").exists():
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def remove(bus: OwnBus, savers: dict[str, FakeSaver], policy: SessionPolicy, side: Side = Side.USER,
           session: SessionFacts = MINE) -> tuple[Outcome, str]:
    """The card of the session is gone; what it came to."""
    async def main() -> tuple[Outcome, str]:
        async with AsyncExitStack() as stack:
            for name, saver in savers.items():
                await stack.enter_async_context(saver_on(bus, name, saver))
            ours, told = SessionBus(bus.address), Told()
            stack.push_async_callback(ours.close)
            hands = Hands(logind=FakeLogind(facts=session), bus=ours,
                          programs=Lockers(Programs(surroundings=ours.environment)))
            outcome = await act(session, CARD, policy, side, hands, told, lock_wait_s=WAIT_S, cause=Cause.REMOVED)
            return outcome, str(told)

    return asyncio.run(main())


def test_a_saver_that_locks_is_enough(bus: OwnBus, locker: Locker) -> None:
    assert remove(bus, {MATE: FakeSaver()}, SessionPolicy(locker=locker)) == (
        Outcome.LOCKED, "locked-hint not-seen, screen-saver locked")


@pytest.mark.parametrize("saver", [
    FakeSaver(locks=False), FakeSaver(silent=frozenset({"Lock", "GetActive"})),
    FakeSaver(active="true", locks=False),
])
def test_where_a_saver_lies_or_hangs_the_locker_is_started_and_seen(bus: OwnBus, locker: Locker, saver: FakeSaver) -> None:
    assert remove(bus, {MATE: saver}, SessionPolicy(locker=locker)) == (
        Outcome.LOCKED, "locked-hint not-seen, screen-saver not-seen, locker locked")


def test_where_a_saver_crashes_the_next_is_asked(bus: OwnBus, locker: Locker) -> None:
    outcome, steps = remove(bus, {MATE: FakeSaver(crashes=True), XFCE: FakeSaver()}, SessionPolicy(locker=locker))
    assert outcome is Outcome.LOCKED
    assert steps.endswith("screen-saver locked")
    assert "locker" not in steps


def test_where_the_session_bus_hangs_the_locker_is_started(bus: OwnBus, locker: Locker) -> None:
    bus.stop()
    began = time.monotonic()
    assert remove(bus, {}, SessionPolicy(locker=locker)) == (
        Outcome.LOCKED, "locked-hint not-seen, screen-saver failed, locker locked")
    assert time.monotonic() - began < 10


def test_where_nothing_locks_nothing_is_claimed(bus: OwnBus) -> None:
    policy = SessionPolicy(locker=Locker(program=Program(arguments=("true",)), sign=Sign.EXIT))
    assert remove(bus, {MATE: FakeSaver(locks=False)}, policy) == (
        Outcome.NOT_SEEN, "locked-hint not-seen, screen-saver not-seen, locker not-seen")


def test_a_locker_that_hangs_is_started_and_no_more(bus: OwnBus, tmp_path: Path) -> None:
    path = tmp_path / "hangs"
    path.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    path.chmod(0o755)
    policy = SessionPolicy(locker=Locker(program=Program(arguments=(str(path),)), sign=Sign.EXIT))
    try:
        assert remove(bus, {}, policy) == (Outcome.STARTED, "locked-hint not-seen, locker started")
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_commands_run_with_what_the_card_says_cleaned(bus: OwnBus, tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = Program(arguments=("sh", "-c", f'echo "$PAM_SC_EVENT $PAM_SC_TOKEN" > {said}'))
    remove(bus, {MATE: FakeSaver()}, SessionPolicy(on_remove=Commands(programs=(command,))))
    assert said.read_text() == "card_remove Alice's card\n"


def test_the_cards_return_wakes_a_saver_and_leaves_it_active(bus: OwnBus) -> None:
    async def main() -> None:
        async with saver_on(bus, MATE, FakeSaver(active=True)) as saver:
            ours, told = SessionBus(bus.address), Told()
            await welcome(MINE, CARD, SessionPolicy(), Side.USER, Hands(logind=FakeLogind(), bus=ours), told)
            await ours.close()
            assert str(told) == "wake done"
            assert (saver.active, saver.called) == (True, ["SimulateUserActivity"])

    asyncio.run(main())


SCHEMA = """<schemalist><schema id="org.gnome.settings-daemon.peripherals.smartcard" path="/test/smartcard/">
<key name="removal-action" type="s"><default>'{action}'</default></key></schema></schemalist>
"""


@pytest.mark.parametrize(("action", "owned", "expected"), [
    ("lock-screen", True, "lock-screen"), ("force-logout", True, "force-logout"), ("none", True, None),
    ("lock-screen", False, None), (None, True, None),
])
def test_gsettings_is_asked_what_gsd_smartcard_is_set_to(
    bus: OwnBus, tmp_path: Path, action: str | None, owned: bool, expected: str | None
) -> None:
    if action is not None:
        folder = tmp_path / "data/glib-2.0/schemas"
        folder.mkdir(parents=True)
        (folder / "test.gschema.xml").write_text(SCHEMA.format(action=action))
        (compiler,) = Path("/usr/lib").glob("*/glib-2.0/glib-compile-schemas")
        subprocess.run([compiler, folder], check=True)

    async def surroundings() -> dict[str, str]:
        return {"XDG_DATA_DIRS": str(tmp_path / "data"), "DBUS_SESSION_BUS_ADDRESS": bus.address}

    async def main() -> str | None:
        async with saver_on(bus, NAME if owned else "org.example.Other", FakeSaver()):
            ours = SessionBus(bus.address)
            occasion = Occasion(event="card_remove", facts=MINE, card=CARD, cause=Cause.REMOVED)
            try:
                return await removal_action(ours, Lockers(Programs(surroundings)), occasion, 5.0)
            finally:
                await ours.close()

    assert asyncio.run(main()) == expected
