# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts the monitor together for this process and runs it: as the system unit, as a user unit, or by hand.

Which it is, the account decides, and what was asked for: `pam_sc_monitor` is the system unit, root with all sessions does
everything that no user unit does, everybody else watches their own sessions. Nothing is acted on before all is in place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable

from pam_sc.config.model import Configuration
from pam_sc.config.monitoring import monitor_policy
from pam_sc.config.notes import summary
from pam_sc.decision.reasons import Severity
from pam_sc.decision.request import Account
from pam_sc.errors import MonitorError
from pam_sc.host import PwdAccounts, boot_id
from pam_sc.monitor.acquaintance import Acquaintance
from pam_sc.monitor.doing import Deed, Doing
from pam_sc.monitor.facts import Outcome, Side
from pam_sc.monitor.hands import Hands
from pam_sc.monitor.hands_on import HandsOff, HandsOn, LogindNow, ProgramsNow
from pam_sc.monitor.identifying import identify
from pam_sc.monitor.judging import Whereabouts
from pam_sc.monitor.logind import Logind
from pam_sc.monitor.memory import SYSTEM_FILE, USER_FILE, Memory
from pam_sc.monitor.notify import Notifier
from pam_sc.monitor.once import finish_once, until
from pam_sc.monitor.partner import FOLDER, SOCKET, AnotherRunsError, Meeting, Reception
from pam_sc.monitor.partner_link import Link
from pam_sc.monitor.partner_messages import Report
from pam_sc.monitor.parts import Connection, Looks, Parts, Runs, Settings
from pam_sc.monitor.programs import Programs
from pam_sc.monitor.reporting import Reporter
from pam_sc.monitor.seeing import Seeing
from pam_sc.monitor.service import Service, times_of
from pam_sc.monitor.session_bus import SessionBus
from pam_sc.monitor.sessions import SessionWatch
from pam_sc.monitor.sight import Identified, Snapshot, Trouble
from pam_sc.monitor.status import Status
from pam_sc.monitor.telling import Teller
from pam_sc.monitor.units import USER_SOCKET, Options, Unit, runtime_folder, side_of, unit_of
from pam_sc.session import SessionCard

BY_HAND_FILE = "/run/pam_sc/monitor.json"
READY_S = 10.0


class Monitor:
    """One monitor: everything that it is made of. `run` is the whole of its life; the exit code."""

    def __init__(
        self, read: Callable[[], Configuration], worker: str, options: Options, teller: Teller, notifier: Notifier
    ) -> None:
        self._options, self._worker, self._notifier = options, worker, notifier
        self._read_configuration = read
        self.unit = unit_of(options)
        self._uid = None if options.everything else os.geteuid()
        self._teller = teller
        self._bus = SessionBus() if self.unit is Unit.USER else None
        self._meeting = Meeting()
        self._link = Link(self._met_system) if self.unit is Unit.USER and not self._passes else None
        self._watching: Seeing | None = None
        self._quit = False
        self.last_status: dict[str, object] = {}
        """What was known at the end of `run`."""
        self._reports: set[asyncio.Task[None]] = set()
        settings = self._read()
        self._acquaintance = Acquaintance(_groups_of)
        self._memory = None if self._passes else Memory(self._state_file(), boot_id(), teller.problem)
        self._reporter = Reporter(
            teller, self._memory, self._acquaintance, unit=self.unit.value,
            unlocked=self._meeting.forget, ended=self._meeting.close, reloaded=self._tell_notes,
        )  # fmt: skip
        self._service = Service(self._parts(), settings, self._acquaintance, self._reporter, self._acted)
        self._doing = self._make_doing()

    # ------------------------------------------------------------ parts

    def _read(self) -> Settings:
        configuration = self._read_configuration()
        return Settings(configuration=configuration, policy=monitor_policy(configuration))

    def _parts(self) -> Parts:
        return Parts(
            read=self._read, seeing=self._seeing, identify=self._identify, logind=self._connect, sessions=self._sessions
        )

    def _seeing(self, settings: Settings, tell: Callable[[Snapshot | Trouble], None]) -> Runs:
        self._watching = Seeing(settings.configuration, settings.policy, self._worker, tell)
        return self._watching

    async def _identify(self, settings: Settings, snapshot: Snapshot) -> Identified:
        found = await identify(settings.configuration, self._worker, snapshot, times_of(settings.policy).identify_s)
        if self._watching is not None:
            self._watching.know(found)
        return found

    async def _connect(self) -> Connection:
        return await Logind.connect(self._options.bus_address)

    def _sessions(self, tell: Callable[[Iterable[SessionCard]], None]) -> Looks:
        return _Sessions(SessionWatch(tell, self._uid, complain=self._reporter.problem))

    def _tell_notes(self) -> None:
        """Say what a file of pam_pkcs11 or of its event managers says that is not done as it stands, or is dangerous."""
        configuration = self._service.settings.configuration
        unsafe = summary(configuration.notes, configuration.source)
        if unsafe is not None:
            self._teller.problem(unsafe, Severity.WARNING)

    def _acted(self, cards: Iterable[SessionCard]) -> frozenset[str]:
        """What an earlier run acted on; --once acts on everything that is gone now, and remembers nothing."""
        return frozenset() if self._memory is None else self._memory.acted(cards)

    @property
    def _passes(self) -> bool:
        """Whether this looks once or does nothing: then nothing is remembered, and nobody is spoken to."""
        return self._options.once or self._options.dry_run

    def _state_file(self) -> str:
        """Return where it is remembered what was done."""
        by_unit = {Unit.SYSTEM: SYSTEM_FILE, Unit.BY_HAND: BY_HAND_FILE}
        return by_unit.get(self.unit) or f"{runtime_folder(os.geteuid())}/{USER_FILE}"

    def _make_doing(self) -> Doing:
        hands = Hands(
            logind=LogindNow(lambda: self._service.bus), bus=self._bus, programs=self._programs(),
            partner=None if self.unit is Unit.USER else self._meeting, quit=self._stop_for_error,
        )  # fmt: skip
        tell = self._reporter.step
        actor = HandsOff(hands, tell) if self._options.dry_run else HandsOn(
            hands, tell, lambda: self._service.settings.policy, self._report
        )
        return Doing(
            self._acquaintance, actor, self._reporter, policy=lambda: self._service.settings.policy,
            logind=lambda: self._service.bus, side=self._side, losses=lambda: self._link.losses if self._link else 0,
            is_here=self._is_here, reader=self._reader, changed=self._service.changed.set,
        )  # fmt: skip

    def _programs(self) -> ProgramsNow | None:
        if self.unit is Unit.SYSTEM:
            return None
        return ProgramsNow(Programs(self._bus.environment if self._bus is not None else None, self._reporter.note))

    def _is_here(self, session: str) -> bool:
        return self._service.judge.whereabouts(session) is Whereabouts.HERE

    def _reader(self, session: str) -> str:
        return self._service.judge.reader(session)

    async def _side(self, card: SessionCard) -> Side:
        if self._link is not None:
            return await self._link.side()
        return Side.SYSTEM if self.unit is Unit.SYSTEM or self._meeting.present(card.uid) else Side.ALONE

    def _met_system(self, met: bool) -> None:
        self._reporter.note("a system unit runs: the lock through logind is its part" if met else "no system unit runs any more")

    def _report(self, deed: Deed, outcome: Outcome) -> None:
        """Tell the system unit what this user unit saw, also where it did everything: the other may wait for it."""
        if self._link is not None and self._link.up:
            report = Report(session=deed.card.session, outcome=outcome)
            self._reports.add(task := asyncio.ensure_future(self._link.report(report)))
            task.add_done_callback(self._reports.discard)

    def _reception(self) -> Reception | None:
        """Return the socket: of all units that stay, and do something."""
        if self._passes:
            return None
        if self.unit is Unit.USER:
            path = f"{runtime_folder(os.geteuid())}/{USER_SOCKET}"
            try:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            except OSError as error:
                self._reporter.note(f"pam-sc monitor status will not find this monitor: {path}: {error.strerror}")
                return None
            return Reception(Meeting(), lambda _: None, self._status, lambda: False, path, 0o600)
        if self.unit is Unit.BY_HAND:
            make_folder(os.path.dirname(BY_HAND_FILE))
            make_folder(FOLDER)
        return Reception(
            self._meeting, self._owner_of, self._status, lambda: self._service.able, SOCKET, owners=self._owners
        )  # fmt: skip

    async def _open(self, reception: Reception | None) -> Reception | None:
        """Listen. A user unit locks without its socket as well, which is for the status alone; but it is the only one."""
        try:
            if reception is not None:
                await reception.open()
        except MonitorError as error:
            if self.unit is not Unit.USER or isinstance(error, AnotherRunsError):
                raise
            self._reporter.note(f"pam-sc monitor status will not find this monitor: {error}")
            return None
        return reception

    def _owner_of(self, session: str) -> int | None:
        card = self._acquaintance.cards.get(session)
        return None if card is None else card.uid

    def _owners(self) -> frozenset[int]:
        return frozenset(card.uid for card in self._acquaintance.cards.values())

    def _status(self, uid: int | None) -> object:
        return self.status().values(uid)

    @property
    def idle(self) -> bool:
        """Whether it found nothing to act on."""
        return not self._reporter.outcomes

    def status(self) -> Status:
        """Return what is known now."""
        met = self.unit is Unit.SYSTEM or (self._link is not None and self._link.up)
        return self._reporter.status(self._service, present=self._meeting.present, system_unit=met)

    async def run(self) -> int:
        """Run until told to end: 0; with --once until all is done: 0 where every lock was seen, else 1 or 2."""
        asyncio.get_running_loop().set_exception_handler(self._unexpected)
        if self._memory is not None:
            self._memory.load()
        reception = await self._open(self._reception())
        self._service.listen_to_signals()
        self._tell_notes()
        running = asyncio.create_task(self._service.run(self._doing, self._others()))
        try:
            if self._options.once:
                return await finish_once(self._service, self._doing, self._reporter, running)
            await self._get_ready(running)
            await running
            return 1 if self._quit else 0
        finally:
            self._notifier.stopping()
            self.last_status = self.status().values(None)
            if not self._options.once:
                self._teller.stopping("a command failed, and on_error is quit" if self._quit else "it was told to end")
            self._service.stop()
            await asyncio.gather(running, return_exceptions=True)
            if reception is not None:
                await reception.close()
            if self._bus is not None:
                await self._bus.close()

    async def _get_ready(self, running: asyncio.Task[None]) -> None:
        """Say that it watches when it does, or after READY_S: what is missing is on the log, and is tried again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await until(self._service, lambda: self._service.knows, running)
        if running.done():
            return
        view = self._service.view
        self._teller.started(side_of(self._options), view.source.value if isinstance(view, Snapshot) else "nothing yet")
        self._notifier.ready()

    def _others(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        link: list[tuple[str, Callable[[], Awaitable[None]]]] = [] if self._link is None else [("system unit", self._link.run)]
        return [*link, ("watchdog", self._ping)]

    async def _ping(self) -> None:
        """Tell the service manager that all is well, as often as it wants to hear it; only while it is."""
        every_s = self._notifier.watchdog_s
        while every_s is None:
            await asyncio.Event().wait()
        while True:
            if self._service.healthy:
                self._notifier.watchdog()
            if self._link is not None:
                self._link.nudge()
            await asyncio.sleep(every_s)

    def _stop_for_error(self) -> None:
        """A command failed, and on_error is "quit"."""
        self._quit = True
        self._service.stop()

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """What asyncio would write to stderr with its traceback."""
        error = context.get("exception")
        self._teller.problem(f"defect: {type(error).__name__ if error else context.get('message')}: {str(error)[:200]}")


class _Sessions:
    """sessions.py as a part."""

    def __init__(self, watch: SessionWatch) -> None:
        self._watch = watch

    def look(self) -> None:
        """Look again."""
        self._watch.look()

    async def run(self) -> None:
        """Watch until cancelled."""
        self._watch.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._watch.stop()


def make_folder(folder: str) -> None:
    """Make a folder that all may look into, whatever the umask: session cards and the socket lie in such. MonitorError."""
    try:
        os.mkdir(folder)
        os.chmod(folder, 0o755)  # noqa: S103 - it is for all
    except FileExistsError:
        pass  # it stays as it is
    except OSError as error:
        raise MonitorError(f"cannot make {folder}: {error.strerror}") from error


def _groups_of(account: str) -> frozenset[str]:
    found = PwdAccounts().by_name(account)
    return found.groups if isinstance(found, Account) else frozenset()
