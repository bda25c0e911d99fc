# SPDX-License-Identifier: LGPL-2.1-or-later
"""What root is told by the units of users: of their own sessions alone, whatever they say."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from pam_sc.errors import MonitorError
from pam_sc.monitor import asking
from pam_sc.session import SessionCard

ALICE, BOB = 4001, 4002
CARDS = tuple(
    SessionCard(uid=uid, account=account, service="login", label="", serial="", manufacturer="", model="",
                certificate_sha256="ab" * 32, session=session)
    for uid, account, session in ((ALICE, "alice", "1"), (BOB, "bob", "2"))
)  # fmt: skip


def _of_nobody(session: str, account: str) -> dict[str, object]:
    """A session for which no monitor runs."""
    return {"session": session, "account": account, "type": "", "card": asking.UNWATCHED, "action": None,
            "user_unit": False, "last": None}  # fmt: skip


def _asked_as_root(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]) -> dict[str, object]:
    """The status where bob's unit says this, and nobody else runs one."""
    async def ask(path: str, believed: frozenset[int] | None = None, _within_s: float = 1.0) -> object:
        if believed != frozenset({BOB}):
            raise MonitorError(f"nobody listens at {path}")
        return said

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(asking, "ask_status", ask)
    monkeypatch.setattr(asking, "read_session_cards", lambda: CARDS)
    return asyncio.run(asking.find_status(lambda: pytest.fail("a monitor runs"), ""))


def test_a_users_unit_tells_root_of_that_users_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"session": "2", "account": "bob", "card": "here"}
    assert _asked_as_root(monkeypatch, {"unit": "user", "sessions": [own]})["sessions"] == [own, _of_nobody("1", "alice")]


@pytest.mark.parametrize("row", [{"session": "1"}, {"session": "3"}, {"session": ["2"]}, {}, "2"], ids=str)
def test_it_tells_root_of_nobody_elses(monkeypatch: pytest.MonkeyPatch, row: object) -> None:
    found = _asked_as_root(monkeypatch, {"unit": "user", "sessions": [row]})["sessions"]
    assert found == [_of_nobody("1", "alice"), _of_nobody("2", "bob")]


def test_it_is_no_system_unit_and_its_account_no_other_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _asked_as_root(monkeypatch, {"unit": "system", "sessions": [{"session": "2", "account": "root"}]})
    assert (found["unit"], found["sessions"]) == ("user", [{"session": "2", "account": "bob"}, _of_nobody("1", "alice")])
