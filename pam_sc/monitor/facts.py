# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known about a session, what can happen to it, and what became of an attempt to lock it. Frozen values."""

from __future__ import annotations

import enum

from pam_sc.record import record

_PEOPLE = frozenset({"user", "user-early", "user-incomplete", "user-light", "user-early-light"})


@record(kw_only=True)
class SessionFacts:
    """A session as logind has it (org.freedesktop.login1(5))."""

    id: str
    path: str
    """The object path on the bus."""
    uid: int
    account: str
    type: str
    """Type: "wayland", "x11", "tty" and others."""
    session_class: str
    """Class: "user", "greeter", "background" and others."""
    remote: bool
    state: str
    """State: "opening", "online", "active", "closing"."""
    tty: str
    """TTY: without /dev/, such as "tty3"; "" for none."""
    display: str
    """Display: of X11."""
    locked: bool
    """LockedHint."""

    @property
    def is_watched(self) -> bool:
        """Whether it is a person's session at this machine, and going on: no greeter, nothing remote or in the background."""
        return self.session_class in _PEOPLE and not self.remote and self.state != "closing"

    @property
    def is_console(self) -> bool:
        """Whether it is text on a tty, where logind's Lock means nothing."""
        return self.type == "tty"


class Cause(enum.Enum):
    """Why a card counts as gone."""

    REMOVED = "removed"
    READER_REMOVED = "reader-removed"
    REPLACED = "replaced"
    """Another card is in its place."""
    GONE_AT_START = "gone-at-start"
    """It was not there when the monitor began to watch this session."""
    GONE_AFTER_SLEEP = "gone-after-sleep"
    NOT_WATCHED = "not-watched"
    """Nothing could be seen for `unwatched_s`."""
    UNLOCKED_MEANWHILE = "unlocked-meanwhile"
    """The screen was unlocked just after the removal, by what had begun with the card."""


@record
class CardGone:
    """The card of this session is gone for good: act."""

    session: str
    cause: Cause


@record
class CardBack:
    """The card of this session is there again: wake the dialog. It unlocks nothing."""

    session: str


Order = CardGone | CardBack


class Side(enum.Enum):
    """Which part of the work is whose."""

    SYSTEM = "system"
    """The system unit: speaks to logind about all sessions, starts nothing."""
    USER = "user"
    """The user unit beside a system unit: session bus and programs; logind's lock and the end are the other's."""
    ALONE = "alone"
    """A user unit without a system unit, or root by hand: everything."""


class Outcome(enum.Enum):
    """What became of one step, or of all. Only LOCKED and TERMINATED were seen to be true."""

    LOCKED = "locked"
    """Seen: logind's LockedHint, the screen saver's GetActive, the locker's own sign."""
    TERMINATED = "terminated"
    """Seen: logind has the session no more, or closes it."""
    STARTED = "started"
    """A locker runs, and has given no sign."""
    DONE = "done"
    """A program ended with status 0, or a call was taken: no lock was claimed or asked for."""
    LEFT_ALONE = "left-alone"
    """The policy or the kind of the session says so."""
    ELSEWHERE = "elsewhere"
    """Not this side's to do."""
    NOT_SEEN = "not-seen"
    """Asked for, and nothing showed that it happened."""
    FAILED = "failed"
    """Could not even be asked for."""


class Way(enum.Enum):
    """One step on the way from a removed card to a locked screen."""

    HINT = "locked-hint"
    """It was locked already."""
    LOGIND = "logind"
    GNOME = "gnome"
    """gsd-smartcard's own removal-action, which is left its time first."""
    SCREEN_SAVER = "screen-saver"
    LOCKER = "locker"
    CONSOLE_LOCKER = "console-locker"
    PARTNER = "user-unit"
    """What the user unit of the account reports to the system unit."""
    TERMINATE = "terminate"
    COMMAND = "command"
    WAKE = "wake"


@record(kw_only=True)
class Step:
    """What one way came to. Each is an event in the log."""

    session: str
    way: Way
    outcome: Outcome
    detail: str = ""
    """For people: which interface, which program, which error. No personal data."""
