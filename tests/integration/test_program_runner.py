# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of the mapper `command`, run by the real program runner: what they may do, and how they can fail."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.reasons import Reason
from pam_sc.errors import MapperError
from pam_sc.frames import Channel
from pam_sc.programs.client import ProgramsClient
from pam_sc.programs.messages import (
    PROGRAMS_PAYLOAD_MAX,
    ProgramAccount,
    Setup,
    Unusable,
    read_answer,
    setup_frame,
)
from pam_sc.services import CannotMap
from tests.support.installation import installed_for, worker_in
from tests.support.program_runner import Programs, programs_folder, started
from tests.support.worker_tree import NOBODY

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


# ---------------------------------------------------------------- what it is and has


FACTS = """
import resource
status = dict(l.rstrip("\\n").split(":\\t", 1) for l in open("/proc/self/status") if ":\\t" in l)
print(json.dumps({
    "environment": dict(os.environ), "cwd": os.getcwd(), "umask": os.umask(0),
    "descriptors": [n for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)],
    "stderr": os.readlink("/proc/self/fd/2"),
    "ids": [*os.getresuid(), *os.getresgid()], "groups": os.getgroups(), "leader": os.getsid(0) == os.getpid(),
    "status": {k: status[k] for k in ("NoNewPrivs", "Seccomp", "CapPrm", "CapEff", "CapInh", "CapAmb", "SigIgn", "SigBlk")},
    "limits": {n: resource.getrlimit(getattr(resource, n))[1] for n in
               ("RLIMIT_CORE", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_NPROC", "RLIMIT_NOFILE")},
}))
"""


@pytest.fixture
def facts(programs: Programs) -> Any:
    os.environ["PAM_SC_SECRET"] = "x"
    try:
        return json.loads(ask(programs.python("facts", FACTS)))
    finally:
        del os.environ["PAM_SC_SECRET"]


def test_a_program_has_an_environment_of_two_variables_and_three_descriptors(facts: Any) -> None:
    # the interpreter of the program sets LC_CTYPE itself where it finds another locale than UTF-8
    assert set(facts["environment"]) - {"LC_CTYPE"} == {"PATH", "LANG"}
    assert facts["descriptors"] == ["0", "1", "2"]
    assert facts["stderr"] == "/dev/null"
    assert (facts["cwd"], facts["umask"], facts["leader"]) == ("/", 0o077, True)


@pytest.mark.root
def test_a_program_has_no_privilege_and_cannot_get_any(facts: Any) -> None:
    assert facts["ids"] == [NOBODY] * 6
    assert facts["groups"] == []
    assert facts["status"]["NoNewPrivs"] == "1"
    assert facts["status"]["Seccomp"] == "2"
    assert {int(facts["status"][f"Cap{each}"], 16) for each in ("Prm", "Eff", "Inh", "Amb")} == {0}


def test_a_program_has_limits(facts: Any) -> None:
    limits = facts["limits"]
    assert (limits["RLIMIT_CORE"], limits["RLIMIT_AS"], limits["RLIMIT_FSIZE"]) == (0, 1 << 30, 1 << 20)
    assert 0 < limits["RLIMIT_CPU"] <= 11
    assert limits["RLIMIT_NOFILE"] == 64
    if os.geteuid() == 0:
        assert limits["RLIMIT_NPROC"] == 128


def test_no_signal_is_blocked_or_ignored(facts: Any) -> None:
    assert int(facts["status"]["SigBlk"], 16) == 0
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25); 32 and 33 belong to the C library
    assert int(facts["status"]["SigIgn"], 16) & ~(1 << 12 | 1 << 24 | 3 << 31) == 0


ATTEMPTS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
runner, asker = os.getppid(), int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
def attempt(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
def call(name, *arguments):
    ctypes.set_errno(0)
    return ctypes.get_errno() if getattr(libc, name)(*arguments) < 0 else 0
print(json.dumps({
    "kill the asker": attempt(lambda: os.kill(asker, 9)),
    "trace the runner": call("ptrace", 16, runner, 0, 0),
    "read the runner's memory": attempt(lambda: open(f"/proc/{runner}/mem", "rb")),
    "read the runner's descriptors": attempt(lambda: os.listdir(f"/proc/{runner}/fd")),
    "read the asker's descriptors": attempt(lambda: os.listdir(f"/proc/{asker}/fd")),
    "read what only root reads": attempt(lambda: open(SECRET)),
    "write what only root writes": attempt(lambda: open(sys.argv[0], "a")),
    "become root": attempt(lambda: os.setuid(0)),
    "a namespace": call("unshare", 0x10000000),
    "mount": call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
    "a packet socket": attempt(lambda: __import__("socket").socket(17, 3, 0)),
    "io_uring": call("syscall", 425, 1, 0),
    "keyring": call("syscall", 250, 0, 0),
}))
"""


@pytest.mark.root
def test_a_program_can_do_nothing_to_the_login_or_the_machine(programs: Programs) -> None:
    secret = programs.write("secret", "x", mode=0o600)
    done = json.loads(ask(programs.python("hostile", ATTEMPTS.replace("SECRET", repr(secret)))))
    assert {name for name, error in done.items() if error == 0} == set()


# ---------------------------------------------------------------- who may say which programs there are


def serve(theirs: socket.socket, *, user: int | None = None) -> subprocess.Popen[bytes]:
    def place() -> None:
        os.dup2(theirs.fileno(), 3)

    identity: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    return subprocess.Popen([worker_in(installed_for(os.geteuid())), "programs"], preexec_fn=place, pass_fds=(3,),
                            env={}, **identity)


SAYS_SETUP = """
import os, socket, sys
os.setgid(64999); os.setuid(64999)
sock = socket.socket(fileno=3)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
sock.sendall(bytes.fromhex(sys.argv[1]))
print(sock.recv(1000))
"""


@pytest.mark.root
def test_who_has_no_root_cannot_say_which_programs_there_are(programs: Programs) -> None:
    from pam_sc.frames import encode
    ours, theirs = socket.socketpair()
    mark = programs.folder / "ran"
    setup = Setup(ProgramAccount(NOBODY, NOBODY, ()), ((programs.shell("evil", f"touch {mark}"),),))
    runner = serve(theirs)
    theirs.close()
    said = encode(setup_frame(setup), PROGRAMS_PAYLOAD_MAX).hex()
    with ours:
        sayer = subprocess.run(
            [sys.executable, "-I", "-c", SAYS_SETUP, said], preexec_fn=lambda: os.dup2(ours.fileno(), 3),
            pass_fds=(3,), capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
    assert "named by a process without our privilege" in sayer.stdout
    assert runner.wait(10) == 1
    assert not mark.exists()


@pytest.mark.root
@pytest.mark.parametrize("account", [None, ProgramAccount(0, NOBODY, ()), ProgramAccount(NOBODY, 0, ()),
                                     ProgramAccount(NOBODY, NOBODY, (0,))])
def test_root_runs_no_program_as_root(programs: Programs, account: ProgramAccount | None) -> None:
    ours, theirs = socket.socketpair()
    runner = serve(theirs)
    theirs.close()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    channel = Channel(ours, PROGRAMS_PAYLOAD_MAX)
    channel.send(setup_frame(Setup(account, (("/bin/true",),))), time.monotonic() + 5)
    answer = read_answer(channel.receive(time.monotonic() + 10))
    assert isinstance(answer, Unusable)
    assert runner.wait(10) == 1
    ours.close()


@pytest.mark.root
def test_without_any_privilege_programs_run_as_who_we_are(programs: Programs) -> None:
    """The asker has the runner's own uid then, as in a login of a caller without privilege."""
    program = programs.python("who", "print(os.getresuid())")
    script = (
        "import os, sys, time\n"
        "os.setgid(64999); os.setuid(64999)\n"
        "from pam_sc.programs.client import start_program_runner\n"
        "from pam_sc.programs.messages import Setup\n"
        "argv = (sys.argv[1],)\n"
        "end = time.monotonic() + 20\n"
        "with start_program_runner(sys.argv[2], Setup(None, (argv,)), lambda: end) as runner:\n"
        "    print(runner.client.ask(argv, '{}', 5.0))\n"
    )
    prefix = installed_for(0)
    said = subprocess.run([str(prefix / "bin" / "python"), "-P", "-c", script, program, worker_in(prefix)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert said.stdout.strip() == f"({NOBODY}, {NOBODY}, {NOBODY})", said.stderr


def test_a_runner_that_is_not_there_is_a_reason() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    client = ProgramsClient(ours, Setup(None, (("/bin/true",),)), lambda: time.monotonic() + 5)
    with pytest.raises(MapperError, match="the program runner is lost"):
        client.ask(("/bin/true",), QUESTION, 1.0)
    client.close()
