# SPDX-License-Identifier: LGPL-2.1-or-later
"""open_session and close_session: which card opened a session is written down for the host's own session alone, for nobody
but root, the account and the folder's readers to read, and never over anything. Played in a mount namespace with a /run of
its own."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.shim_host import LONGEST_S, NOBODY, Host, Outcome

pytestmark = pytest.mark.root

SUCCESS, IGNORED = 0, 6
ACCOUNT = "nobody"
FACT = "script-f17:%02::{%22label%22%3a%22My%22}+grant"
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
        inner = shlex.quote(f"{self.before}; exec {command}")
        shell = f"mount -t {self.filesystem} none /run; chmod 755 /run; sh -c {inner}; {self.after}"
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell],
            env=host.environment(), capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
        return Outcome(tuple((done.stdout + done.stderr).split("\n")))

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
    become = f"setpriv --reuid {uid} --regid {gid} --clear-groups"
    return f"{become} cat {FILE} >/dev/null 2>&1 && echo file readable || echo file closed"


@pytest.mark.parametrize(
    ("uid", "gid", "said"),
    [(NOBODY, NOBODY, "readable"), (NOBODY, 1, "readable"), (1, 1, "closed"), (1, NOBODY, "closed"), (1, 0, "closed")],
)
def test_only_the_account_and_root_can_read_it(plain_world: World, uid: int, gid: int, said: str) -> None:
    assert replace(plain_world, after=reader(uid, gid)).files() == [f"file {said}"]


def test_the_account_cannot_write_it(plain_world: World) -> None:
    become = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    attempt = f"{become} sh -c 'echo x >{FILE}' 2>/dev/null || echo file closed"
    assert replace(plain_world, after=attempt).files() == ["file closed"]


READERS = 2
"""A group that is neither the account's nor root's."""
FOLDERS = {
    "setgid, as tmpfiles.d makes it for the monitor": (f"chown 0:{READERS} {FOLDER}; chmod 2755 {FOLDER}", True),
    "setgid, closed to others": (f"chown 0:{READERS} {FOLDER}; chmod 2750 {FOLDER}", True),
    "of that group, but not setgid": (f"chown 0:{READERS} {FOLDER}", False),
    "setgid, but root's": (f"chmod 2755 {FOLDER}", False),
    "without that group, as where the monitor has no account": (":", False),
}


@pytest.mark.parametrize(("folder", "read"), FOLDERS.values(), ids=FOLDERS)
@pytest.mark.parametrize("gid", [READERS, 1])
def test_the_group_of_a_setgid_folder_reads_it_too(plain_world: World, folder: str, read: bool, gid: int) -> None:
    before = f"{LED}; mkdir -p {FOLDER}; {folder}"
    said = "readable" if read and gid == READERS else "closed"
    assert replace(plain_world, before=before, after=reader(1, gid)).files() == [f"file {said}"]


def test_the_group_of_a_setgid_folder_cannot_write_it(plain_world: World) -> None:
    before = f"{LED}; mkdir -p {FOLDER}; {next(iter(FOLDERS.values()))[0]}"
    attempt = f"setpriv --reuid 1 --regid {READERS} --clear-groups sh -c 'echo x >{FILE}' 2>/dev/null || echo file closed"
    assert replace(plain_world, before=before, after=attempt).files() == ["file closed"]
    shown = replace(plain_world, before=before, after=f"stat -c 'file %a %u:%g' {FILE}")
    assert shown.files() == [f"file 640 0:{READERS}"]


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
    "regular file": f"mkdir -p {FOLDER}; echo old >{FILE}",
    "symbolic link": f"mkdir -p {FOLDER}; ln -s /run/target {FILE}",
    "directory": f"mkdir -p {FILE}",
    "fifo": f"mkdir -p {FOLDER}; mkfifo {FILE}",
}


@pytest.mark.parametrize("kind", OCCUPIED)
def test_what_has_the_name_already_is_left_alone_and_not_removed(plain_world: World, kind: str) -> None:
    shown = f"stat -c 'is %F' {FILE}; ls -A {FOLDER} | wc -l; stat -c 'target %s' /run/target"
    world = replace(plain_world, before=f"{LED}; : >/run/target; {OCCUPIED[kind]}", after=shown)
    outcome = world.play("authenticate,open_session,close_session")
    assert outcome.codes("open_session") + outcome.codes("close_session") == [SUCCESS] * 2
    assert outcome.logs == ["4 cannot write down which card opened the session: its file: File exists"]
    assert (outcome.word("is"), outcome.word("target")) == (kind, "0")
    assert "1" in outcome.lines, "no draft is left beside it"


BEGAN = LED.replace("LEADER=", "REALTIME={}\\nLEADER=")


@pytest.mark.parametrize(
    ("written", "began", "left"),
    [("2020-01-01", "1600000000000000", TEXT), ("2021-01-01", "1600000000000000", "old"),
     ("2020-01-01", "x", "old"), ("2020-01-01", "1500000000000000", "old")],
)  # fmt: skip
def test_only_what_an_ended_session_of_the_same_name_has_left_is_replaced(
    plain_world: World, written: str, began: str, left: str
) -> None:
    stale = f"mkdir -p {FOLDER}; echo old >{FILE}; touch -d {written} {FILE}"
    outcome = replace(plain_world, before=f"{BEGAN.format(began)}; {stale}").play("authenticate,open_session")
    assert f"text {left}" in outcome.lines


def test_a_limit_on_the_size_of_files_ends_no_host(plain_world: World) -> None:
    outcome = replace(plain_world, before=f"{LED}; ulimit -f 0").play("authenticate,open_session")
    assert outcome.codes("open_session") == [SUCCESS]
    assert outcome.logs == ["4 cannot write down which card opened the session: its file: File too large"]
    assert not any(line.startswith("file") for line in outcome.lines)


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
    shown = "find /run/pam_sc/ /run/else -type f -printf 'made %p\\n' 2>/dev/null"
    world = replace(plain_world, before=f"{LED}; {before}", after=shown)
    outcome = world.play("authenticate,open_session")
    assert outcome.codes("open_session") == [SUCCESS]
    assert outcome.logs == [f"4 cannot write down which card opened the session: /run/pam_sc/sessions: {why}"]
    assert not any(line.startswith("made") and line != "made /run/pam_sc/sessions" for line in outcome.lines)


def test_what_has_replaced_the_file_meanwhile_is_not_removed(plain_world: World) -> None:
    outcome = plain_world.play("authenticate,open_session,usurp,close_session")
    assert "file 7.json mode 644 owner root:root" in outcome.lines


# Faults

CALLS = {
    "pam_getenv", "pam_modutil_getpwnam", "open", "openat", "fstat", "read", "calloc", "mkdirat", "fchmod", "getrandom",
    "fchown", "fsetxattr", "write", "renameat2", "pam_set_data",
}  # fmt: skip


def test_no_call_that_fails_fails_the_session_or_leaves_a_piece(plain: Host, faulty: Path) -> None:
    """One fault after the other: the file is whole or not there, and no draft of it is left."""
    seen = set()
    for number in range(1, 1000):
        fault = (("PAM_SC_TEST_FAULT", str(number)), ("PAM_SC_TEST_FAULT_IN_SESSION", "1"))
        outcome = World(replace(plain, module=faulty, variables=fault)).play("authenticate,open_session")
        files = [line for line in outcome.lines if line.startswith(("file ", "text "))]
        name = outcome.word("fault").split()[0]
        assert (outcome.code, outcome.codes("open_session")) == (SUCCESS, [SUCCESS]), (number, name, outcome.lines)
        assert files in ([], WRITTEN), (number, name, files)
        seen.add(name)
        if name == "none":
            assert files == WRITTEN
            break
    assert seen == {*CALLS, "none"}
