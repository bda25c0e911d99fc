# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes wrong around the monitor, or is too quick for it: a real pcscd, logind and card, each ended, stopped or lying.

A desktop in small answers logind's Lock at once, except where a test makes it deaf. A lock is claimed only where it was
seen, an absence is acted on once, and nothing is left behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.desk import MONITOR, CardSession, Desk, desk
from tests.support.hinting_desktop import HintingDesktop
from tests.support.namespace import is_available
from tests.support.running_monitor import RunningMonitor, running_monitor

pytestmark = pytest.mark.root

QUIET_S = 0.5
"""For how long nothing may happen that must not: five times the grace time."""
POLICY = """[monitor]
lock_wait = 0.5
reader_grace = 0.5
[[monitor.rule]]
service = ["desk-hangs"]
locker = { run = ["/srv/hangs"], sign = "exit" }
[[monitor.rule]]
service = ["desk-dies"]
locker = { run = ["/srv/dies"], sign = "exit" }
"""
HANGS = "#!/bin/sh\necho $$ >/run/user/4001/hangs\nexec sleep 600\n"
DIES = "#!/bin/sh\nexit 3\n"
QUICK, LONG_EVERY = 100, 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One machine for all tests."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with desk(tmp_path_factory.mktemp("faults")) as made:
        made.world.put("/srv/hangs", HANGS, mode=0o755)
        made.world.put("/srv/dies", DIES, mode=0o755)
        for name in ("desk-hangs", "desk-dies"):
            made.service(name)
        made.configure(POLICY)
        yield made
        made.site.require_nothing_left()


@pytest.fixture(scope="module")
def hinting(whole: Desk) -> Iterator[HintingDesktop]:
    """Every session is one of a good desktop."""
    with HintingDesktop(whole.login1.bus) as made:
        yield made


@pytest.fixture(scope="module")
def system(whole: Desk, hinting: HintingDesktop) -> Iterator[RunningMonitor]:
    """The system unit."""
    with running_monitor(whole.world, "system", ["--json"], user=MONITOR) as made:
        yield made


@pytest.fixture
def here(whole: Desk, hinting: HintingDesktop) -> Iterator[Desk]:
    """The machine with nobody logged in and both cards in their readers."""
    for card in whole.cards.values():
        if not card.is_inserted:
            card.insert()
    yield whole
    whole.log_out_all()
    whole.take_others_away()


@pytest.fixture
def alices(here: Desk, system: RunningMonitor) -> CardSession:
    """A session of alice whose card the system unit knows."""
    session = here.log_in("alice")
    system.await_known(session.id)
    return session


# ---------------------------------------------------------------- the monitor itself; before the one of all tests


def test_a_card_that_went_while_no_monitor_ran_is_acted_on_once(here: Desk) -> None:
    alices, before = here.log_in("alice"), len(here.locks())
    with running_monitor(here.world, "killed", ["--json"], user=MONITOR) as killed:
        killed.await_known(alices.id)
        killed.kill()
    here.remove("alice")
    with running_monitor(here.world, "second", ["--json"], user=MONITOR) as second:
        assert second.await_event("session-locked", alices.id)["cause"] == "gone-at-start"
        second.kill()
    here.login1.set_locked_hint(alices.id, False)  # its owner knows a password
    with running_monitor(here.world, "third", ["--json"], user=MONITOR) as third:
        third.await_known(alices.id)
        assert third.whereabouts()[alices.id] == "gone"
        assert here.login1.await_lock_signals(before + 2, QUIET_S)[before:] == [("Lock", alices.id)]
        here.cards["alice"].insert()
        third.await_back(alices.id)
        here.remove("alice")
        assert third.await_event("session-locked", alices.id)["cause"] == "removed"
    assert here.locks()[before:] == [alices.id, alices.id]


# ---------------------------------------------------------------- the reader daemon


def test_a_reader_daemon_that_comes_back_with_the_card_locks_nothing(
    here: Desk, system: RunningMonitor, alices: CardSession
) -> None:
    before, mark = len(here.locks()), system.events.mark()
    here.pcscd.kill()
    system.await_event("watching-lost", since=mark)
    here.pcscd.start()
    here.cards["alice"].insert()
    system.await_event("watching-again", since=mark)
    system.await_known(alices.id)
    locked = here.login1.await_lock_signals(before + 1, QUIET_S)[before:]
    returned = system.count("card-returned", alices.id, mark)
    assert len(locked) == system.count("session-locked", alices.id, mark) == returned


def test_a_reader_daemon_that_comes_back_without_the_card_locks(
    here: Desk, system: RunningMonitor, alices: CardSession
) -> None:
    before, mark = len(here.locks()), system.events.mark()
    here.pcscd.kill()
    system.await_event("watching-lost", since=mark)
    here.pcscd.start()
    system.await_event("session-locked", alices.id, mark)
    assert here.locks()[before:] == [alices.id]


def test_a_reader_that_is_taken_away_with_its_card_locks(here: Desk, system: RunningMonitor, alices: CardSession) -> None:
    mark = system.events.mark()
    here.pcscd.kill()
    here.pcscd.start(readers=False)
    try:
        assert system.await_event("session-locked", alices.id, mark)["cause"] == "reader-removed"
    finally:
        here.pcscd.stop_daemon()
        here.pcscd.start()


# ---------------------------------------------------------------- logind


def test_a_logind_that_hangs_is_asked_again(here: Desk, system: RunningMonitor, alices: CardSession) -> None:
    before, mark = len(here.locks()), system.events.mark()
    with here.login1.hanging_logind():
        here.remove("alice")
        system.await_event("card-removed", alices.id, mark)
        assert system.events.find(lambda event: event["severity"] in ("warning", "error"), mark)
        assert system.count("session-locked", alices.id, mark) == 0
    system.await_event("session-locked", alices.id, mark)
    assert set(here.locks()[before:]) == {alices.id}


def test_after_a_restart_of_logind_the_card_still_locks(here: Desk, system: RunningMonitor, alices: CardSession) -> None:
    mark = system.events.mark()
    here.login1.restart_logind()
    here.remove("alice")
    assert system.await_event("session-locked", alices.id, mark)["cause"] == "removed"


def test_a_lock_that_nobody_shows_is_not_claimed(
    here: Desk, system: RunningMonitor, hinting: HintingDesktop, alices: CardSession
) -> None:
    hinting.deaf.add(alices.id)
    before, mark = len(here.locks()), system.events.mark()
    here.remove("alice")
    said = system.await_event("session-not-locked", alices.id, mark)
    assert (said["outcome"], said["severity"]) == ("not-seen", "error")
    assert here.locks()[before:] == [alices.id]
    assert system.count("session-locked", alices.id, mark) == 0


# ---------------------------------------------------------------- lockers


@pytest.mark.parametrize(("locker", "outcome"), [("hangs", "started"), ("dies", "failed")])
def test_a_locker_that_gives_no_sign_is_no_lock(
    here: Desk, system: RunningMonitor, hinting: HintingDesktop, locker: str, outcome: str
) -> None:
    alices = here.log_in("alice", service=f"desk-{locker}")
    system.await_known(alices.id)
    hinting.deaf.add(alices.id)
    mark = system.events.mark()
    with running_monitor(here.world, f"user-{locker}", ["--json"], user="alice", environment=alices.environment) as own:
        try:
            here.remove("alice")
            own.await_event("lock-step", alices.id, way="locker", outcome=outcome)
            said = system.await_event("session-not-locked", alices.id, mark)
            assert said["outcome"] in (outcome, "not-seen")
        finally:
            with suppress(FileNotFoundError):  # a monitor ends no locker: that could open the screen
                os.kill(int(here.world.path("/run/user/4001/hangs").read_text()), signal.SIGKILL)
                here.world.path("/run/user/4001/hangs").unlink()
    assert system.count("session-locked", alices.id, mark) == 0


# ---------------------------------------------------------------- quick and at once


def test_a_hundred_quick_removals_end_as_they_should(here: Desk, system: RunningMonitor, alices: CardSession) -> None:
    card, mark = here.cards["alice"], system.events.mark()
    before, processes, descriptors = len(here.locks()), len(system.processes()), system.descriptors()
    for number in range(1, QUICK + 1):
        if number % LONG_EVERY == 0:
            _be_away(here, system, alices)
        else:
            card.remove()
            card.insert()
            here.pcscd.await_insertion()  # else the reader may take the next card for this one
    system.await_known(alices.id, where="here")
    here.remove("alice")
    told = _told(system, alices, mark, until="session-locked")
    assert told == ["card-removed", "session-locked", "card-returned"] * (len(told) // 3) + ["card-removed", "session-locked"]
    assert len(here.locks()) - before <= len(told) // 3 + 1
    assert len(told) // 3 >= QUICK // LONG_EVERY
    assert system.whereabouts()[alices.id] == "gone"
    card.insert()
    _told(system, alices, mark, until="card-returned")
    assert system.whereabouts()[alices.id] == "here"
    assert len(system.processes()) == processes
    assert system.descriptors() <= descriptors


def _be_away(here: Desk, system: RunningMonitor, session: CardSession) -> None:
    """Be there until that is known, away until it is locked, come back, and unlock."""
    system.await_known(session.id, where="here")
    here.login1.set_locked_hint(session.id, False)
    mark = system.events.mark()
    here.remove("alice")
    system.await_event("session-locked", session.id, mark)
    here.cards["alice"].insert()
    system.await_back(session.id, mark)


def _told(system: RunningMonitor, session: CardSession, mark: int, *, until: str) -> list[str]:
    """The course of a session so far, when it has come to this."""
    course = ("card-removed", "session-locked", "card-returned")

    def said() -> list[str]:
        return [event["event"] for event in system.events.all()[mark:]
                if event["event"] in course and event.get("session") == session.id]

    system.events.await_that(lambda: said()[-1:] == [until])
    return said()


def test_both_cards_at_once_lock_both_sessions(here: Desk, system: RunningMonitor, alices: CardSession) -> None:
    bobs = here.log_in("bob")
    system.await_known(bobs.id)
    before, mark = len(here.locks()), system.events.mark()
    for card in here.cards.values():
        card.remove()
    for session in (alices, bobs):
        system.await_event("session-locked", session.id, mark)
    assert sorted(here.locks()[before:]) == sorted([alices.id, bobs.id])


def test_a_session_that_is_unlocked_as_its_card_goes_is_locked_again(
    here: Desk, system: RunningMonitor, alices: CardSession
) -> None:
    before, mark = len(here.locks()), system.events.mark()
    here.remove("alice")
    system.await_event("session-locked", alices.id, mark)
    here.login1.set_locked_hint(alices.id, False)
    assert system.await_event("session-locked", alices.id, mark, cause="unlocked-meanwhile")
    assert here.locks()[before:] == [alices.id, alices.id]


def test_a_session_that_is_unlocked_with_its_card_back_stays_open(
    here: Desk, system: RunningMonitor, alices: CardSession
) -> None:
    before, mark = len(here.locks()), system.events.mark()
    here.remove("alice")
    system.await_event("session-locked", alices.id, mark)
    here.cards["alice"].insert()
    system.await_back(alices.id, mark)
    here.login1.set_locked_hint(alices.id, False)
    assert here.login1.await_lock_signals(before + 2, QUIET_S)[before:] == [("Lock", alices.id)]
    assert not here.login1.locked_hint(alices.id)


# ---------------------------------------------------------------- sleep


def test_a_card_that_goes_while_the_machine_sleeps_locks(here: Desk, system: RunningMonitor, alices: CardSession) -> None:
    before, mark = len(here.locks()), system.events.mark()
    here.login1.emit_sleep(True)
    here.remove("alice")
    here.login1.emit_sleep(False)
    assert system.await_event("session-locked", alices.id, mark)["cause"] in ("removed", "gone-after-sleep")
    assert here.locks()[before:] == [alices.id]


def test_a_card_that_stays_while_the_machine_sleeps_locks_nothing(
    here: Desk, system: RunningMonitor, alices: CardSession
) -> None:
    before = len(here.locks())
    here.login1.emit_sleep(True)
    here.login1.emit_sleep(False)
    assert here.login1.await_lock_signals(before + 1, QUIET_S)[before:] == []
    assert system.whereabouts()[alices.id] == "here"
