# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc pin` with a PIV card in the virtual reader, at a terminal: by root, and by a user who can reach the reader."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from pam_sc.config.model import VERIFIER_ACCOUNT
from pam_sc.decision.card_report import TokenRef, TokenReport
from pam_sc.tries import FOLDER, token_name
from tests.support.installation import PAM_SC
from tests.support.login_setup import LoginSetup, configuration
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

IDENTITY = ("label", "serial", "manufacturer", "model")
NEW_PIN, WRONG_PIN, PUK = "7654321", "999999", "12345678"
callers = pytest.mark.parametrize("caller", [None, "alice"], ids=["root", "a user"])


@dataclass(slots=True)
class Desk:
    """A terminal beside the reader with a card in it."""

    world: World
    card: VirtualCard

    def pin(self, *arguments: str, caller: str | None = None, answers: tuple[str, ...] = ()) -> tuple[int, str]:
        """Run `pam-sc pin` and type one answer at each hidden prompt; return the exit code and all that was shown."""
        child = self.world.spawn([*PAM_SC, "pin", *arguments], user=caller)
        shown = ""
        for answer in answers:
            assert child.expect(["(PIN|PUK)[^\r\n]*: ", pexpect.EOF]) == 0, f"{shown}{child.before}"
            shown += f"{child.before}{child.after}"
            child.waitnoecho()
            child.sendline(answer)
        child.expect(pexpect.EOF)
        child.wait()
        return child.exitstatus if child.exitstatus is not None else -1, f"{shown}{child.before}"


@pytest.fixture
def desk(world: World, pcscd: Pcscd) -> Desk:
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    card = pcscd.card(PivApplet({0x9A: setup.authority.issue(common_name="alice", key="p256")}))
    card.insert()
    return Desk(world, card)


@callers
def test_change_asks_three_times_and_the_card_has_the_new_pin(desk: Desk, caller: str | None) -> None:
    code, shown = desk.pin("change", caller=caller, answers=(PIN, NEW_PIN, NEW_PIN))
    assert code == 0, shown
    assert "The PIN of the card has been changed" in shown
    assert NEW_PIN not in shown
    assert desk.card.applet.pin == NEW_PIN
    assert not desk.card.applet.pin_verified


@callers
def test_unblock_asks_for_the_puk(desk: Desk, caller: str | None) -> None:
    desk.card.applet.tries = 0
    code, shown = desk.pin("unblock", caller=caller, answers=(PUK, NEW_PIN, NEW_PIN))
    assert code == 0, shown
    assert "The PIN is locked. PUK" in shown
    assert (desk.card.applet.pin, desk.card.applet.tries) == (NEW_PIN, 3)


def count_wrong(desk: Desk, facts: dict[str, str], count: int) -> Path:
    """Have so many wrong PINs counted for a token; the file in which they are."""
    name = token_name(TokenReport(ref=TokenRef(0, 0), **facts), desk.world.path("/etc/machine-id").read_text().strip())
    desk.world.put(f"{FOLDER}/{name}", f"{count:04}", mode=0o600, owner=VERIFIER_ACCOUNT)
    desk.world.path(FOLDER).chmod(0o700)  # the command makes it the verifier's
    return desk.world.path(f"{FOLDER}/{name}")


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_forget_says_so_only_where_the_count_is_gone(desk: Desk, mode: int) -> None:
    told = desk.world.run([*PAM_SC, "pin", "status", "--json"])
    (shown,) = json.loads(told.stdout)["tokens"]
    counted = count_wrong(desk, {name: shown[name] for name in IDENTITY}, 1)
    desk.world.path(FOLDER).chmod(mode)
    code, said = desk.pin("forget", "--token", shown["uri"])
    assert (code, "are forgotten" in said, counted.exists()) == ((0, True, False) if mode == 0o700 else (2, False, True)), said


def test_wrong_pins_that_were_counted_here_do_not_keep_the_puk_from_a_locked_card(desk: Desk) -> None:
    """A token that showed no counter until it was locked. A PIN that can be tried is left alone then, also here."""
    told = desk.world.run([*PAM_SC, "pin", "status", "--json"])
    (shown,) = json.loads(told.stdout)["tokens"]
    counted = count_wrong(desk, {name: shown[name] for name in IDENTITY}, 2)
    code, said = desk.pin("change")
    assert (code, "Too many wrong PINs" in said) == (1, True), said
    desk.card.applet.tries = 0
    code, said = desk.pin("unblock", answers=(PUK, NEW_PIN, NEW_PIN))
    assert (code, desk.card.applet.pin) == (0, NEW_PIN), said
    assert not counted.exists()


def test_a_wrong_current_pin_leaves_the_pin_and_says_so(desk: Desk) -> None:
    code, shown = desk.pin("change", answers=(WRONG_PIN, NEW_PIN, NEW_PIN))
    assert code == 1
    assert "Wrong PIN" in shown
    assert (desk.card.applet.pin, desk.card.applet.tries) == (PIN, 2)


def test_unblock_leaves_a_pin_alone_that_is_not_locked(desk: Desk) -> None:
    code, shown = desk.pin("unblock")
    assert code == 1
    assert "not locked" in shown
    assert "PUK" not in shown


def test_nothing_is_taken_from_a_pipe(desk: Desk) -> None:
    told = desk.world.run([*PAM_SC, "pin", "change"], input=f"{PIN}\n{NEW_PIN}\n{NEW_PIN}\n",
                          start_new_session=True)  # fmt: skip
    assert told.returncode == 2
    assert "there is no terminal" in told.stderr
    assert desk.card.applet.pin == PIN


@callers
@pytest.mark.parametrize(("tries", "state", "code"), [(3, "ok", 0), (1, "final-try", 1), (0, "locked", 1)])
def test_status_tells_the_state_and_costs_no_try(
    desk: Desk, caller: str | None, tries: int, state: str, code: int
) -> None:
    desk.card.applet.tries = tries
    told = desk.world.run([*PAM_SC, "pin", "status", "--json"], user=caller)
    assert told.returncode == code, told.stderr
    assert [token["pin"] for token in json.loads(told.stdout)["tokens"]] == [state]
    assert desk.card.applet.tries == tries
