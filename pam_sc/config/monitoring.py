# SPDX-License-Identifier: LGPL-2.1-or-later
"""Make the monitor's policy from [monitor] of a configuration. For the monitor and the commands; no login imports this.

A key that is not there has the default of decision/monitoring.py, or in a rule what [monitor] says for all sessions.
Settings that contradict each other are refused with their place. Nothing is started here, and no program is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pam_sc.config.building import members_of
from pam_sc.config.model import Configuration
from pam_sc.config.schema import KeyPath, MismatchError, describe
from pam_sc.config.where import dotted, nearest_line
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
from pam_sc.errors import ConfigError
from pam_sc.record import replace

_TEXT_MAX = 256 * 1024


def monitor_policy(configuration: Configuration) -> MonitorPolicy:
    """Return what holds for the monitor; ConfigError with the place where two settings contradict each other."""
    try:
        return build_policy(configuration.monitor)
    except MismatchError as mismatch:
        said = f"{dotted(mismatch.path)}: found {mismatch.found}, expected {mismatch.expected}"
        raise ConfigError(f"{_place(configuration, mismatch.path)}: {said}") from None


def build_policy(read: Mapping[str, Any]) -> MonitorPolicy:
    """Return the policy of a table that the schema has read; MismatchError for a contradiction."""
    whole = _policy(read, SessionPolicy())
    _require_sense(whole, read, ("monitor",))
    rules = tuple(_rule(table, whole, ("monitor", "rule", at)) for at, table in enumerate(read.get("rule", ())))
    said = {_FIELDS.get(name, name): value for name, value in read.items() if name in _WHOLE}
    watch = {"watch": WatchBy(read["watch"])} if "watch" in read else {}
    return MonitorPolicy(whole=whole, rules=rules, **{**said, **watch})


_WHOLE = frozenset({"watch", "poll", "grace", "reader_grace", "resume_grace", "unwatched", "lock_wait", "wake"})
_FIELDS = {name: f"{name}_s" for name in (*sorted(_WHOLE - {"watch", "wake"}), "terminate_after", "absent")}
"""Keys that have another name in the policy, which says the unit."""


# ---------------------------------------------------------------- one session


def _rule(read: Mapping[str, Any], whole: SessionPolicy, at: KeyPath) -> Rule:
    if not read.keys() & {"service", "account", "type"}:
        raise MismatchError(at, "a rule for no session in particular", "at least one of service, account and type in it")
    policy = _policy(read, whole)
    _require_sense(policy, read, at)
    return Rule(
        services=frozenset(read["service"]) if "service" in read else None,
        members=members_of(read["account"]) if "account" in read else None,
        types=frozenset(read["type"]) if "type" in read else None,
        policy=policy,
    )


def _policy(read: Mapping[str, Any], inherited: SessionPolicy) -> SessionPolicy:
    """What is said here, and for the rest what is said around it."""
    said = {_FIELDS.get(name, name): make(read[name]) for name, make in _MAKERS.items() if name in read}
    return replace(inherited, **said)


def _require_sense(policy: SessionPolicy, read: Mapping[str, Any], at: KeyPath) -> None:
    if policy.action is Action.COMMAND and not policy.on_remove.programs:
        where = (*at, "action") if "action" in read else (*at, "on_remove")
        raise MismatchError(where, 'action "command" without a program', "on_remove with the programs that it means")
    if policy.on_absent.programs and not policy.absent_s and "on_absent" in read:
        raise MismatchError((*at, "on_absent"), "programs that never run", "absent too: after how many seconds they run")
    if policy.absent_s and not policy.on_absent.programs and "absent" in read:
        expected = "on_absent too: the programs that run then"
        raise MismatchError((*at, "absent"), describe(read["absent"]), expected)


# ---------------------------------------------------------------- programs


def _program(read: Mapping[str, Any]) -> Program:
    named: Mapping[str, tuple[str, Callable[[Any], Any]]] = {"limit": ("limit_s", float), "run_as": ("run_as", RunAs)}
    others = {field: make(read[name]) for name, (field, make) in named.items() if name in read}
    return Program(arguments=tuple(read["run"]), **others)


def _commands(read: Mapping[str, Any]) -> Commands:
    on_error = {"on_error": OnError(read["on_error"])} if "on_error" in read else {}
    return Commands(programs=tuple(_program(each) for each in read["programs"]), **on_error)


def _locker(read: Mapping[str, Any]) -> Locker:
    program = Program(arguments=tuple(read["run"]))
    sign: Mapping[str, Any] = read.get("sign", {})
    if "query" in sign:
        query = Program(arguments=tuple(sign["query"]))
        return Locker(program=program, sign=Sign.QUERY, query=query, locked_text=sign["text"])
    return Locker(program=program, sign=Sign(sign.get("word", Sign.NONE.value)))


_MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "action": Action,
    "terminate_after": float,
    "otherwise": Otherwise,
    "console_otherwise": Otherwise,
    "locker": _locker,
    "console_locker": _locker,
    "on_remove": _commands,
    "on_insert": _commands,
    "on_absent": _commands,
    "absent": float,
}


# ---------------------------------------------------------------- where it stands


def _place(configuration: Configuration, path: KeyPath) -> str:
    """Say where a key, or the nearest table around it, stands: the file, with the line where that is known."""
    around = (dotted(path[:length]) for length in range(len(path), 0, -1))
    known = next((place for each in around if (place := configuration.places.get(each))), None)
    if known is not None:
        return known
    line = nearest_line(_text_of(configuration.source), path)
    return configuration.source if line is None else f"{configuration.source}:{line}"


def _text_of(path: str) -> str:
    """The text of a file of ours again, for the line alone; empty where it cannot be read any more."""
    if not path.endswith(".toml"):
        return ""
    try:
        with open(path, encoding="utf-8") as opened:
            return opened.read(_TEXT_MAX)
    except (OSError, UnicodeDecodeError):
        return ""
