# SPDX-License-Identifier: LGPL-2.1-or-later
"""[monitor]: every near miss of a good table with its whole message, and what the good one means."""

from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path

import pytest

from pam_sc.config import monitor_keys
from pam_sc.config.monitoring import monitor_policy
from pam_sc.decision import monitoring
from pam_sc.decision.monitoring import (
    Action,
    Commands,
    Locker,
    MonitorPolicy,
    OnError,
    Otherwise,
    Program,
    Rule,
    RunAs,
    SessionPolicy,
    Sign,
    WatchBy,
)
from pam_sc.decision.policy import Members
from pam_sc.errors import ConfigError
from pam_sc.record import replace
from tests.unit.config.files import MINIMAL, load_text, refusal

GOOD = """\
[monitor]
watch = "pcsc"
poll = 2
grace = 0.5
reader_grace = 3
resume_grace = 20
unwatched = 0
lock_wait = 1.5
wake = false
action = "lock-then-terminate"
terminate_after = 60
otherwise = "terminate"
console_otherwise = "report"
locker = ["swaylock", "-f"]
console_locker = { run = ["/usr/bin/vlock", "-c"], sign = "exit" }
on_remove = [["logger", "a b"], { run = ["/usr/bin/true"], limit = 0.5, run_as = "root" }]
on_insert = { programs = [["logger", "back"]], on_error = "quit" }
on_absent = [["logger", "away"]]
absent = 90
[[monitor.rule]]
service = ["gdm-smartcard"]
account = ["alice", "@staff"]
type = ["wayland"]
action = "terminate"
[monitor.rule.locker]
run = ["xscreensaver-command", "-lock"]
[monitor.rule.locker.sign]
query = ["xscreensaver-command", "-time"]
text = "screen locked"
"""
FIRST = MINIMAL.count("\n")


def policy_of(file: Path, module: Path, text: str) -> MonitorPolicy:
    return monitor_policy(load_text(file, MINIMAL.format(module=module) + text))


def contradiction(file: Path, module: Path, text: str) -> str:
    """The message of a table that a login takes, and the monitor does not."""
    configuration = load_text(file, MINIMAL.format(module=module) + text)
    with pytest.raises(ConfigError) as caught:
        monitor_policy(configuration)
    return str(caught.value).replace(str(file), "FILE")


def run(*arguments: str) -> Program:
    return Program(arguments=arguments)


def test_without_a_word_the_defaults_of_the_policy_hold(file: Path, module: Path) -> None:
    assert policy_of(file, module, "") == policy_of(file, module, "[monitor]\n") == MonitorPolicy()


def test_every_key_means_what_it_says(file: Path, module: Path) -> None:
    whole = SessionPolicy(
        action=Action.LOCK_THEN_TERMINATE, terminate_after_s=60.0, otherwise=Otherwise.TERMINATE,
        console_otherwise=Otherwise.REPORT, locker=Locker(program=run("swaylock", "-f")),
        console_locker=Locker(program=run("/usr/bin/vlock", "-c"), sign=Sign.EXIT),
        on_remove=Commands(programs=(run("logger", "a b"),
                                     Program(arguments=("/usr/bin/true",), limit_s=0.5, run_as=RunAs.ROOT))),
        on_insert=Commands(programs=(run("logger", "back"),), on_error=OnError.QUIT),
        on_absent=Commands(programs=(run("logger", "away"),)), absent_s=90.0,
    )  # fmt: skip
    locker = Locker(program=run("xscreensaver-command", "-lock"), sign=Sign.QUERY, query=run("xscreensaver-command", "-time"),
                    locked_text="screen locked")  # fmt: skip
    rule = Rule(
        services=frozenset({"gdm-smartcard"}), members=Members(accounts=frozenset({"alice"}), groups=frozenset({"staff"})),
        types=frozenset({"wayland"}), policy=replace(whole, action=Action.TERMINATE, locker=locker),
    )  # fmt: skip
    assert policy_of(file, module, GOOD) == MonitorPolicy(
        watch=WatchBy.PCSC, poll_s=2.0, grace_s=0.5, reader_grace_s=3.0, resume_grace_s=20.0, unwatched_s=0.0, lock_wait_s=1.5,
        wake=False, whole=whole, rules=(rule,),
    )  # fmt: skip


def test_the_words_of_the_schema_are_those_of_the_policy() -> None:
    kinds: dict[tuple[str, ...], type[enum.Enum]] = {
        monitor_keys.ACTIONS: monitoring.Action, monitor_keys.OTHERWISE: monitoring.Otherwise,
        monitor_keys.ON_ERROR: monitoring.OnError, monitor_keys.RUN_AS: monitoring.RunAs,
        monitor_keys.WATCH: monitoring.WatchBy, (*monitor_keys.SIGNS, "query"): monitoring.Sign,
    }  # fmt: skip
    for words, kind in kinds.items():
        assert sorted(words) == sorted(each.value for each in kind)


SECONDS = {
    "poll": ("poll = 2", "0.1", "60"), "grace": ("grace = 0.5", "0", "60"), "reader_grace": ("reader_grace = 3", "0", "60"),
    "resume_grace": ("resume_grace = 20", "0", "600"), "unwatched": ("unwatched = 0", "0", "86400"),
    "lock_wait": ("lock_wait = 1.5", "0.1", "60"), "terminate_after": ("terminate_after = 60", "1", "604800"),
    "absent": ("absent = 90", "0", "604800"),
}  # fmt: skip


@pytest.mark.parametrize("key", SECONDS)
def test_a_time_is_a_number_of_seconds_within_its_limits(file: Path, module: Path, key: str) -> None:
    right, least, most = SECONDS[key]
    text = MINIMAL.format(module=module) + GOOD
    assert text.count(f"\n{right}\n") == 1
    line = text.split("\n").index(right) + 1
    expected = f"expected seconds from {least} to {most}"
    for wrong, found in (
        ("-1", "-1 (an integer) (too small)"), (f"{most}.1", f"{most}.1 (a number) (too large)"), ("nan", "nan (a number) (no"
            " number)"),
        ("inf", "inf (a number) (too large)"), ("true", "true (a boolean)"), ('"1"', "'1'"), ("[1]", "a non-empty array"),
    ):  # fmt: skip
        said = refusal(file, text.replace(f"\n{right}\n", f"\n{key} = {wrong}\n"))
        assert said == f"FILE:{line}: monitor.{key}: found {found}, {expected}"
    for held in (least, most):
        load_text(file, text.replace(f"\n{right}\n", f"\n{key} = {held}\n"))


NO_PROGRAM = 'an array of a program and its arguments, such as ["/usr/bin/logger", "card removed"]'
LOCKER = 'an array of a locker and its arguments, such as ["/usr/bin/swaylock", "-f"]'
PROGRAMS = "an array of programs, each an array of its own or a table with run"
REFUSALS = {
    "an unknown key": ("wake = false", "wakes = false", "9: monitor.wakes: found an unknown key, expected one of absent, action,"
        " console_locker, console_otherwise, grace, lock_wait, locker, on_absent, on_insert, on_remove, otherwise, poll,"
        " reader_grace, resume_grace, rule, terminate_after, unwatched, wake, watch; did you mean 'wake'?"),
    "no boolean": ("wake = false", "wake = 0", "9: monitor.wake: found 0 (an integer), expected true or false"),
    "no source": ('watch = "pcsc"', 'watch = "pscs"', "2: monitor.watch: found 'pscs', expected one of auto, pcsc, slots, poll;"
        " did you mean 'pcsc'?"),
    "no action": ('"lock-then-terminate"', '"lock-then-terminated"', "10: monitor.action: found 'lock-then-terminated', expected"
        " one of lock, lock-then-terminate, terminate, command, nothing; did you mean 'lock-then-terminate'?"),
    "no otherwise": ('\notherwise = "terminate"', '\notherwise = "lock"', "12: monitor.otherwise: found 'lock', expected"
        ' "report" or "terminate"'),
    "no otherwise of a console": ('console_otherwise = "report"', "console_otherwise = true", "13: monitor.console_otherwise:"
        " found"
        ' true (a boolean), expected "report" or "terminate"'),
    "a locker in one string": ('["swaylock", "-f"]', '"swaylock -f"', f"14: monitor.locker: found 'swaylock -f', expected"
        f" {LOCKER}"),
    "a shell's line": ('["swaylock", "-f"]', '["swaylock -f"]', "14: monitor.locker: found a non-empty array ('swaylock -f' has"
        f" its arguments in one string, and no shell reads it: write each as a string of its own), expected {LOCKER}"),
    "a path that is not absolute": ('["swaylock", "-f"]', '["bin/swaylock"]', "14: monitor.locker: found a non-empty array"
        f" ('bin/swaylock' is neither an absolute path nor the plain name of a program), expected {LOCKER}"),
    "a path from here": ('["swaylock", "-f"]', '["./swaylock"]', "14: monitor.locker: found a non-empty array"
        f" ('./swaylock' is neither an absolute path nor the plain name of a program), expected {LOCKER}"),
    "a home": ('["swaylock", "-f"]', '["~swaylock"]', "14: monitor.locker: found a non-empty array"
        f" ('~swaylock' is neither an absolute path nor the plain name of a program), expected {LOCKER}"),
    "a path with ..": ('["/usr/bin/vlock", "-c"]', '["/usr/bin/../vlock"]', '15: monitor.console_locker.run: found a non-empty'
        f' array (not in its plain form: no "..", no ".", no repeated slash), expected {NO_PROGRAM}'),
    "no program": ('["swaylock", "-f"]', "[]", f"14: monitor.locker: found an empty array (it has no program in it), expected"
        f" {LOCKER}"),
    "an empty name": ('["swaylock", "-f"]', '[""]', "14: monitor.locker: found a non-empty array ('' is neither an absolute path"
        f" nor the plain name of a program), expected {LOCKER}"),
    "a control character": ('"a b"', '"a\\u001bb"', "16: monitor.on_remove[0]: found a non-empty array (it holds a character that"
        f" cannot be printed), expected {NO_PROGRAM}"),
    "a number among the arguments": ('"a b"', "1", f"16: monitor.on_remove[0]: found a non-empty array, expected {NO_PROGRAM}"),
    "one program for many": ('[["logger", "a b"], ', '["logger", ', f"16: monitor.on_remove[0]: found 'logger', expected"
        f" {NO_PROGRAM}"),
    "no programs": ('[["logger", "away"]]', '"logger"', f"18: monitor.on_absent: found 'logger', expected {PROGRAMS}"),
    "a table without programs": ('programs = [["logger", "back"]], ', "", "17: monitor.on_insert.programs: found nothing,"
        " expected"
        f" {PROGRAMS}"),
    "an empty array in the table": ('[["logger", "back"]]', "[]", f"17: monitor.on_insert.programs: found an empty array,"
        f" expected {PROGRAMS}"),
    "no on_error": ('"quit"', '"stop"', "17: monitor.on_insert.on_error: found 'stop', expected one of ignore, return, quit"),
    "no limit": ("limit = 0.5", "limit = 0", "16: monitor.on_remove[1].limit: found 0 (an integer) (too small), expected"
        " seconds from"
        " 0.1 to 600"),
    "no account to run as": ('run_as = "root"', 'run_as = "alice"', "16: monitor.on_remove[1].run_as: found 'alice', expected"
        ' "session" or "root"'),
    "a program without run": ('run = ["/usr/bin/true"], ', "", f"16: monitor.on_remove[1].run: found nothing, expected"
        f" {NO_PROGRAM}"),
    "a locker that runs as root": ('sign = "exit"', 'run_as = "root"', "15: monitor.console_locker.run_as: found an unknown key,"
        " expected one of run, sign; did you mean 'run'?"),
    "no sign": ('sign = "exit"', 'sign = "exits"', '15: monitor.console_locker.sign: found \'exits\', expected "exit" or'
        ' "none", or'
        " { query = [...], text = \"...\" }; did you mean 'exit'?"),
    "a query without a text": ('\ntext = "screen locked"', "", "27: monitor.rule[0].locker.sign.text: found nothing, expected"
        " what the"
        " query prints of a locked screen"),
    "an empty text": ('"screen locked"', '""', "29: monitor.rule[0].locker.sign.text: found '' (no name is written so),"
        " expected what"
        " the query prints of a locked screen"),
    "a text without a query": ('query = ["xscreensaver-command", "-time"]\n', "", "27: monitor.rule[0].locker.sign.query: found"
        f" nothing, expected {NO_PROGRAM}"),
    "an unknown key of a rule": ("type = [", "types = [", "23: monitor.rule[0].types: found an unknown key, expected one of"
        " absent,"
        " account, action, console_locker, console_otherwise, locker, on_absent, on_insert, on_remove, otherwise, service,"
        " terminate_after, type; did you mean 'type'?"),
    "a time of the whole in a rule": ('action = "terminate"', "grace = 1", "24: monitor.rule[0].grace: found an unknown key,"
        " expected"
        " one of absent, account, action, console_locker, console_otherwise, locker, on_absent, on_insert, on_remove, otherwise,"
        " service, terminate_after, type"),
    "no service": ('["gdm-smartcard"]', '["GDM"]', "21: monitor.rule[0].service[0]: found 'GDM' (no PAM service can have this"
        " name),"
        " expected the name of a PAM service, in lower case"),
    "no services": ('["gdm-smartcard"]', "[]", "21: monitor.rule[0].service: found an empty array, expected an array of at"
        " least one"
        " name of a PAM service, each once"),
    "no account": ('["alice", "@staff"]', '["alice:x"]', "22: monitor.rule[0].account[0]: found 'alice:x' (no account can"
        " have this"
        ' name), expected the name of an account, or of a group as "@group"'),
    "no accounts": ('["alice", "@staff"]', "[]", "22: monitor.rule[0].account: found an empty array, expected an array of"
        " names of"
        ' accounts, and of groups as "@group"'),
    "no type": ('["wayland"]', '["weyland"]', "23: monitor.rule[0].type[0]: found 'weyland', expected one of wayland, x11,"
        " tty, mir,"
        " web, unspecified; did you mean 'wayland'?"),
    "a type twice": ('["wayland"]', '["wayland", "wayland"]', "23: monitor.rule[0].type[1]: found 'wayland' twice, expected"
        " an array"
        " of at least one type of session, each once"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_near_miss_refuses_the_whole_file(file: Path, module: Path, case: str) -> None:
    right, wrong, message = REFUSALS[case]
    assert GOOD.count(right) == 1, "the case must change exactly one thing"
    line, _, rest = message.partition(":")
    said = refusal(file, MINIMAL.format(module=module) + GOOD.replace(right, wrong))
    assert said == f"FILE:{int(line) + FIRST}:{rest}"


def test_no_table_and_no_tables_are_refused(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module)
    assert refusal(file, f"monitor = true\n{text}") == "FILE:1: monitor: found true (a boolean), expected a table: [monitor]"
    assert refusal(file, text + "[[monitor]]\n") == "FILE:7: monitor: found a non-empty array, expected a table: [monitor]"


def test_a_service_has_no_monitor_of_its_own(file: Path, module: Path) -> None:
    assert refusal(file, MINIMAL.format(module=module) + "[service.sudo.monitor]\nwake = true\n") == (
        "FILE:7: service.sudo.monitor: found a table of the monitor in that of a service, expected [monitor] at the top of the"
        " file, where [[monitor.rule]] has service = [...] in it"
    )


# ---------------------------------------------------------------- what no single key can say

CONTRADICTIONS = {
    "a command without one": (
        '[monitor]\naction = "command"\n', '8: monitor.action: found action "command" without a program, expected on_remove'
        " with the"
        " programs that it means",
    ),
    "a rule that takes the command away": (
        '[monitor]\naction = "command"\non_remove = [["a"]]\n[[monitor.rule]]\ntype = ["tty"]\non_remove = []\n',
        '12: monitor.rule[0].on_remove: found action "command" without a program, expected on_remove with the programs that it'
        " means",
    ),
    "programs that never run": (
        '[monitor]\non_absent = [["a"]]\n', "8: monitor.on_absent: found programs that never run, expected absent too: after"
        " how many"
        " seconds they run",
    ),
    "a time after which nothing runs": (
        "[monitor]\nabsent = 5\n", "8: monitor.absent: found 5.0 (a number), expected on_absent too: the programs that run then",
    ),
    "a rule for nobody in particular": (
        '[monitor]\n[[monitor.rule]]\naction = "lock"\n', "8: monitor.rule[0]: found a rule for no session in particular,"
        " expected at"
        " least one of service, account and type in it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_by_the_monitor_with_its_place(file: Path, module: Path, case: str) -> None:
    text, message = CONTRADICTIONS[case]
    assert contradiction(file, module, text) == f"FILE:{message}"


@pytest.mark.parametrize("text", [
    '[monitor]\naction = "command"\non_remove = [["a"]]\n',
    '[monitor]\non_remove = [["a"]]\n[[monitor.rule]]\ntype = ["tty"]\naction = "command"\n',
    '[monitor]\non_absent = [["a"]]\nabsent = 5\n',
    '[monitor]\non_absent = [["a"]]\nabsent = 5\n[[monitor.rule]]\ntype = ["tty"]\nabsent = 0\n',
    '[monitor]\non_absent = [["a"]]\nabsent = 5\n[[monitor.rule]]\ntype = ["tty"]\non_absent = []\n',
    '[monitor]\nterminate_after = 5\n[[monitor.rule]]\ntype = ["tty"]\naction = "lock-then-terminate"\n',
])  # fmt: skip
def test_what_only_looks_like_a_contradiction_is_taken(file: Path, module: Path, text: str) -> None:
    assert isinstance(policy_of(file, module, text), MonitorPolicy)


def test_a_rule_inherits_what_it_does_not_say(file: Path, module: Path) -> None:
    policy = policy_of(file, module, '[monitor]\nterminate_after = 5\non_remove = [["a"]]\n[[monitor.rule]]\ntype = ["tty"]\n'
                       'action = "lock-then-terminate"\n[[monitor.rule]]\naccount = ["bob"]\non_remove = []\n')  # fmt: skip
    first, second = (rule.policy for rule in policy.rules)
    assert (first.action, first.terminate_after_s, first.on_remove) == (
        Action.LOCK_THEN_TERMINATE, 5.0, Commands(programs=(run("a"),)))  # fmt: skip
    assert (second.action, second.on_remove) == (Action.LOCK, Commands())


IMPORTED = """
import sys
from pam_sc.config.toml import load
load({file!r}, frozenset({{0, {uid}}}))
print(*sorted(name for name in sys.modules if name.startswith("pam_sc") and "monitor" in name))
"""


@pytest.mark.parametrize(("table", "modules"), [
    ("", ""), ("[monitor]\n", ""), ("[monitor]\nwake = true\n", "pam_sc.config.monitor_keys")
])  # fmt: skip
def test_a_login_imports_the_schema_alone_and_only_where_a_table_says_something(
    file: Path, module: Path, table: str, modules: str
) -> None:
    load_text(file, MINIMAL.format(module=module) + table)
    script = IMPORTED.format(file=str(file), uid=file.stat().st_uid)
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == modules
