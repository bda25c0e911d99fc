# SPDX-License-Identifier: LGPL-2.1-or-later
"""Within what the system's unit of the monitor allows, the monitor's parts work: logind, session files, the card process."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.installation import PAM_SC, PREFIX
from tests.support.login1 import Login1
from tests.support.login_setup import LoginSetup
from tests.support.pam_world import HARNESS, REPOSITORY, World
from tests.support.pcscd import READER, Pcscd
from tests.support.softhsm import Entry

pytestmark = pytest.mark.root

UNIT = "/srv/pam_sc-monitor.service"


@pytest.fixture
def desk(world: World) -> World:
    world.put(UNIT, (REPOSITORY / "etc/systemd/pam_sc-monitor.service").read_text())
    return world


def confined(world: World, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in the place of the monitor."""
    return world.run(["/usr/bin/python3", "-I", f"{HARNESS}/tests/support/unit_sandbox.py", UNIT, *command])


def python(world: World, program: str) -> subprocess.CompletedProcess[str]:
    return confined(world, f"{PREFIX}/bin/python3", "-I", "-c", program)


@pytest.mark.parametrize(("program", "why"), [
    ("import socket; socket.socket(socket.AF_INET)", "PermissionError"),
    ("open('/run/x', 'w')", "Read-only file system"),
    ("import os; os.setuid(0)", "PermissionError"),
    ("import ctypes, os; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0)); raise SystemExit('traced')", "-1"),
])  # fmt: skip
def test_the_confinement_confines(desk: World, program: str, why: str) -> None:
    done = python(desk, program)
    assert done.returncode != 0
    assert why in done.stdout + done.stderr


def test_its_own_folder_can_be_written(desk: World) -> None:
    done = python(desk, "import os; open('/run/pam_sc_monitor/x', 'w'); print(os.getuid())")
    assert (done.stdout, done.stderr) == ("4103\n", "")


def test_readers_are_told_by_pcscd(desk: World, pcscd: Pcscd) -> None:
    done = python(desk, "from smartcard.scard import *; print(SCardListReaders(SCardEstablishContext(SCARD_SCOPE_USER)[1], []))")
    assert done.stdout.startswith(f"[0, ['{READER}'"), done.stderr


def test_logind_can_be_asked_to_lock(desk: World, login1: Login1) -> None:
    done = python(desk, LOCK)
    assert (done.stdout, done.stderr) == ("c1 alice\n", "")
    assert login1.await_lock_signals() == [("Lock", "c1")]


LOCK = """
import asyncio
from pam_sc.monitor.logind import opened
async def main():
    async with opened() as logind:
        facts = await logind.session("c1")
        await logind.lock("c1")
        print(facts.id, facts.account)
asyncio.run(main())
"""


def test_the_card_process_confines_itself_further_and_reads_the_card(desk: World) -> None:
    account = desk.account("pam_sc_monitor")
    setup = LoginSetup(desk.path("/srv/login"), "/srv/login", (account.uid, account.gid))
    configuration = setup.card("alice", [Entry(setup.authority.issue(common_name="alice"))])
    done = confined(desk, *PAM_SC, "inspect", "--config", configuration)
    assert "alice" in done.stdout, (done.stdout, done.stderr)
