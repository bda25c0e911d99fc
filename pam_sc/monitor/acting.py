# SPDX-License-Identifier: LGPL-2.1-or-later
"""Acts on a card that is gone or back: goes the ways of steps.py, tells of each as it ends, and says what was seen.

LOCKED and TERMINATED are said only of what was seen; the best that was seen is the outcome, and nothing seen is NOT_SEEN.
Whatever hangs costs its limit, and the next way is tried. Cancelled at any point, programs are dead; a locker that was
started is never ended, because that could open the screen. Nothing here unlocks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from pam_sc.decision.monitoring import Action, Commands, OnError, Program, SessionPolicy
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Cause, Outcome, SessionFacts, Side, Step, Way
from pam_sc.monitor.hands import Hands, ProgramsHand
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.removal import Removal
from pam_sc.monitor.steps import SEEN, Plan, best, plan, reason_to_leave
from pam_sc.session import SessionCard

__all__ = ["Hands", "absent", "act", "welcome"]

_DEACTIVATE = Program(arguments=("xscreensaver-command", "-deactivate"), limit_s=3.0)
_ASK_S = 2.0


def _ignore(_outcome: Outcome) -> None:
    """Nobody wants to know early."""


async def act(  # noqa: PLR0913 - all that is known, by name
    facts: SessionFacts, card: SessionCard, policy: SessionPolicy, side: Side, hands: Hands,
    tell: Callable[[Step], None], *, lock_wait_s: float, cause: Cause, reader: str = "",
    known: Callable[[Outcome], None] = _ignore,
) -> Outcome:
    """Do what the policy says for a session whose card is gone; what became of it. MonitorError is never raised.

    `known` is called once, as soon as it is known whether the screen is locked or the session ended: commands and the time
    until lock-then-terminate's end come after it, and this returns after them. The card's return is the caller's to watch:
    cancelling this prevents that end.
    """
    occasion = Occasion(event="card_remove", facts=facts, card=card, cause=cause, reader=reader)
    present = side is Side.SYSTEM and hands.partner is not None and hands.partner.present(facts.uid)
    todo = plan(policy, facts, side, partner=present)
    removal = Removal(occasion, policy, hands, tell, lock_wait_s)
    if todo.why_nothing:
        removal.say(Way.HINT, Outcome.LEFT_ALONE, todo.why_nothing)
        known(Outcome.LEFT_ALONE)
        return Outcome.LEFT_ALONE
    if todo.locks:
        return await _lock_and_follow(removal, todo, known)
    if todo.terminate:
        outcome = await removal.terminate()
    elif todo.commands is not None:
        outcome = await run_commands(todo.commands, occasion, hands, tell)
    else:
        outcome = Outcome.ELSEWHERE
        removal.say(Way.COMMAND if policy.action is Action.COMMAND else Way.TERMINATE, outcome)
    known(outcome)
    return outcome


async def _lock_and_follow(removal: Removal, todo: Plan, known: Callable[[Outcome], None]) -> Outcome:
    """Lock; then what follows: the end of an unlocked session, commands, and the end that was only put off."""
    began = asyncio.get_running_loop().time()
    outcome = await removal.lock(todo)
    async with asyncio.TaskGroup() as group:
        if todo.commands is not None:
            group.create_task(run_commands(todo.commands, removal.occasion, removal.hands, removal.tell))
        if todo.terminate_unseen and outcome not in SEEN:
            outcome = best((outcome, await removal.terminate()))
        known(outcome)
        if todo.terminate_after_s is not None and outcome is not Outcome.TERMINATED:
            passed = asyncio.get_running_loop().time() - began
            await removal.hands.sleep(max(0.0, todo.terminate_after_s - passed))
            outcome = best((outcome, await removal.terminate()))
    return outcome


async def welcome(  # noqa: PLR0913 - the same
    facts: SessionFacts, card: SessionCard, policy: SessionPolicy, side: Side, hands: Hands,
    tell: Callable[[Step], None], *, wake: bool = True, reader: str = "",
) -> Outcome:
    """Wake the screen and run on_insert for a session whose card is back. It unlocks nothing."""
    if side is Side.SYSTEM:
        return Outcome.ELSEWHERE
    if reason_to_leave(policy, facts):
        return Outcome.LEFT_ALONE
    occasion = Occasion(event="card_insert", facts=facts, card=card, reader=reader)
    woken = await _wake(occasion, hands, tell) if wake and not facts.is_console else Outcome.LEFT_ALONE
    commands = await run_commands(policy.on_insert, occasion, hands, tell)
    return woken if commands is Outcome.LEFT_ALONE else commands


async def absent(
    facts: SessionFacts, card: SessionCard, policy: SessionPolicy, side: Side, hands: Hands,
    tell: Callable[[Step], None], *, reader: str = "",
) -> Outcome:
    """Run on_absent for a session whose card has been away for absent_s."""
    if side is Side.SYSTEM:
        return Outcome.ELSEWHERE
    if reason_to_leave(policy, facts):
        return Outcome.LEFT_ALONE
    occasion = Occasion(event="expire_time", facts=facts, card=card, reader=reader)
    return await run_commands(policy.on_absent, occasion, hands, tell)


async def run_commands(commands: Commands, occasion: Occasion, hands: Hands, tell: Callable[[Step], None]) -> Outcome:
    """Run programs one after the other: DONE, FAILED where one failed, LEFT_ALONE where there are none."""
    outcome = Outcome.LEFT_ALONE
    for program in commands.programs if hands.programs is not None else ():
        why = await _failure(program, occasion, hands.programs)
        result = Outcome.FAILED if why else Outcome.DONE
        name = os.path.basename(program.arguments[0]) if program.arguments else ""
        tell(Step(session=occasion.facts.id, way=Way.COMMAND, outcome=result, detail=f"{name}: {why}" if why else name))
        outcome = Outcome.FAILED if Outcome.FAILED in (outcome, result) else result
        if why and commands.on_error is not OnError.IGNORE:
            if commands.on_error is OnError.QUIT:
                hands.quit()
            break
    return outcome


async def _failure(program: Program, occasion: Occasion, programs: ProgramsHand | None) -> str:
    """Run a program and say what went wrong; "" for nothing."""
    if programs is None:
        return "no programs are started here"
    try:
        return (await programs.run(program, occasion)).why
    except (MonitorError, OSError) as error:
        return str(error)


async def _wake(occasion: Occasion, hands: Hands, tell: Callable[[Step], None]) -> Outcome:
    woken = ""
    try:
        async with asyncio.timeout(_ASK_S):
            woken = await hands.bus.wake() if hands.bus is not None else ""
    except (MonitorError, TimeoutError):
        pass  # a screen that stays dark is lit by any key
    if occasion.facts.type == "x11" and not await _failure(_DEACTIVATE, occasion, hands.programs):
        woken = ", ".join(filter(None, (woken, "xscreensaver-command")))
    outcome = Outcome.DONE if woken else Outcome.NOT_SEEN
    tell(Step(session=occasion.facts.id, way=Way.WAKE, outcome=outcome, detail=woken or "nothing took it"))
    return outcome
