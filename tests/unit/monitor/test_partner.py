# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket between the units, with real sockets: who may say what, and what hostile peers cannot do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pam_sc.errors import MonitorError, ProtocolError
from pam_sc.monitor import partner
from pam_sc.monitor.facts import Outcome, Side
from pam_sc.monitor.partner import CONNECTIONS_MAX, Meeting, Reception
from pam_sc.monitor.partner_link import Link, ask_status, connect
from pam_sc.monitor.partner_messages import LINE_MAX, Hello, Report, TellStatus, parse_request, request_line

ME = frozenset({os.getuid()})


class _Site:
    """A reception in a folder of the test's. Session "1" is this account's, "2" is somebody else's."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "monitor.sock")
        self.able = True
        self.meeting = Meeting()
        self.told: list[bool] = []
        self.changed = asyncio.Event()
        owners = {"1": os.getuid(), "2": os.getuid() + 1}
        self.reception = Reception(self.meeting, owners.get, lambda uid: {"for": uid}, lambda: self.able, self.path,
                                   owners=lambda: {4321})

    def hear(self, up: bool) -> None:
        self.told.append(up)
        self.changed.set()

    def link(self) -> Link:
        return Link(self.hear, self.path, ME)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def _open(folder: Path) -> AsyncIterator[_Site]:
    site = _Site(folder)
    await site.reception.open()
    try:
        yield site
    finally:
        await site.reception.close()


@asynccontextmanager
async def _linked(site: _Site) -> AsyncIterator[Link]:
    link = site.link()
    running = asyncio.ensure_future(link.run())
    await site.until(lambda: link.up)
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _say(path: str, line: bytes) -> dict[str, Any]:
    """Say one thing on a connection of its own; the answer, {} where the connection is closed without one."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    async with asyncio.timeout(10):
        answer = await reader.readline()
    writer.transport.abort()
    return json.loads(answer) if answer else {}


def test_a_user_unit_that_says_hello_is_present_until_it_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            assert not site.meeting.present(os.getuid())
            async with _linked(site):
                assert site.meeting.present(os.getuid())
                assert not site.meeting.present(os.getuid() + 1)
            async with asyncio.timeout(10):
                while site.meeting.present(os.getuid()):
                    await asyncio.sleep(0.01)  # nothing tells of the end of a connection at its other end

    asyncio.run(story())


def test_what_a_user_unit_reports_is_heard_by_whoever_waits_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            waiting = asyncio.ensure_future(site.meeting.outcome("1", 10))
            await link.report(Report(session="1", outcome=Outcome.LOCKED))
            assert await waiting is Outcome.LOCKED

    asyncio.run(story())


def test_a_report_that_came_before_it_was_asked_for_is_heard_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            await link.report(Report(session="1", outcome=Outcome.STARTED))
            assert await site.meeting.outcome("1", 10) is Outcome.STARTED
            assert await site.meeting.outcome("1", 0.01) is None

    asyncio.run(story())


def test_a_report_from_before_the_screen_was_unlocked_says_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            await link.report(Report(session="1", outcome=Outcome.LOCKED))
            site.meeting.forget("1")
            assert await site.meeting.outcome("1", 0.01) is None

    asyncio.run(story())


def test_a_report_is_judged_by_the_uid_that_the_kernel_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            monkeypatch.setattr(partner, "peer_uid", lambda _: os.getuid() + 1)
            other = await _say(site.path, request_line(Report(session="1", outcome=Outcome.LOCKED)))
            own = await _say(site.path, request_line(Report(session="2", outcome=Outcome.LOCKED)))
            assert other["error"] == "cannot take a report: the session is not of your account"
            assert "taken" in own
            assert await site.meeting.outcome("1", 0.01) is None
            assert await site.meeting.outcome("2", 0.01) is Outcome.LOCKED

    asyncio.run(story())


def test_status_is_told_for_the_account_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            monkeypatch.setattr(partner, "peer_uid", lambda _: 1234)
            assert await ask_status(site.path, ME) == {"for": 1234}
            monkeypatch.setattr(partner, "peer_uid", lambda _: 0)
            assert await ask_status(site.path, ME) == {"for": None}

    asyncio.run(story())


@pytest.mark.parametrize(("line", "why"), [
    (b"\x00\xff\xfe\n", "it is no JSON"),
    (b"[" * 4000 + b"\n", "it is no JSON"),
    (b"[]\n", "expected a version and one thing more"),
    (b'{"version":1}\n', "expected a version and one thing more"),
    (b'{"version":2,"hello":{}}\n', "version 1 is expected"),
    (b'{"version":true,"hello":{}}\n', "expected a version and one thing more"),
    (b'{"version":1,"hello":[]}\n', "an object is expected"),
    (b'{"version":1,"lock":{}}\n', "no such request"),
    (b'{"version":1,"hello":{"uid":0}}\n', "no such request"),
    (b'{"version":1,"report":{"session":"../1","outcome":"locked"}}\n', "it names no session"),
    (b'{"version":1,"report":{"session":"1","outcome":"unlocked"}}\n', "no such outcome"),
    (b'{"version":1,"report":{"session":"1","outcome":"locked","detail":7}}\n', "its detail is no text"),
    (b"x" * (2 * LINE_MAX) + b"\n", f"more than {LINE_MAX} bytes"),
])  # fmt: skip
def test_what_the_protocol_does_not_allow_is_answered_with_why_and_ends_the_connection(
    tmp_path: Path, line: bytes, why: str
) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            reader, writer = await asyncio.open_unix_connection(site.path)
            writer.write(line)
            async with asyncio.timeout(10):
                said = json.loads(await reader.readline())
                assert why in said["error"]
                with pytest.raises((ConnectionResetError, AssertionError)):
                    assert await reader.read(1) != b""
            writer.transport.abort()

    asyncio.run(story())


def test_an_account_has_a_greatest_number_of_connections_and_another_is_not_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            many = [await asyncio.open_unix_connection(site.path) for _ in range(CONNECTIONS_MAX)]
            refused = [await asyncio.open_unix_connection(site.path) for _ in range(200)]
            for reader, _ in refused:
                with pytest.raises((ConnectionResetError, AssertionError)):
                    assert await reader.read(1) != b""
            with pytest.raises(MonitorError):
                await ask_status(site.path, ME)
            monkeypatch.setattr(partner, "peer_uid", lambda _: 4321)
            assert await ask_status(site.path, ME) == {"for": 4321}
            for _, writer in (*many, *refused):
                writer.transport.abort()

    asyncio.run(story())


@pytest.mark.parametrize(("uid", "is_let_in"), [(0, True), (4321, True), (4322, False)])
def test_strangers_with_many_uids_do_not_keep_out_who_has_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, is_let_in: bool
) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            uids = count(100_000)
            monkeypatch.setattr(partner, "peer_uid", lambda _: next(uids))
            many = [await asyncio.open_unix_connection(site.path) for _ in range(600)]
            monkeypatch.setattr(partner, "peer_uid", lambda _: uid)
            with nullcontext() if is_let_in else pytest.raises(MonitorError):
                assert await ask_status(site.path, ME) == {"for": uid or None}
            for _, writer in many:
                writer.transport.abort()

    asyncio.run(story())


def test_who_says_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner, "_FIRST_LINE_S", 0.05)

    async def story() -> None:
        async with _open(tmp_path) as site:
            reader, writer = await asyncio.open_unix_connection(site.path)
            writer.write(b'{"version":1,')  # and never the rest
            async with asyncio.timeout(10):
                with pytest.raises((ConnectionResetError, AssertionError)):
                    assert await reader.read(1) != b""
            writer.transport.abort()

    asyncio.run(story())


def test_who_does_not_read_is_cut_off_and_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner, "_ANSWER_S", 0.05)

    async def story() -> None:
        async with _open(tmp_path) as site:
            site.reception._status = lambda _: "x" * 4_000_000
            reader, writer = await asyncio.open_unix_connection(site.path, limit=16)
            writer.write(request_line(TellStatus()) * 100)
            async with asyncio.timeout(10):
                assert "welcome" in await _say(site.path, request_line(Hello()))
                while site.reception._connections:
                    await asyncio.sleep(0.01)  # nothing tells of the end of somebody else's connection
            del reader
            writer.transport.abort()

    asyncio.run(story())


def test_beside_an_able_system_unit_a_user_unit_does_its_own_part(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            assert await link.side() is Side.USER
            site.able = False
            assert await link.side() is Side.ALONE

    asyncio.run(story())


def test_without_a_system_unit_a_user_unit_does_everything(tmp_path: Path) -> None:
    async def story() -> None:
        assert await _Site(tmp_path).link().side() is Side.ALONE

    asyncio.run(story())


def test_a_user_unit_that_ends_does_not_say_that_the_system_unit_has_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            async with _linked(site) as link:
                assert site.told == [True]
            assert (site.told, link.up, link.losses) == ([True], False, 0)

    asyncio.run(story())


def test_a_system_unit_that_goes_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            await site.reception.close()
            await site.until(lambda: not link.up)
            assert (site.told, link.losses) == ([True, False], 1)

    asyncio.run(story())


def test_a_system_unit_that_came_meanwhile_is_met_when_it_matters(tmp_path: Path) -> None:
    async def story() -> None:
        site = _Site(tmp_path)
        link = site.link()
        running = asyncio.ensure_future(link.run())
        assert await link.side() is Side.ALONE
        await site.reception.open()
        assert await link.side() is Side.USER
        running.cancel()
        await site.reception.close()

    asyncio.run(story())


def test_a_system_unit_that_hangs_leaves_everything_to_the_user_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            monkeypatch.setattr(site.reception, "_answer", lambda _uid, _request: b"")
            assert await link.side() is Side.ALONE

    asyncio.run(story())


def test_a_lost_connection_is_counted_told_and_made_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site, _linked(site) as link:
            await site.reception.close()
            await site.until(lambda: not link.up)
            assert (site.told, link.losses) == ([True, False], 1)
            site.reception = _Site(tmp_path).reception
            await site.reception.open()
            await site.until(lambda: link.up)

    asyncio.run(story())


def test_a_socket_that_anybody_else_listens_at_is_not_believed(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            with pytest.raises(MonitorError, match="cannot believe the socket"):
                await connect(site.path, frozenset({os.getuid() + 1}))

    asyncio.run(story())


def test_a_second_monitor_does_not_take_the_socket_of_one_that_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with _open(tmp_path) as site:
            with pytest.raises(MonitorError, match="another monitor runs"):
                await _Site(tmp_path).reception.open()
            assert await ask_status(site.path, ME)

    asyncio.run(story())


def test_a_socket_that_a_killed_monitor_left_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        site = _Site(tmp_path)
        await site.reception.open()
        assert site.reception._listening is not None
        asyncio.get_running_loop().remove_reader(site.reception._listening)
        site.reception._listening.close()  # the file stays, as after a kill
        again = _Site(tmp_path)
        await again.reception.open()
        assert oct(os.stat(again.path).st_mode & 0o777) == "0o666"
        await again.reception.close()
        Path(again.path).write_text("a file")
        with pytest.raises(MonitorError, match="it is no socket"):
            await again.reception.open()

    asyncio.run(story())


def test_a_request_survives_its_line() -> None:
    for request in (Hello(), TellStatus(), Report(session="c1", outcome=Outcome.LOCKED, detail="seen")):
        assert parse_request(request_line(request)) == request
    with pytest.raises(ProtocolError, match="it has no end"):
        parse_request(request_line(Hello())[:-1])
