# SPDX-License-Identifier: LGPL-2.1-or-later
"""What systemd does to a hardened service such as polkit's agent helper, without systemd: then it becomes a command.

A program of its own (standard library only), run as root. No homes, no devices but /dev/null and its like, no network,
nothing but /run can be written, no new privileges, no locked memory, and no memory that is or becomes writable and
executable: by the kernel's own prctl ("mdwe"), or by the filter that systemd uses where the kernel has none ("filter").
"""

import ctypes
import os
import resource
import struct
import sys

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 0x1000, 0x4000, 0x40000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_MDWE = 38, 22, 65
_SECCOMP_MODE_FILTER = 2
_PSEUDO_DEVICES = ("null", "zero", "full", "random", "urandom")  # PrivateDevices= leaves them
_PROT_WRITE, _PROT_EXEC = 2, 4
_CALLS = {"x86_64": (9, 10, 329), "aarch64": (222, 226, 288)}  # mmap, mprotect, pkey_mprotect
_NUMBER, _THIRD_ARGUMENT = 0, 32  # where struct seccomp_data has them
_LOAD, _EQUAL, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES

_libc = ctypes.CDLL(None, use_errno=True)


def _check(what: str, result: int) -> None:
    if result != 0:
        sys.exit(f"cannot {what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    _check(f"mount {target}", _libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None))


def _hide() -> None:
    _check("unshare", _libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET))
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    kept = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _PSEUDO_DEVICES}
    log = os.open("/dev/log", os.O_PATH)  # beside them the link to the journal's socket is all that a service sees
    for place in ("/home", "/dev"):
        _mount("none", place, "tmpfs", 0)
    os.symlink("/run/log", "/dev/log")
    for place, source in [("/run/log", log), *((f"/dev/{name}", source) for name, source in kept.items())]:
        with open(place, "w"):
            _mount(f"/proc/self/fd/{source}", place, None, _MS_BIND)
    for place in ("/etc", "/opt", "/srv", "/var/lib", "/var/log", "/home", "/dev"):
        _mount("none", place, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    os.environ.clear()


def _filter() -> bytes:
    """Refuse mmap of writable and executable memory, and mprotect to executable."""
    mmap, *protects = _CALLS[os.uname().machine]
    program = [
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 4, mmap),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_AND, 0, 0, _PROT_WRITE | _PROT_EXEC),
        (_EQUAL, 6, 5, _PROT_WRITE | _PROT_EXEC),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 1, 0, protects[0]),
        (_EQUAL, 0, 2, protects[1]),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_ANY_BIT, 1, 0, _PROT_EXEC),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in program)


def _refuse_writable_code(how: str) -> None:
    if how == "mdwe":
        _check("PR_SET_MDWE", _libc.prctl(_PR_SET_MDWE, ctypes.c_ulong(1), 0, 0, 0))
        return
    program = _filter()
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _check("PR_SET_SECCOMP", _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0))


if __name__ == "__main__":
    _hide()
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    _check("PR_SET_NO_NEW_PRIVS", _libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0))
    _refuse_writable_code(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
