# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card process at work: orders in, answers out, one after the other. See messages.py for the messages.

Everything that is slow to import is imported here, before the sandbox; a module is loaded only inside it. Between two
orders no session is open, except after a signature, when the process waits to be ended or killed, and after OPEN.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from pam_sc.card import ending, sentences
from pam_sc.card.changing import change_pin
from pam_sc.card.ckr import TokenError
from pam_sc.card.entry import Entry, carried_out
from pam_sc.card.messages import (
    Kind,
    ModuleSetup,
    ProcessSetup,
    RunAs,
    Signature,
    failed_frame,
    merged_environment,
    outcome_frame,
    plain,
    read_module,
    read_setup,
    require_plain,
)
from pam_sc.card.module import Module
from pam_sc.card.orders import ChangeCommand, SignCommand, Target, read_change, read_open, read_sign, read_wait
from pam_sc.card.pin import secrets_from, wipe
from pam_sc.card.refused import Memory
from pam_sc.card.report import read_module as report_module
from pam_sc.card.report import unusable_module
from pam_sc.card.report_messages import frames_of, frames_of_token
from pam_sc.card.session import Session
from pam_sc.card.signing import open_token, sign
from pam_sc.card.text import clean_text
from pam_sc.card.waiting import Identity, Place, Watch, tokens_of
from pam_sc.decision.card_report import ModuleReport, TokenReport
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay
from pam_sc.errors import ChannelClosed, ConfigError, ProtocolError
from pam_sc.frames import Channel, Frame

Confine = Callable[[int, int, list[int], list[str]], None]

OPENSC_CONF = os.path.join(os.path.dirname(__file__), "opensc.conf")
OPENSC_PINPAD_CONF = os.path.join(os.path.dirname(__file__), "opensc-pinpad.conf")
IDLE_LIMIT = 900.0
"""Seconds without an order after which the process ends by itself; a person has 300 for all prompts of a login."""
_SEND_LIMIT = 30.0
T = TypeVar("T")


class _Opened:
    """A session that outlives its order. One that OPEN left may be used by one SIGN more.

    For that it keeps the PIN, which a key may want for itself (CKA_ALWAYS_AUTHENTICATE). One that a signature left keeps
    nothing, and waits for END.
    """

    def __init__(self, session: Session, entry: Entry, *, for_sign: bool) -> None:
        self.session = session
        self.slot = entry.target.slot_id
        self.logged_in = entry.logged_in
        self.way = entry.way if for_sign else None
        self.pin = bytearray(entry.pin) if for_sign else bytearray()


class _Loaded:
    """A module at work. `opened`: what a signature or an OPEN left open."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.finalized = False
        self.opened: _Opened | None = None


class CardServer:
    """One card process: its channel to the verifier, its secrets, its modules."""

    def __init__(self, channel: Channel, secrets: int, confine: Confine) -> None:
        self._channel = channel
        self._secrets = secrets
        self._confine = confine
        self._setups: list[ModuleSetup] = []
        self._loaded: dict[int, _Loaded] = {}
        self._memory = Memory()
        self._reported: dict[Place, Identity] = {}

    def run(self) -> int:
        """Serve until the verifier closes the channel; the exit status."""
        try:
            if not self._set_up():
                return 1
            while True:
                self._obey(self._receive())
        except ChannelClosed:
            return 0
        except ProtocolError:
            return 1

    def _set_up(self) -> bool:
        frame = self._receive()
        if frame.type != Kind.SETUP:
            raise ProtocolError(f"card order is malformed: type {frame.type:#x} before SETUP")
        setup = read_setup(frame)
        for _ in range(setup.modules):
            frame = self._receive()
            if frame.type != Kind.MODULE:
                raise ProtocolError(f"card order is malformed: type {frame.type:#x} in place of MODULE")
            self._setups.append(read_module(frame))
        return self._enter(setup)

    def _enter(self, setup: ProcessSetup) -> bool:
        """Set the environment and enter the sandbox, before any module is loaded."""
        try:
            set_environment(self._setups, pinpad=setup.pinpad)
        except ConfigError as error:
            self._send(failed_frame("setup", clean_text(str(error))))
            return False
        account = setup.run_as or RunAs(-1, -1, ())
        allow = [name for module in self._setups for name in module.allow]
        try:
            self._confine(account.uid, account.gid, list(account.groups), allow)
        except (OSError, ValueError) as error:
            self._send(failed_frame("isolation", clean_text(str(error))))
            return False
        self._send(plain(Kind.READY))
        return True

    def _obey(self, frame: Frame) -> None:
        match frame.type:
            case Kind.REPORT:
                require_plain(frame)
                self._report()
            case Kind.SIGN:
                self._sign(read_sign(frame))
            case Kind.OPEN:
                self._open(read_open(frame))
            case Kind.CHANGE:
                self._change(read_change(frame))
            case Kind.WAIT:
                self._wait(present=read_wait(frame))
            case Kind.END:
                require_plain(frame)
                self._end()
            case _:
                raise ProtocolError(f"card order is malformed: type {frame.type:#x}")

    def _report(self) -> None:
        self._end_opened()
        reports = []
        for index, setup in enumerate(self._setups):
            reports.append(self._report_of(index, setup))
            for frame in frames_of(reports[-1]):
                self._send(frame)
        self._reported = tokens_of(reports)
        self._send(plain(Kind.REPORTED))

    def _report_of(self, index: int, setup: ModuleSetup) -> ModuleReport:
        try:
            module = self._module(index)
        except TokenError as error:
            why = f"{error}{_loader_message(setup.path)}"
            return unusable_module(index, setup.path, setup.environment, why)
        return report_module(module, index, setup.path, setup.environment)

    def _module(self, index: int) -> Module:
        loaded = self._loaded.get(index)
        if loaded is None:
            loaded = self._loaded[index] = _Loaded(Module.load(self._setups[index].path))
        if loaded.finalized:
            loaded.module.initialize()
            loaded.module.drain_events()
            loaded.finalized = False
        return loaded.module

    def _sign(self, command: SignCommand) -> None:
        with secrets_from(self._secrets, int(command.target.has_secret)) as secrets:
            outcome = self._entered(command.target, secrets, lambda entry: sign(entry, command.candidates))
        self._send(outcome_frame(outcome))

    def _open(self, target: Target) -> None:
        with secrets_from(self._secrets, int(target.has_secret)) as secrets:
            outcome = self._entered(target, secrets, open_token)
        if isinstance(outcome, NotSigned):
            self._send(outcome_frame(outcome))
            return
        for frame in frames_of_token(outcome):
            self._send(frame)
        self._send(plain(Kind.OPENED))

    def _change(self, command: ChangeCommand) -> None:
        with secrets_from(self._secrets, 3 if command.target.has_secret else 0) as secrets:
            _current, new, again = secrets or (bytearray(), bytearray(), bytearray())
            outcome = self._entered(command.target, secrets, lambda entry: change_pin(entry, command.kind, new, again))
        self._send(outcome_frame(outcome) if isinstance(outcome, NotSigned) else plain(Kind.CHANGED))

    def _wait(self, *, present: bool) -> None:
        self._end_opened()
        modules: dict[int, Module] = {}
        for index in self._loaded:
            with contextlib.suppress(TokenError):
                modules[index] = self._module(index)
        if Watch(modules, self._reported).wait(present=present, interrupted=self._is_asked_within):
            self._send(plain(Kind.CAME))

    def _is_asked_within(self, seconds: float) -> bool:
        """Whether the verifier says something, or has gone, within this time."""
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def _entered(self, target: Target, secrets: tuple[bytearray, ...], work: Callable[[Entry], T]) -> T | NotSigned:
        """Carry out an order that needs a token; then end its session, unless a signature or an OPEN is to keep it."""
        loaded = self._loaded.get(target.module)
        if loaded is None:
            return NotSigned(CardFailure.TOKEN_REMOVED, sentences.MODULE_NOT_LOADED)
        opened = loaded.opened if target.way is PinWay.OPENED else None
        self._end_opened(but=opened)
        try:
            module = self._module(target.module)
        except TokenError as error:
            return NotSigned(CardFailure.TOKEN_REMOVED, clean_text(str(error)))
        entry = Entry(module, target, secrets[0] if secrets else bytearray(), self._memory.of(target.identity),
                      lambda: self._send(plain(Kind.PIN_SENT)))
        if target.way is PinWay.OPENED and not _take_over(entry, opened):
            return NotSigned(CardFailure.TOKEN_REMOVED, sentences.NOT_OPEN)
        outcome = carried_out(entry, lambda: work(entry))
        if opened is not None:
            wipe(opened.pin)
        loaded.opened = None
        if entry.session is not None and isinstance(outcome, Signature | TokenReport):
            loaded.opened = _Opened(entry.session, entry, for_sign=isinstance(outcome, TokenReport))
        elif entry.session is not None:
            loaded.finalized = ending.end_session(
                module, entry.session, target.slot_id, logged_in=entry.logged_in)
        return outcome

    def _end(self) -> None:
        for loaded in self._loaded.values():
            opened, loaded.opened = loaded.opened, None
            if opened is None:
                continue
            wipe(opened.pin)
            if not ending.is_opensc(loaded.module):
                ending.end_session(loaded.module, opened.session, opened.slot, logged_in=opened.logged_in)
        self._send(plain(Kind.ENDED))

    def _end_opened(self, *, but: _Opened | None = None) -> None:
        """End what an earlier order left open, before another order."""
        for loaded in self._loaded.values():
            opened = loaded.opened
            if opened is not None and opened is not but:
                wipe(opened.pin)
                loaded.opened = None
                loaded.finalized = ending.end_session(
                    loaded.module, opened.session, opened.slot, logged_in=opened.logged_in)

    def _receive(self) -> Frame:
        return self._channel.receive(time.monotonic() + IDLE_LIMIT)

    def _send(self, frame: Frame) -> None:
        self._channel.send(frame, time.monotonic() + _SEND_LIMIT)


def _take_over(entry: Entry, opened: _Opened | None) -> bool:
    """Let an order go on in the session that OPEN left; False if there is none for its slot."""
    if opened is None or opened.way is None or opened.slot != entry.target.slot_id:
        return False
    entry.session, entry.logged_in, entry.way, entry.pin = opened.session, opened.logged_in, opened.way, opened.pin
    return True


def set_environment(setups: Sequence[ModuleSetup], *, pinpad: bool) -> None:
    """Leave nothing in the environment but the modules' own variables, and where OpenSC finds our settings."""
    environment = {"OPENSC_CONF": OPENSC_PINPAD_CONF if pinpad else OPENSC_CONF, **merged_environment(setups)}
    os.environ.clear()
    os.environ.update(environment)


def _loader_message(path: str) -> str:
    """What the dynamic loader says about a file that it does not load; PyKCS11 keeps that to itself."""
    if not os.path.exists(path):
        return ": there is no such file"
    try:
        import _ctypes

        _ctypes.dlopen(path, os.RTLD_NOW)
    except (OSError, ImportError) as error:
        return f": {error}"
    return ""
