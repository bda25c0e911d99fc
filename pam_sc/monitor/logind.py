# SPDX-License-Identifier: LGPL-2.1-or-later
"""What logind knows of sessions, what it tells of them, and the two things the monitor asks of it: lock, and terminate.

Speaks to org.freedesktop.login1 (org.freedesktop.login1(5)) on the system bus, as the account this process has. Every call
has its time; a logind that hangs, is missing or starts again is MonitorError, and LogindLost among the events: then this
connection is over, and whoever owns it makes another. What logind says is checked for type and length. That it took a call
proves nothing: `await_locked` and `await_end` look whether it came true. Signals are believed only from logind itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from jeepney import DBusAddress, HeaderFields, MatchRule, Message

from pam_sc.errors import MonitorError
from pam_sc.monitor.answers import facts_of, has_ended, session_at, text_of
from pam_sc.monitor.bus import CALL_LIMIT_S, Bus, CallRefused
from pam_sc.monitor.facts import SessionFacts
from pam_sc.record import record

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
SESSIONS_MAX = 1024
_NAME = "org.freedesktop.login1"
_PATH = "/org/freedesktop/login1"
_MANAGER = DBusAddress(_PATH, bus_name=_NAME, interface=f"{_NAME}.Manager")
_SESSION = f"{_NAME}.Session"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_GONE = frozenset({f"{_NAME}.NoSuchSession", "org.freedesktop.DBus.Error.UnknownObject"})


@record
class SessionCame:
    """Logind has a new session."""

    id: str


@record
class SessionWent:
    """Logind has it no more."""

    id: str


@record
class Asleep:
    """The machine goes to sleep now."""


@record
class Awake:
    """It has woken up."""


@record
class Unlocked:
    """LockedHint of a session fell."""

    id: str


@record
class LogindLost:
    """This connection is over. Nothing is known of sessions until there is another."""

    why: str


Event = SessionCame | SessionWent | Asleep | Awake | Unlocked | LogindLost


class Logind:
    """A connection to logind, made by `connect`; or `async with opened() as logind`."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self._bus: Bus | None = None
        self._owner = ""
        self._over = ""
        self._paths: dict[str, str] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}

    @classmethod
    async def connect(cls, address: str | None = None, limit_s: float = CALL_LIMIT_S) -> Logind:
        """Connect and subscribe; MonitorError. No event is older than this."""
        logind = cls()
        bus = logind._bus = await Bus.open(address or SYSTEM_BUS, logind._hear, logind._lose, limit_s)
        try:
            await bus.subscribe(_rules())
            await bus.call(DBusAddress(_PATH, bus_name=_NAME, interface="org.freedesktop.DBus.Peer"), "Ping", limit_s=limit_s)
            owner = text_of((await bus.ask_bus("GetNameOwner", "s", (_NAME,)))[0], "its name")
            if logind._owner not in ("", owner):
                raise MonitorError("cannot speak to logind: it is just being started again")
            logind._owner = owner
            bus.hear(owner)
        except BaseException:
            await bus.close()
            raise
        return logind

    async def session(self, session: str) -> SessionFacts | None:
        """Return what logind knows of a session, None if it has no such session; MonitorError."""
        try:
            path = self._paths.get(session) or await self._path_of(session)
            answer = await self._call(DBusAddress(path, bus_name=_NAME, interface=_PROPERTIES), "GetAll", "s", (_SESSION,))
        except CallRefused as error:
            self._paths.pop(session, None)
            if error.name in _GONE:
                return None
            raise
        facts = facts_of(path, answer)
        if facts.id != session:
            raise MonitorError(f"logind does not say what session {session!r} is: it speaks of another")
        return facts

    async def sessions(self) -> tuple[SessionFacts, ...]:
        """Return all that logind has, SESSIONS_MAX at most; MonitorError."""
        answer = await self._call(_MANAGER, "ListSessions")
        listed = answer[0] if answer else None
        if not isinstance(listed, list) or not all(isinstance(each, tuple) and each for each in listed):
            raise MonitorError("logind does not list sessions: its answer is not a list of them")
        names = [text_of(each[0], "the name of a session") for each in listed[:SESSIONS_MAX]]
        found = [await self.session(name) for name in names]
        return tuple(facts for facts in found if facts is not None)

    async def lock(self, session: str) -> None:
        """Ask logind to have a session locked; MonitorError. Nothing is locked by that yet."""
        await self._call(_MANAGER, "LockSession", "s", (session,))

    async def terminate(self, session: str) -> None:
        """Ask logind to end a session, with all its processes; MonitorError. One that is gone already is no error."""
        try:
            await self._call(_MANAGER, "TerminateSession", "s", (session,))
        except CallRefused as error:
            if error.name not in _GONE:
                raise

    async def await_locked(self, session: str, within_s: float) -> bool:
        """Say whether LockedHint was seen to be true in time; MonitorError where logind cannot be asked.

        False at once where there is no such session.
        """
        facts = await self._await(session, within_s, lambda facts: facts is None or facts.locked)
        return facts is not None and facts.locked

    async def await_end(self, session: str, within_s: float) -> bool:
        """Say whether logind was seen in time to have the session no more, or to close it; MonitorError."""
        facts = await self._await(session, within_s, has_ended)
        return has_ended(facts)

    async def close(self) -> None:
        """End the connection."""
        self._over = self._over or "the connection was closed"
        if self._bus is not None:
            await self._bus.close()

    async def _await(
        self, session: str, within_s: float, holds: Callable[[SessionFacts | None], bool]
    ) -> SessionFacts | None:
        """Return the facts as soon as something holds for them, or when the time is over."""
        deadline = time.monotonic() + within_s
        with self._watching(session) as changed:  # before the first look: nothing is missed in between
            while True:
                changed.clear()
                facts = await self.session(session)
                if holds(facts):
                    return facts
                try:
                    await asyncio.wait_for(changed.wait(), max(0.0, deadline - time.monotonic()))
                except TimeoutError:
                    return facts

    @contextlib.contextmanager
    def _watching(self, session: str) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(session, set())
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(session, None)

    async def _path_of(self, session: str) -> str:
        if not session.isascii() or not session.isalnum() or session in ("self", "auto"):  # logind's words for one's own
            raise CallRefused(f"logind has no session {session!r}: that is no name of one", f"{_NAME}.NoSuchSession")
        answer = await self._call(_MANAGER, "GetSession", "s", (session,))
        path = text_of(answer[0] if answer else None, "the path of a session")
        if not path.startswith(f"{_PATH}/session/"):
            raise MonitorError("logind does not say where a session is: its path is none of a session's")
        self._paths[session] = path
        return path

    async def _call(
        self, address: DBusAddress, member: str, signature: str = "", body: tuple[Any, ...] = ()
    ) -> tuple[Any, ...]:
        if self._bus is None or self._over:
            raise MonitorError(f"cannot ask logind for {member}: {self._over or 'there is no connection'}")
        return await self._bus.call(address, member, signature, body)

    # What the bus passes on: signals of the bus itself and of logind, of nobody else

    def _hear(self, message: Message) -> None:
        fields = message.header.fields
        member, body = fields.get(HeaderFields.member), message.body
        match member, body:
            case "NameOwnerChanged", (name, _, str(new)) if name == _NAME:
                self._hear_owner(new)
            case "SessionNew", (str(session), _):
                self._tell(session, SessionCame(session))
            case "SessionRemoved", (str(session), _):
                self._paths.pop(session, None)
                self._tell(session, SessionWent(session))
            case "PrepareForSleep", (bool(asleep),):
                self.events.put_nowait(Asleep() if asleep else Awake())
            case "PropertiesChanged", (interface, dict(changed), _) if interface == _SESSION:
                self._hear_change(session_at(str(fields.get(HeaderFields.path, ""))), changed)
            case _:
                pass

    def _hear_owner(self, new: str) -> None:
        if not self._owner:
            self._owner = new
        elif new != self._owner:
            self._lose("logind was started again" if new else "logind has ended")

    def _hear_change(self, session: str, changed: dict[Any, Any]) -> None:
        unlocked = changed.get("LockedHint") == ("b", False)
        self._tell(session, Unlocked(session) if unlocked else None)

    def _tell(self, session: str, event: Event | None) -> None:
        if event is not None:
            self.events.put_nowait(event)
        for watcher in self._watchers.get(session, ()):
            watcher.set()

    def _lose(self, why: str) -> None:
        if self._over:
            return
        self._over = why
        self.events.put_nowait(LogindLost(why))
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.set()


@contextlib.asynccontextmanager
async def opened(address: str | None = None, limit_s: float = CALL_LIMIT_S) -> AsyncIterator[Logind]:
    """Yield a connection to logind, which is closed at the end; MonitorError."""
    logind = await Logind.connect(address, limit_s)
    try:
        yield logind
    finally:
        await logind.close()


def _rules() -> tuple[MatchRule, ...]:
    owner = MatchRule(type="signal", sender="org.freedesktop.DBus", interface="org.freedesktop.DBus", member="NameOwnerChanged")
    owner.add_arg_condition(0, _NAME)
    told = [
        MatchRule(type="signal", sender=_NAME, interface=f"{_NAME}.Manager", member=member, path=_PATH)
        for member in ("SessionNew", "SessionRemoved", "PrepareForSleep")
    ]
    changes = MatchRule(
        type="signal", sender=_NAME, interface=_PROPERTIES, member="PropertiesChanged", path_namespace=f"{_PATH}/session"
    )
    return owner, *told, changes
