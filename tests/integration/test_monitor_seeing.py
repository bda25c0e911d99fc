# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cards that come and go, as the monitor's watching processes see them: pcscd, OpenSC, a card in a virtual reader."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pam_sc.config.model import Configuration
from pam_sc.decision.monitoring import WatchBy
from pam_sc.monitor.sight import Snapshot, Source, Trouble
from tests.support import namespace
from tests.support.installation import own_folder
from tests.support.pcscd import READER, SECOND_READER, Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority
from tests.support.watching import SOON_S, configuration, watched, watchers

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not namespace.is_available(), reason="needs root and the right to make namespaces"),
]

IDLE_S = 5.0
"""How long it is looked whether nothing happens."""


@pytest.fixture
def daemon() -> Iterator[Pcscd]:
    folder = own_folder("watching")
    with Pcscd(folder / "run", folder / "pcscd") as made:
        yield made


@pytest.fixture
def piv(daemon: Pcscd) -> VirtualCard:
    return daemon.card(applet())


def applet() -> PivApplet:
    return PivApplet({0x9A: CertificateAuthority().issue(key="p256")})


def opensc(daemon: Pcscd) -> Configuration:
    return configuration((opensc_module(), daemon.environment))


async def do(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


def switches(pid: int) -> dict[str, str]:
    """How often a process was switched to and from, and what it has used."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    counted = {line.split(":")[0]: line.split(":")[1].strip() for line in status if "ctxt_switches" in line}
    return {**counted, "ran": Path(f"/proc/{pid}/schedstat").read_text()}


@pytest.mark.parametrize(("by", "source"), [(WatchBy.AUTO, Source.PCSC), (WatchBy.SLOTS, Source.SLOTS),
                                            (WatchBy.POLL, Source.POLLING)])
def test_a_card_is_seen_to_come_and_go(daemon: Pcscd, piv: VirtualCard, by: WatchBy, source: Source) -> None:
    async def scene() -> None:
        async with watched(opensc(daemon), by) as seen:
            before = await seen.snapshot(lambda one: READER in {place.description for place in one.places})
            assert (before.source, seen.seeing.source) == (source, source)
            (key,) = (place.key for place in before.places if place.description == READER)
            assert not any(place.occupied for place in before.places)
            await do(piv.insert)
            there = await seen.place(key, occupied=True)
            await do(piv.remove)
            gone = await seen.place(key, occupied=False)
            assert there.changes < gone.changes
            assert not [one for one in seen.all if isinstance(one, Trouble)]
    asyncio.run(scene())


def test_a_card_that_is_there_before_is_in_the_first_snapshot(daemon: Pcscd, piv: VirtualCard) -> None:
    async def scene() -> None:
        await do(piv.insert)
        await do(daemon.await_insertion)
        async with watched(opensc(daemon)) as seen:
            first = await seen.next()
            assert isinstance(first, Snapshot)
            assert [(place.key, place.occupied) for place in first.places] == [(READER, True), (SECOND_READER, False)]
    asyncio.run(scene())


def test_two_readers_are_told_apart(daemon: Pcscd, piv: VirtualCard) -> None:
    async def scene() -> None:
        other = daemon.card(applet(), SECOND_READER)
        await do(piv.insert)
        await do(daemon.await_insertion)
        async with watched(opensc(daemon)) as seen:
            first = await seen.snapshot()
            await do(other.insert)
            await seen.place(SECOND_READER, occupied=True)
            await do(other.remove)
            await seen.place(SECOND_READER, occupied=False)
            after = await_last(seen.all)
            assert after.places[0] == first.places[0]
            await do(piv.remove)
            await seen.place(READER, occupied=False)
    asyncio.run(scene())


def await_last(told: list[Snapshot | Trouble]) -> Snapshot:
    assert isinstance(told[-1], Snapshot)
    return told[-1]


@pytest.mark.slow
def test_a_hundred_quick_insertions_and_removals_are_all_counted() -> None:
    """Each is seen by pcscd before the next begins; whether the monitor was quick enough to see them singly is left open."""
    folder = own_folder("watching")
    with Pcscd(folder / "run", folder / "pcscd", quick=True) as daemon:
        count_quick_changes(daemon, daemon.card(applet()))


def count_quick_changes(daemon: Pcscd, piv: VirtualCard) -> None:
    def shuffle() -> None:
        for _ in range(50):
            piv.insert()
            daemon.await_insertion()
            piv.remove()
            daemon.await_removal()

    async def scene() -> None:
        async with watched(opensc(daemon)) as seen:
            before = (await seen.snapshot()).places[0]
            await do(shuffle)
            while (last := await seen.snapshot()).places[0].changes < before.changes + 100:
                pass
            assert (last.places[0].changes, last.places[0].occupied) == (before.changes + 100, False)
            assert not [one for one in seen.all if isinstance(one, Trouble)]
    asyncio.run(scene())


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.POLL])
def test_a_card_that_was_out_while_the_watcher_did_not_run_shows_in_the_count(
        daemon: Pcscd, piv: VirtualCard, by: WatchBy) -> None:
    def swap() -> None:
        piv.remove()
        daemon.await_removal()
        piv.insert()
        daemon.await_insertion()

    async def scene() -> None:
        await do(piv.insert)
        await do(daemon.await_insertion)
        async with watched(opensc(daemon), by) as seen:
            before = await seen.snapshot(lambda one: any(place.occupied for place in one.places))
            (place,) = (place for place in before.places if place.occupied)
            (pid,) = watchers()
            os.kill(pid, signal.SIGSTOP)
            await do(swap)
            os.kill(pid, signal.SIGCONT)
            after = await seen.snapshot(lambda one: any(place.occupied for place in one.places))
            assert next(now for now in after.places if now.key == place.key).changes > place.changes
    asyncio.run(scene())


def test_nothing_wakes_while_nothing_happens(daemon: Pcscd, piv: VirtualCard) -> None:
    async def scene() -> None:
        await do(piv.insert)
        await do(daemon.await_insertion)
        async with watched(opensc(daemon)) as seen:
            await seen.place(READER, occupied=True)
            (pid,) = watchers()
            await asyncio.sleep(0.5)  # until it waits
            commands, before = len(piv.applet.log), switches(pid)
            await asyncio.sleep(IDLE_S)
            assert switches(pid) == before
            assert len(piv.applet.log) == commands
            assert seen.told_meanwhile() == []
    asyncio.run(scene())


def test_no_command_goes_to_a_card_that_comes_and_goes(daemon: Pcscd, piv: VirtualCard) -> None:
    async def scene() -> None:
        async with watched(opensc(daemon)) as seen:
            await seen.snapshot()
            await do(piv.insert)
            await seen.place(READER, occupied=True)
            await do(piv.remove)
            await seen.place(READER, occupied=False)
            assert piv.applet.log == []
    asyncio.run(scene())


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.SLOTS, WatchBy.POLL])
def test_a_reader_service_that_was_killed_is_found_again(daemon: Pcscd, piv: VirtualCard, by: WatchBy) -> None:
    async def scene() -> None:
        async with watched(opensc(daemon), by) as seen:
            await do(piv.insert)
            before = await seen.snapshot(lambda one: any(place.occupied for place in one.places))
            (place,) = (place for place in before.places if place.occupied)
            await do(daemon.kill)
            if by is WatchBy.AUTO:
                assert "PC/SC" in (await seen.trouble()).why
                assert seen.seeing.source is None
            else:  # a module does not say why its readers are gone
                await seen.snapshot(lambda one: not any(place.occupied for place in one.places))
            await do(daemon.start)
            await do(piv.insert)
            after = await seen.place(place.key, occupied=True)
            assert after.changes > place.changes
            assert len([one for one in seen.all if isinstance(one, Trouble)]) == (by is WatchBy.AUTO)
    asyncio.run(scene())


def test_a_reader_service_that_comes_later_is_found(tmp_path: Path) -> None:
    folder = own_folder("watching")
    (folder / "run").mkdir()
    settings = configuration((opensc_module(), {"PCSCLITE_CSOCK_NAME": str(folder / "run/pcscd/pcscd.comm")}))

    async def scene() -> None:
        async with watched(settings) as seen:
            assert isinstance(await seen.next(), Trouble)
            daemon = await asyncio.to_thread(Pcscd, folder / "run", folder / "pcscd")
            try:
                assert READER in {place.key for place in (await seen.snapshot()).places}
                assert len(seen.all) == 2
            finally:
                await do(daemon.stop)
    asyncio.run(scene())


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.SLOTS])
def test_a_watcher_that_was_killed_is_begun_anew(daemon: Pcscd, piv: VirtualCard, by: WatchBy) -> None:
    async def scene() -> None:
        await do(piv.insert)
        await do(daemon.await_insertion)
        async with watched(opensc(daemon), by) as seen:
            before = await seen.snapshot()
            (pid,) = watchers()
            os.kill(pid, signal.SIGKILL)
            assert (await seen.next()) == Trouble("the watching process ended: signal 9")
            after = await seen.next()
            assert isinstance(after, Snapshot)
            assert [place.key for place in after.places] == [place.key for place in before.places]
            assert all(now.changes > then.changes for now, then in zip(after.places, before.places, strict=True))
            assert pid not in watchers()
    asyncio.run(scene())


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.SLOTS])
def test_a_watcher_that_waits_dies_with_its_parent(daemon: Pcscd, piv: VirtualCard, by: WatchBy) -> None:
    """The parent here is a process of its own that is killed as soon as its watcher waits."""
    def ends(parent: int, child: int) -> None:
        handle = os.pidfd_open(child)
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        deadline = time.monotonic() + SOON_S
        import select

        assert select.select([handle], [], [], deadline - time.monotonic())[0], "the watcher outlived its parent"

    async def until_told() -> int:
        async with watched(opensc(daemon), by) as seen:
            await seen.snapshot()
            await asyncio.sleep(0.5)  # until it waits
            (pid,) = watchers()
            os.write(pipe[1], pid.to_bytes(4))
            await asyncio.sleep(SOON_S)
            return 0

    pipe = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            asyncio.run(until_told())
        finally:
            os._exit(1)
    os.close(pipe[1])
    child = int.from_bytes(os.read(pipe[0], 4))
    os.close(pipe[0])
    assert child
    ends(parent, child)


def test_a_watcher_is_confined_and_is_not_root(daemon: Pcscd) -> None:
    async def scene() -> None:
        for by in (WatchBy.AUTO, WatchBy.SLOTS):
            async with watched(opensc(daemon), by) as seen:
                await seen.snapshot()
                (pid,) = watchers()
                status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                assert "0" not in status["Uid"].split()
                assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
                assert int(status["CapEff"], 16) == 0
    asyncio.run(scene())


def test_no_process_is_left_when_watching_ends(daemon: Pcscd) -> None:
    async def scene() -> None:
        async with watched(opensc(daemon)) as seen:
            await seen.snapshot()
            assert watchers()
        assert not watchers()
    asyncio.run(scene())
