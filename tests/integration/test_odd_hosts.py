# SPDX-License-Identifier: LGPL-2.1-or-later
"""PAM applications in odd states, with the real worker: whatever the host has done to itself, the right PIN is granted,
a wrong one refused, and the host finds no child, no signal and no descriptor that it did not have before.

The application is itself Python (tests/support/pam_host.py); the state is set before it is executed, and lasts.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import rig as codes
from tests.support.namespace import is_available
from tests.support.pam_host import Login, Outcome
from tests.support.pam_world import World
from tests.support.rig import PROGRAM, SERVICE, Rig, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

_PREPARE = "import ctypes, os, resource, signal, sys\n{}\nos.execv(sys.argv[1], sys.argv[1:])"
STATES = {
    "plain": "",
    "ignores SIGCHLD": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "ignores every signal": "[signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]",
    "blocks every signal": "signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())",
    "is a subreaper": "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)",
    "has few descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (24, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
    "may write no byte": "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))",
    "has no umask": "os.umask(0)",
    "forbids everything by umask": "os.umask(0o777)",
    "stands in a folder that is gone": "os.mkdir('/srv/gone'); os.chdir('/srv/gone'); os.rmdir('/srv/gone')",
    "has a thousand descriptors open": "[os.set_inheritable(os.open('/dev/null', 0), True) for _ in range(1000)]",
    "is not dumpable": "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)",
    "has no new privileges": "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)",
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world with alice's good card."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("odd") / "world") as world:
        made = Rig(world)
        made.service(made.setup.card("good", [made.setup.authority.issue(key="p256")]))
        yield made


def log_in(rig: Rig, state: str, pin: str, *before: str) -> Outcome:
    """Log in with an application in this state, started through the commands `before`."""
    login = Login(service=SERVICE, user="alice", answers=[pin], confdir="/etc/pam.d")
    prepare = [*before, "/usr/bin/python3", "-I", "-c", _PREPARE.format(STATES[state])]
    return login.run(lambda argv, text: rig.world.run([*prepare, *argv], input=text), program=PROGRAM)


@pytest.mark.parametrize("state", STATES)
def test_the_right_pin_is_granted_and_a_wrong_one_refused(rig: Rig, state: str) -> None:
    assert log_in(rig, state, PIN).code == codes.SUCCESS
    refused = log_in(rig, state, "999999")
    assert (refused.code, reason(refused)) == (codes.AUTH_ERR, "pin-wrong-few-left")


def test_an_application_that_is_process_1_is_served(rig: Rig) -> None:
    first = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    assert log_in(rig, "plain", PIN, *first).code == codes.SUCCESS


def test_without_room_for_processes_it_is_refused_and_the_host_lives(rig: Rig) -> None:
    """root itself is not counted, so an ordinary user plays the host."""
    alice = rig.world.account("alice")
    rig.setup.card_owner = (alice.uid, alice.gid)
    rig.service(rig.setup.card("own", [rig.setup.authority.issue(key="p256")]), name="own")
    login = Login(service="own", user="alice", answers=[PIN], confdir="/etc/pam.d")
    starved = ["/usr/bin/python3", "-I", "-c", _PREPARE.format("resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))")]
    outcome = login.run(lambda argv, text: rig.world.run([*starved, *argv], input=text, user="alice"), program=PROGRAM)
    assert outcome.code == codes.SYSTEM_ERR
    assert login.run(lambda argv, text: rig.world.run(argv, input=text, user="alice"), program=PROGRAM).code == codes.SUCCESS
