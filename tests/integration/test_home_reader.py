# SPDX-License-Identifier: LGPL-2.1-or-later
"""The home reader with real homes: what it returns, and everything in or around a home that it refuses."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import PREFIX, worker_in
from tests.support.pam_world import ACCOUNTS, HARNESS, Account, World

pytestmark = pytest.mark.root

KEYS = ".ssh/authorized_keys"
CONTENT = "ssh-ed25519 AAAA alice@example.test\n"
MIB = 1 << 20
MORE = (
    Account("nohome", 4003, 4003, ""),
    Account("relative", 4004, 4004, "home/alice"),
    Account("atroot", 4005, 4005, "/"),
    Account("gone", 4006, 4006, "/home/gone"),
    Account("open", 4007, 4007, "/srv/open/home"),
    Account("linked", 4008, 4008, "/srv/link/linked"),
    Account("temporary", 4009, 4009, "/srv/sticky/home"),
)
PROBE = [f"{PREFIX}/bin/python", "-P", "-c",
         f"import sys; sys.path.append({HARNESS!r}); from tests.support.home_probe import main; main()", worker_in()]
NOT_BELIEVED = "home-file-not-believed"


@pytest.fixture(scope="module")
def shared(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World.create(tmp_path_factory.mktemp("homes") / "world", accounts=(*ACCOUNTS, *MORE)) as made:
        yield made


@pytest.fixture
def world(shared: World) -> World:
    """The world with an empty home for alice and bob, and nothing under /srv."""
    for folder in (shared.path("/home/x").parent, shared.path("/srv/x").parent):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name in ("root", "alice", "bob", "hidden"):
        make_home(shared, name)
    return shared


def make_home(world: World, name: str) -> Path:
    account = world.account(name)
    home = world.path(account.home)
    home.mkdir(parents=True)
    for folder in (home.parent, home):
        folder.chmod(0o755)
    os.chown(home, account.uid, account.gid)
    home.chmod(0o700)
    return home


def put(world: World, name: str = "alice", path: str = KEYS, content: str | bytes = CONTENT, mode: int = 0o600) -> Path:
    """A file in a home as its owner would write it, in folders that belong to the same."""
    account = world.account(name)
    inside = f"{account.home}/{path}"
    world.put(inside, content, mode=mode, owner=name)
    folder = world.path(inside).parent
    while folder != world.path(account.home):
        os.chown(folder, account.uid, account.gid)
        folder.chmod(0o700)
        folder = folder.parent
    return world.path(inside)


def ask(world: World, *asked: tuple[str, str], user: str | None = None, time_s: float = 20, **order: Any) -> list[Any]:
    """What a home reader that `user` (root) starts answers to these questions."""
    order = {"paths": [KEYS], "account": "alice", **order}
    done = world.run(PROBE, input=json.dumps({"order": order, "asked": asked, "time_s": time_s}), user=user)
    assert done.stderr == ""
    answers: list[Any] = json.loads(done.stdout)
    return answers


def ask_alice(world: World, path: str = KEYS, **order: Any) -> Any:
    (answer,) = ask(world, ("alice", path), **{"paths": [path], **order})
    return answer


def refused(why: str, path: str = KEYS) -> list[str]:
    return ["refused", NOT_BELIEVED, f"cannot believe {path!r} in the home: {why}"]


def failed(why: str, path: str = KEYS) -> list[str | None]:
    return ["refused", None, f"cannot read {path!r} in the home: {why}"]


# What is read


def test_a_file_of_the_account_is_returned_as_it_is(world: World) -> None:
    put(world)
    assert ask_alice(world) == ["file", len(CONTENT), CONTENT]


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o644, 0o755])
def test_a_file_that_nobody_else_can_write_is_returned(world: World, mode: int) -> None:
    put(world, mode=mode)
    assert ask_alice(world) == ["file", len(CONTENT), CONTENT]


def test_a_file_of_root_is_returned(world: World) -> None:
    path = put(world, mode=0o644)
    os.chown(path, 0, 0)
    assert ask_alice(world) == ["file", len(CONTENT), CONTENT]


def test_an_empty_file_is_an_empty_file(world: World) -> None:
    put(world, content="")
    assert ask_alice(world) == ["file", 0, ""]


def test_a_file_directly_in_the_home_and_one_deep_below_are_returned(world: World) -> None:
    for path in ("keys", "a/b/c/d/keys"):
        put(world, path=path)
        assert ask_alice(world, path) == ["file", len(CONTENT), CONTENT]


@pytest.mark.parametrize(("size", "is_read"), [(MIB, True), (MIB + 1, False)])
def test_a_file_of_one_mebibyte_is_the_largest(world: World, size: int, is_read: bool) -> None:
    put(world, content=b"x" * size)
    assert ask_alice(world) == (["file", MIB, "x" * 200] if is_read else refused("it is larger than 1 MiB"))


def test_several_questions_are_answered_in_order(world: World) -> None:
    put(world)
    put(world, path="other", content="something else")
    asked = [("alice", "other"), ("alice", KEYS), ("alice", "other")]
    answers = ask(world, *asked, paths=[KEYS, "other"])
    assert [answer[2] for answer in answers] == ["something else", CONTENT, "something else"]


def test_links_of_root_above_the_home_are_followed(world: World) -> None:
    world.path("/srv/link").symlink_to("real/../real")
    home = world.path("/srv/real/linked")
    home.mkdir(parents=True)
    os.chown(home, 4008, 4008)
    world.put("/srv/real/linked/keys", CONTENT, owner="linked")
    (answer,) = ask(world, ("linked", "keys"), account="linked", paths=["keys"])
    assert answer == ["file", len(CONTENT), CONTENT]


# What is not there


@pytest.mark.parametrize("missing", ["file", "folder"])
def test_a_file_that_is_missing_is_nothing(world: World, missing: str) -> None:
    path = put(world)
    path.unlink()
    if missing == "folder":
        path.parent.rmdir()
    assert ask_alice(world) == ["nothing"]


@pytest.mark.parametrize("name", ["nohome", "relative", "atroot", "gone"])
def test_an_account_without_a_home_has_no_file(world: World, name: str) -> None:
    path = "etc/passwd" if name == "atroot" else "keys"
    assert ask(world, (name, path), account=name, paths=[path]) == [["nothing"]]


def test_an_account_that_does_not_exist_has_no_file(world: World) -> None:
    assert ask(world, ("mallory", KEYS), account="mallory") == [["nothing"]]


# Files that are none


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_what_is_not_a_regular_file_is_never_waited_for(world: World, kind: str) -> None:
    path = put(world)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero, which never ends
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            os.chdir(path.parent)  # the whole path may be longer than a socket's name
            made.bind(path.name)
            os.chdir("/")
    else:
        path.mkdir()
    os.chown(path, 4001, 4001)
    path.chmod(0o600)
    assert ask_alice(world) == refused("the file is no regular file")


def test_a_sparse_file_of_10_gib_is_not_read(world: World) -> None:
    os.truncate(put(world), 10 << 30)
    assert ask_alice(world) == refused("it is larger than 1 MiB")


# Symbolic links


def test_a_link_in_the_place_of_the_file_is_not_followed(world: World) -> None:
    path = put(world, path=".ssh/other")
    (path.parent / "authorized_keys").symlink_to("other")
    assert ask_alice(world) == refused("the file is a symbolic link")


def test_a_link_in_the_place_of_a_folder_is_not_followed(world: World) -> None:
    put(world, path="real/authorized_keys")
    (world.path("/home/alice") / ".ssh").symlink_to("real")
    assert ask_alice(world) == refused("a folder on the way to it is a symbolic link")


def test_a_link_of_root_in_a_home_is_not_followed_either(world: World) -> None:
    put(world, path="real/authorized_keys")
    os.symlink("/home/alice/real", world.path("/home/alice") / ".ssh")
    assert os.lstat(world.path("/home/alice/.ssh")).st_uid == 0
    assert ask_alice(world) == refused("a folder on the way to it is a symbolic link")


def test_a_link_above_the_home_that_is_not_roots_is_not_followed(world: World) -> None:
    world.path("/srv/link").symlink_to("real")
    os.lchown(world.path("/srv/link"), 4008, 4008)
    world.put("/srv/real/linked/keys", CONTENT, owner="linked")
    os.chown(world.path("/srv/real/linked"), 4008, 4008)
    answers = ask(world, ("linked", "keys"), account="linked", paths=["keys"])
    assert answers == [refused("a folder above the home is a symbolic link", "keys")]


def test_links_that_lead_to_each_other_end(world: World) -> None:
    world.path("/srv/link").symlink_to("/srv/back")
    world.path("/srv/back").symlink_to("/srv/link")
    answers = ask(world, ("linked", "keys"), account="linked", paths=["keys"])
    assert answers == [refused("a folder above the home is a symbolic link", "keys")]


def test_a_folder_that_is_swapped_all_the_time_never_leads_elsewhere(world: World) -> None:
    """bob's keys lie where alice cannot write; a link that takes turns with her folder must never make them hers."""
    put(world, content="alice's own")
    theirs = put(world, "bob", content="bob's, readable", mode=0o644)
    for folder in (theirs.parent, theirs.parent.parent):
        folder.chmod(0o755)
    swap = ("import os\nos.symlink('/home/bob/.ssh', 'link')\nprint('ready', flush=True)\n"
            "while True:\n    for name in ('link', '.ssh'):\n"
            "        os.rename('.ssh', 'aside'); os.rename('link', '.ssh'); os.rename('aside', 'link')\n")
    with world.namespace.popen(["python3", "-c", f"import os\nos.chdir('/home/alice')\n{swap}"], user="alice",
                               stdout=-1) as swapping:
        assert swapping.stdout is not None
        swapping.stdout.readline()
        try:
            answers = ask(world, *[("alice", KEYS)] * 300)
        finally:
            swapping.kill()
    link = refused("a folder on the way to it is a symbolic link")
    replaced = refused("a folder on the way to it was replaced while it was opened")
    allowed = (["file", 11, "alice's own"], ["nothing"], link, replaced)
    assert [answer for answer in answers if answer not in allowed] == []
    assert ["file", 11, "alice's own"] in answers
    assert link in answers


# Owners and modes


@pytest.mark.parametrize("mode", [0o660, 0o664, 0o620, 0o602, 0o666])
@pytest.mark.parametrize(("place", "words"), [
    (KEYS, "the file"), (".ssh", "a folder on the way to it"), ("", "the home")])
def test_what_others_can_write_is_refused(world: World, place: str, words: str, mode: int) -> None:
    put(world)
    path = world.path("/home/alice") / place
    path.chmod(mode | 0o100 if path.is_dir() else mode)
    assert ask_alice(world) == refused(f"{words} can be written by its group or by others (chmod go-w)")


@pytest.mark.parametrize(("place", "words"), [
    (KEYS, "the file"), (".ssh", "a folder on the way to it"), ("", "the home")])
def test_what_belongs_to_somebody_else_is_refused(world: World, place: str, words: str) -> None:
    put(world, mode=0o644)
    path = world.path("/home/alice") / place
    for folder in (world.path("/home/alice"), world.path("/home/alice/.ssh")):
        folder.chmod(0o755)
    os.chown(path, 4002, 4002)
    assert ask_alice(world) == refused(f"{words} belongs to another account than this one and root")


def test_a_hard_link_to_the_file_of_somebody_else_is_refused(world: World) -> None:
    theirs = put(world, "bob", mode=0o644)
    path = put(world)
    path.unlink()
    os.link(theirs, path)
    assert ask_alice(world) == refused("the file belongs to another account than this one and root")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_home_below_a_folder_that_others_can_write_is_refused(world: World, mode: int) -> None:
    for name, above in (("open", "/srv/open"), ("temporary", "/srv/sticky")):
        make_home(world, name)
        put(world, name)
        world.path(above).chmod(mode)
        answers = ask(world, (name, KEYS), account=name)
        assert answers == [refused("a folder above the home can be written by its group or by others (chmod go-w)")]


def test_a_home_below_a_folder_of_somebody_else_is_refused(world: World) -> None:
    make_home(world, "open")
    put(world, "open")
    os.chown(world.path("/srv/open"), 4002, 4002)
    answers = ask(world, ("open", KEYS), account="open")
    assert answers == [refused("a folder above the home belongs to another account than this one and root")]


@pytest.mark.parametrize("mode", [0o000, 0o200])
def test_a_file_that_the_account_cannot_read_is_not_read_by_root(world: World, mode: int) -> None:
    path = put(world, mode=mode)
    os.chown(path, 0, 0)
    assert ask_alice(world) == failed("the account may not read the file")


def test_a_folder_that_the_account_cannot_enter_is_not_entered_by_root(world: World) -> None:
    put(world).parent.chmod(0o600)
    assert ask_alice(world) == failed("the account may not read the file")


def test_a_file_of_root_that_is_closed_is_not_read_through_a_hard_link(world: World) -> None:
    path = put(world)
    path.unlink()
    world.put("/home/secret", "only for root", mode=0o600)
    os.link(world.path("/home/secret"), path)
    assert ask_alice(world) == failed("the account may not read the file")


# Whose homes


NOT_ORDERED = "the account must not be read for this login"


def test_another_account_than_the_ordered_one_is_refused(world: World) -> None:
    put(world, "bob")
    assert ask(world, ("bob", KEYS)) == [refused(NOT_ORDERED)]


def test_the_account_may_be_ordered_by_number(world: World) -> None:
    put(world)
    put(world, "bob")
    answers = ask(world, ("alice", KEYS), ("bob", KEYS), account=None, uid=4001)
    assert answers == [["file", len(CONTENT), CONTENT], refused(NOT_ORDERED)]


def test_every_home_is_read_where_that_was_ordered_and_roots_is_not(world: World) -> None:
    for name in ("alice", "bob", "root", "hidden"):
        put(world, name, content=name)
    asked = [(name, KEYS) for name in ("alice", "bob", "root", "hidden")]
    answers = ask(world, *asked, account=None, everybody=True)
    assert answers == [["file", 5, "alice"], ["file", 3, "bob"], refused(NOT_ORDERED), refused(NOT_ORDERED)]


def test_root_is_read_where_root_is_allowed(world: World) -> None:
    put(world, "root")
    assert ask(world, ("root", KEYS), account="root") == [refused(NOT_ORDERED)]
    assert ask(world, ("root", KEYS), account="root", allow_root=True) == [["file", len(CONTENT), CONTENT]]


def test_an_order_that_names_nobody_reads_nobody(world: World) -> None:
    put(world)
    put(world, "root")
    asked = [("alice", KEYS), ("root", KEYS)]
    assert ask(world, *asked, account=None, allow_root=True) == [refused(NOT_ORDERED)] * 2


def test_a_caller_without_privilege_reads_its_own_home_and_no_other(world: World) -> None:
    put(world)
    put(world, "bob", mode=0o644)
    for folder in ("/home/bob", "/home/bob/.ssh"):
        world.path(folder).chmod(0o755)
    answers = ask(world, ("alice", KEYS), ("bob", KEYS), user="alice", account=None, everybody=True)
    assert answers == [["file", len(CONTENT), CONTENT], refused(NOT_ORDERED)]


# Its children


PROGRAM = f"""
import os, signal, socket, sys, time
from pam_sc.children import start_child
from pam_sc.errors import MapperError
from pam_sc.homes import HomeOrder, HomeReader

def read(reader):
    try:
        return len(reader.read("alice", {KEYS!r}))
    except MapperError as error:
        return str(error)

ours, theirs = socket.socketpair()
pid = start_child({worker_in()!r}, "homes", (theirs.fileno(),))
theirs.close()
end = [time.monotonic() + 20]
reader = HomeReader(ours, HomeOrder(paths=({KEYS!r},), account="alice"), lambda: end[0])
"""
STOP = """
stopper = os.fork()
while stopper == 0:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        for child in map(int, file.read().split()):
            try:
                os.kill(child, signal.SIGSTOP)
            except ProcessLookupError:
                pass
answers = []
while "reading it took too long" not in str(answers[-1:]):
    end[0] = time.monotonic() + 0.5
    answers.append(read(reader))
os.kill(stopper, signal.SIGKILL)
os.waitpid(stopper, 0)
end[0] = time.monotonic() + 20
print(answers[-1])
print(read(reader))
"""
KILL = """
print(read(reader))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print(read(reader))
print(read(reader))
"""


def run_program(world: World, program: str) -> list[str]:
    done = world.run([f"{PREFIX}/bin/python", "-P", "-c", PROGRAM + program])
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_reading_that_hangs_is_a_refusal_within_its_time_and_does_not_stop_the_next(world: World) -> None:
    """The process that reads for alice is stopped, as alice may do to it, and as a home on a dead server would."""
    put(world, content=b"x" * MIB)
    hung, read = run_program(world, STOP)
    assert (hung, read) == (failed("reading it took too long")[2], str(MIB))


def test_a_home_reader_that_is_killed_is_a_refusal(world: World) -> None:
    put(world)
    read, *errors = run_program(world, KILL)
    assert (read, len(errors)) == (str(len(CONTENT)), 2)
    assert all(error.startswith(f"cannot read {KEYS!r} in the home: the home reader is lost: ") for error in errors)


def test_a_file_that_its_owner_holds_with_a_lease_is_not_waited_for(world: World) -> None:
    path = put(world)
    held = os.open(path, os.O_RDWR)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # who holds a lease is told so when somebody wants the file
    try:
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert ask_alice(world) == failed("the file cannot be read")
    finally:
        os.close(held)
        signal.signal(signal.SIGIO, before)


IDENTITY = """
import re
stopped = {}
while not stopped:
    if os.fork() == 0:
        read(reader)
        os._exit(0)
    while "Uid" not in stopped:
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                child = int(file.read().split()[0])
            os.kill(child, signal.SIGSTOP)
            with open(f"/proc/{child}/status") as file:
                found = dict(line.split(":\\t", 1) for line in file.read().splitlines())
            if found["Uid"].split() == ["4001"] * 4 and found["NoNewPrivs"] == "1":
                owner = os.stat(f"/proc/{child}/mem").st_uid
                names = os.listdir(f"/proc/{child}/fd")
                print(*found["Uid"].split(), *found["Gid"].split(), "groups", *found["Groups"].split())
                print(*(found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")))
                print(owner, [os.readlink(f"/proc/{child}/fd/{name}").partition(":")[0] for name in names][3:])
                stopped = found
            os.kill(child, signal.SIGCONT)
        except (FileNotFoundError, IndexError, ProcessLookupError):
            pass
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                break
        except ChildProcessError:
            break
"""


def test_the_process_that_reads_is_the_account_and_nothing_more(world: World) -> None:
    """Its owner cannot look into it either: /proc shows what it holds as root's."""
    put(world, content=b"x" * MIB)
    ids, capabilities, rest = run_program(world, IDENTITY)
    assert ids == " ".join(["4001"] * 8 + ["groups", "4001"])
    assert set(capabilities.split()) == {"0" * 16}
    owner, held = rest.split(" ", 1)
    assert owner == "0"
    assert "'socket'" not in held
