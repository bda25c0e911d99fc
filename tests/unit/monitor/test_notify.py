# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the service manager is told, on a real socket, and that nobody there hurts nobody."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_sc.monitor.notify import Notifier, notifier_of, own_notifier


@contextlib.contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind("\0" + address[1:] if address.startswith("@") else address)
        there.settimeout(5)
        yield there


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@pam_sc-test-{os.getpid()}-{time.monotonic_ns()}"


def test_each_thing_is_a_datagram(address: str) -> None:
    with manager(address) as there, contextlib.closing(Notifier(address)) as notifier:
        for say, heard in (
            (notifier.ready, b"READY=1"),
            (notifier.watchdog, b"WATCHDOG=1"),
            (notifier.stopping, b"STOPPING=1"),
            (lambda: notifier.status("2 sessions"), b"STATUS=2 sessions"),
            (lambda: notifier.ready("watching"), b"READY=1\nSTATUS=watching"),
            (lambda: notifier.stopping("asked to"), b"STOPPING=1\nSTATUS=asked to"),
        ):
            assert say()
            assert there.recv(4096) == heard


def test_reloading_says_when_by_the_clock_that_the_manager_uses(address: str) -> None:
    with manager(address) as there, contextlib.closing(Notifier(address)) as notifier:
        before = time.monotonic_ns() // 1000
        assert notifier.reloading()
        first, _, second = there.recv(4096).partition(b"\n")
        assert first == b"RELOADING=1"
        assert before <= int(second.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line_and_not_without_end(tmp_path: Path) -> None:
    with manager(str(tmp_path / "n")) as there, contextlib.closing(Notifier(str(tmp_path / "n"))) as notifier:
        notifier.status("a\nREADY=1\n" + "x" * 1000 + "\udcff")
        said = there.recv(4096)
    assert said.startswith(b"STATUS=a READY=1 xxx")
    assert b"\n" not in said
    assert len(said) == len(b"STATUS=") + 512


def test_an_empty_status_is_not_sent(tmp_path: Path) -> None:
    with manager(str(tmp_path / "n")), contextlib.closing(Notifier(str(tmp_path / "n"))) as notifier:
        assert not notifier.status("")


@pytest.mark.parametrize("nobody", ["", "@", "relative", "vsock:2:1234", "/nonexistent/notify", "/" + "x" * 200])
def test_where_nobody_listens_nothing_happens(nobody: str) -> None:
    with contextlib.closing(Notifier(nobody)) as notifier:
        assert not notifier.ready("x")
        assert not notifier.watchdog()


def test_a_manager_that_reads_nothing_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    with manager(path), contextlib.closing(Notifier(path)) as notifier:
        answers = [notifier.watchdog() for _ in range(5000)]
    assert answers[0]
    assert not answers[-1]


def test_after_its_end_nothing_is_sent(tmp_path: Path) -> None:
    with manager(str(tmp_path / "n")):
        notifier = Notifier(str(tmp_path / "n"))
        notifier.close()
        notifier.close()
        assert not notifier.ready()


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "\u0663"}, None),
        ({"WATCHDOG_USEC": "1" * 19}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_in_half_of_its_time_where_it_is_ours(
    environment: dict[str, str], interval: float | None
) -> None:
    with contextlib.closing(notifier_of(environment, 77)) as notifier:
        assert notifier.watchdog_s == interval


def test_the_notifier_of_this_process_is_that_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with manager(str(tmp_path / "n")) as there, contextlib.closing(own_notifier()) as notifier:
        assert notifier.ready()
        assert there.recv(100) == b"READY=1"
        assert notifier.watchdog_s == 1.0
