# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what the monitor does when a card is removed, in plain sentences, from the configuration alone. Pure.

That a session is locked is never said here: only what is tried, and what follows where no lock is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pam_sc.config.model import Configuration
from pam_sc.config.monitoring import monitor_policy
from pam_sc.config.wording import listed
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

_LOCKS = (Action.LOCK, Action.LOCK_THEN_TERMINATE)


def monitor_in_words(configuration: Configuration) -> Iterator[str]:
    """Yield what holds for all sessions, then for those of each rule."""
    try:
        policy = monitor_policy(configuration)
    except ConfigError:
        yield "The monitor cannot use it: it does not start, and locks nothing."
        return
    yield from policy_in_words(policy)


def policy_in_words(policy: MonitorPolicy) -> Iterator[str]:
    """Yield the sentences of a policy."""
    yield "What follows is done where pam-sc monitor runs, for sessions at this machine that were opened with a card."
    yield from session_in_words(policy.whole)
    for number, rule in enumerate(policy.rules, 1):
        yield from _rule(number, rule, policy.whole)
    yield from _watching(policy)


def session_in_words(policy: SessionPolicy) -> Iterator[str]:
    """Yield what happens to one session."""
    yield _action(policy)
    if policy.action in _LOCKS:
        unseen = _THEN_ENDED if policy.action is Action.LOCK_THEN_TERMINATE else _OPEN
        yield _graphical(policy, unseen)
        yield _console(policy, unseen)
    yield from _commands("the card is removed", policy.on_remove)
    yield from _commands("the card is back", policy.on_insert)
    if policy.absent_s:
        yield from _commands(f"the card has been away for {seconds(policy.absent_s)}", policy.on_absent)


def _action(policy: SessionPolicy) -> str:
    if policy.action is Action.LOCK_THEN_TERMINATE:
        return ("When the card of a session is removed, the session is locked, and ended where the card is not back within"
                f" {seconds(policy.terminate_after_s)}.")  # fmt: skip
    return _ACTIONS[policy.action]


_ACTIONS: Mapping[Action, str] = {
    Action.LOCK: "When the card of a session is removed, the session is locked.",
    Action.TERMINATE: "When the card of a session is removed, the session is ended at once, with everything in it.",
    Action.COMMAND: "When the card of a session is removed, programs run; whether the session is locked is not looked at.",
    Action.NOTHING: "When the card of a session is removed, the session stays as it is.",
}


_OPEN = "stays open and the log has an error"
_THEN_ENDED = "stays open until it is ended, and the log has an error"


def _graphical(policy: SessionPolicy, unseen: str) -> str:
    started = f", else {_locker(policy.locker)}" if policy.locker is not None else ""
    return (f"A graphical session is locked by logind, else by the desktop's own screen saver{started};"
            f" where no lock is seen, it {_otherwise(policy.otherwise, unseen)}.")  # fmt: skip


def _console(policy: SessionPolicy, unseen: str) -> str:
    if policy.console_locker is None:
        return f"Nothing locks a text console: it {_otherwise(policy.console_otherwise, unseen)}."
    return (f"A text console is locked by {_locker(policy.console_locker)}; where no lock is seen, it"
            f" {_otherwise(policy.console_otherwise, unseen)}.")  # fmt: skip


def _otherwise(otherwise: Otherwise, unseen: str) -> str:
    return "is ended" if otherwise is Otherwise.TERMINATE else unseen


def _locker(locker: Locker) -> str:
    named = command(locker.program)
    match locker.sign:
        case Sign.EXIT:
            return f"{named}, which ends when it has locked"
        case Sign.QUERY if locker.query is not None:
            return f"{named}, which has locked when {command(locker.query)} prints {locker.locked_text!a}"
        case _:
            return f"{named}, which counts as locked where it is known how it says so, else as started"


def _commands(when: str, commands: Commands) -> Iterator[str]:
    if commands.programs:
        yield f"When {when}, these run: {listed(_program(each) for each in commands.programs)}; {_ON_ERROR[commands.on_error]}."


_ON_ERROR: Mapping[OnError, str] = {
    OnError.IGNORE: "one that fails stops none",
    OnError.RETURN: "the first that fails is the last",
    OnError.QUIT: "the first that fails ends the monitor",
}


def command(program: Program) -> str:
    """A program with its arguments, as people write it; for reading, no shell is meant to take it."""
    return ascii(" ".join(program.arguments))[1:-1]


def _program(program: Program) -> str:
    whom = "as root, " if program.run_as is RunAs.ROOT else ""
    return f"{command(program)} ({whom}for {seconds(program.limit_s)} at most)"


# ---------------------------------------------------------------- rules and times


def _rule(number: int, rule: Rule, whole: SessionPolicy) -> Iterator[str]:
    """What differs in the sessions of one rule; a sentence that the whole says already is not said again."""
    head = f"For {rule_in_words(rule)} (rule {number}): "
    said = set(session_in_words(whole))
    own = [text for text in session_in_words(rule.policy) if text not in said]
    gone = list(_silenced(rule.policy, whole))
    yield from (head + text for text in (*own, *gone))
    if not own and not gone:
        yield f"{head}the same."


def _silenced(policy: SessionPolicy, whole: SessionPolicy) -> Iterator[str]:
    """What holds for all sessions, and not for these."""
    for when, own, others in (
        ("the card is removed", policy.on_remove, whole.on_remove),
        ("the card is back", policy.on_insert, whole.on_insert),
        ("the card stays away", policy.on_absent if policy.absent_s else Commands(),
         whole.on_absent if whole.absent_s else Commands()),
    ):  # fmt: skip
        if others.programs and not own.programs:
            yield f"When {when}, no program runs."


def rule_in_words(rule: Rule) -> str:
    """Which sessions a rule is for."""
    words = []
    if rule.services is not None:
        words.append(f"opened by {listed(sorted(rule.services))}")
    if rule.members is not None:
        names = (*sorted(rule.members.accounts), *(f"@{group}" for group in sorted(rule.members.groups)))
        words.append(f"of {listed(names)}")
    if rule.types is not None:
        words.append(f"of the type {listed(sorted(rule.types))}")
    return f"sessions {', '.join(words)}"


def _watching(policy: MonitorPolicy) -> Iterator[str]:
    yield _WATCH[policy.watch].format(time=seconds(policy.poll_s))
    yield f"A card that is back within {seconds(policy.grace_s)} was not removed; {_readers(policy)}."
    if policy.unwatched_s:
        yield f"A card that could not be watched for {seconds(policy.unwatched_s)} counts as removed."
    else:
        yield "A card that cannot be watched, however long, does not count as removed."
    yield f"Each way of locking has {seconds(policy.lock_wait_s)} until the lock must be seen."
    if policy.wake:
        yield "When the card is back, the screen wakes and asks for the PIN; it is never unlocked without."
    else:
        yield "When the card is back, nothing wakes the screen, and nothing unlocks it."


def _readers(policy: MonitorPolicy) -> str:
    return (f"with its reader, within {seconds(policy.reader_grace_s)}; with a reader that is not there after the machine slept,"
            f" within {seconds(policy.resume_grace_s)}")  # fmt: skip


_WATCH: Mapping[WatchBy, str] = {
    WatchBy.AUTO: "Removals are seen by PC/SC, else by the events of PKCS#11, else by looking again after {time}.",
    WatchBy.PCSC: "Removals are seen by PC/SC alone.",
    WatchBy.SLOTS: "Removals are seen by the events of PKCS#11 alone.",
    WatchBy.POLL: "Removals are seen by looking again after {time}.",
}


def seconds(count: float) -> str:
    """A time: 1 second, 0.1 seconds, 5 minutes."""
    if count >= 60 and count % 60 == 0:
        minutes = int(count // 60)
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return "1 second" if count == 1 else f"{count:g} seconds"
