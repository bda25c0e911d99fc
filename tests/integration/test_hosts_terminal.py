# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that ask on a terminal: the right PIN, a wrong one, no card, and a person who gives up at the prompt."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pexpect
import pytest

from tests.support.host_site import PIN, PROMPT, WRONG_PIN, HostSite, host_site, opened_workers
from tests.support.installation import module_in
from tests.support.namespace import is_available

pytestmark = pytest.mark.root

PROCESSES = 3  # supervisor, verifier, card process
SHELL = 4  # among what is expected after the PIN
SUDOERS = "Defaults !lecture, timestamp_timeout=0, passwd_tries=1\nalice ALL=(ALL:ALL) ALL\n"
WHO = 'echo "<$(id -un)>"'


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostSite]:
    """One machine for all of these hosts."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with host_site(tmp_path_factory.mktemp("terminal")) as made:
        made.services("test", "su", "sudo", "login", "vlock")
        made.world.put("/etc/sudoers", SUDOERS, mode=0o440)
        yield made


@pytest.fixture
def no_card(machine: HostSite) -> Iterator[HostSite]:
    """The reader is empty."""
    machine.fresh(card=False)
    yield machine
    machine.require_no_secret()


@pytest.fixture
def site(machine: HostSite) -> Iterator[HostSite]:
    """Alice's card is in the reader."""
    machine.fresh(card=True)
    yield machine
    machine.require_no_secret()
    machine.require_nothing_left()


@dataclass(frozen=True, slots=True)
class Host:
    """A program on a terminal: how it is started, and as whom; what it shows when somebody is let in."""

    name: str
    argv: Sequence[str]
    user: str | None
    shown: str
    interrupted: Sequence[str] = ()
    """What is logged of a Ctrl-C: nothing, where it kills the program."""
    ended: Sequence[str] = ("pin-not-given",)
    """What is logged of a Ctrl-D."""

    def start(self, site: HostSite) -> pexpect.spawn[str]:
        """Start it on a terminal of its own."""
        return site.world.spawn(self.argv, user=self.user, timeout=20)

    def converse(self, site: HostSite, pin: str) -> str:
        """Type the PIN at the first prompt and end the host at the next question; return everything it showed."""
        child = self.start(site)
        child.expect([PROMPT, pexpect.EOF])
        shown = child.before
        if child.isalive():
            child.sendline(pin)
            if child.expect([pexpect.EOF, PROMPT, "ogin: ", "assword: ", r"\$ $"]) == SHELL:
                child.sendline(f"{WHO}; exit")
                child.expect(pexpect.EOF)
            shown += child.before
        child.close(force=True)
        return shown


HOSTS = [
    Host("su", ["su", "alice", "-c", WHO], "bob", "<alice>"),
    Host("sudo", ["sudo", "sh", "-c", WHO], "alice", "<root>",
         interrupted=["conversation-failed"], ended=["conversation-failed"]),
    Host("login", ["login", "alice"], None, "<alice>"),
    Host("login without a name", ["login"], None, "<alice>"),
    Host("pamtester", ["pamtester", "test", "alice", "authenticate"], None, "successfully authenticated"),
]
every_host = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)


@every_host
def test_without_a_card_nobody_is_asked_for_a_pin(no_card: HostSite, host: Host) -> None:
    assert host.shown not in host.converse(no_card, PIN)
    assert set(no_card.reasons()) == {"no-card"}


@every_host
def test_the_right_pin_is_let_in(site: HostSite, host: Host) -> None:
    shown = host.converse(site, PIN)
    assert host.shown in shown, shown
    assert site.reasons() == ["granted"]
    assert (site.verifications, site.card.applet.signatures) == (1, 1)


@every_host
def test_a_wrong_pin_is_refused_and_costs_one_try(site: HostSite, host: Host) -> None:
    assert host.shown not in host.converse(site, WRONG_PIN)
    assert site.reasons()[:1] == ["pin-wrong"]
    assert (site.verifications, site.card.applet.tries, site.card.applet.signatures) == (1, 2, 0)


@every_host
@pytest.mark.parametrize("key", ["c", "d"])
def test_whoever_gives_up_at_the_prompt_leaves_nothing_behind(site: HostSite, host: Host, key: str) -> None:
    child = host.start(site)
    child.expect(PROMPT)
    processes = opened_workers(site.world)
    assert len(processes) == PROCESSES
    child.sendcontrol(key)
    site.require_end(processes)
    assert site.reasons() == list(host.interrupted if key == "c" else host.ended)
    child.close(force=True)  # login asks again
    site.require_untouched()


@every_host
def test_a_terminal_that_hangs_up_at_the_prompt_leaves_nothing_behind(site: HostSite, host: Host) -> None:
    child = host.start(site)
    child.expect(PROMPT)
    processes = opened_workers(site.world)
    child.close(force=True)
    site.require_end(processes)
    site.require_untouched()


# Waiting for a card, in sudo, which catches what is typed to end it.

WAITING_CONFIG = "/etc/pam_sc/waiting.toml"


@pytest.fixture
def sudo_waits(no_card: HostSite) -> Iterator[HostSite]:
    """sudo waits a minute for a card, and its machine's time is four seconds."""
    text = no_card.world.path("/etc/pam_sc/pam_sc.toml").read_text()
    no_card.world.put(WAITING_CONFIG, text + "[service.sudo]\nwait = 60\n")
    no_card.world.pam_service("sudo", [f"required {module_in()} config={WAITING_CONFIG} timeout=4"])
    yield no_card
    no_card.services("sudo")


def start_sudo_that_waits(site: HostSite) -> pexpect.spawn[str]:
    child = site.world.spawn(["sudo", "sh", "-c", WHO], user="alice", timeout=20)
    assert child.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=3) == 0  # it is silent (PAM_SILENT): nothing to wait for
    return child


def test_control_c_ends_the_waiting_of_sudo_and_a_resized_window_does_not(sudo_waits: HostSite) -> None:
    child = start_sudo_that_waits(sudo_waits)
    processes = opened_workers(sudo_waits.world)
    assert len(processes) == PROCESSES
    child.setwinsize(20, 70)
    child.kill(signal.SIGCHLD)
    assert child.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=1) == 0
    assert sudo_waits.reasons() == []
    child.sendcontrol("c")
    sudo_waits.require_end(processes)
    child.expect(pexpect.EOF)
    assert sudo_waits.reasons() == ["wait-cancelled"]


def test_a_terminal_that_hangs_up_while_a_card_is_waited_for_leaves_nothing_behind(sudo_waits: HostSite) -> None:
    child = start_sudo_that_waits(sudo_waits)
    processes = opened_workers(sudo_waits.world)
    assert len(processes) == PROCESSES
    child.close(force=True)
    sudo_waits.require_end(processes)


def test_a_host_that_is_killed_while_a_card_is_waited_for_leaves_nothing_behind(sudo_waits: HostSite) -> None:
    child = start_sudo_that_waits(sudo_waits)
    processes = opened_workers(sudo_waits.world)
    child.kill(signal.SIGKILL)
    sudo_waits.require_end(processes)


def test_a_card_that_comes_after_all_of_the_machines_time_is_asked_for_its_pin(sudo_waits: HostSite) -> None:
    child = start_sudo_that_waits(sudo_waits)
    assert child.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=4) == 0
    sudo_waits.card.insert()
    child.expect(PROMPT)
    child.sendline(PIN)
    child.expect("<root>")
    child.expect(pexpect.EOF)
    assert sudo_waits.reasons() == ["granted"]


# vlock crashes by itself after a wrong PIN: when it goes on to ask for root's password.


def test_vlock_stays_locked_without_a_card(no_card: HostSite) -> None:
    child = no_card.world.spawn(["vlock", "-c"], user="alice", timeout=20)
    child.expect("to unlock")
    child.sendline()
    no_card.await_reason("no-card")
    assert child.isalive()
    child.close(force=True)


def test_vlock_is_opened_by_the_right_pin(site: HostSite) -> None:
    child = site.world.spawn(["vlock", "-c"], user="alice", timeout=20)
    child.expect("to unlock")
    child.sendline()
    child.expect(PROMPT)
    child.sendline(PIN)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert site.reasons() == ["granted"]
