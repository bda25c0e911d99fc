# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cards of sessions are told when they change, by the kernel; only people's sessions at this machine are watched."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import SessionFacts
from pam_sc.monitor.sessions import Cards, SessionWatch, Where, find_watched
from pam_sc.record import replace
from pam_sc.session import SessionCard, session_card_text
from tests.support.play import play

SOON_S = 10.0
CARD = SessionCard(
    uid=1000, account="alice", service="login", label="PIV", serial="01", manufacturer="m", model="PKCS#15",
    certificate_sha256="ab" * 32, session="3",
)  # fmt: skip
FACTS = SessionFacts(
    id="3", path="/org/freedesktop/login1/session/_33", uid=1000, account="alice", type="wayland", session_class="user",
    remote=False, state="active", tty="tty2", display="", locked=False,
)  # fmt: skip


class Desk:
    """The folders, and a watch on them that puts what it tells into a queue."""

    def __init__(self, at: Path) -> None:
        self.above, self.folder, self.logind = at / "run", at / "run" / "pam_sc" / "sessions", at / "logind"
        self.above.mkdir()
        self.logind.mkdir()
        self.told: asyncio.Queue[Cards] = asyncio.Queue()

    def put(self, card: SessionCard = CARD) -> Path:
        """Write a file as the shim does: whole under another name, then renamed."""
        (self.logind / card.session).write_text(f"UID={card.uid}\n")
        draft = self.folder / f".{card.session}0123"
        draft.write_text(session_card_text(card))
        draft.chmod(0o640)
        return draft.rename(self.folder / f"{card.session}.json")

    @contextmanager
    def watch(self, uid: int | None = None, **more: Any) -> Iterator[SessionWatch]:
        where = Where(folder=str(self.folder), logind=str(self.logind), owner=os.getuid())
        watch = SessionWatch(self.told.put_nowait, uid, where, **more)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop()

    async def next_cards(self) -> list[str]:
        """The sessions that are told next."""
        async with asyncio.timeout(SOON_S):
            return [card.session for card in await self.told.get()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.folder.mkdir(parents=True)
    return made


def played(desk: Desk, follow: Callable[[], Awaitable[Any]], uid: int | None = None) -> Any:
    """What the coroutine function returns, with a watch on the desk."""
    async def whole() -> Any:
        with desk.watch(uid) as watch:
            assert watch.untold == ""
            return await follow()
    return play(whole())


def test_what_is_there_is_told_at_once(desk: Desk) -> None:
    desk.put()
    assert played(desk, desk.next_cards) == ["3"]


def test_a_new_card_and_one_that_goes_are_told(desk: Desk) -> None:
    async def follow() -> list[list[str]]:
        told = [await desk.next_cards()]
        path = desk.put()
        told.append(await desk.next_cards())
        path.unlink()
        return [*told, await desk.next_cards()]
    assert played(desk, follow) == [[], ["3"], []]


def test_a_folder_that_is_made_later_is_watched(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def follow() -> list[list[str]]:
        told = [await desk.next_cards()]
        desk.folder.parent.mkdir()
        await asyncio.sleep(0)
        desk.folder.mkdir()
        desk.put()
        told.append(await desk.next_cards())
        desk.put(replace(CARD, session="c4"))
        return [*told, await desk.next_cards()]
    assert played(desk, follow) == [[], ["3"], ["3", "c4"]]


def test_a_folder_that_is_replaced_is_watched_anew(desk: Desk) -> None:
    desk.put()

    async def follow() -> list[list[str]]:
        told = [await desk.next_cards()]
        shutil.rmtree(desk.folder)
        told.append(await desk.next_cards())
        desk.folder.mkdir()
        desk.put(replace(CARD, session="c5"))
        told.append(await desk.next_cards())
        desk.folder.rename(desk.folder.with_name("old"))
        told.append(await desk.next_cards())
        desk.folder.mkdir()
        desk.put()
        return [*told, await desk.next_cards()]
    assert played(desk, follow) == [["3"], [], ["c5"], [], ["3"]]


def test_a_session_that_logind_has_no_more_counts_as_none_at_the_next_look(desk: Desk) -> None:
    desk.put()

    async def whole() -> list[list[str]]:
        with desk.watch() as watch:
            told = [await desk.next_cards()]
            (desk.logind / "3").unlink()
            watch.look()
            assert watch.cards == ()
            return [*told, await desk.next_cards()]
    assert play(whole()) == [["3"], []]


def test_what_changes_nothing_is_not_told(desk: Desk) -> None:
    async def follow() -> list[list[str]]:
        told = [await desk.next_cards()]
        (desk.folder / "x.json").write_text("no card")
        (desk.folder / "x.json").unlink()
        desk.put(replace(CARD, uid=1001))
        desk.put(replace(CARD, session="4"))
        return [*told, await desk.next_cards()]
    assert played(desk, follow, uid=1000) == [[], ["4"]]


def test_many_changes_at_once_end_in_what_is_there(desk: Desk) -> None:
    names = [f"c{number}" for number in range(50)]

    async def follow() -> list[str]:
        for name in names:
            desk.put(replace(CARD, session=name))
            (desk.folder / f"{name}.json").unlink()
        desk.put()
        while (told := await desk.next_cards()) != ["3"]:
            pass
        return told
    assert played(desk, follow) == ["3"]


def test_after_it_was_stopped_a_change_does_no_harm(desk: Desk) -> None:
    async def whole() -> bool:
        with desk.watch():
            await desk.next_cards()
            desk.put()
        desk.put(replace(CARD, session="4"))
        os.kill(os.getpid(), signal.SIGIO)  # without a handler the kernel would end us
        return desk.told.empty()
    assert play(whole())


def test_a_kernel_that_cannot_tell_is_reported_and_the_folder_looked_at(desk: Desk) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    async def whole() -> tuple[str, list[list[str]]]:
        with desk.watch(ask=refuse, untold_s=0.05) as watch:
            told = [await desk.next_cards()]
            desk.put()
            return watch.untold, [*told, await desk.next_cards()]
    why, told = play(whole())
    assert why == f"the kernel does not tell of changes in {desk.folder}: Invalid argument"
    assert told == [[], ["3"]]


def test_what_cannot_be_seen_is_complained_of_once_each_time(desk: Desk) -> None:
    said: list[str] = []

    async def whole() -> None:
        with desk.watch(ask=_refuse, untold_s=60.0, complain=said.append) as watch:
            watch.look()

    play(whole())
    assert said == [f"the kernel does not tell of changes in {desk.folder}: Invalid argument; it is looked at every 60 s"]


def _refuse(_descriptor: int) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


class Known:
    """A logind that has one answer."""

    def __init__(self, answer: SessionFacts | MonitorError | None) -> None:
        self._answer = answer

    async def session(self, session: str) -> SessionFacts | None:
        assert session == CARD.session
        if isinstance(self._answer, MonitorError):
            raise self._answer
        return self._answer


def test_a_persons_session_is_watched() -> None:
    assert play(find_watched([CARD], Known(FACTS))) == ((CARD, FACTS),)


@pytest.mark.parametrize("facts", [
    None, replace(FACTS, session_class="greeter"), replace(FACTS, session_class="background"), replace(FACTS, remote=True),
    replace(FACTS, state="closing"), replace(FACTS, uid=1001),
], ids=["none", "greeter", "background", "remote", "closing", "of another account"])  # fmt: skip
def test_what_is_no_persons_session_or_not_the_files_is_not(facts: SessionFacts | None) -> None:
    assert play(find_watched([CARD], Known(facts))) == ()


def test_a_logind_that_does_not_answer_is_an_error_and_no_session_less() -> None:
    with pytest.raises(MonitorError, match="gone"):
        play(find_watched([CARD], Known(MonitorError("gone"))))
