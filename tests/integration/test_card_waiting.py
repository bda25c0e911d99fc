# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for a card with the card process: what comes and goes is the file that the hostile module looks at."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pam_sc.errors import CardProcessLost
from tests.integration.test_card_pins import ECDSA, PIN, require_proof
from tests.support.card_worker import (
    Card,
    build_hostile_module,
    calls,
    hostile,
    order_for,
    softhsm,
    soon,
    started,
    the_token,
    write_worker,
)
from tests.support.soft_token import SoftToken, certificate_of, key_of


class Bench:
    """One token behind the hostile module, in its slot while a file exists."""

    def __init__(self, worker: str, module: str, token: SoftToken, folder: Path) -> None:
        self.worker, self.module, self.token = worker, module, token
        self.log, self.card = folder / "log", folder / "card"

    def started(self, faults: str = "", *, second: bool = False) -> AbstractContextManager[Card]:
        setup = hostile(self.module, self.token, faults, self.log, HOSTILE_TOKEN=str(self.card))
        return started(self.worker, [setup, softhsm(self.token)] if second else [setup])

    def insert(self) -> None:
        self.card.touch()

    def remove(self) -> None:
        self.card.unlink()

    def when_blocking(self, act: Callable[[], None]) -> threading.Thread:
        """Do something as soon as the module blocks."""
        def wait_and_act() -> None:
            while not calls(self.log, "blocking"):
                time.sleep(0.01)  # another process's log: there is no event to wait for
            act()
        thread = threading.Thread(target=wait_and_act, daemon=True)
        thread.start()
        return thread


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, SoftToken]:
    folder = tmp_path_factory.mktemp("waiting")
    token = SoftToken.create(folder / "token")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    return write_worker(folder), build_hostile_module(folder), token


@pytest.fixture
def bench(kit: tuple[str, str, SoftToken], tmp_path: Path) -> Bench:
    worker, module, token = kit
    return Bench(worker, module, token.copy(tmp_path / "copy"), tmp_path)


@pytest.fixture
def cancel() -> Iterator[tuple[int, int]]:
    pipe = os.pipe()
    yield pipe
    for descriptor in pipe:
        os.close(descriptor)


def later(act: Callable[[], None]) -> None:
    """Do something while the test waits."""
    threading.Timer(0.4, act).start()


@pytest.mark.parametrize("second", [False, True], ids=["one module", "two modules"])
def test_a_card_that_comes_is_seen_and_signs(bench: Bench, cancel: tuple[int, int], second: bool) -> None:
    with bench.started(second=second) as card:
        before = len(card.report().tokens())
        later(bench.insert)
        assert card.client.wait(True, soon(), cancel[0])
        tokens = card.client.report_again(soon()).tokens()
        assert len(tokens) == before + 1
        token = tokens[0][2]
        require_proof(card.sign(order_for(token, token.certificates[0], ECDSA), PIN))


def test_a_module_that_can_signal_is_not_asked_again_and_again(bench: Bench, cancel: tuple[int, int]) -> None:
    with bench.started("events") as card:
        assert card.report().tokens() == ()
        bench.when_blocking(bench.insert)
        assert card.client.wait(True, soon(), cancel[0])
        assert len(calls(bench.log, "blocking")) == 1
        token = the_token(card.client.report_again(soon()))
        require_proof(card.sign(order_for(token, token.certificates[0], ECDSA), PIN))


@pytest.mark.parametrize("faults", ["", "events"])
def test_a_card_that_came_between_report_and_wait_is_seen_at_once(
    bench: Bench, cancel: tuple[int, int], faults: str,
) -> None:
    with bench.started(faults) as card:
        assert card.report().tokens() == ()
        bench.insert()
        assert card.client.wait(True, soon(), cancel[0])
    assert calls(bench.log, "blocking") == []


def test_a_card_that_was_reported_has_not_come(bench: Bench, cancel: tuple[int, int]) -> None:
    bench.insert()
    with bench.started() as card:
        card.report()
        assert not card.client.wait(True, soon(1), cancel[0])


@pytest.mark.parametrize("faults", ["", "events"])
def test_a_card_that_goes_is_seen(bench: Bench, cancel: tuple[int, int], faults: str) -> None:
    bench.insert()
    with bench.started(faults) as card:
        card.report()
        later(bench.remove)
        assert card.client.wait(False, soon(), cancel[0])
        assert card.client.report_again(soon()).tokens() == ()


def test_a_card_that_stays_is_not_gone(bench: Bench, cancel: tuple[int, int]) -> None:
    bench.insert()
    with bench.started() as card:
        card.report()
        assert not card.client.wait(False, soon(1), cancel[0])


@pytest.mark.parametrize("faults", ["", "events"])
def test_who_cancels_does_not_wait_and_the_process_is_of_no_more_use(
    bench: Bench, cancel: tuple[int, int], faults: str,
) -> None:
    with bench.started(faults) as card:
        card.report()
        later(lambda: os.write(cancel[1], b"x") and None)
        begun = time.monotonic()
        assert not card.client.wait(True, soon(60), cancel[0])
        assert time.monotonic() - begun < 10
        with pytest.raises(CardProcessLost):
            card.client.report_again(soon())


def test_a_module_that_crashes_while_it_waits_is_a_lost_process(bench: Bench, cancel: tuple[int, int]) -> None:
    """The report asks for events once, at its end."""
    with bench.started() as card:
        card.report()
        later(lambda: os.kill(card.process._pid or 0, 11))
        with pytest.raises(CardProcessLost) as lost:
            card.client.wait(True, soon(), cancel[0])
    assert lost.value.pin_sent is False


def test_a_process_that_looks_again_and_again_ends_with_its_channel(bench: Bench, cancel: tuple[int, int]) -> None:
    with bench.started() as card:
        card.report()
        process = os.pidfd_open(card.process._pid or 0)
        assert not card.client.wait(True, soon(0.5), cancel[0])
        os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOWAIT)
        os.close(process)
