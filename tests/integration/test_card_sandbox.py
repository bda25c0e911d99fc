# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that a card process may be asked for, in the real pam_sc_worker: the filter of its sandbox lets it work."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pam_sc.card.client import Changed, ChangeKind, ChangeOrder, ModuleSetup, OpenOrder, RunAs, SignOrder
from pam_sc.decision.card_report import TokenReport
from pam_sc.decision.possession import CardFailure, PinWay, Signed
from pam_sc.record import replace
from tests.integration.test_card_opensc import applet
from tests.integration.test_card_pins import ECDSA, PIN, failure_of, require_proof
from tests.support import namespace
from tests.support.card_worker import (
    Card,
    build_hostile_module,
    hostile,
    order_for,
    soon,
    started,
    the_token,
)
from tests.support.installation import installed_for_all, worker_in
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.soft_token import SoftToken, certificate_of, key_of
from tests.support.worker_tree import NOBODY

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not namespace.is_available(), reason="needs root and the right to make namespaces"),
]

NEW, PUK = b"246810", b"87654321"
KEYPAD = "pinpad:123456,pinpad-new:246810"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SoftToken]:
    folder = tmp_path_factory.mktemp("sandbox")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    return build_hostile_module(folder), token


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of the card process can reach; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="pam_sc-card-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def of(kit: tuple[str, SoftToken], folder: Path, faults: str = "") -> ModuleSetup:
    """The hostile module around a copy of the token, which is there while the file `card` exists."""
    module, token = kit
    own = shutil.copy(module, folder)
    made = hostile(str(own), token.copy(folder / "copy"), faults, folder / "log", HOSTILE_TOKEN=str(folder / "card"))
    (folder / "log").touch()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return made


def sandboxed(module: ModuleSetup) -> AbstractContextManager[Card]:
    """A card process as a login has it: in its sandbox, as an account of its own."""
    # installed where that account can read our opensc.conf
    return started(worker_in(installed_for_all()), [module], RunAs(NOBODY, NOBODY, ()))


@pytest.fixture
def cancel() -> Iterator[int]:
    ends = os.pipe()
    yield ends[0]
    for end in ends:
        os.close(end)


def order_of(token: TokenReport, way: PinWay = PinWay.TYPED) -> SignOrder:
    """An order for the certificate with id 1."""
    (certificate,) = (certificate for certificate in token.certificates if certificate.object_id == b"\x01")
    return replace(order_for(token, certificate, ECDSA), way=way)


def use_all_of_it(card: Card, token: TokenReport, puk: bytes) -> None:
    """A wrong PIN, opening, signing, changing and unblocking."""
    assert failure_of(card.sign(order_of(token), b"654321")) in (CardFailure.PIN_WRONG, CardFailure.PIN_WRONG_FEW_LEFT)
    assert failure_of(card.sign(order_of(token), b"654321")) is CardFailure.PIN_REPEATED
    card.type(PIN)
    opened = card.client.open(OpenOrder(token), soon())
    assert isinstance(opened, TokenReport)
    require_signed(card, order_of(opened, PinWay.OPENED))
    card.type(PIN, NEW, NEW)
    assert card.client.change_pin(ChangeOrder(token), soon()) == Changed()
    card.type(puk, PIN, PIN)
    assert card.client.change_pin(ChangeOrder(token, ChangeKind.UNBLOCK), soon()) == Changed()


def require_signed(card: Card, order: SignOrder) -> None:
    """The card signs, whichever key it has."""
    assert isinstance(card.client.sign(order, soon()), Signed)


@pytest.mark.parametrize("faults", ["", "events"])
def test_a_token_that_comes_is_used_in_every_way(
    kit: tuple[str, SoftToken], folder: Path, cancel: int, faults: str,
) -> None:
    with sandboxed(of(kit, folder, faults)) as card:
        assert card.report().tokens() == ()
        threading.Timer(0.5, (folder / "card").touch).start()
        assert card.client.wait(True, soon(), cancel)
        use_all_of_it(card, the_token(card.client.report_again(soon())), PUK)
        card.client.report_again(soon())
        threading.Timer(0.5, (folder / "card").unlink).start()
        assert card.client.wait(False, soon(), cancel)


def test_a_pin_is_typed_on_the_reader(kit: tuple[str, SoftToken], folder: Path) -> None:
    (folder / "card").touch()
    with sandboxed(of(kit, folder, KEYPAD)) as card:
        token = the_token(card.report())
        require_proof(card.client.sign(order_of(token, PinWay.PINPAD), soon()))
        assert card.client.change_pin(ChangeOrder(token, way=PinWay.PINPAD), soon()) == Changed()


def test_a_piv_card_that_comes_is_used_in_every_way(folder: Path, cancel: int) -> None:
    with Pcscd(folder / "run", folder / "pcscd") as daemon:
        piv = daemon.card(applet())
        with sandboxed(ModuleSetup(opensc_module(), daemon.environment)) as card:
            assert card.report().tokens() == ()
            inserting = threading.Timer(0.5, piv.insert)
            inserting.start()
            assert card.client.wait(True, soon(), cancel)
            inserting.join()
            use_all_of_it(card, card.client.report_again(soon()).tokens()[0][2], b"12345678")
            card.client.report_again(soon())
            pulling = threading.Timer(0.5, piv.remove)
            pulling.start()
            assert card.client.wait(False, soon(), cancel)
            pulling.join()
