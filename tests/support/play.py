# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays a coroutine to its end in a loop of its own, and is not content with a loop that had to report anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def play(coroutine: Coroutine[Any, Any, T], limit_s: float = 30.0) -> T:
    """What the coroutine returns. An exception of a task that nobody awaits is a failure."""
    troubles: list[dict[str, Any]] = []

    async def whole() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        async with asyncio.timeout(limit_s):
            return await coroutine

    result = asyncio.run(whole())
    assert troubles == []
    return result
