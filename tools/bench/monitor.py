# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a card's removal to the lock of its session, wake-ups, CPU time and memory: `pam-sc monitor` beside pkcs11_eventmgr.

Both watch the same reader at the same time, with OpenSC and their default settings. A third client of the reader daemon,
which waits for the same card in SCardGetStatusChange, says when the removal could be seen; from then it is measured until
the system unit's LockSession is on the bus, and until the first action of the peer has run. Needs root.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.support import namespace
from tests.support.desk import MONITOR, CardSession, Desk, desk
from tests.support.pcscd import READERS, opensc_module
from tests.support.processes import Use, use_of
from tests.support.running_monitor import RunningMonitor, running_monitor
from tests.support.timed_calls import TimedCalls

REMOVALS = 15
IDLE_S = 60
BUDGET_MS = 200
WATCHDOG_S = 30
LIMIT_S = 30
_PEER = "pkcs11_eventmgr"
_FIFO = "/run/peer"
_PEER_FILE = f"""pkcs11_eventmgr {{
  daemon = false;
  debug = false;
  polling_time = 1;
  expire_time = 0;
  pkcs11_module = {{module}};
  event card_insert {{ on_error = ignore; action = "echo inserted >{_FIFO}"; }}
  event card_remove {{ on_error = ignore; action = "echo removed >{_FIFO}"; }}
  event expire_time {{ on_error = ignore; action = "/bin/false"; }}
}}
"""
_WITNESS = """
import sys, time
from smartcard import scard
reader = sys.argv[1]
context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)[1]
state = scard.SCARD_STATE_UNAWARE
while True:
    code, [(_, now, _)] = scard.SCardGetStatusChange(context, scard.INFINITE, [(reader, state)])
    seen = time.monotonic()
    if (now ^ state) & scard.SCARD_STATE_PRESENT or state == scard.SCARD_STATE_UNAWARE:
        print(seen, "present" if now & scard.SCARD_STATE_PRESENT else "removed", flush=True)
    state = now & ~scard.SCARD_STATE_CHANGED
"""


class Told:
    """Lines of a program, each with the time at which it says it, or (for the peer) at which it was read."""

    def __init__(self, stream: Iterator[str], *, timed: bool) -> None:
        self._lines: list[tuple[float, str]] = []
        self._more = threading.Condition()
        self._stream, self._timed = stream, timed
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            at, said = line.split(maxsplit=1) if self._timed else (time.monotonic(), line)
            with self._more:
                self._lines.append((float(at), said.strip()))
                self._more.notify_all()

    def after(self, moment: float, what: str) -> float:
        """When it was said for the first time after a moment."""
        def found() -> list[float]:
            return [at for at, said in self._lines if at > moment and said == what]
        with self._more:
            if not self._more.wait_for(found, LIMIT_S):
                raise SystemExit(f"cannot measure: nobody says {what!r}")
            return found()[0]


class Bench:
    """Both programs beside each other, and who says what they are measured against."""

    def __init__(self, here: Desk, session: CardSession, ours: RunningMonitor, peer: subprocess.Popen[str],
                 witness: Told, peer_said: Told, calls: TimedCalls) -> None:
        self.here, self.session, self.ours, self.peer = here, session, ours, peer
        self.witness, self.peer_said, self.calls = witness, peer_said, calls

    def removal(self, phase_s: float) -> tuple[float, float]:
        """Take the card out once: milliseconds of ours and of the peer's. Both have seen the card before."""
        time.sleep(phase_s)  # of the peer's second: it looks once in each
        began = time.monotonic()
        self.here.cards["alice"].remove()
        seen = self.witness.after(began, "removed")
        locked = self.calls.after(began, "LockSession", self.session.id)
        acted = self.peer_said.after(began, "removed")
        self.insert()
        return (locked - seen) * 1000, (acted - seen) * 1000

    def insert(self) -> None:
        """Put the card in, and wait until both have seen it."""
        began, mark = time.monotonic(), self.ours.events.mark()
        self.here.cards["alice"].insert()
        self.peer_said.after(began, "inserted")
        self.ours.await_back(self.session.id, mark)


def main() -> int:
    """Set both up, measure, print."""
    if not namespace.is_available():
        print("cannot measure: a private mount namespace needs root", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="pam_sc-bench-"))
    try:
        with bench(folder) as made:
            report_removals(removals(made))
            report_idle(*idle(made))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Have alice log in, and both watch her card."""
    with ExitStack() as stack:
        here = stack.enter_context(desk(folder, quick=False))
        calls = stack.enter_context(TimedCalls(here.login1.bus))
        session = here.log_in("alice")
        watchdog = {"WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000)}
        ours = stack.enter_context(running_monitor(here.world, "system", ["--json"], user=MONITOR, environment=watchdog))
        witness = start(stack, here, [sys.executable, "-c", _WITNESS, READERS[0]], stdout=subprocess.PIPE)
        peer, peer_said = start_peer(stack, here)
        assert witness.stdout is not None
        made = Bench(here, session, ours, peer, Told(witness.stdout, timed=True), peer_said, calls)
        made.witness.after(0, "present")
        yield made


def start_peer(stack: ExitStack, here: Desk) -> tuple[subprocess.Popen[str], Told]:
    """pkcs11_eventmgr with the settings of its example; its actions write to a pipe."""
    here.world.put("/srv/peer.conf", _PEER_FILE.replace("{module}", opensc_module()))
    here.world.run(["mkfifo", _FIFO]).check_returncode()
    said = stack.enter_context(os.fdopen(os.open(here.world.path(_FIFO), os.O_RDWR), "rb", 0))
    return start(stack, here, [_PEER, "config_file=/srv/peer.conf"]), Told((line.decode() for line in said), timed=False)


def start(stack: ExitStack, here: Desk, command: Sequence[str], stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a program in the world, and end it by its number."""
    process = here.world.namespace.popen(command, stdin=subprocess.DEVNULL, stdout=stdout)

    def end() -> None:
        process.kill()
        process.wait()

    stack.callback(end)
    return process


def removals(made: Bench) -> list[tuple[float, float]]:
    """Remove the card again and again, each time at another moment of the peer's second."""
    phases = random.Random(1)
    made.removal(1.5)  # both have begun
    return [made.removal(1 + phases.random()) for _ in range(REMOVALS)]


def idle(made: Bench) -> tuple[Use, Use, int]:
    """What both use while nothing happens, and how often the watchdog was served."""
    time.sleep(3)  # what the last insertion began is over
    programs: Sequence[Callable[[], Use]] = (
        lambda: use_of(made.ours.processes()), lambda: use_of([made.peer.pid]))
    served = made.ours.notifications.count("WATCHDOG=1")
    before = [program() for program in programs]
    time.sleep(IDLE_S)
    ours, peer = (program() - earlier for program, earlier in zip(programs, before, strict=True))
    return ours, peer, made.ours.notifications.count("WATCHDOG=1") - served


def report_removals(times: Sequence[tuple[float, float]]) -> None:
    """Print medians and worst."""
    ours, peer = ([each[who] for each in times] for who in (0, 1))
    print(f"removal to lock: ours {statistics.median(ours):.0f} ms, {_PEER} {statistics.median(peer):.0f} ms")
    print(f"  of {len(times)} removals the worst: ours {max(ours):.0f} ms, {_PEER} {max(peer):.0f} ms; "
          f"ours at most {BUDGET_MS} ms: {met(max(ours) <= BUDGET_MS)}")


def report_idle(ours: Use, peer: Use, served: int) -> None:
    """Print what is used while nothing happens."""
    print(f"wake-ups in {IDLE_S} idle seconds: ours {ours.wakeups}, {_PEER} {peer.wakeups}")
    print(f"  ours by process: {', '.join(f'{name} {count}' for name, count in ours.by_process)}; the watchdog was served "
          f"{served} times; no others: {met(ours.wakeups <= served)}")
    print(f"CPU time in {IDLE_S} idle seconds: ours {ours.cpu_ms:.1f} ms, {_PEER} {peer.cpu_ms:.1f} ms")
    print(f"memory (PSS): ours {ours.memory_mib:.1f} MiB in {ours.processes} processes, {_PEER} {peer.memory_mib:.1f} MiB")


def met(holds: bool) -> str:
    """The words for a budget."""
    return "met" if holds else "NOT MET"


if __name__ == "__main__":
    sys.exit(main())
