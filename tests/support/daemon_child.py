# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command that goes to the background when it is ready, says "ready" then, and ends as the command ends.

A program of its own (standard library only): it becomes the parent of what the command leaves in the background.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36



def end_all(_signal: int, _frame: object) -> None:
    """End what runs in the background, whose parent this is by now."""
    for number in Path("/proc/thread-self/children").read_text().split():
        os.kill(int(number), signal.SIGTERM)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGHUP, end_all)
    if subprocess.run(sys.argv[1:], check=False).returncode != 0:
        sys.exit("the command ended before it was ready")
    print("ready", flush=True)
    status = 1
    try:
        while True:
            status = max(os.waitstatus_to_exitcode(os.wait()[1]), 0)
    except ChildProcessError:
        sys.exit(status)
