# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who a program is started for where the directory of accounts hangs."""

from __future__ import annotations

import asyncio
import os
import pwd
import threading
from collections.abc import Iterator

import pytest

from pam_sc.decision.monitoring import Program
from pam_sc.errors import MonitorError
from pam_sc.monitor import programs
from pam_sc.monitor.facts import Cause
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Programs
from tests.support.removal import CARD, facts

OURS = 4001
ENVIRONMENT = {"USER": "alice", "HOME": "/home/alice", "SHELL": "/bin/sh"}


class Directory:
    """A directory that answers nobody until it is let go."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.go = threading.Event()

    def __call__(self, uid: int) -> pwd.struct_passwd:
        self.asked.append(uid)
        self.go.wait()
        raise KeyError(uid)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    hangs = Directory()
    monkeypatch.setattr(pwd, "getpwuid", hangs)
    monkeypatch.setattr(os, "geteuid", lambda: OURS)
    monkeypatch.setattr(programs, "_LOOK_UP_S", 0.05)
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, ENVIRONMENT[name])
    yield hangs
    hangs.go.set()


def starts(directory: Directory, uid: int, times: int = 1) -> list[str]:
    """What each start for an account finds as its HOME, or why it cannot be."""
    occasion = Occasion(event="card_remove", facts=facts(uid=uid), card=CARD, cause=Cause.REMOVED)

    async def ask() -> list[str]:
        made, found = Programs(), []
        for _ in range(times):
            try:
                found.append((await made.start_of(Program(arguments=("locker",)), occasion)).environment["HOME"])
            except MonitorError as error:
                found.append(str(error))
        directory.go.set()
        return found

    return asyncio.run(ask())


def test_a_locker_of_our_own_account_is_started_although_the_directory_hangs(directory: Directory) -> None:
    assert starts(directory, OURS) == ["/home/alice"]


def test_a_directory_that_hangs_keeps_one_thread_however_often_it_is_asked(directory: Directory) -> None:
    starts(directory, OURS, times=5)
    assert directory.asked == [OURS]


def test_for_another_account_nothing_is_assumed(directory: Directory) -> None:
    assert starts(directory, OURS + 1) == [f"cannot start a program for account {OURS + 1}: it cannot be looked up"]


def test_an_account_that_the_directory_does_not_have_is_none_of_ours(directory: Directory) -> None:
    directory.go.set()
    assert starts(directory, OURS) == [f"cannot start a program for account {OURS}: it cannot be looked up"]
