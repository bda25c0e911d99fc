# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changing and unblocking a PIN through libpam: the two passes, the three questions, each refusal with its code.

What the PIN is afterwards is asked of the card itself: by a login, or by the PIV card in the virtual reader.
"""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import pexpect
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
    ((WRONG_PIN, NEW_PIN, NEW_PIN), AUTHTOK_RECOVERY_ERR, "pin-wrong-few-left", 3),
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


# ---------------------------------------------------------------- OpenSC and a PIV card


@dataclass(slots=True)
class Piv:
    """A PIV card of alice's in the virtual reader."""

    passwd: Passwd
    card: VirtualCard


@pytest.fixture
def piv(rig: Rig, pcscd: Pcscd) -> Piv:
    issued = rig.setup.authority.issue(common_name="alice", key="p256")
    card = pcscd.card(PivApplet({0x9A: issued}))
    card.insert()
    return Piv(Passwd(rig, rig.setup.configure("piv", module=opensc_module())), card)


def test_a_piv_card_has_the_new_pin(piv: Piv) -> None:
    outcome = piv.passwd.change(PIN, NEW_PIN, NEW_PIN)
    assert outcome.code == SUCCESS, outcome.log
    assert piv.card.applet.pin == NEW_PIN
    assert not piv.card.applet.pin_verified


def test_a_wrong_current_pin_costs_a_piv_card_one_try(piv: Piv) -> None:
    outcome = piv.passwd.change(WRONG_PIN, NEW_PIN, NEW_PIN)
    assert outcome.code == AUTHTOK_RECOVERY_ERR, outcome.log
    assert (piv.card.applet.pin, piv.card.applet.tries) == (PIN, 2)


def test_a_locked_pin_is_unblocked_with_the_puk_and_only_then_is_the_puk_asked_for(piv: Piv) -> None:
    piv.card.applet.tries = 0
    outcome = piv.passwd.change(PUK, NEW_PIN, NEW_PIN)
    assert outcome.code == SUCCESS, outcome.log
    first, *others = asked(outcome)
    assert first.startswith("The PIN is locked. PUK")
    assert [text.startswith("New PIN") for text in others] == [True, True]
    assert outcome.texts(INFORMATION) == ("The PIN of the card has been unblocked",)
    assert (piv.card.applet.pin, piv.card.applet.tries) == (NEW_PIN, 3)
    assert "PUK" not in "".join(asked(piv.passwd.change(NEW_PIN, PIN, PIN)))


@pytest.mark.parametrize(("answers", "left", "code", "why"), [
    (("00000000", NEW_PIN, NEW_PIN), 3, AUTHTOK_RECOVERY_ERR, "puk-wrong"),
    (("00000000", NEW_PIN, NEW_PIN), 0, MAXTRIES, "puk-locked"),
    ((PUK, NEW_PIN, NEW_PIN + "0"), 3, AUTHTOK_ERR, "new-pin-repeat-differs"),
    ((PUK, "1", "1"), 3, AUTHTOK_ERR, "new-pin-unfit"),
    ((CANCELLED,), 3, CONV_ERR, "conversation-failed"),
    ((PUK, CANCELLED), 3, CONV_ERR, "conversation-failed"),
    ((PUK, NEW_PIN, CANCELLED), 3, CONV_ERR, "conversation-failed"),
], ids=["wrong", "locked", "differs", "too short", "cancelled 1", "cancelled 2", "cancelled 3"])  # fmt: skip
def test_an_unblocking_that_fails_leaves_the_pin_locked(
    piv: Piv, answers: Sequence[Answer], left: int, code: int, why: str
) -> None:
    piv.card.applet.tries, piv.card.applet.puk_tries = 0, left
    outcome = piv.passwd.change(*answers)
    assert (outcome.code, reason(outcome)) == (code, why)
    assert (piv.card.applet.pin, piv.card.applet.tries) == (PIN, 0)


def test_the_last_try_is_left_alone_and_nobody_is_asked(piv: Piv) -> None:
    piv.card.applet.tries = 1
    outcome = piv.passwd.change(PIN, NEW_PIN, NEW_PIN)
    assert (outcome.code, reason(outcome)) == (TRY_AGAIN, "pin-last-try")
    assert asked(outcome) == ()
    assert (piv.card.applet.pin, piv.card.applet.tries) == (PIN, 1)


def test_an_empty_reader_is_no_card_to_change(piv: Piv) -> None:
    piv.card.remove()
    outcome = piv.passwd.change(PIN, NEW_PIN, NEW_PIN)
    assert (outcome.code, reason(outcome)) == (TRY_AGAIN, "no-card-to-change")
    assert asked(outcome) == ()


# ---------------------------------------------------------------- passwd itself


OLD_PASSWORD, NEW_PASSWORD = "correct horse battery", "staple Tr0ub4dor and 3"


@pytest.fixture
def with_password(piv: Piv) -> Piv:
    """The stack of `passwd`: the card where there is one, else the password."""
    world = piv.passwd.rig.world
    hashed = subprocess.run(["openssl", "passwd", "-6", OLD_PASSWORD], capture_output=True, text=True, check=True).stdout
    shadow = world.path("/etc/shadow").read_text().replace("alice:*:", f"alice:{hashed.strip()}:")
    world.put("/etc/shadow", shadow, mode=0o640)
    world.pam_service("passwd", [
        f"password [success=done try_again=ignore ignore=ignore default=die] {module_in()} config={piv.passwd.config}",
        "password required pam_unix.so sha512",
    ])  # fmt: skip
    return piv


def sufficient(site: Piv) -> None:
    """The shortest stack that offers a card: both passes go on to the password where the card's line fails."""
    ours = f"password sufficient {module_in()} config={site.passwd.config}"
    site.passwd.rig.world.pam_service("passwd", [ours, "password required pam_unix.so sha512"])


def type_at_each(child: pexpect.spawn[str], *answers: str) -> tuple[str, int]:
    """Type one answer at each prompt; return everything that was shown, and the exit code."""
    shown = ""
    for answer in answers:
        assert child.expect([r"[^\r\n]*(PIN|PUK|password)[^\r\n]*: ", pexpect.EOF]) == 0, f"{shown}{child.before}"
        shown += child.before + child.after
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.wait()
    return f"{shown}{child.before}", child.exitstatus or 0


def test_passwd_changes_the_pin_where_the_card_is_there(with_password: Piv) -> None:
    child = with_password.passwd.rig.world.spawn(["passwd"], user="alice")
    shown, status = type_at_each(child, PIN, NEW_PIN, NEW_PIN)
    assert status == 0, shown
    assert with_password.card.applet.pin == NEW_PIN
    assert "The PIN of the card has been changed" in shown
    assert NEW_PIN not in shown


def test_passwd_changes_the_password_where_there_is_no_card(with_password: Piv) -> None:
    with_password.card.remove()
    world = with_password.passwd.rig.world
    before = world.path("/etc/shadow").read_text()
    shown, status = type_at_each(world.spawn(["passwd"], user="alice"), OLD_PASSWORD, NEW_PASSWORD, NEW_PASSWORD)
    assert status == 0, shown
    assert "PIN" not in shown
    assert world.path("/etc/shadow").read_text() != before


def test_passwd_that_was_given_a_wrong_pin_changes_no_password_either(with_password: Piv) -> None:
    world = with_password.passwd.rig.world
    before = world.path("/etc/shadow").read_text()
    shown, status = type_at_each(world.spawn(["passwd"], user="alice"), WRONG_PIN, NEW_PIN, NEW_PIN)
    assert status != 0
    assert "Wrong PIN" in shown
    assert "password:" not in shown
    assert (with_password.card.applet.pin, with_password.card.applet.tries) == (PIN, 2)
    assert world.path("/etc/shadow").read_text() == before


def test_beside_a_sufficient_line_the_password_can_be_changed_without_a_card(with_password: Piv) -> None:
    sufficient(with_password)
    with_password.card.remove()
    world = with_password.passwd.rig.world
    before = world.path("/etc/shadow").read_text()
    shown, status = type_at_each(world.spawn(["passwd"], user="alice"), OLD_PASSWORD, NEW_PASSWORD, NEW_PASSWORD)
    assert status == 0, shown
    assert world.path("/etc/shadow").read_text() != before


def test_below_a_sufficient_line_no_new_password_is_taken_after_a_wrong_pin(with_password: Piv) -> None:
    """libpam goes on in its second pass, where pam_unix alone would not ask for the old password any more."""
    sufficient(with_password)
    world = with_password.passwd.rig.world
    before = world.path("/etc/shadow").read_text()
    child = world.spawn(["passwd"], user="alice")
    shown, status = type_at_each(child, WRONG_PIN, NEW_PIN, NEW_PIN, NEW_PASSWORD, NEW_PASSWORD)
    assert status != 0, shown
    assert world.path("/etc/shadow").read_text() == before


def test_a_card_that_is_taken_out_between_the_questions_opens_no_way_to_a_new_password(with_password: Piv) -> None:
    world = with_password.passwd.rig.world
    before = world.path("/etc/shadow").read_text()
    child = world.spawn(["passwd"], user="alice")
    child.expect("Current PIN[^:]*: ")
    with_password.card.remove()
    child.sendline(PIN)
    shown, status = type_at_each(child, NEW_PIN, NEW_PIN)
    assert status != 0, shown
    assert "password:" not in shown
    assert world.path("/etc/shadow").read_text() == before


def test_passwd_of_root_for_alice_needs_the_pin_of_the_card(with_password: Piv) -> None:
    world = with_password.passwd.rig.world
    shown, status = type_at_each(world.spawn(["passwd", "alice"]), WRONG_PIN, NEW_PIN, NEW_PIN)
    assert status != 0, shown
    assert with_password.card.applet.pin == PIN


def test_pamtester_unblocks_at_a_terminal(with_password: Piv) -> None:
    with_password.card.applet.tries = 0
    child = with_password.passwd.rig.world.spawn(["pamtester", "passwd", "alice", "chauthtok"])
    shown, status = type_at_each(child, PUK, NEW_PIN, NEW_PIN)
    assert status == 0, shown
    assert with_password.card.applet.pin == NEW_PIN
