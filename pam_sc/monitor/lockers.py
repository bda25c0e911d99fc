# SPDX-License-Identifier: LGPL-2.1-or-later
"""How screen lockers say that they have locked, for a configuration that does not say it. Pure.

| program              | arguments       | sign                                    | how this is known                     |
|----------------------|-----------------|-----------------------------------------|---------------------------------------|
| swaylock             | -f, --daemonize | ends with 0 when locked, goes on behind | tried                                 |
| i3lock               | without -n      | the same                                | tried                                 |
| xscreensaver-command | -lock           | `xscreensaver-command -time`            | tried                                 |
| waylock              | -fork-on-lock   | ends with 0 when locked, goes on behind | its manual                            |
| physlock             | -d              | ends with 0 when the new console is     | its source: the console is taken      |
|                      |                 | in front and cannot be left             | before it forks                       |
| vlock                | all             | the terminal is its own (tty_lock.py)   | tried                                 |
| gtklock, hyprlock,   | all             | none                                    | their manuals promise none: alive     |
| xsecurelock, slock   |                 |                                         | after two seconds they were started   |

A locker that ends with 0 is believed only while something that it left behind still runs: it is then what has locked.
"""

from __future__ import annotations

import os

from pam_sc.decision.monitoring import Locker, Program, Sign
from pam_sc.record import replace

_XSCREENSAVER = Program(arguments=("xscreensaver-command", "-time"), limit_s=2.0)
_XSCREENSAVER_LOCKED = "screen locked since"


def with_sign(locker: Locker) -> Locker:
    """Return the locker with the sign that is known of it, where its own is NONE."""
    if locker.sign is not Sign.NONE:
        return locker
    program, *arguments = locker.program.arguments
    match os.path.basename(program):
        case "swaylock" if _has(arguments, "f", "--daemonize"):
            return replace(locker, sign=Sign.EXIT)
        case "i3lock" if not _has(arguments, "n", "--nofork"):
            return replace(locker, sign=Sign.EXIT)
        case "waylock" if "-fork-on-lock" in arguments or "--fork-on-lock" in arguments:
            return replace(locker, sign=Sign.EXIT)
        case "physlock" if _has(arguments, "d", "--detach"):
            return replace(locker, sign=Sign.EXIT)
        case "xscreensaver-command" if arguments == ["-lock"]:
            return replace(locker, sign=Sign.QUERY, query=_XSCREENSAVER, locked_text=_XSCREENSAVER_LOCKED)
    return locker


def _has(arguments: list[str], letter: str, long: str) -> bool:
    """Whether an option is given by its long name or its letter alone: in "-cf" an "f" may be the value of "-c"."""
    return long in arguments or f"-{letter}" in arguments
