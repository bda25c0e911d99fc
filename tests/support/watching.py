# SPDX-License-Identifier: LGPL-2.1-or-later
"""The monitor's eyes in a test: configurations, what Seeing tells in turn, and workers that are not what they should be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pam_sc
from pam_sc.config.model import Configuration, ModuleSettings, TokenSettings, TrustSettings
from pam_sc.decision.monitoring import MonitorPolicy, WatchBy
from pam_sc.monitor.seeing import Seeing
from pam_sc.monitor.sight import Place, Snapshot, Trouble
from tests.support.worker_tree import installed_worker

SOON_S = 30.0
"""For what is to happen on a busy machine."""
RUN_AS = "nobody"
"""An account of every machine that owns nothing."""
T = TypeVar("T")

_SCRIPT = """#!{python}
import os, signal, socket, sys, time
sys.path.insert(0, {root!r})
os.environ["LC_ALL"] = "C"
{body}
"""


def configuration(*modules: tuple[str, Mapping[str, str]]) -> Configuration:
    """A configuration with these modules, whose processes give root up."""
    settings = tuple(ModuleSettings(path=path, environment=environment) for path, environment in modules)
    return Configuration(source="test", token=TokenSettings(modules=settings, run_as=RUN_AS), trust=TrustSettings(anchors="/"),
                         mappers=())


def write_watcher(folder: Path, body: str) -> str:
    """A program in place of pam_sc_worker that does this, without a sandbox."""
    path = folder / "worker"
    path.write_text(_SCRIPT.format(python=sys.executable, root=str(Path(pam_sc.__file__).resolve().parents[1]), body=body))
    path.chmod(0o755)
    return str(path)


class Watched:
    """Seeing at work. What it tells is taken one by one."""

    def __init__(self, seeing: Seeing, told: asyncio.Queue[Snapshot | Trouble]) -> None:
        self.seeing = seeing
        self.told = told
        self.all: list[Snapshot | Trouble] = []

    async def next(self, within_s: float = SOON_S) -> Snapshot | Trouble:
        """What is told next."""
        self.all.append(await asyncio.wait_for(self.told.get(), within_s))
        return self.all[-1]

    async def snapshot(self, fits: Callable[[Snapshot], bool] = lambda _one: True) -> Snapshot:
        """The next Snapshot that fits; what comes before is passed over."""
        while True:
            one = await self.next()
            if isinstance(one, Snapshot) and fits(one):
                return one

    async def place(self, key: str, *, occupied: bool) -> Place:
        """The place with this key, as soon as it is so."""
        def found(one: Snapshot) -> list[Place]:
            return [place for place in one.places if place.key == key and place.occupied is occupied]
        return found(await self.snapshot(lambda one: bool(found(one))))[0]

    async def trouble(self) -> Trouble:
        """The next Trouble."""
        while True:
            one = await self.next()
            if isinstance(one, Trouble):
                return one

    def told_meanwhile(self) -> list[Snapshot | Trouble]:
        """What was told and not taken yet."""
        return [self.told.get_nowait() for _ in range(self.told.qsize())]


@contextlib.asynccontextmanager
async def watched(
    settings: Configuration, by: WatchBy = WatchBy.AUTO, worker: str | None = None, poll_s: float = 0.2
) -> AsyncIterator[Watched]:
    """Watch while the block runs."""
    told: asyncio.Queue[Snapshot | Trouble] = asyncio.Queue()
    policy = MonitorPolicy(watch=by, poll_s=poll_s)
    seeing = Seeing(settings, policy, worker or str(installed_worker()), told.put_nowait)
    task = asyncio.create_task(seeing.run())
    try:
        yield Watched(seeing, told)
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def children_of(pid: int | None = None) -> list[int]:
    """The processes that a process has started and not buried."""
    parent = pid or os.getpid()
    text = "".join(path.read_text() for path in Path(f"/proc/{parent}/task").glob("*/children"))
    return [int(one) for one in text.split()]


def watchers() -> list[int]:
    """The watching processes of this test."""
    return [pid for pid in children_of() if b"watcher" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
