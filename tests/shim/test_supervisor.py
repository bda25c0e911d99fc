# SPDX-License-Identifier: LGPL-2.1-or-later
"""The supervisor, as docs/protocol.md has it: what it starts, what it hears, and how everything ends."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.supervisor import LETTERS, OBEDIENT, Start, is_gone, seconds_until, supervisor
from tests.support.worker_tree import NOBODY, WorkerTree, worker_tree

SYSTEM, NO_PRIVILEGE, TIME_OVER, VERIFIER_FAILED, UNSAFE = 1, 2, 3, 4, 5
PROMPTLY = 2.0
PYTHON_ROLES = ["network", "programs", "directory"]
"""The optional processes that run Python; the home reader does not, and waits for its order."""
ANOTHER = {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def ordinary() -> dict[str, Any]:
    """An account without privilege: our own, or a drop where that is root."""
    return ANOTHER if os.geteuid() == 0 else {}


@pytest.fixture
def tree() -> Iterator[WorkerTree]:
    with worker_tree() as made:
        made.write("verifier", OBEDIENT)
        made.write("card", OBEDIENT)
        for role in PYTHON_ROLES:
            made.write(role, OBEDIENT)
        yield made


# What it starts


def test_processes_have_exactly_the_descriptors_of_the_table(tree: WorkerTree) -> None:
    left_open = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(left_open, True)
    with supervisor(tree) as running:
        verifier, card = running.verifier.run("FACTS"), running.card.run("FACTS")
    os.close(left_open)
    assert sorted(verifier) == [str(number) for number in range(10)]
    assert sorted(card) == ["0", "1", "2", "3", "4"]
    assert {facts[name] for facts in (verifier, card) for name in "012"} == {"/dev/null"}
    assert all(facts[name].startswith("socket:") for facts in (verifier, card) for name in sorted(facts)[3:])


def test_card_channel_connects_the_two(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        running.verifier.run("other.send(b'to the card')")
        assert running.card.run("other.recv(100).decode()") == "to the card"
        running.card.run("other.send(b'back')")
        assert running.verifier.run("other.recv(100).decode()") == "back"


@pytest.mark.root  # a process that is not dumpable shows its descriptors to root alone
@pytest.mark.parametrize("roles", [[], ["network"], ["programs", "network"]], ids=lambda roles: "-".join(roles) or "none")
def test_supervisor_holds_no_end_of_a_channel_that_is_in_use(tree: WorkerTree, roles: list[str]) -> None:
    with supervisor(tree) as running:
        for role in roles:
            running.start(role)
        held = set(running.verifier.run("list(FACTS.values())")) | set(running.card.run("list(FACTS.values())"))
        folder = Path(f"/proc/{running.process.pid}/fd")
        own = {os.readlink(folder / name) for name in os.listdir(folder)}
        assert not {name for name in own & held if name.startswith("socket:")}


def test_processes_start_with_fixed_arguments_and_environment(tree: WorkerTree) -> None:
    hostile = {"PYTHONPATH": "/tmp", "PYTHONHOME": "/tmp", "LD_DEBUG_OUTPUT": "/tmp/x", "HOME": "/root", "LANG": "de_DE"}
    with supervisor(tree, Start(environment=hostile)) as running:
        for process, role in ((running.verifier, "verifier"), (running.card, "card")):
            assert process.run("read('/proc/self/cmdline')") == f"{tree.worker}\0{role}\0"
            assert process.run("dict(os.environ)") == {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def test_processes_search_three_directories_and_no_more(tree: WorkerTree) -> None:
    with supervisor(tree, Start(environment={"PYTHONPATH": "/tmp"})) as running:
        stdlib, dynload, packages = running.verifier.run("sys.path")
        assert (dynload, packages) == (f"{stdlib}/lib-dynload", str(tree.root / "site-packages"))
        assert running.card.run("sys.path") == [stdlib, dynload, packages]
        assert running.verifier.run("'site' in sys.modules") is False


def test_nothing_of_the_host_is_inherited(tree: WorkerTree) -> None:
    def be_a_bad_host() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.umask(0)
        os.chdir("/usr")

    with supervisor(tree, Start(before=be_a_bad_host)) as running:
        for process in (running.verifier, running.card):
            status = dict(line.split(":\t") for line in process.run("read('/proc/self/status')").splitlines())
            ignored = {bit + 1 for bit in range(64) if int(status["SigIgn"], 16) >> bit & 1}
            assert int(status["SigBlk"], 16) == 0
            assert ignored & set(range(1, 32)) == {signal.SIGPIPE}
            assert status["Umask"] == "0077"
            assert process.run("os.getcwd()") == "/"
            assert process.run("os.getsid(0)") == running.process.pid
            assert process.run("resource.getrlimit(resource.RLIMIT_CORE)") == [0, 0]


def test_processes_die_with_the_supervisor(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        pids = [process.run("os.getpid()") for process in (running.verifier, running.card)]
        running.process.kill()
        assert all(is_gone(pid, PROMPTLY) for pid in pids)


# Identity


def test_host_without_privilege_keeps_its_identity(tree: WorkerTree) -> None:
    identity = ordinary()
    with supervisor(tree, Start(identity=identity)) as running:
        uid = identity.get("user", os.getuid())
        for process in (running.verifier, running.card):
            assert process.run("os.getresuid()") == [uid] * 3


@pytest.mark.root
@pytest.mark.parametrize("uids", [(0, 0, 0), (NOBODY, 0, 0), (0, NOBODY, NOBODY)])
def test_host_with_privilege_becomes_root_whole(tree: WorkerTree, uids: tuple[int, int, int]) -> None:
    def be_that_host() -> None:
        os.setgroups([NOBODY])
        os.setresgid(NOBODY, 0, NOBODY)
        os.setresuid(*uids)

    with supervisor(tree, Start(before=be_that_host, uids=uids, gids=(NOBODY, 0, NOBODY))) as running:
        for process in (running.verifier, running.card):
            assert process.run("os.getresuid()") == [0, 0, 0]
            assert process.run("os.getresgid()") == [0, 0, 0]
            assert process.run("os.getgroups()") == []


@pytest.mark.parametrize(
    "claimed",
    [
        {"uids": (0, NOBODY, NOBODY)},
        {"uids": (NOBODY, 0, NOBODY)},
        {"uids": (NOBODY, NOBODY, 0)},
        {"uids": (NOBODY, NOBODY, NOBODY + 1)},
        {"gids": (NOBODY, NOBODY, NOBODY + 1)},
        {"gids": (NOBODY, NOBODY + 1, NOBODY)},
        {"at_secure": 1},
    ],
)
def test_privilege_of_the_host_that_cannot_be_taken_is_reported(tree: WorkerTree, claimed: dict[str, Any]) -> None:
    with supervisor(tree, Start(identity=ordinary(), **claimed)) as running:
        assert running.report() == NO_PRIVILEGE
        assert running.wait() != 0
        assert running.card.ended()


def can_raise_limits() -> bool:
    """CAP_SYS_RESOURCE, which the root of a container may lack."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) >> 24 & 1)


@pytest.mark.root
def test_soft_limits_of_a_host_with_privilege_are_taken_back(tree: WorkerTree) -> None:
    def be_a_mean_host() -> None:
        for limit, soft in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 16), (resource.RLIMIT_CPU, 1)):
            resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))

    with supervisor(tree, Start(before=be_a_mean_host)) as running:
        endless = [resource.RLIM_INFINITY] * 2
        assert running.card.run("resource.getrlimit(resource.RLIMIT_FSIZE)") == endless
        assert running.card.run("resource.getrlimit(resource.RLIMIT_CPU)") == endless
        assert running.card.run("resource.getrlimit(resource.RLIMIT_NOFILE)") == [256, 256]


@pytest.mark.root
def test_hard_limits_of_a_host_with_privilege_are_taken_back_or_reported(tree: WorkerTree) -> None:
    def be_a_mean_host() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with supervisor(tree, Start(before=be_a_mean_host)) as running:
        if can_raise_limits():
            assert running.card.run("resource.getrlimit(resource.RLIMIT_FSIZE)") == [resource.RLIM_INFINITY] * 2
        else:
            assert running.report() == NO_PRIVILEGE


@pytest.mark.root
@pytest.mark.parametrize("hard", [None, 1], ids=["soft", "hard"])
def test_a_limit_on_processes_does_not_stop_the_threads_of_a_module(tree: WorkerTree, hard: int | None) -> None:
    """It counts for the account of the card process, but the person at a setuid program has set it."""
    if hard is not None and not can_raise_limits():
        pytest.skip("without CAP_SYS_RESOURCE a hard limit stays")

    def be_a_mean_host() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard or resource.getrlimit(resource.RLIMIT_NPROC)[1]))

    with supervisor(tree, Start(before=be_a_mean_host)) as running:
        assert running.card.run("resource.getrlimit(resource.RLIMIT_NPROC)")[0] not in range(1024)


def test_hard_limit_of_a_host_without_privilege_stays(tree: WorkerTree) -> None:
    def be_a_mean_host() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 5000))

    with supervisor(tree, Start(before=be_a_mean_host, identity=ordinary())) as running:
        assert running.card.run("resource.getrlimit(resource.RLIMIT_FSIZE)") == [5000, 5000]


# The order



@pytest.mark.parametrize(
    "change",
    [
        lambda order: order[:-1],
        lambda order: order + b"\0",
        lambda order: b"PSC2" + order[4:],
        lambda order: order[:-4] + b"\0\0\0\0",
        lambda order: order[:-4] + b"\0\0\x0e\x11",  # 3601 s
    ],
    ids=["one byte short", "one byte more", "another version", "no time", "more than an hour"],
)
def test_wrong_order_is_reported_and_nothing_is_started(tree: WorkerTree, change: Callable[[bytes], bytes]) -> None:
    from tests.support.supervisor import encode_order

    with supervisor(tree, Start(order=change(encode_order(Start())))) as running:
        assert running.report() == SYSTEM
        assert running.wait() != 0
        assert running.verifier.ended()
        assert running.card.ended()


# The end of the verifier


def test_verifier_that_ends_well_ends_the_login_without_a_report(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        card = running.card.run("os.getpid()")
        running.verifier.tell("'end'")
        assert running.report() is None
        assert running.wait(PROMPTLY) == 0
        assert is_gone(card, 0)


@pytest.mark.parametrize(
    "last",
    [
        "os._exit(1)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "1 / 0",
        "sys.exit(0)",
        "sys.exit(1)",
        "signal.raise_signal(signal.SIGTERM)",
    ],
)
def test_verifier_that_ends_otherwise_is_reported(tree: WorkerTree, last: str) -> None:
    with supervisor(tree) as running:
        card = running.card.run("os.getpid()")
        running.verifier.tell(last)
        assert running.report() == VERIFIER_FAILED
        running.wait(PROMPTLY)
        assert is_gone(card, 0)


@pytest.mark.parametrize(
    "source",
    [
        "def main():\n    return None\n",
        "def main():\n    return True\n",
        "def main():\n    return 256\n",
        "def main():\n    return -1\n",
        "def main(argument):\n    return 0\n",
        "def Main():\n    return 0\n",
        "this is not Python",
        "import a_module_that_is_not_there\ndef main():\n    return 0\n",
    ],
)
def test_verifier_whose_main_does_not_return_a_status_is_reported(tree: WorkerTree, source: str) -> None:
    tree.write("verifier", source)
    with supervisor(tree) as running:
        assert running.report() == VERIFIER_FAILED


def test_verifier_whose_main_returns_0_is_not_reported(tree: WorkerTree) -> None:
    tree.write("verifier", "def main():\n    return 0\n")
    with supervisor(tree) as running:
        assert running.report() is None
        assert running.wait() == 0


# The end of the card process


@pytest.mark.parametrize("last", ["os._exit(0)", "os._exit(1)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_end_of_the_card_process_is_the_verifiers_business(tree: WorkerTree, last: str) -> None:
    with supervisor(tree) as running:
        running.card.tell(last)
        assert running.verifier.run("other.recv(1).decode()") == ""
        assert running.verifier.run("control.send(b'K')") == 1
        assert running.verifier.run("control.recv(10).decode()") == "k"
        assert running.is_silent(0)


@pytest.mark.parametrize(
    "mood",
    ["None", "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)] and None", "os.kill(os.getpid(), signal.SIGSTOP)"],
    ids=["waiting", "ignoring signals", "stopped"],
)
def test_card_process_is_dead_and_buried_when_the_verifier_hears_so(tree: WorkerTree, mood: str) -> None:
    with supervisor(tree) as running:
        card = running.card.run("os.getpid()")
        running.card.tell(mood)
        running.verifier.run("control.send(b'K')")
        assert running.verifier.run("control.recv(10).decode()") == "k"
        assert not os.path.exists(f"/proc/{card}")


def test_killing_the_card_process_twice_is_answered_twice(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        for _ in range(2):
            running.verifier.run("control.send(b'K')")
            assert running.verifier.run("control.recv(10).decode()") == "k"


# The optional processes


def children(pid: int) -> list[int]:
    """The processes that a process has now."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


each_python_role = pytest.mark.parametrize("role", PYTHON_ROLES)
each_role = pytest.mark.parametrize("role", list(LETTERS))


@each_python_role
def test_optional_process_runs_only_when_the_verifier_has_asked_for_it(tree: WorkerTree, role: str) -> None:
    with supervisor(tree) as running:
        both = {running.verifier.run("os.getpid()"), running.card.run("os.getpid()")}
        assert set(children(running.process.pid)) == both
        started = running.start(role)
        assert set(children(running.process.pid)) == both | {started}


@each_python_role
def test_optional_process_has_its_channel_and_nothing_else(tree: WorkerTree, role: str) -> None:
    with supervisor(tree, Start(environment={"PYTHONPATH": "/tmp", "http_proxy": "http://proxy.example.test"})) as running:
        running.start(role)
        facts = running.ask(role, "FACTS")
        assert sorted(facts) == ["0", "1", "2", "3"]
        assert {facts[name] for name in "012"} == {"/dev/null"}
        assert running.ask(role, "read('/proc/self/cmdline')") == f"{tree.worker}\0{role}\0"
        assert running.ask(role, "dict(os.environ)") == {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        assert running.ask(role, "sys.path") == running.verifier.run("sys.path")


def test_home_reader_is_started_without_an_interpreter_and_ends_with_its_channel(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        before = {running.verifier.run("os.getpid()"), running.card.run("os.getpid()")}
        running.verifier.run("control.send(b'R')")
        (pid,) = started_after(running.process.pid, before)
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == f"{tree.worker}\0homes\0".encode()
        running.verifier.run("homes.close()")
        assert is_gone(pid, PROMPTLY)
        assert running.is_silent(0)


def started_after(supervisor_pid: int, before: set[int]) -> set[int]:
    """Wait until the supervisor has another child, and that has become its program."""
    end = time.monotonic() + PROMPTLY
    while time.monotonic() < end:
        new = set(children(supervisor_pid)) - before
        if new and all(Path(f"/proc/{pid}/cmdline").read_bytes().count(b"\0") == 2 for pid in new):
            return new
    raise AssertionError("the supervisor has started nothing")


def test_every_optional_process_may_run_at_the_same_time_and_all_end_with_the_login(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        before = {running.verifier.run("os.getpid()"), running.card.run("os.getpid()")}
        running.verifier.run("control.send(b'R')")
        pids = started_after(running.process.pid, before) | {running.start("programs"), running.start("network")}
        assert len(pids) == 3
        running.verifier.tell("'end'")
        assert running.report() is None
        assert running.wait(PROMPTLY) == 0
        assert all(is_gone(pid, 0) for pid in pids)


@each_python_role
def test_optional_process_may_be_asked_for_after_a_prompt_and_after_the_card_process(
    tree: WorkerTree, role: str
) -> None:
    with supervisor(tree) as running:
        running.verifier.run("[control.send(byte) for byte in (b'H', b'M', b'K')]")
        assert running.verifier.run("control.recv(10).decode()") == "k"
        assert running.start(role) in children(running.process.pid)


@each_role
def test_optional_process_that_is_asked_for_in_human_time_ends_the_login(tree: WorkerTree, role: str) -> None:
    with supervisor(tree) as running:
        running.verifier.tell(f"control.send(b'H') and control.send(b'{LETTERS[role]}')")
        assert running.report() == VERIFIER_FAILED


@each_role
def test_optional_process_that_is_asked_for_twice_ends_the_login(tree: WorkerTree, role: str) -> None:
    with supervisor(tree) as running:
        running.verifier.tell(f"control.send(b'{LETTERS[role]}') and control.send(b'{LETTERS[role]}')")
        assert running.report() == VERIFIER_FAILED


@each_python_role
@pytest.mark.parametrize("last", ["os._exit(0)", "os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_end_of_an_optional_process_ends_its_channel_and_not_the_login(tree: WorkerTree, role: str, last: str) -> None:
    with supervisor(tree) as running:
        pid = running.start(role)
        assert running.ask(role, last) == "it has ended"
        assert is_gone(pid, PROMPTLY)
        running.verifier.run("control.send(b'K')")
        assert running.verifier.run("control.recv(10).decode()") == "k"
        assert not os.path.exists(f"/proc/{pid}")
        running.verifier.tell("'end'")
        assert running.report() is None
        assert running.wait(PROMPTLY) == 0


@each_python_role
def test_optional_process_that_has_ended_is_not_started_again(tree: WorkerTree, role: str) -> None:
    with supervisor(tree) as running:
        running.start(role)
        assert running.ask(role, "os._exit(0)") == "it has ended"
        running.verifier.tell(f"control.send(b'{LETTERS[role]}')")
        assert running.report() == VERIFIER_FAILED


@each_python_role
def test_killing_the_card_process_leaves_the_optional_process(tree: WorkerTree, role: str) -> None:
    with supervisor(tree) as running:
        pid = running.start(role)
        running.verifier.run("control.send(b'K')")
        assert running.verifier.run("control.recv(10).decode()") == "k"
        assert running.ask(role, "os.getpid()") == pid


@each_python_role
@pytest.mark.parametrize("end", ["'end'", "os._exit(1)"])
@pytest.mark.parametrize("mood", ["time.sleep(100)", "os.kill(os.getpid(), signal.SIGSTOP)"], ids=["hanging", "stopped"])
def test_optional_process_ends_with_the_login(tree: WorkerTree, role: str, mood: str, end: str) -> None:
    with supervisor(tree) as running:
        pid = running.start(role)
        running.verifier.run(f"{role}.send({mood!r}.encode() + b'\\n')")
        running.verifier.tell(end)
        running.wait(PROMPTLY)
        assert is_gone(pid, 0)


@each_python_role
def test_optional_process_dies_with_the_supervisor(tree: WorkerTree, role: str) -> None:
    with supervisor(tree) as running:
        pid = running.start(role)
        running.process.kill()
        assert is_gone(pid, PROMPTLY)


# What the verifier says


@pytest.mark.parametrize(
    "messages", [["X"], ["M"], ["H", "H"], ["H", "M", "M"], ["k"], ["HM"], ["KK"], ["\\0"], ["h"]], ids="-".join
)
def test_anything_else_on_the_control_channel_ends_the_login(tree: WorkerTree, messages: list[str]) -> None:
    with supervisor(tree) as running:
        pids = [process.run("os.getpid()") for process in (running.verifier, running.card)]
        running.verifier.tell(" or ".join(f"control.send(b'{message}') * 0" for message in messages))
        assert running.report() == VERIFIER_FAILED
        running.wait(PROMPTLY)
        assert all(is_gone(pid, 0) for pid in pids)


def test_human_and_machine_time_in_turns_are_what_is_expected(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        for byte in "HMHM":
            assert running.verifier.run(f"control.send(b'{byte}')") == 1
        running.verifier.tell("'end'")
        assert running.report() is None
        assert running.wait() == 0


def test_verifier_that_closes_the_control_channel_may_still_end_well(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        running.verifier.run("control.close()")
        assert running.is_silent(0.2)
        running.verifier.tell("'end'")
        assert running.report() is None
        assert running.wait() == 0


# The end of everything


@pytest.mark.parametrize("mood", ["time.sleep(100)", "os.kill(os.getpid(), signal.SIGSTOP)"], ids=["hanging", "stopped"])
def test_closed_lifeline_ends_everything(tree: WorkerTree, mood: str) -> None:
    with supervisor(tree) as running:
        pids = [process.run("os.getpid()") for process in (running.verifier, running.card)]
        running.verifier.tell(mood)
        running.card.tell(mood)
        running.lifeline.close()
        assert seconds_until(lambda: running.wait(PROMPTLY)) < PROMPTLY
        assert all(is_gone(pid, 0) for pid in pids)


def test_a_word_on_the_lifeline_ends_everything(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        pids = [process.run("os.getpid()") for process in (running.verifier, running.card)]
        running.lifeline.send(b"x")
        assert running.wait(PROMPTLY) == 0
        assert all(is_gone(pid, 0) for pid in pids)


def test_death_of_the_host_ends_everything_though_the_lifeline_is_open(tree: WorkerTree) -> None:
    host = subprocess.Popen(["/usr/bin/sleep", "100"])
    with supervisor(tree, Start(host=host.pid)) as running:
        pids = [process.run("os.getpid()") for process in (running.verifier, running.card)]
        host.kill()
        running.wait(PROMPTLY)
        assert all(is_gone(pid, 0) for pid in pids)
        assert running.report() is None
    host.wait()


# Time


def test_machine_time_that_is_over_is_reported_before_the_frames_end(tree: WorkerTree) -> None:
    with supervisor(tree, Start(machine_seconds=1)) as running:
        pids = [process.run("os.getpid()") for process in (running.verifier, running.card)]
        taken = seconds_until(running.verifier.ended)
        running.lifeline.setblocking(False)
        assert running.report() == TIME_OVER
        assert 1.5 < taken < 4
        running.wait(PROMPTLY)
        assert all(is_gone(pid, 0) for pid in pids)


def test_human_time_does_not_count_as_machine_time(tree: WorkerTree) -> None:
    with supervisor(tree, Start(machine_seconds=1)) as running:
        running.verifier.run("control.send(b'H')")
        assert running.is_silent(2.5)
        running.verifier.run("control.send(b'M')")
        assert running.report() == TIME_OVER


def test_waiting_for_a_card_does_not_count_as_machine_time(tree: WorkerTree) -> None:
    with supervisor(tree, Start(machine_seconds=1)) as running:
        running.verifier.run("control.send(b'W')")
        assert running.is_silent(2.5)
        running.verifier.run("control.send(b'M')")
        assert running.report() == TIME_OVER


def test_the_card_process_can_be_ended_while_a_card_is_waited_for(tree: WorkerTree) -> None:
    with supervisor(tree) as running:
        running.verifier.run("[control.send(byte) for byte in (b'W', b'K', b'M')]")
        assert running.verifier.run("control.recv(10).decode()") == "k"


@pytest.mark.parametrize("letters", ["WW", "WH", "HW", "WN", "WR", "WP", "WD", "WMM", "w"])
def test_what_does_not_belong_to_a_wait_ends_the_login(tree: WorkerTree, letters: str) -> None:
    with supervisor(tree) as running:
        running.verifier.tell(f"[control.send(bytes([byte])) for byte in {letters!r}.encode()]")
        assert running.report() == VERIFIER_FAILED


def test_killing_the_card_process_does_not_make_the_machine_time_longer(tree: WorkerTree) -> None:
    with supervisor(tree, Start(machine_seconds=1)) as running:
        running.verifier.run("control.send(b'K')")
        assert seconds_until(running.report) < 3


HASTE = r"""
#define _GNU_SOURCE
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* Every second of the supervisor's clock passes in 10 ms. */
int clock_gettime(clockid_t id, struct timespec *at)
{
	int result = (int)syscall(SYS_clock_gettime, id, at);
	long long all = (at->tv_sec * 1000000000LL + at->tv_nsec) % 100000000000000LL * 100;
	at->tv_sec = all / 1000000000LL;
	at->tv_nsec = all % 1000000000LL;
	return result;
}
int poll(struct pollfd *watched, nfds_t count, int timeout)
{
	return (int)syscall(SYS_poll, watched, count, timeout <= 0 ? timeout : timeout / 100 + 1);
}
"""


@pytest.fixture(scope="module")
def haste(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("haste")
    (folder / "haste.c").write_text(HASTE)
    library = str(folder / "haste.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, str(folder / "haste.c")], check=True)
    return {"LD_PRELOAD": library}


def test_one_prompt_may_take_120_seconds(tree: WorkerTree, haste: dict[str, str]) -> None:
    with supervisor(tree, Start(machine_seconds=3600, environment=haste)) as running:
        running.verifier.run("control.send(b'H')")
        assert running.is_silent(0.9)
        assert running.report() == TIME_OVER


def test_all_prompts_of_a_login_may_take_300_seconds(tree: WorkerTree, haste: dict[str, str]) -> None:
    with supervisor(tree, Start(machine_seconds=3600, environment=haste)) as running:
        for _ in range(3):
            running.verifier.run("control.send(b'H')")
            assert running.is_silent(0.8)
            running.verifier.run("control.send(b'M')")
        running.verifier.run("control.send(b'H')")
        assert seconds_until(running.report) < 0.9


def test_a_wait_is_longer_than_a_prompt_may_be_and_a_prompt_after_it_is_not(
    tree: WorkerTree, haste: dict[str, str]
) -> None:
    with supervisor(tree, Start(machine_seconds=3600, environment=haste)) as running:
        running.verifier.run("control.send(b'W')")
        assert running.is_silent(1.5)
        running.verifier.run("control.send(b'M')")
        running.verifier.run("control.send(b'H')")
        assert seconds_until(running.report) < 1.45


def test_all_waits_and_prompts_of_a_login_may_take_300_seconds(tree: WorkerTree, haste: dict[str, str]) -> None:
    with supervisor(tree, Start(machine_seconds=3600, environment=haste)) as running:
        for letter in "HW":
            running.verifier.run(f"control.send(b'{letter}')")
            assert running.is_silent(0.9)
            running.verifier.run("control.send(b'M')")
        running.verifier.run("control.send(b'W')")
        assert 0.6 < seconds_until(running.report) < 1.5


# What it is loaded from


def parts(tree: WorkerTree) -> dict[str, Path]:
    return {
        "the worker": tree.worker,
        "its folder": tree.worker.parent,
        "site-packages": tree.root / "site-packages",
        "a folder above": tree.root,
    }


@pytest.mark.parametrize("part", ["the worker", "its folder", "site-packages", "a folder above"])
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_part_that_others_can_write_is_reported(tree: WorkerTree, part: str, mode: int) -> None:
    parts(tree)[part].chmod(mode)
    with supervisor(tree) as running:
        assert running.report() == UNSAFE
        assert running.wait() != 0
        assert running.verifier.ended()


@pytest.mark.root
@pytest.mark.parametrize("part", ["the worker", "its folder", "site-packages", "a folder above"])
def test_part_that_belongs_to_another_account_is_reported(tree: WorkerTree, part: str) -> None:
    os.chown(parts(tree)[part], NOBODY + 1, 0)
    for identity in ({}, ANOTHER):
        with supervisor(tree, Start(identity=identity)) as running:
            assert running.report() == UNSAFE


@pytest.mark.root
@pytest.mark.parametrize("part", ["the worker", "its folder", "site-packages", "a folder above"])
def test_part_that_belongs_to_the_caller_serves_that_caller_alone(tree: WorkerTree, part: str) -> None:
    os.chown(parts(tree)[part], NOBODY, NOBODY)
    with supervisor(tree, Start(identity=ANOTHER)) as running:
        assert running.verifier.run("os.getuid()") == NOBODY
    with supervisor(tree) as running:
        assert running.report() == UNSAFE


@pytest.mark.root
def test_sticky_folder_of_anybody_but_root_is_reported(tree: WorkerTree) -> None:
    tree.root.chmod(0o1777)
    with supervisor(tree) as running:
        assert running.verifier.run("os.getuid()") == 0
    os.chown(tree.root, NOBODY, 0)
    with supervisor(tree, Start(identity=ANOTHER)) as running:
        assert running.report() == UNSAFE


def test_worker_that_is_started_with_other_arguments_does_nothing(tree: WorkerTree) -> None:
    for arguments in (["supervisor"], ["verifier", "card"], [""]):
        done = subprocess.run([tree.worker, *arguments], capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (64, b"", b"")


LEAVES = {
    "a child": "os.fork() or time.sleep(60)",
    "a session of its own": "os.fork() or (os.setsid(), time.sleep(60))",
}


@pytest.mark.parametrize("expression", LEAVES.values(), ids=list(LEAVES))
@pytest.mark.parametrize("end", ["the verifier", "the host"])
def test_what_a_program_started_ends_with_the_login(tree: WorkerTree, expression: str, end: str) -> None:
    """The program runner is killed in the middle of its work, and ends nothing any more."""
    with supervisor(tree) as running:
        running.start("programs")
        left = running.ask("programs", expression)
        if end == "the verifier":
            running.verifier.tell("'end'")
        else:
            running.lifeline.close()
        running.wait(PROMPTLY)
        assert is_gone(left, 0)
