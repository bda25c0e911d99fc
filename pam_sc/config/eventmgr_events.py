# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the events of pkcs11_eventmgr.conf or card_eventmgr.conf do, as keys of [monitor]. Nothing is started. Pure.

In the peer, which runs each action with /bin/sh, and in [monitor]:

    event        its actions                            here
    -----------  -------------------------------------  -----------------------------------------------------
    card_remove  none                                   action = "nothing"
                 some, a known locker among them        action = "lock", the locker as the last resort, on_remove
                 others alone                           action = "command", on_remove
    card_insert  what wakes the screen                  wake = true
                 others                                 on_insert
    expire_time  loginctl terminate-session             action = "lock-then-terminate", where it was "lock"
                 others                                 on_absent, once
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pam_sc.config.eventmgr_actions import Meaning, Purpose, meaning_of
from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import Section, shown
from pam_sc.config.shell_words import NeedsShellError, split_command
from pam_sc.record import record

ON_ERROR = ("ignore", "return", "quit")
_OF_THE_SESSION = frozenset({
    "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "HOME", "USER", "LOGNAME", "PATH",
})  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_OTHER_ACCOUNT = ("su", "sudo", "runuser", "doas", "pkexec")


@record
class Command:
    """One action: the program and its arguments, and what it is for."""

    arguments: tuple[str, ...]
    meaning: Meaning


def read_commands(section: Section) -> tuple[Command, ...]:
    """Return the actions of an event, each without its shell; an ERROR note for one that needs it."""
    commands = (_command(section, text) for text in section.words("action") or ())
    return tuple(command for command in commands if command is not None)


def _command(section: Section, text: str) -> Command | None:
    try:
        assignments, arguments = split_command(text)
        assignments, arguments = _as_session(section, *_without_env(assignments, arguments))
    except NeedsShellError as why:
        section.note(NoteKind.ERROR, "action", f"{shown(text)} cannot be carried over, because no shell runs it here: {why}; put"
                     " it into a script that only root can change, and name that")
        return None
    if not arguments:
        section.note(NoteKind.DEAD, "action", f"{shown(text)} runs no program")
        return None
    kept = _kept(section, assignments)
    return Command(("env", *kept, *arguments) if kept else arguments, meaning_of(arguments))


def _without_env(assignments: Sequence[str], arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`env A=b program` is `A=b program`."""
    rest = tuple(arguments)
    if rest and rest[0].rpartition("/")[2] == "env":
        count = next((at for at, word in enumerate(rest[1:], 1) if not _ASSIGNMENT.match(word)), len(rest))
        return (*assignments, *rest[1:count]), rest[count:]
    return tuple(assignments), rest


def _kept(section: Section, assignments: Sequence[str]) -> tuple[str, ...]:
    """The variables that the session has not got by itself."""
    names = [each.partition("=")[0] for each in assignments]
    own = sorted(set(names) & _OF_THE_SESSION)
    if own:
        section.note(NoteKind.DIFFERENT, "action", f"{', '.join(own)} are those of the session, and not what is set here")
    return tuple(each for each, name in zip(assignments, names, strict=True) if name not in _OF_THE_SESSION)


def _as_session(
    section: Section, assignments: tuple[str, ...], arguments: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take `sudo -u alice program` and `su alice -c "program"` for what they run: it runs as the session's account anyway."""
    if not arguments or arguments[0].rpartition("/")[2] not in _OTHER_ACCOUNT:
        return assignments, arguments
    inner = _inner_command(arguments)
    if inner is None:
        raise NeedsShellError(f"{arguments[0]!a} asks for another account, and a program here runs as the account of the session")
    section.note(NoteKind.DIFFERENT, "action", f"runs as the account of the session, without {shown(arguments[0])}")
    before, command = _without_env(*inner)
    return (*assignments, *before), command


def _inner_command(arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    name, rest = arguments[0].rpartition("/")[2], list(arguments[1:])
    if name in ("su", "runuser") and len(rest) >= 2 and "-c" in rest[:-1]:
        at = rest.index("-c")
        others = [word for word in (*rest[:at], *rest[at + 2 :]) if word not in ("-", "-l", "--login")]
        return split_command(rest[at + 1]) if len(others) == 1 and not others[0].startswith("-") else None
    if name in ("sudo", "runuser") and rest[:1] == ["-u"] and len(rest) > 2:
        command = rest[2:][1:] if rest[2] == "--" else rest[2:]
        return ((), tuple(command)) if command and not command[0].startswith("-") else None
    return None


# ---------------------------------------------------------------- the events


def put_removal(section: Section) -> None:
    """Put what card_remove does into the tree: the action, a locker, other programs."""
    commands = _allowed(section, read_commands(section))
    lockers = [command for command in commands if command.meaning.purpose is Purpose.LOCK]
    ends = any(command.meaning.purpose is Purpose.END for command in commands)
    others = [each for each in commands if each.meaning.purpose not in (Purpose.LOCK, Purpose.END)]
    if lockers:
        section.put(("monitor", "action"), "lock", "action")
        _put_lockers(section, lockers)
        if ends:
            section.note(NoteKind.UNSAFE, "action", "the session is locked and not ended; to end it after a time: action ="
                         ' "lock-then-terminate" with terminate_after')
    elif ends:
        section.put(("monitor", "action"), "terminate", "action")
    elif others:
        section.put(("monitor", "action"), "command", "action")
        section.note(NoteKind.UNSAFE, "action", "no program that is known to lock is among these, so that nobody looks whether"
                     ' the session is locked; put the locker into locker, with action = "lock"')
    else:
        section.put(("monitor", "action"), "nothing", "action")
        section.note(NoteKind.UNSAFE, "card_remove", "nothing is done when a card is removed; to lock the session: action ="
                     ' "lock"', section.line)
    put_programs(section, "on_remove", others)


def put_insertion(section: Section) -> None:
    """Put what card_insert does into the tree. No insertion unlocks anything."""
    commands = _allowed(section, read_commands(section))
    if any(command.meaning.purpose is Purpose.WAKE for command in commands):
        section.put(("monitor", "wake"), True, "action")
        section.note(NoteKind.DIFFERENT, "action", "the screen is woken by the monitor itself (wake = true), and the PIN is asked"
                     " for")
    put_programs(section, "on_insert", [each for each in commands if each.meaning.purpose is not Purpose.WAKE])


def put_absence(section: Section, after_s: int, tree: Mapping[str, Any]) -> None:
    """Put what expire_time does after so many seconds into the tree."""
    commands = _allowed(section, read_commands(section))
    monitor: Mapping[str, Any] = tree.get("monitor", {})
    if monitor.get("action") == "lock" and any(each.meaning.purpose is Purpose.END for each in commands):
        section.put(("monitor", "action"), "lock-then-terminate", "action")
        section.put(("monitor", "terminate_after"), after_s, "action")
        commands = tuple(each for each in commands if each.meaning.purpose is not Purpose.END)
    if commands:
        section.put(("monitor", "absent"), after_s, "action")
        section.note(NoteKind.DIFFERENT, "action", f"runs once, when the card has been away for {after_s} seconds, and not again"
                     " and again")
    if any(each.meaning.purpose is Purpose.LOCK for each in commands):
        section.note(NoteKind.UNSAFE, "action", "whether this locks the session is not looked at, and the session is open until"
                     ' then; action = "lock" locks it at once')
    put_programs(section, "on_absent", commands)


def put_programs(section: Section, key: str, commands: Sequence[Command]) -> None:
    """Put programs into the tree, with what follows when one fails."""
    on_error = section.word("on_error") or ON_ERROR[0]
    if on_error not in ON_ERROR:
        section.note(NoteKind.UNKNOWN, "on_error", f"found {shown(on_error)}, expected one of {', '.join(ON_ERROR)}; taken as"
                     " ignore, as there")
        on_error = ON_ERROR[0]
    if not commands:
        return
    programs = [list(command.arguments) for command in commands]
    table = {"programs": programs, "on_error": on_error}
    section.put(("monitor", key), programs if on_error == ON_ERROR[0] else table, "action")
    section.note(NoteKind.DIFFERENT, "action", "runs as the account of the session and never as root, without a shell, and is"
                 " killed after 10 seconds; what happened is in variables of its environment")


def _put_lockers(section: Section, lockers: Sequence[Command]) -> None:
    for key, is_console in (("locker", False), ("console_locker", True)):
        found = [each for each in lockers if each.meaning.locker is not None and each.meaning.is_console is is_console]
        if found:
            section.put(("monitor", key), _locker_of(found[0]), "action")
        for each in found[1:]:
            section.note(NoteKind.UNSAFE, "action", f"{shown(' '.join(each.arguments))} is left out, because there is one {key}:"
                         f" {shown(' '.join(found[0].arguments))}; choose")
    section.note(NoteKind.DIFFERENT, "action", "the session is locked by logind or the desktop's screen saver, and by the locker"
                 " that is named here only where no lock was seen")


def _locker_of(command: Command) -> dict[str, Any]:
    return {**(command.meaning.locker or {}), "run": list(command.arguments)}


def _allowed(section: Section, commands: Sequence[Command]) -> tuple[Command, ...]:
    return tuple(_without_unlocking(section, commands))


def _without_unlocking(section: Section, commands: Sequence[Command]) -> Iterator[Command]:
    for command in commands:
        if command.meaning.purpose is Purpose.UNLOCK:
            section.note(NoteKind.UNSAFE, "action", f"{shown(' '.join(command.arguments))} is left out: it unlocks the session,"
                         " or ends its locker, for any card; only the PIN unlocks")
        else:
            yield command
