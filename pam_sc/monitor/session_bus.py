# SPDX-License-Identifier: LGPL-2.1-or-later
"""The session bus: the screen savers that are there, asked to lock and looked at; and what wakes a dark screen.

Names are asked of the bus, and only their owners are spoken to, by their unique names: no service is ever activated.
Every call has a limit. SetActive is never called: on GNOME SetActive(false) would open the screen.

What is believed: Active is true after Lock, and it was false before, or Lock was answered without an error, or it is one
of those that never answer Lock, do lock and have no LockedHint to show it (MATE's, as seen in real sessions). The savers
below lock when Lock is called and not merely blank the screen; GNOME's does nothing where locking is switched off, also
on a screen that is dark already, and has LockedHint for one that it did lock. "Active" alone, without our Lock, says no
more than that the screen is covered, and is no sign. An answer is the word of a program of the session's own account,
which could open the screen as well; it protects the account from strangers, not from itself. No answer, an error, a reply
that is no boolean, an owner that is gone: not seen.

| name                        | whose                                                 | arguments of Lock |
|-----------------------------|-------------------------------------------------------|-------------------|
| org.freedesktop.ScreenSaver | KDE, XFCE; GNOME's and xscreensaver's refuse Lock     | none              |
| org.gnome.Shell.ScreenShield| GNOME, which never answers Lock                       | none              |
| org.gnome.ScreenSaver       | older GNOME                                           | none              |
| org.mate.ScreenSaver        | MATE, which never answers Lock                        | none              |
| org.cinnamon.ScreenSaver    | Cinnamon                                              | a message         |
| org.xfce.ScreenSaver        | XFCE                                                  | none              |
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

from jeepney import DBusAddress

from pam_sc.errors import MonitorError
from pam_sc.monitor.bus import Bus, CallRefused
from pam_sc.monitor.facts import Outcome
from pam_sc.record import record

CALL_S = 2.0
_FIRST_LOOK_S = 0.3
"""For questions before the lock is asked for: a saver that hangs must not use up the time of the lock."""
_LOOK_S = 0.05
_LATE_S = 0.3
_TEXTS_MAX = 1000
_BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
_MANAGER = "org.freedesktop.systemd1"


@record(kw_only=True)
class Saver:
    """A screen saver's interface: the name on the bus, the same for the interface, and where it is."""

    name: str
    paths: tuple[str, ...]
    signature: str | None = None
    """Of the arguments of Lock; they are empty texts."""
    simulates: bool = True
    """Whether it has SimulateUserActivity, which never opens a screen."""
    interface: str = ""
    """Where it is not the name."""
    answers: bool = True
    """Whether Lock is answered. Where it is known that it never is, and locks, an answer of GetActive after it will do:
    both go the same way, one after the other."""

    def at(self, path: str, owner: str | None) -> DBusAddress:
        """Return its address at its owner."""
        return DBusAddress(path, owner, self.interface or self.name)


SAVERS = (
    Saver(name="org.freedesktop.ScreenSaver", paths=("/org/freedesktop/ScreenSaver", "/ScreenSaver")),
    Saver(name="org.gnome.Shell.ScreenShield", interface="org.gnome.ScreenSaver", paths=("/org/gnome/ScreenSaver",),
          simulates=False),
    Saver(name="org.gnome.ScreenSaver", paths=("/org/gnome/ScreenSaver",), simulates=False),
    Saver(name="org.mate.ScreenSaver", paths=("/org/mate/ScreenSaver",), answers=False),
    Saver(name="org.cinnamon.ScreenSaver", paths=("/org/cinnamon/ScreenSaver",), signature="s"),
    Saver(name="org.xfce.ScreenSaver", paths=("/org/xfce/ScreenSaver",)),
)


class SessionBus:
    """The session bus, connected to when it is needed and again after it was lost: it may come after the monitor."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: as in DBUS_SESSION_BUS_ADDRESS; by default what the environment says when it is connected to."""
        self._address = address
        self._bus: Bus | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()

    async def owner(self, name: str, limit_s: float = CALL_S) -> str | None:
        """Return the unique name of a name's owner; None where nobody has it. Nothing is activated."""
        try:
            match await self._call(_BUS, "GetNameOwner", "s", (name,), limit_s):
                case (str() as owner,) if owner.startswith(":"):
                    return owner
        except CallRefused:
            pass  # nobody
        return None

    async def savers(self) -> tuple[Saver, ...]:
        """Return the screen savers that somebody on this bus owns now, in the order in which they are asked."""
        match await self._call(_BUS, "ListNames", "", (), CALL_S):
            case ([*names],):
                return tuple(saver for saver in SAVERS if saver.name in names)
        raise MonitorError("cannot list the names on the session bus: its answer is malformed")

    async def lock(self, saver: Saver, within_s: float) -> tuple[Outcome, str]:
        """Ask a screen saver to lock and watch it so long: LOCKED, NOT_SEEN or FAILED, and why. Raises nothing else."""
        deadline = time.monotonic() + within_s
        try:
            async with asyncio.timeout(within_s + _LATE_S):
                return await self._lock(saver, deadline)
        except TimeoutError:
            return Outcome.NOT_SEEN, f"{saver.name}: no answer"
        except MonitorError as error:
            return Outcome.FAILED, str(error)

    async def is_active(self, saver: Saver, limit_s: float = CALL_S) -> bool:
        """Say whether a screen saver that is there says it is active; by itself this is no sign of a lock."""
        owner = await self.owner(saver.name, limit_s)
        return owner is not None and (await self._first_look(owner, saver))[1] is True

    async def wake(self) -> str:
        """Have dark screens lit, and dialogs shown; the names that took it, "" for none. Opens nothing."""
        there = [saver for saver in await self.savers() if saver.simulates]
        return ", ".join([saver.name for saver in there if await self._simulates(saver)])

    async def environment(self) -> Mapping[str, str]:
        """Return the environment of the user manager on this bus, where there is one; else nothing."""
        owner = await self.owner(_MANAGER)
        if owner is None:
            return {}
        properties = DBusAddress("/org/freedesktop/systemd1", owner, "org.freedesktop.DBus.Properties")
        try:
            body = await self._call(properties, "Get", "ss", (f"{_MANAGER}.Manager", "Environment"), CALL_S)
        except CallRefused:
            return {}
        return _environment(body)

    async def _lock(self, saver: Saver, deadline: float) -> tuple[Outcome, str]:
        owner = await self.owner(saver.name)
        if owner is None:
            return Outcome.FAILED, f"{saver.name}: nobody owns it any more"
        path, before = await self._first_look(owner, saver)
        body = ("",) if saver.signature else ()
        address = saver.at(path, owner)
        asked = asyncio.create_task(self._call(address, "Lock", saver.signature or "", body, CALL_S * 10))
        try:
            return await self._watch(saver, owner, path, asked, before is False, deadline)
        finally:
            asked.cancel()
            await asyncio.wait({asked})
            if not asked.cancelled():
                asked.exception()

    async def _watch(
        self, saver: Saver, owner: str, path: str, asked: asyncio.Task[Any], rising: bool, deadline: float
    ) -> tuple[Outcome, str]:
        """Look at Active until it tells of a lock or the time is over. `rising`: it was false before Lock."""
        while time.monotonic() < deadline:
            await asyncio.wait({asked}, timeout=_LOOK_S)
            if asked.done() and (error := asked.exception()) is not None:
                return Outcome.FAILED, f"{saver.name}: Lock was refused: {error}"
            active = await self._active(owner, saver, path, max(_LOOK_S, deadline - time.monotonic()))
            if active is True and (rising or asked.done() or not saver.answers):
                return Outcome.LOCKED, saver.name
            if asked.done():
                await asyncio.sleep(_LOOK_S)
        said = "Lock was answered" if asked.done() else "Lock was not answered"
        return Outcome.NOT_SEEN, f"{saver.name}: {said}, and GetActive told of no lock"

    async def _first_look(self, owner: str, saver: Saver) -> tuple[str, bool | None]:
        """Return the first of a saver's paths that answers GetActive, and what it says; else the first, and None."""
        for path in saver.paths:
            active = await self._active(owner, saver, path, _FIRST_LOOK_S)
            if active is not None:
                return path, active
        return saver.paths[0], None

    async def _active(self, owner: str, saver: Saver, path: str, limit_s: float) -> bool | None:
        """Return Active; None for no answer and for one that is not a boolean."""
        try:
            body = await self._call(saver.at(path, owner), "GetActive", "", (), limit_s)
        except MonitorError:
            return None
        return body[0] if len(body) == 1 and isinstance(body[0], bool) else None

    async def _simulates(self, saver: Saver) -> bool:
        """Call SimulateUserActivity where the name is still owned; whether it was taken."""
        owner = await self.owner(saver.name)
        for path in saver.paths if owner is not None else ():
            with contextlib.suppress(MonitorError):
                await self._call(saver.at(path, owner), "SimulateUserActivity", "", (), _FIRST_LOOK_S)
                return True
        return False

    async def _call(
        self, address: DBusAddress, method: str, signature: str, body: tuple[Any, ...], limit_s: float
    ) -> tuple[Any, ...]:
        """Call, and once more where only now it shows that the connection was lost."""
        bus = await self._there(limit_s)
        try:
            return await bus.call(address, method, signature, body, limit_s)
        except MonitorError as error:
            if not isinstance(error.__cause__, OSError):
                raise
        if self._bus is bus:
            await self.close()
        return await (await self._there(limit_s)).call(address, method, signature, body, limit_s)

    async def _there(self, limit_s: float) -> Bus:
        """Return the connection, made anew where there is none; MonitorError where there is no bus."""
        async with self._connecting:
            if self._bus is None:
                where = self._address or bus_address(os.environ)
                if where is None:
                    raise MonitorError("cannot reach the session bus: the environment does not say where it is")
                self._bus = await Bus.open(where, lambda _signal: None, self._lose, limit_s)
            return self._bus

    def _lose(self, _why: str) -> None:
        self._bus = None


def bus_address(environment: Mapping[str, str]) -> str | None:
    """Return where the session bus is, by the environment or in the runtime folder; None for neither."""
    runtime = environment.get("XDG_RUNTIME_DIR")
    return environment.get("DBUS_SESSION_BUS_ADDRESS") or (f"unix:path={runtime}/bus" if runtime else None)


def _environment(body: tuple[Any, ...]) -> dict[str, str]:
    match body:
        case (("as", [*texts]),):
            pairs = (text.partition("=") for text in texts[:_TEXTS_MAX] if isinstance(text, str))
            return {name: value for name, equals, value in pairs if equals}
    return {}
