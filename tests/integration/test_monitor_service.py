# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc monitor` as it runs: real cards in pcscd's readers, real sessions of a real logind, its units and its socket."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.desk import CardSession, Desk, desk
from tests.support.installation import PAM_SC, is_installed
from tests.support.namespace import is_available
from tests.support.running_monitor import running_monitor

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="pam_sc is not installed with its native parts"),
    pytest.mark.skipif(not is_available(), reason="needs root, for namespaces of its own"),
]

SOCKET = "/run/pam_sc_monitor/monitor.sock"
_FLOOD = f"""
import socket, sys, time
held = []
for number in range(1000):
    one = socket.socket(socket.AF_UNIX)
    try:
        one.connect({SOCKET!r})
        one.send([b'{{"version":1,', b'\\\\x00' * 5000, b'{{"version":1,"status":{{}}}}\\\\n' * 50][number % 3])
    except OSError:
        pass
    held.append(one)
print("flooded", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def _desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture
def at(_desk: Desk) -> Iterator[Desk]:
    """The desk, with the usual configuration, nobody logged in and the readers empty."""
    with _desk.empty("[monitor]\nlock_wait = 1.0\n") as empty:
        yield empty


def _is(event: str, session: CardSession, **more: str) -> Any:
    wanted = {"event": event, "session": session.id, **more}
    return lambda one: all(one.get(key) == value for key, value in wanted.items())


def _locks_since(desk: Desk, before: list[str]) -> list[str]:
    return desk.locks()[len(before):]


def _answer_lock(desk: Desk, session: CardSession, before: list[str]) -> None:
    """What a screen saver does when logind tells it to lock."""
    assert desk.await_locks(len(before) + 1)[len(before):] == [session.id]
    desk.login1.set_locked_hint(session.id, True)


def _monitor(desk: Desk, *arguments: str, user: str | None = None) -> Any:
    return running_monitor(desk.world, f"monitor{time.monotonic_ns()}", ["--json", *arguments], user=user)


def _status(desk: Desk, user: str | None = None) -> dict[str, Any]:
    done = desk.world.run([*PAM_SC, "monitor", "status", "--json"], user=user)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _once(desk: Desk, *arguments: str) -> subprocess.CompletedProcess[str]:
    return desk.world.run([*PAM_SC, "monitor", "--once", *arguments])


def test_the_session_of_the_removed_card_is_locked_and_seen_locked_and_no_other(at: Desk) -> None:
    alice, bob, before = at.log_in("alice"), at.log_in("bob"), at.locks()
    with _monitor(at) as monitor:
        at.remove("alice")
        _answer_lock(at, alice, before)
        monitor.events.find(_is("session-locked", alice, cause="removed"))
        assert not [one for one in monitor.events.all() if one.get("session") == bob.id]
        assert _locks_since(at, before) == [alice.id]


def test_a_lock_that_nobody_carries_out_is_never_claimed(at: Desk) -> None:
    alice = at.log_in("alice")
    with _monitor(at) as monitor:
        at.remove("alice")
        told = monitor.events.find(_is("session-not-locked", alice))
        assert (told["outcome"], told["severity"]) == ("not-seen", "error")


def test_a_killed_monitor_acts_when_it_is_started_again_on_a_card_that_went_meanwhile_and_once(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at) as monitor:
        monitor.kill()
    at.remove("alice")
    with _monitor(at) as monitor:
        _answer_lock(at, alice, before)
        monitor.events.find(_is("session-locked", alice, cause="gone-at-start"))
        monitor.kill()
    at.login1.set_locked_hint(alice.id, False)  # its owner came back, without the card
    with _monitor(at) as monitor:
        assert _status(at)["sessions"][0]["card"] == "gone"
        assert _locks_since(at, before) == [alice.id]
        at.cards["alice"].insert()
        monitor.events.find(_is("card-returned", alice))
        at.remove("alice")
        at.await_locks(len(before) + 2)
        assert _locks_since(at, before) == [alice.id, alice.id]


def test_a_logind_that_hangs_is_waited_for_and_the_lock_is_not_forgotten(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at) as monitor:
        with at.login1.hanging_logind():
            at.remove("alice")
            monitor.events.find(_is("session-not-locked", alice, outcome="not-seen"))
        _answer_lock_of_many(at, alice, before)
        monitor.events.find(_is("session-locked", alice))


def _answer_lock_of_many(desk: Desk, session: CardSession, before: list[str]) -> None:
    """The same, where what was asked for in vain may be carried out later."""
    assert session.id in desk.await_locks(len(before) + 1)[len(before):]
    desk.login1.set_locked_hint(session.id, True)


def test_a_logind_that_was_started_again_is_connected_to_again(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at) as monitor:
        at.login1.restart_logind()
        monitor.events.find(lambda one: one.get("detail") == "logind is connected again")
        at.remove("alice")
        _answer_lock(at, alice, before)
        monitor.events.find(_is("session-locked", alice))


def test_a_bad_configuration_is_told_and_the_old_one_holds_until_a_good_one_comes(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at) as monitor:
        at.configure('[monitor]\naction = "nothign"\n')
        monitor.process.send_signal(signal.SIGHUP)
        told = monitor.events.find(lambda one: "stays as it was" in one.get("detail", ""))
        assert "nothign" in told["detail"]
        assert _status(at)["sessions"][0]["action"] == "lock"
        at.configure('[monitor]\naction = "nothing"\n')
        monitor.process.send_signal(signal.SIGHUP)
        monitor.events.find(lambda one: one.get("detail") == "the configuration was read again")
        at.remove("alice")
        assert monitor.events.find(_is("session-not-locked", alice))["outcome"] == "left-alone"
        assert not _locks_since(at, before)


def test_the_status_shows_root_all_sessions_and_an_account_its_own(at: Desk) -> None:
    alice, bob = at.log_in("alice"), at.log_in("bob")
    with _monitor(at):
        both, own = _status(at), _status(at, user="alice")
        assert {one["session"] for one in both["sessions"]} == {alice.id, bob.id}
        assert [(one["session"], one["card"], one["action"]) for one in own["sessions"]] == [(alice.id, "here", "lock")]
        assert (both["unit"], both["watch"], both["logind"]) == ("by-hand", "pcsc", True)


def test_the_status_says_that_no_monitor_runs_and_looks_itself(at: Desk) -> None:
    alice = at.log_in("alice")
    done = at.world.run([*PAM_SC, "monitor", "status"])
    assert done.returncode == 1
    assert done.stdout.startswith("no monitor runs: nothing is locked when a card is removed\n"), done.stdout + done.stderr
    assert [alice.id, "alice", "wayland", "here", "lock"] == done.stdout.splitlines()[-1].split()[:5]


def test_a_flood_of_hostile_connections_neither_delays_a_lock_nor_ends_the_monitor(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at) as monitor:
        usual = monitor.descriptors()
        flood = at.world.namespace.popen(["python3", "-c", _FLOOD], user="bob", stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)
        try:
            assert flood.stdout is not None
            assert flood.stdout.readline() == "flooded\n"
            assert monitor.descriptors() < usual + 20
            at.remove("alice")
            _answer_lock(at, alice, before)
            monitor.events.find(_is("session-locked", alice))
            assert _status(at, user="alice")["unit"] == "by-hand"
        finally:
            flood.kill()
            flood.communicate()
        assert not [one for one in monitor.events.all() if one["event"] == "monitor-problem"]


def test_once_ends_with_0_while_the_card_is_there_and_with_1_when_no_lock_was_seen(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    assert _once(at).returncode == 0
    assert not _locks_since(at, before)
    at.remove("alice")
    done = _once(at)
    assert (done.returncode, _locks_since(at, before)) == (1, [alice.id])
    at.login1.set_locked_hint(alice.id, True)
    assert _once(at).returncode == 0, "it is locked"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    at.remove("alice")
    done = _once(at, "--dry-run")
    assert f"card-removed session={alice.id}" in done.stdout
    assert 'detail="would try: locked-hint, logind"' in done.stdout, done.stdout
    assert done.returncode == 0
    assert not _locks_since(at, before)
    assert not at.world.path("/run/pam_sc/monitor.json").exists()


def test_a_second_monitor_of_all_sessions_is_one_line_and_an_error(at: Desk) -> None:
    with _monitor(at) as first:
        done = at.world.run([*PAM_SC, "monitor"])
        assert (done.returncode, done.stderr) == (
            2, f"pam-sc: cannot listen at {SOCKET}: another monitor runs; see pam-sc monitor status\n")
        assert first.process.poll() is None


def test_an_account_that_may_not_watch_all_sessions_is_told_so(at: Desk) -> None:
    done = at.world.run([*PAM_SC, "monitor", "--all"], user="alice")
    assert (done.returncode, done.stderr) == (
        2, "pam-sc: cannot watch all sessions: only root and pam_sc_monitor can; name --own\n")


def test_a_wrong_configuration_at_the_start_is_one_line_and_an_error(at: Desk) -> None:
    at.configure('[monitor]\naction = "nothign"\n')
    done = at.world.run([*PAM_SC, "monitor"])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nothign" in done.stderr


def test_it_ends_in_order_when_it_is_told_to(at: Desk) -> None:
    with _monitor(at) as monitor:
        monitor.stop()
        assert monitor.process.returncode == 0
        assert monitor.notifications.count("STOPPING=1") == 1
        assert not at.world.path(SOCKET).exists()
        assert monitor.errors == ""


def test_where_both_units_run_the_system_unit_locks_and_the_user_unit_reports_what_it_saw(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at, user="pam_sc_monitor") as system, _monitor(at, user="alice") as own:
        own.events.find(lambda one: "a system unit runs" in one.get("detail", ""))
        assert [one["user_unit"] for one in _status(at)["sessions"]] == [True]
        at.remove("alice")
        _answer_lock(at, alice, before)
        system.events.find(_is("session-locked", alice))
        own.events.find(_is("session-locked", alice))
        asked = at.login1.calls("LockSession")
        assert _locks_since(at, before) == [alice.id]
        assert asked.count(("LockSession", alice.id)) == 1, "once, by the system unit"


def test_a_user_unit_whose_system_unit_was_killed_locks_through_logind_itself(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at, user="pam_sc_monitor") as system, _monitor(at, user="alice") as own:
        own.events.find(lambda one: "a system unit runs" in one.get("detail", ""))
        system.kill()
        own.events.find(lambda one: "no system unit runs" in one.get("detail", ""))
        at.remove("alice")
        _answer_lock(at, alice, before)
        own.events.find(_is("session-locked", alice))
        assert _status(at, user="alice")["unit"] == "user"


def test_a_user_unit_beside_a_system_unit_that_hangs_does_everything(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    with _monitor(at, user="pam_sc_monitor") as system, _monitor(at, user="alice") as own:
        own.events.find(lambda one: "a system unit runs" in one.get("detail", ""))
        system.process.send_signal(signal.SIGSTOP)
        try:
            at.remove("alice")
            _answer_lock(at, alice, before)
            own.events.find(_is("session-locked", alice))
        finally:
            system.process.send_signal(signal.SIGCONT)
