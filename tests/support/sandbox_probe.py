# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the sandbox run inside the real worker: enter it as told, then try each call and say what came.

Standard input holds one JSON object: `role`, `uid`, `gid`, `groups`, `allow`, `writable` (or `role` null: stay outside,
as the control), `calls` (each [label, name of the system call, arguments; "self", "parent" and "peer" stand for pids]),
`paths` (each [label, path, "r" or "w"]), `changes` (each [name of a function of os, paths]), `facts` (bool) and `last` (a
way to die). Standard output gets the answers.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import socket
import sys
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_SECCOMP = ctypes.CDLL("libseccomp.so.2")


def _number(name: str) -> int:
    return _SECCOMP.seccomp_syscall_resolve_name(name.encode())


def _call(name: str, arguments: list[object], pids: dict[str, int]) -> int:
    """Return 0 or the errno of a raw system call; a child that it makes ends at once."""
    values = [ctypes.c_long(pids[a] if isinstance(a, str) else int(a)) for a in arguments]  # type: ignore[call-overload]
    me = os.getpid()
    result = _LIBC.syscall(ctypes.c_long(_number(name)), *values)
    error = ctypes.get_errno() if result < 0 else 0
    if os.getpid() != me:
        os._exit(0)
    return error


def _open(path: str, mode: str) -> int:
    flags = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT}[mode]
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        return error.errno or -1
    return 0


def _change(function: str, *paths: str) -> int:
    try:
        getattr(os, function)(*paths, *([0] if function == "truncate" else []))
    except OSError as error:
        return error.errno or -1
    return 0


def _bind() -> int:
    """Return 0 or the errno of binding a TCP port; -1 if there is not even a socket."""
    try:
        sock = socket.socket(socket.AF_INET)
    except OSError:
        return -1
    with sock:
        try:
            sock.bind(("127.0.0.1", 0))
        except OSError as error:
            return error.errno or -2
    return 0


def _facts() -> dict[str, object]:
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    keys = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapAmb", "Threads")
    signal = ctypes.c_int()
    _LIBC.prctl(2, ctypes.byref(signal), 0, 0, 0)
    return {
        "status": {key: status[key].strip() for key in keys},
        "dumpable": _LIBC.prctl(3, 0, 0, 0, 0),
        "parent_death_signal": signal.value,
        "limits": {
            name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"
        },
    }


def _ordinary_work() -> dict[str, bool]:
    """What a module needs all the time, after the filter: threads, AF_UNIX sockets, files, signals to itself."""
    ran = threading.Event()
    thread = threading.Thread(target=ran.set)
    thread.start()
    thread.join()
    left, right = socket.socketpair(socket.AF_UNIX)
    left.sendall(b"x")
    received = right.recv(1)
    named = socket.socket(socket.AF_UNIX)
    named.close()
    with open("/etc/passwd", "rb") as file:
        content = file.read()
    return {"thread": ran.is_set(), "socket": received == b"x", "file": bool(content)}


def _die(way: str) -> None:
    if way == "abort":
        os.abort()
    if way == "kill":
        os.kill(os.getpid(), 15)
    if way == "x32":
        _LIBC.syscall(ctypes.c_long(0x40000000 | 39))
    if way == "i386":
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
        code = ctypes.addressof(ctypes.c_char.from_buffer(page))
        ctypes.CFUNCTYPE(ctypes.c_int)(code)()


def _enter(order: dict[str, object]) -> str | None:
    if order["role"] is None:
        return None
    import _pam_sc

    try:
        if order["role"] == "verifier":
            _pam_sc.drop_and_confine_verifier(order["uid"], order["gid"], order["groups"], order["writable"])
        elif order["role"] == "network":
            _pam_sc.drop_and_confine_network(order["uid"], order["gid"], order["groups"])
        elif order["role"] == "programs":
            _pam_sc.drop_and_confine_programs(order["uid"], order["gid"], order["groups"])
        else:
            _pam_sc.drop_and_confine_card(order["uid"], order["gid"], order["groups"], order["allow"])
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> int:
    """Do what standard input says."""
    order = json.load(sys.stdin)
    answer: dict[str, object] = {"refused": _enter(order)}
    if answer["refused"] is None:
        pids = {"self": os.getpid(), "parent": os.getppid(), "peer": order.get("peer", 0)}
        answer["calls"] = {label: _call(name, arguments, pids) for label, name, arguments in order["calls"]}
        answer["paths"] = {label: _open(path, mode) for label, path, mode in order["paths"]}
        answer["changes"] = [_change(*change) for change in order["changes"]]
        if order["facts"]:
            answer["facts"] = _facts()
            answer["bind"] = _bind()
            answer["work"] = _ordinary_work()
    print(json.dumps(answer), flush=True)
    _die(order.get("last", ""))
    return 0
