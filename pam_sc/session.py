# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card of a session: what a granted login leaves for `open_session` to write, and how it is read again.

/run/pam_sc/sessions/<XDG_SESSION_ID>.json is written by the shim, as root, and belongs to root; the account of the session
and the monitor's may read it. The monitor watches for that card, and unlocking can demand it. A file that anybody else could
have written, or whose session logind no longer has, counts as none. What a card says about itself is in it as it was, bounded
and cleaned, and only the hash of the certificate is identity.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from itertools import islice

from pam_sc.decision.card_report import TokenReport
from pam_sc.host import SESSIONS as LOGIND_SESSIONS
from pam_sc.record import record

FOLDER = "/run/pam_sc/sessions"
SUFFIX = ".json"
FILE_MAX = 4096
FILES_MAX = 8192
"""As many sessions as logind has (SessionsMax=, logind.conf(5)): with fewer, one account's could hide another's."""
_LOGIND_FILE_MAX = 16384
_DIGITS_MAX = 18
_REALTIME = b"REALTIME="
_CLOCK_S = 0.1
"""By how much the time that the kernel writes to files lags behind the one that logind asks for."""
_VERSION = 1
_TEXTS = ("account", "service", "label", "serial", "manufacturer", "model", "certificate_sha256")


@record(kw_only=True)
class SessionCard:
    """The card that opened a session of an account."""

    uid: int
    account: str
    service: str
    label: str
    serial: str
    manufacturer: str
    model: str
    certificate_sha256: str
    """In lower-case hexadecimal digits, of the certificate's DER."""
    removable: bool = True
    """CKF_REMOVABLE_DEVICE of its slot; not in the file where it is true. A TPM is there, even where it cannot be read."""
    session: str = ""
    """XDG_SESSION_ID: the name of the file, not in it."""

    def is_token(self, token: TokenReport) -> bool:
        """Say whether this token has the texts of the card. Certificates are to be compared as well."""
        mine = (self.label, self.serial, self.manufacturer, self.model)
        return mine == (token.label, token.serial, token.manufacturer, token.model)


def session_card_text(card: SessionCard) -> str:
    """Return what open_session writes: one line of JSON, at most FILE_MAX bytes; "" for more than that."""
    said = {"version": _VERSION, "uid": card.uid, **{name: getattr(card, name) for name in _TEXTS}}
    if not card.removable:
        said["removable"] = False
    text = json.dumps(said, ensure_ascii=True, sort_keys=True)
    return text if len(text) <= FILE_MAX else ""


def read_session_cards(
    uid: int | None = None, folder: str = FOLDER, logind: str = LOGIND_SESSIONS, owner: int = 0
) -> tuple[SessionCard, ...]:
    """Return the cards of the sessions of an account (of all accounts, if None) that this process may read.

    In the order of the names. What is missing, unreadable, malformed or not of `owner` (root) is left out.
    """
    return parse_session_cards(read_session_files(folder, logind, owner), uid)


def read_session_files(
    folder: str = FOLDER, logind: str = LOGIND_SESSIONS, owner: int = 0
) -> tuple[tuple[str, bytes], ...]:
    """Return the files of sessions that logind has, by session, unparsed: what is in them came from cards."""
    try:
        sessions = sorted(name.removesuffix(SUFFIX) for name in os.listdir(folder) if name.endswith(SUFFIX))
    except OSError:
        return ()
    running = ((session, session_beginning(session, logind)) for session in sessions)
    files = (
        (session, _read(f"{folder}/{session}{SUFFIX}", owner, began)) for session, began in running if began is not None
    )
    return tuple(islice(((session, content) for session, content in files if content is not None), FILES_MAX))


def parse_session_cards(files: Iterable[tuple[str, bytes]], uid: int | None = None) -> tuple[SessionCard, ...]:
    """Return the cards that the files tell of, those of one account if `uid` is given."""
    cards = (_parse(content, session) for session, content in files)
    return tuple(card for card in cards if card is not None and uid in (None, card.uid))


def session_beginning(session: str, logind: str = LOGIND_SESSIONS) -> float | None:
    """Return when a session began, by logind's file, in seconds of the epoch; 0 where it does not say, None without one."""
    try:
        with open(f"{logind}/{session}", "rb") as file:
            lines = file.read(_LOGIND_FILE_MAX).split(b"\n")
    except OSError:
        return None
    said = next((line.removeprefix(_REALTIME) for line in lines if line.startswith(_REALTIME)), b"")
    return int(said) / 1e6 if said.isdigit() and len(said) <= _DIGITS_MAX else 0.0


def _read(path: str, owner: int, began: float) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        # with an ACL the group's bits are its mask, and say what its entries may at most
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner or found.st_mode & 0o022:
            return None
        if found.st_mtime < began - _CLOCK_S:  # of an earlier session: logind may use a name again
            return None
        content = os.read(descriptor, FILE_MAX + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return content if len(content) <= FILE_MAX else None


def _parse(content: bytes, session: str) -> SessionCard | None:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("version") != _VERSION or type(said.get("uid")) is not int:
        return None
    texts = {name: text for name in _TEXTS if isinstance(text := said.get(name), str)}
    if len(texts) != len(_TEXTS):
        return None
    # whatever else stands there, it can be taken away
    return SessionCard(uid=said["uid"], session=session, removable=said.get("removable") is not False, **texts)
