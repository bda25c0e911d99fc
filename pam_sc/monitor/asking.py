# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds out for `pam-sc monitor status` what the running monitors know; where none runs, by one look of its own.

What a monitor says is passed on as it is, but root takes the word of a user's own unit for that account's sessions alone, and
for no more than a user's unit: it can say anything about them, and only to that user and to root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from pam_sc.config.model import Configuration
from pam_sc.errors import MonitorError, PamScError
from pam_sc.monitor.notify import Notifier
from pam_sc.monitor.partner import SOCKET
from pam_sc.monitor.partner_link import ask_status
from pam_sc.monitor.running import Monitor
from pam_sc.monitor.status import as_mapping
from pam_sc.monitor.telling import Outlets, Teller
from pam_sc.monitor.units import USER_SOCKET, Options, default_everything, runtime_folder
from pam_sc.session import SessionCard, read_session_cards

UNWATCHED = "unwatched"
"""In place of where the card is: no monitor runs for this session."""


async def find_status(read: Callable[[], Configuration], worker: str) -> dict[str, object]:
    """Return the status (status.py); of no monitor: unit "none", and what one look finds."""
    try:
        return as_mapping(await ask_status(SOCKET))
    except MonitorError as error:
        problem = str(error) if os.path.exists(SOCKET) else ""
    uid = os.geteuid()
    found = await (_as_root(read_session_cards()) if uid == 0 else _of_user_units({uid}))
    found = found or await _looked(read, worker, everything=default_everything())
    return {**found, "problem": problem} if problem else found


async def _as_root(cards: Iterable[SessionCard]) -> dict[str, object]:
    """Return what user units say of sessions that are theirs, and which sessions nobody watches."""
    owned = {card.session: card for card in cards}
    answers = {uid: await _of_user_units({uid}) for uid in sorted({card.uid for card in owned.values()})}
    sessions = [
        {**said, "account": owned[session].account}
        for uid, answer in answers.items() for said in _list(answer.get("sessions"))
        if isinstance(said, dict) and isinstance(session := said.get("session"), str)
        and session in owned and owned[session].uid == uid
    ]  # fmt: skip
    answer = next(filter(None, answers.values()), {})
    told = {said["session"] for said in sessions}
    unwatched = [_unwatched(card) for session, card in owned.items() if session not in told]
    return {**answer, "unit": "user", "sessions": [*sessions, *unwatched]} if answer else {}


def _unwatched(card: SessionCard) -> dict[str, object]:
    """A session as status.py has it, of which no monitor knows anything."""
    return {"session": card.session, "account": card.account, "type": "", "card": UNWATCHED, "action": None,
            "user_unit": False, "last": None}  # fmt: skip


async def _of_user_units(uids: Iterable[int]) -> dict[str, object]:
    """Return what user units say, together; empty where none runs."""
    answers = []
    for uid in sorted(uids):
        try:
            path = f"{runtime_folder(uid)}/{USER_SOCKET}"
            answers.append(as_mapping(await ask_status(path, frozenset({uid}), 1.0)))
        except MonitorError:
            continue
    if not answers:
        return {}
    sessions = [session for answer in answers for session in _list(answer.get("sessions"))]
    return {**answers[0], "sessions": sessions}


async def _looked(read: Callable[[], Configuration], worker: str, *, everything: bool) -> dict[str, object]:
    """Look once, and do nothing."""
    teller = Teller(Outlets(write=lambda _severity, _line: None))
    options = Options(everything=everything, once=True, dry_run=True)
    monitor = Monitor(read, worker, options, teller, Notifier())
    try:
        await monitor.run()
        trouble = ""
    except PamScError as error:
        trouble = str(error).removeprefix("cannot see the cards: ")  # which is what status says before it
    said = {**monitor.last_status, "unit": "none"}
    return {**said, "trouble": trouble} if trouble else said


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
