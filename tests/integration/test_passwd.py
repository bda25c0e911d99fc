# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changing and unblocking a PIN through libpam: the two passes, the three questions, each refusal with its code.

What the PIN is afterwards is asked of the card itself: by a login, or by the PIV card in the virtual reader.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.support.installation import module_in
from tests.support.pam_host import ECHO_OFF, ERROR, INFORMATION, Answer, Login, Outcome
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority
from tests.support.rig import PROGRAM, Rig, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

SUCCESS, AUTH_ERR, MAXTRIES, CONV_ERR, AUTHTOK_ERR, AUTHTOK_RECOVERY_ERR, TRY_AGAIN = 0, 7, 11, 19, 20, 21, 24
NEW_PIN, WRONG_PIN, PUK = "7654321", "999999", "12345678"
CANCELLED: Answer = {"fail": CONV_ERR}
NOTHING: Answer = {"null": True}
THREE = ("Current PIN for login: ", "New PIN for login: ", "New PIN for login again: ")


@dataclass(slots=True)
class Passwd:
    """A machine on which PINs are changed: one card, and the services `passwd` and `test` that know nothing else."""

    rig: Rig
    config: str

    def change(self, *answers: Answer, account: str = "alice", caller: str | None = None,
               lines: Sequence[str] = (), name: str = "change") -> Outcome:
        """Call pam_chauthtok with these answers."""
        ours = f"password required {module_in()} config={self.config}"
        self.rig.world.pam_service(name, [*(lines or [ours, "password required pam_permit.so"])])
        attempt = Login(service=name, user=account, answers=answers, functions=("chauthtok",), confdir="/etc/pam.d")
        return attempt.run(lambda argv, text: self.rig.world.run(argv, input=text, user=caller), program=PROGRAM)

    def is_pin(self, pin: str) -> bool:
        """Log in with a PIN; a wrong one costs a try."""
        return self.rig.login(self.config, answers=(pin,)).code == SUCCESS


@pytest.fixture
def rig(world: World) -> Rig:
    return Rig(world)


@pytest.fixture
def passwd(rig: Rig) -> Passwd:
    """A SoftHSM token of alice."""
    return Passwd(rig, rig.setup.card("alice", [rig.setup.authority.issue(common_name="alice", key="p256")]))


def asked(outcome: Outcome) -> tuple[str, ...]:
    return outcome.texts(ECHO_OFF)


def events(outcome: Outcome, word: str) -> list[str]:
    return [line for line in outcome.log if f" {word} " in line or f": {word}" in line]


# ---------------------------------------------------------------- a software token


def test_the_pin_is_another_after_current_new_and_new_again_and_nothing_else_was_asked(passwd: Passwd) -> None:
    outcome = passwd.change(PIN, NEW_PIN, NEW_PIN)
    assert outcome.code == SUCCESS, outcome.log
    assert asked(outcome) == THREE
    assert outcome.texts(INFORMATION) == ("The PIN of the card has been changed",)
    assert outcome.texts(ERROR) == ()
    assert passwd.is_pin(NEW_PIN)
    assert not passwd.is_pin(PIN)
    said = "\n".join(outcome.log)
    assert NEW_PIN not in said
    assert PIN not in said


@pytest.mark.parametrize(("answers", "code", "why", "prompts"), [
    ((WRONG_PIN, NEW_PIN, NEW_PIN), AUTHTOK_RECOVERY_ERR, "pin-wrong", 3),
    ((PIN, "12", "12"), AUTHTOK_ERR, "new-pin-unfit", 3),
    ((PIN, NEW_PIN, NEW_PIN + "0"), AUTHTOK_ERR, "new-pin-repeat-differs", 3),
    ((PIN, PIN, PIN), AUTHTOK_ERR, "new-pin-same", 3),
    ((CANCELLED,), CONV_ERR, "conversation-failed", 1),
    ((PIN, CANCELLED), CONV_ERR, "conversation-failed", 2),
    ((PIN, NEW_PIN, CANCELLED), CONV_ERR, "conversation-failed", 3),
    ((NOTHING,), AUTHTOK_ERR, "pin-not-given", 1),
    ((PIN, NOTHING), AUTHTOK_ERR, "pin-not-given", 2),
    ((PIN, NEW_PIN, NOTHING), AUTHTOK_ERR, "pin-not-given", 3),
    ((PIN, ""), AUTHTOK_ERR, "pin-empty", 2),
    ((PIN, {"length": 600}), CONV_ERR, "answer-too-long", 2),
], ids=["wrong", "too short", "differs", "the same", "cancelled 1", "cancelled 2", "cancelled 3", "left 1", "left 2",
        "left 3", "empty", "too long"])  # fmt: skip
def test_a_change_that_fails_leaves_the_pin_as_it_was(
    passwd: Passwd, answers: Sequence[Answer], code: int, why: str, prompts: int
) -> None:
    outcome = passwd.change(*answers)
    assert (outcome.code, reason(outcome)) == (code, why)
    assert len(asked(outcome)) == prompts
    assert passwd.is_pin(PIN)


def test_the_configuration_demands_a_longer_pin_than_the_token_does(rig: Rig) -> None:
    card = [rig.setup.authority.issue(common_name="alice", key="p256")]
    passwd = Passwd(rig, rig.setup.card("alice", card, more="[pin]\nmin_length = 6\npattern = '[0-9]+'\n"))
    assert reason(passwd.change(PIN, "12345", "12345")) == "new-pin-unfit"
    assert reason(passwd.change(PIN, "12345a", "12345a")) == "new-pin-unfit"
    assert passwd.change(PIN, "123457", "123457").code == SUCCESS


def test_root_needs_the_pin_of_alices_card_too(passwd: Passwd) -> None:
    outcome = passwd.change(WRONG_PIN, NEW_PIN, NEW_PIN)
    assert outcome.code == AUTHTOK_RECOVERY_ERR
    assert asked(outcome) == THREE


# ---------------------------------------------------------------- the first pass


def test_nobody_is_asked_for_the_pin_of_somebody_elses_card(passwd: Passwd) -> None:
    outcome = passwd.change(PIN, NEW_PIN, NEW_PIN, account="bob")
    assert (outcome.code, reason(outcome)) == (TRY_AGAIN, "not-mapped")
    assert asked(outcome) == ()
    assert passwd.is_pin(PIN)


def test_without_a_card_the_first_pass_says_try_again_and_asks_nothing(rig: Rig) -> None:
    empty = rig.setup.card("empty", [])
    for path in (rig.setup.folder / "cards" / "empty" / "tokens").rglob("*"):
        if path.is_file():
            path.unlink()
    outcome = Passwd(rig, empty).change(PIN, NEW_PIN, NEW_PIN)
    assert outcome.code == TRY_AGAIN, outcome.log
    assert asked(outcome) == ()


@pytest.mark.parametrize("days", [-1, 1], ids=["expired", "current"])
def test_the_pin_of_an_expired_card_can_be_changed(rig: Rig, days: int) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    start = end - datetime.timedelta(days=5)  # the CA is ten days old
    issued = rig.setup.authority.issue(common_name="alice", key="p256", not_before=start, not_after=end)
    passwd = Passwd(rig, rig.setup.card("alice", [issued]))
    outcome = passwd.change(PIN, NEW_PIN, NEW_PIN)
    assert outcome.code == SUCCESS, outcome.log
    login = rig.login(passwd.config, answers=(NEW_PIN,))
    assert reason(login) == ("certificate-expired" if days < 0 else None)


def test_the_pin_of_an_untrusted_card_is_not_asked_for(rig: Rig) -> None:
    issued = CertificateAuthority("Another CA").issue(common_name="alice", key="p256")
    outcome = Passwd(rig, rig.setup.card("alice", [issued])).change(PIN, NEW_PIN, NEW_PIN)
    assert (outcome.code, reason(outcome)) == (TRY_AGAIN, "untrusted")
    assert asked(outcome) == ()
