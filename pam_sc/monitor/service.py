# SPDX-License-Identifier: LGPL-2.1-or-later
"""The monitor's loop: what is seen, known and said by logind goes to the judge, and what the judge orders is done.

All of it is one thread that never waits for anything slow: what may block runs elsewhere, and what may fail is kept
running (upkeep.py). Between the news of a removal and the question to logind there is nothing but the judge. The loop
decides nothing about sessions or cards itself, and only ends when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterable

from pam_sc.decision.monitoring import MonitorPolicy
from pam_sc.errors import PamScError
from pam_sc.monitor.acquaintance import Acquaintance
from pam_sc.monitor.doing import Doing
from pam_sc.monitor.judging import Judge, Times, Whereabouts
from pam_sc.monitor.logind import Asleep, Awake, Event, LogindLost, SessionCame, SessionWent, Unlocked
from pam_sc.monitor.parts import Connection, Hears, Looks, Parts, Settings
from pam_sc.monitor.sight import Snapshot, Trouble
from pam_sc.monitor.upkeep import keep, reason_of
from pam_sc.session import SessionCard

END_S = 5.0
"""How long what is being done at the end of the monitor may take to be finished."""
_SAME_AGAIN_S = 1.0


class Service:
    """One run of the monitor. `doing` carries out what the judge orders."""

    def __init__(
        self, parts: Parts, settings: Settings, acquaintance: Acquaintance, hears: Hears,
        acted: Callable[[Iterable[SessionCard]], frozenset[str]] = lambda _: frozenset(),
    ) -> None:  # fmt: skip
        self._parts, self.settings, self.acquaintance, self._hears, self._acted = parts, settings, acquaintance, hears, acted
        self.judge = Judge(times_of(settings.policy))
        self.bus: Connection | None = None
        self.view: Snapshot | Trouble | None = None
        self.identifying = False
        self._doing: Doing | None = None
        self._sessions: Looks | None = None
        self._kept: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stop, self._wanted, self._reloaded, self._learn = (asyncio.Event() for _ in range(4))
        self._asleep = self._began = False
        self._resumed: set[str] = set()
        self.changed = asyncio.Event()
        """Something has happened: whoever waits for the service to settle looks again."""

    # ------------------------------------------------------------ beginning and end

    async def run(self, doing: Doing, others: Iterable[tuple[str, Callable[[], Awaitable[None]]]] = ()) -> None:
        """Run until `stop`; then what is being done is finished."""
        self._doing = doing
        parts = (
            ("logind", self._follow_logind), ("sessions", self._follow_sessions), ("seeing", self._see),
            ("identifying", self._identify), ("acquaintance", self._get_acquainted), *others,
        )  # fmt: skip
        self._kept = [asyncio.ensure_future(keep(name, part, self._hears.part_died)) for name, part in parts]
        try:
            await self._stop.wait()
        finally:
            await doing.end(END_S)
            for task in self._kept:
                task.cancel()
            await asyncio.gather(*self._kept, return_exceptions=True)

    def stop(self) -> None:
        """End the run, in order."""
        self._stop.set()

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT end the run, SIGHUP has the configuration read again."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        reloads: set[asyncio.Task[None]] = set()

        def reload() -> None:
            reloads.add(task := asyncio.ensure_future(self.reload()))
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)

    @property
    def healthy(self) -> bool:
        """Whether every part is kept running: only then the watchdog hears of it."""
        return bool(self._kept) and not any(task.done() for task in self._kept)

    @property
    def able(self) -> bool:
        """Whether a removal would be seen and logind could be asked: a user unit may leave the lock to this one."""
        return self.bus is not None and self._began and isinstance(self.view, Snapshot)

    async def reload(self) -> None:
        """Read the configuration again; a bad one is told, and the old one stays."""
        try:
            self.settings = await asyncio.to_thread(self._parts.read)
        except PamScError as error:
            self._hears.problem(f"the configuration stays as it was: {error}")
            return
        self._judge_anew()
        self._reloaded.set()
        self._hears.reloaded()
        self._look()

    # ------------------------------------------------------------ the judge

    def _judge_anew(self) -> None:
        """Go on with other times; absences that were acted on stay so."""
        old, self.judge = self.judge, Judge(times_of(self.settings.policy))
        cards, now = self.acquaintance.cards, self._now()
        acted = frozenset(session for session in cards if old.whereabouts(session) is Whereabouts.GONE)
        if self.view is not None:
            self.judge.see(self.view, now)
        self.judge.watch(cards.values(), now, acted)
        if self._asleep:
            self.judge.sleep(now)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _look(self) -> None:
        """Have done what is due, and come back when something will be."""
        now = self._now()
        if self._doing is not None:
            for order in self.judge.orders(now):
                self._doing.errands.take(order)
        if self.judge.to_identify() is not None:
            self._wanted.set()
        if self._timer is not None:
            self._timer.cancel()
        at = self.judge.next_look(now)
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._look)
        self.changed.set()

    @property
    def knows(self) -> bool:
        """Whether what is there now is known: a card that goes from now on is known to be gone."""
        return self.able and not self.identifying and self.judge.to_identify() is None

    @property
    def settled(self) -> bool:
        """Whether all that can be seen was seen, and what was due is done."""
        return (
            self.knows and self.judge.next_look(self._now()) is None
            and (self._doing is None or self._doing.idle)
        )  # fmt: skip

    def _seen(self, view: Snapshot | Trouble) -> None:
        self.view = view
        self.judge.see(view, self._now())
        self._look()
        self._hears.view(view)

    def _met(self, cards: Iterable[SessionCard]) -> None:
        """Take the cards of all sessions there are."""
        found = tuple(cards)
        ended = self.acquaintance.meet(found)
        acted = frozenset() if self._began else self._acted(found)
        self._began = True
        self._resumed |= acted
        self.judge.watch(found, self._now(), acted)
        if self._doing is not None:
            self._doing.forget(ended)
        self._look()
        self._learn.set()
        self._hears.sessions_ended(ended)

    # ------------------------------------------------------------ the parts

    async def _see(self) -> None:
        """Watch the cards, by the settings that hold."""
        while True:
            self._reloaded.clear()
            running = asyncio.ensure_future(self._parts.seeing(self.settings, self._seen).run())
            changed = asyncio.ensure_future(self._reloaded.wait())
            try:
                await asyncio.wait({running, changed}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    running.result()
                    raise PamScError("the watchers ended")
                self.judge.see(Trouble("the watchers begin anew, and count anew"), self._now())
            except Exception as error:
                self._seen(Trouble(f"nobody watches: {reason_of(error)}"))  # what was seen last says nothing any more
                raise
            finally:
                changed.cancel()
                running.cancel()
                await asyncio.gather(running, changed, return_exceptions=True)

    async def _identify(self) -> None:
        """Read the tokens when the judge must know them, one reading at a time."""
        while True:
            snapshot, before = self.judge.to_identify(), None
            while snapshot is not None:
                if snapshot is before:
                    await asyncio.sleep(_SAME_AGAIN_S)
                self.identifying = True
                try:
                    found = await self._parts.identify(self.settings, snapshot)
                finally:
                    self.identifying = False
                self.judge.know(found, self._now())
                self._look()
                snapshot, before = self.judge.to_identify(), snapshot
            self._wanted.clear()
            await self._wanted.wait()

    async def _follow_sessions(self) -> None:
        self._sessions = self._parts.sessions(self._met)
        try:
            await self._sessions.run()
        finally:
            self._sessions = None

    async def _get_acquainted(self) -> None:
        """Ask ahead of time what a removal should not wait for."""
        self._learn.set()  # also after a death: then what it died of is tried again
        while True:
            await self._learn.wait()
            self._learn.clear()
            await self.acquaintance.learn(self.bus)
            await self._resume()

    async def _resume(self) -> None:
        """Go on with what an earlier run had begun; what cannot be asked now stays to be asked."""
        for session in sorted(self._resumed if self.bus is not None else ()):
            unfinished = self._hears.unfinished(session)
            card = self.acquaintance.cards.get(session)
            if self._doing is not None and unfinished is not None and card is not None:
                await self._doing.resume(card, *unfinished)
            self._resumed.discard(session)

    async def _follow_logind(self) -> None:
        """Stay connected to logind, and take its events."""
        bus = await self._parts.logind()
        try:
            self.bus = bus
            self._hears.logind(connected=True)
            self.changed.set()
            if self._asleep:  # it woke while nobody told
                self._hear(Awake())
            if self._doing is not None:
                self._doing.errands.hurry()
            if self._sessions is not None:  # nobody told which sessions came and went meanwhile
                self._sessions.look()
            self._learn.set()
            while True:
                self._hear(await bus.events.get())
        except PamScError as error:
            self._hears.logind(connected=False, why=str(error))
            raise
        finally:
            self.bus = None
            with contextlib.suppress(Exception):
                await bus.close()

    def _hear(self, event: Event) -> None:
        now = self._now()
        match event:
            case Asleep():
                self._asleep = True
                self.judge.sleep(now)
            case Awake():
                self._asleep = False
                self.judge.resume(now)
            case Unlocked(id=session):
                self._hears.unlocked(session)
                self.judge.unlocked(session, now)
            case SessionCame() | SessionWent():
                if self._sessions is not None:
                    self._sessions.look()
            case LogindLost(why=why):
                raise PamScError(why)
        self._look()


def times_of(policy: MonitorPolicy) -> Times:
    """Return the judge's times."""
    return Times(
        grace_s=policy.grace_s, reader_grace_s=policy.reader_grace_s, resume_grace_s=policy.resume_grace_s,
        unwatched_s=policy.unwatched_s,
    )  # fmt: skip
