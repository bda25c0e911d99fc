# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc refresh` of a CRL with a million entries from a server on the loopback interface: seconds and peak memory.

The memory is that of the command and of its network process together, sampled while they run. Needs root (it plays in a
private mount namespace).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.support.bench_world import play
from tests.support.crl_server import CrlServer
from tests.support.installation import PREFIX
from tests.support.login_setup import LoginSetup
from tests.support.pam_world import World
from tests.support.stores import crl_with_entries, large_entries

ENTRIES = 1_000_000
SECONDS_MAX, MIB_MAX = 10.0, 300.0
COMMAND = [f"{PREFIX}/bin/python3", "-I", "-c", "from pam_sc.cli.main import main; main()", "refresh"]
CONFIGURATION = """
[[token.module]]
path = "/usr/lib/softhsm/libsofthsm2.so"
[trust]
anchors = "/srv/site/anchors"
[revocation]
sources = ["{url}"]
[[mapper]]
name = "cn"
"""


def main() -> int:
    """Measure a first refresh, one of a newer CRL, and one where nothing changed; 1 if over the budget."""
    with CrlServer() as server:
        return play(lambda world: measure(world, server))


def measure(world: World, server: CrlServer) -> int:
    """Run and print."""
    setup = LoginSetup(world.path("/srv/site"), "/srv/site")
    config = world.put("/srv/site/pam_sc.toml", CONFIGURATION.format(url=server.url()))
    entries = large_entries(ENTRIES)
    good = True
    print(f"pam-sc refresh of a CRL with {ENTRIES:,} entries ({len(entries) / (1 << 20):.0f} MiB):")
    for number, what in ((1, "first"), (2, "a newer one"), (2, "unchanged")):
        if what != "unchanged":
            server.files["/ca.crl"] = crl_with_entries(setup.authority, entries, number)
        code, seconds, mib = run(world, config)
        good = good and code == 0 and seconds <= SECONDS_MAX and mib <= MIB_MAX
        print(f"  {what:12} {seconds:6.1f} s  {mib:6.0f} MiB  exit {code}")
    print(f"  budget       {SECONDS_MAX:6.1f} s  {MIB_MAX:6.0f} MiB: {'kept' if good else 'NOT KEPT'}")
    return 0 if good else 1


def run(world: World, config: str) -> tuple[int, float, float]:
    """Run it once: exit code, seconds, and the greatest memory of the process and its children together in MiB."""
    began = time.perf_counter()
    process = world.namespace.popen([*COMMAND, "--config", config], stdout=subprocess.DEVNULL)
    most = 0.0
    while process.poll() is None:
        most = max(most, memory_mib(process.pid))
        time.sleep(0.02)
    return process.returncode, time.perf_counter() - began, most


def memory_mib(pid: int) -> float:
    """What a process and all below it hold in memory, each page that they share counted once (PSS)."""
    return sum(_pss_kib(each) for each in _family(pid)) / 1024


def _family(pid: int) -> list[int]:
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in below for each in _family(int(child)))]


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    sys.exit(main())
