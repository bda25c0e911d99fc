# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which session cards the monitor's account sees: those of all sessions, as open_session writes them, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pam_sc.session import SessionCard, session_card_text
from tests.support.installation import PREFIX, module_in
from tests.support.login1 import Login1
from tests.support.login_setup import LoginSetup
from tests.support.pam_host import Login
from tests.support.pam_world import HARNESS, World
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

HOST = f"{HARNESS}/tests/support/pam_host.py"
FOLDER = "/run/pam_sc/sessions"
READ = """
from pam_sc.monitor.sessions import SessionWatch
import asyncio
async def main():
    watch = SessionWatch(lambda cards: print(*(card.session for card in cards)))
    watch.start()
    print("unread:", watch.unread)
    watch.stop()
asyncio.run(main())
"""
FILE_READERS = 4103


@pytest.fixture
def desk(world: World) -> World:
    """A session of alice's, and the folder as tmpfiles.d makes it."""
    folder = world.path(FOLDER)
    folder.mkdir(parents=True)
    os.chown(folder, 0, FILE_READERS)
    folder.chmod(0o2755)
    world.put("/run/systemd/sessions/c1", f"UID=4001\nREALTIME={int((time.time() - 9) * 1e6)}\n")
    card = SessionCard(uid=4001, account="alice", service="login", label="l", serial="s", manufacturer="m", model="m",
                       certificate_sha256="ab" * 32)  # fmt: skip
    path = Path(folder / "c1.json")
    path.write_text(session_card_text(card))
    os.chown(path, 0, FILE_READERS)
    path.chmod(0o640)
    return world


def read(world: World, user: str) -> subprocess.CompletedProcess[str]:
    return world.run([f"{PREFIX}/bin/python3", "-I", "-c", READ], user=user)


def test_the_monitors_account_reads_all(desk: World) -> None:
    assert read(desk, "pam_sc_monitor").stdout == "c1\nunread: \n"


@pytest.mark.parametrize("user", ["bob", "pam_sc", "pam_sc_card"])
def test_another_account_reads_none_and_is_told_so(desk: World, user: str) -> None:
    assert read(desk, user).stdout == f"\nunread: cannot read {FOLDER}: c1.json: permission denied\n"


def test_a_file_that_a_login_wrote_before_the_monitor_had_its_group_is_not_passed_over_in_silence(desk: World) -> None:
    os.chown(desk.path(f"{FOLDER}/c1.json"), 0, 0)
    assert read(desk, "pam_sc_monitor").stdout == f"\nunread: cannot read {FOLDER}: c1.json: permission denied\n"


def test_a_file_that_the_group_could_write_is_not_believed(desk: World) -> None:
    desk.path(f"{FOLDER}/c1.json").chmod(0o660)
    assert read(desk, "pam_sc_monitor").stdout == "\nunread: \n"


def test_a_login_through_pam_systemd_is_a_session_that_the_monitor_watches(world: World, login1: Login1) -> None:
    """All of it is real: the card's login, pam_systemd, logind, the shim's file, and the eyes of the monitor's account."""
    folder = world.path(FOLDER)
    folder.mkdir(parents=True)
    os.chown(folder, 0, FILE_READERS)
    folder.chmod(0o2755)
    card = world.account("pam_sc_card")
    setup = LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid))
    configuration = setup.card("alice", [Entry(setup.authority.issue(common_name="alice"))])
    line = f"{module_in()} config={configuration}"
    world.pam_service("login", [
        f"auth required {line}", "account required pam_permit.so", "session required pam_systemd.so type=wayland class=user",
        f"session required {line}", "session required pam_exec.so stdout /srv/seen",
    ])  # fmt: skip
    world.put("/srv/watch.py", WATCHED)
    world.put("/srv/seen", f"#!/bin/sh\nexec setpriv --reuid pam_sc_monitor --regid pam_sc_monitor --clear-groups"
                           f" {PREFIX}/bin/python3 -I /srv/watch.py >/srv/said 2>&1\n", mode=0o755)
    login = Login(service="login", user="alice", answers=[PIN], functions=["authenticate", "open_session"])
    outcome = login.run(lambda argv, text: world.run(argv, input=text), program=HOST)
    assert outcome.codes == {"authenticate": 0, "open_session": 0}, (outcome.log, login1.log())
    assert world.path("/srv/said").read_text() == "card of alice, session of 4001, service login, watched\n"


WATCHED = """
import asyncio
from pam_sc.monitor.logind import opened
from pam_sc.monitor.sessions import find_watched
from pam_sc.session import read_session_cards
async def main():
    async with opened() as logind:
        for card, facts in await find_watched(read_session_cards(), logind):
            print(f"card of {card.account}, session of {facts.uid}, service {card.service}, watched")
asyncio.run(main())
"""
