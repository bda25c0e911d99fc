# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions as plain text, and what plays them: a card, a configuration, what a person sees and answers, how it ends.

tests/scripts/README.md has the words. A script is played against the installed module through libpam, with SoftHSM tokens or a
PIV card in the virtual reader. Everything that the application is told has to be in the script, in order: a message or
question that nobody wrote down is a failure, and so is one that does not come.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.installation import module_in
from tests.support.lines import Lines
from tests.support.pam_world import HARNESS
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import DAY, CertificateAuthority, Issued, now
from tests.support.rig import Rig
from tests.support.softhsm import Entry
from tests.support.talking_host import BINARY, ECHO_OFF, ECHO_ON, ERROR, INFORMATION

LOCALES = "/srv/locales"
"""Where the locales of the hosts lie: copies of C.utf8 under other names, because only the name counts."""
_C_UTF8 = Path("/usr/lib/locale/C.utf8")
HOST = f"{HARNESS}/tests/support/talking_host.py"
SAID_S = 30
CODES = {
    "success": 0, "service_err": 3, "system_err": 4, "buf_err": 5, "perm_denied": 6, "auth_err": 7, "authinfo_unavail": 9,
    "user_unknown": 10, "maxtries": 11, "new_authtok_reqd": 12, "conv_err": 19, "authtok_err": 20,
    "authtok_recovery_err": 21, "try_again": 24, "ignore": 25, "incomplete": 31,
}  # fmt: skip
FLAGS = {"silent": 0x8000, "disallow_null_authtok": 1, "change_expired": 0x20}
_STYLES = {"ask": ECHO_OFF, "ask-visibly": ECHO_ON, "ask-choice": BINARY, "error": ERROR, "tell": INFORMATION}
_ANSWERS = {"cancel", "again", "eof", "nothing"}


class ScriptError(Exception):
    """A script is malformed, or the session went another way; says file and line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One statement: where it stands, its word, what follows."""

    number: int
    word: str
    words: tuple[str, ...]

    @property
    def pairs(self) -> dict[str, str]:
        """The words of the form key=value."""
        return dict(word.split("=", 1) for word in self.words if "=" in word)


@dataclass(frozen=True, slots=True)
class Script:
    """A file: what it proves (its first comment), and its statements."""

    path: Path
    proves: str
    lines: tuple[Line, ...]


def read_script(path: Path) -> Script:
    """Read a script; ScriptError for a statement that is none."""
    lines: list[Line] = []
    texts = path.read_text(encoding="utf-8").splitlines()
    if not texts or not texts[0].startswith("# "):
        raise ScriptError(f"{path.name}:1: expected a comment that says what the script proves")
    for number, text in enumerate(texts, 1):
        words = shlex.split(text, comments=True)
        if words:
            if words[0] not in WORDS:
                raise ScriptError(f"{path.name}:{number}: {words[0]!r} is no word of a script")
            lines.append(Line(number, words[0], tuple(words[1:])))
    return Script(path, texts[0].removeprefix("# "), tuple(lines))


@dataclass(slots=True)
class Stage:
    """Where scripts are played: a world, and a reader for those that need one."""

    rig: Rig
    reader: Callable[[], Pcscd]
    count: int = 0

    def locale(self, name: str) -> None:
        """Have a locale of this name in the world."""
        place = self.rig.world.path(f"{LOCALES}/{name}")
        if not place.exists():
            shutil.copytree(_C_UTF8, place)

    def play(self, script: Script) -> None:
        """Play a script to its end."""
        self.count += 1
        with contextlib.ExitStack() as cleanup:
            session = Session(self, script, f"script-{self.count}", cleanup)
            for line in script.lines:
                try:
                    WORDS[line.word](session, line)
                except (AssertionError, ValueError, KeyError, IndexError, TypeError) as wrong:
                    where = f"{script.path.name}:{line.number}: {line.word} {shlex.join(line.words)}"
                    raise ScriptError(f"{where}\n{wrong!r}\nlog: {session.log()}") from wrong
            session.finish()


@dataclass(slots=True)
class Session:
    """One script while it is played."""

    stage: Stage
    script: Script
    name: str
    cleanup: contextlib.ExitStack
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    order: dict[str, Any] = field(default_factory=dict)
    caller: str | None = None
    stack: list[str] = field(default_factory=list)
    card: VirtualCard | None = None
    revoked: list[Issued] = field(default_factory=list)
    host: subprocess.Popen[str] | None = None
    lines: Lines | None = None
    pending: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = True
    last: dict[str, Any] = field(default_factory=dict)
    logged_before: int = 0
    call_log: str = ""

    # ---- before the session

    def configuration(self) -> str:
        """Write the configuration of the script and return its path inside the world."""
        inside = self.stage.rig.setup.inside
        tables = {"trust": {"anchors": f'"{inside}/anchors"'}, "revocation": {"crls": f'"{inside}/crls"'}}
        for table, keys in self.settings.items():
            tables.setdefault(table, {}).update(keys)
        top = [f"{key} = {value}" for key, value in tables.pop("", {}).items()]
        body = [f"[{table}]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items())
                for table, keys in tables.items()]  # fmt: skip
        mapper = [] if "mapper" in self.settings else ['[[mapper]]\nname = "cn"']
        text = "\n".join([*top, *self.modules, *body, *mapper, ""])
        return self.stage.rig.world.put(f"{inside}/{self.name}.toml", text)

    def start(self) -> None:
        """Start the application."""
        assert self.modules, "no token and no piv card in this script"
        rig = self.stage.rig
        rig.setup.revoke(*self.revoked)
        for counted in rig.world.path("/run/pam_sc/tries").glob("*"):
            counted.unlink()
        service = self.order.setdefault("service", "test")
        line = f"{{}} {module_in()} config={self.configuration()} {' '.join(self.arguments)}"
        below = self.stack or ["required pam_permit.so"]
        groups = ("auth", "account", "password", "session")
        lines = [f"{group} {line.format('required' if not self.stack else 'sufficient')}" for group in groups]
        rest = [each if each.split()[0] in groups else f"{group} {each}" for each in below for group in groups]
        rig.world.pam_service(service, [*lines, *dict.fromkeys(rest)])
        self.logged_before = len(rig.world.logged())
        self.host = rig.world.namespace.popen(
            ["/usr/bin/python3", "-I", HOST], user=self.caller, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={"LOCPATH": LOCALES},
        )  # fmt: skip
        assert self.host.stdout is not None
        self.lines = Lines(self.host.stdout)
        self.cleanup.callback(self._stop)
        self.send(self.order)

    def _stop(self) -> None:
        assert self.host is not None
        for stream in (self.host.stdin, self.host.stdout):
            if stream is not None:
                stream.close()
        self.host.kill()
        self.host.wait()

    # ---- the session

    def send(self, what: Mapping[str, Any]) -> None:
        """Tell the application something."""
        assert self.host is not None
        assert self.host.stdin is not None
        self.host.stdin.write(json.dumps(what) + "\n")
        self.host.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """What the application says next."""
        assert self.lines is not None, "nobody has logged in yet"
        line = self.lines.next(SAID_S)
        assert line, "the application said nothing more"
        heard: dict[str, Any] = json.loads(line)
        return heard

    def call(self, function: str, flags: int = 0) -> None:
        """Have the application call a function of PAM."""
        assert self.ended, "the call before has not ended yet: write its result"
        if self.host is None:
            self.start()
        self.logged_before = len(self.stage.rig.world.logged())
        self.ended = False
        self.send({"call": function, "flags": flags})

    def expect_said(self, word: str, text: str) -> dict[str, Any]:
        """Require that this is what comes next. A text in slashes is a regular expression for the whole."""
        heard = self.hear()
        assert heard.get("style") == _STYLES[word], f"instead came {heard}"
        pattern = text[1:-1] if text.startswith("/") and text.endswith("/") else re.escape(text)
        assert re.fullmatch(pattern, heard["text"].rstrip()), f"instead came {heard}"
        return heard

    def expect_code(self, name: str) -> None:
        """Require that the call ends now, with this code."""
        heard = self.hear()
        assert "code" in heard, f"instead came {heard}"
        names = {number: each for each, number in CODES.items()}
        assert names.get(heard["code"], heard["code"]) == name, f"the code is {names.get(heard['code'], heard['code'])}"
        self.ended, self.last = True, heard

    def log(self) -> list[str]:
        """What was logged since the last call."""
        return [line.text for line in self.stage.rig.world.logged()[self.logged_before :]]

    def expect_event(self, words: tuple[str, ...]) -> None:
        """Require one event of the last call that begins with the first word and holds the others."""
        event, *parts = words
        found = [line.split(": ", 1)[-1] for line in self.log() if re.search(r": (granted|refused|pin-changed)( |$)", line)]
        assert len(found) == 1, f"events: {found}"
        assert found[0].split()[0] == event, found[0]
        for part in parts:
            assert f" {part} " in f"{found[0]} ", found[0]

    def logins(self) -> int:
        """How often a PIN came to the PIV card."""
        assert self.card is not None
        return sum(each.ins == 0x20 and bool(each.data) for each in self.card.applet.log)

    def finish(self) -> None:
        """Require that nothing is left that the script does not mention."""
        if not self.ended:
            raise ScriptError(f"{self.script.path.name}: the script ends in a call; its result is missing")


# ---------------------------------------------------------------- the words


def _issue(session: Session, pairs: Mapping[str, str], name: str) -> Issued:
    """A certificate: for an account, of a kind of key, and with what is wrong with it."""
    rig = session.stage.rig
    wrong = pairs.get("is", "good")
    authority: CertificateAuthority = rig.setup.authority
    wishes: dict[str, Any] = {"common_name": name, "key": pairs.get("key", "p256")}
    match wrong:
        case "good" | "revoked":
            pass
        case "expired":
            wishes |= {"not_before": now() - 400 * DAY, "not_after": now() - 3 * DAY}
        case "not-yet-valid":
            wishes |= {"not_before": now() + 3 * DAY, "not_after": now() + 400 * DAY}
        case "expiring":
            wishes |= {"not_before": now() - 400 * DAY, "not_after": now() + int(pairs["days"]) * DAY}
        case "untrusted":
            authority = CertificateAuthority("Somebody Else")
        case other:
            raise ValueError(f"no certificate is {other}")
    issued = authority.issue(**wishes)
    if wrong == "revoked":
        session.revoked.append(issued)
    return issued


def _token(session: Session, line: Line) -> None:
    """`token NAME [certificate=ACCOUNT,...] [is=WRONG] [key=KIND] [hostile=FAULTS]`: one SoftHSM token, one module."""
    rig, pairs = session.stage.rig, line.pairs
    name = f"{session.name}-{line.words[0]}-{line.number}"
    accounts = [each for each in pairs.get("certificate", line.words[0]).split(",") if each]
    entries = [Entry(_issue(session, pairs, each), id=bytes([at]), label=f"{each}-{at}",
                     always_authenticate="always-authenticate" in line.words)
               for at, each in enumerate(accounts, 1)]  # fmt: skip
    token = rig.setup.token(name, entries)
    environment = {"SOFTHSM2_CONF": token.configuration}
    path = _softhsm()
    if "hostile" in pairs:
        path = session.stage.rig.world.put("/srv/hostile.so", _hostile(), mode=0o755)
        session.call_log = rig.world.put(f"/srv/{name}.calls", "", owner="pam_sc_card")
        environment |= {"HOSTILE": pairs["hostile"].replace("+", ","), "HOSTILE_LOG": session.call_log}
    _module(session, path, environment)


def _module(session: Session, path: str, environment: Mapping[str, str]) -> None:
    variables = ", ".join(f'{name} = "{value}"' for name, value in environment.items())
    session.modules.append(f'[[token.module]]\npath = "{path}"\nenvironment = {{ {variables} }}')


def _softhsm() -> str:
    from tests.support.softhsm import module_path

    return module_path()


@functools.cache
def _hostile() -> bytes:
    from tests.support.card_worker import build_hostile_module

    with tempfile.TemporaryDirectory() as folder:
        return Path(build_hostile_module(Path(folder))).read_bytes()


def _piv(session: Session, line: Line) -> None:
    """`piv [certificate=ACCOUNT] [is=WRONG] [tries=N] [puk-tries=N] [slot=9a|9c] [absent]`: the card in the virtual reader."""
    pairs = line.pairs
    issued = _issue(session, pairs, pairs.get("certificate", "alice"))
    applet = PivApplet({int(pairs.get("slot", "9a"), 16): issued})
    applet.tries, applet.puk_tries = int(pairs.get("tries", "3")), int(pairs.get("puk-tries", "3"))
    session.card = session.stage.reader().card(applet)
    session.cleanup.callback(session.card.remove)
    if "absent" not in line.words:
        session.card.insert()
    _module(session, opensc_module(), {})


def _set(session: Session, line: Line) -> None:
    """`set KEY VALUE`: a key of the configuration, its table before the last dot; the value as TOML has it."""
    table, _, key = line.words[0].rpartition(".")
    session.settings.setdefault(table, {})[key] = " ".join(line.words[1:])


def _call(function: str) -> Callable[[Session, Line], None]:
    def call(session: Session, line: Line) -> None:
        if line.words and not line.words[0].startswith("flags="):
            session.order["user"] = None if line.words[0] == "nobody" else line.words[0]
        elif session.host is None:
            session.order.setdefault("user", "alice")
        flags = sum(FLAGS[each] for each in line.pairs.get("flags", "").split("+") if each)
        session.call(function, flags)

    return call


def _say(session: Session, line: Line) -> None:
    session.expect_said(line.word, line.words[0])


def _ask_choice(session: Session, line: Line) -> None:
    heard = session.expect_said(line.word, line.words[0])
    session.pending = heard["choices"]
    assert len(session.pending) == len(line.words) - 1, f"the choices are {session.pending}"
    for wanted in line.words[1:]:
        _chosen(session, wanted)


def _chosen(session: Session, text: str) -> str:
    """The key of the one choice that holds this text."""
    found = [str(key) for key, shown in session.pending if text in shown]
    assert len(found) == 1, f"{text!r} is in {len(found)} of the choices {session.pending}"
    return found[0]


def _reply(session: Session, line: Line) -> None:
    session.send({"answer": line.words[0] if line.words else ""})


def _reply_choice(session: Session, line: Line) -> None:
    session.send({"answer": _chosen(session, line.words[0])})


def _other_answer(session: Session, line: Line) -> None:
    session.send({"answer": {line.word: True}})


def _language(session: Session, line: Line) -> None:
    session.stage.locale(line.words[0])
    session.order["language"] = line.words[0]


def _insert(session: Session, _line: Line) -> None:
    assert session.card is not None
    session.card.insert()


def _remove(session: Session, _line: Line) -> None:
    assert session.card is not None
    session.card.remove()
    session.stage.reader().await_removal()


def _in_environment(session: Session, line: Line) -> None:
    for wanted in line.words:
        assert wanted in session.last["environment"], session.last["environment"]


def _not_in_environment(session: Session, line: Line) -> None:
    names = {each.split("=", 1)[0] for each in session.last["environment"]}
    assert names.isdisjoint(line.words), session.last["environment"]


def _user(session: Session, line: Line) -> None:
    assert session.last["user"] == line.words[0], session.last["user"]


def _tries(session: Session, line: Line) -> None:
    assert session.card is not None
    assert session.card.applet.tries == int(line.words[0]), session.card.applet.tries


def _pins(session: Session, line: Line) -> None:
    """`pins N`: how many PINs have come to the card (PIV) or into C_Login (a token with hostile=)."""
    if session.call_log:
        calls = session.stage.rig.world.path(session.call_log).read_text().splitlines()
        found = sum(each.split()[0] == "C_Login" for each in calls)
    else:
        found = session.logins()
    assert found == int(line.words[0]), f"{found} PINs"




def _words() -> Iterator[tuple[str, Callable[[Session, Line], None]]]:
    yield from (("token", _token), ("piv", _piv), ("set", _set))
    yield "line", lambda session, line: session.arguments.extend(line.words)
    yield "stack", lambda session, line: session.stack.append(" ".join(line.words))
    yield "service", lambda session, line: session.order.update(service=line.words[0])
    yield "caller", lambda session, line: setattr(session, "caller", line.words[0])
    yield "item", lambda session, line: session.order.setdefault("items", {}).update(line.pairs)
    yield "language", _language
    yield "gdm", lambda session, _line: session.order.update(extensions=True)
    yield "pam-environment", lambda session, line: session.order.update(environment=list(line.words))
    yield "login", _call("authenticate")
    for function in ("setcred", "acct_mgmt", "open_session", "close_session", "chauthtok"):
        yield function, _call(function)
    yield from ((word, _say) for word in ("ask", "ask-visibly", "error", "tell"))
    yield from (("ask-choice", _ask_choice), ("reply", _reply), ("choose", _reply_choice))
    yield from ((word, _other_answer) for word in _ANSWERS)
    yield from (("insert", _insert), ("remove", _remove))
    yield "result", lambda session, line: session.expect_code(line.words[0])
    yield "event", lambda session, line: session.expect_event(line.words)
    yield "no-event", lambda session, _line: _require_no_event(session)
    yield from (("environment", _in_environment), ("no-environment", _not_in_environment), ("user", _user))
    yield from (("tries", _tries), ("pins", _pins))


def _require_no_event(session: Session) -> None:
    assert not session.log(), session.log()


WORDS = dict(_words())
