# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card process at work: orders in, answers out, one after the other. See messages.py for the messages.

Everything that is slow to import is imported here, before the sandbox; a module is loaded only inside it. Between two
orders no session is open, except after a signature: then the process waits to be ended or killed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from pam_sc.card import ending, sentences
from pam_sc.card.ckr import TokenError
from pam_sc.card.messages import (
    Kind,
    ModuleSetup,
    RunAs,
    Signature,
    SignCommand,
    failed_frame,
    merged_environment,
    outcome_frame,
    plain,
    read_module,
    read_setup,
    read_sign,
    require_plain,
)
from pam_sc.card.module import Module, Session
from pam_sc.card.pin import secret_from
from pam_sc.card.report import read_module as report_module
from pam_sc.card.report import unusable_module
from pam_sc.card.report_messages import frames_of
from pam_sc.card.signing import sign
from pam_sc.card.text import clean_text
from pam_sc.decision.card_report import ModuleReport
from pam_sc.decision.evidence import CardFailure, NotSigned
from pam_sc.errors import ChannelClosed, ConfigError, ProtocolError
from pam_sc.frames import Channel, Frame

Confine = Callable[[int, int, list[int], list[str]], None]

OPENSC_CONF = os.path.join(os.path.dirname(__file__), "opensc.conf")
IDLE_LIMIT = 900.0
"""Seconds without an order after which the process ends by itself; a person has 300 for all prompts of a login."""
_SEND_LIMIT = 30.0


class _Loaded:
    """A module at work. `opened`: the session of a signature and its slot, until END."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.finalized = False
        self.opened: tuple[Session, int] | None = None


class CardServer:
    """One card process: its channel to the verifier, its secrets, its modules."""

    def __init__(self, channel: Channel, secrets: int, confine: Confine) -> None:
        self._channel = channel
        self._secrets = secrets
        self._confine = confine
        self._setups: list[ModuleSetup] = []
        self._loaded: dict[int, _Loaded] = {}

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
        run_as, count = read_setup(frame)
        for _ in range(count):
            frame = self._receive()
            if frame.type != Kind.MODULE:
                raise ProtocolError(f"card order is malformed: type {frame.type:#x} in place of MODULE")
            self._setups.append(read_module(frame))
        return self._enter(run_as)

    def _enter(self, run_as: RunAs | None) -> bool:
        """Set the environment and enter the sandbox, before any module is loaded."""
        try:
            set_environment(self._setups)
        except ConfigError as error:
            self._send(failed_frame("setup", clean_text(str(error))))
            return False
        account = run_as or RunAs(-1, -1, ())
        allow = [name for setup in self._setups for name in setup.allow]
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
            case Kind.END:
                require_plain(frame)
                self._end()
            case _:
                raise ProtocolError(f"card order is malformed: type {frame.type:#x}")

    def _report(self) -> None:
        for index, setup in enumerate(self._setups):
            for frame in frames_of(self._report_of(index, setup)):
                self._send(frame)
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
        with secret_from(self._secrets) as pin:
            outcome = self._signed(command, pin)
        self._send(outcome_frame(outcome))

    def _signed(self, command: SignCommand, pin: bytearray) -> Signature | NotSigned:
        if command.module not in self._loaded:
            return NotSigned(CardFailure.TOKEN_REMOVED, sentences.MODULE_NOT_LOADED)
        self._end_opened()
        try:
            module = self._module(command.module)
        except TokenError as error:
            return NotSigned(CardFailure.TOKEN_REMOVED, clean_text(str(error)))
        attempt = sign(module, command, pin, lambda: self._send(plain(Kind.PIN_SENT)))
        loaded = self._loaded[command.module]
        if attempt.session is None:
            return attempt.outcome
        if isinstance(attempt.outcome, Signature):
            loaded.opened = (attempt.session, command.slot_id)
        else:
            loaded.finalized = ending.end_session(module, attempt.session, command.slot_id, logged_in=attempt.logged_in)
        return attempt.outcome

    def _end(self) -> None:
        for loaded in self._loaded.values():
            if loaded.opened is not None and not ending.is_opensc(loaded.module):
                ending.end_verification(loaded.module, *loaded.opened)
                loaded.opened = None
        self._send(plain(Kind.ENDED))

    def _end_opened(self) -> None:
        """End what an earlier signature left open, before another order."""
        for loaded in self._loaded.values():
            if loaded.opened is not None:
                loaded.finalized = ending.end_session(loaded.module, *loaded.opened, logged_in=True)
                loaded.opened = None

    def _receive(self) -> Frame:
        return self._channel.receive(time.monotonic() + IDLE_LIMIT)

    def _send(self, frame: Frame) -> None:
        self._channel.send(frame, time.monotonic() + _SEND_LIMIT)


def set_environment(setups: Sequence[ModuleSetup]) -> None:
    """Leave nothing in the environment but the modules' own variables, and where OpenSC finds our settings."""
    environment = {"OPENSC_CONF": OPENSC_CONF, **merged_environment(setups)}
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
