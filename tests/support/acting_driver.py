# SPDX-License-Identifier: LGPL-2.1-or-later
"""In a world, as the account of a session: starts what a policy names as the monitor would, and prints what it came to.

Run with one argument, JSON: what to do ("lock", "console" or "run"), the program's arguments, the session's type and tty,
how often. Each result is a line of JSON; a line on standard input goes on to the next.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import sys

from pam_sc.decision.monitoring import Locker, Program
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import Cause, SessionFacts
from pam_sc.monitor.locking import Lockers
from pam_sc.monitor.occasion import Occasion
from pam_sc.monitor.programs import Programs
from pam_sc.session import SessionCard


def occasion(order: dict[str, object]) -> Occasion:
    uid = int(str(order.get("uid", os.geteuid())))
    account = pwd.getpwuid(uid).pw_name
    session = str(order.get("session", "c1"))
    facts = SessionFacts(id=session, path="/", uid=uid, account=account, type=str(order.get("type", "x11")),
                         session_class="user", remote=False, state="active", tty=str(order.get("tty", "")), display="",
                         locked=False)
    card = SessionCard(uid=uid, account=account, service="login", label=str(order.get("label", "card")), serial="1",
                       manufacturer="M", model="PIV", certificate_sha256="ab" * 32, session=session)
    return Occasion(event="card_remove", facts=facts, card=card, cause=Cause.REMOVED)


async def once(order: dict[str, object], lockers: Lockers) -> dict[str, object]:
    program = Program(arguments=tuple(order["arguments"]), limit_s=float(str(order.get("limit_s", 10))))  # type: ignore[arg-type]
    try:
        if order["do"] == "run":
            ran = await lockers.run(program, occasion(order))
            return {"status": ran.status, "output": ran.output}
        lock = lockers.lock_console if order["do"] == "console" else lockers.lock
        attempt = await lock(Locker(program=program), occasion(order), float(str(order.get("within_s", 10))))
        return {"outcome": attempt.outcome.value, "detail": attempt.detail}
    except MonitorError as error:
        return {"error": str(error)}


async def main() -> None:
    order = json.loads(sys.argv[1])
    lockers = Lockers(Programs())
    for turn in range(int(order.get("times", 1))):
        if turn:
            await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(await once(order, lockers)), flush=True)


asyncio.run(main())
