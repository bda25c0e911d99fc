# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sandbox of each confined process, entered by the real worker; each call beside a control outside."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import sandbox_probe
from tests.support.worker_tree import NOBODY, WorkerTree, worker_tree

ROLES = ("verifier", "card", "network")
AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK = 2, 10, 16, 17, 40
BAD = [-1] * 6

# Stopped whatever the arguments are; these are chosen so that outside the sandbox nothing happens.
ALWAYS = {name: (name, BAD) for name in (
    "execve", "execveat", "uselib", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease",
    "move_pages", "migrate_pages", "kcmp", "pidfd_getfd", "pidfd_send_signal", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "modify_ldt",
    "vmsplice", "lookup_dcookie", "fanotify_init", "open_by_handle_at", "name_to_handle_at", "setns", "mount", "umount2",
    "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "reboot", "swapon",
    "swapoff", "acct", "quotactl", "quotactl_fd", "nfsservctl", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "vhangup", "syslog",
)}  # fmt: skip
WITH_ARGUMENTS: dict[str, tuple[str, list[Any]]] = {
    "fork": ("fork", []),
    "a clone that is a process": ("clone", [signal.SIGCHLD, 0, 0, 0, 0]),
    "ptrace of another": ("ptrace", [16, 0x3FFFFFFF, 0, 0]),
    "pidfd_open": ("pidfd_open", ["peer", 0]),
    "unshare": ("unshare", [0]),
    "personality": ("personality", [0xFFFFFFFF]),
    "kill of another": ("kill", ["peer", 0]),
    "kill of the process group": ("kill", [0, 0]),
    "kill of everybody": ("kill", [-1, 0]),
    "tkill of another": ("tkill", ["peer", 0]),
    "tgkill of another": ("tgkill", ["peer", "peer", 0]),
    "rt_sigqueueinfo": ("rt_sigqueueinfo", ["peer", 0, -1]),
    "rt_tgsigqueueinfo": ("rt_tgsigqueueinfo", ["peer", "peer", 0, -1]),
    "prlimit64 of another": ("prlimit64", ["peer", 7, 0, 0]),
    "a packet socket": ("socket", [AF_PACKET, 3, 0]),
    "a vsock socket": ("socket", [AF_VSOCK, 1, 0]),
    "an IPv4 socket with garbage above 32 bits": ("socket", [AF_INET | 1 << 32, 1, 0]),
    "a socketpair of another family": ("socketpair", [AF_INET, 1, 0, -1]),
    "becoming dumpable": ("prctl", [4, 1, 0, 0, 0]),
    "outliving the parent": ("prctl", [1, 0, 0, 0, 0]),
    "TIOCSTI": ("ioctl", [-1, 0x5412, 0]),
    "TIOCSTI with garbage above 32 bits": ("ioctl", [-1, 0x5412 | 1 << 32, 0]),
    "TIOCLINUX": ("ioctl", [-1, 0x541C, 0]),
    "a signal to another by F_SETOWN": ("fcntl", [0, 8, "peer"]),
    "F_SETOWN with garbage above 32 bits": ("fcntl", [-1, 8 | 1 << 32, 0]),
    "F_SETOWN_EX": ("fcntl", [-1, 15, 0]),
    "FIOSETOWN": ("ioctl", [-1, 0x8901, 0]),
    "SIOCSPGRP": ("ioctl", [-1, 0x8902, 0]),
}
DENIED: dict[str, tuple[str, list[Any]]] = {**ALWAYS, **WITH_ARGUMENTS}
OF_THE_NETWORK: dict[str, tuple[str, list[Any]]] = {
    "an IPv4 socket": ("socket", [AF_INET, 1, 0]),
    "an IPv4 socket for datagrams": ("socket", [AF_INET, 2, 0]),
    "an IPv6 socket": ("socket", [AF_INET6, 1, 0]),
    "a netlink socket": ("socket", [AF_NETLINK, 3, 0]),
}
DENIED_TO_NETWORK: dict[str, tuple[str, list[Any]]] = {
    **{name: (name, BAD) for name in ("listen", "accept", "accept4")},
    "a netlink socket of another protocol": ("socket", [AF_NETLINK, 3, 15]),
    **{f"a socket of family {n}": ("socket", [n, 1, 0]) for n in range(40) if n not in {1, 2, 10, 16}},
}
WITHOUT_MODULE: dict[str, tuple[str, list[Any]]] = {name: (name, BAD) for name in (
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat",
    "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "mknod", "mknodat",
    "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity", "setpriority", "ioprio_set",
)}  # fmt: skip

OF_PROGRAMS = frozenset({
    "execve", "execveat", "fork", "a clone that is a process", "pidfd_open", "pidfd_send_signal", "kill of another",
    "kill of the process group", "kill of everybody", "tkill of another", "tgkill of another", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "becoming dumpable", "outliving the parent",
})  # fmt: skip
"""What the program runner and its programs may do of all that; whom a signal reaches is the kernel's to judge."""

# Without the capability the kernel itself says EPERM, or knows the call no more; the control cannot tell these apart.
SAME_OUTSIDE = frozenset({
    "uselib", "create_module", "nfsservctl", "lookup_dcookie", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "reboot", "swapon", "swapoff", "acct", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "vhangup", "syslog", "fanotify_init",
    "open_by_handle_at", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "quotactl", "quotactl_fd", "userfaultfd", "bpf", "perf_event_open",
    "io_uring_setup", "a packet socket",
})  # fmt: skip


@pytest.fixture(scope="module")
def tree() -> Iterator[WorkerTree]:
    source = Path(sandbox_probe.__file__).read_text()
    with worker_tree() as made:
        for role in (*ROLES, "programs"):
            made.write(role, source)
        yield made


@pytest.fixture(scope="module")
def peer() -> Iterator[int]:
    """A process outside the sandbox that runs as the same uid, as an unprivileged host does."""
    ready = "import sys; print('ready', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        ["/usr/bin/python3", "-I", "-c", ready], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **ordinary()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.stdin.close()
    process.wait()
    process.stdout.close()


def ordinary() -> dict[str, Any]:
    """How a process is started as an account without privilege: our own, or a drop where that is root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def run(tree: WorkerTree, role: str, *, confined: bool = True, **order: Any) -> tuple[dict[str, Any], int]:
    """Run the probe as a process of `role`; return its answers and how it ended."""
    identity = order.pop("started_as", ordinary())
    lists = {name: [] for name in ("groups", "allow", "writable", "calls", "paths", "changes")}
    whole = {"uid": -1, "gid": -1, "facts": False} | lists | order
    whole["role"] = role if confined else None
    done = subprocess.run(
        [tree.worker, role],
        input=json.dumps(whole).encode(),
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
        timeout=30,
        check=False,
        **identity,
    )
    assert done.stdout, f"the probe said nothing and ended with {done.returncode}"
    return json.loads(done.stdout), done.returncode


def as_calls(table: dict[str, tuple[str, list[Any]]]) -> list[list[Any]]:
    # A call that this architecture or libseccomp does not know has a negative number, and no rule.
    return [[label, name, arguments] for label, (name, arguments) in table.items() if sandbox_probe._number(name) >= 0]


@pytest.fixture(scope="module")
def outside(tree: WorkerTree, peer: int) -> dict[str, int]:
    every = {**DENIED, **WITHOUT_MODULE, **OF_THE_NETWORK, **DENIED_TO_NETWORK}
    calls = as_calls({k: v for k, v in every.items() if k != "kill of everybody"})
    return run(tree, "card", confined=False, calls=calls, peer=peer)[0]["calls"]


@pytest.fixture(scope="module")
def inside(tree: WorkerTree, peer: int) -> dict[str, dict[str, int]]:
    tables = {
        "verifier": {**DENIED, **WITHOUT_MODULE, **OF_THE_NETWORK},
        "card": {**DENIED, **OF_THE_NETWORK},
        "network": {**DENIED, **WITHOUT_MODULE, **OF_THE_NETWORK, **DENIED_TO_NETWORK},
    }
    return {role: run(tree, role, calls=as_calls(table), peer=peer)[0]["calls"] for role, table in tables.items()}


@pytest.mark.parametrize("label", DENIED)
@pytest.mark.parametrize("role", ROLES)
def test_call_is_denied(inside: dict[str, dict[str, int]], outside: dict[str, int], role: str, label: str) -> None:
    if label not in inside[role]:
        pytest.skip("this architecture does not have the call")
    assert inside[role][label] == errno.EPERM
    if label not in SAME_OUTSIDE and label != "kill of everybody":
        assert outside[label] != errno.EPERM


@pytest.mark.parametrize("label", WITHOUT_MODULE)
@pytest.mark.parametrize("role", ["verifier", "network"])
def test_process_without_a_module_changes_no_file(
    inside: dict[str, dict[str, int]], outside: dict[str, int], role: str, label: str
) -> None:
    assert inside[role][label] == errno.EPERM
    assert outside[label] != errno.EPERM


@pytest.mark.parametrize("label", OF_THE_NETWORK)
def test_network_is_for_the_network_process_alone(
    inside: dict[str, dict[str, int]], outside: dict[str, int], label: str
) -> None:
    assert [inside[role][label] for role in ("verifier", "card", "network")] == [errno.EPERM, errno.EPERM, 0]
    assert outside[label] == 0


@pytest.mark.parametrize("label", DENIED_TO_NETWORK)
def test_network_process_serves_nobody_and_speaks_to_the_internet_alone(
    inside: dict[str, dict[str, int]], outside: dict[str, int], label: str
) -> None:
    assert inside["network"][label] == errno.EPERM
    if label != "a socket of family 17":  # a packet socket, which needs a capability anyway
        assert outside[label] != errno.EPERM


@pytest.mark.parametrize("label", sorted(set(DENIED) - OF_PROGRAMS))
def test_call_is_denied_to_programs_too(programs: dict[str, int], outside: dict[str, int], label: str) -> None:
    if label not in programs:
        pytest.skip("this architecture does not have the call")
    assert programs[label] == errno.EPERM
    if label not in SAME_OUTSIDE:
        assert outside[label] != errno.EPERM


@pytest.mark.parametrize("label", ["fork", "a clone that is a process", "execve", "chmod", "an IPv4 socket", "listen"])
def test_programs_run_programs_write_files_and_use_the_internet(programs: dict[str, int], label: str) -> None:
    assert programs[label] != errno.EPERM


@pytest.fixture(scope="module")
def programs(tree: WorkerTree, peer: int) -> dict[str, int]:
    table = {**DENIED, **WITHOUT_MODULE, **OF_THE_NETWORK, "listen": ("listen", BAD)}
    return run(tree, "programs", calls=as_calls({k: v for k, v in table.items() if not k.startswith("kill")}), peer=peer)[0][
        "calls"
    ]


def test_the_program_runner_is_without_privilege_and_ends_with_its_parent(tree: WorkerTree) -> None:
    facts = run(tree, "programs", facts=True)[0]["facts"]
    assert facts["status"]["NoNewPrivs"] == "1"
    assert facts["status"]["Seccomp"] == "2"
    assert facts["dumpable"] == 0
    assert {int(facts["status"][f"Cap{each}"], 16) for each in ("Inh", "Prm", "Eff", "Amb")} == {0}


@pytest.mark.parametrize("role", ROLES)
def test_vfork_is_denied(tree: WorkerTree, role: str) -> None:
    assert run(tree, role, calls=[["vfork", "vfork", []]])[0]["calls"]["vfork"] == errno.EPERM


@pytest.mark.parametrize("role", ROLES)
def test_clone3_does_not_exist_so_that_threads_use_clone(tree: WorkerTree, role: str) -> None:
    call = [["clone3", "clone3", [-1, 0]]]
    assert run(tree, role, calls=call)[0]["calls"]["clone3"] == errno.ENOSYS
    assert run(tree, role, calls=call, confined=False)[0]["calls"]["clone3"] != errno.ENOSYS


@pytest.mark.parametrize("role", ROLES)
def test_ordinary_work_is_not_denied(tree: WorkerTree, role: str) -> None:
    answer, status = run(tree, role, facts=True)
    assert answer["work"] == {"thread": True, "socket": True, "file": True}
    assert status == 0


@pytest.mark.parametrize(
    ("label", "call"),
    {
        "a signal to itself": ["kill", ["self", 0]],
        "a thread's signal to itself": ["tgkill", ["self", "self", 0]],
        "its own limits": ["prlimit64", [0, 7, 0, 0]],
        "a local socket": ["socket", [1, 1, 0]],
        "asking whether it is dumpable": ["prctl", [3, 0, 0, 0, 0]],
    }.items(),
)
@pytest.mark.parametrize("role", ROLES)
def test_near_miss_of_a_denied_call_is_let_through(tree: WorkerTree, role: str, label: str, call: list[Any]) -> None:
    assert run(tree, role, calls=[[label, *call]])[0]["calls"][label] == 0


@pytest.mark.parametrize(
    ("way", "number"),
    [("abort", signal.SIGABRT), ("kill", signal.SIGTERM), ("x32", signal.SIGSYS), ("i386", signal.SIGSYS)],
)
@pytest.mark.parametrize("role", ROLES)
def test_process_ends_by_its_own_signal_and_by_a_foreign_architecture(
    tree: WorkerTree, role: str, way: str, number: signal.Signals
) -> None:
    assert run(tree, role, last=way)[1] == -number


def test_allowed_call_alone_is_let_through(tree: WorkerTree) -> None:
    calls = [["unshare", "unshare", [0]], ["fork", "fork", []]]
    assert run(tree, "card", calls=calls, allow=["unshare"])[0]["calls"] == {"unshare": 0, "fork": errno.EPERM}


def test_allowed_socket_may_be_of_the_network(tree: WorkerTree) -> None:
    calls = [["socket", "socket", [AF_INET, 1, 0]], ["pair", "socketpair", [AF_INET, 1, 0, -1]]]
    assert run(tree, "card", calls=calls, allow=["socket"])[0]["calls"] == {"socket": 0, "pair": errno.EPERM}


@pytest.mark.parametrize("names", [["no_such_call"], [""], ["unshare", "Fork"]])
def test_unknown_name_to_allow_is_refused(tree: WorkerTree, names: list[str]) -> None:
    refused = run(tree, "card", allow=names)[0]["refused"]
    assert refused == "ValueError: cannot enter the sandbox: the names of system calls to allow: not acceptable"


@pytest.mark.parametrize("role", ROLES)
def test_sandbox_is_entered_completely(tree: WorkerTree, role: str) -> None:
    facts = run(tree, role, facts=True)[0]["facts"]
    status = facts["status"]
    assert (status["NoNewPrivs"], status["Seccomp"], facts["dumpable"]) == ("1", "2", 0)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert facts["parent_death_signal"] == signal.SIGKILL
    assert facts["limits"]["RLIMIT_CORE"] == [0, 0]
    assert facts["limits"]["RLIMIT_NOFILE"] == [256, 256]
    assert facts["limits"]["RLIMIT_CPU"] == [60, 60]
    assert facts["limits"]["RLIMIT_AS"] == [{"card": 1, "verifier": 2, "network": 2}[role] << 30] * 2
    assert facts["limits"]["RLIMIT_FSIZE"] == list(resource.getrlimit(resource.RLIMIT_FSIZE))


@pytest.mark.parametrize("name", ["mem", "environ", "exe", "maps"])
@pytest.mark.parametrize("role", ROLES)
def test_process_of_the_same_uid_cannot_be_read(tree: WorkerTree, peer: int, role: str, name: str) -> None:
    paths = [["it", f"/proc/{peer}/{name}", "r"]]
    assert run(tree, role, paths=paths, confined=False)[0]["paths"]["it"] == 0
    assert run(tree, role, paths=paths)[0]["paths"]["it"] in {errno.EACCES, errno.EPERM}


def test_memory_of_a_process_of_the_same_uid_cannot_be_written(tree: WorkerTree, peer: int) -> None:
    paths = [["it", f"/proc/{peer}/mem", "w"]]
    assert run(tree, "card", paths=paths, confined=False)[0]["paths"]["it"] == 0
    assert run(tree, "card", paths=paths)[0]["paths"]["it"] in {errno.EACCES, errno.EPERM}


def test_card_process_writes_files_and_the_others_do_not(tree: WorkerTree) -> None:
    for role, expected in {"card": 0, "verifier": errno.EACCES, "network": errno.EACCES}.items():
        shared = tree.root / f"files-{role}"
        shared.mkdir(mode=0o777)
        shared.chmod(0o777)
        assert run(tree, role, paths=[["it", str(shared / "new"), "w"]])[0]["paths"]["it"] == expected
        assert run(tree, role, paths=[["it", str(shared / "new"), "w"]], confined=False)[0]["paths"]["it"] == 0


def landlock_abi() -> int:
    """The version of the kernel's Landlock; less than 1 where there is none."""
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


@pytest.mark.skipif(landlock_abi() < 4, reason="this kernel's Landlock knows no ports; listen is denied all the same")
def test_network_process_binds_no_port(tree: WorkerTree) -> None:
    assert run(tree, "network", facts=True)[0]["bind"] == errno.EACCES
    assert run(tree, "network", facts=True, confined=False)[0]["bind"] == 0


@pytest.fixture
def shared(tree: WorkerTree) -> Iterator[Path]:
    """A folder that everybody can write, with another in it."""
    folder = Path(tempfile.mkdtemp(dir=tree.root))
    for made in (folder, folder / "requests", folder / "requests" / "below"):
        made.mkdir(exist_ok=True)
        made.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_verifier_writes_beneath_the_folder_that_it_was_given_and_nowhere_else(tree: WorkerTree, shared: Path) -> None:
    paths = [[name, str(shared / name), "w"] for name in ("requests/new", "requests/below/new", "beside", "requests2")]
    given = [str(shared / "requests")]
    assert run(tree, "verifier", paths=paths, writable=given)[0]["paths"] == {
        "requests/new": 0, "requests/below/new": 0, "beside": errno.EACCES, "requests2": errno.EACCES}


def test_verifier_writes_beneath_each_of_several_folders_and_not_from_one_to_the_other(
    tree: WorkerTree, shared: Path
) -> None:
    below, other = shared / "requests" / "below", shared / "other"
    other.mkdir()
    other.chmod(0o777)
    paths = [[name, str(shared / name), "w"] for name in ("requests/below/new", "other/new", "requests/new")]
    answer, _ = run(tree, "verifier", paths=paths, writable=[str(below), str(other)],
                    changes=[["rename", str(below / "new"), str(other / "new2")]])
    assert answer["paths"] == {"requests/below/new": 0, "other/new": 0, "requests/new": errno.EACCES}
    assert answer["changes"] == [errno.EXDEV]


@pytest.mark.parametrize(
    ("how", "change", "expected"),
    [
        ("rename in the folder", ["rename", "requests/old", "requests/new"], 0),
        ("rename out of the folder", ["rename", "requests/old", "old"], errno.EACCES),
        ("link out of the folder", ["link", "requests/old", "old"], errno.EACCES),
        ("truncate", ["truncate", "requests/old"], 0),
        ("remove", ["unlink", "requests/old"], 0),
        ("make a folder", ["mkdir", "requests/new"], errno.EACCES),
        ("remove a folder", ["rmdir", "requests/below"], errno.EACCES),
        ("make a symlink", ["symlink", "requests/old", "requests/new"], errno.EACCES),
        ("make a FIFO", ["mkfifo", "requests/new"], errno.EPERM),
        ("rename elsewhere", ["rename", "kept", "kept2"], errno.EACCES),
        ("truncate elsewhere", ["truncate", "kept"], errno.EACCES),
        ("remove elsewhere", ["unlink", "kept"], errno.EACCES),
    ],
)
def test_verifier_changes_regular_files_of_its_folder_alone(
    tree: WorkerTree, shared: Path, how: str, change: list[str], expected: int
) -> None:
    for name in ("requests/old", "kept"):
        (shared / name).write_text("x")
        (shared / name).chmod(0o666)
        if os.geteuid() == 0:
            os.chown(shared / name, NOBODY, NOBODY)
    what = [change[0], *(str(shared / name) for name in change[1:])]
    assert run(tree, "verifier", changes=[what], writable=[str(shared / "requests")])[0]["changes"] == [expected]


def test_folder_to_write_in_that_does_not_exist_is_passed_over(tree: WorkerTree, shared: Path) -> None:
    paths = [["it", str(shared / "requests" / "new"), "w"]]
    answer, _ = run(tree, "verifier", paths=paths, writable=[str(shared / "nothing")])
    assert (answer["refused"], answer["paths"]["it"]) == (None, errno.EACCES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("file", "NotADirectoryError"), ("link to a folder", "NotADirectoryError"), ("FIFO", "NotADirectoryError")],
)
def test_folder_to_write_in_that_is_something_else_is_refused(
    tree: WorkerTree, shared: Path, name: str, expected: str
) -> None:
    (shared / "file").touch()
    (shared / "link to a folder").symlink_to(shared / "requests")
    os.mkfifo(shared / "FIFO")
    refused = run(tree, "verifier", writable=[str(shared / name)])[0]["refused"]
    assert refused is not None
    assert refused.startswith(expected)
    assert "Landlock" in refused


@pytest.mark.parametrize(
    ("writable", "expected"),
    [
        (["relative"], "cannot enter the sandbox: the folder to write in: not acceptable"),
        ([""], "cannot enter the sandbox: the folder to write in: not acceptable"),
        (["/tmp", "relative"], "cannot enter the sandbox: the folder to write in: not acceptable"),
        (["/tmp\0/x"], "cannot enter the sandbox: a text holds NUL"),
    ],
)
def test_wrong_list_of_folders_to_write_in_is_refused(tree: WorkerTree, writable: list[str], expected: str) -> None:
    assert run(tree, "verifier", writable=writable)[0]["refused"] == f"ValueError: {expected}"


@pytest.mark.root
@pytest.mark.parametrize("role", ROLES)
def test_root_becomes_the_account_for_good(tree: WorkerTree, role: str) -> None:
    groups = [NOBODY + 2, NOBODY + 1]
    answer, status = run(
        tree, role, uid=NOBODY, gid=NOBODY + 1, groups=groups, facts=True, started_as={},
        calls=[["back", "setuid", [0]], ["groups", "setgroups", [0, 0]], ["gid", "setgid", [0]]],
    )  # fmt: skip
    got = answer["facts"]["status"]
    assert got["Uid"].split() == [str(NOBODY)] * 4
    assert got["Gid"].split() == [str(NOBODY + 1)] * 4
    assert sorted(int(group) for group in got["Groups"].split()) == sorted(groups)
    assert (got["CapPrm"], got["CapEff"], answer["facts"]["dumpable"]) == ("0" * 16, "0" * 16, 0)
    assert answer["facts"]["parent_death_signal"] == signal.SIGKILL
    assert answer["calls"] == {"back": errno.EPERM, "groups": errno.EPERM, "gid": errno.EPERM}
    assert status == 0


@pytest.mark.root
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("uid", [0, -1])
def test_root_never_stays_root(tree: WorkerTree, role: str, uid: int) -> None:
    refused = run(tree, role, uid=uid, gid=0, started_as={})[0]["refused"]
    assert refused == "ValueError: cannot enter the sandbox: the account: not acceptable"


@pytest.mark.parametrize("role", ROLES)
def test_caller_without_privilege_cannot_become_another(tree: WorkerTree, role: str) -> None:
    refused = run(tree, role, uid=NOBODY + 5, gid=NOBODY + 5)[0]["refused"]
    assert refused is not None
    assert refused.startswith("PermissionError")
    assert "change of identity" in refused


@pytest.mark.parametrize(("uid", "gid", "groups"), [(2**32, 1, []), (-2, 1, []), (1, -2, []), (1, 1, [-1])])
def test_id_out_of_range_is_refused(tree: WorkerTree, uid: int, gid: int, groups: list[int]) -> None:
    refused = run(tree, "card", uid=uid, gid=gid, groups=groups)[0]["refused"]
    assert refused == "ValueError: cannot enter the sandbox: an id is out of range"
