# SPDX-License-Identifier: LGPL-2.1-or-later
"""pkcs11_eventmgr.conf and card_eventmgr.conf become [monitor]: what each line means, and what is said of it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.config.eventmgr import EventManager, config_file_of, is_eventmgr, translate_eventmgr
from pam_sc.config.eventmgr_file import load_for_monitor, read_table
from pam_sc.config.monitoring import build_policy, monitor_policy
from pam_sc.config.notes import NoteKind
from pam_sc.decision.monitoring import Action, MonitorPolicy, OnError, Program, Sign
from pam_sc.errors import ConfigError
from tests.unit.config.files import MINIMAL, TRUSTED

DEAD, UNKNOWN, UNSAFE, DIFFERENT, ERROR = NoteKind
SAMPLES = Path("/usr/share/doc/libpam-pkcs11/examples")
ALWAYS = 3
"""Notes about the whole, which every file gets."""


def peer(remove: str = 'action = "logger x";', *, whole: str = "", more: str = "", root: str = "pkcs11_eventmgr") -> str:
    """A file: keys of the whole in line 2, card_remove in line 3, other blocks from line 4 on."""
    return f"{root} {{\n  {whole}\n  event card_remove {{ {remove} }}\n  {more}\n}}\n"


def translated(text: str, *arguments: str) -> EventManager:
    return translate_eventmgr(text, "FILE", arguments)


def table(text: str, *arguments: str) -> Mapping[str, Any]:
    """[monitor] of a file that has no errors, which the schema and the policy take."""
    found = translated(text, *arguments)
    assert found.translation.errors() == ()
    build_policy(read_table(found, "FILE"))
    monitor: Mapping[str, Any] = found.translation.tree["monitor"]
    return monitor


def notes(text: str, *arguments: str) -> list[tuple[int, str, NoteKind, str]]:
    """What is said of the lines, without what is said of every file."""
    said = [(note.line, note.key, note.kind, note.text) for note in translated(text, *arguments).translation.notes]
    return [each for each in said if each[1] not in ("pkcs11_eventmgr", "card_eventmgr") or each[2] is not DIFFERENT]


def of_kind(text: str, *kinds: NoteKind, arguments: tuple[str, ...] = ()) -> list[tuple[int, str, str]]:
    return [(line, key, said) for line, key, kind, said in notes(text, *arguments) if kind in kinds]


# ---------------------------------------------------------------- the samples


def sample(name: str) -> str:
    path = SAMPLES / f"{name}.conf.example"
    if path.exists():
        return path.read_text()
    if path.with_name(f"{path.name}.gz").exists():
        return gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()).decode()
    pytest.skip("libpam-pkcs11 is not installed, which brings the samples")


@pytest.mark.parametrize("name", ["pkcs11_eventmgr", "card_eventmgr"])
def test_debians_sample_locks_with_its_locker_as_the_last_resort(name: str) -> None:
    policy = build_policy(read_table(translated(sample(name)), "FILE"))
    assert policy.whole.action is Action.LOCK
    assert policy.whole.locker is not None
    assert policy.whole.locker.program.arguments == ("xscreensaver-command", "-lock")
    assert (policy.whole.locker.sign, policy.whole.locker.locked_text) == (Sign.QUERY, "screen locked")
    assert policy.whole.on_remove.programs == (Program(arguments=("play", "/usr/share/sounds/error.wav")),)
    assert policy.whole.on_insert.programs == (Program(arguments=("play", "/usr/share/sounds/warning.wav")),)
    assert (policy.poll_s, policy.wake, policy.whole.absent_s) == (1.0, True, 0.0)


@pytest.mark.parametrize("name", ["pkcs11_eventmgr", "card_eventmgr"])
def test_of_debians_sample_every_line_is_spoken_of_and_nothing_is_to_be_decided(name: str) -> None:
    found = translated(sample(name))
    assert {note.kind for note in found.translation.notes} == {DEAD, DIFFERENT}
    said = {note.key for note in found.translation.notes}
    own = {"polling_time", "event expire_time"} if name == "pkcs11_eventmgr" else {"timeout", "event timeout"}
    assert said == {name, "daemon", "debug", "action", *own}
    assert found.module == ("/usr/lib/opensc-pkcs11.so" if name == "pkcs11_eventmgr" else None)


# ---------------------------------------------------------------- actions


def test_every_correction_is_told_with_the_line_of_the_block() -> None:
    for root in ("pkcs11_eventmgr", "card_eventmgr"):
        found = translated("# a comment\n" + peer(root=root))
        said = [note for note in found.translation.notes if note.key == root]
        assert [(note.line, note.kind) for note in said] == [(2, DIFFERENT)] * ALWAYS
        words = " ".join(note.text for note in said)
        assert all(word in words for word in ("the card that opened a session", "first change after its start", "tried again"))


@pytest.mark.parametrize(("action", "locker"), [
    ("xscreensaver-command -lock", {"run": ["xscreensaver-command", "-lock"],
                                    "sign": {"query": ["xscreensaver-command", "-time"], "text": "screen locked"}}),
    ("/usr/X11R6/bin/xscreensaver-command -lock", {"run": ["/usr/X11R6/bin/xscreensaver-command", "-lock"],
        "sign": {"query": ["/usr/X11R6/bin/xscreensaver-command", "-time"], "text": "screen locked"}}),
    ("gnome-screensaver-command -l", {"run": ["gnome-screensaver-command", "-l"],
                                      "sign": {"query": ["gnome-screensaver-command", "--query"], "text": "is active"}}),
    ("mate-screensaver-command --lock", {"run": ["mate-screensaver-command", "--lock"],
                                         "sign": {"query": ["mate-screensaver-command", "--query"], "text": "is active"}}),
    ("swaylock -f -c 000000", {"run": ["swaylock", "-f", "-c", "000000"], "sign": "exit"}),
    ("swaylock", {"run": ["swaylock"]}),
    ("i3lock", {"run": ["i3lock"], "sign": "exit"}),
    ("i3lock -n", {"run": ["i3lock", "-n"]}),
    ("xlock -mode blank", {"run": ["xlock", "-mode", "blank"]}),
    ("xdg-screensaver lock", {"run": ["xdg-screensaver", "lock"]}),
    ("dm-tool lock", {"run": ["dm-tool", "lock"]}),
    ("DISPLAY=:0 xlock", {"run": ["xlock"]}),
    ("env XAUTHORITY=/x A=b xlock", {"run": ["env", "A=b", "xlock"]}),
    ("su alice -c 'DISPLAY=:0 xlock -x'", {"run": ["xlock", "-x"]}),
    ("sudo -u alice xlock", {"run": ["xlock"]}),
])  # fmt: skip
def test_a_known_locker_becomes_the_last_resort(action: str, locker: dict[str, Any]) -> None:
    found = table(peer(f'action = "{action}";'))
    assert (found["action"], found["locker"], "on_remove" in found) == ("lock", locker, False)


@pytest.mark.parametrize("action", ["vlock", "physlock -d"])
def test_a_locker_of_consoles_becomes_that_of_consoles(action: str) -> None:
    found = table(peer(f'action = "{action}";'))
    assert (found["action"], found["console_locker"]) == ("lock", {"run": action.split()})
    assert "locker" not in found


@pytest.mark.parametrize("action", [
    "loginctl lock-session", "loginctl lock-sessions", "qdbus org.freedesktop.ScreenSaver /ScreenSaver Lock",
    "qdbus org.kde.screensaver /ScreenSaver org.freedesktop.ScreenSaver.Lock",
    "dbus-send --session --dest=org.gnome.ScreenSaver --type=method_call /org/gnome/ScreenSaver org.gnome.ScreenSaver.Lock",
    "gdbus call --session --dest org.freedesktop.ScreenSaver -o /ScreenSaver -m org.freedesktop.ScreenSaver.Lock",
])  # fmt: skip
def test_what_the_monitor_asks_for_itself_is_the_action_alone(action: str) -> None:
    found = table(peer(f'action = "{action}";'))
    assert dict(found) == {"action": "lock"}


@pytest.mark.parametrize("action", ["logger x", "xscreensaver-command -activate", "qdbus org.example.test /Door"
    " Lock", "loginctl list"])
def test_without_a_known_locker_only_the_command_runs_and_somebody_must_decide(action: str) -> None:
    text = peer(f'action = "{action}";')
    assert dict(table(text)) == {"action": "command", "on_remove": [action.split()]}
    assert of_kind(text, UNSAFE) == [(3, "action", "no program that is known to lock is among these, so that nobody looks"
        " whether the"
                                      ' session is locked; put the locker into locker, with action = "lock"')]  # fmt: skip


@pytest.mark.parametrize("text", [peer(""), peer("action = ;"), "pkcs11_eventmgr { }", "card_eventmgr { event card_insert { } }"])
def test_without_an_action_nothing_is_done_and_somebody_must_decide(text: str) -> None:
    assert dict(table(text)) == {"action": "nothing"}
    assert [said for _line, _key, said in of_kind(text, UNSAFE)] == [
        'nothing is done when a card is removed; to lock the session: action = "lock"'
    ]


def test_programs_beside_a_locker_run_in_their_order() -> None:
    found = table(peer('action = "play /a.wav", "xlock", "logger \'a b\'";'))
    assert (found["action"], found["locker"]) == ("lock", {"run": ["xlock"]})
    assert found["on_remove"] == [["play", "/a.wav"], ["logger", "a b"]]


def test_of_two_lockers_the_first_is_taken_and_somebody_must_decide() -> None:
    text = peer('action = "xlock", "i3lock";')
    assert table(text)["locker"] == {"run": ["xlock"]}
    assert of_kind(text, UNSAFE) == [(3, "action", "'i3lock' is left out, because there is one locker: 'xlock'; choose")]


@pytest.mark.parametrize("action", ["loginctl unlock-session", "xscreensaver-command -exit", "pkill"
    " i3lock", "killall xscreensaver",
    "/usr/bin/killall -9 swaylock", "qdbus org.freedesktop.login1 /x org.freedesktop.login1.Session.Unlock"])  # fmt: skip
@pytest.mark.parametrize("event", ["card_insert", "card_remove"])
def test_nothing_unlocks_a_session(action: str, event: str) -> None:
    line = f'event {event} {{ action = "{action}"; }}'
    text = f"pkcs11_eventmgr {{\n{line}\n}}\n"
    assert not {"on_insert", "on_remove", "locker"} & table(text).keys()
    said = [text for line, _key, text in of_kind(text, UNSAFE) if line == 2]
    assert said[0].startswith(f"{action[:60]!r} is left out: it unlocks the session, or ends its locker")


@pytest.mark.parametrize("action", ["xscreensaver-command -deactivate", "gnome-screensaver-command -d", "xdg-screensaver reset",
                                    "qdbus org.freedesktop.ScreenSaver /ScreenSaver SimulateUserActivity"])  # fmt: skip
def test_what_wakes_the_screen_at_insertion_is_the_monitors_own(action: str) -> None:
    found = table(peer('action = "xlock";', more=f'event card_insert {{ action = "{action}", "logger x"; }}'))
    assert (found["wake"], found["on_insert"]) == (True, [["logger", "x"]])


def test_an_end_of_the_session_is_one() -> None:
    assert dict(table(peer('action = "loginctl terminate-session";'))) == {"action": "terminate"}
    locked = peer('action = "xlock", "loginctl terminate-session";')
    assert table(locked)["action"] == "lock"
    assert [said for _line, _key, said in of_kind(locked, UNSAFE)] == [
        'the session is locked and not ended; to end it after a time: action = "lock-then-terminate" with terminate_after'
    ]


# ---------------------------------------------------------------- what a shell would have to read


@pytest.mark.parametrize(("action", "why"), [
    ("a | b", "there is a pipe in it"), ("a; b", "there is ; (a list of commands) in it"),
    ("a && b", "there is & (in the background, or a list) in it"), ("a $DISPLAY", "there is $ (a variable or a substitution)"
        " in it"),
    ("a > /dev/null", "there is a redirection in it"), ("a *.wav", "there is * (a pattern of file names) in it"),
    ("~/lock", "there is ~ (a home) in it"), ("a 'b", "a quote in it is not closed, or it ends in a backslash"),
    ("cd /x", "'cd' is a word of the shell"),
    ("sudo a", "'sudo' asks for another account, and a program here runs as the account of the session"),
    ("su - alice", "'su' asks for another account, and a program here runs as the account of the session"),
    ("su alice -c 'a | b'", "there is a pipe in it"),
])  # fmt: skip
@pytest.mark.parametrize("event", ["card_remove", "card_insert"])
def test_what_needs_a_shell_is_an_error_with_its_line_and_the_reason(action: str, why: str, event: str) -> None:
    text = f'pkcs11_eventmgr {{\nevent {event} {{\non_error = return;\naction = "logger x", "{action}";\n}}\n}}\n'
    assert of_kind(text, ERROR) == [
        (4, "action", f"{action!a} cannot be carried over, because no shell runs it here: {why}; put it into a script that"
            f" only root"
         " can change, and name that")
    ]  # fmt: skip


def test_what_needs_a_shell_where_nobody_comes_is_no_error() -> None:
    text = peer('action = "xlock";', more='event expire_time { action = "a | b"; }')
    assert table(text)["action"] == "lock"
    assert of_kind(text, DEAD) == [(4, "event expire_time", "expire_time is 0, so this never happens")]


# ---------------------------------------------------------------- times


def test_expire_time_runs_its_actions_once() -> None:
    text = peer('action = "xlock";', whole="expire_time = 30;", more='event expire_time { on_error = return; action = "logger'
        ' x"; }')
    found = table(text)
    assert (found["absent"], found["on_absent"]) == (30, {"programs": [["logger", "x"]], "on_error": "return"})
    assert (4, "action", "runs once, when the card has been away for 30 seconds, and not again and"
        " again") in of_kind(text, DIFFERENT)
    alone = peer('action = "xlock";', whole="expire_time = 30;")
    assert "absent" not in table(alone)
    assert of_kind(alone, DEAD) == [(2, "expire_time", "there is no event expire_time with an action")]


def test_an_end_after_expire_time_is_lock_then_terminate() -> None:
    event = 'event expire_time { action = "loginctl terminate-session"; }'
    found = table(peer('action = "xlock";', whole="expire_time = 30;", more=event))
    assert (found["action"], found["terminate_after"], "absent" in found) == ("lock-then-terminate", 30, False)
    found = table(peer('action = "logger x";', whole="expire_time = 30;", more=event))
    assert (found["action"], found["absent"], found["on_absent"]) == ("command", 30, [["loginctl", "terminate-session"]])


def test_a_lock_after_expire_time_is_to_be_decided_about() -> None:
    text = peer("", whole="expire_time = 30;", more='event expire_time { action = "xlock"; }')
    assert table(text)["on_absent"] == [["xlock"]]
    assert any(said.startswith("whether this locks the session is not looked at") for _line, _key, said in of_kind(text, UNSAFE))


@pytest.mark.parametrize(("root", "said", "poll", "changed"), [
    ("pkcs11_eventmgr", "polling_time = 5", 5, ""), ("pkcs11_eventmgr", "polling_time = 0", 0.1, "0.1 seconds and not 0; "),
    ("pkcs11_eventmgr", "polling_time = 100", 60, "60 seconds and not 100; "),
    ("pkcs11_eventmgr", "polling_time = -1", 0.1, "0.1 seconds and not -1; "),
    ("card_eventmgr", "timeout = 500", 0.5, ""), ("card_eventmgr", "timeout = 1", 0.1, "0.1 seconds and not 0.001; "),
])  # fmt: skip
def test_the_time_between_two_looks_is_kept_within_limits(root: str, said: str, poll: float, changed: str) -> None:
    text = peer('action = "xlock";', whole=f"{said};", root=root)
    assert table(text)["poll"] == poll
    key = said.partition(" ")[0]
    assert (2, key, f"{changed}counts only where nothing tells of removals: neither PC/SC nor the events of PKCS#11") in of_kind(
        text, DIFFERENT)  # fmt: skip


def test_what_is_no_number_is_an_error() -> None:
    assert of_kind(peer(whole="polling_time = soon;"), ERROR) == [(2, "polling_time", "found 'soon', expected a whole number")]


def test_what_is_dead_is_said_with_the_reason() -> None:
    text = peer(whole='daemon = true; debug = true; nss_dir = "/n";')
    assert [(line, key) for line, key, _said in of_kind(text, DEAD)] == [(2, "debug"), (2, "daemon"), (2, "nss_dir")]
    text = peer(whole="timeout_limit = 3;", more="event timeout { }", root="card_eventmgr")
    assert of_kind(text, DEAD) == [
        (2, "timeout_limit", "card_eventmgr reads it and never uses it"),
        (4, "event timeout", "card_eventmgr never comes to it: lines 4 to 4 change nothing"),
    ]


# ---------------------------------------------------------------- repeated and unknown


def test_of_repeated_events_the_first_counts_as_there() -> None:
    text = peer('action = "xlock";', more='event Card_Remove { action = "a | b"; }')
    assert table(text)["locker"] == {"run": ["xlock"]}
    assert of_kind(text, DEAD) == [(4, "event card_remove", "stands twice, and the first counts, that of line 3: lines 4 to 4"
        " change"
                                    " nothing")]  # fmt: skip


def test_repeated_actions_add_up_and_of_other_keys_the_first_counts_as_there() -> None:
    text = "pkcs11_eventmgr {\nevent card_remove {\naction = a;\non_error = quit;\naction = b, c;\non_error = return;\n}\n}\n"
    assert table(text)["on_remove"] == {"programs": [["a"], ["b"], ["c"]], "on_error": "quit"}
    assert of_kind(text, DEAD) == [(6, "on_error", "the first value counts, 'quit', and no other")]
    assert (5, "action", "adds to the actions of line 3, as there") in of_kind(text, DIFFERENT)
    assert table(peer(whole="polling_time = 2; polling_time = 3, 4;"))["poll"] == 2


def test_of_repeated_blocks_the_first_counts_and_both_kinds_are_refused() -> None:
    twice = peer('action = "xlock";') + peer("")
    assert table(twice)["action"] == "lock"
    assert of_kind(twice, DEAD) == [(6, "pkcs11_eventmgr", "stands twice, and the first counts, that of line 1: lines 6 to 10"
        " change"
                                     " nothing")]  # fmt: skip
    for text, found in ((peer() + peer(root="card_eventmgr"), "both"), ("other { }", "none")):
        assert of_kind(text, ERROR) == [
            (6 if found == "both" else 1, "pkcs11_eventmgr", f"found {found} of the blocks pkcs11_eventmgr and card_eventmgr,"
                f" expected one")
        ]


def test_what_nobody_knows_is_said() -> None:
    text = "x = 1;\n" + peer('action = "xlock"; actoin = b;', whole="polling = 2;", more="event card_lost { } event timeout { }")
    assert of_kind(text, UNKNOWN) == [
        (1, "x", "stands outside of the block pkcs11_eventmgr or card_eventmgr, where nobody reads it"),
        (3, "polling", "neither pam_pkcs11 nor pam_sc knows it; did you mean 'polling_time'?"),
        (4, "actoin", "is no key of an event: action and on_error are"),
        (5, "event card_lost", "is no event of pkcs11_eventmgr, which are card_insert, card_remove, expire_time: nobody reads"
            " lines 5"
         " to 5"),
        (5, "event timeout", "is no event of pkcs11_eventmgr, which are card_insert, card_remove, expire_time: nobody reads"
            " lines 5 to"
         " 5"),
    ]  # fmt: skip
    assert of_kind(peer('on_error = stop; action = "xlock";'), UNKNOWN) == [
        (3, "on_error", "found 'stop', expected one of ignore, return, quit; taken as ignore, as there")
    ]


def test_a_block_inside_of_an_event_is_an_error() -> None:
    text = "pkcs11_eventmgr {\nevent card_insert {\nevent card_remove { action = xlock; }\n}\n}\n"
    assert of_kind(text, ERROR) == [(3, "event", "stands inside of the event of line 2, where nobody reads it; is there a }"
        " missing"
                                     " before it?")]  # fmt: skip


@pytest.mark.parametrize("word", ["ignore", "return", "quit"])
def test_what_follows_a_failure_is_carried_over(word: str) -> None:
    policy = build_policy(read_table(translated(peer(f'on_error = {word}; action = "a";')), "FILE"))
    assert policy.whole.on_remove.on_error is OnError(word)


# ---------------------------------------------------------------- arguments


def test_an_argument_comes_before_the_key_of_its_name() -> None:
    text = peer('action = "xlock";', whole="polling_time = 5; daemon = true;")
    assert table(text, "polling_time=7", "nodaemon", "polling_time=8")["poll"] == 8
    assert (2, "polling_time", "the argument of the command holds instead") in of_kind(text, DEAD, arguments=("polling_time=7",))
    assert translated(text, "pkcs11_module=/m.so").module == "/m.so"


def test_arguments_that_change_nothing_are_told() -> None:
    text = peer('action = "xlock";', root="card_eventmgr")
    said = of_kind(text, DEAD, arguments=("debug", "nodaemon", "config_file=/x", "pidfile=/p", "timeout_limit=1"))
    assert sorted(said) == [
        (0, "config_file", "named the file"),
        (0, "daemon", "pam-sc monitor stays in the foreground, and systemd starts and ends it"),
        (0, "debug", "each step is in the log in any case, and nothing more is said for debugging"),
        (0, "pidfile", "none is written: systemd knows the process"),
        (0, "timeout_limit", "card_eventmgr reads it and never uses it"),
    ]


@pytest.mark.parametrize(("root", "argument", "said"), [
    ("card_eventmgr", "kill", "nothing is ended in this way: systemctl stop ends what systemctl start began"),
    ("pkcs11_eventmgr", "kill", "'kill' is no argument of pkcs11_eventmgr"),
    ("pkcs11_eventmgr", "timeout=5", "'timeout=5' is no argument of pkcs11_eventmgr"),
    ("card_eventmgr", "expire_time=5", "'expire_time=5' is no argument of card_eventmgr"),
    ("pkcs11_eventmgr", "expire_time=", "'expire_time=' has no value"),
    ("pkcs11_eventmgr", "debug=true", "'debug=true' is no argument of pkcs11_eventmgr"),
])  # fmt: skip
def test_another_argument_is_an_error(root: str, argument: str, said: str) -> None:
    ((line, _key, text),) = of_kind(peer('action = "xlock";', root=root), ERROR, arguments=(argument,))
    assert (line, text) == (0, said)


def test_the_first_config_file_is_the_one() -> None:
    assert config_file_of(["debug", "config_file=/a", "config_file=/b"]) == "/a"
    assert config_file_of(["debug"]) is None


# ---------------------------------------------------------------- beside pam_sc's own configuration


@pytest.fixture
def own(tmp_path: Path, module: Path) -> str:
    path = tmp_path / "pam_sc.toml"
    path.write_text(MINIMAL.format(module=module) + "[monitor]\nwake = false\n")
    path.chmod(0o644)
    return str(path)


def put(folder: Path, text: str, name: str = "eventmgr.conf") -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def test_the_monitor_has_the_modules_of_its_own_configuration_and_the_policy_of_the_file(
    tmp_path: Path, own: str, module: Path
) -> None:
    path = put(tmp_path, peer('action = "xlock";', whole=f"pkcs11_module = {module}; polling_time = 9;"))
    read = load_for_monitor(path, TRUSTED, own_path=own)
    assert (read.source, [each.path for each in read.token.modules]) == (path, [str(module)])
    policy = monitor_policy(read)
    assert (policy.wake, policy.poll_s) == (True, 9.0)  # nothing of [monitor] in the other file is left
    assert read.places["monitor.poll"] == f"{path}:2"
    assert load_for_monitor(path, TRUSTED, ("polling_time=4",), own).monitor["poll"] == 4.0
    assert monitor_policy(load_for_monitor(own, TRUSTED)) == MonitorPolicy(wake=False)


@pytest.mark.parametrize(("named", "kind", "end"), [
    ("{module}", DEAD, "this one is among them"), ("{folder}/link.so", DEAD, "this one is among them"),
    ("/elsewhere/module.so", DIFFERENT, "this one has the name of one of them"),
    ("/elsewhere/other.so", UNSAFE, "this one is none of them, and a card that it alone knows is not watched: add a"
        " [[token.module]]"
     " with its path"),
])  # fmt: skip
def test_the_module_that_is_named_is_compared_with_those_that_are_used(
    tmp_path: Path, own: str, module: Path, named: str, kind: NoteKind, end: str
) -> None:
    (tmp_path / "link.so").symlink_to(module)
    named = named.format(module=module, folder=tmp_path)
    path = put(tmp_path, peer('action = "xlock";', whole=f"pkcs11_module = {named};"))
    (note,) = [note for note in load_for_monitor(path, TRUSTED, own_path=own).notes if note.key == "pkcs11_module"]
    assert (note.line, note.kind) == (2, kind)
    assert note.text == f"the monitor uses the PKCS#11 modules of {own}: {module}; {end}"


def test_what_cannot_be_carried_over_keeps_the_monitor_from_starting(tmp_path: Path, own: str) -> None:
    path = put(tmp_path, peer('action = "a | b";'))
    with pytest.raises(ConfigError, match=rf"^{path}:3: action: 'a \| b' cannot be carried over"):
        load_for_monitor(path, TRUSTED, own_path=own)
    path = put(tmp_path, peer('action = "xlock";'))
    with pytest.raises(ConfigError, match=rf"^{path} \(argument of the command\): kill: 'kill' is no argument"):
        load_for_monitor(path, TRUSTED, ("kill",), own)


def test_what_the_schema_refuses_is_told_with_the_line_of_the_file(tmp_path: Path, own: str) -> None:
    path = put(tmp_path, peer('action = "./lock";'))
    with pytest.raises(ConfigError) as caught:
        load_for_monitor(path, TRUSTED, own_path=own)
    assert str(caught.value).startswith(f"{path}:3: monitor.on_remove[0]: found a non-empty array ('./lock' is neither an"
        f" absolute path")
    path = put(tmp_path, peer('action = "xlock";', whole="expire_time = 700000;", more="event expire_time { action = a; }"))
    with pytest.raises(ConfigError, match=rf"^{path}:4: monitor.absent: found 700000 "):
        load_for_monitor(path, TRUSTED, own_path=own)


def test_other_files_have_no_such_arguments_and_a_file_that_others_can_write_is_refused(tmp_path: Path, own: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use the argument 'debug' with .*: it belongs to an event manager's file"):
        load_for_monitor(own, TRUSTED, ("debug",))
    path = put(tmp_path, peer('action = "xlock";'))
    Path(path).chmod(0o666)
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_for_monitor(path, TRUSTED, own_path=own)


def test_a_file_is_known_by_its_blocks() -> None:
    assert is_eventmgr("PKCS11_EventMgr { }", "FILE")
    assert is_eventmgr("card_eventmgr { }", "FILE")
    assert not is_eventmgr("pam_pkcs11 { pkcs11_eventmgr { } }", "FILE")


# ---------------------------------------------------------------- anything at all

WORDS = st.sampled_from([
    "pkcs11_eventmgr", "card_eventmgr", "event", "card_remove", "card_insert", "expire_time", "timeout", "{", "}", "=", ";", ",",
    '"', "#", "\n", "action", "on_error", "quit", "0", "1", "-1", "9" * 20, "true", "polling_time", "pkcs11_module", "xlock", "a",
    '"loginctl terminate-session"', "\"a 'b\"", '"a | b"', "\"su a -c 'x y'\"", '"env A=b"', '"sudo -u a --"', '"DISPLAY=:0"',
    '"xscreensaver-command -lock"', '"pkill i3lock"', "\\", ".", "\xe9", "\x01", "action = a, xlock;", "event card_remove {",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=200), st.lists(st.text(max_size=20), max_size=2))
def test_no_text_raises_anything_but_a_configuration_error(text: str, arguments: list[str]) -> None:
    for whole in (text, f"pkcs11_eventmgr {{ expire_time = 5;\n{text}\n}}", peer(text), peer(f'action = "{text}";')):
        try:
            found = translated(whole, *arguments)
            if not found.translation.errors():
                assert isinstance(build_policy(read_table(found, "FILE")), MonitorPolicy)
        except ConfigError:
            pass
