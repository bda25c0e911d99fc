# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the shim, a worker that misbehaves on demand and a PAM application that is played by a script, and runs the
three through the real libpam of the machine (pam_start_confdir). Nothing here touches /etc/pam.d, and nothing needs root.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
SHIM = TESTS.parent / "pam_shim"
PROGRAMS = TESTS / "shim"
SOURCES = [
    SHIM / name
    for name in (
        "pam_sc.c",
        "options.c",
        "request.c",
        "worker_path.c",
        "spawn.c",
        "dialogue.c",
        "link.c",
        "choice.c",
        "facts.c",
        "record.c",
        "session_file.c",
        "conversation.c",
        "frames.c",
        "text.c",
    )
]
WARNINGS = ["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]
SHIM_FLAGS = [
    *WARNINGS,
    *[
        "-D_GNU_SOURCE",
        "-O2",
        "-g",
        "-fPIC",
        "-fvisibility=hidden",
        "-shared",
        "-Wl,-z,now,-z,relro,-z,defs",
        "-Wl,--as-needed",
    ],
    f"-Wl,--version-script={SHIM / 'pam_sc.map'}",
    "-Wl,--no-undefined-version",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
FAULTS = [
    "calloc", "clone", "fchmod", "fchown", "fsetxattr", "fstat", "getrandom", "getresgid", "getresuid", "lstat", "mkdirat",
    "mmap", "mprotect", "open", "openat", "pam_get_item", "pam_getenv", "pam_modutil_getpwnam", "pam_putenv",
    "pam_set_data", "pam_set_item", "poll", "read", "realpath", "recv", "renameat2", "send", "sendmsg", "socketpair", "stat",
    "strdup", "strndup", "syscall", "write",
]  # fmt: skip
"""The calls of the shim that tests/shim/faults.c can make fail."""
LONGEST_S = 30
NOBODY = 65534


def compile_c(target: Path, sources: list[Path], *flags: str) -> Path:
    """Compile with gcc, warnings being errors."""
    subprocess.run(["gcc", *flags, "-o", str(target), *map(str, sources), "-lpam", "-lpthread"], check=True)
    return target


@dataclass(frozen=True)
class Build:
    """Everything that is compiled once."""

    folder: Path
    host: Path
    worker: Path

    def shim(self, name: str, *flags: str) -> Path:
        """Return the shim built with more flags; `name` is for the flags."""
        target = self.folder / f"pam_sc_{name}.so"
        if not target.exists():
            compile_c(target, SOURCES, *SHIM_FLAGS, f'-DPAM_SC_WORKER="{self.worker}"', *flags)
        return target

    def faulty(self) -> Path:
        """Return the shim with calls that fail when told to."""
        target = self.folder / "pam_sc_faulty.so"
        wraps = [f"-Wl,--wrap={name}" for name in FAULTS]
        if not target.exists():
            flags = [*SHIM_FLAGS, f'-DPAM_SC_WORKER="{self.worker}"', *wraps]
            compile_c(target, [*SOURCES, PROGRAMS / "faults.c"], *flags)
        return target


@dataclass(frozen=True)
class Outcome:
    """What the host printed."""

    lines: tuple[str, ...]

    def codes(self, call: str = "authenticate") -> list[int]:
        """The codes that an entry point returned."""
        return [int(found) for line in self.lines for found in re.findall(rf"^{call} (\d+)$", line)]

    @property
    def code(self) -> int:
        """The only code of authenticate."""
        (code,) = self.codes()
        return code

    @property
    def logs(self) -> list[str]:
        """The lines of the log, severity first; libpam's own are left out."""
        lines = [line.removeprefix("log ") for line in self.lines if line.startswith("log ")]
        return [line for line in lines if "_pam_init_handlers" not in line]

    @property
    def said(self) -> list[str]:
        """Messages and prompts: count, style, text."""
        return [line.removeprefix("says ") for line in self.lines if line.startswith("says ")]

    @property
    def variables(self) -> list[str]:
        """The environment of the handle."""
        return [line.removeprefix("variable ") for line in self.lines if line.startswith("variable ")]

    def word(self, name: str) -> str:
        """The rest of the only line that begins with `name`."""
        (rest,) = (line.split(" ", 1)[1] for line in self.lines if line.startswith(name + " "))
        return rest


@dataclass(frozen=True)
class Host:
    """A PAM application with a service folder of its own."""

    build: Build
    confdir: Path
    module: Path
    preload: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    """More of the environment."""

    def service(self, *lines: str, name: str = "test") -> None:
        """Write a service file."""
        (self.confdir / name).write_text("".join(f"{line}\n" for line in lines))
        (self.confdir / name).chmod(0o644)

    def line(self, behaviour: str, *arguments: str, kind: str = "auth", control: str = "required") -> str:
        """A line for our module, whose worker behaves as named."""
        return " ".join([kind, control, str(self.module), f"config=/behaviour/{behaviour}", *arguments])

    def command(self, *script: str) -> list[str]:
        """The command that runs the script."""
        user = [] if any(word.startswith("user=") for word in script) else ["user=alice"]
        return [str(self.build.host), f"confdir={self.confdir}", *user, *[word for word in script if word != "user="]]

    def environment(self) -> dict[str, str]:
        """A short environment, with the sanitizer where there is one."""
        settings = {"LD_PRELOAD": self.preload, "ASAN_OPTIONS": "detect_leaks=1"} if self.preload else {}
        return {"PATH": os.environ["PATH"], "TZ": "UTC", **settings, **dict(self.variables)}

    def run(self, *script: str, prefix: tuple[str, ...] = ()) -> Outcome:
        """Run the script to its end and return what it printed."""
        done = subprocess.run(
            [*prefix, *self.command(*script)],
            env=self.environment(),
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
        )
        printed = done.stdout.decode(errors="surrogateescape")
        assert done.returncode == 0, (printed, done.stderr.decode())
        return Outcome(tuple(printed.split("\n")))

    def login(self, behaviour: str, *script: str, arguments: tuple[str, ...] = ()) -> Outcome:
        """Authenticate with a worker that behaves as named, and check that the host is what it was."""
        self.service(self.line(behaviour, *arguments))
        outcome = self.run(*script)
        assert outcome.word("state") == "same", outcome.lines
        assert outcome.word("sigchld") == "0"
        return outcome
