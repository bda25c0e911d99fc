# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schema of [monitor] in pam_sc.toml. A login that meets such a table holds it against this, and uses nothing of it.

The words are those of decision/monitoring.py, and the defaults are there too: a login must not import that (a test
compares them). What no single key can say is judged where the policy is built, in monitoring.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from pam_sc.config import values
from pam_sc.config.keys import BOOLEAN, MEMBERS, SERVICE, words
from pam_sc.config.schema import Key, ListOf, Parsed, ShortOrTable, Table
from pam_sc.record import replace

GRACE_MAX_S = 60
RESUME_GRACE_MAX_S = 600
POLL_MIN_S = 0.1
POLL_MAX_S = 60
LOCK_WAIT_MIN_S = 0.1
LOCK_WAIT_MAX_S = 60
LIMIT_MAX_S = 600
DAY_S = 86_400
WEEK_S = 7 * DAY_S

ACTIONS = ("lock", "lock-then-terminate", "terminate", "command", "nothing")
OTHERWISE = ("report", "terminate")
ON_ERROR = ("ignore", "return", "quit")
RUN_AS = ("session", "root")
WATCH = ("auto", "pcsc", "slots", "poll")
SIGNS = ("exit", "none")
TYPES = ("wayland", "x11", "tty", "mir", "web", "unspecified")

_PROGRAM = 'an array of a program and its arguments, such as ["/usr/bin/logger", "card removed"]'


def _seconds(least: float, most: float) -> Key:
    return Key(expected=f"seconds from {least} to {most}", parse=values.seconds(least, most))


def _arguments(*, required: bool = False) -> Key:
    return Key(expected=_PROGRAM, parse=values.program, required=required)


PROGRAM = ShortOrTable(
    short=Key(expected=_PROGRAM, parse=values.program),
    short_for="run",
    table=Table(
        expected='a table such as { run = ["/usr/bin/logger", "card removed"], limit = 5 }',
        keys={"run": _arguments(required=True), "limit": _seconds(0.1, LIMIT_MAX_S), "run_as": words(RUN_AS)},
    ),
)

_PROGRAMS = "an array of programs, each an array of its own or a table with run"

COMMANDS = ShortOrTable(
    short=ListOf(item=PROGRAM, expected=_PROGRAMS),
    short_for="programs",
    table=Table(
        expected="a table with programs and on_error",
        keys={"programs": ListOf(item=PROGRAM, least=1, expected=_PROGRAMS), "on_error": words(ON_ERROR)},
    ),
)

LOCKER = ShortOrTable(
    short=Key(expected='an array of a locker and its arguments, such as ["/usr/bin/swaylock", "-f"]', parse=values.program),
    short_for="run",
    table=Table(
        expected='a table such as { run = ["/usr/bin/swaylock", "-f"], sign = "exit" }',
        keys={
            "run": _arguments(required=True),
            "sign": ShortOrTable(
                short=Key(
                    expected='"exit" or "none", or { query = [...], text = "..." }',
                    parse=values.choice(*SIGNS),
                    choices=SIGNS,
                ),
                short_for="word",
                table=Table(
                    expected='a table such as { query = ["/usr/bin/xscreensaver-command", "-time"], text = "screen locked" }',
                    keys={
                        "query": _arguments(required=True),
                        "text": Key(expected="what the query prints of a locked screen", parse=values.label, required=True),
                    },
                ),
            ),
        },
    ),
)

POLICY: Mapping[str, Key | ListOf | ShortOrTable] = {
    "action": words(ACTIONS),
    "terminate_after": _seconds(1, WEEK_S),
    "otherwise": words(OTHERWISE),
    "console_otherwise": words(OTHERWISE),
    "locker": LOCKER,
    "console_locker": LOCKER,
    "on_remove": COMMANDS,
    "on_insert": COMMANDS,
    "on_absent": COMMANDS,
    "absent": _seconds(0, WEEK_S),
}
"""What [monitor] says for all sessions, and each [[monitor.rule]] may say anew for its own."""

RULE = Table(
    expected="a table: [[monitor.rule]]",
    keys={
        "service": ListOf(item=SERVICE, least=1, optional=True, distinct=True,
                          expected="an array of at least one name of a PAM service, each once"),
        "account": replace(MEMBERS, least=1, optional=True),
        "type": ListOf(item=words(TYPES), least=1, optional=True, distinct=True,
                       expected="an array of at least one type of session, each once"),
        **POLICY,
    },
)  # fmt: skip

MONITOR = Table(
    expected="a table: [monitor]",
    keys={
        "watch": words(WATCH),
        "poll": _seconds(POLL_MIN_S, POLL_MAX_S),
        "grace": _seconds(0, GRACE_MAX_S),
        "reader_grace": _seconds(0, GRACE_MAX_S),
        "resume_grace": _seconds(0, RESUME_GRACE_MAX_S),
        "unwatched": _seconds(0, DAY_S),
        "lock_wait": _seconds(LOCK_WAIT_MIN_S, LOCK_WAIT_MAX_S),
        "wake": BOOLEAN,
        **POLICY,
        "rule": ListOf(item=RULE, expected="an array of tables: [[monitor.rule]]"),
    },
)


def read_monitor(table: object) -> dict[str, Parsed]:
    """Return [monitor] with each value parsed; MismatchError for what the schema does not allow."""
    return MONITOR.read(table, ("monitor",))
