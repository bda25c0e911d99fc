# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the monitor's units say to each other and to `pam-sc monitor status`: lines of JSON (docs/monitor-protocol.md).

Pure. A line is one object with the key "version" and one more key, which says what it is. What does not read as that is
a ProtocolError, and ends the connection.
"""

from __future__ import annotations

import json

from pam_sc.errors import ProtocolError
from pam_sc.monitor.facts import Outcome
from pam_sc.record import record

VERSION = 1
LINE_MAX = 4096
"""Of what a peer of the system unit may say, in bytes."""
ANSWER_MAX = 1 << 22
"""Of what the system unit may answer: root is told of all sessions."""
_ID_MAX = 64
_DETAIL_MAX = 200


@record
class Hello:
    """I am the user unit of my account."""


@record
class AreYouThere:
    """Asked by a user unit before it leaves a session's lock to the system unit."""


@record
class TellStatus:
    """Asked by `pam-sc monitor status`."""


@record(kw_only=True)
class Report:
    """What became of the user unit's part of an action."""

    session: str
    outcome: Outcome
    detail: str = ""


Request = Hello | AreYouThere | TellStatus | Report
_EMPTY: dict[str, Request] = {"hello": Hello(), "there": AreYouThere(), "status": TellStatus()}


def line_of(kind: str, value: object) -> bytes:
    """Return one line."""
    return json.dumps({"version": VERSION, kind: value}, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def request_line(request: Request) -> bytes:
    """Return what a peer says to the system unit."""
    if isinstance(request, Report):
        said = {"session": request.session, "outcome": request.outcome.value, "detail": request.detail[:_DETAIL_MAX]}
        return line_of("report", said)
    return line_of(next(kind for kind, one in _EMPTY.items() if one == request), {})


def parse_line(line: bytes) -> tuple[str, object]:
    """Return what a line is, and its value; ProtocolError for anything that is no such line, or of another version."""
    if not line.endswith(b"\n"):
        raise ProtocolError("cannot read a line of the monitor's socket: it has no end")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("cannot read a line of the monitor's socket: it is no JSON") from None
    if not isinstance(said, dict) or len(said) != 2 or type(said.get("version")) is not int:
        raise ProtocolError("cannot read a line of the monitor's socket: expected a version and one thing more")
    if said["version"] != VERSION:
        raise ProtocolError(f"cannot read a line of the monitor's socket: version {VERSION} is expected")
    kind = next(name for name in said if name != "version")
    return kind, said[kind]


def parse_request(line: bytes) -> Request:
    """Return what a peer of the system unit said; ProtocolError where it is none of the requests."""
    kind, value = parse_line(line)
    if not isinstance(value, dict):
        raise ProtocolError("cannot read a line of the monitor's socket: an object is expected")
    if kind == "report":
        return _report(value)
    if kind not in _EMPTY or value:
        raise ProtocolError("cannot read a line of the monitor's socket: no such request")
    return _EMPTY[kind]


def _report(value: dict[str, object]) -> Report:
    session, outcome, detail = value.get("session"), value.get("outcome"), value.get("detail", "")
    known = {one.value: one for one in Outcome}
    if not isinstance(session, str) or not 0 < len(session) <= _ID_MAX or not session.isalnum():
        raise ProtocolError("cannot take a report: it names no session")
    if not isinstance(outcome, str) or outcome not in known:
        raise ProtocolError("cannot take a report: no such outcome")
    if not isinstance(detail, str) or len(detail) > _DETAIL_MAX:
        raise ProtocolError("cannot take a report: its detail is no text, or too long")
    return Report(session=session, outcome=known[outcome], detail=detail)
