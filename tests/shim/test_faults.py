# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each call of the shim to libc and libpam fails in turn: never a grant, never PAM_IGNORE, nothing left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.shim_host import LONGEST_S, PROGRAMS, SHIM_FLAGS, SOURCES, Build, Host, Outcome, compile_c

SUCCESS, IGNORE = 0, 25
WRAPPED = [
    "getrandom",
    "getresuid",
    "getresgid",
    "realpath",
    "lstat",
    "stat",
    "socketpair",
    "send",
    "sendmsg",
    "recv",
    "poll",
    "mmap",
    "mprotect",
    "strdup",
    "pam_get_item",
    "pam_set_item",
    "pam_set_data",
    "clone",
    "syscall",
]


@pytest.fixture(scope="module")
def faulty(build: Build) -> Path:
    """The shim with calls that fail when told to."""
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    target = build.folder / "pam_sc_faulty.so"
    return compile_c(
        target, [*SOURCES, PROGRAMS / "faults.c"], *SHIM_FLAGS, f'-DPAM_SC_WORKER="{build.worker}"', *wraps
    )


def login_with_fault(host: Host, number: int, *script: str) -> tuple[str, Outcome]:
    """Log in while the given call fails; return which one it was, "none" if there are not so many."""
    done = subprocess.run(
        host.command(*script),
        env=host.environment() | {"PAM_SC_TEST_FAULT": str(number)},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=True,
    )
    return done.stderr.split()[1], Outcome(tuple(done.stdout.split("\n")))


@pytest.mark.parametrize(("script", "least"), [((), 40), (("user=",), 40), (("subreaper=1",), 40)], ids=str)
def test_no_call_that_fails_leads_to_a_grant(plain: Host, faulty: Path, script: tuple[str, ...], least: int) -> None:
    host = Host(plain.build, plain.confdir, faulty)
    host.service(host.line("pin"))
    granted = []
    for number in range(1, 1000):
        name, outcome = login_with_fault(host, number, *script)
        if name == "none":
            break
        assert outcome.word("state") == "same", (number, name, outcome.lines)
        assert outcome.code != IGNORE, (number, name)
        assert outcome.code == SUCCESS or outcome.logs != [], (number, name)
        if outcome.code == SUCCESS:
            granted.append(name)
    else:
        pytest.fail("calls without end")
    assert number > least
    # The last one only waits for the supervisor to end, which is then killed; the verdict stands.
    assert granted == ["poll"]
    assert outcome.code == SUCCESS
