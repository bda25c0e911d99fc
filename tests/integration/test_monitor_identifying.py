# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which token is in which reader, read beside somebody else who works with the card."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import pytest

from pam_sc.config.model import Configuration
from pam_sc.decision.monitoring import WatchBy
from pam_sc.monitor.identifying import identify
from pam_sc.monitor.sight import Identified, Snapshot
from tests.support import namespace
from tests.support.installation import own_folder
from tests.support.pcsc_client import PcscClient
from tests.support.pcscd import READER, SECOND_READER, Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority, Issued
from tests.support.watching import configuration, watched
from tests.support.worker_tree import installed_worker

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not namespace.is_available(), reason="needs root and the right to make namespaces"),
]

LIMIT_S = 20.0
VERIFY = bytes.fromhex("0020008008") + b"123456\xff\xff"
IS_VERIFIED = bytes.fromhex("00200080")
"""NIST SP 800-73-4, part 2, section 3.2.1: without a PIN it asks whether one was verified."""
SELECT = bytes.fromhex("00a4040009a00000030800001000")


@pytest.fixture
def daemon() -> Iterator[Pcscd]:
    folder = own_folder("identifying")
    with Pcscd(folder / "run", folder / "pcscd") as made:
        yield made


@pytest.fixture(scope="module")
def issued() -> Issued:
    return CertificateAuthority().issue(key="p256")


@pytest.fixture
def piv(daemon: Pcscd, issued: Issued) -> VirtualCard:
    made = daemon.card(PivApplet({0x9A: issued}))
    made.insert()
    daemon.await_insertion()
    return made


def opensc(daemon: Pcscd) -> Configuration:
    return configuration((opensc_module(), daemon.environment))


async def identified(settings: Configuration, by: WatchBy = WatchBy.AUTO) -> tuple[Snapshot, Identified]:
    async with watched(settings, by) as seen:
        snapshot = await seen.snapshot(lambda one: any(place.occupied for place in one.places))
        return snapshot, await identify(settings, str(installed_worker()), snapshot, LIMIT_S)


def sha256(issued: Issued) -> str:
    return hashlib.sha256(issued.der).hexdigest()


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.SLOTS, WatchBy.POLL])
def test_a_token_is_found_in_its_place_with_its_certificates(
        daemon: Pcscd, piv: VirtualCard, issued: Issued, by: WatchBy) -> None:
    snapshot, known = asyncio.run(identified(opensc(daemon), by))
    (occupied,) = (place for place in snapshot.places if place.occupied)
    (token,) = known.tokens
    assert (token.place, token.removable, token.certificates) == (occupied.key, True, {sha256(issued)})
    assert token.serial and token.label
    assert (known.snapshot, known.unread, known.failure) == (snapshot, frozenset(), "")


def test_two_cards_are_found_each_in_its_reader(daemon: Pcscd, piv: VirtualCard, issued: Issued) -> None:
    other = CertificateAuthority().issue(key="p384")
    second = daemon.card(PivApplet({0x9A: other}), SECOND_READER)
    second.insert()
    daemon.await_insertion(SECOND_READER)
    _snapshot, known = asyncio.run(identified(opensc(daemon)))
    assert {token.place: token.certificates for token in known.tokens} == {
        READER: {sha256(issued)}, SECOND_READER: {sha256(other)}}


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.SLOTS, WatchBy.POLL])
def test_a_card_that_somebody_has_verified_stays_verified(daemon: Pcscd, piv: VirtualCard, by: WatchBy) -> None:
    other = PcscClient(READER, daemon.environment)
    try:
        assert [other.send(SELECT), other.send(VERIFY)] == ["9000", "9000"]
        resets = piv.resets
        _snapshot, known = asyncio.run(identified(opensc(daemon), by))
        assert len(known.tokens) == 1
        assert other.send(IS_VERIFIED) == "9000"
        assert (piv.applet.pin_verified, piv.resets) == (True, resets)
    finally:
        other.close()


def test_reading_is_no_coming_and_going(daemon: Pcscd, piv: VirtualCard) -> None:
    async def scene() -> None:
        async with watched(opensc(daemon)) as seen:
            snapshot = await seen.snapshot()
            for _ in range(3):
                await identify(opensc(daemon), str(installed_worker()), snapshot, LIMIT_S)
            assert seen.told_meanwhile() == []
            await asyncio.to_thread(piv.remove)
            assert (await seen.place(READER, occupied=False)).changes == snapshot.places[0].changes + 1
    asyncio.run(scene())


def test_a_card_that_no_module_knows_leaves_its_place_unread(daemon: Pcscd) -> None:
    unknown = daemon.card(Unknown({}))
    unknown.insert()
    daemon.await_insertion()
    _snapshot, known = asyncio.run(identified(opensc(daemon)))
    assert (known.tokens, known.unread) == ((), {READER})


class Unknown(PivApplet):
    """A card that has none of the applications that are asked for."""

    def answer(self, command: bytes) -> bytes:
        return b"\x6a\x82"
