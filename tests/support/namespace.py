# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private mount namespace in which commands run: folders of a test lie over folders of the machine.

One process holds the namespace until it is closed; commands enter it with nsenter, so that it is set up once. Nothing
is ever mounted outside of it, and no file of the machine is written: what a command changes in a covered folder stays
in the folder that covers it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CLEAN_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_SETUP = """
import ctypes, os, sys
BIND_WITH_ALL_BELOW = 0x1000 | 0x4000
mount = ctypes.CDLL(None, use_errno=True).mount
pairs = list(zip(sys.argv[1::2], sys.argv[2::2]))
# All are opened first: a clone may lie in a folder that is covered before its own turn comes.
for source, target in [(os.open(source, os.O_PATH), target) for source, target in pairs]:
    if mount(f"/proc/self/fd/{source}".encode(), os.fsencode(target), None, BIND_WITH_ALL_BELOW, None):
        sys.exit(f"cannot mount over {target}: {os.strerror(ctypes.get_errno())}")
print("ready", flush=True)
os.execvp("cat", ["cat"])
"""


@dataclass(frozen=True, slots=True)
class Cover:
    """One folder or file that lies over a path of the machine, inside the namespace only."""

    source: Path
    target: str


@dataclass(slots=True)
class Namespace:
    """A mount namespace with its covers. Needs root. Ends when it is closed or the process that made it dies."""

    covers: Sequence[Cover]
    _holder: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        pairs = [text for cover in self.covers for text in (str(cover.source), cover.target)]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-I", "-S", "-c", _SETUP, *pairs],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError(f"cannot set up the mount namespace: exit status {self._holder.wait()}")

    @property
    def pid(self) -> int:
        """The process that holds the namespace."""
        return self._holder.pid

    def enter(self, argv: Sequence[str], *, user: str | None = None, env: Mapping[str, str] | None = None) -> list[str]:
        """The command line that runs `argv` in the namespace, as `user` with all of that user's groups.

        `env` is added to the environment of `argv` alone: LD_PRELOAD, for example, does not reach what comes before.
        """
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
        settings = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
        place = f"/proc/{self.pid}"  # its root too: else nsenter leaves a chroot that the tests run in
        return ["nsenter", f"--mount={place}/ns/mnt", f"--root={place}/root", "--", *become, *settings, *argv]

    def run(self, argv: Sequence[str], *, user: str | None = None,
            input: str | None = None,
            env: Mapping[str, str] | None = None, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return its output. The environment is a clean one plus `env`."""
        return subprocess.run(self.enter(argv, user=user, env=env), input=input, env=dict(CLEAN_ENVIRONMENT),
                              stdin=subprocess.DEVNULL if input is None else None, capture_output=True, text=True,
                              timeout=timeout, check=False, **more)

    def popen(self, argv: Sequence[str], *, user: str | None = None, env: Mapping[str, str] | None = None,
              **more: Any) -> subprocess.Popen[str]:
        """Start a command and leave it running; whoever starts it ends it."""
        return subprocess.Popen(self.enter(argv, user=user, env=env), env=dict(CLEAN_ENVIRONMENT), text=True, **more)

    def close(self) -> None:
        """Let the namespace go; processes that still run inside keep it alive."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def is_available() -> bool:
    """Say whether this process may make mount namespaces: it must be root and own CAP_SYS_ADMIN."""
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "true"],
                          capture_output=True, check=False).returncode == 0
