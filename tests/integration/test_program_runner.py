# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of the mapper `command`, run by the real program runner: what comes back, and how they can fail."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_sc.decision.reasons import Reason
from pam_sc.errors import MapperError
from pam_sc.programs.client import ProgramsClient
from pam_sc.programs.messages import Setup
from pam_sc.services import CannotMap
from tests.support.program_runner import Programs, programs_folder, started

QUESTION = '{"version":1}'


@pytest.fixture
def programs() -> Iterator[Programs]:
    with programs_folder() as made:
        yield made


def ask(*argv: str, line: str = QUESTION, timeout_s: float = 5.0) -> str:
    with started(argv) as runner:
        return runner.client.ask(argv, line, timeout_s)


def refusal(*argv: str, line: str = QUESTION, timeout_s: float = 5.0) -> CannotMap:
    with pytest.raises(CannotMap) as caught:
        ask(*argv, line=line, timeout_s=timeout_s)
    return caught.value


# ---------------------------------------------------------------- a program that behaves


def test_a_program_gets_the_line_and_its_line_comes_back(programs: Programs) -> None:
    assert ask(programs.python("echo", "sys.stdout.write(line)")) == QUESTION


def test_a_long_line_gets_there_whole(programs: Programs) -> None:
    assert ask(programs.python("count", "print(len(line))"), line="x" * 200_000) == "200001"


def test_the_arguments_are_what_the_configuration_says_and_no_shell_sees_them(programs: Programs) -> None:
    program = programs.python("arguments", "print(json.dumps(sys.argv))")
    assert json.loads(ask(program, "$HOME", "a b; touch /tmp/x", "*")) == [program, "$HOME", "a b; touch /tmp/x", "*"]


def test_a_program_that_never_reads_may_still_answer(programs: Programs) -> None:
    assert ask(programs.shell("deaf", "echo yes"), line="x" * 250_000) == "yes"


def test_an_answer_without_a_line_end_is_a_line(programs: Programs) -> None:
    assert ask(programs.shell("short", "printf yes")) == "yes"


def test_one_runner_runs_one_program_after_the_other(programs: Programs) -> None:
    first, second = (programs.shell("first", "echo 1"),), (programs.shell("second", "echo 2"), "x")
    with started(first, second) as runner:
        assert [runner.client.ask(each, QUESTION, 5.0) for each in (first, second, first)] == ["1", "2", "1"]


def test_after_a_failure_the_next_program_is_run_all_the_same(programs: Programs) -> None:
    bad, good = (programs.shell("bad", "exit 1"),), (programs.shell("good", "echo 1"),)
    with started(bad, good) as runner:
        with pytest.raises(CannotMap):
            runner.client.ask(bad, QUESTION, 5.0)
        assert runner.client.ask(good, QUESTION, 5.0) == "1"


# ---------------------------------------------------------------- programs that do not


@pytest.mark.parametrize(("body", "why"), [
    ("exit 3", "it ended with status 3, expected 0"),
    ("echo '{\"claims\":true}'; exit 1", "it ended with status 1, expected 0"),
    ("kill -9 $$", "it was ended by a signal"),
    ("kill -SEGV $$", "it was ended by a signal"),
])
def test_a_program_that_ends_badly_has_failed_whatever_it_wrote(programs: Programs, body: str, why: str) -> None:
    error = refusal(programs.shell("bad", body))
    assert error.reason is Reason.PROGRAM_FAILED
    assert why in str(error)


@pytest.mark.parametrize(("body", "why"), [
    ("", "it wrote 0 lines"),
    ("echo", "it wrote 1 lines"),
    ("echo a; echo b", "it wrote 2 lines"),
    ("echo a; printf b", "it wrote 1 lines"),
    (r"printf '\377\n'", "its answer is not UTF-8"),
    ("head -c 65537 /dev/zero", "it wrote more than a program may"),
    ("cat /dev/zero", "it wrote more than a program may"),
])
def test_an_answer_that_is_not_one_line_is_unusable(programs: Programs, body: str, why: str) -> None:
    error = refusal(programs.shell("lying", body))
    assert error.reason is Reason.PROGRAM_ANSWER_UNUSABLE
    assert why in str(error)


def test_the_largest_answer_is_one_answer(programs: Programs) -> None:
    assert len(ask(programs.python("large", "sys.stdout.write('x' * 65535 + '\\n')"))) == 65535


@pytest.mark.parametrize("body", ["while :; do :; done", "exec sleep 60", "trap '' TERM HUP INT; sleep 60",
                                  "exec >&-; sleep 60", "cat; sleep 60"])
def test_a_program_that_hangs_is_ended_in_time(programs: Programs, body: str) -> None:
    begun = time.monotonic()
    error = refusal(programs.shell("hanging", body), timeout_s=1.0)
    assert error.reason is Reason.PROGRAM_TIMEOUT
    assert time.monotonic() - begun < 8.0


def test_the_time_of_the_login_counts_too(programs: Programs) -> None:
    argv = (programs.shell("slow", "sleep 60"),)
    with started(argv, machine_s=3.0) as runner, pytest.raises(CannotMap) as caught:
        runner.client.ask(argv, QUESTION, 10.0)
    assert caught.value.reason is Reason.PROGRAM_TIMEOUT


def test_a_program_that_cannot_be_executed_says_why(programs: Programs) -> None:
    assert "it cannot be started: No such file" in str(refusal(str(programs.folder / "missing")))
    assert "it cannot be started: Permission denied" in str(refusal(programs.write("plain", "#!/bin/sh\n", mode=0o644)))
    assert "it cannot be started: Exec format error" in str(refusal(programs.write("junk", "echo yes\n")))


def test_a_program_that_was_not_named_at_the_start_is_not_run(programs: Programs) -> None:
    named = programs.shell("named", "echo yes")
    with started((named,)) as runner:
        for argv in ((named, "-x"), ("/bin/sh", "-c", "echo yes")):
            with pytest.raises(CannotMap, match="it is not among the programs"):
                runner.client.ask(argv, QUESTION, 5.0)


def test_a_program_that_kills_the_runner_has_not_answered(programs: Programs) -> None:
    program = programs.shell("killer", "kill -9 $PPID; echo yes")
    argv = (program,)
    with started(argv) as runner:
        for _ in range(2):
            with pytest.raises(CannotMap, match="the program runner is lost") as caught:
                runner.client.ask(argv, QUESTION, 5.0)
            assert caught.value.reason is Reason.PROGRAM_FAILED


def test_a_runner_that_is_not_there_is_a_reason() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    client = ProgramsClient(ours, Setup(None, (("/bin/true",),)), lambda: time.monotonic() + 5)
    with pytest.raises(MapperError, match="the program runner is lost"):
        client.ask(("/bin/true",), QUESTION, 1.0)
    client.close()


# ---------------------------------------------------------------- what it leaves behind


LEAVES = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for n in (0, {closes}): os.close(n)
        while True: time.sleep(60)
    os._exit(0)
os.wait()
print(os.getpid())
"""


@pytest.mark.parametrize("closes", ["1", "2"], ids=["closing its output", "holding its output"])
def test_what_a_program_leaves_behind_is_dead_when_its_answer_comes(programs: Programs, closes: str) -> None:
    program = programs.python("leaving", LEAVES.format(closes=closes))
    with started((program,)) as runner:
        assert runner.client.ask((program,), QUESTION, 5.0).isdigit()
        assert processes_named(program) == []


def test_a_program_dies_with_the_runner(programs: Programs) -> None:
    program = programs.python("long", """
import socket
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.send(str(os.getpid()).encode())
time.sleep(60)
""")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(programs.folder / "socket"))
        (programs.folder / "socket").chmod(0o666)
        listener.listen()
        argv = (program, str(programs.folder / "socket"))
        with started(argv) as runner:
            asking = threading.Thread(target=ask_in_vain, args=(runner.client, argv))
            asking.start()
            with listener.accept()[0] as accepted:
                pid = int(accepted.recv(20))
            pidfd = os.pidfd_open(pid)
            os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
            asking.join()
        assert select.select([pidfd], [], [], 10.0)[0], "the program lives on"
        os.close(pidfd)


def ask_in_vain(client: ProgramsClient, argv: tuple[str, ...]) -> None:
    with contextlib.suppress(CannotMap):
        client.ask(argv, QUESTION, 10.0)


def processes_named(program: str) -> list[int]:
    """The processes that run a program, without those that are dead and not buried."""
    found = []
    for pid in (int(each) for each in os.listdir("/proc") if each.isdigit()):
        try:
            if program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found
