# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keeps the monitor's parts running: what a part dies of is told, and the part begins again, later each time.

This is the one place where an exception of a part ends. Nothing here ends a part in silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pam_sc.errors import PamScError

FIRST_S = 0.5
LONGEST_S = 60.0
_SETTLED_S = 60.0
"""A part that ran for so long begins again without the delays of its earlier deaths."""

TellDeath = Callable[[str, str, float], None]
"""Which part, why, and in how many seconds it begins again."""


def reason_of(error: BaseException) -> str:
    """Return an error as a line: what our own errors say, else which defect it is and where."""
    if isinstance(error, PamScError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace is not None else ""
    return f"defect: {type(error).__name__}: {str(error)[:200]}{place}"


async def keep(name: str, part: Callable[[], Awaitable[None]], tell: TellDeath) -> None:
    """Run a part until this is cancelled; each end of it, whatever the reason, is told, and it is begun again."""
    loop, delay = asyncio.get_running_loop(), FIRST_S
    while True:
        began = loop.time()
        try:
            await part()
            why = "it ended"
        except Exception as error:  # noqa: BLE001 - the one place
            why = reason_of(error)
        if loop.time() - began >= _SETTLED_S:
            delay = FIRST_S
        tell(name, why, delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_S)
