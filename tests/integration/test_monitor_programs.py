# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of a policy, really started: as whom, with what, for how long, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.monitoring import Locker, Program, RunAs, Sign
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Outcome
from pam_sc.monitor.locking import Attempt, Lockers
from pam_sc.monitor.occasion import PATH, Occasion
from pam_sc.monitor.programs import OUTPUT_MAX, Programs, Ran
from pam_sc.record import replace
from tests.support.namespace import is_available
from tests.support.pam_world import HARNESS, World
from tests.support.removal import CARD, facts

MINE = Occasion(event="card_remove", facts=facts(uid=os.geteuid()), card=CARD)


def run(*arguments: str, limit_s: float = 10.0, occasion: Occasion = MINE, run_as: RunAs = RunAs.SESSION) -> Ran:
    """Run a program of the policy."""
    return asyncio.run(Programs().run(Program(arguments=arguments, limit_s=limit_s, run_as=run_as), occasion))


def script(folder: Path, text: str) -> str:
    """A program of the test's own."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_no_shell_reads_the_arguments() -> None:
    assert run("echo", "$HOME", "; id", "`id`").output == "$HOME ; id `id`"


def test_the_environment_is_made_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent/evil.so")
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    monkeypatch.setenv("DISPLAY", ":9")
    said = dict(line.split("=", 1) for line in run("env").output.splitlines())
    assert not {"LD_PRELOAD", "PYTHONPATH"} & set(said)
    assert (said["DISPLAY"], said["PATH"], said["PAM_SC_EVENT"]) == (":9", PATH, "card_remove")


def test_what_a_card_says_cannot_make_a_second_line() -> None:
    occasion = replace(MINE, card=replace(CARD, label="a\nLD_PRELOAD=/x\x1b]0;owned\x07"))
    lines = run("env", occasion=occasion).output.splitlines()
    assert [line for line in lines if line.startswith("PAM_SC_TOKEN=")] == ["PAM_SC_TOKEN=a?LD_PRELOAD=/x?]0;owned?"]
    assert not [line for line in lines if line.startswith("LD_PRELOAD")]


def test_what_a_program_writes_is_noted_and_what_the_query_of_a_locker_answers_is_not() -> None:
    noted: list[str] = []

    async def whole() -> Attempt:
        programs = Programs(note=noted.append)
        await programs.run(Program(arguments=("echo", "removed")), MINE)
        query = Program(arguments=("echo", "screen non-blanked"))
        locker = Locker(program=Program(arguments=("true",)), sign=Sign.QUERY, query=query, locked_text="screen locked")
        return await Lockers(programs).lock(locker, MINE, 0.5)

    assert asyncio.run(whole()).outcome is Outcome.NOT_SEEN
    assert noted == ["echo: removed"]


def test_a_status_is_what_it_was() -> None:
    assert run("true").status == 0
    assert run("sh", "-c", "exit 3").status == 3
    assert run("sh", "-c", "kill -9 $$").status == 137


@pytest.mark.parametrize("arguments", [("no-such-program",), ("./program",), ("",), (), ("a/b",), ("true\0",)])
def test_what_is_no_program_in_the_three_folders_is_not_started(arguments: tuple[str, ...]) -> None:
    with pytest.raises(MonitorError, match="cannot start"):
        run(*arguments)


def test_a_program_is_not_looked_for_in_anybodys_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "echo evil")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MonitorError, match="no such program"):
        run("program")


def test_a_file_that_is_no_program_is_a_status_and_not_a_defect(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    assert run(str(path)).status == 127


def test_at_its_limit_a_program_is_dead_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    path = script(tmp_path, f"""
trap '' TERM INT HUP
setsid sh -c 'trap "" TERM; echo $$ >> {pids}; while :; do sleep 100; done' &
(setsid sh -c 'echo $$ >> {pids}; sleep 1000 & echo $! >> {pids}; wait' &)
echo $$ >> {pids}
while :; do sleep 100; done""")
    began = time.monotonic()
    ran = run(path, limit_s=1.0)
    assert ran.status is None
    assert time.monotonic() - began < 4.0
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) == 4
    assert not [pid for pid in started if alive(pid)]


def test_a_cancelled_program_is_dead_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(tmp_path / "ready")
    path = script(tmp_path, f"setsid sleep 1000 & echo $! $$ > {pids}; echo > {tmp_path}/ready; wait")

    async def main() -> None:
        running = asyncio.create_task(Programs().run(Program(arguments=(path,)), MINE))
        await asyncio.to_thread((tmp_path / "ready").read_text)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    started = [int(word) for word in pids.read_text().split()]
    assert len(started) == 2
    assert not [pid for pid in started if alive(pid)]


def test_what_a_program_leaves_of_its_own_will_goes_on(tmp_path: Path) -> None:
    ran = run("sh", "-c", "sleep 1000 & echo $!")
    left = int(ran.output)
    assert ran.status == 0
    assert alive(left)
    os.kill(left, 9)


def test_a_gigabyte_of_output_is_neither_kept_nor_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    ran = run("head", "-c", "1000000000", "/dev/zero", limit_s=10.0)
    assert ran.status is not None
    ran = run("sh", "-c", "yes x | head -c 1000000000; echo end >&2; exit 0", limit_s=10.0)
    assert ran.status == 0
    assert len(ran.output) <= OUTPUT_MAX
    assert time.monotonic() - began < 10.0


def test_output_is_cleaned_of_what_steers_a_terminal() -> None:
    assert run("printf", "a\\033[31mb\\nc\\r").output == "a?[31mb\nc"


def test_a_program_has_no_descriptor_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        assert str(tmp_path) not in run("ls", "-l", "/proc/self/fd").output


def test_a_keeper_that_is_killed_is_no_success() -> None:
    assert run("sh", "-c", "kill -9 $PPID; sleep 0.2").status != 0


@pytest.mark.root
def test_of_root_programs_become_the_account_and_its_groups_before_they_are_executed(made: World) -> None:
    alice = made.account("alice")
    program = "id -u; id -g; id -G; grep -E '^(Uid|CapEff)' /proc/self/status"
    said = drive(made, "root", do="run", arguments=["sh", "-c", program], uid=alice.uid)["output"].split()
    assert said[:3] == [str(alice.uid), str(alice.gid), str(alice.gid)]
    assert said[3:] == ["Uid:", *[str(alice.uid)] * 4, "CapEff:", "0" * 16]


@pytest.mark.root
def test_root_runs_as_root_only_what_only_root_could_have_written(tmp_path: Path) -> None:
    session = replace(MINE, facts=facts(uid=65534))
    assert run("id", "-u", occasion=session, run_as=RunAs.ROOT).output == "0"
    path = script(tmp_path, "id -u")
    os.chown(path, 65534, 65534)
    with pytest.raises(MonitorError, match="as root: cannot trust"):
        run(path, occasion=session, run_as=RunAs.ROOT)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    """A world with accounts."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path / "world") as world:
        yield world


def drive(world: World, user: str, **order: Any) -> dict[str, Any]:
    """What the driver, as that account, says of one order."""
    argv = ["/opt/pam_sc/bin/python3", "-I", f"{HARNESS}/tests/support/acting_driver.py", json.dumps(order)]
    result: dict[str, Any] = json.loads(world.run(argv, user=user).stdout)
    return result


@pytest.mark.root
def test_without_privilege_nobody_runs_a_program_for_another_account(made: World) -> None:
    assert drive(made, "alice", do="run", arguments=["id", "-un"]) == {"status": 0, "output": "alice"}
    assert "belongs to another account" in drive(made, "alice", do="run", arguments=["id"], uid=4002)["error"]
    assert "belongs to another account" in drive(made, "alice", do="run", arguments=["id"], uid=0)["error"]


