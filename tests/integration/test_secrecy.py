# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the PIN is while a login runs, and where it is not: looked for by root in every process and file of the login.

A module that hangs in C_Login holds the moment still at which the PIN has been typed and sent. The control is the card
process: it must hold the PIN then, or the search could not find anything.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.card_worker import build_hostile_module
from tests.support.namespace import is_available
from tests.support.pam_world import World
from tests.support.rig import SERVICE, Rig

pytestmark = pytest.mark.root

PIN = "271828182845"
CHUNK = 1 << 14


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world with alice's card behind a module that never comes back from C_Login."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    folder = tmp_path_factory.mktemp("secrecy")
    built = build_hostile_module(folder)
    with World.create(folder / "world") as made:
        shutil.copy(built, made.path("/srv/hostile.so"))
        made.path("/srv/hostile.so").chmod(0o755)
        rig = Rig(made)
        rig.service(configuration(rig), "timeout=20", "debug")
        yield rig


def configuration(rig: Rig) -> str:
    """alice's card behind that module."""
    token = rig.setup.token("hangs", [rig.setup.authority.issue(key="p256")])
    environment = {"SOFTHSM2_CONF": token.configuration, "HOSTILE": "hang:C_Login", "HOSTILE_LOG": "/srv/login/calls"}
    rig.world.put("/srv/login/calls", "", owner="pam_sc_card")
    return rig.setup.configure("hangs", module="/srv/hostile.so", environment=environment)


def processes(world: World) -> dict[str, Path]:
    """The processes of the login, by role: the PAM application, the supervisor, the verifier, the card process."""
    namespace = Path(f"/proc/{world.namespace.pid}/ns/mnt").stat().st_ino
    found: dict[str, Path] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            if (process / "ns/mnt").stat().st_ino == namespace and words[0].endswith((b"pam_sc_worker", b"pamtester")):
                found["application" if words[0].endswith(b"pamtester") else (words[1:] or [b"supervisor"])[0].decode()] = process
    return found


def holds(process: Path, secret: bytes) -> bool:
    """Say whether the secret is anywhere in the memory of a process."""
    with (process / "maps").open() as maps, (process / "mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, permissions, *_rest = line.split()
            if "r" in permissions and "[v" not in line:
                start, end = (int(number, 16) for number in span.split("-"))
                if _span_holds(memory, start, end, secret):
                    return True
    return False


def _span_holds(memory: object, start: int, end: int, secret: bytes) -> bool:
    before = b""
    for at in range(start, end, CHUNK):
        try:
            memory.seek(at)  # type: ignore[attr-defined]
            data = before + memory.read(min(CHUNK, end - at))  # type: ignore[attr-defined]
        except OSError:  # a page that cannot be read; the next may
            before = b""
            continue
        if secret in data:
            return True
        before = data[-len(secret) :]
    return False


def wait_until(holds_now: object) -> None:
    """Wait for an event that has no descriptor."""
    deadline = time.monotonic() + 15
    while not holds_now():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_the_pin_is_in_the_card_process_and_nowhere_else(rig: Rig) -> None:
    world = rig.world
    command = ["pamtester", SERVICE, "alice", "authenticate"]
    calls = world.path("/srv/login/calls")
    with world.namespace.popen(command, stdin=-1, stdout=-1, stderr=-1) as host:
        assert host.stdin is not None
        host.stdin.write(f"{PIN}\n")
        host.stdin.flush()
        wait_until(lambda: "C_Login" in calls.read_text())
        found = processes(world)
        assert set(found) == {"application", "supervisor", "verifier", "card"}
        assert holds(found["card"], PIN.encode())
        assert not holds(found["verifier"], PIN.encode())
        assert not holds(found["supervisor"], PIN.encode())
        for process in found.values():
            assert PIN.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        for role in ("supervisor", "verifier", "card"):
            limits = (found[role] / "limits").read_text()
            assert "Max core file size        0                    0" in limits
        host.kill()
    assert not any(PIN in line.text for line in world.logged())


def test_the_processes_of_a_login_have_given_up_root(rig: Rig) -> None:
    world = rig.world
    with world.namespace.popen(["pamtester", SERVICE, "alice", "authenticate"], stdin=-1, stdout=-1, stderr=-1) as host:
        assert host.stderr is not None
        host.stderr.read(3)  # the prompt: both processes are at work
        found = processes(world)
        for role, account in (("verifier", "pam_sc"), ("card", "pam_sc_card")):
            status = dict(line.split(":\t", 1) for line in (found[role] / "status").read_text().splitlines() if ":\t" in line)
            uid = str(world.account(account).uid)
            assert status["Uid"].split() == [uid] * 4
            assert status["Groups"].split() == [uid]
            assert (status["NoNewPrivs"], status["Seccomp"], status["CapEff"].strip("0")) == ("1", "2", "")
        host.kill()
