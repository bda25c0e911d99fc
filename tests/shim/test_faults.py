# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each call of the shim to libc and libpam fails in turn: never a grant, never PAM_IGNORE, nothing left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.shim_host import LONGEST_S, Host, Outcome

SUCCESS, IGNORE = 0, 25
LEAVING = "script-f17:%01:PAM_SC_TOKEN:x+f17:%02::{}+f17:%03::+f15:wait+f16+answer+f10:%01:PIN+answer+grant"
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


@pytest.mark.parametrize(
    ("behaviour", "script", "least", "harmless"),
    [
        ("pin", (), 40, []),
        ("pin", ("user=",), 40, []),
        ("pin", ("subreaper=1",), 40, []),
        # The conversation is not found: for a text that is told, and for a PIN without which this worker grants too.
        (LEAVING, (), 50, ["pam_get_item", "pam_get_item"]),
    ],
    ids=lambda value: str(value)[:12],
)
def test_no_call_that_fails_leads_to_a_grant(
    plain: Host, faulty: Path, behaviour: str, script: tuple[str, ...], least: int, harmless: list[str]
) -> None:
    host = Host(plain.build, plain.confdir, faulty)
    host.service(host.line(behaviour, "forward_pin"))
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
    assert granted == [*harmless, "poll"]
    assert outcome.code == SUCCESS


def test_no_call_that_fails_leads_to_a_changed_pin_that_nobody_granted(plain: Host, faulty: Path) -> None:
    """As above for both passes of chauthtok, each with its wait for the end of the supervisor."""
    host = Host(plain.build, plain.confdir, faulty)
    host.service(host.line("script-second+grant", kind="password"))
    granted = []
    for number in range(1, 1000):
        name, outcome = login_with_fault(host, number, "calls=chauthtok")
        (code,) = outcome.codes("chauthtok")
        if name == "none":
            break
        assert code == SUCCESS or outcome.logs != [], (number, name)
        if code == SUCCESS:
            granted.append(name)
    assert number > 80
    assert granted == ["poll", "poll"]
    assert code == SUCCESS
