# SPDX-License-Identifier: LGPL-2.1-or-later
"""Screen savers on a real session bus: what is believed of them, and what is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Outcome
from pam_sc.monitor.session_bus import SAVERS, SessionBus
from tests.support.session_bus import FakeSaver, OwnBus, own_bus, saver_on

T = TypeVar("T")
MATE, CINNAMON = "org.mate.ScreenSaver", "org.cinnamon.ScreenSaver"
BY_NAME = {saver.name: saver for saver in SAVERS}
WAIT_S = 1.0


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[OwnBus]:
    """A session bus."""
    with own_bus(tmp_path / "bus") as made:
        yield made


def on(bus: OwnBus, savers: dict[str, FakeSaver], ask: Callable[[SessionBus], Awaitable[T]]) -> T:
    """Ask the session bus something, with these savers on it."""
    async def main() -> T:
        async with AsyncExitStack() as stack:
            for name, saver in savers.items():
                await stack.enter_async_context(saver_on(bus, name, saver))
            ours = SessionBus(bus.address)
            stack.push_async_callback(ours.close)
            return await ask(ours)

    return asyncio.run(main())


def lock(bus: OwnBus, saver: FakeSaver, name: str = MATE) -> tuple[Outcome, str]:
    """Ask one to lock."""
    return on(bus, {name: saver}, lambda ours: ours.lock(BY_NAME[name], WAIT_S))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_saver_that_is_active_after_it_was_asked_to_lock_has_locked(bus: OwnBus, name: str) -> None:
    saver = FakeSaver()
    assert lock(bus, saver, name) == (Outcome.LOCKED, name)
    assert saver.called.count("Lock") + saver.called.count("Lock('',)") == 1
    assert ("Lock('',)" in saver.called) is (name == CINNAMON)


@pytest.mark.parametrize("path", ["/org/freedesktop/ScreenSaver", "/ScreenSaver"])
def test_both_places_of_the_common_interface_are_tried(bus: OwnBus, path: str) -> None:
    assert lock(bus, FakeSaver(paths=(path,)), "org.freedesktop.ScreenSaver")[0] is Outcome.LOCKED


def test_a_saver_that_says_yes_and_does_nothing_is_not_seen(bus: OwnBus) -> None:
    outcome, why = lock(bus, FakeSaver(locks=False))
    assert (outcome, why) == (Outcome.NOT_SEEN, f"{MATE}: Lock was answered, and GetActive told of no lock")


@pytest.mark.parametrize("active", ["true", "yes", ""])
def test_an_answer_that_is_no_boolean_is_not_seen(bus: OwnBus, active: str) -> None:
    assert lock(bus, FakeSaver(active=active, locks=False))[0] is Outcome.NOT_SEEN


def test_a_saver_that_refuses_has_failed(bus: OwnBus) -> None:
    outcome, why = lock(bus, FakeSaver(refuses="org.freedesktop.DBus.Error.NotSupported"))
    assert outcome is Outcome.FAILED
    assert "Lock was refused" in why


def test_a_saver_that_covered_the_screen_before_and_refuses_to_lock_is_not_believed(bus: OwnBus) -> None:
    assert lock(bus, FakeSaver(active=True, refuses="org.freedesktop.DBus.Error.NotSupported"))[0] is Outcome.FAILED


def test_a_saver_that_covered_the_screen_before_and_does_not_answer_lock_is_not_believed(bus: OwnBus) -> None:
    assert lock(bus, FakeSaver(active=True, silent=frozenset({"Lock"})), "org.xfce.ScreenSaver")[0] is Outcome.NOT_SEEN


def test_one_that_never_answers_lock_is_believed_when_it_answers_what_comes_after_it(bus: OwnBus) -> None:
    saver = FakeSaver(active=True, silent=frozenset({"Lock"}))
    assert lock(bus, saver, MATE) == (Outcome.LOCKED, MATE)
    assert saver.called.index("Lock") < len(saver.called) - 1
    assert lock(bus, FakeSaver(locks=False, silent=frozenset({"Lock"})), MATE)[0] is Outcome.NOT_SEEN
    assert lock(bus, FakeSaver(active=True, refuses="org.example.No"), MATE)[0] is Outcome.FAILED


def test_gnomes_dark_screen_is_no_locked_one_where_lock_is_not_answered(bus: OwnBus) -> None:
    """Where locking is switched off GNOME's Lock does nothing, and a screen that was dark stays "active"."""
    shield = "org.gnome.Shell.ScreenShield"
    assert lock(bus, FakeSaver(active=True, locks=False, silent=frozenset({"Lock"})), shield)[0] is Outcome.NOT_SEEN
    assert lock(bus, FakeSaver(silent=frozenset({"Lock"})), shield) == (Outcome.LOCKED, shield)


def test_a_saver_that_covered_the_screen_before_and_takes_the_lock_is_believed(bus: OwnBus) -> None:
    assert lock(bus, FakeSaver(active=True))[0] is Outcome.LOCKED


def test_a_saver_that_answers_lock_late_is_seen_by_its_state(bus: OwnBus) -> None:
    assert lock(bus, FakeSaver(silent=frozenset({"Lock"})))[0] is Outcome.LOCKED


def test_a_saver_that_hangs_costs_its_limit(bus: OwnBus) -> None:
    began = time.monotonic()
    assert lock(bus, FakeSaver(silent=frozenset({"Lock", "GetActive"})))[0] is Outcome.NOT_SEEN
    assert WAIT_S <= time.monotonic() - began < WAIT_S + 1.0


def test_a_saver_that_crashes_has_not_locked(bus: OwnBus) -> None:
    assert lock(bus, FakeSaver(crashes=True))[0] in {Outcome.NOT_SEEN, Outcome.FAILED}


def test_only_names_that_somebody_owns_are_found_and_none_is_activated(bus: OwnBus, tmp_path: Path) -> None:
    (bus.services / "x.service").write_text(
        f"[D-BUS Service]\nName=org.gnome.ScreenSaver\nExec=/bin/touch {tmp_path}/activated\n")

    async def ask(ours: SessionBus) -> tuple[Any, ...]:
        found = await ours.savers()
        return [saver.name for saver in found], await ours.lock(BY_NAME["org.gnome.ScreenSaver"], 0.3), await ours.wake()

    names, (outcome, _why), woken = on(bus, {MATE: FakeSaver()}, ask)
    assert (names, outcome, woken) == ([MATE], Outcome.FAILED, MATE)
    assert not (tmp_path / "activated").exists()


def test_a_bus_that_hangs_costs_its_limit(bus: OwnBus) -> None:
    async def main() -> Outcome:
        ours = SessionBus(bus.address)
        await ours.savers()
        bus.stop()
        began = time.monotonic()
        outcome, _why = await ours.lock(BY_NAME[MATE], WAIT_S)
        assert time.monotonic() - began < WAIT_S + 1.0
        await ours.close()
        return outcome

    assert asyncio.run(main()) in {Outcome.NOT_SEEN, Outcome.FAILED}


def test_a_bus_that_comes_later_or_anew_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        ours = SessionBus(f"unix:path={tmp_path}/bus/bus")
        with pytest.raises(MonitorError, match="cannot connect"):
            await ours.savers()
        for _ in range(2):
            with own_bus(tmp_path / "bus"):
                for attempt in range(2):  # the first may meet the end of what was before
                    try:
                        assert await ours.savers() == ()
                        break
                    except MonitorError:
                        assert attempt == 0
            for path in ("config", "services", "bus"):
                made = tmp_path / "bus" / path
                made.rmdir() if made.is_dir() else made.unlink(missing_ok=True)
            (tmp_path / "bus").rmdir()
        await ours.close()

    asyncio.run(main())


def test_waking_never_sets_a_saver_inactive(bus: OwnBus) -> None:
    savers = {name: FakeSaver(active=True) for name in BY_NAME}
    woken = on(bus, savers, lambda ours: ours.wake())
    assert woken == ", ".join(name for name in BY_NAME if BY_NAME[name].simulates)
    for saver in savers.values():
        assert saver.active is True
        assert not [call for call in saver.called if call.startswith("SetActive")]


def test_without_an_address_there_is_no_session_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(MonitorError, match="does not say where"):
        asyncio.run(SessionBus().savers())
