# SPDX-License-Identifier: LGPL-2.1-or-later
"""Seeing cards come and go: the watching processes together, told as whole Snapshots and as Trouble.

    policy.watch   watched by
    AUTO           PC/SC, one process; where pyscard is not installed as SLOTS
    PCSC           PC/SC; where pyscard is not installed that is a Trouble that stays
    SLOTS          the slot events of each module, one process a module; one that has no events is polled
    POLL           each module, polled

With PC/SC no module is loaded while cards are waited for. Where AUTO has chosen it, and a reading shows a removable token in a
slot that is not named after any reader (a key that has a driver of its own), that module's slots are watched as well.
A module that could not be loaded from the start is told as Trouble once and does not hide the others; one that was well and is
lost is Trouble until it is back. Nothing that is told here was said by a card.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from pam_sc.card.messages import ModuleSetup, RunAs, merged_environment
from pam_sc.card.presence import Occupancy, Presence, Way
from pam_sc.card.text import clean
from pam_sc.config.model import Configuration
from pam_sc.decision.monitoring import MonitorPolicy, WatchBy
from pam_sc.identity import find_identity
from pam_sc.monitor.sight import Identified, Place, Snapshot, Source, Trouble
from pam_sc.monitor.watcher import LAST_PAUSE_S, NothingToWatchWith, Task, Watcher

Tell = Callable[[Snapshot | Trouble], None]

_SOURCES = {Way.PCSC: Source.PCSC, Way.SLOTS: Source.SLOTS, Way.POLLING: Source.POLLING}
_DESCRIPTION_BYTES = 64
"""CK_SLOT_INFO.slotDescription (PKCS#11 v2.40, section 3.2): longer names of readers are cut."""
_REMEMBERED = 256
"""Places that are gone and whose count is kept, for each process: what a process says must not fill the memory."""


def module_setups(configuration: Configuration) -> tuple[ModuleSetup, ...]:
    """Return the configured modules as a card process takes them."""
    modules = configuration.token.modules
    return tuple(ModuleSetup(module.path, module.environment, module.allow) for module in modules)


class Seeing:
    """All that sees. `tell` is called in the event loop, on each change and on nothing else.

    The processes die with the thread that runs this: it must be one that stays, such as the main one.
    """

    def __init__(self, configuration: Configuration, policy: MonitorPolicy, worker: str, tell: Tell) -> None:
        self._configuration = configuration
        self._policy = policy
        self._worker = worker
        self._whole = Whole(tell)
        self._modules = module_setups(configuration)
        self._run_as: RunAs | None = None
        self._group: asyncio.TaskGroup | None = None
        self._beside: set[int] = set()

    @property
    def source(self) -> Source | None:
        """Who sees now; None in trouble and before the first Snapshot."""
        return self._whole.source

    async def run(self) -> None:
        """Watch until cancelled. ConfigError if the account or the variables of the card process cannot be had."""
        merged_environment(self._modules)
        self._run_as = find_identity(self._configuration.token.run_as)
        wanted = self._policy.watch
        async with asyncio.TaskGroup() as group:
            if wanted in (WatchBy.AUTO, WatchBy.PCSC):
                self._group = group if wanted is WatchBy.AUTO else None
                await self._by_pcsc(stay=wanted is WatchBy.PCSC)
                self._group = None
            for index in range(len(self._modules)):
                self._watch_slots(group, index, Way.POLLING if wanted is WatchBy.POLL else Way.SLOTS)

    def know(self, identified: Identified) -> None:
        """Take what was read: with AUTO, a module that has a removable token in no reader of PC/SC is watched as well."""
        if self._group is None:
            return
        for index in {token.module for token in identified.tokens if token.removable and token.place is None} - self._beside:
            self._beside.add(index)
            self._watch_slots(self._group, index, Way.SLOTS, beside=True)

    async def _by_pcsc(self, *, stay: bool) -> None:
        """Watch by PC/SC; return where that is not installed, unless it has to `stay`."""
        part = self._whole.part("")
        while True:
            try:
                await self._watcher(Way.PCSC, self._modules).run(part.see, part.lose)
            except NothingToWatchWith as error:
                if not stay:
                    self._whole.drop(part)
                    return
                part.lose(str(error))
            await asyncio.sleep(LAST_PAUSE_S)

    def _watch_slots(self, group: asyncio.TaskGroup, index: int, way: Way, *, beside: bool = False) -> None:
        part = self._whole.part(f"{index}:", beside=beside)
        group.create_task(self._watcher(way, (self._modules[index],)).run(part.see, part.lose))

    def _watcher(self, way: Way, modules: tuple[ModuleSetup, ...]) -> Watcher:
        return Watcher(self._worker, Task(way=way, modules=modules, run_as=self._run_as, poll_s=self._policy.poll_s))


def slot_descriptions(reader: str) -> tuple[str, str]:
    """How a slot may be called after this reader: by the whole name, or as much of it as there is room for."""
    return clean(reader.encode()), clean(reader.encode()[:_DESCRIPTION_BYTES])


def _worst(sources: Iterable[Source]) -> Source:
    """PC/SC where that is one of them, else polling where somebody polls."""
    found = set(sources)
    return next(source for source in (Source.PCSC, Source.POLLING, Source.SLOTS) if source in found)


class Whole:
    """What all processes see, put together. A Snapshot is told when each has said something, and none that was well is lost."""

    def __init__(self, tell: Tell) -> None:
        self.source: Source | None = None
        self._tell = tell
        self._parts: list[Part] = []
        self._told: Snapshot | None = None

    def part(self, prefix: str, *, beside: bool = False) -> Part:
        """Make room for one more process; the keys of its places begin with `prefix`.

        `beside`: only those of its places count that are no readers, and the others do not wait for its start.
        """
        self._parts.append(Part(self, prefix, beside=beside))
        return self._parts[-1]

    def drop(self, part: Part) -> None:
        """Count on a process no more."""
        self._parts.remove(part)

    def trouble(self, why: str) -> None:
        """Tell that nothing is seen; then what the others see, where that counts."""
        self.source = self._told = None
        self._tell(Trouble(why))
        self.changed()

    def changed(self) -> None:
        """Tell what is seen now, if all is known and it is not what was told last."""
        seen = [part for part in self._parts if part.source is not None]
        if not seen or any(part.holds_back for part in self._parts):
            return
        self.source = _worst(part.source for part in seen if part.source is not None)
        readers = {name for part in seen if not part.beside for place in part.places
                   for name in slot_descriptions(place.description)}
        places = (place for part in seen for place in part.places if not (part.beside and place.description in readers))
        snapshot = Snapshot(self.source, tuple(places))
        if snapshot != self._told:
            self._told = snapshot
            self._tell(snapshot)


class Part:
    """What one process sees, or why it does not."""

    def __init__(self, whole: Whole, prefix: str, *, beside: bool) -> None:
        self.beside = beside
        self.source: Source | None = None
        self.places: tuple[Place, ...] = ()
        self._whole = whole
        self._prefix = prefix
        self._was_well = False
        self._is_lost = False
        self._raw: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    @property
    def holds_back(self) -> bool:
        """Whether nothing can be told of the others either: this one has not said anything yet, or was well and is lost."""
        return self.source is None and (self._was_well or not (self._is_lost or self.beside))

    def see(self, presence: Presence) -> None:
        """Take what the process sees."""
        self._was_well, self._is_lost = True, False
        self.source = _SOURCES[presence.source]
        self.places = tuple(map(self._place, presence.places))
        self._raw = {place.key: place.changes for place in presence.places}
        for key in list(self._totals)[:-_REMEMBERED]:
            del self._totals[key]
        self._whole.changed()

    def lose(self, why: str) -> None:
        """Take that the process is lost; only the first time in a row is told."""
        if self._is_lost:
            return
        self._is_lost, self.source = True, None
        self._raw.clear()  # the next process counts from the beginning
        self._whole.trouble(why)

    def _place(self, seen: Occupancy) -> Place:
        key = self._prefix + seen.key
        before, total = self._raw.get(seen.key), self._totals.pop(key, 0)
        total += 1 if before is None else max(int(seen.changes != before), seen.changes - before)
        self._totals[key] = total
        return Place(key=key, description=seen.description, occupied=seen.occupied, changes=total)
