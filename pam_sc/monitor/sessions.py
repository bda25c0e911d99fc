# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cards of the sessions there are, told anew whenever they change; and which of those sessions are watched.

The kernel tells of changes in /run/pam_sc/sessions (F_NOTIFY, fcntl(2)) by SIGIO, and of the folders above it as long as
it is missing or when it is replaced. A file whose session logind has no more counts as none, so that the caller has to
`look` when a session comes or goes. Where the kernel cannot tell, `untold` says why, and the folder is looked at on a timer.
What cannot be read is said, too: a monitor that sees no session must not look like one that has none to see.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterable
from typing import Protocol

from pam_sc.host import SESSIONS as LOGIND_SESSIONS
from pam_sc.monitor.facts import SessionFacts
from pam_sc.record import record
from pam_sc.session import FOLDER, SUFFIX, SessionCard, read_session_cards

UNTOLD_S = 10.0
"""Between two looks where the kernel does not tell."""
_CHANGES = fcntl.DN_CREATE | fcntl.DN_RENAME | fcntl.DN_DELETE | fcntl.DN_MULTISHOT
_LEVELS = 3
"""The folder and the two above it: /run/pam_sc and /run."""

_NAMED = 5
"""Files that a message names at most."""

Cards = tuple[SessionCard, ...]


class FactsOfSessions(Protocol):
    """Logind, as far as it is needed here."""

    async def session(self, session: str) -> SessionFacts | None:
        """Return what is known of a session, None if there is no such session; MonitorError."""


async def find_watched(cards: Iterable[SessionCard], logind: FactsOfSessions) -> tuple[tuple[SessionCard, SessionFacts], ...]:
    """Return the cards whose sessions are to be watched, each with its session; MonitorError.

    It must be a person's session at this machine, and logind must say that it is of the account that the file says.
    """
    known = [(card, await logind.session(card.session)) for card in cards]
    return tuple((card, facts) for card, facts in known if facts is not None and facts.is_watched and facts.uid == card.uid)


@record(kw_only=True)
class Where:
    """Where the files are, and whose they must be."""

    folder: str = FOLDER
    logind: str = LOGIND_SESSIONS
    owner: int = 0


def _ask_kernel(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_NOTIFY, _CHANGES)


class SessionWatch:
    """Tells the cards of all sessions, or of those of one account, at the start and after each change.

    One in a process, in its main thread: SIGIO has one handler.
    """

    def __init__(
        self, tell: Callable[[Cards], None], uid: int | None = None, where: Where | None = None,
        *, ask: Callable[[int], None] = _ask_kernel, untold_s: float = UNTOLD_S, complain: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._tell, self._uid, self._where, self._ask = tell, uid, where or Where(), ask
        self._untold_s, self._complain = untold_s, complain
        self._complained: tuple[str, str] = ("", "")
        self._told: Cards | None = None
        self._folders: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.untold = ""
        """Why the kernel does not tell of changes; "" where it does."""
        self.unread = ""
        """Which files this process may not read, although all sessions are its business; "" where it reads all."""

    def start(self) -> None:
        """Begin: tells at once."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGIO, self.look)
        self.look()

    def look(self) -> None:
        """Read the files, and tell if anything is different from what was told."""
        self._watch()  # first: what changes after this is told of
        cards = read_session_cards(self._uid, self._where.folder, self._where.logind, self._where.owner)
        self.unread = "" if self._uid is not None else _unreadable(self._where)
        self._say_what_is_missing()
        if cards != self._told:
            self._told = cards
            self._tell(cards)

    def _say_what_is_missing(self) -> None:
        """Say what cannot be seen, each time that it is something else."""
        before, self._complained = self._complained, (self.unread, self.untold)
        if self.unread and self.unread != before[0]:
            self._complain(f"sessions whose card is not known are not watched: {self.unread}")
        if self.untold and self.untold != before[1]:
            self._complain(f"{self.untold}; it is looked at every {self._untold_s:g} s")

    @property
    def cards(self) -> Cards:
        """What was told last."""
        return self._told or ()

    def stop(self) -> None:
        """End."""
        for descriptor in self._folders.values():
            os.close(descriptor)  # before the handler goes: SIGIO without one ends a process
        self._folders.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_signal_handler(signal.SIGIO)
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def _watch(self) -> None:
        """Ask the kernel for word of each folder on the way that is there, again for one that was replaced.

        From above: what is made below one that is watched already is told of.
        """
        self.untold = ""
        way = [self._where.folder]
        while len(way) < _LEVELS:
            way.insert(0, os.path.dirname(way[0]))
        for path in way:
            self._watch_folder(path)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._untold_s, self.look) if self.untold else None

    def _watch_folder(self, path: str) -> None:
        watched = self._folders.pop(path, None)
        if watched is not None and _is_still(watched, path):
            self._folders[path] = watched
            return
        if watched is not None:
            os.close(watched)
        with contextlib.suppress(OSError):  # not there, or not to be read: the one above tells when that changes
            self._folders[path] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if path in self._folders:
            self._ask_for(path, self._folders[path])

    def _ask_for(self, path: str, descriptor: int) -> None:
        try:
            self._ask(descriptor)
        except OSError as error:
            os.close(self._folders.pop(path))
            self.untold = f"the kernel does not tell of changes in {path}: {error.strerror}"


def _unreadable(where: Where) -> str:
    try:
        names = sorted(name for name in os.listdir(where.folder) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot read {where.folder}: {error.strerror}"
    closed = [name for name in names if os.path.lexists(path := f"{where.folder}/{name}") and not os.access(path, os.R_OK)]
    return f"cannot read {where.folder}: {', '.join(closed[:_NAMED])}: permission denied" if closed else ""


def _is_still(descriptor: int, path: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    return False
