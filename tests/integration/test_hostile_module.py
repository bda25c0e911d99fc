# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 module that attacks, in whole logins through libpam: as root, from a setuid program, as an ordinary user.

The card carries the victim's certificate with another key, so every success would be a forged verdict. The host must
live, the login must end in time, nothing may be left running, and the reason is asserted.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import rig as codes
from tests.support.card_worker import build_hostile_module
from tests.support.namespace import is_available
from tests.support.pam_host import Login, Outcome
from tests.support.pam_world import World
from tests.support.pki import fresh_key
from tests.support.rig import INSIDE, PROGRAM, SERVICE, Rig, prompts, reason
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

BEFORE_PIN = (
    "C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetMechanismInfo",
    "C_OpenSession", "C_FindObjectsInit", "C_FindObjects", "C_GetAttributeValue", "C_FindObjectsFinal",
    "C_CloseSession", "C_WaitForSlotEvent",
)
AFTER_PIN = ("C_Login", "C_SignInit", "C_Sign")
STOPPED = ("kill-parent", "ptrace", "fork", "exec", "print")
"""Attacks that the filter stops, or that reach nobody: the login goes on and ends as it would have without them."""
DISTURBING = ("exit", "abort", "write-all-fds", "close-fds", "steal-fds")


@dataclass
class Site:
    """The rig, and a hostile module in it that wraps a good token of alice's or a thief's."""

    rig: Rig
    module: str
    count: int = 0

    def configure(self, faults: str, *, victim: bool = True, owner: str = "pam_sc_card", extra: str = "") -> str:
        """A configuration whose module has these faults; the token's key is not the certificate's, or (not victim) is."""
        self.count += 1
        name = f"hostile-{self.count}"
        account = self.rig.world.account(owner)
        self.rig.setup.card_owner = (account.uid, account.gid)
        issued = self.rig.setup.authority.issue(key="p256")
        token = self.rig.setup.token(name, [Entry(issued, key=fresh_key("p256") if victim else "own")])
        self.rig.world.put(self.log_path(), "", owner=owner)
        environment = {
            "SOFTHSM2_CONF": token.configuration, "HOSTILE": faults, "HOSTILE_LOG": self.log_path(),
        }
        return self.rig.setup.configure(name, module=self.module, environment=environment, top=extra)

    def log_path(self) -> str:
        """Where the module of the configuration made last writes its calls."""
        return f"{INSIDE}/calls-{self.count}"

    def calls(self, function: str) -> int:
        """How often that module was called in this function."""
        lines = self.rig.world.path(self.log_path()).read_text().splitlines()
        return sum(line.split()[0] == function for line in lines)

    @staticmethod
    def role(pid: str) -> str:
        """What a worker was started as: "verifier", "card", or "" for the supervisor."""
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[1].decode()

    def left_running(self) -> list[str]:
        """The workers that still run in this world."""
        namespace = os.stat(f"/proc/{self.rig.world.namespace.pid}/ns/mnt").st_ino
        return [path.name for path in Path("/proc").glob("[0-9]*") if _is_worker_in(path, namespace)]


def _is_worker_in(process: Path, namespace: int) -> bool:
    try:
        inside = (process / "ns/mnt").stat().st_ino == namespace
        return inside and b"pam_sc_worker" in (process / "cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One world; each test configures its own token and faults."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    folder = tmp_path_factory.mktemp("hostile")
    built = build_hostile_module(folder)
    with World.create(folder / "world") as world:
        inside = "/srv/hostile.so"
        shutil.copy(built, world.path(inside))
        world.path(inside).chmod(0o755)
        yield Site(Rig(world), inside)


def attempt(site: Site, config: str, *arguments: str, caller: str | None = None) -> Outcome:
    """Log in as alice; require that it ends in time and that nothing is left."""
    started = time.monotonic()
    outcome = site.rig.login(config, *arguments, caller=caller)
    assert time.monotonic() - started < 15
    assert site.left_running() == []
    return outcome


def test_without_a_fault_only_the_signature_gives_the_thief_away(site: Site) -> None:
    outcome = attempt(site, site.configure(""))
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "signature-invalid")


def test_without_a_fault_the_owner_is_granted(site: Site) -> None:
    assert attempt(site, site.configure("", victim=False)).code == codes.SUCCESS


@pytest.mark.parametrize("function", BEFORE_PIN)
def test_a_crash_before_the_pin_is_unavailable_and_asks_for_nothing(site: Site, function: str) -> None:
    outcome = attempt(site, site.configure(f"crash:{function}"))
    assert (outcome.code, reason(outcome)) == (codes.AUTHINFO_UNAVAIL, "card-process-lost")
    assert prompts(outcome) == ()


@pytest.mark.parametrize("function", AFTER_PIN)
def test_a_crash_after_the_pin_is_a_refusal(site: Site, function: str) -> None:
    outcome = attempt(site, site.configure(f"crash:{function}"))
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "card-process-lost-after-pin")


def test_with_a_required_card_a_crash_is_never_unavailable(site: Site) -> None:
    outcome = attempt(site, site.configure("crash:C_GetSlotList", extra='card = "required"'))
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "card-process-lost")


@pytest.mark.parametrize(
    ("function", "code", "why"),
    [
        ("C_GetSlotList", codes.AUTHINFO_UNAVAIL, "card-timeout"),
        ("C_GetAttributeValue", codes.AUTHINFO_UNAVAIL, "card-timeout"),
        ("C_Login", codes.AUTH_ERR, "card-timeout-after-pin"),
        ("C_Sign", codes.AUTH_ERR, "card-timeout-after-pin"),
    ],
)
@pytest.mark.parametrize("how", ["hang", "spin"])
def test_a_module_that_never_returns_ends_at_the_deadline(
    site: Site, how: str, function: str, code: int, why: str
) -> None:
    outcome = attempt(site, site.configure(f"{how}:{function}"), "timeout=2")
    assert (outcome.code, reason(outcome)) == (code, why)
    assert outcome.seconds < 10


def test_a_verifier_that_starts_slowly_still_ends_before_the_shim_does(site: Site) -> None:
    """The shim counts from its own start, and knows nothing of `card = "required"`."""
    config = site.configure("hang:C_GetSlotList", extra='card = "required"')
    site.rig.service(config, "timeout=4")
    command = ["pamtester", SERVICE, "alice", "authenticate"]
    with site.rig.world.namespace.popen(command, stdin=-1, stdout=-1, stderr=-1) as host:
        verifier = None
        while verifier is None:
            verifier = next((pid for pid in site.left_running() if site.role(pid) == "verifier"), None)
        os.kill(int(verifier), signal.SIGSTOP)
        time.sleep(2)
        os.kill(int(verifier), signal.SIGCONT)
        assert "Authentication failure" in host.communicate()[1]


def test_stopping_a_setuid_host_does_not_make_a_required_card_unavailable(site: Site) -> None:
    """Whoever started it may stop it, and let it go on when every limit is over."""
    config = site.configure("hang:C_GetSlotList", extra='card = "required"')
    site.rig.service(config, "timeout=2", name="su", control="[success=done authinfo_unavail=ignore default=die]")
    command = ["su", "alice", "-c", "echo GRANTED"]
    with site.rig.world.namespace.popen(command, user="bob", stdin=-1, stdout=-1, stderr=-1) as host:
        while not site.calls("C_Initialize") and host.poll() is None:
            os.sched_yield()
        assert Path(f"/proc/{host.pid}/comm").read_text() == "su\n"
        host.send_signal(signal.SIGSTOP)
        time.sleep(3)
        host.send_signal(signal.SIGCONT)
        said, complaints = host.communicate()
        assert ("GRANTED" in said, "Authentication failure" in complaints) == (False, True)


@pytest.mark.parametrize("caller", [None, "alice"], ids=["root", "ordinary user"])
@pytest.mark.parametrize("function", ["C_GetSlotList", "C_Sign"])
@pytest.mark.parametrize("how", STOPPED)
def test_what_the_filter_stops_changes_nothing(site: Site, how: str, function: str, caller: str | None) -> None:
    owner = caller or "pam_sc_card"
    outcome = attempt(site, site.configure(f"{how}:{function}", owner=owner), caller=caller)
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "signature-invalid")
    assert site.calls("fork-worked") + site.calls("ptrace-worked") == 0


@pytest.mark.parametrize("caller", [None, "alice"], ids=["root", "ordinary user"])
@pytest.mark.parametrize("function", ["C_GetSlotList", "C_Sign"])
@pytest.mark.parametrize("how", DISTURBING)
def test_what_disturbs_the_card_process_is_never_a_login(
    site: Site, how: str, function: str, caller: str | None
) -> None:
    owner = caller or "pam_sc_card"
    outcome = attempt(site, site.configure(f"{how}:{function}", owner=owner), "timeout=3", caller=caller)
    assert outcome.code in (codes.AUTH_ERR, codes.AUTHINFO_UNAVAIL)
    allowed = {"card-process-lost", "card-timeout"} if function == "C_GetSlotList" else {
        "card-process-lost-after-pin", "card-timeout-after-pin"}
    assert reason(outcome) in allowed | {"signature-invalid"}


@pytest.mark.parametrize("how", ["crash", "exit", "kill-parent", "ptrace", "write-all-fds", "hang"])
def test_a_setuid_host_lives_and_refuses(site: Site, how: str) -> None:
    config = site.configure(f"{how}:C_Sign")
    site.rig.service(config, "timeout=3", name="su")
    result = site.rig.world.run(["su", "alice", "-c", "echo GRANTED"], user="bob", input=f"{PIN}\n")
    assert result.returncode == 1  # su itself says so: it was not killed
    assert "GRANTED" not in result.stdout
    assert site.left_running() == []


@pytest.mark.parametrize(
    ("swap", "why", "code"),
    [
        ("serial", "token-changed", codes.AUTH_ERR),
        ("certificate", "token-changed", codes.AUTH_ERR),
        ("event", "token-changed", codes.AUTH_ERR),
        ("gone", "token-removed", codes.AUTHINFO_UNAVAIL),
    ],
)
def test_a_card_exchanged_between_reading_and_pin_never_sees_the_pin(
    site: Site, swap: str, why: str, code: int
) -> None:
    outcome = attempt(site, site.configure(f"swap:{swap}", victim=False))
    assert (outcome.code, reason(outcome)) == (code, why)
    assert site.calls("C_Login") == 0


@pytest.mark.parametrize("fault", ["sig:zero", "sig-len:0", "sig-len:1", "sig-len:63", "sig-len:65", "sig-len:512"])
def test_a_signature_of_nothing_is_no_signature(site: Site, fault: str) -> None:
    outcome = attempt(site, site.configure(fault))
    assert outcome.code == codes.AUTH_ERR
    assert reason(outcome) in {"signature-invalid", "signing-failed"}


@pytest.mark.parametrize("fault", ["sig-len:65536", "sig-len:4294967296", "sig-len:18446744073709551615"])
def test_an_absurd_signature_length_is_refused_and_the_host_lives(site: Site, fault: str) -> None:
    outcome = attempt(site, site.configure(fault))
    assert outcome.code == codes.AUTH_ERR
    assert reason(outcome) in {"signature-invalid", "signing-failed", "card-process-lost-after-pin"}


def test_already_logged_in_is_never_an_answer_to_a_wrong_pin(site: Site) -> None:
    config = site.configure("already-logged-in", victim=False)
    site.rig.service(config)
    wrong = Login(service=SERVICE, user="alice", answers=["999999"], confdir="/etc/pam.d").run(
        lambda argv, text: site.rig.world.run(argv, input=text), program=PROGRAM
    )
    assert (wrong.code, reason(wrong)) == (codes.AUTH_ERR, "pin-wrong-few-left")


def test_the_module_sees_no_variable_that_is_not_configured(site: Site) -> None:
    attempt(site, site.configure("environment"))
    lines = site.rig.world.path(site.log_path()).read_text().splitlines()
    seen = {line.split()[0].removeprefix("variable=") for line in lines if line.startswith("variable=")}
    assert seen == {"SOFTHSM2_CONF", "HOSTILE", "HOSTILE_LOG", "OPENSC_CONF"}


def test_while_a_person_types_no_session_is_open_and_with_the_host_everything_dies(site: Site) -> None:
    config = site.configure("", victim=False)
    site.rig.service(config)
    command = ["pamtester", SERVICE, "alice", "authenticate"]
    with site.rig.world.namespace.popen(command, stdin=-1, stdout=-1, stderr=-1) as host:
        assert host.stderr is not None
        assert b"PIN" in os.read(host.stderr.fileno(), 100)  # waits for the prompt
        assert site.calls("C_OpenSession") == site.calls("C_CloseSession") > 0
        assert len(site.left_running()) == 3
        host.kill()
    deadline = time.monotonic() + 2
    while site.left_running() and time.monotonic() < deadline:
        os.sched_yield()
    assert site.left_running() == []
