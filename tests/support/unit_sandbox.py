# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a unit of systemd's allows a program, without systemd: `unit_sandbox.py UNIT COMMAND...`, run as root.

A program of its own (standard library only). It takes from the unit what could be in the way of the processes that confine
themselves further: the account, no capability, no new privileges, no network, address families, the system calls, and a
file system of which nothing but the unit's own folder can be written. Calls that are not allowed fail with EPERM.
"""

import ctypes
import os
import pwd
import subprocess
import sys

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 0x1000, 0x4000, 0x40000
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # EPERM
_EQUAL, _AF_UNIX = 4, 1
_READ_ONLY = ("/etc", "/run", "/opt", "/srv", "/home", "/var/lib", "/var/log")  # what a World has of its own

_libc = ctypes.CDLL(None, use_errno=True)


class _Comparison(ctypes.Structure):
    _fields_ = (("argument", ctypes.c_uint), ("how", ctypes.c_int), ("one", ctypes.c_uint64), ("two", ctypes.c_uint64))


def _check(what: str, result: int) -> None:
    if result < 0:
        sys.exit(f"cannot {what}: {os.strerror(ctypes.get_errno() or -result)}")


def _settings(unit: str) -> dict[str, str]:
    with open(unit, encoding="utf-8") as file:
        lines = [line.strip() for line in file if "=" in line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _calls(listed: str) -> set[str]:
    """The names in SystemCallFilter=, with its groups taken apart as systemd does."""
    known = {"@default", *listed.split()}
    while groups := {name for name in known if name.startswith("@")}:
        said = subprocess.run(["systemd-analyze", "syscall-filter", *groups], capture_output=True, text=True, check=True)
        lines = [line.strip() for line in said.stdout.splitlines() if line.startswith(" ")]
        known = (known - groups) | {line for line in lines if not line.startswith("#")}
    return known


def _close_files(kept: str, account: str) -> None:
    os.makedirs(kept, exist_ok=True)
    os.chown(kept, pwd.getpwnam(account).pw_uid, pwd.getpwnam(account).pw_gid)
    _check("unshare", _libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET))
    for source, target, flags in (
        ("none", "/", _MS_REC | _MS_PRIVATE), (kept, kept, _MS_BIND),
        *(("none", place, _MS_REMOUNT | _MS_BIND | _MS_RDONLY) for place in _READ_ONLY),
    ):
        _check(f"mount {target}", _libc.mount(source.encode(), target.encode(), None, flags, None))


def _become(account: str) -> None:
    entry = pwd.getpwnam(account)
    for capability in range(64):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # the kernel has fewer, and says so
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    _check("give up new privileges", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _filter(calls: set[str]) -> None:
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_REFUSE))
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        unix = (_Comparison * 1)(_Comparison(0, _EQUAL, _AF_UNIX, 0))
        compared = 1 if call == "socket" else 0
        if number >= 0:
            _check(call, seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, compared, unix))
    _check("load the filter", seccomp.seccomp_load(context))


def main() -> None:
    """Read the unit, and become what it says."""
    unit, *command = sys.argv[1:]
    said = _settings(unit)
    wanted = {"PrivateNetwork": "yes", "ProtectSystem": "strict", "RestrictAddressFamilies": "AF_UNIX", "NoNewPrivileges": "yes",
              "CapabilityBoundingSet": "", "SystemCallErrorNumber": "EPERM"}
    assert said.items() >= wanted.items(), "the unit allows something else than this program forbids"
    calls = _calls(said["SystemCallFilter"])
    _close_files(f"/run/{said['RuntimeDirectory']}", said["User"])
    _become(said["User"])
    _filter(calls)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
