# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real PKCS#11 modules behind a real PAM application: OpenSC with a PIV card in a reader, and SoftHSM.

The applications themselves are tried in test_hosts_*.py, the modules in test_modules.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pexpect
import pytest

from tests.support.installation import module_in
from tests.support.login_setup import LoginSetup, configuration
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority
from tests.support.softhsm import KEY_KINDS, PIN, Entry

pytestmark = pytest.mark.root

WRONG_PIN = "999999"
VERIFY = 0x20


@dataclass(slots=True)
class Site:
    """A machine that is set up for card logins with one reader: OpenSC, one CA, the PAM services of the hosts."""

    world: World
    pcscd: Pcscd
    setup: LoginSetup

    def insert(self, *references: int, kind: str = "p256", account: str = "alice") -> VirtualCard:
        """Put a PIV card in with keys in the given places, each with a certificate for the account."""
        issued = {place: self.setup.authority.issue(common_name=account, key=kind) for place in references}
        card = self.pcscd.card(PivApplet(issued))
        card.insert()
        return card

    def reasons(self) -> list[str]:
        """What pam_sc logged: "granted", or the reasons of refusals, in order."""
        lines = [line.text for line in self.world.logged() if "pam_sc(" in line.text]
        words = [line.split(": ", 1)[1].split() for line in lines]
        return [word[0] if word[0] == "granted" else word[1].removeprefix("reason=") for word in words
                if word[0] in {"granted", "refused"} and not word[-1].startswith("detail=")]


@pytest.fixture
def site(world: World, pcscd: Pcscd) -> Site:
    """OpenSC in the default configuration file; the services test, su and sudo ask pam_sc.so and nothing else."""
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    for service in ("test", "su", "sudo"):
        world.pam_service(service, [f"required {module_in()}"])
    return Site(world, pcscd, setup)


def pamtester_as_root(world: World, pin: str) -> bool:
    return world.run(["pamtester", "test", "alice", "authenticate"], input=f"{pin}\n").returncode == 0


def pamtester_as_alice(world: World, pin: str) -> bool:
    return world.run(["pamtester", "test", "alice", "authenticate"], input=f"{pin}\n", user="alice").returncode == 0


def sudo_from_alice(world: World, pin: str) -> bool:
    return "<root>" in converse(world.spawn(["sudo", "sh", "-c", 'echo "<$(id -un)>"'], user="alice"), pin)


def converse(child: pexpect.spawn[str], pin: str) -> str:
    """Type the PIN at each prompt until the program ends; return everything it showed."""
    shown = ""
    while child.expect(["PIN[^:]*: ?", pexpect.EOF]) == 0:
        shown += child.before + child.after
        child.sendline(pin)
    return f"{shown}{child.before}"


Host = Callable[[World, str], bool]


def verifications(card: VirtualCard) -> int:
    """How often a PIN was sent to the card."""
    return sum(apdu.ins == VERIFY and apdu.data != b"" for apdu in card.applet.log)


def test_the_card_of_somebody_else_is_refused_and_no_pin_is_sent(site: Site) -> None:
    card = site.insert(0x9A, account="bob")
    assert not pamtester_as_root(site.world, PIN)
    assert site.reasons() == ["not-mapped"]
    assert verifications(card) == 0


def test_without_pcscd_the_reason_is_the_card_service(world: World) -> None:
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    world.pam_service("test", [f"required {module_in()}"])
    assert not pamtester_as_root(world, PIN)
    assert "reason=card-service-down" in " ".join(line.text for line in world.logged())


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "rsa3072"])
def test_a_piv_card_with_any_of_its_kinds_of_keys_is_granted(site: Site, kind: str) -> None:
    card = site.insert(0x9A, kind=kind)
    assert pamtester_as_root(site.world, PIN)
    assert card.applet.signatures == 1


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_a_key_that_wants_the_pin_for_each_signature_gets_it_once_more(site: Site, kind: str) -> None:
    card = site.insert(0x9C, kind=kind)
    assert pamtester_as_root(site.world, PIN)
    assert site.reasons() == ["granted"]
    assert verifications(card) == 2
    assert card.applet.signatures == 1


def test_a_key_that_wants_the_pin_for_each_signature_never_sees_a_wrong_pin_twice(site: Site) -> None:
    card = site.insert(0x9C)
    assert not pamtester_as_root(site.world, WRONG_PIN)
    assert site.reasons() == ["pin-wrong"]
    assert card.applet.tries == 2


def test_the_last_try_of_a_card_is_not_used(site: Site) -> None:
    card = site.insert(0x9A)
    card.applet.tries = 1
    assert not pamtester_as_root(site.world, WRONG_PIN)
    assert site.reasons() == ["pin-last-try"]
    assert card.applet.tries == 1


def test_a_locked_card_is_refused_without_asking_for_the_pin(site: Site) -> None:
    card = site.insert(0x9A)
    card.applet.tries = 0
    assert not pamtester_as_root(site.world, PIN)
    assert site.reasons() == ["pin-locked"]
    assert verifications(card) == 0


@dataclass(slots=True)
class SoftSite:
    """A machine with SoftHSM tokens; each card is a PAM service."""

    world: World
    setup: LoginSetup

    def granted(self, entries: list[Entry], pin: str = PIN) -> bool:
        """Make a token of these entries and log alice in with it."""
        self.world.pam_service("soft", [f"required {module_in()} config={self.setup.card('soft', entries)}"])
        return self.world.run(["pamtester", "soft", "alice", "authenticate"], input=f"{pin}\n").returncode == 0

    @property
    def log(self) -> str:
        """Everything that was logged."""
        return "\n".join(line.text for line in self.world.logged())


@pytest.fixture
def soft(world: World) -> SoftSite:
    """Tokens that belong to the card process's account."""
    card = world.account("pam_sc_card")
    return SoftSite(world, LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid)))


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_softhsm_with_any_kind_of_key_is_granted(soft: SoftSite, kind: str) -> None:
    assert soft.granted([Entry(soft.setup.authority.issue(common_name="alice", key=kind))]), soft.log


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_softhsm_with_any_kind_of_key_and_a_wrong_pin_is_refused(soft: SoftSite, kind: str) -> None:
    assert not soft.granted([Entry(soft.setup.authority.issue(common_name="alice", key=kind))], WRONG_PIN)
    assert "reason=pin-wrong" in soft.log


def test_softhsm_with_an_always_authenticate_key_is_granted(soft: SoftSite) -> None:
    issued = soft.setup.authority.issue(common_name="alice", key="p256")
    assert soft.granted([Entry(issued, always_authenticate=True)]), soft.log


def test_the_victims_certificate_with_another_key_is_refused(soft: SoftSite) -> None:
    issued = soft.setup.authority.issue(common_name="alice", key="p256")
    other = CertificateAuthority(key="p256").private_key
    assert not soft.granted([Entry(issued, key=other)])
    assert "reason=signature-invalid" in soft.log


def test_a_certificate_without_its_key_is_passed_over_for_one_with_a_key(soft: SoftSite) -> None:
    first, second = (soft.setup.authority.issue(common_name="alice", key=kind) for kind in ("rsa2048", "p256"))
    assert soft.granted([Entry(first, b"\x01", key=None), Entry(second, b"\x02")]), soft.log


def test_a_certificate_without_any_key_is_refused_as_keyless(soft: SoftSite) -> None:
    assert not soft.granted([Entry(soft.setup.authority.issue(common_name="alice"), key=None)])
    assert "reason=no-private-key" in soft.log


def test_a_token_that_the_card_process_may_not_read_says_so(soft: SoftSite) -> None:
    soft.setup.card_owner = (0, 0)
    assert not soft.granted([Entry(soft.setup.authority.issue(common_name="alice"))])
    assert "reason=token-hidden" in soft.log


def session(world: World, **facts: str) -> None:
    """The one session that logind knows; alice's, over the network."""
    known = {"UID": "4001", "ACTIVE": "1", "REMOTE": "1", "CLASS": "user", **facts}
    world.put("/run/systemd/sessions/5", "".join(f"{key}={value}\n" for key, value in known.items()))


def su_from_alice(world: World, pin: str) -> bool:
    return "<alice>" in converse(world.spawn(["su", "alice", "-c", 'echo "<$(id -un)>"'], user="alice"), pin)


from_alice = pytest.mark.parametrize("host", [pamtester_as_alice, su_from_alice, sudo_from_alice])


@from_alice
def test_a_person_of_a_remote_session_is_remote(site: Site, host: Host) -> None:
    session(site.world)
    card = site.insert(0x9A)
    assert not host(site.world, PIN)
    assert set(site.reasons()) == {"remote-refused"}
    assert verifications(card) == 0


@from_alice
def test_a_person_at_a_seat_is_local(site: Site, host: Host) -> None:
    session(site.world, REMOTE="0", SEAT="seat0")
    site.insert(0x9A)
    assert host(site.world, PIN)
    assert site.reasons() == ["granted"]
