# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every mode in every situation that CRL files can make, as real logins: what happens, the reason, the PAM code.

The same table as docs/revocation.md and tests/unit/decision/test_revocation.py, through pam_sc.so and a software card.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from pam_sc.decision.evidence import Situation
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.revocation import OUTCOMES
from tests.support import rig as codes
from tests.support.namespace import is_available
from tests.support.pam_host import Outcome
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority, Issued, now
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import Entry

pytestmark = pytest.mark.root

DAY = datetime.timedelta(days=1)
MODES = tuple(RevocationMode)
NAMING, SILENT = "naming", "silent"
"""The cards: a certificate that names a distribution point, and one that names none."""


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cards]:
    """One world, two cards, and a folder of CRLs for each situation."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("modes") / "world") as world:
        yield Cards(Rig(world))


class Cards:
    """The two cards and their configurations, which differ in mode and folder of CRLs."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        authority = rig.setup.authority
        self.naming = authority.issue(crl_distribution_points=("http://crl.example.test/ca.crl",))
        silent = authority.issue()
        self.texts = {
            name: rig.world.path(rig.setup.card(name, [issued])).read_text()
            for name, issued in ((NAMING, self.naming), (SILENT, silent))
        }
        self.put_crls("none")
        self.put_crls("good", authority.crl())
        self.put_crls("stale", stale_crl(authority))
        self.put_crls("other-key", CertificateAuthority(authority.name).crl())
        self.put_crls("revoked", authority.crl([self.naming]))
        self.put_crls("stale-revoked", stale_crl(authority, self.naming))

    def put_crls(self, name: str, *crls: bytes) -> None:
        """Make a folder of CRLs as the logins see it."""
        self.rig.world.path(f"{INSIDE}/crls-{name}").mkdir(mode=0o755)
        for number, crl in enumerate(crls):
            self.rig.world.put(f"{INSIDE}/crls-{name}/{number}.crl", crl)

    def login(self, card: str, mode: RevocationMode, crls: str, more: str = "") -> Outcome:
        """Log in with a card under a mode and with a folder of CRLs."""
        settings = f'[revocation]\nmode = "{mode.value}"\nstore = "{INSIDE}/no-store"\n'
        text = self.texts[card].replace("[revocation]\n", settings)
        text = text.replace(f'"{INSIDE}/crls"', f'"{INSIDE}/crls-{crls}"')
        return self.rig.login(self.rig.world.put(f"{INSIDE}/modes.toml", text + more))


def stale_crl(authority: CertificateAuthority, *revoked: Issued) -> bytes:
    return authority.crl(revoked, this_update=now() - 3 * DAY, next_update=now() - DAY)


SITUATIONS = {
    Situation.NO_SOURCE: (SILENT, "none"),
    Situation.NOT_AT_HAND: (NAMING, "none"),
    Situation.STALE: (NAMING, "stale"),
    Situation.UNKNOWN: (NAMING, "other-key"),
    Situation.GOOD: (NAMING, "good"),
    Situation.REVOKED: (NAMING, "revoked"),
}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.value.replace(" ", "-"))
def test_a_login_ends_as_the_table_says(cards: Cards, mode: RevocationMode, situation: Situation) -> None:
    expected = OUTCOMES[mode][situation]
    card, crls = SITUATIONS[situation]
    outcome = cards.login(card, mode, crls)
    if expected is None:
        assert (outcome.code, reason(outcome)) == (codes.SUCCESS, None)
        assert doubt(outcome) == because(mode, situation)
    else:
        assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, expected.value)
        assert prompts(outcome) == ()


def because(mode: RevocationMode, situation: Situation) -> str | None:
    """What the log must say of a login that goes on."""
    if mode is RevocationMode.OFF:
        return "revocation=unknown because=off"
    return None if situation is Situation.GOOD else f"revocation=unknown because={situation.value.replace(' ', '-')}"


def doubt(outcome: Outcome) -> str | None:
    """What the log says of revocation in the line about the grant."""
    (line,) = (line for line in outcome.log if " granted " in line)
    _before, found, after = line.partition(" revocation=")
    return f"revocation={after.partition(' ms=')[0].strip()}" if found else None


# ---------------------------------------------------------------- beside the table


@pytest.mark.parametrize("mode", [RevocationMode.REQUIRE, RevocationMode.NAMED, RevocationMode.PREFER])
def test_what_a_stale_crl_lists_is_refused(cards: Cards, mode: RevocationMode) -> None:
    outcome = cards.login(NAMING, mode, "stale-revoked")
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "certificate-revoked")


def test_a_stale_crl_of_the_other_card_is_not_about_this_one(cards: Cards) -> None:
    assert cards.login(SILENT, RevocationMode.PREFER, "stale-revoked").code == codes.SUCCESS


@pytest.mark.parametrize(("own", "code", "why"), [
    ("prefer", codes.SUCCESS, None),
    ("named", codes.AUTH_ERR, "revocation-stale"),
    ("require", codes.AUTH_ERR, "revocation-stale"),
])  # fmt: skip
def test_the_mode_of_its_ca_holds_in_place_of_the_whole_s(cards: Cards, own: str, code: int, why: str | None) -> None:
    certificate = cards.rig.world.put(f"{INSIDE}/own.pem", cards.rig.setup.authority.pem)
    ca = f'[[revocation.ca]]\nname = "own"\ncertificate = "{certificate}"\nmode = "{own}"\n'
    whole = RevocationMode.REQUIRE if own == "prefer" else RevocationMode.PREFER
    outcome = cards.login(NAMING, whole, "stale", more=ca)
    assert (outcome.code, reason(outcome)) == (code, why)


def test_the_mode_of_another_ca_of_the_same_name_does_not_hold(cards: Cards) -> None:
    other = CertificateAuthority(cards.rig.setup.authority.name)
    certificate = cards.rig.world.put(f"{INSIDE}/other.pem", other.pem)
    ca = f'[[revocation.ca]]\nname = "other"\ncertificate = "{certificate}"\nmode = "off"\n'
    outcome = cards.login(NAMING, RevocationMode.NAMED, "stale", more=ca)
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "revocation-stale")


@pytest.mark.parametrize(("revoked", "code", "why"), [
    (True, codes.AUTH_ERR, "issuer-revoked"), (False, codes.SUCCESS, None),
])  # fmt: skip
def test_a_revoked_intermediate_refuses_its_cards(cards: Cards, revoked: bool, code: int, why: str | None) -> None:
    authority = cards.rig.setup.authority
    issuing = authority.subordinate(f"Issuing {revoked}")
    own = Issued(issuing.private_key, issuing.der)
    name = f"issuer-{revoked}"
    entries = [Entry(issuing.issue(), id=b"\1"), Entry(own, id=b"\2", key=None)]
    cards.texts[name] = cards.rig.world.path(cards.rig.setup.card(name, entries)).read_text()
    cards.put_crls(name, authority.crl([own] if revoked else []), issuing.crl())
    outcome = cards.login(name, RevocationMode.NAMED, name)
    assert (outcome.code, reason(outcome)) == (code, why)
