# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/modules.md says of OpenSC, SoftHSM and tpm2-pkcs11 is so: each question of it is asked again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.module_makers import PIN, ModuleInWorld, make_softhsm, make_tpm
from tests.support.module_questions import ANSWERS, PAGE, ask_all, compare, page, version_of
from tests.support.pam_world import ACCOUNTS, Account, World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet
from tests.support.pki import CertificateAuthority, Issued
from tests.support.rig import Rig

pytestmark = pytest.mark.root

PLACES = {1: 0x9A, 2: 0x9C, 3: 0x9D}


@pytest.fixture
def world(namespaces: None, tmp_path: Path) -> Iterator[World]:
    """A world with a third ordinary account."""
    with World.create(tmp_path / "world", accounts=[*ACCOUNTS, Account("carol", 4003, 4003, "/home/carol")]) as made:
        yield made


@dataclasses.dataclass(slots=True)
class PivModule(ModuleInWorld):
    """OpenSC with a PIV card, which has its keys and certificates from whoever issued it."""

    issued: dict[int, Issued] = dataclasses.field(default_factory=dict)

    def add(self, _authority: CertificateAuthority, number: int, _kind: str, *, account: str = "alice",
            always_authenticate: bool = False, private: bool = False) -> Issued:
        if private:
            raise NotImplementedError
        assert always_authenticate == (PLACES[number] == 0x9C)
        assert account
        return self.issued[number]


def test_opensc_with_a_piv_card_does_what_the_page_says(world: World, pcscd: Pcscd) -> None:
    rig = Rig(world)
    issue = rig.setup.authority.issue
    issued = {1: issue(common_name="alice", key="rsa2048"), 2: issue(common_name="carol", key="p256"),
              3: issue(common_name="bob", key="p256")}
    card = pcscd.card(PivApplet({PLACES[number]: each for number, each in issued.items()}, pin=PIN))
    card.insert()
    module = PivModule(world, opensc_module(), "alice", so_pin=card.applet.puk, issued=issued)
    answers = ask_all(rig, module, lambda: card.applet.pin_verified)
    compare("OpenSC with a PIV card", version_of("opensc"), answers)


def test_softhsm_does_what_the_page_says(world: World) -> None:
    compare("SoftHSM", version_of("softhsm2"), ask_all(Rig(world), make_softhsm(world, "softhsm")))


def test_tpm2_pkcs11_does_what_the_page_says(world: World) -> None:
    compare("tpm2-pkcs11", version_of("libtpm2-pkcs11-1"), ask_all(Rig(world), make_tpm(world, "tpm")))


def test_the_page_is_what_was_recorded() -> None:
    recorded: dict[str, Any] = json.loads(ANSWERS.read_text())
    assert PAGE.read_text() == page(recorded)
