# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever kind of program the shim runs in: the answer is the same, and the program is what it was."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.shim_host import LONGEST_S, NOBODY, Host

SUCCESS, SERVICE_ERR, SYSTEM_ERR = 0, 3, 4
as_root = pytest.mark.root
KINDS = [("sigchld=ignore",), ("sigchld=handler",), ("reaper=1",), ("reaper=1", "sigchld=handler"), ("closed=1",)]


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
@pytest.mark.parametrize(("behaviour", "code"), [("pin", 0), ("killed", 4), ("exit-zero", 4), ("code-7", 7)])
def test_every_kind_of_host_gets_the_same_answer_and_no_sigchld(
    host: Host, kind: tuple[str, ...], behaviour: str, code: int
) -> None:
    assert host.login(behaviour, *kind).code == code


@pytest.mark.parametrize("kind", [(), *KINDS], ids=" ".join)
def test_a_subreaper_gets_the_same_answer_and_keeps_no_child(host: Host, kind: tuple[str, ...]) -> None:
    """Only here, and for process 1, the kernel makes the supervisor a child of the host."""
    host.service(host.line("pin"))
    outcome = host.run("subreaper=1", *kind)
    assert (outcome.code, outcome.word("state")) == (SUCCESS, "same")


def test_a_subreaper_that_handles_sigchld_does_see_it(plain: Host) -> None:
    """The counter of the other tests can count."""
    plain.service(plain.line("grant"))
    assert plain.run("subreaper=1", "sigchld=handler").word("sigchld") == "1"


def test_the_worker_starts_with_nothing_of_the_host(host: Host) -> None:
    logs = host.login("report", "sigchld=ignore").logs
    worker = host.build.worker
    for line in ("fds 0 1 2 3 4 5 6 ", "fd 0 /dev/null", "fd 1 /dev/null", "fd 2 /dev/null", "fd 3 socket", "fd 4 socket",
                 "fd 5 socket", "fd 6 anon_inode:[pidfd]", f"arg {worker}", "session own", "host alive"):  # fmt: skip
        assert f"6 {line}" in logs
    for mask in ("SigBlk", "SigIgn", "SigCgt"):
        assert f"6 {mask}:?0000000000000000" in logs
    environment = [line for line in logs if line.startswith("6 env ")]
    assert environment == ["6 env PATH=/usr/sbin:/usr/bin:/sbin:/bin", "6 env LANG=C.UTF-8"]
    assert len([line for line in logs if line.startswith("6 arg ")]) == 1


def test_a_host_without_standard_descriptors_cannot_print_into_a_channel(plain: Host) -> None:
    assert "6 fds 0 1 2 3 4 5 6 " in plain.login("report", "closed=1").logs
    outcome = plain.login("pin", "closed=1")
    assert (outcome.code, outcome.logs) == (SUCCESS, ["6 answer 1 echoed ''", "6 secret of 6 bytes"])


@as_root
@pytest.mark.parametrize(("uids", "ran_as"), [
    ("0:0:0", "0 0 0"), (f"{NOBODY}:{NOBODY}:{NOBODY}", f"{NOBODY} {NOBODY} {NOBODY}"), (f"{NOBODY}:0:0", "0 0 0"),
    (f"{NOBODY}:{NOBODY}:0", "0 0 0"), (f"0:{NOBODY}:0", "0 0 0"),
])  # fmt: skip
def test_a_host_with_any_privilege_starts_a_supervisor_that_is_root(plain: Host, uids: str, ran_as: str) -> None:
    logs = plain.login("report", f"uids={uids}").logs
    assert f"6 Uid:?{ran_as.replace(' ', '?')}?{ran_as.split(maxsplit=1)[0]}" in logs
    assert f"6 ids 24: {uids.replace(':', ' ')} 0 0 0" in logs
    assert any(line.startswith(f"6 order 36 PSC1 uids {uids.replace(':', ' ')} gids 0 0 0 secure 0") for line in logs)


@as_root
@pytest.mark.parametrize("uids", [f"{NOBODY}:65533:{NOBODY}", f"65533:{NOBODY}:{NOBODY}"])
def test_a_host_with_part_of_a_privilege_is_refused(plain: Host, uids: str) -> None:
    outcome = plain.login("grant", f"uids={uids}")
    assert outcome.code == SERVICE_ERR
    assert outcome.logs[0].startswith(f"3 cannot become root to start {plain.build.worker}: Operation not permitted")


@as_root
@pytest.mark.parametrize(("mode", "code"), [(0o4755, SUCCESS), (0o2755, SERVICE_ERR), (0o755, SUCCESS)])
def test_setuid_is_a_privilege_and_setgid_one_that_is_not_enough(plain: Host, mode: int, code: int) -> None:
    program = Path(shutil.copy2(plain.build.host, plain.confdir / "host"))
    program.chmod(mode)
    plain.service(plain.line("report"))
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", str(program), *plain.command()[1:]],
        capture_output=True, text=True, timeout=LONGEST_S, check=True,
    )  # fmt: skip
    assert f"authenticate {code}\n" in done.stdout
    if mode == 0o4755:
        assert f"log 6 order 36 PSC1 uids {NOBODY} 0 0 gids {NOBODY} {NOBODY} {NOBODY} secure 1" in done.stdout
        assert "log 6 Uid:?0?0?0?0" in done.stdout


def test_a_thousand_logins_leave_descriptors_and_memory_as_they_were(plain: Host) -> None:
    plain.service(plain.line("pin"))
    outcome = plain.run("repeat=1000")
    assert (outcome.word("result"), outcome.word("fds")) == ("0 times 1000", "0")
    assert int(outcome.word("grown")) < 256, "KiB"
    assert outcome.word("sigchld") == "0"


@pytest.mark.parametrize("kind", [(), *KINDS[:3]], ids=" ".join)
def test_thirty_two_threads_log_in_at_once(host: Host, kind: tuple[str, ...]) -> None:
    host.service(host.line("pin"))
    outcome = host.run("threads=32", "repeat=4", *kind)
    assert (outcome.word("result"), outcome.word("fds")) == ("0 times 128", "0")
    assert outcome.word("sigchld") == "0"


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie waits for whoever adopted it and does nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def processes_alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


@pytest.mark.parametrize("behaviour", ["honour-prompt", "honour-hang"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_host_dies_everything_is_gone_within_two_seconds(
    plain: Host, behaviour: str, ending: signal.Signals
) -> None:
    plain.service(plain.line(behaviour))
    pids: list[int] = []
    host = subprocess.Popen(plain.command("step=hang"), stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    for line in host.stdout:
        pids += [int(pid) for pid in re.findall(r"^log 6 pid (\d+)$", line)]
        if line.startswith("says 1 1") or (len(pids) == 2 and behaviour == "honour-hang"):
            break
    assert len(processes_alive(pids)) == 2
    host.send_signal(ending)
    assert host.wait(LONGEST_S) == -ending
    until = time.monotonic() + 2
    while processes_alive(pids) and time.monotonic() < until:
        os.sched_yield()
    assert processes_alive(pids) == []
    host.stdout.close()


@pytest.mark.parametrize("step", ["secret", "fork"])
def test_the_supervisor_hears_the_end_even_if_a_fork_of_the_host_holds_the_lifeline(host: Host, step: str) -> None:
    """A host with threads may fork at any moment, without exec; closing alone would then say nothing."""
    config = host.confdir / "tells-end"
    host.service(f"auth required {host.module} config={config}")
    outcome = host.run(f"step={step}")
    assert (outcome.code, outcome.word("state")) == (SUCCESS, "same")
    assert (host.confdir / "tells-end.ended").exists()


def test_when_the_shim_returns_no_process_is_left(plain: Host) -> None:
    outcome = plain.login("honour-hang", arguments=("timeout=1",))
    pids = [int(line.split()[2]) for line in outcome.logs if line.startswith("6 pid ")]
    assert len(pids) == 2
    assert processes_alive(pids) == []


def test_tracing_the_shim_shows_no_call_that_changes_the_host(plain: Host) -> None:
    """Seen from the kernel: the host's threads change no disposition, and start one process without an exit signal."""
    plain.service(plain.line("grant"))
    with tempfile.NamedTemporaryFile(dir=plain.confdir) as trace:
        traced = ("strace", "-o", trace.name, "-e", "trace=clone,clone3,fork,vfork,rt_sigaction,setresuid,umask,chdir")
        outcome = plain.run("closed=0", prefix=traced)
        calls = Path(trace.name).read_text()
    assert outcome.code == SUCCESS
    clones = [line for line in calls.splitlines() if "clone" in line or "fork" in line]
    assert len(clones) == 1
    assert "SIGCHLD" not in clones[0]
    assert "CLONE_VM|CLONE_PIDFD|CLONE_VFORK" in clones[0] or {"CLONE_VM", "CLONE_VFORK", "CLONE_PIDFD"} <= set(
        re.findall(r"CLONE_\w+", clones[0])
    )
    assert not re.search(r"rt_sigaction\(SIG\w+, \{", calls)
    assert "setresuid" not in calls
