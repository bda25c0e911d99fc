# SPDX-License-Identifier: LGPL-2.1-or-later
"""Screen lockers, really started as the account of a session: what is seen of them, and that nothing more is claimed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support.namespace import is_available
from tests.support.pam_world import HARNESS, World
from tests.support.screens import Screen, wayland_screen, x_screen

pytestmark = pytest.mark.root

DRIVER = ["/opt/pam_sc/bin/python3", "-I", f"{HARNESS}/tests/support/acting_driver.py"]
XSCREENSAVER_FILE = "mode: blank\nfade: False\nunfade: False\nlock: True\nsplash: False\n"
END_S = 10


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    """A world whose lockers let everybody in who presses Return."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path / "world") as world:
        for name in ("i3lock", "swaylock", "xscreensaver", "vlock"):
            world.pam_service(name, ["required pam_permit.so"])
        world.put("/home/alice/.xscreensaver", XSCREENSAVER_FILE, owner="alice")
        yield world
        for user, name in (("alice", ""), ("root", "vlock-main")):  # vlock is setuid: it is nobody's in /proc but root's
            for pid in of_this(world, user, name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await_true(lambda: not of_this(world, "alice") and not of_this(world, "root", "vlock-main"))


def of_this(world: World, user: str, name: str = "") -> list[int]:
    """The processes of an account in this world, by name if one is given."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = process.stat().st_uid == world.account(user).uid
            if not mine or not (process / "root/etc").samefile(world.folder / "etc"):
                continue
            if name in ("", (process / "comm").read_text().strip()) and state(int(process.name)) != "Z":
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def state(pid: int) -> str:
    """The state of a process; Z for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def await_true(what: Callable[[], object]) -> None:
    """Look until it is so: processes of others tell nobody when they change."""
    deadline = time.monotonic() + END_S
    while not what():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def lock(world: World, *arguments: str, screen: Screen | None = None, times: int = 1, **order: Any) -> list[dict[str, Any]]:
    """Start a locker as alice with the driver, so many times; what each came to."""
    text = json.dumps({"do": "lock", "arguments": arguments, "times": times, **order})
    ran = world.run([*DRIVER, text], user="alice", env=screen.environment if screen else {}, input="\n" * times)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def outcomes(results: list[dict[str, Any]]) -> list[str]:
    return [result.get("outcome") or result["error"] for result in results]


def test_i3lock_is_seen_to_lock_and_outlives_who_started_it(made: World, tmp_path: Path) -> None:
    with x_screen(made, tmp_path / "xvfb") as screen:
        results = lock(made, "i3lock", screen=screen, times=2)
        assert outcomes(results) == ["locked", "locked"]
        assert [result["detail"] for result in results] == [
            "i3lock: ended with status 0 and goes on in the background", "i3lock: what locked before still runs"]
        assert of_this(made, "alice", "i3lock")
        screen.type("x", "Return")
        await_true(lambda: not of_this(made, "alice", "i3lock"))


def test_a_screen_that_was_opened_is_locked_again(made: World, tmp_path: Path) -> None:
    with x_screen(made, tmp_path / "xvfb") as screen:
        assert outcomes(lock(made, "i3lock", screen=screen)) == ["locked"]
        first = of_this(made, "alice", "i3lock")
        screen.type("x", "Return")
        await_true(lambda: not of_this(made, "alice", "i3lock"))
        assert outcomes(lock(made, "i3lock", screen=screen)) == ["locked"]
        assert not set(of_this(made, "alice", "i3lock")) & set(first)


def test_a_locker_that_an_earlier_monitor_started_is_not_claimed_to_have_locked(made: World, tmp_path: Path) -> None:
    with x_screen(made, tmp_path / "xvfb") as screen:
        assert outcomes(lock(made, "i3lock", screen=screen)) == ["locked"]
        before = of_this(made, "alice", "i3lock")
        assert outcomes(lock(made, "i3lock", screen=screen)) == ["started"]
        assert of_this(made, "alice", "i3lock") == before


def test_i3lock_without_a_screen_has_failed(made: World) -> None:
    (result,) = lock(made, "i3lock")
    assert result["outcome"] == "failed"


def test_i3lock_that_stays_is_started_and_no_more(made: World, tmp_path: Path) -> None:
    with x_screen(made, tmp_path / "xvfb") as screen:
        assert outcomes(lock(made, "i3lock", "-n", screen=screen, within_s=1.0)) == ["started"]
        assert of_this(made, "alice", "i3lock")


def test_swaylock_is_seen_to_lock(made: World) -> None:
    with wayland_screen(made) as screen:
        assert outcomes(lock(made, "swaylock", "-f", screen=screen, type="wayland", times=2)) == ["locked", "locked"]
        assert of_this(made, "alice", "swaylock")
        screen.type("x", "Return")
        await_true(lambda: not of_this(made, "alice", "swaylock"))


def test_swaylock_without_a_compositor_has_failed(made: World) -> None:
    assert outcomes(lock(made, "swaylock", "-f", type="wayland")) == ["failed"]


def test_xscreensaver_is_seen_to_lock_by_what_it_says(made: World, tmp_path: Path) -> None:
    with x_screen(made, tmp_path / "xvfb") as screen:
        daemon = made.spawn(["xscreensaver", "--no-splash", "--verbose"], user="alice", env=screen.environment, timeout=20)
        daemon.expect("xscreensaver-auth exited normally")
        (result,) = lock(made, "xscreensaver-command", "-lock", screen=screen)
        assert result == {"outcome": "locked", "detail": "xscreensaver-command: xscreensaver-command says so"}


def test_xscreensaver_that_does_not_run_has_not_locked(made: World, tmp_path: Path) -> None:
    with x_screen(made, tmp_path / "xvfb") as screen:
        assert outcomes(lock(made, "xscreensaver-command", "-lock", screen=screen, within_s=1.0)) == ["failed"]


@pytest.mark.parametrize(("text", "expected"), [
    ("exit 0", "not-seen"), ("exit 1", "failed"), ("kill -9 $$", "failed"), ("exec sleep 1000", "started"),
])
def test_a_program_under_the_name_of_a_locker_is_not_believed_for_its_status_alone(
    made: World, text: str, expected: str
) -> None:
    path = made.put("/srv/swaylock", f"#!/bin/sh\n{text}\n", mode=0o755)
    assert outcomes(lock(made, path, "-f", within_s=1.0)) == [expected]


def test_a_locker_that_is_missing_cannot_be_started(made: World) -> None:
    assert "there is no such program" in outcomes(lock(made, "no-such-locker"))[0]


BESIDE = "setpriv --reuid=bob --regid=bob --clear-groups sleep 1000 &"
"""A program of another account on the same terminal, as su and sudo leave one."""


def shell_on_a_terminal(world: World, beside: str = "") -> tuple[pexpect.spawn[str], str]:
    """A shell of alice's on a terminal of its own, and the terminal's name without /dev/."""
    become = "exec setpriv --reuid=alice --regid=alice --init-groups bash --norc --noprofile -i"
    shell = world.spawn(["sh", "-c", f"{beside} {become}"], timeout=20, env={"PS1": "ready> ", "HOME": "/home/alice"})
    shell.expect("ready> ")
    shell.sendline("tty")
    shell.expect(r"/dev/(pts/\d+)\r")
    terminal = shell.match[1]
    os.chown(f"/dev/{terminal}", world.account("alice").uid, -1)  # as login does
    shell.expect("ready> ")
    return shell, terminal


def cut(shell: pexpect.spawn[str]) -> None:
    """Close the other end of the terminal, as when a line is cut."""
    with open(os.devnull, "rb+") as nothing:
        os.dup2(nothing.fileno(), shell.child_fd)


def test_vlock_is_alone_with_its_terminal_and_gives_it_back(made: World) -> None:
    shell, terminal = shell_on_a_terminal(made)
    shell.sendline("sleep 1000 &")
    shell.expect("ready> ")
    (result,) = lock(made, "vlock", do="console", type="tty", tty=terminal)
    assert result == {"outcome": "locked", "detail": "vlock: reads the terminal, and all else on it is stopped"}
    (bash,), (sleep,) = of_this(made, "alice", "bash"), of_this(made, "alice", "sleep")
    assert (state(bash), state(sleep)) == ("T", "T")
    shell.send("\x03\x1a\x1c")
    shell.sendline("")
    shell.expect("to unlock|assword|vlock")
    await_true(lambda: state(bash) != "T")
    assert state(sleep) != "T"
    shell.sendline("echo back $((40 + 2))")
    shell.expect("back 42")


def test_a_console_locker_that_dies_is_started_again_and_the_terminal_stays_held(made: World) -> None:
    shell, terminal = shell_on_a_terminal(made)
    assert outcomes(lock(made, "vlock", do="console", type="tty", tty=terminal)) == ["locked"]
    (bash,) = of_this(made, "alice", "bash")
    before = of_this(made, "root", "vlock-main")
    assert len(before) == 1
    os.kill(before[0], signal.SIGKILL)
    await_true(lambda: of_this(made, "root", "vlock-main") not in ([], before))
    assert state(bash) == "T"
    shell.close(force=True)


def test_with_the_session_its_console_locker_ends(made: World) -> None:
    shell, terminal = shell_on_a_terminal(made)
    assert outcomes(lock(made, "vlock", do="console", type="tty", tty=terminal)) == ["locked"]
    (bash,) = of_this(made, "alice", "bash")
    os.kill(bash, signal.SIGKILL)
    await_true(lambda: not of_this(made, "root", "vlock-main") and not of_this(made, "alice"))
    shell.close(force=True)


def test_with_its_terminal_a_console_locker_ends_although_the_session_goes_on(made: World) -> None:
    """vlock reads the end of a terminal that was hung up as a wrong password, for ever and without a pause."""
    made.pam_service("vlock", ["required pam_deny.so"])
    shell, terminal = shell_on_a_terminal(made)
    shell.sendline("trap '' HUP; exec sleep 1000")
    await_true(lambda: of_this(made, "alice", "sleep"))
    assert outcomes(lock(made, "vlock", do="console", type="tty", tty=terminal)) == ["locked"]
    assert len(of_this(made, "root", "vlock-main")) == 1
    cut(shell)
    await_true(lambda: of_this(made, "alice") == of_this(made, "alice", "sleep"))
    assert not of_this(made, "root", "vlock-main")


def test_a_locker_that_a_script_has_started_ends_with_the_terminal(made: World) -> None:
    made.put("/home/alice/locks", "#!/bin/sh\nstty -isig -echo\nsleep 1000\n", mode=0o755)
    shell, terminal = shell_on_a_terminal(made)
    shell.sendline("trap '' HUP")
    shell.expect("ready> ")
    assert outcomes(lock(made, "/home/alice/locks", do="console", type="tty", tty=terminal)) == ["locked"]
    assert of_this(made, "alice", "sleep")
    cut(shell)
    await_true(lambda: not of_this(made, "alice", "sleep"))


def test_a_shell_that_a_killed_holder_left_stopped_goes_on_after_the_next_lock(made: World) -> None:
    shell, terminal = shell_on_a_terminal(made)
    assert outcomes(lock(made, "vlock", do="console", type="tty", tty=terminal)) == ["locked"]
    (bash,) = of_this(made, "alice", "bash")
    for pid in set(of_this(made, "alice")) - {bash}:
        os.kill(pid, signal.SIGKILL)
    for pid in of_this(made, "root", "vlock-main"):
        os.kill(pid, signal.SIGKILL)
    assert state(bash) == "T"
    assert outcomes(lock(made, "vlock", do="console", type="tty", tty=terminal)) == ["locked"]
    shell.sendline("")
    await_true(lambda: state(bash) != "T")


def test_a_console_locker_that_cannot_run_lets_the_terminal_go_and_has_failed(made: World) -> None:
    shell, terminal = shell_on_a_terminal(made)
    assert outcomes(lock(made, "false", do="console", type="tty", tty=terminal)) == ["failed"]
    shell.sendline("echo back $((40 + 2))")
    shell.expect("back 42")


def test_a_console_that_another_accounts_program_reads_is_not_locked(made: World) -> None:
    shell, terminal = shell_on_a_terminal(made, BESIDE)
    (result,) = lock(made, "vlock", do="console", type="tty", tty=terminal)
    assert result["outcome"] == "failed"
    assert "another account" in result["detail"]
    shell.sendline("echo back $((40 + 2))")
    shell.expect("back 42")
    for pid in of_this(made, "bob"):
        os.kill(pid, signal.SIGKILL)


def test_a_terminal_that_is_not_there_cannot_be_locked(made: World) -> None:
    assert "no such device" in outcomes(lock(made, "vlock", do="console", type="tty", tty="tty999"))[0]
