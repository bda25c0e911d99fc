# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the monitor asks of logind and hears from it: a real one with a real polkit, and one with faults no real one has."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call, new_signal

from pam_sc.errors import MonitorError
from pam_sc.monitor.logind import (
    Asleep,
    Awake,
    Logind,
    LogindLost,
    SessionCame,
    SessionWent,
    Unlocked,
    opened,
)
from tests.support.fake_logind import FakeLogind, silence
from tests.support.installation import installed_for_all
from tests.support.login1 import NAME, PATH, Login1, SessionSpec
from tests.support.play import play

pytestmark = pytest.mark.root

ALICE, BOB, MONITOR = 4001, 4002, 4103
SESSIONS = [
    SessionSpec(id="c1", uid=ALICE, display=":0"), SessionSpec(id="3", uid=BOB, type="tty", tty="tty3"),
    SessionSpec(id="c7", uid=BOB, session_class="greeter"), SessionSpec(id="9", uid=ALICE, remote=True),
]  # fmt: skip
SOON_S = 10.0
"""For what happens at once."""


@pytest.fixture
def machine(namespaces: None, tmp_path: Path) -> Iterator[Login1]:
    (tmp_path / "run").mkdir()
    with Login1(tmp_path / "run", tmp_path / "login1", SESSIONS) as made:
        yield made


@pytest.fixture
def without_logind(namespaces: None, tmp_path: Path) -> Iterator[Login1]:
    (tmp_path / "run").mkdir()
    with Login1(tmp_path / "run", tmp_path / "login1", logind=False, polkit=False) as made:
        yield made


def asked(machine: Login1, question: Callable[[Logind], Awaitable[Any]]) -> Any:
    """What a connection of root's is answered."""
    async def ask() -> Any:
        async with opened(machine.bus_address) as logind:
            return await question(logind)
    return play(ask())


async def next_event(logind: Logind, kind: type) -> Any:
    """The next event of this kind; others are passed over."""
    async with asyncio.timeout(SOON_S):
        while not isinstance(event := await logind.events.get(), kind):
            pass
    return event


async def looking(logind: Logind, waiting: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
    """The task, when it has looked once: logind answers in the order in which it was asked."""
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0)
    await logind.session("c1")
    return task


def refusal(machine: Login1, question: Callable[[Logind], Awaitable[Any]]) -> str:
    with pytest.raises(MonitorError) as caught:
        asked(machine, question)
    return str(caught.value)


# What it knows

def test_the_facts_of_a_session_are_those_of_logind(machine: Login1) -> None:
    facts = asked(machine, lambda logind: logind.session("3"))
    assert (facts.id, facts.uid, facts.account, facts.type, facts.tty) == ("3", BOB, "bob", "tty", "tty3")
    assert (facts.session_class, facts.remote, facts.state, facts.locked) == ("user", False, "active", False)
    assert (facts.path, facts.is_console) == (f"{PATH}/session/_33", True)


def test_greeters_and_remote_sessions_are_not_watched(machine: Login1) -> None:
    facts = asked(machine, lambda logind: logind.sessions())
    assert {each.id: each.is_watched for each in facts} == {"c1": True, "3": True, "c7": False, "9": False}


@pytest.mark.parametrize("name", ["c2", "", "self", "auto", "c1/..", "c\u0661", "c1 ", "x" * 300])
def test_what_is_no_session_is_none(machine: Login1, name: str) -> None:
    assert asked(machine, lambda logind: logind.session(name)) is None


# Lock and end

def test_lock_reaches_this_session_and_no_other(machine: Login1) -> None:
    asked(machine, lambda logind: logind.lock("c1"))
    asked(machine, lambda logind: logind.lock("3"))
    assert machine.await_lock_signals(2) == [("Lock", "c1"), ("Lock", "3")]


def test_locking_what_is_not_there_says_so(machine: Login1) -> None:
    assert refusal(machine, lambda logind: logind.lock("c2")) == (
        "org.freedesktop.login1 refuses LockSession: No session 'c2' known")


def test_ending_a_session_is_seen(machine: Login1) -> None:
    async def end(logind: Logind) -> tuple[bool, bool]:
        before = await logind.await_end("c1", 0)
        await logind.terminate("c1")
        return before, await logind.await_end("c1", SOON_S)
    assert asked(machine, end) == (False, True)
    assert [facts.id for facts in asked(machine, lambda logind: logind.sessions())] != []
    assert asked(machine, lambda logind: logind.session("3")) is not None


def test_ending_what_has_ended_is_no_error(machine: Login1) -> None:
    asked(machine, lambda logind: logind.terminate("c2"))
    assert asked(machine, lambda logind: logind.await_end("c2", 0))


# Seen to be locked

@pytest.mark.parametrize("before", [True, False], ids=["already", "meanwhile"])
def test_a_lock_is_seen(machine: Login1, before: bool) -> None:
    async def lock(logind: Logind) -> bool:
        if before:
            await asyncio.to_thread(machine.set_locked_hint, "c1", True)
            return await logind.await_locked("c1", 0)
        waiting = await looking(logind, logind.await_locked("c1", SOON_S))
        await asyncio.to_thread(machine.set_locked_hint, "c1", True)
        return await waiting
    assert asked(machine, lock)


def test_the_lock_of_another_session_is_not_this_ones(machine: Login1) -> None:
    async def lock(logind: Logind) -> bool:
        waiting = await looking(logind, logind.await_locked("c1", 0.5))
        await asyncio.to_thread(machine.set_locked_hint, "3", True)
        return await waiting
    assert not asked(machine, lock)


def test_a_session_that_ends_is_not_locked_and_not_waited_for(machine: Login1) -> None:
    async def end(logind: Logind) -> tuple[bool, float]:
        began = time.monotonic()
        waiting = await looking(logind, logind.await_locked("c1", SOON_S))
        await logind.terminate("c1")
        return await waiting, time.monotonic() - began
    locked, took = asked(machine, end)
    assert not locked
    assert took < SOON_S / 2


def test_two_who_wait_for_one_session_are_both_told(machine: Login1) -> None:
    async def lock(logind: Logind) -> list[bool]:
        waiting = [await looking(logind, logind.await_locked("c1", SOON_S)) for _ in range(2)]
        await asyncio.to_thread(machine.set_locked_hint, "c1", True)
        return await asyncio.gather(*waiting)
    assert asked(machine, lock) == [True, True]


# What it tells

def test_sessions_come_and_go(machine: Login1) -> None:
    async def follow(logind: Logind) -> tuple[str, Any, Any]:
        made = await asyncio.to_thread(machine.create_session, SessionSpec(id="", uid=ALICE, type="wayland"))
        came = await next_event(logind, SessionCame)
        machine.end_session(made)
        return made, came, await next_event(logind, SessionWent)
    made, came, went = asked(machine, follow)
    assert (came, went) == (SessionCame(made), SessionWent(made))


def test_sleep_and_waking_are_told(machine: Login1) -> None:
    async def follow(logind: Logind) -> list[Any]:
        for asleep in (True, False):
            await asyncio.to_thread(machine.emit_sleep, asleep)
        return [await next_event(logind, kind) for kind in (Asleep, Awake)]
    assert asked(machine, follow) == [Asleep(), Awake()]


def test_an_unlocked_session_is_told_and_a_locked_one_is_not(machine: Login1) -> None:
    async def follow(logind: Logind) -> list[Any]:
        for locked in (True, False):
            await asyncio.to_thread(machine.set_locked_hint, "3", locked)
        first = await next_event(logind, Unlocked)
        return [first, logind.events.empty()]
    assert asked(machine, follow) == [Unlocked("3"), True]


@pytest.mark.parametrize(("member", "signature", "body"), [
    ("PrepareForSleep", "b", (True,)), ("SessionRemoved", "so", ("c1", f"{PATH}/session/c1")),
])  # fmt: skip
def test_what_somebody_else_says_in_loginds_name_is_not_believed(
    machine: Login1, member: str, signature: str, body: tuple[Any, ...]
) -> None:
    async def follow(logind: Logind) -> Any:
        assert logind._bus is not None
        unique = logind._bus.name
        with machine.bus.connect() as stranger:
            signal = new_signal(DBusAddress(PATH, interface=f"{NAME}.Manager"), member, signature, body)
            stranger.send(to(unique, signal))
            stranger.send(to(unique, new_signal(DBusAddress(PATH, interface="a.b"), "Big", "ay", (b"x" * (1 << 20),))))
            await asyncio.to_thread(machine.create_session, SessionSpec(id="", uid=ALICE))  # what comes after it
        return await asyncio.wait_for(logind.events.get(), SOON_S)
    assert isinstance(asked(machine, follow), SessionCame)


def to(unique: str, signal: Message) -> Message:
    """The same signal, to one connection."""
    signal.header.fields[HeaderFields.destination] = unique
    return signal


_LISTENING = """
import sys
from jeepney import DBusAddress, HeaderFields, MatchRule, new_method_call
from jeepney.io.blocking import open_dbus_connection

bus = open_dbus_connection(sys.argv[1])
ask = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
rule = MatchRule(type="signal", interface="org.freedesktop.login1.Manager").serialise()
bus.send_and_get_reply(new_method_call(ask, "AddMatch", "s", (rule,)))
print(bus.unique_name, flush=True)
while (member := bus.receive().header.fields.get(HeaderFields.member)) != "SessionNew":
    print(member, flush=True)
"""


@pytest.mark.parametrize(("uid", "heard"), [(MONITOR, []), (BOB, ["Flood"])])
def test_the_bus_passes_no_strangers_signals_on_to_the_monitors_account(
    machine: Login1, uid: int, heard: list[str]
) -> None:
    argv = [f"{installed_for_all()}/bin/python", "-P", "-c", _LISTENING, machine.inside_address]
    with subprocess.Popen(machine.namespace.enter(argv, user=str(uid)), stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        name = listening.stdout.readline().strip()
        with machine.bus.connect() as stranger:
            stranger.send(to(name, new_signal(DBusAddress("/a", interface="a.b"), "Flood", "ay", (b"x",))))
            ping = new_method_call(DBusAddress("/", "org.freedesktop.DBus", "org.freedesktop.DBus.Peer"), "Ping")
            stranger.send_and_get_reply(ping)  # the signal was passed on before the answer, or not at all
        machine.create_session(SessionSpec(id="", uid=ALICE))
        assert listening.stdout.read().split() == heard


# A logind that goes, comes and hangs

def test_a_logind_that_starts_again_ends_the_connection(machine: Login1) -> None:
    async def restart(logind: Logind) -> tuple[Any, str]:
        await asyncio.to_thread(machine.restart_logind)
        lost = await next_event(logind, LogindLost)
        with pytest.raises(MonitorError) as caught:
            await logind.lock("c1")
        return lost, str(caught.value)
    assert asked(machine, restart) == (
        LogindLost("logind has ended"), "cannot ask logind for LockSession: logind has ended")
    assert asked(machine, lambda logind: logind.session("c1")) is not None


def test_who_waits_for_a_lock_is_told_that_logind_has_ended(machine: Login1) -> None:
    async def end(logind: Logind) -> float:
        waiting = await looking(logind, logind.await_locked("c1", SOON_S * 2))
        began = time.monotonic()
        await asyncio.to_thread(machine.stop_logind)
        with pytest.raises(MonitorError, match="logind has ended"):
            await waiting
        return time.monotonic() - began
    assert asked(machine, end) < SOON_S


def test_without_a_logind_there_is_no_connection(without_logind: Login1) -> None:
    assert refusal(without_logind, lambda logind: logind.sessions()).startswith("org.freedesktop.login1 refuses Ping: ")


def test_without_a_bus_there_is_no_connection(tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match=r"cannot connect to the bus: .*No such file or directory"):
        play(Logind.connect(f"unix:path={tmp_path}/none"))


def test_a_bus_that_says_nothing_is_waited_for_in_vain_for_the_limit(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "bus"))
        silent.listen()
        with pytest.raises(MonitorError, match=r"no answer within 0\.2 s"):
            play(Logind.connect(f"unix:path={tmp_path}/bus", 0.2))


def test_a_bus_that_ends_is_told(machine: Login1) -> None:
    async def end(logind: Logind) -> Any:
        await asyncio.to_thread(machine.bus.kill)
        return await next_event(logind, LogindLost)
    assert asked(machine, end).why.startswith("the bus is gone")


@pytest.mark.parametrize("call", [
    lambda logind: logind.lock("c1"), lambda logind: logind.session("c1"), lambda logind: logind.sessions(),
    lambda logind: logind.terminate("c1"), lambda logind: logind.await_locked("c1", 1),
    lambda logind: logind.await_end("c1", 1),
], ids=["lock", "session", "sessions", "terminate", "await_locked", "await_end"])  # fmt: skip
def test_a_hanging_logind_ends_each_call_at_its_limit(machine: Login1, call: Callable[[Logind], Awaitable[Any]]) -> None:
    async def hang() -> None:
        async with opened(machine.bus_address) as logind:
            with machine.hanging_logind():
                began = time.monotonic()
                with pytest.raises(MonitorError, match=r"does not answer \w+: 2 s are over"):
                    await call(logind)
                assert 1.9 < time.monotonic() - began < 4
    play(hang())


def test_there_is_no_connection_to_a_hanging_logind(machine: Login1) -> None:
    with machine.hanging_logind(), pytest.raises(MonitorError, match=r"does not answer Ping: 0\.3 s are over"):
        play(Logind.connect(machine.bus_address, 0.3))


def test_closing_ends_what_still_waits(machine: Login1) -> None:
    async def close() -> None:
        logind = await Logind.connect(machine.bus_address)
        with machine.hanging_logind():
            waiting = await started(logind.session("c1"))
            await logind.close()
            with pytest.raises(MonitorError, match="does not answer GetSession: the connection was closed"):
                await waiting
        assert logind.events.empty()
    play(close())


async def started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """The task, when it has begun."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("said", [
    b"\xff" * 64, b"l\x02\x00\x01" + b"\xff" * 4 + b"\x00" * 56, b"", b"l\x02",
    b"l\x02\x00\x01" + b"\x04\x00\x00\x00" + b"\x01\x00\x00\x00" + b"\x08\x00\x00\x00" + b"\x07\x01\xff\x00" * 3,
], ids=["no message", "an endless message", "its end", "half a message", "a header that is none"])  # fmt: skip
def test_a_bus_that_talks_nonsense_is_an_error(tmp_path: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "bus"))
        listening.listen()
        server = threading.Thread(target=greet_and_say, args=(listening, said))
        server.start()
        with pytest.raises(MonitorError, match=r"org.freedesktop.DBus does not answer Hello: "):
            play(Logind.connect(f"unix:path={tmp_path}/bus", 0.5))
        server.join()


def greet_and_say(listening: socket.socket, said: bytes) -> None:
    """A bus that lets anybody in, and then says this and nothing else."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
        connection.recv(1024)
        connection.sendall(said)
        if said:
            with contextlib.suppress(ConnectionError):
                while connection.recv(1024):
                    pass


def test_after_it_hung_logind_is_asked_again_on_the_same_connection(machine: Login1) -> None:
    async def hang() -> Any:
        async with opened(machine.bus_address) as logind:
            with machine.hanging_logind(), contextlib.suppress(MonitorError):
                await logind.session("c1")
            return await logind.session("c1")
    assert play(hang()).id == "c1"


# One that says yes and does nothing, one that is silent, one that talks nonsense

def test_a_logind_that_says_yes_and_does_nothing_is_not_believed(without_logind: Login1) -> None:
    async def lock(logind: Logind) -> tuple[bool, bool]:
        await logind.lock("c1")
        locked = await logind.await_locked("c1", 0.2)
        await logind.terminate("c1")
        return locked, await logind.await_end("c1", 0.2)
    with FakeLogind(without_logind.bus, SESSIONS):
        assert asked(without_logind, lock) == (False, False)


def test_a_hint_that_is_set_without_a_word_is_seen_only_by_the_first_look(without_logind: Login1) -> None:
    with FakeLogind(without_logind.bus, SESSIONS) as fake:
        fake.change("c1", "LockedHint", "b", True, tell=False)
        assert asked(without_logind, lambda logind: logind.await_locked("c1", 0))


def test_one_call_without_an_answer_does_not_hold_another_up(without_logind: Login1) -> None:
    async def both(logind: Logind) -> tuple[Any, Any]:
        return tuple(await asyncio.gather(logind.lock("c1"), logind.session("c1"), return_exceptions=True))
    with FakeLogind(without_logind.bus, SESSIONS, {"LockSession": silence}):
        hung, facts = asked(without_logind, both)
    assert str(hung) == "org.freedesktop.login1 does not answer LockSession: 2 s are over"
    assert facts.id == "c1"


def without(name: str) -> Callable[[FakeLogind], None]:
    return lambda fake: fake.properties["c1"].pop(name)


def with_value(name: str, signature: str, value: Any) -> Callable[[FakeLogind], None]:
    return lambda fake: fake.properties["c1"].update({name: (signature, value)})


NONSENSE = {
    "a hint that is a text": (with_value("LockedHint", "s", "yes"), "LockedHint is not of the type b"),
    "a hint that is a number": (with_value("LockedHint", "u", 1), "LockedHint is not of the type b"),
    "no hint": (without("LockedHint"), "LockedHint is missing"),
    "an account that is a text": (with_value("User", "s", "alice"), "User is not of the type (uo)"),
    "a long text": (with_value("Type", "s", "x" * 257), "expected a text of at most 256 characters"),
    "another session": (with_value("Id", "s", "3"), "it speaks of another"),
}


@pytest.mark.parametrize(("fault", "why"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_about_a_session_is_an_error(without_logind: Login1, fault: Callable[[FakeLogind], None], why: str) -> None:
    with FakeLogind(without_logind.bus, SESSIONS) as fake:
        assert asked(without_logind, lambda logind: logind.session("c1")) is not None
        fault(fake)
        assert why in refusal(without_logind, lambda logind: logind.await_locked("c1", 1))


@pytest.mark.parametrize(("member", "answer", "why"), [
    ("GetSession", ("s", ("/",)), "its path is none of a session's"), ("GetSession", ("u", (1,)), "expected a text"),
    ("GetSession", (None, ()), "expected a text"), ("GetAll", ("s", ("x",)), "expected properties, got str"),
    ("GetAll", (None, ()), "expected properties, got NoneType"), ("ListSessions", ("s", ("x",)), "not a list of them"),
    ("ListSessions", ("a(u)", ([(1,)],)), "expected a text"), ("ListSessions", ("au", ([1],)), "not a list of them"),
])  # fmt: skip
def test_an_answer_of_another_type_is_an_error(without_logind: Login1, member: str, answer: Any, why: str) -> None:
    with FakeLogind(without_logind.bus, SESSIONS, {member: lambda *_: answer}):
        assert why in refusal(without_logind, lambda logind: logind.sessions())


def test_signals_of_another_type_tell_nothing(without_logind: Login1) -> None:
    async def follow(logind: Logind, fake: FakeLogind) -> list[Any]:
        fake.emit("PrepareForSleep", "s", ("yes",))
        fake.emit("SessionNew", "u", (1,))
        fake.emit("SessionRemoved", "uu", (1, 2))
        fake.change("c1", "LockedHint", "s", "no")
        fake.change("c1", "LockedHint", "b", False)
        return [await asyncio.wait_for(logind.events.get(), SOON_S)]
    with FakeLogind(without_logind.bus, SESSIONS) as fake:
        assert asked(without_logind, lambda logind: follow(logind, fake)) == [Unlocked("c1")]


def test_a_long_answer_is_not_read(without_logind: Login1) -> None:
    long = ("a(susso)", ([("c1", 0, "x" * 1000, "", "/")] * 1000,))
    with FakeLogind(without_logind.bus, SESSIONS, {"ListSessions": lambda: long}):
        assert refusal(without_logind, lambda logind: logind.sessions()).endswith("2 s are over")


# Who may

def call(machine: Login1, uid: int, member: str, session: str) -> subprocess.CompletedProcess[str]:
    return machine.run_as(uid, ["busctl", "--timeout=5", "call", NAME, PATH, f"{NAME}.Manager", member, "s", session])


@pytest.mark.parametrize(("member", "action"), [("LockSession", "lock-sessions"), ("TerminateSession", "manage")])
def test_the_monitors_account_may_do_it_to_the_sessions_of_others(machine: Login1, member: str, action: str) -> None:
    assert call(machine, MONITOR, member, "c1").returncode == 0
    asked = machine.bus.heard.messages(MessageType.method_call, "org.freedesktop.PolicyKit1.Authority")
    assert {message.body[1] for message in asked} == {f"{NAME}.{action}"}


@pytest.mark.parametrize("member", ["LockSession", "TerminateSession"])
@pytest.mark.parametrize("uid", [BOB, 4101, 4102], ids=["bob", "pam_sc", "pam_sc_card"])
def test_no_other_account_may(machine: Login1, member: str, uid: int) -> None:
    done = call(machine, uid, member, "c1")
    assert (done.returncode, done.stderr.strip()) == (1, "Call failed: Interactive authentication required.")
    assert machine.lock_signals() == []


@pytest.mark.parametrize("member", ["LockSession", "TerminateSession"])
def test_everybody_may_do_it_to_a_session_of_his_own(machine: Login1, member: str) -> None:
    assert call(machine, BOB, member, "3").returncode == 0


@pytest.mark.parametrize(("member", "signature", "argument"), [("PowerOff", "b", "false"), ("Suspend", "b", "false")])
def test_the_monitors_account_may_not_do_more_than_a_stranger(
    machine: Login1, member: str, signature: str, argument: str
) -> None:
    done = machine.run_as(MONITOR, ["busctl", "call", NAME, PATH, f"{NAME}.Manager", member, signature, argument])
    assert (done.returncode, done.stderr.strip()) == (1, "Call failed: Interactive authentication required.")


# What real logind does, and the monitor must know

def test_logind_forgets_that_a_session_is_locked_when_it_starts_again(machine: Login1) -> None:
    machine.set_locked_hint("c1", True)
    machine.restart_logind()
    assert not asked(machine, lambda logind: logind.session("c1")).locked
