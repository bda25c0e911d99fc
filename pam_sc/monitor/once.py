# SPDX-License-Identifier: LGPL-2.1-or-later
"""The end of `--once`: all was seen and known, what was due is done, and the exit code says what came of it.

Waits for what it is told of, never for a time alone, and decides nothing about a session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from pam_sc.errors import MonitorError
from pam_sc.monitor.doing import SETTLED, Doing
from pam_sc.monitor.facts import Outcome
from pam_sc.monitor.reporting import Reporter
from pam_sc.monitor.service import Service
from pam_sc.monitor.sight import Snapshot

ONCE_S = 20.0
"""How long it may take to see the cards and to know which they are, beside the grace times."""


async def until(service: Service, holds: Callable[[], bool], running: asyncio.Task[None]) -> None:
    """Return when something holds, or the run is over."""
    while not holds() and not running.done():
        service.changed.clear()
        changed = asyncio.create_task(service.changed.wait())
        try:
            await asyncio.wait({changed, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()


async def finish_once(service: Service, doing: Doing, reporter: Reporter, running: asyncio.Task[None]) -> int:
    """Wait until all is done: 0 where every lock was seen, else 1. MonitorError where cards or sessions cannot be known."""
    policy = service.settings.policy
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ONCE_S + max(policy.grace_s, policy.reader_grace_s)):
            await until(service, lambda: service.settled, running)
    await until(service, lambda: doing.idle, running)  # each thing that is done has a limit of its own
    if not service.settled:
        raise MonitorError(_why_not(service, reporter))
    return 0 if all(outcome in SETTLED | {Outcome.DONE} for outcome in reporter.outcomes.values()) else 1


def _why_not(service: Service, reporter: Reporter) -> str:
    if service.bus is None:
        return f"cannot act on sessions: {reporter.failures.get('logind', 'logind does not answer')}"
    if isinstance(service.view, Snapshot):
        return "cannot tell whether the cards of the sessions are there: what is in a reader cannot be read"
    return f"cannot see the cards: {service.view.why if service.view is not None else 'it took too long'}"
