# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same questions to every desktop about its lock; docs/monitor.md has the answers, recorded and compared.

`ask_logind` and `ask_saver` each want a desktop that has just been started: not each can be opened again without a person.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.desktop_session import DesktopSession, NoAnswer, Refused, await_that
from tests.support.desktops import CINNAMON, DESKTOPS, FREEDESKTOP, GNOME, MATE, SHIELD, Desktop
from tests.support.module_questions import version_of
from tests.support.pam_world import REPOSITORY
from tests.support.running_monitor import running_monitor

ANSWERS = REPOSITORY / "tests/desktops/answers.json"
PAGE = REPOSITORY / "docs/monitor.md"
BEGIN, END = "<!-- written by make check-desktops: begin -->\n", "<!-- written by make check-desktops: end -->\n"
WITHIN_S = 2.0
"""How long the monitor waits for a lock to be seen, where it is not told otherwise."""
SAYS, WITH_LOCKER = "the monitor says", "the same, with `locker` set as below"
_SLOW_S = 5.0
_SAVERS = (FREEDESKTOP, GNOME, SHIELD, MATE, CINNAMON)
Answers = dict[str, str]


def ask_logind(desktop: Desktop, session: DesktopSession) -> tuple[Answers, float]:
    """What logind's Lock and Unlock bring about, and who tells; and how long LockedHint took, in seconds."""
    owned = [saver.name for saver in _SAVERS if saver.name in session.names()]
    before = time.monotonic()
    session.lock()
    hint = session.await_hint(True, WITHIN_S)
    took = time.monotonic() - before
    locked = _locked(desktop, session)
    answers = {"locks on LockSession": "yes" if locked else "no", "LockedHint": "set" if hint else "never set",
               "screen savers on the session bus": _list(owned), "GetActive then": _active(desktop, session)}
    if locked:
        answers |= _ask_locked(desktop, session)
        if hint and not session.hint:
            answers["LockedHint"] = "set and cleared"
    return answers, took


def _ask_locked(desktop: Desktop, session: DesktopSession) -> Answers:
    """What is done to a locked screen; what opens it comes last."""
    answers = {"SimulateUserActivity": _said(desktop, session, "SimulateUserActivity")}
    assert _shows(desktop, session), "SimulateUserActivity has opened it"
    answers["SetActive(false)"] = _said(desktop, session, "SetActive", "b", (False,))
    if answers["SetActive(false)"] == "taken" and not _stays(desktop, session):
        answers["SetActive(false)"] = "opens it, and nobody is asked for anything"
        session.lock()
        assert _locked(desktop, session), "it does not lock again"
    session.unlock()
    answers["UnlockSession"] = "does not open it" if _stays(desktop, session) else "opens it"
    return answers


def ask_saver(desktop: Desktop, session: DesktopSession) -> Answers:
    """What the screen saver's own methods bring about, on a screen that is open and on one that is covered already."""
    if desktop.saver is None:
        return dict.fromkeys(("Lock of the screen saver", "SetActive(true)", "Lock after that"), "no screen saver")
    answers = {"Lock of the screen saver": _lock(desktop, session, lambda: _locked(desktop, session))}
    session.unlock()
    if _stays(desktop, session):
        return answers | dict.fromkeys(("SetActive(true)", "Lock after that"), "not asked: it cannot be opened again")
    answers["SetActive(true)"] = _said(desktop, session, "SetActive", "b", (True,))
    if answers["SetActive(true)"] != "taken":
        return answers | {"Lock after that": "-"}
    covered = await_that(lambda: _active(desktop, session) == "true", WITHIN_S)
    answers["SetActive(true)"] = f"GetActive {str(covered).lower()}, LockedHint {str(session.hint).lower()}"
    answers["Lock after that"] = _lock(desktop, session, lambda: session.await_hint(True, WITHIN_S))
    return answers


def _lock(desktop: Desktop, session: DesktopSession, seen: Callable[[], bool]) -> str:
    assert desktop.saver is not None
    said = _said(desktop, session, "Lock", desktop.saver.lock, ("",) if desktop.saver.lock else ())
    return f"{said}, and {'locks' if seen() else 'no lock is seen'}" if said in ("taken", "never answered") else said


def ask_monitor(session: DesktopSession, question: str, locker: str = "") -> Answers:
    """What the monitor of the account says, and by which way, when the card is removed; nobody else watches."""
    desk = session.desk
    desk.configure("[monitor]\n" + (f"locker = {locker}\n" if locker else ""))
    with running_monitor(desk.world, f"monitor{time.monotonic_ns()}", ["--own", "--json"], user=session.session.account,
                         environment=session.variables) as monitor:
        desk.remove(session.session.account)
        said = monitor.events.find(lambda one: one["event"] in ("session-locked", "session-not-locked"))
        ways = [one["way"] for one in monitor.events.all() if one["event"] == "lock-step" and one["outcome"] == said["outcome"]]
    return {question: f"{said['outcome']}, by {ways[-1]}" if said["outcome"] == "locked" else said["outcome"]}


def _locked(desktop: Desktop, session: DesktopSession) -> bool:
    """Whether it shows in any way that it has locked, with more time than the monitor gives."""
    return await_that(lambda: _shows(desktop, session), _SLOW_S)


def _stays(desktop: Desktop, session: DesktopSession) -> bool:
    """Whether it shows for a while that it is still locked."""
    return not await_that(lambda: not _shows(desktop, session), _SLOW_S)


def _shows(desktop: Desktop, session: DesktopSession) -> bool:
    if desktop.sign is not None:
        return desktop.sign(session)
    return session.hint or _active(desktop, session) == "true"


def _active(desktop: Desktop, session: DesktopSession) -> str:
    return _ask(desktop, session, "GetActive", lambda body: str(body[0]).lower())


def _said(desktop: Desktop, session: DesktopSession, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> str:
    return _ask(desktop, session, member, lambda body: "refused: false" if body == (False,) else "taken", signature, body)


def _ask(desktop: Desktop, session: DesktopSession, member: str, read: Callable[[tuple[Any, ...]], str],
         signature: str = "", body: tuple[Any, ...] = ()) -> str:
    if desktop.saver is None:
        return "no screen saver"
    try:
        return read(session.call(desktop.saver.address, member, signature, body, WITHIN_S))
    except NoAnswer:
        return "never answered"
    except Refused as error:
        return f"refused: {error}"


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


def compare(name: str, package: str, answers: Answers, took_s: float) -> None:
    """Require that the answers are the recorded ones; where PAM_SC_RECORD is set, record them and write the page.

    How long it took is recorded and not compared.
    """
    recorded = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    if "PAM_SC_RECORD" in os.environ:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        recorded[name] = {"version": f"{package} {version_of(package)}", "date": today, "took_s": round(took_s, 2),
                          "answers": dict(answers)}
        order = [desktop.name for desktop in DESKTOPS]
        ANSWERS.write_text(json.dumps({each: recorded[each] for each in order if each in recorded}, indent=1) + "\n")
        PAGE.write_text(page(PAGE.read_text(), recorded))
    assert answers == recorded[name]["answers"]


def page(text: str, recorded: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with the table of all answers between its markers."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin] + "\n".join("| " + " | ".join(row) + " |" for row in _rows(recorded)) + "\n" + text[end:]


def _rows(recorded: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """A column for each desktop, a row for each question."""
    rows = [["", *recorded], ["---"] * (len(recorded) + 1)]
    rows += [["version", *(one["version"] for one in recorded.values())]]
    rows += [["recorded", *(one["date"] for one in recorded.values())]]
    for question in QUESTIONS:
        rows.append([question, *(one["answers"].get(question, "-") for one in recorded.values())])
        if question == "LockedHint":
            set_ones = (one["answers"]["LockedHint"].startswith("set") for one in recorded.values())
            rows.append(["it took then", *(f"{one['took_s']} s" if each else "-"
                                           for one, each in zip(recorded.values(), set_ones, strict=True))])
    return rows


QUESTIONS = (SAYS, WITH_LOCKER, "locks on LockSession", "LockedHint", "screen savers on the session bus", "GetActive then",
           "Lock of the screen saver", "SetActive(true)", "Lock after that",
             "SetActive(false)", "SimulateUserActivity", "UnlockSession")
