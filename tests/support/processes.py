# SPDX-License-Identifier: LGPL-2.1-or-later
"""What processes use, by /proc: how often they were woken, their CPU time and their share of memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Sums over processes. Each wake-up of a thread ends with its giving the processor back of itself, which is counted."""

    by_process: tuple[tuple[str, int], ...]
    cpu_ms: float
    memory_mib: float

    @property
    def wakeups(self) -> int:
        """Of all processes."""
        return sum(count for _, count in self.by_process)

    @property
    def processes(self) -> int:
        """How many there are."""
        return len(self.by_process)

    def __sub__(self, earlier: Self) -> Self:
        """What was used since then by the same processes; memory is what it is now."""
        names = [name for name, _ in self.by_process]
        assert names == [name for name, _ in earlier.by_process], "processes came or went"
        counts = (now - then for (_, now), (_, then) in zip(self.by_process, earlier.by_process, strict=True))
        return type(self)(by_process=tuple(zip(names, counts, strict=True)), cpu_ms=self.cpu_ms - earlier.cpu_ms,
                          memory_mib=self.memory_mib)


def use_of(processes: Iterable[int]) -> Use:
    """What these processes have used so far."""
    folders = [Path(f"/proc/{number}") for number in processes]
    return Use(
        by_process=tuple((_name(folder), sum(map(_switches, folder.glob("task/*")))) for folder in folders),
        cpu_ms=sum(_cpu_ns(task) for folder in folders for task in folder.glob("task/*")) / 1e6,
        memory_mib=sum(_pss_kib(folder) for folder in folders) / 1024,
    )


def _name(folder: Path) -> str:
    words = (folder / "cmdline").read_text().rstrip("\0").split("\0")
    return Path(words[0]).name if words[0].endswith("python3") else f"{Path(words[0]).name} {words[-1]}"


def _switches(task: Path) -> int:
    lines = (line.split() for line in (task / "status").read_text().splitlines() if line.startswith("voluntary_ctxt"))
    return sum(int(count) for _, count in lines)


def _cpu_ns(task: Path) -> int:
    return int((task / "schedstat").read_text().split()[0])


def _pss_kib(folder: Path) -> int:
    lines = (folder / "smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pss:")))
