# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is questionable about a policy of the monitor that is valid, and what to do about it. Advice only.

Programs that it names are looked for, and never started. That settings contradict each other is monitoring.py's to say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_person import lint_names
from pam_sc.config.monitor_in_words import seconds
from pam_sc.decision.monitoring import (
    Action,
    MonitorPolicy,
    OnError,
    Otherwise,
    Program,
    Rule,
    RunAs,
    SessionPolicy,
    WatchBy,
)
from pam_sc.errors import OwnershipError
from pam_sc.ownership import require_unwritable
from pam_sc.record import record

FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin")
"""Where a program without a path is looked for."""
_WHOLE = "monitor"
_CONSOLE = "tty"
_LOCKS = frozenset({Action.LOCK, Action.LOCK_THEN_TERMINATE})
_EVENTS = ("on_remove", "on_insert", "on_absent")
_OF_LOCKING = ("otherwise", "console_otherwise", "locker", "console_locker")
_LONG_GRACE_S = 5
_SHORT_GRACE_S = 1
_SHORT_TERMINATE_S = 60


def lint_monitor(
    policy: MonitorPolicy,
    read: Mapping[str, Any],
    *,
    owners: frozenset[int],
    find_name: Callable[[str], str | None],
    folders: Sequence[str] = FOLDERS,
) -> Iterator[Finding]:
    """Yield what there is to say, in the order of the file; `read` is the table that the policy was made of.

    `find_name` says what an account or "@group" is called here, `owners` whose programs are believed.
    """
    tables = (
        _Said(_WHOLE, read, policy.whole, None),
        *(_Said(f"monitor.rule[{at}]", read["rule"][at], rule.policy, rule.types) for at, rule in enumerate(policy.rules)),
    )
    yield from _lint_times(policy)
    for index, table in enumerate(tables, -1):
        if index >= 0:
            yield from _lint_rule(table.where, index, policy.rules, find_name)
        yield from _lint_session(table, policy)
        yield from _lint_programs(table, owners, folders)


@record
class _Said:
    """[monitor] or a rule of it: where it stands, what it says itself, what holds there, and for which types of session."""

    where: str
    keys: Mapping[str, Any]
    policy: SessionPolicy
    types: frozenset[str] | None

    def at(self, key: str) -> str:
        return f"{self.where}.{key}"

    def says(self, *keys: str) -> bool:
        """Whether one of these is to be told here: each is in [monitor], said or not, and in a rule those that it says."""
        return self.where == _WHOLE or any(key in self.keys for key in keys)


def _lint_times(policy: MonitorPolicy) -> Iterator[Finding]:
    for key, value in (("grace", policy.grace_s), ("reader_grace", policy.reader_grace_s)):
        if value > _LONG_GRACE_S:
            yield Finding(Weight.WARNING, f"monitor.{key}", f"{seconds(value)}: for so long a session stays open after its card"
                          f" went; {_LONG_GRACE_S} are enough for hubs that reset")
    if policy.watch is WatchBy.POLL and policy.poll_s > _LONG_GRACE_S:
        yield Finding(Weight.WARNING, "monitor.poll", f"{seconds(policy.poll_s)}: for so long a removal may not be seen; make it"
                      " shorter, or leave watch at auto")
    if not policy.unwatched_s:
        yield Finding(Weight.WARNING, "monitor.unwatched", "0: whoever stops the card service can take the card away, and"
                      " nothing is locked; give it a time")


# ---------------------------------------------------------------- one session


def _lint_session(table: _Said, whole: MonitorPolicy) -> Iterator[Finding]:
    policy = table.policy
    if table.says("action"):
        yield from _lint_action(table.at("action"), policy.action)
    if "terminate_after" in table.keys and Action.LOCK_THEN_TERMINATE not in _actions(table, whole):
        yield Finding(Weight.WARNING, table.at("terminate_after"), 'counts only with action = "lock-then-terminate": no session'
                      " is ended after that time")
    if policy.action in _LOCKS:
        yield from _lint_graphical(table)
        yield from _lint_console(table)
    if not _actions(table, whole) & _LOCKS:
        for key in _OF_LOCKING:
            if key in table.keys:
                yield Finding(Weight.NOTE, table.at(key), f'counts for nothing with action = "{policy.action.value}"')
    if table.says("action", "terminate_after"):
        yield from _lint_ending(table, whole)


def _actions(table: _Said, whole: MonitorPolicy) -> frozenset[Action]:
    """The actions of the sessions for which a key of this table may hold: a rule inherits what [monitor] says."""
    inherited = (rule.policy.action for rule in whole.rules) if table.where == _WHOLE else ()
    return frozenset({table.policy.action, *inherited})


def _lint_action(where: str, action: Action) -> Iterator[Finding]:
    if action is Action.NOTHING:
        yield Finding(Weight.WARNING, where, "nothing: a session stays open when its card is taken away; lock is the default")
    if action is Action.COMMAND:
        yield Finding(Weight.WARNING, where, "command: whether on_remove locks the session is not looked at; a locker belongs"
                      ' into locker, with action = "lock"')


def _lint_graphical(table: _Said) -> Iterator[Finding]:
    policy = table.policy
    if table.types == frozenset({_CONSOLE}) or not table.says("action", "otherwise", "locker"):
        return
    if policy.otherwise is Otherwise.REPORT:
        missing = "" if policy.locker is not None else "give it a locker, or "
        yield Finding(Weight.NOTE, table.at("otherwise"), "report: a graphical session of which no lock is seen stays open, and"
                      f' only the log says so; {missing}otherwise = "terminate" ends it, with what was not saved')


def _lint_console(table: _Said) -> Iterator[Finding]:
    policy = table.policy
    elsewhere = table.types is not None and _CONSOLE not in table.types
    if elsewhere or policy.console_locker is not None or not table.says("action", "console_otherwise"):
        return
    if policy.console_otherwise is Otherwise.TERMINATE:
        yield Finding(Weight.NOTE, table.at("console_locker"), "not set: a session on a text console is ended when its card is"
                      ' removed; console_locker = ["vlock"] locks it instead')
    else:
        yield Finding(Weight.WARNING, table.at("console_otherwise"), "report, without a console_locker: a session on a text"
                      ' console stays open; console_locker = ["vlock"] locks it')


def _lint_ending(table: _Said, whole: MonitorPolicy) -> Iterator[Finding]:
    policy = table.policy
    if policy.action is Action.LOCK_THEN_TERMINATE and policy.terminate_after_s < _SHORT_TERMINATE_S:
        yield Finding(Weight.WARNING, table.at("terminate_after"), f"{seconds(policy.terminate_after_s)}: somebody who only"
                      " changes the reader loses what was not saved")
    short = [f"{key} = {value:g}" for key, value in (("grace", whole.grace_s), ("reader_grace", whole.reader_grace_s))
             if value < _SHORT_GRACE_S]  # fmt: skip
    if policy.action is Action.TERMINATE and short:
        yield Finding(Weight.WARNING, table.at("action"), f"terminate, with {' and '.join(short)}: a card that sits badly ends"
                      ' the session, with what was not saved; give it at least a second, or use "lock-then-terminate"')


# ---------------------------------------------------------------- rules


def _lint_rule(
    where: str, index: int, rules: Sequence[Rule], find_name: Callable[[str], str | None]
) -> Iterator[Finding]:
    members = rules[index].members
    if members is not None:
        yield from lint_names(f"{where}.account", members, find_name)
    for before, earlier in enumerate(rules[:index]):
        if _covers(earlier, rules[index]):
            yield Finding(Weight.WARNING, where, f"never holds: monitor.rule[{before}] fits each of its sessions, and the first"
                          " that fits holds; put the narrower one first")
            return


def _covers(earlier: Rule, later: Rule) -> bool:
    """Whether every session of the later is one of the earlier. What only the groups of accounts can tell is not looked at."""
    return (
        _holds_all(earlier.services, later.services)
        and _holds_all(earlier.types, later.types)
        and (
            earlier.members is None
            or (
                later.members is not None
                and earlier.members.accounts >= later.members.accounts
                and earlier.members.groups >= later.members.groups
            )
        )
    )


def _holds_all(earlier: frozenset[str] | None, later: frozenset[str] | None) -> bool:
    return earlier is None or (later is not None and earlier >= later)


# ---------------------------------------------------------------- programs


def _lint_programs(table: _Said, owners: frozenset[int], folders: Sequence[str]) -> Iterator[Finding]:
    """Each program that this very table names."""
    for key, program in _programs(table.policy):
        if key.partition(".")[0].partition("[")[0] in table.keys:
            yield from _lint_program(table.at(key), program, owners, folders)
    for key in _EVENTS:
        if key in table.keys and getattr(table.policy, key).on_error is OnError.QUIT:
            yield Finding(Weight.WARNING, table.at(key), 'on_error = "quit": a program that fails leaves every session without'
                          " a monitor, until it is started again")


def _programs(policy: SessionPolicy) -> Iterator[tuple[str, Program]]:
    for key, locker in (("locker", policy.locker), ("console_locker", policy.console_locker)):
        if locker is not None:
            yield key, locker.program
        if locker is not None and locker.query is not None:
            yield f"{key}.sign", locker.query
    for key in _EVENTS:
        for index, program in enumerate(getattr(policy, key).programs):
            yield f"{key}[{index}]", program


def _lint_program(where: str, program: Program, owners: frozenset[int], folders: Sequence[str]) -> Iterator[Finding]:
    name = program.arguments[0]
    path = name if name.startswith("/") else find_program(name, folders)
    if path is None:
        yield Finding(Weight.WARNING, where, f"{name!a} is in none of {', '.join(folders)}; install it, or name its path")
    elif not os.path.isfile(path) or not os.access(path, os.X_OK):
        yield Finding(Weight.WARNING, where, f"{path} is no program that can be started; install it, or name another")
    else:
        try:
            require_unwritable(path, owners)
        except OwnershipError as error:
            yield Finding(Weight.WARNING, where, f"somebody else decides what runs in the session: {error}")
    if program.run_as is RunAs.ROOT:
        yield Finding(Weight.WARNING, where, 'run_as = "root": neither unit of pam-sc monitor can do that, only root who starts'
                      " it; and what it does may be steered by the session's own account")


def find_program(name: str, folders: Sequence[str] = FOLDERS) -> str | None:
    """Return the path of a program without one; None where no folder has it."""
    paths = (os.path.join(folder, name) for folder in folders)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)
