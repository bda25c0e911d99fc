# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine for PAM hosts: one world, one reader with OpenSC and alice's PIV card, and what a login left behind.

Set up once for a module of tests; `fresh()` gives each test the card with all its tries and an empty log. The PIN is
one that stands in no log by chance.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.installation import module_in
from tests.support.login_setup import LoginSetup, configuration
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard

PIN, WRONG_PIN = "73205081", "94857263"
PROMPT = "PIN[^:\r\n]*: ?"
"""What is asked, as loosely as a host's own words around it need."""
END_S = 2.0
"""How long a process of a login may outlive what ended it."""
REMOTE_CONFIG = "/etc/pam_sc/remote.toml"
_VERIFY = 0x20
_TRIES = 3
_CARD_SEEN_S = 10


@dataclass(slots=True)
class HostSite:
    """A machine that is set up for card logins; `card` is alice's, in the reader or beside it."""

    world: World
    pcscd: Pcscd
    card: VirtualCard
    setup: LoginSetup

    def services(self, *names: str) -> None:
        """PAM services that ask pam_sc and nothing else."""
        for name in names:
            self.world.pam_service(name, [f"required {module_in()}"])

    def fresh(self, *, card: bool) -> None:
        """Begin a test: the card is in the reader or not, has all its tries, and nothing was counted or logged."""
        self.card.applet.tries = _TRIES
        self.card.applet.log.clear()
        self.card.applet.signatures = 0
        shutil.rmtree(self.world.path("/run/pam_sc"), ignore_errors=True)  # what pam_sc itself counts of wrong PINs
        if card and not self.card.is_inserted:
            self.card.insert()
        if not card and self.card.is_inserted:
            removals = self._removals()
            self.card.remove()
            self._await_removal(removals)
        self.world.syslog.clear()

    def reasons(self) -> list[str]:
        """What pam_sc logged so far: "granted", or the reasons of refusals, in order."""
        lines = [line.text for line in self.world.logged() if "pam_sc(" in line.text]
        found = [re.search(r": (granted)\b|: refused reason=([a-z-]+)", line) for line in lines]
        return [match[1] or match[2] for match in found if match is not None]

    def await_reason(self, reason: str, timeout_s: float = 20) -> None:
        """Wait until pam_sc has logged this reason."""
        self.world.syslog.wait_for(f"reason={reason}", timeout_s)

    @property
    def verifications(self) -> int:
        """How often a PIN was sent to the card."""
        return sum(apdu.ins == _VERIFY and apdu.data != b"" for apdu in self.card.applet.log)

    def require_untouched(self) -> None:
        """No PIN was sent to the card, and it has all its tries."""
        assert self.verifications == 0
        assert self.card.applet.tries == _TRIES

    def require_end(self, processes: Sequence[int]) -> None:
        """The processes (descriptors of opened_workers()) end in time."""
        deadline = time.monotonic() + END_S
        for process in processes:
            left = max(0.0, deadline - time.monotonic())
            assert select.select([process], [], [], left)[0], "a process of the login outlived what ended it"
            os.close(process)

    def require_nothing_left(self) -> None:
        """Every process of pam_sc ends in time."""
        self.require_end(opened_workers(self.world))

    def require_no_secret(self) -> None:
        """Neither PIN stands in what was logged, by whomever."""
        said = "\n".join([*(line.text for line in self.world.logged()), self.pcscd.log(None)])
        assert PIN not in said
        assert WRONG_PIN not in said

    def _removals(self) -> int:
        return self.pcscd.log(None).count("Card Removed")

    def _await_removal(self, before: int) -> None:
        deadline = time.monotonic() + _CARD_SEEN_S
        while self._removals() == before:
            # pcscd tells of a removal in its log; that is looked at, because a file cannot be waited for
            assert time.monotonic() < deadline, "the reader daemon does not see that the card is gone"
            select.select([], [], [], 0.02)


@contextmanager
def host_site(folder: Path, *, quick: bool = False) -> Iterator[HostSite]:
    """Set the machine up in an empty folder; its reader is empty. `quick`: the reader daemon looks at it often."""
    with World.create(folder / "world") as world, Pcscd(world.folder / "run", folder / "pcscd", quick=quick) as pcscd:
        setup = LoginSetup(world.path("/srv/login"), "/srv/login")
        local = configuration(module=opensc_module(), folder=setup.inside)
        world.write_config(local)
        world.put(REMOTE_CONFIG, local + '[account]\nremote = "allow"\n')
        issued = setup.authority.issue(common_name="alice", key="p256")
        yield HostSite(world, pcscd, pcscd.card(PivApplet({0x9A: issued}, pin=PIN)), setup)


def workers(world: World) -> dict[int, str]:
    """The processes of pam_sc in this world or in a namespace that was made in it: number and role."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"/pam_sc_worker") and (process / "root/etc").samefile(world.folder / "etc"):
                found[int(process.name)] = argv[1].decode() or "supervisor"
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def opened_workers(world: World) -> list[int]:
    """Descriptors of the processes of pam_sc, to wait for their end."""
    opened = []
    for number in workers(world):
        with suppress(ProcessLookupError):
            opened.append(os.pidfd_open(number))
    return opened
