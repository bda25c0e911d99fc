# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the card in the reader to the locked screen and back, with nothing in between that is not real.

A login with a PIV card through PAM, a session of systemd-logind, pcscd with two readers, `pam-sc monitor` as the system's
and as the user's unit, and screen lockers on screens without hardware. Whether a screen is covered is looked at on the
screen; a picture of it is kept where a test fails. Beside each lock: what must not lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import MONITOR, Desk, desk
from tests.support.hinting_desktop import HintingDesktop
from tests.support.host_site import PIN, WRONG_PIN
from tests.support.namespace import is_available
from tests.support.pcscd import READERS
from tests.support.running_monitor import RunningMonitor, running_monitor
from tests.support.screens import Screen, WaylandScreen, XScreen, wayland_screen, x_screen
from tests.support.session_lockers import LOCKERS, LockerKind, SessionScreen, prepare, session_screen
from tests.support.softhsm import Entry, SoftToken, create_token, module_path

pytestmark = pytest.mark.root

LOCK_WAIT_S = 2.0
QUIET_S = 0.5
"""For how long nothing may happen that must not: five times the grace time."""
POLICY = f"[monitor]\nlock_wait = {LOCK_WAIT_S}\n" + "".join(kind.rule for kind in LOCKERS.values())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One machine for all tests."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with desk(tmp_path_factory.mktemp("chain")) as made:
        prepare(made)
        made.configure(POLICY)
        yield made
        made.site.require_no_secret()
        made.site.require_nothing_left()


@pytest.fixture
def here(whole: Desk) -> Iterator[Desk]:
    """The machine with nobody logged in and both cards in their readers."""
    for card in whole.cards.values():
        card.applet.tries = 3
        if not card.is_inserted:
            card.insert()
    whole.world.syslog.clear()
    yield whole
    whole.log_out_all()
    whole.take_others_away()


@pytest.fixture(scope="module")
def system(whole: Desk) -> Iterator[RunningMonitor]:
    """The system unit."""
    with running_monitor(whole.world, "system", ["--json"], user=MONITOR) as made:
        yield made


@pytest.fixture
def hinting(whole: Desk) -> Iterator[HintingDesktop]:
    """Every session is one of a good desktop."""
    with HintingDesktop(whole.login1.bus) as made:
        yield made


@pytest.fixture(scope="module")
def x_display(whole: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XScreen]:
    """The X server of all tests."""
    with x_screen(whole.world, tmp_path_factory.mktemp("xvfb")) as made:
        yield made


@pytest.fixture(scope="module")
def wayland_display(whole: Desk) -> Iterator[WaylandScreen]:
    """The compositor of all tests."""
    with wayland_screen(whole.world) as made:
        yield made


@pytest.fixture(params=list(LOCKERS))
def kind(request: pytest.FixtureRequest) -> LockerKind:
    """Each of the lockers."""
    return LOCKERS[request.param]


@pytest.fixture
def alices(request: pytest.FixtureRequest, here: Desk, kind: LockerKind, tmp_path: Path) -> Iterator[SessionScreen]:
    """The session of alice on a screen of its own with a locker, beside that of bob."""
    screen: Screen = request.getfixturevalue("wayland_display" if kind.session_type == "wayland" else "x_display")
    here.log_in("bob")
    session = here.log_in("alice", session_type=kind.session_type, service=kind.service)
    failures = request.session.testsfailed
    with session_screen(here, kind, screen, session) as made:
        yield made
        if request.session.testsfailed > failures:
            screen.picture(tmp_path / "screen")


def test_the_card_locks_its_session_and_only_the_pin_opens_it(
    here: Desk, system: RunningMonitor, alices: SessionScreen, kind: LockerKind
) -> None:
    bobs = here.sessions[0]
    with running_monitor(here.world, f"user-{kind.name}", ["--json"], user="alice", environment=alices.environment) as own:
        before, system_mark, own_mark = len(here.locks()), system.events.mark(), own.events.mark()
        system.await_known(alices.session.id)
        assert not alices.covered

        here.remove("alice")
        assert here.await_locks(before + 1)[before:] == [alices.session.id]
        alices.await_covered()
        seen = system.await_event("session-locked", alices.session.id, system_mark)
        assert (seen["cause"], seen["outcome"]) == ("removed", "locked")
        unit, mark, way = (system, system_mark, "logind") if kind.hint else (own, own_mark, "locker")
        unit.await_event("lock-step", alices.session.id, mark, way=way, outcome="locked")

        here.cards["alice"].insert()
        system.await_back(alices.session.id, system_mark)
        own.await_back(alices.session.id, own_mark)
        assert here.login1.await_lock_signals(before + 2, QUIET_S)[before:] == [("Lock", alices.session.id)]
        assert alices.covered

        alices.answer(WRONG_PIN)
        assert here.site.reasons()[-1] == "pin-wrong"
        alices.acknowledge()
        assert alices.covered
        alices.answer(PIN)
        assert here.site.reasons()[-1] == "granted"
        alices.await_covered(False)
        assert not here.login1.locked_hint(bobs.id)
        assert here.locks()[before:] == [alices.session.id]


def test_each_card_locks_its_own_session(here: Desk, system: RunningMonitor, hinting: HintingDesktop) -> None:
    bobs, alices = here.log_in("bob"), here.log_in("alice")
    system.await_known(bobs.id, alices.id)
    before, mark = len(here.locks()), system.events.mark()
    here.remove("bob")
    assert system.await_event("session-locked", bobs.id, mark)["cause"] == "removed"
    assert here.locks()[before:] == [bobs.id]
    here.remove("alice")
    assert system.await_event("session-locked", alices.id, mark)["cause"] == "removed"
    assert here.locks()[before:] == [bobs.id, alices.id]
    assert here.login1.locked_hint(alices.id)


def test_a_card_that_opened_no_session_comes_and_goes(here: Desk, system: RunningMonitor, hinting: HintingDesktop) -> None:
    alices = here.log_in("alice")
    system.await_known(alices.id)
    before, mark = len(here.locks()), system.events.mark()
    here.remove("bob")
    assert here.login1.await_lock_signals(before + 1, QUIET_S)[before:] == []
    here.cards["bob"].insert()
    here.remove("alice")
    system.await_event("session-locked", alices.id, mark)
    assert here.locks()[before:] == [alices.id]


def test_a_card_that_says_the_same_of_itself_is_another_card(
    here: Desk, system: RunningMonitor, hinting: HintingDesktop
) -> None:
    alices = here.log_in("alice")
    here.remove("bob")
    twin = here.another_card("alice", slot=1)
    twin.insert()
    system.await_known(alices.id)
    before, mark = len(here.locks()), system.events.mark()
    twin.remove()
    here.pcscd.await_removal(READERS[1])
    assert here.login1.await_lock_signals(before + 1, QUIET_S)[before:] == []
    twin.insert()
    here.remove("alice")
    system.await_event("session-locked", alices.id, mark)
    assert here.locks()[before:] == [alices.id]


def test_another_card_in_the_place_of_the_own_one_locks(
    here: Desk, system: RunningMonitor, hinting: HintingDesktop
) -> None:
    alices = here.log_in("alice")
    twin = here.another_card("alice", slot=0)
    system.await_known(alices.id)
    mark = system.events.mark()
    here.remove("alice")
    twin.insert()
    assert system.await_event("session-locked", alices.id, mark)["cause"] in ("removed", "replaced")
    assert system.count("card-returned", alices.id, mark) == 0


def test_login_screens_and_remote_sessions_are_left_alone(
    here: Desk, system: RunningMonitor, hinting: HintingDesktop
) -> None:
    greeter = here.log_in("alice", session_class="greeter")
    remote = here.log_in("alice", rhost="192.0.2.7")
    alices = here.log_in("alice")
    system.await_known(alices.id)
    before, mark = len(here.locks()), system.events.mark()
    here.remove("alice")
    system.await_event("session-locked", alices.id, mark)
    assert here.login1.await_lock_signals(before + 2, QUIET_S)[before:] == [("Lock", alices.id)]
    assert not here.login1.locked_hint(greeter.id)
    assert not here.login1.locked_hint(remote.id)


@pytest.fixture
def token(here: Desk, system: RunningMonitor) -> Iterator[SoftToken]:
    """A token of alice's that is part of the machine, as a TPM is; service desk-fixed opens sessions with it."""
    setup = here.site.setup
    made = create_token(setup.folder / "cards/fixed", [Entry(setup.authority.issue(common_name="alice"))],
                        inside=f"{setup.inside}/cards/fixed")  # fmt: skip
    open_to_all(made.folder)
    environment = {"SOFTHSM2_CONF": made.configuration}
    here.service("desk-fixed", f"config={setup.configure('fixed', module=module_path(), environment=environment)}")
    module = f'[[token.module]]\npath = "{module_path()}"\nenvironment = {{ SOFTHSM2_CONF = "{made.configuration}" }}\n'
    here.configure(f"{POLICY}\n{module}")
    system.reload()
    yield made
    here.configure(POLICY)
    system.reload()


def test_a_token_that_cannot_be_taken_away_never_locks(
    here: Desk, system: RunningMonitor, hinting: HintingDesktop, token: SoftToken
) -> None:
    here.remove("alice")
    alices, bobs = here.log_in("alice", service="desk-fixed", pin=token.pin), here.log_in("bob")
    system.await_known(alices.id, bobs.id)
    before, mark = len(here.locks()), system.events.mark()
    here.remove("bob")
    system.await_event("session-locked", bobs.id, mark)
    assert here.login1.await_lock_signals(before + 2, QUIET_S)[before:] == [("Lock", bobs.id)]
    assert system.whereabouts()[alices.id] == "fixed"


def open_to_all(folder: Path) -> None:
    """Let every account use a token, as every account may use a TPM that it is in the group of."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
