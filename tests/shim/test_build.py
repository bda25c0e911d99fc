# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the shared object and its source may and may not contain."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.shim_host import SHIM, SOURCES, Host

ENTRY_POINTS = {
    f"pam_sm_{name}" for name in ["authenticate", "setcred", "acct_mgmt", "open_session", "close_session", "chauthtok"]
}
# What would touch the host: stdio, environment, locale, dispositions, threads, its processes, its user ids, its syslog.
FORBIDDEN = re.compile(
    r"^(\w*printf\w*|\w*scanf\w*|f(open|puts|write|read|get[cs]|put[cs])\w*|put[cs]\w*|perror|getenv|setenv|putenv"
    r"|uselocale|sigaction|signal|sigprocmask|pthread_\w+|fork|vfork|posix_spawn\w*|system|popen|wait|waitpid"
    r"|set\w*[ug]id|openlog|closelog|syslog|chdir|umask|atexit|dlopen|exit|_exit|abort)$"
)

LOOKED_AT = {"sigaction", "pthread_sigmask"}
"""Forbidden but for looking, which a test of its own is about."""


def tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_only_the_six_entry_points_are_exported(plain: Host) -> None:
    lines = tool("nm", "-D", "--defined-only", str(plain.module)).splitlines()
    assert {line.split()[2] for line in lines} == ENTRY_POINTS


def test_only_libc_and_libpam_are_needed(plain: Host) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", tool("readelf", "-d", str(plain.module)))
    assert sorted(needed) == ["libc.so.6", "libpam.so.0"]


def test_nothing_is_imported_that_would_touch_the_host(plain: Host) -> None:
    lines = tool("nm", "-D", "--undefined-only", str(plain.module)).splitlines()
    imported = {line.split()[1].split("@")[0].removeprefix("__").removesuffix("_chk") for line in lines}
    assert {"getrandom", "clone", "pam_get_item"} <= imported
    assert {name for name in imported if FORBIDDEN.match(name)} == LOOKED_AT


def test_what_a_host_does_with_signals_is_looked_at_in_one_place_each_and_never_changed() -> None:
    text = "\n".join(path.read_text() for path in SOURCES)
    assert re.findall(r"\bsigaction\(([^)]*)\)", text) == ["TO_END[i], NULL, &action"]
    assert re.findall(r"\bpthread_sigmask\(([^)]*)\)", text) == ["SIG_BLOCK, NULL, &mask"]


def test_environment_and_locale_are_looked_at_in_one_place_each_and_never_changed() -> None:
    """Which extensions GDM says it has, which token opened the session, and in which language the host speaks."""
    text = "\n".join(path.read_text() for path in SOURCES)
    assert sorted(re.findall(r"\bsecure_getenv\(([^)]*)\)", text)) == ["LOGIN_TOKEN", "VARIABLE"]
    assert re.findall(r"\bsetlocale\(([^)]*)\)", text) == ["LC_MESSAGES, NULL"]


def test_there_is_no_mutable_state(plain: Host) -> None:
    """Data of ours is constant (.rodata, .data.rel.ro); what is writable belongs to the start-up code of the compiler."""
    lines = tool("nm", str(plain.module)).splitlines()
    writable = {line.split()[2] for line in lines if re.search(r" [bBdDcC] ", line)}
    constant = ("_", "completed", "FLAGS", "ITEMS", "RELAYED", "VARIABLES", "envp")
    ours = {name for name in writable if not name.startswith(constant)}
    assert ours == set()
    sections = tool("readelf", "-SW", str(plain.module))
    assert ".init_array" in sections and " .tbss" not in sections and " .tdata" not in sections


def test_the_object_is_hardened(plain: Host) -> None:
    dynamic = tool("readelf", "-dW", str(plain.module))
    headers = tool("readelf", "-lW", str(plain.module))
    assert "BIND_NOW" in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic and "TEXTREL" not in dynamic
    assert "GNU_RELRO" in headers and re.search(r"GNU_STACK.*RW ", headers)


def body_of(function: str) -> str:
    text = (SHIM / "pam_sc.c").read_text()
    start = text.index(f"EXPORTED int {function}(")
    return text[start : text.index("\n}\n", start)]


def test_authenticate_returns_pam_success_in_exactly_one_line() -> None:
    assert body_of("pam_sm_authenticate").count("PAM_SUCCESS") == 1
    assert body_of("pam_sm_authenticate").rstrip().endswith("return PAM_SUCCESS;")


def test_no_other_line_can_lead_to_pam_success_or_pam_ignore() -> None:
    """PAM_SUCCESS is only ever compared with, but for the line above, that of chauthtok, and the one that answers for a
    recorded account. PAM_IGNORE is an answer of that one, of chauthtok for an expired password that is none of ours, and
    what a verdict may carry, but in the second pass of chauthtok."""
    text = "\n".join(path.read_text() for path in SOURCES)
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    others = [line.strip() for line in code.splitlines() if re.search(r"PAM_(SUCCESS|IGNORE)\b", line)]
    uncompared = [line for line in others if not re.search(r"[!=]= PAM_SUCCESS|case PAM_SUCCESS:", line)]
    assert uncompared == [
        "return PAM_SUCCESS;",
        "return *record != NULL ? PAM_SUCCESS : PAM_IGNORE;",
        "return granted ? PAM_SUCCESS : ending.refusal;",
        "return code == PAM_TRY_AGAIN || code == PAM_IGNORE ? PAM_AUTHTOK_ERR : code;",
        "return PAM_IGNORE;",
        "case PAM_IGNORE:",
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_function_is_longer_than_sixty_lines(path: Path) -> None:
    lines = path.read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line == "{"]
    ends = [next(i for i in range(start, len(lines)) if lines[i] == "}") for start in starts]
    assert starts
    assert max(end - start for start, end in zip(starts, ends, strict=True)) <= 60


def test_every_source_is_tested() -> None:
    ours = {path.name for path in SOURCES}
    assert {"pam_sc.c", "options.c", "spawn.c", "conversation.c", "frames.c"} <= ours
    assert all(path.exists() for path in SOURCES)
