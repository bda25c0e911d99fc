# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a program of the mapper `command` is and has, and who may say which programs there are."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pam_sc.frames import Channel, encode
from pam_sc.programs.messages import PROGRAMS_PAYLOAD_MAX, ProgramAccount, Setup, Unusable, read_answer, setup_frame
from tests.support.installation import installed_for_all, worker_in
from tests.support.program_runner import Programs, programs_folder, started
from tests.support.worker_tree import NOBODY


@pytest.fixture
def programs() -> Iterator[Programs]:
    with programs_folder() as made:
        yield made


def ask(program: str) -> str:
    with started((program,)) as runner:
        return runner.client.ask((program,), "{}", 5.0)


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


@pytest.fixture
def ignored_signal() -> Iterator[None]:
    """What a shell does to its jobs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_no_signal_is_blocked_or_ignored(ignored_signal: None, facts: Any) -> None:
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
    return subprocess.Popen([worker_in(installed_for_all()), "programs"], preexec_fn=place, pass_fds=(3,),
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
    prefix = installed_for_all()
    said = subprocess.run([str(prefix / "bin" / "python"), "-P", "-c", script, program, worker_in(prefix)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert said.stdout.strip() == f"({NOBODY}, {NOBODY}, {NOBODY})", said.stderr
