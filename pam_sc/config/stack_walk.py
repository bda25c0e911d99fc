# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walk a PAM stack as libpam does, for every result that its modules may have, and find a way to PAM_SUCCESS.

What pam.conf(5) says of actions holds: ok, done, bad, die, ignore, reset and jumps; a substack is one entry to a jump and
ends for itself. Pure: it knows no module. It never says that a stack is good, only which way through it there is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from pam_sc.config.stacks import Entry, Substack
from pam_sc.record import record

Line = Entry | Substack
ResultsOf = Callable[[Entry], Iterable[str]]


@record
class Step:
    """A module, where it stands, what it returned, and where the walk then went on."""

    at: int
    entry: Entry
    result: str
    to: int


@record
class _State:
    """Where a walk is; what libpam thinks so far (None, or whether the status is PAM_SUCCESS, then "failed" for ever)."""

    at: int = 0
    failed: bool = False
    status: bool | None = None
    level: int = 0
    """That of the entry before."""
    saved: tuple[tuple[bool, bool | None], ...] = ((False, None),)
    """What libpam thought where each substack began that it is in."""


def find_way(stack: Sequence[Line], results_of: ResultsOf, accept: Callable[[Sequence[Step]], bool]) -> tuple[Step, ...] | None:
    """Return a shortest way to PAM_SUCCESS that `accept` takes; `accept` may look only at which entries were visited."""
    waiting: deque[tuple[_State, tuple[Step, ...]]] = deque([(_State(), ())])
    seen = set()
    while waiting:
        state, way = waiting.popleft()
        if state.at >= len(stack):
            if state.status and not state.failed and accept(way):
                return way
            continue
        known = (state, accept(way))
        if known not in seen:
            seen.add(known)
            waiting.extend(_follow(stack, state, way, results_of))
    return None


def _follow(
    stack: Sequence[Line], state: _State, way: tuple[Step, ...], results_of: ResultsOf
) -> Iterator[tuple[_State, tuple[Step, ...]]]:
    line = stack[state.at]
    entered = ((state.failed, state.status),) if state.level < line.level else ()
    saved = (*state.saved[: line.level + 1 - len(entered)], *entered)
    if isinstance(line, Substack):
        yield _State(state.at + 1, state.failed, state.status, line.level, saved), way
        return
    for result in results_of(line):
        after = _act(stack, _State(state.at, state.failed, state.status, line.level, saved), line, result)
        yield after, (*way, Step(state.at, line, result, after.at))


def _act(stack: Sequence[Line], state: _State, entry: Entry, result: str) -> _State:
    """What one result does; an action that is none makes libpam fail, and so does a jump past the end."""
    action, failed, status, to = entry.action(result), state.failed, state.status, state.at + 1
    if action in ("ok", "done"):
        status = result == "success" if status is not False else status
        to = _end_of_level(stack, state.at) if action == "done" and not failed else to
    elif action == "reset":
        failed, status = state.saved[-1]
    elif action.strip("0").isdigit():
        to, whole = _jump(stack, state.at, int(action))
        failed = failed or not whole
    elif action != "ignore":
        failed, to = True, _end_of_level(stack, state.at) if action == "die" else to
    return _State(to, failed, status, state.level, state.saved)


def _end_of_level(stack: Sequence[Line], at: int) -> int:
    """Where it goes on after a decision: behind this substack."""
    level = stack[at].level
    return next((n for n in range(at + 1, len(stack)) if stack[n].level < level), len(stack))


def _jump(stack: Sequence[Line], at: int, distance: int) -> tuple[int, bool]:
    """Where a jump leads, and whether there are so many entries in this substack."""
    level, to = stack[at].level, at + 1
    for _ in range(distance):
        if to >= len(stack) or stack[to].level < level:
            return to, False
        to = next((n for n in range(to + 1, len(stack)) if stack[n].level <= level), len(stack))
    return to, True
