# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host in a service's sandbox, as polkit's agent helper is one: no home, no device, no network, no writable code, and a
standard input and output that are a protocol. It is served as any other, and every byte that it says is its own.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.host_site import PIN, WRONG_PIN, HostSite, host_site, opened_workers
from tests.support.namespace import is_available
from tests.support.pam_world import HARNESS, REPOSITORY

pytestmark = pytest.mark.root

SANDBOX = ["/usr/bin/python3", "-I", f"{HARNESS}/tests/support/service_sandbox.py"]
HELPER = "/opt/agent_helper"
PR_GET_MDWE = 66
PROMPT = r"PAM_PROMPT_ECHO_OFF [^\n]*PIN[^\n]*: \n"


def has_mdwe() -> bool:
    """Whether this kernel knows PR_SET_MDWE (6.3)."""
    return bool(ctypes.CDLL(None).prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostSite]:
    """One machine with the helper on it."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with host_site(tmp_path_factory.mktemp("sandboxed")) as made:
        made.services("polkit-1")
        source = REPOSITORY / "tests/support/agent_helper.c"
        subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-o", made.world.path(HELPER), source,
                        "-lpam"], check=True)
        made.card.insert()
        yield made


@pytest.fixture(params=["mdwe", "filter"])
def helper(request: pytest.FixtureRequest, machine: HostSite) -> Iterator[list[str]]:
    """The command that runs the helper for alice in its sandbox."""
    if request.param == "mdwe" and not has_mdwe():
        pytest.skip("this kernel does not know PR_SET_MDWE; the filter does the same")
    machine.fresh(card=True)
    yield [*SANDBOX, request.param, HELPER, "alice"]
    machine.require_no_secret()
    machine.require_nothing_left()


def test_writable_code_is_refused_in_the_sandbox(machine: HostSite, helper: list[str]) -> None:
    """Else the tests below would prove nothing."""
    tries = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    outcome = machine.world.run([*helper[:-2], "/usr/bin/python3", "-I", "-c", tries])
    assert "PermissionError" in outcome.stderr


def test_the_right_pin_is_granted_and_the_protocol_is_whole(machine: HostSite, helper: list[str]) -> None:
    outcome = machine.world.run(helper, input=f"{PIN}\n")
    assert re.fullmatch(PROMPT + "SUCCESS\n", outcome.stdout), outcome
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert machine.reasons() == ["granted"]
    assert (machine.verifications, machine.card.applet.signatures) == (1, 1)


def test_a_wrong_pin_is_refused_in_the_protocols_words(machine: HostSite, helper: list[str]) -> None:
    outcome = machine.world.run(helper, input=f"{WRONG_PIN}\n")
    assert re.fullmatch(PROMPT + "PAM_ERROR_MSG [^\n]+\nFAILURE\n", outcome.stdout), outcome
    assert (outcome.returncode, outcome.stderr) == (1, "")
    assert machine.reasons() == ["pin-wrong"]


def test_an_agent_that_goes_away_at_the_prompt_leaves_nothing_behind(machine: HostSite, helper: list[str]) -> None:
    process = machine.world.namespace.popen(helper, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert "PAM_PROMPT_ECHO_OFF" in process.stdout.readline()
    processes = opened_workers(machine.world)
    assert len(processes) == 3
    process.stdin.close()
    machine.require_end(processes)
    assert process.stdout.read().endswith("FAILURE\n")
    process.stdout.close()
    process.wait()
    machine.require_untouched()


def test_without_a_card_nothing_is_asked(machine: HostSite, helper: list[str]) -> None:
    machine.fresh(card=False)
    outcome = machine.world.run(helper, input=f"{PIN}\n")
    assert re.fullmatch("(PAM_(ERROR_MSG|TEXT_INFO) [^\n]+\n)*FAILURE\n", outcome.stdout), outcome
    assert (outcome.returncode, outcome.stderr) == (1, "")
    assert machine.reasons() == ["no-card"]
