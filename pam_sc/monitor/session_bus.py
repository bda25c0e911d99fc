# SPDX-License-Identifier: LGPL-2.1-or-later
"""The session bus: the screen savers that are there, asked to lock and looked at; and what wakes a dark screen.

Names are asked of the bus, and only their owners are spoken to, by their unique names: no service is ever activated.
Every call has a limit. SetActive is never called: on GNOME SetActive(false) would open the screen.

What is believed: Active is true after Lock, and it was false before or Lock was answered without an error. The savers
below lock when Lock is called and not merely blank the screen; "Active" alone, without our Lock, says no more than that
the screen is covered, and is no sign. An answer is the word of a program of the session's own account, which could open
the screen as well; it protects the account from strangers, not from itself. No answer, an error, a reply that is no
boolean, an owner that is gone: not seen.

| name                        | whose                                                 | arguments of Lock |
|-----------------------------|-------------------------------------------------------|-------------------|
| org.freedesktop.ScreenSaver | KDE, XFCE; GNOME's and xscreensaver's refuse Lock     | none              |
| org.gnome.ScreenSaver       | GNOME                                                 | none              |
| org.mate.ScreenSaver        | MATE                                                  | none              |
| org.cinnamon.ScreenSaver    | Cinnamon                                              | a message         |
| org.xfce.ScreenSaver        | XFCE                                                  | none              |
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any, Self

from jeepney import DBusAddress, Message, MessageFlag, MessageType, new_method_call
from jeepney.io.asyncio import DBusConnection, DBusRouter, open_dbus_connection
from jeepney.io.common import RouterClosed

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Outcome
from pam_sc.record import record

CALL_S = 2.0
_LOOK_S = 0.05
_TEXTS_MAX = 1000
_BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
_MANAGER = "org.freedesktop.systemd1"
_IDLE_MONITOR = "org.gnome.Mutter.IdleMonitor"


@record(kw_only=True)
class Saver:
    """A screen saver's interface: the name on the bus, the same for the interface, and where it is."""

    name: str
    paths: tuple[str, ...]
    signature: str | None = None
    """Of the arguments of Lock; they are empty texts."""
    simulates: bool = True
    """Whether it has SimulateUserActivity, which never opens a screen."""


SAVERS = (
    Saver(name="org.freedesktop.ScreenSaver", paths=("/org/freedesktop/ScreenSaver", "/ScreenSaver")),
    Saver(name="org.gnome.ScreenSaver", paths=("/org/gnome/ScreenSaver",), simulates=False),
    Saver(name="org.mate.ScreenSaver", paths=("/org/mate/ScreenSaver",)),
    Saver(name="org.cinnamon.ScreenSaver", paths=("/org/cinnamon/ScreenSaver",), signature="s"),
    Saver(name="org.xfce.ScreenSaver", paths=("/org/xfce/ScreenSaver",)),
)


class SessionBus:
    """A connection to a session bus. Its loss is a MonitorError at the next call; a new one is the caller's."""

    def __init__(self, connection: DBusConnection, router: DBusRouter) -> None:
        self._connection = connection
        self._router = router

    @classmethod
    async def connect(cls, address: str | None = None, limit_s: float = CALL_S) -> Self:
        """Return a connection; MonitorError where there is no session bus, or none that answers in time."""
        where = address or bus_address(os.environ)
        if where is None:
            raise MonitorError("cannot reach the session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
        try:
            async with asyncio.timeout(limit_s):
                connection = await open_dbus_connection(where)
        except (OSError, EOFError, ValueError, RuntimeError, KeyError, TimeoutError) as error:
            raise MonitorError(f"cannot reach the session bus at {where!r:.200}: {_cause(error)}") from error
        return cls(connection, DBusRouter(connection))

    async def close(self) -> None:
        """Close it; never raises."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CALL_S):
                await self._router.__aexit__(None, None, None)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CALL_S):
                await self._connection.close()

    async def owner(self, name: str, limit_s: float = CALL_S) -> str | None:
        """Return the unique name of a name's owner; None where nobody has it. Nothing is activated."""
        try:
            (owner,) = await self._call(_BUS, "GetNameOwner", "s", (name,), limit_s)
        except _Refused:
            return None
        return owner if isinstance(owner, str) and owner.startswith(":") else None

    async def savers(self) -> tuple[Saver, ...]:
        """Return the screen savers that somebody on this bus owns now, in the order in which they are asked."""
        try:
            (names,) = await self._call(_BUS, "ListNames", None, (), CALL_S)
        except _Refused as error:
            raise MonitorError(f"cannot list the names on the session bus: {error}") from error
        return tuple(saver for saver in SAVERS if isinstance(names, list) and saver.name in names)

    async def lock(self, saver: Saver, within_s: float) -> tuple[Outcome, str]:
        """Ask a screen saver to lock and watch it so long: LOCKED, NOT_SEEN or FAILED, and why. Raises nothing else."""
        deadline = time.monotonic() + within_s
        try:
            async with asyncio.timeout(within_s):
                return await self._lock(saver, deadline)
        except TimeoutError:
            return Outcome.NOT_SEEN, f"{saver.name}: no answer"
        except MonitorError as error:
            return Outcome.FAILED, str(error)

    async def is_active(self, saver: Saver, limit_s: float = CALL_S) -> bool:
        """Say whether a screen saver that is there says it is active; by itself this is no sign of a lock."""
        owner = await self.owner(saver.name, limit_s)
        return owner is not None and await self._active(owner, saver, await self._path(owner, saver), limit_s) is True

    async def wake(self) -> str:
        """Have dark screens lit, and dialogs shown; the names that took it, "" for none. Opens nothing."""
        woken = []
        for saver in await self.savers():
            owner = await self.owner(saver.name) if saver.simulates else None
            for path in saver.paths if owner else ():
                with contextlib.suppress(_Refused):
                    await self._call(DBusAddress(path, owner, saver.name), "SimulateUserActivity", None, (), CALL_S)
                    woken.append(saver.name)
                    break
        if owner := await self.owner(_IDLE_MONITOR):
            with contextlib.suppress(_Refused):
                core = DBusAddress("/org/gnome/Mutter/IdleMonitor/Core", owner, _IDLE_MONITOR)
                await self._call(core, "ResetIdletime", None, (), CALL_S)
                woken.append(_IDLE_MONITOR)
        return ", ".join(woken)

    async def environment(self) -> Mapping[str, str]:
        """Return the environment of the user manager on this bus, where there is one; else nothing."""
        owner = await self.owner(_MANAGER)
        if owner is None:
            return {}
        properties = DBusAddress("/org/freedesktop/systemd1", owner, "org.freedesktop.DBus.Properties")
        try:
            body = await self._call(properties, "Get", "ss", (f"{_MANAGER}.Manager", "Environment"), CALL_S)
        except _Refused:
            return {}
        return _environment(body)

    async def _lock(self, saver: Saver, deadline: float) -> tuple[Outcome, str]:
        owner = await self.owner(saver.name)
        if owner is None:
            return Outcome.FAILED, f"{saver.name}: nobody owns it any more"
        path = await self._path(owner, saver)
        before = await self._active(owner, saver, path, CALL_S / 4)
        body = ("",) if saver.signature else ()
        address = DBusAddress(path, owner, saver.name)
        asked = asyncio.create_task(self._call(address, "Lock", saver.signature, body, CALL_S * 10))
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
            active = await self._active(owner, saver, path, CALL_S)
            if active is True and (rising or asked.done()):
                return Outcome.LOCKED, saver.name
            if asked.done():
                await asyncio.sleep(_LOOK_S)
        said = "Lock was answered" if asked.done() else "Lock was not answered"
        return Outcome.NOT_SEEN, f"{saver.name}: {said}, and GetActive told of no lock"

    async def _path(self, owner: str, saver: Saver) -> str:
        """Return the first of a saver's paths that answers GetActive at all, else the first."""
        for path in saver.paths if len(saver.paths) > 1 else ():
            if await self._active(owner, saver, path, CALL_S / 4) is not None:
                return path
        return saver.paths[0]

    async def _active(self, owner: str, saver: Saver, path: str, limit_s: float) -> bool | None:
        """Return Active; None for no answer and for one that is not a boolean."""
        try:
            body = await self._call(DBusAddress(path, owner, saver.name), "GetActive", None, (), limit_s)
        except (_Refused, _NoAnswer):
            return None
        return body[0] if len(body) == 1 and isinstance(body[0], bool) else None

    async def _call(
        self, address: DBusAddress, method: str, signature: str | None, body: tuple[Any, ...], limit_s: float
    ) -> tuple[Any, ...]:
        """Return the body of the reply; _Refused for an error reply, MonitorError for none."""
        message: Message = new_method_call(address, method, signature, body)
        message.header.flags |= MessageFlag.no_auto_start
        try:
            async with asyncio.timeout(limit_s):
                reply = await self._router.send_and_get_reply(message)
        except TimeoutError as error:
            raise _NoAnswer(f"cannot call {address.interface}.{method}: no answer in {limit_s:g} s") from error
        except (OSError, EOFError, ValueError, RouterClosed) as error:
            raise MonitorError(f"cannot call {address.interface}.{method}: {_cause(error)}") from error
        if reply.header.message_type is MessageType.error:
            raise _Refused(_error_name(reply))
        return tuple(reply.body)


class _Refused(MonitorError):
    """The other side answered with an error."""


class _NoAnswer(MonitorError):
    """The other side did not answer in time."""


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


def _error_name(reply: Message) -> str:
    from jeepney import HeaderFields

    return str(reply.header.fields.get(HeaderFields.error_name, "an error"))[:200]


def _cause(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case OSError():
            return error.strerror or type(error).__name__
        case RouterClosed() | EOFError():
            return "the connection was lost"
    return f"{error!s:.200}" or type(error).__name__
