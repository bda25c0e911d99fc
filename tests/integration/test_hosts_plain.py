# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that ask over a pipe or over the network: the right PIN, a wrong one, no card, and an end in place of an answer."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.host_site import PIN, PROMPT, REMOTE_CONFIG, WRONG_PIN, HostSite, host_site, opened_workers
from tests.support.installation import PREFIX, module_in
from tests.support.namespace import is_available
from tests.support.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.root

PYTHON_HOST = """
import pam, sys
host = pam.pam()
granted = host.authenticate("alice", sys.stdin.read(), service="test")
print("granted" if granted else "refused")
"""
PAMTESTER = ["pamtester", "wrapped", "alice", "authenticate"]
WRAPPER = {"LD_PRELOAD": "libpam_wrapper.so", "PAM_WRAPPER": "1", "PAM_WRAPPER_SERVICE_DIR": "/srv/pam.d",
           "PAM_WRAPPER_USE_SYSLOG": "1"}
VFS_CAP_REVISION_2, VFS_CAP_EFFECTIVE, CAP_NET_RAW = 0x02000000, 1, 13
WHO = 'echo "<$(id -un)>"'


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostSite]:
    """One machine for all of these hosts."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with host_site(tmp_path_factory.mktemp("plain")) as made:
        made.services("test", "sudo")
        made.world.put("/etc/sudoers", "Defaults !lecture, timestamp_timeout=0, passwd_tries=1\n"
                                       "alice ALL=(ALL:ALL) ALL\n", mode=0o440)
        made.world.put("/srv/pam.d/wrapped", f"auth required {module_in()}\n")
        # sshd sets credentials in another process than it asks in; there pam_sc has nothing to say
        made.world.pam_service("sshd", [f"required {module_in()} config={REMOTE_CONFIG}", "required pam_permit.so"])
        yield made


@pytest.fixture(scope="module")
def sshd(machine: HostSite) -> Iterator[SshServer]:
    """The machine's sshd."""
    with ssh_server(machine.world) as made:
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


def pamtester_as_alice(site: HostSite, text: str) -> bool:
    result = site.world.run(["pamtester", "test", "alice", "authenticate"], input=text, user="alice")
    return result.returncode == 0


def pam_wrapper_as_alice(site: HostSite, text: str) -> bool:
    return site.world.run(PAMTESTER, input=text, user="alice", env=WRAPPER).returncode == 0


def sudo_from_a_pipe(site: HostSite, text: str) -> bool:
    return site.world.run(["sudo", "-S", "sh", "-c", WHO], input=text, user="alice").stdout == "<root>\n"


def python_pam(site: HostSite, text: str) -> bool:
    return site.world.run([f"{PREFIX}/bin/python", "-I", "-c", PYTHON_HOST], input=text.rstrip()).stdout == "granted\n"


Host = Callable[[HostSite, str], bool]
every_host = pytest.mark.parametrize("host", [pamtester_as_alice, pam_wrapper_as_alice, sudo_from_a_pipe, python_pam])


@every_host
def test_without_a_card_nobody_is_let_in(no_card: HostSite, host: Host) -> None:
    assert not host(no_card, f"{PIN}\n")
    assert no_card.reasons() == ["no-card"]


@every_host
def test_the_right_pin_is_let_in(site: HostSite, host: Host) -> None:
    assert host(site, f"{PIN}\n")
    assert site.reasons() == ["granted"]
    assert (site.verifications, site.card.applet.signatures) == (1, 1)


@every_host
def test_a_wrong_pin_is_refused_and_costs_one_try(site: HostSite, host: Host) -> None:
    assert not host(site, f"{WRONG_PIN}\n")
    assert site.reasons() == ["pin-wrong"]
    assert (site.verifications, site.card.applet.tries, site.card.applet.signatures) == (1, 2, 0)


@every_host
def test_an_input_that_ends_at_the_prompt_leaves_the_card_untouched(site: HostSite, host: Host) -> None:
    assert not host(site, "")
    assert len(site.reasons()) == 1
    assert set(site.reasons()) <= {"pin-not-given", "pin-empty", "conversation-failed"}
    site.require_untouched()


def test_a_host_with_a_capability_and_no_root_is_refused(site: HostSite) -> None:
    """What it starts would run as its user, who could then tell it whatever they like."""
    site.world.put("/opt/pamtester", Path("/usr/bin/pamtester").read_bytes(), mode=0o755)
    net_raw = struct.pack("<5I", VFS_CAP_REVISION_2 | VFS_CAP_EFFECTIVE, 1 << CAP_NET_RAW, 0, 0, 0)
    os.setxattr(site.world.path("/opt/pamtester"), "security.capability", net_raw)
    result = site.world.run(["/opt/pamtester", "test", "alice", "authenticate"], input=f"{PIN}\n", user="alice")
    assert result.returncode != 0
    site.world.syslog.wait_for("a host with part of a privilege cannot use cards")
    site.require_untouched()


def test_sshd_lets_nobody_in_without_a_card(no_card: HostSite, sshd: SshServer) -> None:
    client = no_card.world.run(sshd.client("alice", WHO))
    assert "<alice>" not in client.stdout
    assert set(no_card.reasons()) == {"no-card"}


def test_sshd_lets_the_right_pin_in(site: HostSite, sshd: SshServer) -> None:
    client = site.world.spawn(sshd.client("alice", WHO), timeout=20)
    client.expect(PROMPT)
    client.sendline(PIN)
    client.expect("<alice>")
    client.close(force=True)
    assert site.reasons() == ["granted"]
    assert (site.verifications, site.card.applet.signatures) == (1, 1)


def test_sshd_refuses_a_wrong_pin_and_asks_again_only_as_the_client_wants(site: HostSite, sshd: SshServer) -> None:
    client = site.world.spawn(sshd.client("alice", WHO), timeout=20)
    client.expect(PROMPT)
    client.sendline(WRONG_PIN)
    assert "<alice>" not in client.read()
    site.await_reason("pin-wrong")
    client.close(force=True)
    assert (site.verifications, site.card.applet.tries, site.card.applet.signatures) == (1, 2, 0)


def test_a_connection_that_closes_at_the_prompt_leaves_nothing_behind(site: HostSite, sshd: SshServer) -> None:
    client = site.world.spawn(sshd.client("alice", WHO), timeout=20)
    client.expect(PROMPT)
    processes = opened_workers(site.world)
    client.close(force=True)
    site.require_end(processes)
    site.require_untouched()
