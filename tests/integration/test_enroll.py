# SPDX-License-Identifier: LGPL-2.1-or-later
"""enroll, unenroll and find-user as an administrator runs them, with a software card; and a login that follows."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import PAM_SC
from tests.support.namespace import is_available
from tests.support.pam_world import World
from tests.support.pki import DAY, now
from tests.support.rig import Rig, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

MAP = "/etc/pam_sc/cn_map"
BEFORE = "# people\r\nCarol Example -> carol\r\n"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for all."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("enroll") / "world") as world:
        yield Rig(world)


@pytest.fixture(scope="module")
def cards(rig: Rig) -> dict[str, str]:
    """Configurations with the mapfile, each with a card: alice's, bob's, one with several certificates, an empty one."""
    authority = rig.setup.authority
    more = f'mapfile = "{MAP}"'
    return {
        "alice": rig.setup.card("alice", [authority.issue(common_name="Alice Example")], more=more),
        "bob": rig.setup.card("bob", [authority.issue(common_name="Bob Example", key="p256")], more=more),
        "both": rig.setup.card(
            "both",
            [
                authority.issue(common_name="Alice Second", key="p256"),
                authority.issue(common_name="Bob Second", key="p256"),
                authority.issue(common_name="Alice Old", key="p256", not_after=now() - DAY),
            ],
            more=more,
        ),
        "empty": rig.setup.card("empty", [], more=more),
    }


@pytest.fixture(autouse=True)
def mapfile(rig: Rig) -> Path:
    """The mapfile as it is before each test, outside of the world."""
    rig.world.put(MAP, BEFORE, mode=0o644)
    return rig.world.path(MAP)


def pam_sc(rig: Rig, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    return rig.world.run([*PAM_SC, *arguments], user=user)


def started(rig: Rig, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(rig.world.namespace.enter([*PAM_SC, *arguments]), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def test_a_card_that_is_enrolled_logs_in_and_one_that_is_taken_out_does_not(
    rig: Rig, cards: dict[str, str], mapfile: Path
) -> None:
    config = cards["alice"]
    assert reason(rig.login(config)) == "not-mapped"
    assert pam_sc(rig, "find-user", "--config", config).returncode == 1
    done = pam_sc(rig, "enroll", "alice", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert mapfile.read_bytes() == BEFORE.encode() + b"Alice Example -> alice\r\n"
    assert rig.login(config).code == 0
    found = pam_sc(rig, "find-user", "--config", config)
    assert (found.returncode, found.stdout, found.stderr) == (0, "alice\n", "")
    again = pam_sc(rig, "enroll", "alice", "--config", config)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "already enrolled" in again.stderr
    other = pam_sc(rig, "enroll", "bob", "--config", config)
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)
    assert "another account, 'alice'" in other.stderr
    assert pam_sc(rig, "unenroll", "alice", "--config", config).returncode == 0
    assert mapfile.read_bytes() == BEFORE.encode()
    assert reason(rig.login(config)) == "not-mapped"


def test_a_card_with_several_certificates_needs_a_choice(rig: Rig, cards: dict[str, str], mapfile: Path) -> None:
    config = cards["both"]
    done = pam_sc(rig, "enroll", "alice", "--config", config)
    assert done.returncode == 1
    assert "2 certificates could be enrolled" in done.stderr
    assert "certificate-expired" in done.stdout
    assert mapfile.read_bytes() == BEFORE.encode()
    assert pam_sc(rig, "enroll", "alice", "--id", "01", "--config", config).returncode == 0
    assert pam_sc(rig, "enroll", "bob", "--id", "02", "--config", config).returncode == 0
    two = pam_sc(rig, "find-user", "--config", config)
    assert (two.returncode, two.stdout, two.stderr) == (1, "", "pam-sc: mapped-to-several: 2 accounts\n")
    explained = pam_sc(rig, "explain", "--config", config).stdout
    assert "maps to alice" in explained
    assert "maps to bob" in explained
    refused = rig.login(config, account=None, name="login")
    assert reason(refused) == "mapped-to-several"
    assert not any("alice" in line or "bob" in line for line in refused.log if "detail" not in line)


def test_no_card_and_no_certificate_have_their_own_exit_code(rig: Rig, cards: dict[str, str]) -> None:
    found = pam_sc(rig, "find-user", "--config", cards["empty"])
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (3, "", 1)
    assert found.stderr.startswith("pam-sc: no-certificate")
    assert pam_sc(rig, "find-user", "--config", "/etc/pam_sc/none.toml").returncode == 2


def test_two_at_once_both_stand_in_the_mapfile(rig: Rig, cards: dict[str, str], mapfile: Path) -> None:
    running = [started(rig, "enroll", name, "--config", cards[name]) for name in ("alice", "bob")]
    for process in running:
        _out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    lines = mapfile.read_bytes().removeprefix(BEFORE.encode()).splitlines()
    assert sorted(lines) == [b"Alice Example -> alice", b"Bob Example -> bob"]


def test_killed_at_any_moment_the_mapfile_is_the_old_or_the_new_one(
    rig: Rig, cards: dict[str, str], mapfile: Path
) -> None:
    whole = {BEFORE.encode(), BEFORE.encode() + b"Alice Example -> alice\r\n"}
    began = time.monotonic()
    assert pam_sc(rig, "enroll", "alice", "--config", cards["alice"]).returncode == 0
    took = time.monotonic() - began
    for part in range(1, 12):
        rig.world.put(MAP, BEFORE)
        process = started(rig, "enroll", "alice", "--config", cards["alice"])
        try:
            process.wait(took * (0.6 + part / 25))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert mapfile.read_bytes() in whole
    rig.world.put(MAP, BEFORE)
    assert pam_sc(rig, "enroll", "alice", "--config", cards["alice"]).returncode == 0
    assert sorted(each.name for each in mapfile.parent.iterdir() if "cn_map" in each.name) == [".cn_map.lock", "cn_map"]


@pytest.mark.parametrize("arguments", [("enroll", "alice"), ("unenroll", "carol", "--all")])
def test_who_may_not_write_is_told_in_one_line(
    rig: Rig, cards: dict[str, str], mapfile: Path, arguments: tuple[str, ...]
) -> None:
    done = pam_sc(rig, *arguments, "--config", cards["alice"], user="alice")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"pam-sc: cannot change mapfile '{MAP}': Permission denied; run it as root\n"
    assert mapfile.read_bytes() == BEFORE.encode()


def with_mapfile(rig: Rig, name: str, place: str) -> str:
    """Alice's card with a mapfile elsewhere."""
    config = rig.world.path("/srv/login/alice.toml").read_text().replace(MAP, place)
    return rig.world.put(f"/srv/login/{name}.toml", config)


def on_a_tmpfs(rig: Rig, options: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script where /srv/small is a file system of its own."""
    rig.world.path("/srv/small").mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o {options},mode=755 none /srv/small && cd /srv/small && {script}"
    return rig.world.run(["unshare", "-m", "sh", "-c", mount])


def command(config: str, *arguments: str) -> str:
    return " ".join([PAM_SC[0], "-I", "-c", "'from pam_sc.cli.main import main; main()'", *arguments, "--config", config])


def test_a_full_disk_leaves_the_old_mapfile(rig: Rig, cards: dict[str, str]) -> None:
    assert cards
    config = with_mapfile(rig, "full", "/srv/small/map")
    fill = "head -c 40960 /dev/zero | tr '\\0' '#' > map; echo >> map; dd if=/dev/zero of=filler bs=4096 2>/dev/null;"
    done = on_a_tmpfs(rig, "size=64k", f"{fill} cksum map; {command(config, 'enroll', 'alice')}; echo $?; cksum map; ls -A")
    before, code, after, *names = done.stdout.splitlines()
    assert code == "2"
    assert before == after
    assert done.stderr == "pam-sc: cannot change mapfile '/srv/small/map': No space left on device\n"
    assert sorted(names) == [".map.lock", "filler", "map"]


def test_a_read_only_file_system_is_said_in_one_line(rig: Rig, cards: dict[str, str]) -> None:
    assert cards
    config = with_mapfile(rig, "readonly", "/srv/small/map")
    script = f": > map; mount -o remount,ro /srv/small; {command(config, 'enroll', 'alice')}"
    done = on_a_tmpfs(rig, "size=64k", script)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pam-sc: cannot change mapfile '/srv/small/map': Read-only file system\n"


def test_a_certificate_in_a_file_is_judged_as_one_on_a_card(rig: Rig, cards: dict[str, str], mapfile: Path) -> None:
    good, old = (rig.setup.authority.issue(common_name="Filed", key="p256", not_after=now() + days * DAY)
                 for days in (1, -1))  # fmt: skip
    rig.world.put("/srv/good.pem", good.pem)
    rig.world.put("/srv/old.pem", old.pem)
    for name, code, line in (("old", 1, b""), ("good", 0, b"Filed -> bob\r\n")):
        done = pam_sc(rig, "enroll", "bob", "--certificate", f"/srv/{name}.pem", "--config", cards["alice"])
        assert done.returncode == code, done.stderr
        assert ("certificate-expired" in done.stdout) == (name == "old")
        assert mapfile.read_bytes() == BEFORE.encode() + line


def test_explain_asks_for_nothing_and_says_the_same_with_the_pin(rig: Rig, cards: dict[str, str]) -> None:
    pam_sc(rig, "enroll", "alice", "--config", cards["alice"])
    done = pam_sc(rig, "explain", "alice", "--config", cards["alice"], "--json")
    found: Any = json.loads(done.stdout)
    assert (found["verdict"], found["step"]) == ("stopped", 9)
    child = rig.world.spawn([*PAM_SC, "explain", "alice", "--pin", "--config", cards["alice"]])
    child.expect_exact("PIN for login: ")
    child.sendline(PIN)
    child.expect_exact("granted: alice")
