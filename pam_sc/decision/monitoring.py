# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is to be done when the card of a session is removed, as frozen values: [monitor] of pam_sc.toml. Pure.

Only the monitor imports this; a login does not.
"""

from __future__ import annotations

import enum

from pam_sc.decision.policy import Members
from pam_sc.record import field, record


class Action(enum.Enum):
    """What the removal of its card means for a session."""

    LOCK = "lock"
    LOCK_THEN_TERMINATE = "lock-then-terminate"
    """Lock; end the session if the card is not back after `terminate_after_s`, whatever else was unlocked meanwhile."""
    TERMINATE = "terminate"
    COMMAND = "command"
    """Run `commands`, and nothing else."""
    NOTHING = "nothing"


class Otherwise(enum.Enum):
    """What follows where no lock was seen: an event of severity ERR alone, or the end of the session as well."""

    REPORT = "report"
    TERMINATE = "terminate"


class OnError(enum.Enum):
    """What follows a command that failed: the next one, none of the others, or the end of the monitor as well."""

    IGNORE = "ignore"
    RETURN = "return"
    QUIT = "quit"


class RunAs(enum.Enum):
    """Whom a program runs as: the account of the session, or root where the monitor itself was started by root."""

    SESSION = "session"
    ROOT = "root"


class WatchBy(enum.Enum):
    """How removal is seen. AUTO: PC/SC where pyscard is installed, else slot events, else polling."""

    AUTO = "auto"
    PCSC = "pcsc"
    SLOTS = "slots"
    POLL = "poll"


@record(kw_only=True)
class Program:
    """A program with its arguments. No shell reads them; what is to be known is in the environment."""

    arguments: tuple[str, ...]
    """The first is an absolute path, or a name that is looked for in /usr/local/bin, /usr/bin, /bin and no PATH."""
    limit_s: float = 10.0
    """Then it is killed, with all that it has started. Not for a locker, which may stay."""
    run_as: RunAs = RunAs.SESSION


class Sign(enum.Enum):
    """How a locker says that it has locked."""

    EXIT = "exit"
    """It ends with status 0 when the screen is locked, and goes on in the background (swaylock -f, i3lock)."""
    QUERY = "query"
    """`query` prints a line that has `locked_text` in it (xscreensaver-command -time)."""
    NONE = "none"
    """It does not: alive after two seconds it was started, no more."""


@record(kw_only=True)
class Locker:
    """A screen locker that is started in the session where nothing else has locked it."""

    program: Program
    sign: Sign = Sign.NONE
    query: Program | None = None
    locked_text: str = ""


@record(kw_only=True)
class Commands:
    """Programs that run one after the other at an event."""

    programs: tuple[Program, ...] = ()
    on_error: OnError = OnError.IGNORE


@record(kw_only=True)
class SessionPolicy:
    """What holds for one session."""

    action: Action = Action.LOCK
    terminate_after_s: float = 300.0
    otherwise: Otherwise = Otherwise.REPORT
    """Of a graphical session: one that is locked without a sign of it would lose the person's work."""
    console_otherwise: Otherwise = Otherwise.TERMINATE
    """Of a session on a tty: nothing but a locker of one's own could lock it."""
    locker: Locker | None = None
    console_locker: Locker | None = None
    """Runs on the session's tty. logind's Lock means nothing there."""
    on_remove: Commands = field(default_factory=Commands)
    """After the lock was asked for; with Action.COMMAND instead of it."""
    on_insert: Commands = field(default_factory=Commands)
    on_absent: Commands = field(default_factory=Commands)
    """Once, when the card has been away for `absent_s` (the peer's expire_time)."""
    absent_s: float = 0.0
    """0: never."""


@record(kw_only=True)
class Rule:
    """For which sessions another policy holds. None: any."""

    services: frozenset[str] | None = None
    """The PAM service that opened the session."""
    members: Members | None = None
    types: frozenset[str] | None = None
    """logind's Type: "wayland", "x11", "tty", "mir", "web", "unspecified"."""
    policy: SessionPolicy

    def covers(self, *, service: str, account: str, groups: frozenset[str], session_type: str) -> bool:
        """Say whether a session is meant."""
        return (
            (self.services is None or service in self.services)
            and (self.members is None or self.members.has(account, groups))
            and (self.types is None or session_type in self.types)
        )


@record(kw_only=True)
class MonitorPolicy:
    """All of [monitor]. Times are in seconds."""

    watch: WatchBy = WatchBy.AUTO
    poll_s: float = 1.0
    """Between two looks where nothing tells of removals."""
    grace_s: float = 0.1
    """A card that is back in its reader within this time was not removed."""
    reader_grace_s: float = 2.0
    """The same for a reader that goes with the card in it: hubs and drivers reset them."""
    resume_grace_s: float = 10.0
    """The same for a reader that is not back yet after the machine slept; one that is back empty has no such grace."""
    unwatched_s: float = 60.0
    """A card that could not be watched for so long counts as removed. 0: never."""
    lock_wait_s: float = 2.0
    """How long each way to lock has until it must be seen."""
    wake: bool = True
    """The card's return wakes the screen, so that the dialog asks for the PIN."""
    whole: SessionPolicy = field(default_factory=SessionPolicy)
    rules: tuple[Rule, ...] = ()
    """The first that covers a session holds, else `whole`."""

    def for_session(self, *, service: str, account: str, groups: frozenset[str], session_type: str) -> SessionPolicy:
        """Return what holds for a session."""
        found = (
            rule.policy
            for rule in self.rules
            if rule.covers(service=service, account=account, groups=groups, session_type=session_type)
        )
        return next(found, self.whole)
