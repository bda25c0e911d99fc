# SPDX-License-Identifier: LGPL-2.1-or-later
"""open_session and close_session: which card opened a session is written down for the host's own session alone, for nobody
but root and the account to read, and never over anything. Played in a mount namespace with a /run of its own."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.shim_host import LONGEST_S, NOBODY, PROGRAMS, SHIM_FLAGS, SOURCES, Build, Host, Outcome, compile_c

pytestmark = pytest.mark.root

SUCCESS, IGNORED = 0, 6
ACCOUNT = "nobody"
FACT = "script-f17:%02::{%22label%22:%22My%22}+grant"
TEXT = '{"label":"My"}'
FOLDER = "/run/pam_sc/sessions"
FILE = f"{FOLDER}/7.json"
LED = "mkdir -p /run/systemd/sessions; printf 'UID=65534\\nACTIVE=1\\nLEADER=%s\\n' $$ >/run/systemd/sessions/7"
SHOW = f"find {FOLDER} -mindepth 1 -printf 'file %P mode %m owner %u:%g\\n'; test ! -f {FILE} || echo text $(cat {FILE})"


@dataclass(frozen=True)
class World:
    """The host in a mount namespace, where /run is empty at first and `before` runs in the process that becomes it."""

    host: Host
    before: str = LED
    filesystem: str = "tmpfs"
    fact: str = FACT
    after: str = SHOW
    """Runs when the host has ended, and prints what is there."""

    def play(self, calls: str, *script: str, identifier: str = "7", user: str = ACCOUNT) -> Outcome:
        """Run the calls; the lines of `after` follow those of the host."""
        host = self.host
        host.service(*[host.line(self.fact, kind=kind) for kind in ("auth", "account", "session")])
        variable = [f"putenv=XDG_SESSION_ID={identifier}"] if identifier else []
        command = shlex.join(host.command(f"calls={calls}", *variable, *script, f"user={user}"))
        shell = f"mount -t {self.filesystem} none /run; chmod 755 /run; sh -c {shlex.quote(f'{self.before}; exec {command}')}; {self.after}"
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell],
            env=host.environment(), capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
        return Outcome(tuple(done.stdout.split("\n")))

    def files(self, calls: str = "authenticate,open_session", *script: str, **more: str) -> list[str]:
        """The lines about the files, after every call has succeeded."""
        outcome = self.play(calls, *script, **more)
        for call in calls.split(","):
            assert set(outcome.codes(call)) == {SUCCESS}, outcome.lines
        return [line for line in outcome.lines if line.startswith(("file ", "text "))]


@pytest.fixture
def world(host: Host) -> World:
    return World(host)


@pytest.fixture
def plain_world(plain: Host) -> World:
    return World(plain)


WRITTEN = ["file 7.json mode 640 owner root:root", f"text {TEXT}"]


def test_the_card_of_the_own_session_is_written_down(world: World) -> None:
    assert world.files() == WRITTEN


def test_closing_the_session_removes_it(world: World) -> None:
    assert world.files("authenticate,open_session,close_session") == []


def test_a_new_login_on_the_same_handle_does_not_lose_what_is_to_be_removed(world: World) -> None:
    outcome = world.play("authenticate,open_session,authenticate,close_session")
    assert not any(line.startswith("file") for line in outcome.lines)


@pytest.mark.parametrize("calls", ["open_session", "authenticate,acct_mgmt,setcred", "authenticate,rename,open_session"])
def test_without_a_grant_for_this_account_or_without_a_session_nothing_is_written(world: World, calls: str) -> None:
    outcome = world.play(calls)
    assert not any(line.startswith("file") for line in outcome.lines)


def test_without_the_fact_nothing_is_written(plain_world: World) -> None:
    assert replace(plain_world, fact="grant").files() == []


def reader(uid: int, gid: int) -> str:
    return f"setpriv --reuid {uid} --regid {gid} --clear-groups cat {FILE} >/dev/null 2>&1 && echo file readable || echo file closed"


@pytest.mark.parametrize(("uid", "gid", "said"), [(NOBODY, NOBODY, "readable"), (1, 1, "closed"), (1, NOBODY, "closed"), (1, 0, "closed")])
def test_only_the_account_and_root_can_read_it(plain_world: World, uid: int, gid: int, said: str) -> None:
    assert replace(plain_world, after=reader(uid, gid)).files() == [f"file {said}"]


def test_the_account_cannot_write_it(plain_world: World) -> None:
    attempt = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups sh -c 'echo x >{FILE}' 2>/dev/null || echo file closed"
    assert replace(plain_world, after=attempt).files() == ["file closed"]


def test_where_the_file_system_knows_no_acl_root_alone_reads_it(plain_world: World) -> None:
    outcome = replace(plain_world, filesystem="ramfs").play("authenticate,open_session")
    assert "file 7.json mode 600 owner root:root" in outcome.lines
    assert outcome.logs == ["5 the file system of /run/pam_sc knows no ACLs: only root can read the session's card"]


@pytest.mark.parametrize("mask", ["000", "077", "277"])
def test_the_hosts_umask_changes_nothing(plain_world: World, mask: str) -> None:
    folders = f"{SHOW}; find /run/pam_sc -type d -printf 'file %f mode %m\\n'"
    assert replace(plain_world, before=f"{LED}; umask {mask}", after=folders).files() == [
        *WRITTEN, "file pam_sc mode 755", "file sessions mode 755",
    ]  # fmt: skip


# Which session is the host's own

SESSION = "mkdir -p /run/systemd/sessions; printf '{}' {} >/run/systemd/sessions/7"
NOT_OWN = {
    "no logind": ":",
    "another leader, as in su and sudo": SESSION.format("UID=65534\\nLEADER=%s\\n", "$PPID"),
    "another account": SESSION.format("UID=65533\\nLEADER=%s\\n", "$$"),
    "no leader": SESSION.format("UID=65534\\n", ""),
    "no account": SESSION.format("LEADER=%s\\n", "$$"),
    "the leader in another word": SESSION.format("UID=65534\\nXLEADER=%s\\n", "$$"),
    "a longer number": SESSION.format("UID=65534\\nLEADER=%s0\\n", "$$"),
    "something behind the number": SESSION.format("UID=65534\\nLEADER=%s x\\n", "$$"),
    "a sign before it": SESSION.format("UID=65534\\nLEADER=+%s\\n", "$$"),
    "the first word counts": SESSION.format("UID=65534\\nLEADER=1\\nLEADER=%s\\n", "$$"),
    "a NUL in it": SESSION.format("UID=65534\\nLEADER=%s\\n\\000", "$$"),
    "a link": f"{LED}; mv /run/systemd/sessions/7 /run/elsewhere; ln -s /run/elsewhere /run/systemd/sessions/7",
    "a file of somebody else's": f"{LED}; chown {NOBODY} /run/systemd/sessions/7",
    "a file that others can write": f"{LED}; chmod 664 /run/systemd/sessions/7",
    "a folder that others can write": f"{LED}; chmod 777 /run/systemd/sessions",
    "a pipe": "mkdir -p /run/systemd/sessions; mkfifo /run/systemd/sessions/7",
    "too long": f"{LED}; head -c 16384 /dev/zero | tr '\\0' x >>/run/systemd/sessions/7",
}


@pytest.mark.parametrize("before", NOT_OWN.values(), ids=NOT_OWN)
def test_in_a_session_that_is_not_the_hosts_own_nothing_is_written(plain_world: World, before: str) -> None:
    assert replace(plain_world, before=before).files() == []


@pytest.mark.parametrize("identifier", ["", ".", "..", "7/../7", "./7", "7 ", "7.", "-", "7" * 33, "7\n", "\u0667"])
def test_a_session_id_that_is_none_is_none(plain_world: World, identifier: str) -> None:
    assert plain_world.play("authenticate,open_session", identifier=identifier).codes("open_session") == [SUCCESS]
    assert plain_world.files(identifier=identifier) == []


@pytest.mark.parametrize("identifier", ["c12", "A" * 32])
def test_letters_and_digits_up_to_32_are_a_session_id(plain_world: World, identifier: str) -> None:
    before = LED.replace("sessions/7", f"sessions/{identifier}")
    assert replace(plain_world, before=before).files(identifier=identifier)[0].startswith(f"file {identifier}.json ")


def test_the_hosts_own_environment_names_no_session(plain_world: World) -> None:
    host = replace(plain_world.host, variables=(("XDG_SESSION_ID", "7"),))
    assert replace(plain_world, host=host).files(identifier="") == []


def test_a_host_without_root_writes_nothing(plain_world: World) -> None:
    outcome = replace(plain_world, before=LED).play("authenticate,open_session", f"uids=0:{NOBODY}:0")
    assert not any(line.startswith("file") for line in outcome.lines)
    assert outcome.logs == [line for line in outcome.logs if "cannot write" not in line]


# What is there already

OCCUPIED = {
    "a file": f"mkdir -p {FOLDER}; echo old >{FILE}",
    "a link": f"mkdir -p {FOLDER}; ln -s /run/target {FILE}",
    "a link to nothing": f"mkdir -p {FOLDER}; ln -s /run/nothing {FILE}",
    "a folder": f"mkdir -p {FILE}",
}


@pytest.mark.parametrize("before", OCCUPIED.values(), ids=OCCUPIED)
def test_what_has_the_name_already_is_left_alone_and_not_removed(plain_world: World, before: str) -> None:
    world = replace(plain_world, before=f"{LED}; touch /run/target; {before}", after="ls -A /run/pam_sc/sessions /run/target; cat /run/target")
    outcome = world.play("authenticate,open_session,close_session")
    assert outcome.codes("open_session") + outcome.codes("close_session") == [SUCCESS] * 2
    assert outcome.logs == ["4 cannot write down which card opened the session: its file: File exists"]
    assert [line for line in outcome.lines[-4:] if line] == ["/run/target", "", "/run/pam_sc/sessions:", "7.json"][-3:] or "7.json" in outcome.lines


UNSAFE = {
    "a folder of somebody else's": (f"mkdir -p {FOLDER}; chown {NOBODY} {FOLDER}", "Operation not permitted"),
    "a folder that a group can write": (f"mkdir -p {FOLDER}; chmod 775 {FOLDER}", "Operation not permitted"),
    "a folder that all can write": (f"mkdir -p {FOLDER}; chmod 1777 {FOLDER}", "Operation not permitted"),
    "a folder above that all can write": (f"mkdir -p {FOLDER}; chmod 777 /run/pam_sc", "Operation not permitted"),
    "a link": ("mkdir -p /run/pam_sc /run/else; ln -s /run/else /run/pam_sc/sessions", "Not a directory"),
    "a link above": ("mkdir -p /run/else/sessions; ln -s /run/else /run/pam_sc", "Not a directory"),
    "a file": ("mkdir -p /run/pam_sc; touch /run/pam_sc/sessions", "Not a directory"),
}


@pytest.mark.parametrize(("before", "why"), UNSAFE.values(), ids=UNSAFE)
def test_a_folder_that_is_not_roots_alone_is_not_written_into(plain_world: World, before: str, why: str) -> None:
    world = replace(plain_world, before=f"{LED}; {before}", after="find /run/pam_sc/ /run/else -type f -printf 'made %p\\n' 2>/dev/null")
    outcome = world.play("authenticate,open_session")
    assert outcome.codes("open_session") == [SUCCESS]
    assert outcome.logs == [f"4 cannot write down which card opened the session: /run/pam_sc/sessions: {why}"]
    assert not any(line.startswith("made") and line != "made /run/pam_sc/sessions" for line in outcome.lines)


def test_what_has_replaced_the_file_meanwhile_is_not_removed(plain_world: World, build: Build) -> None:
    """The second login of the handle finds the name taken by another file; the close still removes only its own."""
    replacing = compile_c(build.folder / "replacing.so", [PROGRAMS / "replacing_module.c"], "-shared", "-fPIC", "-std=gnu17")
    host = plain_world.host
    host.service(host.line(FACT), host.line(FACT, kind="session"), f"session required {replacing} {FILE}")
    world = plain_world
    outcome = replace(world, host=SessionsAsTheyAre(host)).play("authenticate,open_session,close_session")  # type: ignore[arg-type]
    assert "file 7.json mode 644 owner root:root" in outcome.lines


@dataclass(frozen=True)
class SessionsAsTheyAre:
    """A host whose service file is written already."""

    host: Host

    def service(self, *_lines: str) -> None:
        """Leave it."""

    def __getattr__(self, name: str) -> object:
        return getattr(self.host, name)


# Faults

WRAPPED = [
    "openat", "open", "mkdirat", "fchmod", "fchown", "fstat", "read", "write", "fsetxattr", "getrandom", "renameat2",
    "calloc", "pam_set_data", "pam_getenv",
]  # fmt: skip


def test_no_call_that_fails_fails_the_session_or_leaves_a_piece(plain: Host, build: Build) -> None:
    """One fault after the other: the file is whole or not there, no draft is left, and nothing escapes into the answer."""
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    faulty = compile_c(
        build.folder / "pam_sc_faulty_session.so", [*SOURCES, PROGRAMS / "faults.c"], *SHIM_FLAGS,
        f'-DPAM_SC_WORKER="{build.worker}"', "-DONLY_IN_SESSION", *wraps,
    )  # fmt: skip
    seen = set()
    for number in range(1, 200):
        host = replace(plain, module=faulty, variables=(("PAM_SC_TEST_FAULT", str(number)),))
        world = replace(World(host), after=f"{SHOW}")
        outcome = world.play("authenticate,open_session")
        if outcome.codes() != [SUCCESS]:
            continue  # a fault of authenticate, which test_faults.py is about
        assert outcome.codes("open_session") == [SUCCESS], (number, outcome.lines)
        files = [line for line in outcome.lines if line.startswith(("file ", "text "))]
        assert files in ([], WRITTEN, ["file 7.json mode 600 owner root:root", WRITTEN[1]]), (number, files)
        seen.add(tuple(files))
        if files == WRITTEN and number > 100:
            break
    assert () in seen and tuple(WRITTEN) in seen
