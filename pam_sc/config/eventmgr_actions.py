# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a command of pkcs11_eventmgr.conf or card_eventmgr.conf is for: locking, waking, unlocking, ending, or anything else.

Known by the name of its program and its arguments alone; nothing is started or looked for. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from pam_sc.record import record


class Purpose(enum.Enum):
    """What a command does to the session."""

    LOCK = "lock"
    WAKE = "wake"
    UNLOCK = "unlock"
    """Or ends the locker, which is the same."""
    END = "end"
    OTHER = "other"


@record(kw_only=True)
class Meaning:
    """The purpose of a command, and for a locker what stands under `locker` or `console_locker`."""

    purpose: Purpose
    locker: Mapping[str, Any] | None = None
    """None of a command that only asks for what the monitor asks for itself."""
    is_console: bool = False


_ASKS_X = {"query": "-time", "text": "screen locked"}
_ASKS_DESKTOP = {"query": "--query", "text": "is active"}
_SAVERS: Mapping[str, Mapping[str, str]] = {
    "xscreensaver-command": _ASKS_X,
    "gnome-screensaver-command": _ASKS_DESKTOP,
    "mate-screensaver-command": _ASKS_DESKTOP,
    "cinnamon-screensaver-command": _ASKS_DESKTOP,
    "ukui-screensaver-command": _ASKS_DESKTOP,
    "xfce4-screensaver-command": _ASKS_DESKTOP,
    "light-locker-command": _ASKS_DESKTOP,
}
"""Commands that ask a screen saver, with how each tells of the lock."""
_SAVER_WORDS: Mapping[str, Purpose] = {
    "lock": Purpose.LOCK, "l": Purpose.LOCK,
    "deactivate": Purpose.WAKE, "d": Purpose.WAKE, "poke": Purpose.WAKE, "p": Purpose.WAKE,
    "exit": Purpose.UNLOCK, "e": Purpose.UNLOCK, "restart": Purpose.UNLOCK,
}  # fmt: skip
_LOCKERS: Mapping[str, tuple[str, ...]] = {
    "i3lock": (), "swaylock": ("-f", "--daemonize"), "gtklock": ("-d", "--daemonize"), "waylock": ("-fork-on-lock",),
    "hyprlock": (), "xlock": (), "slock": (), "xsecurelock": (), "xtrlock": (), "vlock": (), "physlock": (), "xflock4": (),
}  # fmt: skip
"""Lockers, each with the words of which one makes it go on in the background once it has locked."""
_STAYS = ("-n", "--nofork")
_CONSOLE = ("vlock", "physlock")
_DAEMONS = frozenset({*_LOCKERS, *(name.removesuffix("-command") for name in _SAVERS)})
_VERBS: Mapping[str, Mapping[str, Purpose]] = {
    "loginctl": {
        "lock-session": Purpose.LOCK, "lock-sessions": Purpose.LOCK,
        "unlock-session": Purpose.UNLOCK, "unlock-sessions": Purpose.UNLOCK,
        "terminate-session": Purpose.END, "kill-session": Purpose.END,
    },
    "xdg-screensaver": {"lock": Purpose.LOCK, "reset": Purpose.WAKE},
    "dm-tool": {"lock": Purpose.LOCK},
}  # fmt: skip
_BUS_TOOLS = ("qdbus", "dbus-send", "gdbus", "busctl")
_BUS_NAMES = ("screensaver", "login1")
_METHODS: Mapping[str, Purpose] = {
    "Lock": Purpose.LOCK, "LockSession": Purpose.LOCK, "Unlock": Purpose.UNLOCK, "UnlockSession": Purpose.UNLOCK,
    "SimulateUserActivity": Purpose.WAKE, "TerminateSession": Purpose.END, "Terminate": Purpose.END,
}  # fmt: skip


def meaning_of(command: Sequence[str]) -> Meaning:
    """Return what a program with these arguments is for."""
    name, arguments = command[0].rpartition("/")[2], tuple(command[1:])
    if name in _SAVERS:
        return _of_saver(command, _SAVERS[name])
    if name in _LOCKERS:
        return _of_locker(name, command)
    if name in _VERBS:
        verbs = _VERBS[name]
        purpose = next((verbs[word] for word in arguments if word in verbs), Purpose.OTHER)
        own = name == "loginctl" or purpose is not Purpose.LOCK
        return Meaning(purpose=purpose, locker=None if own else {"run": list(command)})
    if name.startswith(_BUS_TOOLS):
        return Meaning(purpose=_of_call(arguments))
    if name in ("pkill", "killall", "kill") and _DAEMONS & {word.rpartition("/")[2] for word in arguments}:
        return Meaning(purpose=Purpose.UNLOCK)
    return Meaning(purpose=Purpose.OTHER)


def _of_saver(command: Sequence[str], asked: Mapping[str, str]) -> Meaning:
    words = (word.lstrip("-") for word in command[1:] if word.startswith("-"))
    purpose = next((_SAVER_WORDS[word] for word in words if word in _SAVER_WORDS), Purpose.OTHER)
    if purpose is not Purpose.LOCK:
        return Meaning(purpose=purpose)
    sign = {"query": [command[0], asked["query"]], "text": asked["text"]}
    return Meaning(purpose=purpose, locker={"run": list(command), "sign": sign})


def _of_locker(name: str, command: Sequence[str]) -> Meaning:
    """i3lock goes on in the background by itself, unless it is told not to; others only when they are told."""
    words = set(command[1:])
    leaves = not words & set(_STAYS) if name == "i3lock" else bool(words & set(_LOCKERS[name]))
    sign = {"sign": "exit"} if leaves else {}
    return Meaning(purpose=Purpose.LOCK, locker={"run": list(command), **sign}, is_console=name in _CONSOLE)


def _of_call(arguments: Sequence[str]) -> Purpose:
    """A call of a screen saver or of logind: by the last part of a word, such as org.freedesktop.ScreenSaver.Lock."""
    if not any(name in word.lower() for word in arguments for name in _BUS_NAMES):
        return Purpose.OTHER
    methods = (word.rpartition(".")[2] for word in arguments)
    return next((_METHODS[word] for word in methods if word in _METHODS), Purpose.OTHER)
