# SPDX-License-Identifier: LGPL-2.1-or-later
"""What people do with `pam-sc monitor` by hand, beside the units and where something is missing; what programs are told."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import CardSession, Desk, desk
from tests.support.installation import PAM_SC, is_installed
from tests.support.namespace import is_available
from tests.support.pcscd import READERS
from tests.support.running_monitor import LIMIT_S, RunningMonitor, running_monitor

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="pam_sc is not installed with its native parts"),
    pytest.mark.skipif(not is_available(), reason="needs root, for namespaces of its own"),
]

_OLD = "/etc/pam_pkcs11/pkcs11_eventmgr.conf"


@pytest.fixture(scope="module")
def _desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture
def at(_desk: Desk) -> Iterator[Desk]:
    """The desk, with the usual configuration, nobody logged in and the readers empty."""
    with _desk.empty("[monitor]\nlock_wait = 0.5\n") as empty:
        yield empty


def _monitor(desk: Desk, *arguments: str, user: str | None = None) -> Any:
    return running_monitor(desk.world, f"monitor{time.monotonic_ns()}", ["--json", *arguments], user=user)


def _run(desk: Desk, command: str, user: str | None = None) -> tuple[int, str, str]:
    """What a shell makes of `pam-sc monitor ...`."""
    done = desk.world.run(["/bin/sh", "-c", f"exec {shlex.join(PAM_SC)} monitor {command}"], user=user)
    return done.returncode, done.stdout, done.stderr


def _acted(monitor: RunningMonitor, session: CardSession) -> None:
    monitor.await_event("session-not-locked", session.id, outcome="not-seen")


def test_a_program_is_told_the_reader_that_the_card_was_in(at: Desk) -> None:
    folder = at.world.path("/srv/said")
    folder.mkdir()
    folder.chmod(0o777)
    at.configure('[monitor]\naction = "command"\non_remove = [["/bin/sh", "-c", "env >/srv/said/all"]]\n')
    alice = at.log_in("alice")
    with _monitor(at) as monitor:
        monitor.await_known(alice.id)
        at.remove("alice")
        monitor.await_event("lock-step", alice.id, way="command", outcome="done")
    variables = dict(line.split("=", 1) for line in (folder / "all").read_text().splitlines())
    assert variables["PAM_SC_READER"].startswith(READERS[0])
    assert (variables["PAM_SC_CAUSE"], variables["USER"]) == ("removed", "alice")


def test_lock_then_terminate_ends_the_session_also_after_a_restart_and_counts_from_the_removal(at: Desk) -> None:
    at.configure('[monitor]\nlock_wait = 0.5\naction = "lock-then-terminate"\nterminate_after = 4\n')
    alice = at.log_in("alice")
    at.login1.set_locked_hint(alice.id, True)
    with _monitor(at) as monitor:
        monitor.await_known(alice.id)
        at.remove("alice")
        monitor.await_event("session-locked", alice.id)
        monitor.kill()
    locked = time.monotonic()
    with _monitor(at) as monitor:
        monitor.await_event("session-terminated", alice.id)
        assert monitor.count("card-removed", alice.id) == 0, "the lock is not done again"
    assert 2.0 < time.monotonic() - locked < LIMIT_S / 2


def test_lock_then_terminate_spares_a_session_whose_card_came_back_while_no_monitor_ran(at: Desk) -> None:
    at.configure('[monitor]\nlock_wait = 0.5\naction = "lock-then-terminate"\nterminate_after = 2\n')
    alice = at.log_in("alice")
    at.login1.set_locked_hint(alice.id, True)
    with _monitor(at) as monitor:
        monitor.await_known(alice.id)
        at.remove("alice")
        monitor.await_event("session-locked", alice.id)
        monitor.kill()
    removed = time.monotonic()
    at.cards["alice"].insert()
    with _monitor(at) as monitor:
        monitor.await_known(alice.id, where="here")
        with pytest.raises(AssertionError, match="never tells"):
            monitor.events.find(lambda one: one["event"] == "session-terminated",
                                limit_s=max(0.0, removed + 3.5 - time.monotonic()))
        assert at.login1.locked_hint(alice.id), "it goes on"


def test_a_dry_run_of_a_person_is_no_user_unit_to_the_system_unit(at: Desk) -> None:
    alice = at.log_in("alice")
    with _monitor(at, user="pam_sc_monitor") as system:
        system.await_known(alice.id)
        with RunningDryRun(at) as dry:
            dry.await_event("monitor-started", dry_run="yes")
            found = json.loads(_run(at, "status --json")[1])
            assert [one["user_unit"] for one in found["sessions"]] == [False]
        assert not list(Path(at.world.path("/run/user")).glob("*/pam_sc*"))


def RunningDryRun(desk: Desk) -> Any:  # noqa: N802 - a context manager
    return _monitor(desk, "--own", "--dry-run", user="alice")


def test_once_of_a_person_locks_again_what_the_system_unit_has_locked_before(at: Desk) -> None:
    alice = at.log_in("alice")
    with _monitor(at, user="pam_sc_monitor") as system:
        system.await_known(alice.id)
        at.remove("alice")
        _acted(system, alice)
        before = at.locks()
        code, out, _err = _run(at, "--own --once", user="alice")
        assert (code, at.locks()[len(before):]) == (1, [alice.id]), out


def test_once_says_so_where_every_card_is_there(at: Desk) -> None:
    at.log_in("alice")
    code, out, err = _run(at, "--once")
    assert (code, out, err) == (0, "no session that was opened with a card is without it\n", "")


def test_once_without_logind_says_that_it_is_logind(at: Desk) -> None:
    at.log_in("alice")
    at.remove("alice")
    done = at.world.run(["/usr/bin/env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere", *PAM_SC, "monitor", "--once"])
    assert done.returncode == 2
    assert done.stderr.startswith("pam-sc: cannot act on sessions: "), done.stderr
    assert "bus" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_standard_output_a_session_is_locked_all_the_same(at: Desk) -> None:
    alice, before = at.log_in("alice"), at.locks()
    at.remove("alice")
    for command in ("--once >&-", "--once --json >&- 2>&- <&-", "--once >/dev/full"):
        assert _run(at, command)[0] == 1, command
    assert at.locks()[len(before):] == [alice.id] * 3


@pytest.mark.parametrize("streams", [">&-", "--json >&-", "<&- >&- 2>&-"])
def test_a_monitor_that_was_started_without_standard_output_runs_until_it_is_told_to_end(at: Desk, streams: str) -> None:
    done = at.world.run(["/bin/sh", "-c", f"exec timeout --preserve-status 3 {shlex.join(PAM_SC)} monitor {streams}"])
    assert (done.returncode, done.stderr) == (0, "")


def test_what_an_old_file_says_and_is_unsafe_is_told_at_the_start(at: Desk) -> None:
    at.world.put(_OLD, 'pkcs11_eventmgr {\n  event card_insert {\n    action = "xscreensaver-command -exit";\n  }\n'
                       '  event card_remove {\n    action = "logger gone";\n  }\n}\n')  # fmt: skip
    with _monitor(at, "--config", _OLD) as monitor:
        told = monitor.events.find(lambda one: one["event"] == "monitor-problem" and _OLD in one["detail"])
        assert told["severity"] == "warning"
        assert "action (line 6)" in told["detail"]


def test_a_system_unit_that_may_not_read_the_cards_of_sessions_says_so(at: Desk) -> None:
    alice = at.log_in("alice")
    path = at.world.path(f"/run/pam_sc/sessions/{alice.id}.json")
    path.chmod(0o600)
    with _monitor(at, user="pam_sc_monitor") as monitor:
        told = monitor.await_event("monitor-problem")
        assert f"cannot read /run/pam_sc/sessions: {alice.id}.json: permission denied" in told["detail"]


def test_a_second_monitor_of_the_same_person_is_one_line_and_an_error(at: Desk) -> None:
    at.log_in("alice")
    with _monitor(at, "--own", user="alice") as first:
        code, _out, err = _run(at, "--own", user="alice")
        assert (code, len(err.splitlines())) == (2, 1), err
        assert "another monitor runs; see pam-sc monitor status" in err
        assert first.process.poll() is None
        assert json.loads(_run(at, "status --json", user="alice")[1])["unit"] == "user"


@pytest.mark.parametrize("folder", ["/nowhere/run", "/proc/run", "/run/" + "x" * 120, "/srv/open/" + "x" * 120, "relative", ""])
def test_a_folder_of_runtime_files_that_cannot_be_used_keeps_nobody_from_locking(at: Desk, folder: str) -> None:
    alice, before = at.log_in("alice"), at.locks()
    opened = at.world.path("/srv/open/")
    opened.mkdir(exist_ok=True)
    opened.chmod(0o777)
    environment = {"XDG_RUNTIME_DIR": folder}
    with running_monitor(at.world, f"monitor{time.monotonic_ns()}", ["--json", "--own"], user="alice",
                         environment=environment) as monitor:
        at.remove("alice")
        _acted(monitor, alice)
        assert alice.id in at.locks()[len(before):]
        assert "Traceback" not in monitor.errors
        assert not [one for one in monitor.events.all() if "defect" in one.get("detail", "")]


def test_a_configuration_that_may_not_be_read_is_one_line(at: Desk) -> None:
    path = at.world.put("/etc/pam_sc/closed.toml", "", mode=0o600)
    for command in ("--own", "--own --once", "status"):
        code, _out, err = _run(at, f"{command} --config {path}", user="alice")
        assert (code, len(err.splitlines())) == (2, 1), (command, err)
        assert path in err
        assert "Permission denied" in err


def test_a_mistake_in_the_table_refuses_logins_and_the_log_says_where(at: Desk) -> None:
    at.configure('[monitor]\naction = "nothign"\n')
    with pytest.raises(AssertionError):
        at.log_in("alice")
    said = "\n".join(line.text for line in at.world.logged())
    assert "monitor.action: found 'nothign', expected one of lock, lock-then-terminate" in said
    assert "did you mean 'nothing'?" in said
