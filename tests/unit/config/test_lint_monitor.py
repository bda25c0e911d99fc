# SPDX-License-Identifier: LGPL-2.1-or-later
"""What check-config says of [monitor]: each finding beside the table that has none."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_monitor import find_program, lint_monitor
from pam_sc.config.model import Configuration
from pam_sc.config.monitor_keys import read_monitor
from pam_sc.config.monitoring import build_policy
from pam_sc.record import replace
from tests.unit.config.findings import NAMES, OWNERS, findings, write

PLAIN = 'otherwise = "terminate"\nconsole_locker = ["locker"]\n'
"""A table of which there is nothing to say, where the program `locker` is there."""


@pytest.fixture
def programs(place: Path) -> Path:
    for name in ("locker", "other"):
        write(place / name, b"#!/bin/sh\n", 0o755)
    return place


def said(text: str, folder: Path) -> list[tuple[Weight, str, str]]:
    read = read_monitor(tomllib.loads(text))
    found = lint_monitor(build_policy(read), read, owners=OWNERS, find_name=NAMES.get, folders=[str(folder)])
    return [(each.severity, each.where, each.text) for each in found]


def test_of_a_policy_that_locks_and_ends_there_is_nothing_to_say(programs: Path) -> None:
    assert said(PLAIN, programs) == []


WARNING, NOTE = Weight.WARNING, Weight.NOTE
ONLY_REPORTED = "report: a graphical session of which no lock is seen stays open, and only the log says so;"
FOUND = {
    "nothing": ('action = "nothing"\n', WARNING, "monitor.action", "nothing: a session stays open when its card is taken"
        " away; lock is"
        " the default"),
    "a command": ('action = "command"\non_remove = [["locker"]]\n', WARNING, "monitor.action", "command: whether on_remove"
        " locks the"
        ' session is not looked at; a locker belongs into locker, with action = "lock"'),
    "an end at a touch": ('action = "terminate"\nreader_grace = 1\n', WARNING, "monitor.action",
        "terminate, with grace = 0.1: a card that sits badly ends the session, with what was not saved; give it at least a"
            " second, or"
        ' use "lock-then-terminate"'),
    "an end soon": (PLAIN + 'action = "lock-then-terminate"\nterminate_after = 59\n', WARNING, "monitor.terminate_after",
        "59 seconds: somebody who only changes the reader loses what was not saved"),
    "an end that never comes": (PLAIN + "terminate_after = 600\n", WARNING, "monitor.terminate_after",
        'counts only with action = "lock-then-terminate": no session is ended after that time'),
    "only a report": ('console_locker = ["locker"]\n', NOTE, "monitor.otherwise", f"{ONLY_REPORTED} give it a locker, or"
        ' otherwise = "terminate" ends it, with what was not saved'),
    "only a report after a locker": ('console_locker = ["locker"]\nlocker = ["other"]\n', NOTE, "monitor.otherwise",
        ONLY_REPORTED + ' otherwise = "terminate" ends it, with what was not saved'),
    "a console that is ended": ('otherwise = "terminate"\n', NOTE, "monitor.console_locker", "not set: a session on a text"
        " console is"
        ' ended when its card is removed; console_locker = ["vlock"] locks it instead'),
    "a console that stays open": ('otherwise = "terminate"\nconsole_otherwise = "report"\n', WARNING, "monitor.console_otherwise",
        'report, without a console_locker: a session on a text console stays open; console_locker = ["vlock"] locks it'),
    "a long grace": (PLAIN + "grace = 5.5\n", WARNING, "monitor.grace", "5.5 seconds: for so long a session stays open after"
        " its card"
        " went; 5 are enough for hubs that reset"),
    "a long grace of readers": (PLAIN + "reader_grace = 60\n", WARNING, "monitor.reader_grace", "1 minute: for so long a"
        " session stays"
        " open after its card went; 5 are enough for hubs that reset"),
    "seldom looks": (PLAIN + 'watch = "poll"\npoll = 6\n', WARNING, "monitor.poll", "6 seconds: for so long a removal may not"
        " be seen;"
        " make it shorter, or leave watch at auto"),
    "never unwatched": (PLAIN + "unwatched = 0\n", WARNING, "monitor.unwatched", "0: whoever stops the card service can take"
        " the card"
        " away, and nothing is locked; give it a time"),
    "a locker for nothing": ('action = "terminate"\ngrace = 1\nlocker = ["locker"]\n', NOTE, "monitor.locker",
        'counts for nothing with action = "terminate"'),
    "an end of the monitor": (PLAIN + 'on_insert = { programs = [["other"]], on_error = "quit" }\n', WARNING, "monitor.on_insert",
        'on_error = "quit": a program that fails leaves every session without a monitor, until it is started again'),
    "root": (PLAIN + 'on_insert = [{ run = ["other"], run_as = "root" }]\n', WARNING, "monitor.on_insert[0]", 'run_as ='
        ' "root": neither'
        " unit of pam-sc monitor can do that, only root who starts it; and what it does may be steered by the session's own"
        " account"),
    "an account that is not there": (PLAIN + '[[rule]]\naccount = ["mallory"]\n', WARNING, "monitor.rule[0].account",
        "there is no account 'mallory' here, so it says nothing of anybody"),
    "nothing for some": (PLAIN + '[[rule]]\naccount = ["alice"]\naction = "nothing"\n', WARNING, "monitor.rule[0].action",
        "nothing: a session stays open when its card is taken away; lock is the default"),
    "an end of a rule that never comes": (PLAIN + '[[rule]]\naccount = ["alice"]\nterminate_after = 70\n', WARNING,
        "monitor.rule[0].terminate_after", 'counts only with action = "lock-then-terminate": no session is ended after that'
            ' time'),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_one_thing_is_found(programs: Path, case: str) -> None:
    text, weight, where, message = FOUND[case]
    assert said(text, programs) == [(weight, where, message)]


NEAR_MISSES = {
    "an end with time": 'action = "terminate"\nreader_grace = 1\ngrace = 1\n',
    "an end after a minute": PLAIN + 'action = "lock-then-terminate"\nterminate_after = 60\n',
    "an end that a rule uses": PLAIN + 'terminate_after = 600\n[[rule]]\ntype = ["x11"]\naction = "lock-then-terminate"\n',
    "a grace that is enough": PLAIN + "grace = 5\nreader_grace = 5\n",
    "looks that are not used": PLAIN + "poll = 6\n",
    "an account that is there": PLAIN + '[[rule]]\naccount = ["alice", "@admins"]\n',
    "a program by its path": PLAIN + 'on_remove = [["{folder}/other", "x"]]\n',
    "a rule for consoles": PLAIN + '[[rule]]\ntype = ["tty"]\notherwise = "report"\n',
    "a rule for graphics": PLAIN + '[[rule]]\ntype = ["x11"]\nconsole_otherwise = "report"\n',
    "a locker that a rule uses": (
        'action = "terminate"\ngrace = 1\nlocker = ["locker"]\n[[rule]]\ntype = ["x11"]\naction = "lock"\notherwise ='
        ' "terminate"\n'
    ),
}


@pytest.mark.parametrize("case", NEAR_MISSES)
def test_its_near_miss_is_not(programs: Path, case: str) -> None:
    assert said(NEAR_MISSES[case].replace("{folder}", str(programs)), programs) == []


# ---------------------------------------------------------------- programs


@pytest.mark.parametrize("key", ["locker", "console_locker", "on_remove", "on_insert", "on_absent"])
def test_a_program_that_is_not_there_is_found_wherever_it_stands(programs: Path, key: str) -> None:
    value = '["gone"]' if "locker" in key else '[["gone"]]'
    where = f"monitor.{key}" if "locker" in key else f"monitor.{key}[0]"
    kept = PLAIN.replace('console_locker = ["locker"]\n', "") if key == "console_locker" else PLAIN
    text = kept + f"{key} = {value}\n" + ("absent = 5\n" if key == "on_absent" else "")
    assert said(text, programs) == [(WARNING, where, f"'gone' is in none of {programs}; install it, or name its path")]
    assert said(text.replace("gone", "other"), programs) == []


def test_the_program_that_asks_is_looked_for_too(programs: Path) -> None:
    text = PLAIN + 'locker = { run = ["locker"], sign = { query = ["gone"], text = "x" } }\n'
    assert said(text, programs) == [(WARNING, "monitor.locker.sign", f"'gone' is in none of {programs}; install it, or name"
        f" its path")]


def test_a_program_by_its_path_must_be_there_and_one_that_can_be_started(programs: Path) -> None:
    write(programs / "text", b"", 0o644)
    for name in ("gone", "text", "folder"):
        path = programs / name
        if name == "folder":
            path.mkdir()
        assert said(PLAIN + f'on_remove = [["{path}"]]\n', programs) == [
            (WARNING, "monitor.on_remove[0]", f"{path} is no program that can be started; install it, or name another")
        ]


def test_a_program_that_others_can_change_is_found(programs: Path) -> None:
    (programs / "other").chmod(0o777)
    ((weight, where, text),) = said(PLAIN + 'on_remove = [["other"]]\n', programs)
    assert (weight, where) == (WARNING, "monitor.on_remove[0]")
    assert text.startswith("somebody else decides what runs in the session: ")
    assert f"{programs}/other" in text


def test_a_program_is_looked_for_in_the_order_of_the_folders(programs: Path, tmp_path: Path) -> None:
    write(tmp_path / "locker", b"", 0o644)
    assert find_program("locker", [str(tmp_path), str(programs)]) == f"{programs}/locker"
    (tmp_path / "locker").chmod(0o755)
    assert find_program("locker", [str(tmp_path), str(programs)]) == f"{tmp_path}/locker"
    assert find_program("gone", [str(tmp_path), str(programs)]) is None


# ---------------------------------------------------------------- rules

NEVER = "never holds: monitor.rule[0] fits each of its sessions, and the first that fits holds; put the narrower one first"
RULES = {
    "the same": ('type = ["tty"]', 'type = ["tty"]', True),
    "a narrower type": ('type = ["tty", "x11"]', 'type = ["x11"]', True),
    "a wider type": ('type = ["x11"]', 'type = ["tty", "x11"]', False),
    "another type": ('type = ["x11"]', 'type = ["tty"]', False),
    "one more condition": ('type = ["tty"]', 'type = ["tty"]\naccount = ["alice"]', True),
    "one condition less": ('type = ["tty"]\naccount = ["alice"]', 'type = ["tty"]', False),
    "another condition": ('type = ["tty"]', 'account = ["alice"]', False),
    "some of the accounts": ('account = ["alice", "bob", "@staff"]', 'account = ["bob", "@staff"]', True),
    "a group more": ('account = ["alice"]', 'account = ["alice", "@staff"]', False),
    "some of the services": ('service = ["gdm", "login"]', 'service = ["login"]', True),
    "a service more": ('service = ["login"]', 'service = ["gdm", "login"]', False),
}


@pytest.mark.parametrize("case", RULES)
def test_a_rule_that_an_earlier_one_covers_never_holds(programs: Path, case: str) -> None:
    first, second, covered = RULES[case]
    expected = [(WARNING, "monitor.rule[1]", NEVER)] if covered else []
    assert said(f"{PLAIN}[[rule]]\n{first}\n[[rule]]\n{second}\n", programs) == expected


# ---------------------------------------------------------------- in the whole


def test_what_is_said_of_the_monitor_is_among_the_findings_of_the_file(good: Configuration) -> None:
    assert findings(good) == []
    table = {"unwatched": 0.0, "otherwise": "terminate", "console_locker": {"run": ("/none",)}}
    assert [(each.severity, each.where) for each in findings(replace(good, monitor=table))] == [
        (WARNING, "monitor.unwatched"), (WARNING, "monitor.console_locker"),
    ]  # fmt: skip


def test_a_contradiction_is_an_error_because_the_monitor_does_not_start(good: Configuration) -> None:
    found = findings(replace(good, monitor={"action": "command"}))
    text = ('/etc/pam_sc/pam_sc.toml: monitor.action: found action "command" without a program, expected on_remove with the'
        ' programs'
            " that it means")  # fmt: skip
    assert found == [Finding(Weight.ERROR, "monitor", text)]
    assert os.path.isabs(good.source)
