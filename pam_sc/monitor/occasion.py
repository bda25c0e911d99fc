# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a program is told of the event that it runs for: variables by name, in an environment that is made from nothing.

| variable                         | what it holds                                                                     |
|----------------------------------|-----------------------------------------------------------------------------------|
| PAM_SC_EVENT                     | "card_remove", "card_insert" or "expire_time" (the card has been away for long)   |
| PAM_SC_CAUSE                     | why the card counts as gone (facts.Cause), empty where it is back                 |
| PAM_SC_SESSION, PAM_SC_TYPE,     | the session: XDG_SESSION_ID, its type, its terminal without /dev/                 |
| PAM_SC_TTY                       |                                                                                   |
| PAM_SC_ACCOUNT, PAM_SC_SERVICE   | whose it is, and which PAM service opened it                                      |
| PAM_SC_TOKEN, PAM_SC_TOKEN_SERIAL| label and serial of the token that opened it                                      |
| PAM_SC_CERTIFICATE               | SHA-256 of its certificate, in hexadecimal digits                                 |
| PAM_SC_READER                    | the reader that it was in, empty where that is not known                          |
| HOME, USER, LOGNAME, SHELL, PATH,| those of the account; PATH is fixed                                               |
| LANG, XDG_RUNTIME_DIR,           |                                                                                   |
| DBUS_SESSION_BUS_ADDRESS         |                                                                                   |
| DISPLAY and others (SHOWN)       | from the user manager, where the session's display is                             |

Texts of a card are what the card says: control characters and surrogates become "?", and each ends after 256 characters.
Nothing else of anybody's environment gets in, least of all what tells the loader or an interpreter what to load. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from pam_sc.monitor.facts import Cause, SessionFacts
from pam_sc.record import record
from pam_sc.session import SessionCard

PATH = "/usr/local/bin:/usr/bin:/bin"
TEXT_MAX = 256
SHOWN = (
    "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "SWAYSOCK", "I3SOCK", "HYPRLAND_INSTANCE_SIGNATURE", "NIRI_SOCKET",
    "XDG_CURRENT_DESKTOP", "XDG_SESSION_DESKTOP", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_SEAT", "XDG_VTNR",
    "DCONF_PROFILE", "QT_QPA_PLATFORM",
)
"""What programs need to find the display and their settings. Of the account's own environment, and no more of it."""
_SHOWN_MAX = 4096


@record(kw_only=True)
class Person:
    """The account of a session, as passwd has it."""

    uid: int
    gid: int
    name: str
    home: str
    shell: str


@record(kw_only=True)
class Occasion:
    """Why a program is run."""

    event: str
    facts: SessionFacts
    card: SessionCard
    cause: Cause | None = None
    reader: str = ""


def environment_for(
    occasion: Occasion, person: Person, shown: Mapping[str, str], *, language: str = "C.UTF-8"
) -> dict[str, str]:
    """Return the whole environment of a program. `shown`: where the display may be found; only SHOWN is taken of it."""
    runtime = f"/run/user/{person.uid}"
    base = {
        "HOME": person.home, "USER": person.name, "LOGNAME": person.name, "SHELL": person.shell, "PATH": PATH,
        "LANG": language, "XDG_RUNTIME_DIR": shown.get("XDG_RUNTIME_DIR", runtime),
        "DBUS_SESSION_BUS_ADDRESS": shown.get("DBUS_SESSION_BUS_ADDRESS", f"unix:path={runtime}/bus"),
        "XDG_SESSION_ID": occasion.facts.id, "XDG_SESSION_TYPE": occasion.facts.type,
    }
    taken = {name: shown[name] for name in SHOWN if name in shown}
    if occasion.facts.type == "x11" and occasion.facts.display:
        taken["DISPLAY"] = occasion.facts.display
    usual = {name: text for name, text in {**taken, **base}.items() if _is_plain(text)}
    return {**usual, **_told(occasion)}


def _told(occasion: Occasion) -> dict[str, str]:
    facts, card = occasion.facts, occasion.card
    told = {
        "EVENT": occasion.event, "CAUSE": "" if occasion.cause is None else occasion.cause.value, "SESSION": facts.id,
        "TYPE": facts.type, "TTY": facts.tty, "ACCOUNT": facts.account, "SERVICE": card.service, "TOKEN": card.label,
        "TOKEN_SERIAL": card.serial, "CERTIFICATE": card.certificate_sha256, "READER": occasion.reader,
    }
    return {f"PAM_SC_{name}": cleaned(text) for name, text in told.items()}


def cleaned(text: str, longest: int = TEXT_MAX) -> str:
    """Return a text of somebody else's on one line, without what could steer a terminal or a reader of lines."""
    return "".join("?" if _steers(each) else each for each in text[:longest])


def _steers(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _is_plain(text: str) -> bool:
    return len(text) <= _SHOWN_MAX and not any(ord(each) < 32 or ord(each) == 127 for each in text)
