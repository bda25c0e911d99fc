# SPDX-License-Identifier: LGPL-2.1-or-later
"""The watcher: a card process of the monitor that only looks which readers or slots are occupied, and tells each change.

It lives as long as the monitor, in the sandbox of a card process, with one PKCS#11 module or with PC/SC alone. It
ends with its parent: the kernel kills it, also while it is blocked in a library. It sees no PIN, never logs in, opens no
session, and nobody believes what it says.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from pam_sc.card.messages import (
    Kind,
    ModuleSetup,
    ProcessSetup,
    RunAs,
    failed_frame,
    merged_environment,
    plain,
    read_module,
    read_setup,
)
from pam_sc.card.presence import (
    WATCH_CONF,
    LostError,
    MissingError,
    Occupancy,
    Presence,
    Sight,
    Way,
    presence_frame,
    read_watch,
)
from pam_sc.card.text import clean_text
from pam_sc.errors import ConfigError, DeadlineExceeded, PamScError, ProtocolError
from pam_sc.frames import CARD_PAYLOAD_MAX, Channel, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    Confine = Callable[[int, int, list[int], list[str]], None]

CHANNEL_FD = 3
_ORDER_S = 30.0
_SEND_S = 30.0


def main() -> int:
    """Watch on the descriptor that pam_sc_worker left, confined by it; the exit status."""
    import _pam_sc

    gc.enable()  # which pam_sc_worker turns off for processes of one login
    # A terminal and systemd send these to all: the monitor ends this process when it ends, and is not to miss it before.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return run(CHANNEL_FD, _pam_sc.drop_and_confine_watcher)


def run(channel: int, confine: Confine) -> int:
    """Watch until there is nobody to tell, or nothing can be seen any more; the exit status."""
    stream = Channel(socket.socket(fileno=channel), CARD_PAYLOAD_MAX)
    try:
        return _Watcher(stream, confine).run()
    except (ProtocolError, DeadlineExceeded, OSError):
        return 1


def watching_environment(modules: tuple[ModuleSetup, ...]) -> dict[str, str]:
    """The modules' own variables, and where OpenSC finds settings with which nobody else's card is disturbed."""
    return {"OPENSC_CONF": WATCH_CONF, **merged_environment(modules)}


class _Watcher:
    def __init__(self, channel: Channel, confine: Confine) -> None:
        self._channel = channel
        self._confine = confine

    def run(self) -> int:
        try:
            self._watch(self._set_up())
        except MissingError as error:
            self._send(failed_frame("missing", clean_text(str(error))))
        except PamScError as error:
            if isinstance(error, ProtocolError | DeadlineExceeded):
                raise
            self._send(failed_frame("lost", clean_text(str(error))))
        return 1

    def _set_up(self) -> Sight:
        """Read the order, import what it needs, enter the sandbox, and only then load the module."""
        setup = read_setup(self._receive(Kind.SETUP))
        modules = tuple(read_module(self._receive(Kind.MODULE)) for _ in range(setup.modules))
        way, poll_ms = read_watch(self._receive(Kind.WATCH))
        try:
            environment = watching_environment(modules)
        except ConfigError as error:
            raise LostError(str(error)) from error
        os.environ.clear()
        os.environ.update(environment)
        if way is Way.PCSC:
            from pam_sc.card.pcsc_watch import PcscSight, load_pcsc

            scard = load_pcsc()
            self._enter(setup, modules)
            return PcscSight(scard)
        from pam_sc.card.module import Module
        from pam_sc.card.slot_watch import SlotSight

        self._enter(setup, modules)
        self._send(plain(Kind.LOOKING))
        return SlotSight(Module.load(modules[0].path), events=way is Way.SLOTS, poll_s=poll_ms / 1000)

    def _enter(self, setup: ProcessSetup, modules: tuple[ModuleSetup, ...]) -> None:
        account = setup.run_as or RunAs(-1, -1, ())
        try:
            self._confine(account.uid, account.gid, list(account.groups), [n for m in modules for n in m.allow])
        except (OSError, ValueError) as error:
            raise LostError(f"the watcher cannot be isolated: {error}") from error
        self._send(plain(Kind.READY))

    def _watch(self, sight: Sight) -> None:
        told: tuple[Occupancy, ...] | None = None
        while True:
            if sight.may_hang:
                self._send(plain(Kind.LOOKING))
            places = sight.look()
            if sight.may_hang or places != told:
                self._send(presence_frame(Presence(sight.source, places)))
            told = places
            sight.wait()

    def _receive(self, kind: Kind) -> Frame:
        frame = self._channel.receive(time.monotonic() + _ORDER_S)
        if frame.type != kind:
            raise ProtocolError(f"card order is malformed: type {frame.type:#x} in place of {kind.name}")
        return frame

    def _send(self, frame: Frame) -> None:
        self._channel.send(frame, time.monotonic() + _SEND_S)
