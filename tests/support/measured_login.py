# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that logs in over and over and tells how long each login took and how much memory: standard library only.

Reads JSON on standard input: `sound`, each [PAM service, SOFTHSM2_CONF, whether it is granted], tried once; and
`logins`, each [name, PAM service, SOFTHSM2_CONF, how often], which are to be granted. Writes {name: [[milliseconds,
KiB], ...]}. The logins of one round follow each other, so that whatever else the machine does hits all of them. Memory
is the greatest resident set of any one process of a login. A login that does not end as it should makes all of it fail:
a measurement of something that does not decide rightly means nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
_PIN = b"123456\n"
_PATH = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def log_in(service: str, token: str) -> tuple[bool, float, int]:
    """Log in once: whether it was granted, the milliseconds, the KiB."""
    began = time.perf_counter()
    child = subprocess.Popen(
        ["/usr/bin/pamtester", service, "alice", "authenticate"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**_PATH, "SOFTHSM2_CONF": token},
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(_PIN)
    child.stdin.close()
    _pid, status, usage = os.wait4(child.pid, 0)
    took = (time.perf_counter() - began) * 1000
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode == 0, took, max(usage.ru_maxrss, _memory_of_the_rest())


def _memory_of_the_rest() -> int:
    """Wait for everything that the login left behind; this process is its reaper."""
    greatest = 0
    while True:
        try:
            greatest = max(greatest, os.wait4(-1, 0)[2].ru_maxrss)
        except ChildProcessError:
            return greatest


def require(service: str, token: str, expected: bool) -> tuple[float, int]:
    """Log in once; SystemExit if that does not end as it should."""
    granted, took, memory = log_in(service, token)
    if granted is not expected:
        raise SystemExit(f"cannot measure: {service} with {token} is {'granted' if granted else 'refused'}")
    return took, memory


def measure(logins: list[tuple[str, str, str, int]]) -> dict[str, list[tuple[float, int]]]:
    """Log in as often as is wanted of each, in turn."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name, *_rest in logins}
    for turn in range(max(rounds for *_rest, rounds in logins)):
        for name, service, token, rounds in logins:
            if turn < rounds:
                found[name].append(require(service, token, True))
    return found


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    order = json.load(sys.stdin)
    for one in order["sound"]:
        require(*one)
    print(json.dumps(measure(order["logins"])))
