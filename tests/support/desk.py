# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine at which people log in with cards and leave with them: two readers, a real logind, real pam_systemd.

alice's card belongs in the first reader, bob's in the second; their texts differ by the name alone. A session is opened by
a PAM application that goes on as its leader, therefore pam_sc itself writes down which card opened it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from jeepney import DBusAddress, MessageType

from tests.support.gdm import SUCCESS, Worker
from tests.support.host_site import PIN, REMOTE_CONFIG, HostSite, host_site
from tests.support.installation import module_in
from tests.support.login1 import Login1
from tests.support.pam_world import World
from tests.support.pcscd import READERS, Pcscd
from tests.support.piv_card import PivApplet, VirtualCard

MONITOR = "pam_sc_monitor"
_BUS = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
_SIGNATURE_KEY = 0x9A
_SESSION = ("session required pam_systemd.so", "session required {module}")


@dataclass(slots=True)
class CardSession:
    """A session that a card opened, with the application that leads it."""

    id: str
    account: str
    leader: Worker

    @property
    def environment(self) -> dict[str, str]:
        """What PAM gave its programs."""
        return dict(each.split("=", 1) for each in self.leader.last.environment)

    def log_out(self) -> None:
        """Close it as its application does."""
        if self.leader.process.poll() is None:
            self.leader.finish([("close_session", 0)])
        self.leader.kill()


@dataclass(slots=True)
class Desk:
    """The machine. `cards`: by account, in the readers or beside them."""

    site: HostSite
    login1: Login1
    cards: dict[str, VirtualCard]
    sessions: list[CardSession] = field(default_factory=list)
    others: dict[int, VirtualCard] = field(default_factory=dict)
    """Other cards, by their slot."""

    @property
    def world(self) -> World:
        """What its programs see."""
        return self.site.world

    @property
    def pcscd(self) -> Pcscd:
        """Its readers."""
        return self.site.pcscd

    def another_card(self, account: str, slot: int) -> VirtualCard:
        """A card that says the same of itself as the account's own, with another certificate."""
        issued = self.site.setup.authority.issue(common_name=account, key="p256")
        self.others[slot] = self.pcscd.card(PivApplet({_SIGNATURE_KEY: issued}, pin=PIN), READERS[slot])
        return self.others[slot]

    def take_others_away(self) -> None:
        """Take out what `another_card` made."""
        for slot, card in self.others.items():
            card.remove()
            self.pcscd.await_removal(READERS[slot])
        self.others.clear()

    def service(self, name: str, arguments: str = "") -> None:
        """A PAM service that opens sessions with cards."""
        module = f"{module_in()} {arguments}"
        lines = [line.format(module=module) for line in _SESSION]
        self.world.pam_service(name, [f"auth required {module}", *lines, "account required pam_permit.so"])

    def configure(self, monitor: str) -> None:
        """Write the configuration anew: what logins need, and what the monitor is told."""
        self.world.write_config(f"{self._logins}\n{monitor}")

    @property
    def _logins(self) -> str:
        return self.world.path(REMOTE_CONFIG).read_text().partition("[account]")[0]

    def log_in(self, account: str, *, session_type: str = "wayland", session_class: str = "user",
               rhost: str = "", service: str = "desk", pin: str = "") -> CardSession:
        """Open a session with the account's card, which is put into its reader where it is not.

        With `pin` it is that of another token, which the service's configuration names, and no card is put in.

        At the only seat, which has no terminals to switch between: the session that came last is its active one.
        """
        if not pin and not self.cards[account].is_inserted:
            self.cards[account].insert()
        items = {"rhost": rhost} if rhost else {}
        seat = [] if rhost else ["XDG_SEAT=seat0"]
        environment = [*seat, f"XDG_SESSION_TYPE={session_type}", f"XDG_SESSION_CLASS={session_class}"]
        leader = Worker.start(self.world, "remote-desk" if rhost else service, account, items=items, environment=environment)
        try:
            session = CardSession("", account, _opened(leader, pin or PIN))
        except BaseException:
            leader.kill()
            raise
        session.id = session.environment["XDG_SESSION_ID"]
        self.sessions.append(session)
        assert self.world.path(f"/run/pam_sc/sessions/{session.id}.json").exists(), self.site.world.logged()
        return session

    def log_out(self, session: CardSession) -> None:
        """Close a session, and wait until logind has it no more."""
        self.sessions.remove(session)
        session.log_out()
        assert self.login1.await_ended(session.id)

    def log_out_all(self) -> None:
        """Close every session."""
        for session in list(self.sessions):
            self.log_out(session)

    @contextmanager
    def empty(self, configuration: str) -> Iterator[Self]:
        """The desk with this configuration, nobody logged in and nothing remembered; at the end the readers are empty."""
        self.configure(configuration)
        self.world.path("/run/pam_sc/monitor.json").unlink(missing_ok=True)
        yield self
        self.log_out_all()
        for account, card in self.cards.items():
            if card.is_inserted:
                self.remove(account)

    def remove(self, account: str) -> None:
        """Take a card out, and return when the reader daemon has seen it."""
        self.cards[account].remove()
        self.pcscd.await_removal(READERS[list(self.cards).index(account)])

    def locks(self) -> list[str]:
        """The sessions that logind told to lock so far, in order; all that was said before on the bus has been heard."""
        marker, bus = f"example.test.m{uuid.uuid4().hex}", self.login1.bus
        bus.call(_BUS, "NameHasOwner", "s", (marker,))
        assert bus.heard.await_that(
            lambda: any(call.body == (marker,) for call in bus.heard.messages(MessageType.method_call, _BUS.interface))
        )
        return [session for what, session in self.login1.lock_signals() if what == "Lock"]

    def await_locks(self, count: int) -> list[str]:
        """The same, when there are so many."""
        return [session for what, session in self.login1.await_lock_signals(count) if what == "Lock"]


def _opened(leader: Worker, pin: str) -> Worker:
    leader.begin()
    heard = leader.heard_until("secret")[-1]
    assert heard.kind == "secret", heard
    leader.answer(pin)
    assert leader.heard_until("code")[-1].code == SUCCESS, leader.last
    leader.call("open_session")
    assert leader.heard_until("code")[-1].code == SUCCESS, leader.last
    return leader


@contextmanager
def desk(folder: Path, accounts: Sequence[str] = ("alice", "bob"), *, quick: bool = True) -> Iterator[Desk]:
    """Set the machine up in an empty folder; the readers are empty and nobody is logged in."""
    with host_site(folder, quick=quick) as site:
        _make_run(site.world, accounts)
        with Login1(site.world.folder / "run", folder / "login1") as login1:
            made = Desk(site, login1, {account: _card(site, account, slot) for slot, account in enumerate(accounts)})
            made.service("desk")
            made.service("remote-desk", f"config={REMOTE_CONFIG}")
            yield made
            for session in made.sessions:
                session.leader.kill()


def _card(site: HostSite, account: str, slot: int) -> VirtualCard:
    if slot == 0:
        return site.card
    issued = site.setup.authority.issue(common_name=account, key="p256")
    return site.pcscd.card(PivApplet({_SIGNATURE_KEY: issued}, pin=PIN), READERS[slot])


def _make_run(world: World, accounts: Sequence[str]) -> None:
    """What systemd-tmpfiles, the monitor's unit and user-runtime-dir@.service make."""
    sessions = world.path("/run/pam_sc/sessions")
    sessions.mkdir(parents=True)
    os.chown(sessions, 0, world.account(MONITOR).gid)
    sessions.chmod(0o2755)
    _make_folder(world, f"/run/{MONITOR}", MONITOR, 0o755)
    for name in ("systemd", "user"):
        world.path(f"/run/{name}").mkdir()
    for account in accounts:
        _make_folder(world, f"/run/user/{world.account(account).uid}", account, 0o700)


def _make_folder(world: World, inside: str, account: str, mode: int) -> None:
    folder, owner = world.path(inside), world.account(account)
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, owner.uid, owner.gid)
