# SPDX-License-Identifier: LGPL-2.1-or-later
"""Watching processes that are not what they should be, and tokens that never go: no pcscd here."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pam_sc.card.presence import Way
from pam_sc.config.model import Configuration
from pam_sc.decision.monitoring import WatchBy
from pam_sc.errors import ConfigError
from pam_sc.monitor import watcher as watcher_module
from pam_sc.monitor.identifying import identify
from pam_sc.monitor.sight import Place, Snapshot, Source, Trouble
from pam_sc.monitor.watcher import Task, Watcher
from pam_sc.record import replace
from tests.support.card_worker import build_hostile_module
from tests.support.installation import own_folder
from tests.support.soft_token import SOFTHSM, SoftToken, certificate_of, key_of
from tests.support.watching import SOON_S, configuration, watched, watchers, write_watcher
from tests.support.worker_tree import installed_worker

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the watchers become another account")

_TALK = """
from pam_sc.card.messages import Kind, failed_frame, plain
from pam_sc.card.presence import Occupancy, Presence, Way, presence_frame
from pam_sc.frames import Channel, Frame, HEADER
raw = socket.socket(fileno=3)
channel = Channel(raw, 128 * 1024)
soon = time.monotonic() + 60
for _ in range({orders}):
    channel.receive(soon)
def places(*occupied, source=Way.PCSC, changes=1, key="reader"):
    return presence_frame(Presence(source, tuple(
        Occupancy(key=f"{{key}} {{n}}", description=key, occupied=one, changes=changes) for n, one in enumerate(occupied))))
def say(*frames):
    for frame in frames:
        channel.send(frame, soon)
    signal.pause()
"""
TALK = _TALK.format(orders=3)
NO_PYSCARD = """
sys.modules["smartcard"] = None  # as where it is not installed: the import is an ImportError
from pam_sc.card.watcher import run
os._exit(run(3, lambda uid, gid, groups, allow: None))
"""

FIRST_TALKS = """
try:
    os.close(os.open({mark!r}, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    from pam_sc.card.watcher import run
    os._exit(run(3, lambda uid, gid, groups, allow: None))
exec({talk!r})
say(plain(Kind.READY), places(False))
"""
"""The first process is PC/SC with an empty reader; those after it are what they should be."""


@pytest.fixture
def softhsm() -> Configuration:
    folder = own_folder("watching")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return configuration((SOFTHSM, token.environment))


def somewhere() -> Configuration:
    return configuration(("/nowhere/module.so", {}))


def lost_by(body: str, tmp_path: Path, *, way: Way = Way.PCSC, start_s: float = SOON_S, look_s: float = SOON_S) -> str:
    """Why a watcher that does this is given up."""
    task = Task(way=way, modules=(watcher_setup(),), run_as=None, poll_s=0.2, start_s=start_s, look_s=look_s)

    async def scene() -> str:
        why: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        watching = asyncio.create_task(Watcher(write_watcher(tmp_path, body), task).run(lambda _seen: None, why.set_result))
        told = await asyncio.wait_for(why, SOON_S)
        watching.cancel()
        await asyncio.wait([watching])
        assert not watchers()
        return told
    return asyncio.run(scene())


def watcher_setup() -> watcher_module.ModuleSetup:
    return watcher_module.ModuleSetup("/nowhere/module.so", {})


@pytest.mark.parametrize(("says", "why"), [
    ("os._exit(7)", "the watching process ended: status 7"),
    ("os.kill(os.getpid(), 11)", "the watching process ended: signal 11"),
    ("raw.sendall(b'x' * 64); signal.pause()", "talks nonsense: frame header is malformed"),
    ("raw.sendall(HEADER.pack(0x90, 1 << 30)); signal.pause()", "talks nonsense: frame of type 0x90 is too long"),
    ("say(places(True))", "talks nonsense: card message is malformed: type 0x90 from a watcher"),
    ("say(plain(Kind.READY), plain(Kind.READY))", "type 0x81 from a watcher"),
    ("say(plain(Kind.READY), plain(Kind.LOOKING))", "type 0x8f from a watcher"),
    ("say(plain(Kind.READY), places(True, source=Way.SLOTS))", "SLOTS in place of PCSC"),
    ("say(plain(Kind.READY), Frame(Kind.PRESENCE, (bytes([9]), b'')))", "9 is no way to watch"),
    ("say(plain(Kind.READY), places(True, key='\\x1b[2J'))", "a text is too long or holds control characters"),
    ("say(plain(Kind.READY), Frame(Kind.PRESENCE, (bytes([0]), b'\\0\\0\\0')))", "cut off in a length"),
    ("say(plain(Kind.READY), *[places(True, changes=n) for n in range(2000)])", "more than 1000 messages in 5 s"),
    ("say(failed_frame('lost', 'the reader service went'))", "the reader service went"),
    ("say(failed_frame('isolation', 'no seccomp'))", "no seccomp"),
])
def test_a_watcher_that_dies_or_talks_nonsense_is_given_up_with_the_reason(says: str, why: str, tmp_path: Path) -> None:
    assert why in lost_by(TALK + says, tmp_path)


@pytest.mark.parametrize("says", ["signal.pause()", "say(plain(Kind.READY))"])
def test_a_watcher_that_hangs_at_its_start_is_given_up(says: str, tmp_path: Path) -> None:
    assert lost_by(TALK + says, tmp_path, start_s=1.0) == "the watching process hangs: nothing came for 1 s"


def test_a_module_that_hangs_when_it_is_asked_is_given_up(tmp_path: Path) -> None:
    says = "say(plain(Kind.READY), places(True, source=Way.SLOTS), plain(Kind.LOOKING))"
    assert lost_by(TALK + says, tmp_path, way=Way.SLOTS, look_s=1.0) == "the watching process hangs: nothing came for 1 s"


def test_a_watcher_that_polls_and_stops_is_given_up(tmp_path: Path) -> None:
    says = "say(plain(Kind.READY), places(True, source=Way.POLLING))"
    assert "nothing came for 1.2 s" in lost_by(TALK + says, tmp_path, way=Way.SLOTS, look_s=1.0)


def test_a_watcher_that_cannot_be_started_is_trouble() -> None:
    async def scene() -> None:
        async with watched(somewhere(), worker="/nowhere/worker") as seen:
            assert await seen.next() == Trouble("cannot start /nowhere/worker: No such file or directory")
    asyncio.run(scene())


def test_an_outage_is_told_once_and_tried_again_in_growing_pauses(tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = f"with open({str(log)!r}, 'a') as file:\n    print(time.monotonic(), file=file)\nos._exit(1)"

    async def scene() -> list[float]:
        async with watched(somewhere(), worker=write_watcher(tmp_path, body)) as seen:
            assert await seen.next() == Trouble("the watching process ended: status 1")
            while len(started := log.read_text().split()) < 4:
                await asyncio.sleep(0.05)  # the log of another process has no event
            assert seen.told_meanwhile() == []
            return [float(at) for at in started]
    started = asyncio.run(scene())
    pauses = [after - before for before, after in itertools.pairwise(started)]
    assert pauses[0] >= 0.45 and pauses[1] >= 0.95 and pauses[2] >= 1.95


def test_pyscard_that_is_missing_leaves_it_to_the_slots(softhsm: Configuration, tmp_path: Path) -> None:
    async def scene() -> None:
        async with watched(softhsm, WatchBy.AUTO, write_watcher(tmp_path, NO_PYSCARD)) as seen:
            assert (await seen.snapshot()).source is Source.SLOTS
            assert (await seen.snapshot()).source is Source.POLLING  # it has no events, as it says when it is asked
            assert not [one for one in seen.all if isinstance(one, Trouble)]
    asyncio.run(scene())


def test_pyscard_that_is_missing_and_wanted_is_trouble(softhsm: Configuration, tmp_path: Path) -> None:
    async def scene() -> None:
        async with watched(softhsm, WatchBy.PCSC, write_watcher(tmp_path, NO_PYSCARD)) as seen:
            told = await seen.next()
            assert isinstance(told, Trouble)
            assert told.why.startswith("cannot use PC/SC: ")
    asyncio.run(scene())


def test_a_token_that_is_always_there_is_told_once_and_known_not_to_be_removable(softhsm: Configuration) -> None:
    """SoftHSM has no slot events; a second slot is there for a token that somebody may make."""
    async def scene() -> None:
        async with watched(softhsm, WatchBy.SLOTS) as seen:
            first = await seen.snapshot(lambda one: one.source is Source.POLLING)
            assert [place.occupied for place in first.places] == [True, True]
            await asyncio.sleep(1.0)  # five looks
            assert seen.told_meanwhile() == []
            known = await identify(softhsm, str(installed_worker()), first, 20.0)
            (token,) = known.tokens
            assert (token.place, token.removable, token.label) == (first.places[0].key, False, "login")
            assert token.certificates is not None and len(token.certificates) == 1
            assert (known.unread, known.failure) == (frozenset(), "")
    asyncio.run(scene())


def test_what_a_terminal_or_systemd_sends_to_all_processes_ends_no_watcher(softhsm: Configuration) -> None:
    async def scene() -> None:
        async with watched(softhsm, WatchBy.SLOTS) as seen:
            await seen.snapshot(lambda one: one.source is Source.POLLING)
            before = watchers()
            for pid, number in itertools.product(before, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
                os.kill(pid, number)
            await asyncio.sleep(1.0)  # five looks
            assert (seen.told_meanwhile(), watchers()) == ([], before)
    asyncio.run(scene())


def test_a_module_that_cannot_be_loaded_is_told_and_does_not_hide_the_other(softhsm: Configuration) -> None:
    (good,) = softhsm.token.modules
    (bad,) = somewhere().token.modules
    both = replace(softhsm, token=replace(softhsm.token, modules=(bad, good)))

    async def scene() -> None:
        async with watched(both, WatchBy.SLOTS) as seen:
            told = await seen.snapshot()
            troubles = [one for one in seen.all if isinstance(one, Trouble)]
            assert len(troubles) == 1
            assert "cannot see the slots" in troubles[0].why or "C_Initialize" in troubles[0].why
            assert {place.key.split(":")[0] for place in told.places} == {"1"}
    asyncio.run(scene())


class Hostile:
    """The hostile module around a token that is there while a file exists."""

    def __init__(self) -> None:
        folder = own_folder("watching")
        token = SoftToken.create(folder / "token")
        token.add(key_of("P-256"), certificate_of(key_of("P-256")))
        self.file = folder / "card"
        self.module = build_hostile_module(folder)
        self.environment = {**token.environment, "HOSTILE_REAL": SOFTHSM, "HOSTILE_TOKEN": str(self.file)}
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)

    def settings(self, faults: str) -> Configuration:
        return configuration((self.module, {**self.environment, "HOSTILE": faults}))


@pytest.fixture(scope="module")
def hostile() -> Hostile:
    return Hostile()


@pytest.mark.parametrize(("faults", "source"), [("events", Source.SLOTS), ("", Source.POLLING)])
def test_a_module_is_watched_by_its_events_or_polled(hostile: Hostile, faults: str, source: Source) -> None:
    async def scene() -> None:
        hostile.file.unlink(missing_ok=True)
        async with watched(hostile.settings(faults), WatchBy.SLOTS) as seen:
            empty = await seen.snapshot(lambda one: one.source is source)
            place = empty.places[0]
            assert not place.occupied
            hostile.file.touch()
            there = await seen.place(place.key, occupied=True)
            hostile.file.unlink()
            gone = await seen.place(place.key, occupied=False)
            assert place.changes < there.changes < gone.changes
    asyncio.run(scene())


@pytest.mark.parametrize("by", [WatchBy.AUTO, WatchBy.PCSC])
def test_a_key_that_is_no_reader_is_watched_by_its_slots_as_well(hostile: Hostile, tmp_path: Path, by: WatchBy) -> None:
    """PC/SC has an empty reader here, and the token with a driver of its own is the hostile module's."""
    worker = write_watcher(tmp_path, FIRST_TALKS.format(mark=str(tmp_path / "mark"), talk=TALK))

    async def scene() -> None:
        hostile.file.touch()
        settings = hostile.settings("events")
        async with watched(settings, by, worker) as seen:
            first = await seen.snapshot()
            known = await identify(settings, str(installed_worker()), first, 20.0)
            assert {(token.place, token.removable) for token in known.tokens} == {(None, True)}
            seen.seeing.know(known)
            seen.seeing.know(known)
            if by is WatchBy.PCSC:
                await asyncio.sleep(0.5)  # nothing is begun
                assert len(watchers()) == 1
                return
            both = await seen.snapshot(lambda one: len(one.places) > 1)
            assert (both.source, len(watchers())) == (Source.PCSC, 2)
            placed = await identify(settings, str(installed_worker()), both, 20.0)
            (token, *_) = placed.tokens
            assert token.place in {place.key for place in both.places}
            hostile.file.unlink()
            await seen.place(str(token.place), occupied=False)
    asyncio.run(scene())


def test_a_module_cannot_claim_that_there_is_nothing_to_watch_with(tmp_path: Path) -> None:
    says = "say(plain(Kind.READY), failed_frame('missing', 'no pyscard'))"
    assert lost_by(TALK + says, tmp_path, way=Way.SLOTS) == "no pyscard"


def test_a_module_that_crashes_while_it_is_watched_is_loaded_again(hostile: Hostile) -> None:
    async def scene() -> None:
        async with watched(hostile.settings("crash:C_WaitForSlotEvent"), WatchBy.SLOTS) as seen:
            assert (await seen.trouble()).why.startswith("the watching process ended: signal ")
    asyncio.run(scene())


def test_a_module_that_hangs_is_no_reason_to_hang(hostile: Hostile) -> None:
    place = Place(key="0:1", description="", occupied=True)
    snapshot = Snapshot(Source.SLOTS, (place,))
    began = time.monotonic()
    known = asyncio.run(identify(hostile.settings("hang:C_GetTokenInfo"), str(installed_worker()), snapshot, 1.0))
    hostile.file.touch()
    assert (known.tokens, known.unread, known.snapshot) == ((), frozenset({"0:1"}), snapshot)
    assert "did not answer in time" in known.failure or known.failure == ""
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("settings", "worker", "why"), [
    (somewhere, "/nowhere/worker", "/nowhere/worker"),
    # without a file of ours, which may lie in a clone that is closed to the account of the card process
    (lambda: configuration(("/nowhere/module.so", {"OPENSC_CONF": "/dev/null"})), None, "there is no such file"),
    (lambda: replace(somewhere(), token=replace(somewhere().token, run_as="nobody-at-all")), None, "nobody-at-all"),
])
def test_what_cannot_be_read_leaves_every_occupied_place_unread(
        settings: Callable[[], Configuration], worker: str | None, why: str) -> None:
    places = (Place(key="a", description="a", occupied=True), Place(key="b", description="b", occupied=False))
    known = asyncio.run(identify(settings(), worker or str(installed_worker()), Snapshot(Source.PCSC, places), 20.0))
    assert (known.tokens, known.unread) == ((), frozenset({"a"}))
    assert why in known.failure


def test_an_account_that_is_not_there_ends_watching_at_once() -> None:
    async def scene() -> None:
        settings = somewhere()
        async with watched(replace(settings, token=replace(settings.token, run_as="nobody-at-all"))):
            await asyncio.sleep(0.1)
    with pytest.raises((ConfigError, AssertionError), match="nobody-at-all"):
        asyncio.run(scene())


