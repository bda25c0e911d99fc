# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login asks of a PIV card through OpenSC, command by command, and that our order of drivers takes no other card.

A person waits for each command at every login. The bounds hold what was reached with OpenSC 0.23 and 0.26; the part of
a login that looks at the card again before the PIN must never become empty.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

import pam_sc
from tests.support.installation import module_in
from tests.support.login_setup import LoginSetup, configuration
from tests.support.namespace import CLEAN_ENVIRONMENT, is_available
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import AID, Apdu, PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

VERIFY, SELECT, GENERAL_AUTHENTICATE, GET_RESPONSE = 0x20, 0xA4, 0x87, 0xC0
OURS = Path(pam_sc.__file__).with_name("card") / "opensc.conf"
BOUNDS = {"report": 24, "re-read": 2, "login": 2, "sign": 3, "end": 0}
"""Of 31 for RSA-2048. Report: 8 to find the PIV application (OpenSC does that twice), 11 for its objects and the one
certificate, 5 for the state of the PIN. Re-read: the application and the PIN once more. Login: the application, VERIFY.
Sign: a challenge of two parts, and an answer of two. pam_p11 with the same card: 35; pam_pkcs11: 39."""


@dataclass(slots=True)
class Site:
    """A machine with one reader, OpenSC and the service test, which asks pam_sc.so."""

    world: World
    pcscd: Pcscd
    setup: LoginSetup

    def insert(self, kind: str) -> VirtualCard:
        """Put a PIV card of alice's in, with one key of this kind in 9A."""
        card = self.pcscd.card(PivApplet({0x9A: self.setup.authority.issue(common_name="alice", key=kind)}))
        card.insert()
        return card

    def login(self, card: VirtualCard) -> tuple[list[Apdu], list[Apdu]]:
        """Log alice in; the commands before the prompt for the PIN, and those after it."""
        card.applet.log.clear()
        child = self.world.spawn(["pamtester", "test", "alice", "authenticate"])
        child.expect("PIN[^:]*: ?")
        before = len(card.applet.log)
        child.sendline(PIN)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0, child.before
        return card.applet.log[:before], card.applet.log[before:]


@pytest.fixture
def site(world: World, pcscd: Pcscd) -> Site:
    """OpenSC in the default configuration file."""
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    world.pam_service("test", [f"required {module_in()}"])
    return Site(world, pcscd, setup)


def phases(before: list[Apdu], after: list[Apdu]) -> dict[str, list[Apdu]]:
    """The commands of a login by what they are for: each part ends with the command that it is named after."""
    looked = _last(after, lambda apdu: apdu.ins == VERIFY and not apdu.data) + 1
    verified = _last(after, lambda apdu: apdu.ins == VERIFY and apdu.data != b"") + 1
    signed = _last(after, lambda apdu: apdu.ins in (GENERAL_AUTHENTICATE, GET_RESPONSE)) + 1
    return {"report": before, "re-read": after[:looked], "login": after[looked:verified],
            "sign": after[verified:signed], "end": after[signed:]}


def _last(log: list[Apdu], wanted: Callable[[Apdu], bool]) -> int:
    return max(at for at, apdu in enumerate(log) if wanted(apdu))


@pytest.mark.parametrize(("kind", "fewer"), [("rsa2048", 0), ("p256", 3)])
def test_a_login_asks_no_more_of_a_piv_card_than_it_needs(site: Site, kind: str, fewer: int) -> None:
    before, after = site.login(site.insert(kind))
    counted = {name: len(part) for name, part in phases(before, after).items()}
    assert all(counted[name] <= bound for name, bound in BOUNDS.items()), counted
    assert len(before + after) <= sum(BOUNDS.values()) - fewer, counted


def test_the_pin_is_sent_once_and_the_card_is_looked_at_again_before_it(site: Site) -> None:
    parts = phases(*site.login(site.insert("rsa2048")))
    pins = [name for name, part in parts.items() for apdu in part if apdu.ins == VERIFY and apdu.data]
    states = [name for name, part in parts.items() for apdu in part if apdu.ins == VERIFY and not apdu.data]
    assert pins == ["login"]
    assert states == ["report", "re-read"]


def test_no_application_but_piv_is_asked_for(site: Site) -> None:
    before, after = site.login(site.insert("rsa2048"))
    assert [apdu for apdu in before + after if apdu.ins == SELECT and not AID.startswith(apdu.data)] == []


@dataclass(slots=True)
class Stranger(PivApplet):
    """A card that is no PIV card: it says yes to SELECT of the applications that begin with one of `known`."""

    known: tuple[str, ...] = ()
    otherwise: bytes = b"\x6a\x82"

    def answer(self, command: bytes) -> bytes:
        """Say yes or `otherwise`, and nothing more."""
        name = command[5:5 + command[4]] if len(command) > 5 else b""
        selects = command[1] == SELECT and command[2] == 4
        return b"\x90\x00" if selects and name.hex().startswith(self.known) else self.otherwise


STRANGERS = {
    "a MuscleCard": Stranger({}, known=("a00000000101",)),
    "one that says yes to everything": Stranger({}, otherwise=b"\x90\x00"),
    "a GIDS card": Stranger({}, known=("a000000397425446590201",)),
    "one that says yes to PIV and has nothing of it": Stranger({}, known=("a000000308",)),
    "one that knows nothing": Stranger({}),
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Pcscd]:
    """A reader alone; what asks it is a tool of OpenSC."""
    if not is_available():
        pytest.skip("needs root and the right to make namespaces")
    with Pcscd(tmp_path / "run", tmp_path / "pcscd") as made:
        yield made


def driver(reader: Pcscd, settings: Path) -> str:
    """Which card OpenSC says this is, with these settings."""
    tool = shutil.which("opensc-tool")
    assert tool is not None
    environment = {**CLEAN_ENVIRONMENT, **reader.environment, "OPENSC_CONF": str(settings)}
    result = subprocess.run([tool, "--name"], env=environment, capture_output=True, text=True, check=False)
    return result.stdout


@pytest.mark.parametrize("name", STRANGERS)
def test_another_card_is_what_it_is_without_our_order_of_drivers(reader: Pcscd, tmp_path: Path, name: str) -> None:
    (tmp_path / "opensc.conf").write_text("app default {\n}\n")
    reader.card(STRANGERS[name]).insert()
    found = driver(reader, OURS)
    assert found == driver(reader, tmp_path / "opensc.conf")
    assert found.strip()
    assert "Personal Identity" not in found


def test_a_piv_card_is_one_with_our_order_of_drivers(reader: Pcscd) -> None:
    reader.card(PivApplet({0x9A: CertificateAuthority().issue()})).insert()
    assert "Personal Identity" in driver(reader, OURS)
