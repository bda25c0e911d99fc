# SPDX-License-Identifier: LGPL-2.1-or-later
"""What logind answers, held against the types it must have (org.freedesktop.login1(5)). No word of it is believed before."""

from __future__ import annotations

import re
from typing import Any

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import SessionFacts

_TEXT_MAX = 256
_ESCAPED = re.compile("_([0-9a-f]{2})")


def facts_of(path: str, answer: tuple[Any, ...]) -> SessionFacts:
    """Return the facts that GetAll answered; MonitorError where one is missing or of another type than it must be."""
    said = answer[0] if answer else None
    if not isinstance(said, dict):
        raise MonitorError(f"logind does not say what a session is: expected properties, got {type(said).__name__}")
    owner = _property(said, "User", "(uo)")
    return SessionFacts(
        id=_property(said, "Id", "s"), path=path, uid=owner[0], account=_property(said, "Name", "s"),
        type=_property(said, "Type", "s"), session_class=_property(said, "Class", "s"),
        remote=_property(said, "Remote", "b"), state=_property(said, "State", "s"), tty=_property(said, "TTY", "s"),
        display=_property(said, "Display", "s"), locked=_property(said, "LockedHint", "b"),
    )  # fmt: skip


def _property(said: dict[Any, Any], name: str, signature: str) -> Any:  # noqa: ANN401 - of the signature's type
    match said.get(name):
        case (found, value) if found == signature:
            return text_of(value, name) if signature == "s" else value
        case None:
            raise MonitorError(f"logind does not say what a session is: {name} is missing")
        case _:
            raise MonitorError(f"logind does not say what a session is: {name} is not of the type {signature}")


def text_of(value: object, what: str) -> str:
    """Return the text that a value is; MonitorError for anything else, and for a long one."""
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        raise MonitorError(f"logind does not say {what}: expected a text of at most {_TEXT_MAX} characters")
    return value


def session_at(path: str) -> str:
    """Return the name of a session by its path: logind writes characters that a path has not as _ and two digits."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), path.rpartition("/")[2])


def has_ended(facts: SessionFacts | None) -> bool:
    """Say whether a session is gone, or on its way out."""
    return facts is None or facts.state == "closing"
