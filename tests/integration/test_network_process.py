# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network process itself: its end, what it makes of its channel, its sandbox and its account."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

import pam_sc
from pam_sc.frames import Frame, encode
from pam_sc.network.messages import Done, Kind, Order, answer_frame, cancel_frame, order_frame
from pam_sc.transfer import Transfer, TransferFailed
from tests.support.network_process import (
    Network,
    started,
    without_privilege,
)
from tests.support.tcp_server import answers, ok, serving
from tests.support.worker_tree import WorkerTree

SHORT = 0.4
ORDER = order_frame(Order(number=1, transfer=Transfer(url="http://nothing.invalid/", max_bytes=1), end_ms=0, limit_ms=0,
                          proxy=None, loopback=False))


def wait_for_close(connection: socket.socket, _head: bytes = b"") -> None:
    """Never answer; return when the client has gone."""
    while connection.recv(4096):
        pass


# The process


@pytest.mark.parametrize("when", ["before", "while it works"])
def test_process_that_is_killed_fails_what_it_had_and_what_comes(network: Network, when: str) -> None:
    def kill(connection: socket.socket, _head: bytes) -> None:
        network.process.kill()

    if when == "before":
        network.process.kill()
        network.process.wait()
    with serving(kill) as server:
        first, second = network.fetch_all([server.url()] * 2)
        assert isinstance(first, TransferFailed)
        assert first.why.startswith("the network process is lost: ")
        assert second == first
        assert network.fetch(server.url()) == first


def test_process_ends_when_its_channel_closes(network: Network) -> None:
    with serving(wait_for_close) as server:
        assert network.failure(server.url(), seconds=SHORT) == "the time for it was over"
    network.client.close()
    assert network.process.wait(10) == 0


@pytest.mark.parametrize(
    "sent",
    [
        encode(Frame(0x03, ()), 100),
        encode(answer_frame(Done(1, 1)), 100),
        encode(Frame(Kind.TRANSFER, (b"x",)), 100),
        encode(Frame(Kind.CANCEL, (b"x",)), 100),
        b"\1\0\0\0\xff\xff\xff\xff",
        b"\1\1\0\0\0\0\0\0",
        encode(ORDER, 1000) * 2,
    ],
    ids=["unknown", "an answer", "fields", "cancel", "too long", "header", "a number twice"],
)
def test_process_ends_at_an_order_that_the_protocol_does_not_allow(network: Network, sent: bytes) -> None:
    with socket.socket(fileno=os.dup(network.client.fileno())) as channel:
        channel.sendall(sent)
        assert network.process.wait(10) == 1


def test_process_goes_on_after_a_cancel_of_what_it_does_not_know(network: Network) -> None:
    with socket.socket(fileno=os.dup(network.client.fileno())) as channel:
        channel.sendall(encode(cancel_frame(77), 100))
    with serving(answers(ok(b"x"))) as server:
        assert network.body(server.url()) == b"x"


def test_sandbox_is_entered_before_an_order_is_read(network: Network) -> None:
    with serving(answers(ok(b"x"))) as server:
        network.body(server.url())
    status = dict(line.split(":\t") for line in Path(f"/proc/{network.process.pid}/status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapEff"]) == ("1", "2", "0" * 16)
    assert set(status["Uid"].split()) == {str(without_privilege().get("user", os.getuid()))}


@pytest.mark.root
def test_process_that_starts_as_root_without_the_account_says_so(network_worker: WorkerTree) -> None:
    with started(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                  'mount --bind /dev/null /etc/passwd && exec "$@"', "sh", str(network_worker.worker), "network"]) as network:
        assert network.failure("http://example.test/") == (
            "the network process is lost: the network process cannot be confined: account 'pam_sc' does not exist")


def test_process_of_the_command_line_is_started_and_ended(network_worker: WorkerTree) -> None:
    script = (
        "import os, sys, time\n"
        "from pam_sc.network.client import start_network_process\n"
        "from pam_sc.transfer import Transfer\n"
        "with start_network_process(sys.argv[1]) as started:\n"
        "    wanted = Transfer(url=sys.argv[2], max_bytes=10, configured=True)\n"
        "    print(started.client.transfer([wanted], time.monotonic() + 20)[0].body)\n"
        "    pid = started._pid\n"
        "print(os.path.exists(f'/proc/{pid}'))\n"
    )
    with serving(answers(ok(b"x"))) as server:
        packages = str(network_worker.root / "site-packages")
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", f"import sys; sys.path.append({packages!r})\n{script}",
             str(network_worker.worker), server.url()],
            capture_output=True, text=True, check=False, **without_privilege())
    assert (done.stdout, done.stderr) == ("b'x'\nFalse\n", "")


def test_process_of_the_command_line_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    script = "import sys; sys.path.append(sys.argv[1])\nfrom pam_sc.network.client import start_network_process\n"
    done = subprocess.run(["/usr/bin/python3", "-I", "-c", script + "start_network_process('/nowhere')",
                           str(Path(pam_sc.__file__).parents[1])], capture_output=True, text=True, check=False)
    account_missing = "ConfigError: account 'pam_sc' does not exist" in done.stderr  # only root looks for it
    assert account_missing or "FileNotFoundError" in done.stderr
