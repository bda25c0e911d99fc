# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the monitor did last for each session, kept in a file, so that a restarted one acts on no absence twice.

One JSON object, written whole and renamed into place; where it lies is the caller's. It is a hint of this boot and of
sessions that still are the same (their beginning, their card): a file of an earlier boot, of another owner, too large or
malformed counts as none, and a session's entry is only believed for the very session. Nothing of it can unlock anything,
and without it a session is locked once more than it had to be. An attempt that nobody saw succeed is not "acted on".
"""

from __future__ import annotations

import datetime
import json
import os
import stat
import time
from collections.abc import Callable, Iterable

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import CardGone, Outcome
from pam_sc.record import record, replace
from pam_sc.session import SessionCard, session_beginning

SYSTEM_FILE = "/run/pam_sc_monitor/state.json"
USER_FILE = "pam_sc/monitor.json"
"""In $XDG_RUNTIME_DIR."""
STATE_MAX = 262144
ENTRIES_MAX = 256
_VERSION = 1
_TEXT_MAX = 128
_UNSEEN = frozenset({Outcome.NOT_SEEN, Outcome.FAILED})
_NUMBER_MAX = 1e12
_NUMBERS = ("began", "since_boot")
_TEXTS = ("certificate_sha256", "action", "outcome", "at")


@record(kw_only=True)
class Remembered:
    """What was done last for a session."""

    certificate_sha256: str
    began: float
    """When the session began, in seconds of the epoch; 0 where logind does not say."""
    action: str
    """The cause that was acted on (facts.Cause), or "card-returned"."""
    outcome: str
    """facts.Outcome; "" while it is not known."""
    at: str
    """When, ISO 8601 in UTC."""
    acted: bool
    """The present absence was acted on."""
    since_boot: float
    """When, in seconds of CLOCK_BOOTTIME, which nobody sets."""


States = dict[str, Remembered]


def parse_state(content: bytes, boot: str) -> States:
    """Return what a file says; nothing for a file of another boot. MonitorError for one that cannot be understood."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MonitorError("it is not JSON") from error
    if not isinstance(said, dict) or said.get("version") != _VERSION or not isinstance(said.get("sessions"), dict):
        raise MonitorError(f"it is not a state of version {_VERSION}")
    if not boot or said.get("boot") != boot:
        return {}
    sessions = said["sessions"]
    if len(sessions) > ENTRIES_MAX:
        raise MonitorError(f"it has {len(sessions)} sessions, expected at most {ENTRIES_MAX}")
    return {session: _parse_entry(session, entry) for session, entry in sessions.items()}


def _parse_entry(session: str, entry: object) -> Remembered:
    if not isinstance(entry, dict):
        raise MonitorError(f"its session {session[:_TEXT_MAX]!r} is no object")
    texts = {name: text for name in _TEXTS if isinstance(text := entry.get(name), str) and len(text) <= _TEXT_MAX}
    numbers = {name: number for name in _NUMBERS if isinstance(number := entry.get(name), int | float)
               and not isinstance(number, bool) and abs(number) < _NUMBER_MAX}
    acted = entry.get("acted")
    if len(texts) != len(_TEXTS) or len(numbers) != len(_NUMBERS) or not isinstance(acted, bool):
        raise MonitorError(f"its session {session[:_TEXT_MAX]!r} has not the fields that are expected")
    return Remembered(acted=acted, began=numbers["began"], since_boot=numbers["since_boot"], **texts)


def state_text(states: States, boot: str) -> str:
    """Return what is written: one line of JSON, of the last sessions if there are too many."""
    kept = dict(list(states.items())[-ENTRIES_MAX:])
    sessions = {session: vars(entry) for session, entry in kept.items()}
    return json.dumps({"version": _VERSION, "boot": boot, "sessions": sessions}, sort_keys=True) + "\n"


def since_boot() -> float:
    """Return CLOCK_BOOTTIME in seconds: nobody sets it, and it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Memory:
    """The file, and what is in it. A file that cannot be read or written is said once, and stops nothing."""

    def __init__(
        self,
        path: str,
        boot: str,
        warn: Callable[[str], None],
        beginning: Callable[[str], float | None] = session_beginning,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self._path = path
        self._boot = boot
        self._warn = warn
        self._beginning = beginning
        self._clock = clock
        self._states: States = {}
        self._warned = False

    def load(self) -> None:
        """Take what is in the file, at the start."""
        try:
            content = _read(self._path)
            self._states = {} if content is None else parse_state(content, self._boot)
        except (OSError, MonitorError) as error:
            self._warn(f"cannot use the state {self._path!r}, absences of before are acted on again: {_why(error)}")

    def acted(self, cards: Iterable[SessionCard]) -> frozenset[str]:
        """Return the sessions whose present absence was acted on, for Judge.watch; what is of other sessions is forgotten."""
        known = {card.session: self._of(card) for card in cards}
        self._states = {session: entry for session, entry in known.items() if entry is not None}
        return frozenset(session for session, entry in self._states.items() if entry.acted)

    def last(self, session: str) -> Remembered | None:
        """Return what was done last for a session."""
        return self._states.get(session)

    def gone(self, card: SessionCard, order: CardGone, at: datetime.datetime) -> None:
        """Note that a removal is being acted on: not done before its outcome is known."""
        self._note(card, order.cause.value, at)

    def age_s(self, entry: Remembered) -> float:
        """Return how many seconds ago something was noted; a clock that was set meanwhile changes nothing."""
        return max(0.0, self._clock() - entry.since_boot)

    def became(self, card: SessionCard, outcome: Outcome, at: datetime.datetime) -> None:
        """Note what became of it. What was not seen to succeed is tried again after a restart."""
        entry = self._of(card)
        if entry is not None:
            self._keep(card, replace(entry, outcome=outcome.value, at=_iso(at), acted=outcome not in _UNSEEN))

    def back(self, card: SessionCard, at: datetime.datetime) -> None:
        """Note that the card is there again."""
        self._note(card, "card-returned", at)

    def _note(self, card: SessionCard, action: str, at: datetime.datetime) -> None:
        began = self._beginning(card.session) or 0.0
        self._keep(card, Remembered(
            certificate_sha256=card.certificate_sha256, began=began, action=action, outcome="", at=_iso(at), acted=False,
            since_boot=self._clock(),
        ))  # fmt: skip

    def _keep(self, card: SessionCard, entry: Remembered) -> None:
        self._states[card.session] = entry
        try:
            _write(self._path, state_text(self._states, self._boot).encode())
        except OSError as error:
            if not self._warned:
                self._warn(f"cannot write the state {self._path!r}, after a restart absences are acted on again: {_why(error)}")
            self._warned = True

    def _of(self, card: SessionCard) -> Remembered | None:
        """The entry of this very session and card."""
        entry = self._states.get(card.session)
        if entry is None or entry.certificate_sha256 != card.certificate_sha256:
            return None
        return entry if entry.began == (self._beginning(card.session) or 0.0) else None


def _iso(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _why(error: OSError | MonitorError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _read(path: str) -> bytes | None:
    """Return the content of the file; None where there is none. MonitorError for one that is not ours alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise MonitorError("it is no regular file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise MonitorError(f"uid {found.st_uid}, mode {found.st_mode & 0o7777:o}: others could have written it")
        content = file.read(STATE_MAX + 1)
    if len(content) > STATE_MAX:
        raise MonitorError(f"it is larger than {STATE_MAX} bytes")
    return content


def _write(path: str, content: bytes) -> None:
    """Write beside it and rename: whoever reads sees the old or the new one, whole. Nothing here survives a boot: no fsync."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    beside = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
        file.write(content)
    os.replace(beside, path)
