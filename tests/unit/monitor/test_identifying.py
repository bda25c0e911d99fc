# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which reported token is in which place of a snapshot."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    Failure,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.reasons import Reason
from pam_sc.monitor import identifying
from pam_sc.monitor.identifying import identify, match_tokens
from pam_sc.monitor.sight import Identified, Place, Snapshot, Source
from pam_sc.record import replace

LONG = "Example Maker Smart Card Reader with Contactless Interface [CCID] 00"
"""68 characters: a slot description has room for 64."""
UNREADABLE = Failure(Reason.TOKEN_UNREADABLE, "C_GetTokenInfo: CKR_DEVICE_ERROR")


def token(slot: int = 1, module: int = 0, **more: object) -> TokenReport:
    ref = TokenRef(module, slot)
    der = CertificateReport(ref=CertificateRef(ref, 0), der=b"certificate")
    return replace(TokenReport(ref=ref, label="alice", serial="1", certificates=(der,)), **more)


def slot(description: str, number: int = 1, **more: object) -> SlotReport:
    made = SlotReport(slot_id=number, description=description, removable=True, occupied=True, token=token(number))
    return replace(made, **more)


def matched(source: Source, places: tuple[Place, ...], *slots: SlotReport, **module: object) -> Identified:
    report = CardReport((replace(ModuleReport(index=0, path="/m.so", slots=slots), **module),))
    return match_tokens(Snapshot(source, places), report)


def reader(name: str, *, occupied: bool = True) -> Place:
    return Place(key=name, description=name, occupied=occupied)


def test_a_slot_belongs_to_the_reader_that_it_is_named_after() -> None:
    known = matched(Source.PCSC, (reader("B 00"), reader("A 00")), slot("A 00"))
    assert [one.place for one in known.tokens] == ["A 00"]
    assert known.unread == {"B 00"}


@pytest.mark.parametrize("name", ["A 00 ", " A 00", "A 01", "A 0", "a 00", ""])
def test_a_slot_with_nearly_the_name_belongs_to_no_reader(name: str) -> None:
    known = matched(Source.PCSC, (reader("A 00"),), slot(name))
    assert ([one.place for one in known.tokens], known.unread) == ([None], {"A 00"})


@pytest.mark.parametrize("name", [LONG, LONG[:64], (LONG[:63] + "é" + "x").encode()[:64].decode("utf-8", "replace")])
def test_the_name_of_a_reader_may_be_cut(name: str) -> None:
    whole = LONG[:63] + "é" + "x" if name.endswith("\ufffd") else LONG
    assert matched(Source.PCSC, (reader(whole),), slot(name)).tokens[0].place == whole


def test_a_reader_with_blanks_at_its_end_is_the_same() -> None:
    assert matched(Source.PCSC, (reader("A 00  "),), slot("A 00")).tokens[0].place == "A 00  "


def test_two_readers_that_are_cut_alike_are_told_apart_by_which_has_a_card() -> None:
    one, other = reader(LONG), reader(LONG[:-1] + "1", occupied=False)
    known = matched(Source.PCSC, (other, one), slot(LONG[:64]))
    assert (known.tokens[0].place, known.unread) == (LONG, frozenset())


def test_two_readers_that_are_cut_alike_and_both_have_a_card_are_unread() -> None:
    one, other = reader(LONG), reader(LONG[:-1] + "1")
    known = matched(Source.PCSC, (one, other), slot(LONG[:64]), slot(LONG[:64], 2))
    assert ([token.place for token in known.tokens], known.unread) == ([None, None], {one.key, other.key})


def test_two_slots_of_one_reader_are_both_in_it() -> None:
    known = matched(Source.PCSC, (reader("A 00"),), slot("A 00", 1), slot("A 00", 2))
    assert ([one.place for one in known.tokens], known.unread) == (["A 00", "A 00"], frozenset())


def test_a_second_slot_that_cannot_be_read_does_not_make_the_reader_unread() -> None:
    known = matched(Source.PCSC, (reader("A 00"),), slot("A 00", 1), slot("A 00", 2, token=None, failure=UNREADABLE))
    assert known.unread == frozenset()


def test_a_slot_that_cannot_be_read_leaves_its_reader_unread() -> None:
    assert matched(Source.PCSC, (reader("A 00"),), slot("A 00", token=None, failure=UNREADABLE)).unread == {"A 00"}


def test_a_token_without_content_was_read() -> None:
    assert matched(Source.PCSC, (reader("A 00"),), slot("A 00", token=None)).unread == frozenset()


def test_a_slot_that_is_empty_by_now_was_not_read() -> None:
    assert matched(Source.PCSC, (reader("A 00"),), slot("A 00", token=None, occupied=False)).unread == {"A 00"}


def test_a_reader_without_a_card_is_not_unread() -> None:
    assert matched(Source.PCSC, (reader("A 00", occupied=False),)).unread == frozenset()


def test_watched_by_slots_the_number_counts_and_not_the_name() -> None:
    places = (Place(key="0:7", description="A 00", occupied=True), Place(key="1:8", description="B 00", occupied=True))
    known = matched(Source.SLOTS, places, slot("B 00", 7))
    assert ([one.place for one in known.tokens], known.unread) == (["0:7"], {"1:8"})


@pytest.mark.parametrize("number", [8, 70, 0])
def test_watched_by_slots_another_number_is_no_place(number: int) -> None:
    places = (Place(key="0:7", description="A 00", occupied=True),)
    assert matched(Source.POLLING, places, slot("A 00", number)).tokens[0].place is None


def test_the_certificates_are_known_by_their_hash() -> None:
    known = matched(Source.PCSC, (reader("A 00"),), slot("A 00"))
    assert known.tokens[0].certificates == {hashlib.sha256(b"certificate").hexdigest()}
    assert (known.tokens[0].label, known.tokens[0].serial, known.tokens[0].removable) == ("alice", "1", True)


_BROKEN = CertificateReport(ref=CertificateRef(TokenRef(0, 1), 1), der=b"",
                            failure=Failure(Reason.CERTIFICATE_UNREADABLE, "empty"))


@pytest.mark.parametrize("one", [
    token(certificates=()), token(failure=UNREADABLE), token(certificates=(*token().certificates, _BROKEN)),
], ids=["none is shown", "they cannot be listed", "one cannot be read"])
def test_certificates_that_were_not_all_read_are_not_known(one: TokenReport) -> None:
    assert matched(Source.PCSC, (reader("A 00"),), slot("A 00", token=one)).tokens[0].certificates is None


def test_a_token_that_cannot_be_taken_away_is_known_as_such() -> None:
    assert not matched(Source.SLOTS, (), slot("SoftHSM", removable=False)).tokens[0].removable


def test_a_module_that_does_not_work_is_a_failure_of_all() -> None:
    failure = Failure(Reason.MODULE_UNUSABLE, "no such file")
    known = matched(Source.PCSC, (reader("A 00"),), failure=failure)
    assert (known.tokens, known.unread, known.failure) == ((), {"A 00"}, "no such file")


def test_a_module_that_does_not_work_beside_one_that_does_is_none() -> None:
    broken = ModuleReport(index=0, path="/m.so", failure=Failure(Reason.MODULE_UNUSABLE, "no such file"))
    works = ModuleReport(index=1, path="/n.so", slots=(slot("A 00"),))
    known = match_tokens(Snapshot(Source.PCSC, (reader("A 00"),)), CardReport((broken, works)))
    assert (len(known.tokens), known.unread, known.failure) == (1, frozenset(), "")


def test_a_slot_that_is_watched_beside_pcsc_is_its_own_place() -> None:
    places = (reader("A 00"), Place(key="0:7", description="A key", occupied=True))
    known = matched(Source.PCSC, places, slot("A key", 7), slot("A 00", 1))
    assert ([one.place for one in known.tokens], known.unread) == (["0:7", "A 00"], frozenset())


def test_a_token_says_which_module_shows_it() -> None:
    works = ModuleReport(index=1, path="/n.so", slots=(slot("A 00", token=token(module=1)),))
    known = match_tokens(Snapshot(Source.PCSC, ()), CardReport((ModuleReport(index=0, path="/m.so"), works)))
    assert [(one.module, one.place) for one in known.tokens] == [(1, None)]


def test_accounts_that_hang_in_a_directory_do_not_keep_a_card_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration: Any = None
    there = Snapshot(Source.PCSC, ())
    monkeypatch.setattr(identifying, "_read", lambda *_: CardReport(()))
    answers = threading.Event()

    async def story() -> Identified:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
        hanging = asyncio.ensure_future(asyncio.to_thread(answers.wait, 20.0))
        await asyncio.sleep(0)
        try:
            return await identify(configuration, "worker", there, 0.5)
        finally:
            answers.set()
            await hanging

    assert asyncio.run(story()) == Identified(there, (), frozenset())
