# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole logins whose PIN is the matter: tokens with or without a counter, a log of every C_Login, stacked passwords."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.card_worker import build_hostile_module
from tests.support.installation import module_in
from tests.support.pam_host import Answer, Login, Outcome
from tests.support.pam_world import World
from tests.support.pki import Issued
from tests.support.rig import INSIDE, PROGRAM, Rig
from tests.support.softhsm import PIN, Entry

WRONG = "111111"
OTHER_WRONG = "222222"
NO_COUNTER = "flags-clear:0x70000"
"""A token that never says how many tries are left; SoftHSM itself never locks."""
ASKS_FOR_A_PASSWORD = "optional pam_unix.so"
"""Asks, leaves the answer in PAM_AUTHTOK, and has no say in the result."""
TRIES_FOLDER = "/run/pam_sc/tries"


@dataclass
class PinSite:
    """A rig, and a module in it that logs its calls and counts PIN tries as it is told."""

    rig: Rig
    module: str
    count: int = 0

    def card(self, faults: str = "", *, pin: str = "", tries: int | None = None, more: str = "", hidden: bool = False,
             owner: str = "pam_sc_card", issued: Issued | None = None) -> str:
        """Make a token of alice's and return its configuration. `pin` is what stands in [pin].

        With `tries` the token has a counter (of three), and so many are left.
        """
        self.count += 1
        name, account = f"pin-{self.count}", self.rig.world.account(owner)
        self.rig.setup.card_owner = (account.uid, account.gid)
        entry = Entry(issued or self.rig.setup.authority.issue(key="p256"), hidden=hidden)
        token = self.rig.setup.token(name, [entry])
        environment = {"SOFTHSM2_CONF": token.configuration, "HOSTILE": faults, "HOSTILE_LOG": self._log}
        self.rig.world.put(self._log, "", owner=owner)
        if tries is not None:
            environment["HOSTILE_TRIES"] = self.rig.world.put(self._tries, str(tries), owner=owner)
        return self.rig.setup.configure(
            name, module=self.module, environment=environment, more=f"[pin]\n{pin}\n{more}"
        )

    def login(self, config: str, *arguments: str, answers: Sequence[Answer] = (PIN,), before: Sequence[str] = (),
              caller: str | None = None, flags: int = 0, interrupted: bool = False) -> Outcome:
        """Log in as alice: `required pam_sc` after the lines in `before`, and pam_permit below."""
        line = " ".join(["required", module_in(), f"config={config}", *arguments])
        self.rig.world.pam_service("test", [*before, line, "required pam_permit.so"])
        attempt = Login(service="test", user="alice", answers=answers, confdir="/etc/pam.d", flags=flags,
                        interrupted=interrupted)
        return attempt.run(lambda argv, text: self.rig.world.run(argv, input=text, user=caller), program=PROGRAM)

    def logins(self) -> int:
        """How often C_Login was called for the card made last."""
        lines = self.rig.world.path(self._log).read_text().splitlines()
        return sum(line.split()[0] == "C_Login" for line in lines)

    def tries_left(self) -> int:
        """What the counter of the card made last says."""
        return int(self.rig.world.path(self._tries).read_text())

    def counts(self) -> list[str]:
        """What is counted in this world."""
        folder = self.rig.world.path(TRIES_FOLDER)
        return [path.read_text() for path in folder.iterdir()] if folder.exists() else []

    @property
    def _log(self) -> str:
        return f"{INSIDE}/calls-{self.count}"

    @property
    def _tries(self) -> str:
        return f"{INSIDE}/tries-{self.count}"


@contextmanager
def pin_site(folder: Path) -> Iterator[PinSite]:
    """One world with that module."""
    built = build_hostile_module(folder)
    with World.create(folder / "world") as world:
        inside = "/srv/hostile.so"
        shutil.copy(built, world.path(inside))
        world.path(inside).chmod(0o755)
        yield PinSite(Rig(world), inside)
