# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PIN that must be changed after a login, a keypad, and wrong PINs that only this machine counts, through libpam.

The module wraps SoftHSM and shows what a token would: that its PIN is to be changed until it was, that its PIN is typed on
the reader, or that it shows no counter.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.card_worker import build_hostile_module
from tests.support.installation import PAM_SC, module_in
from tests.support.namespace import is_available
from tests.support.pam_host import ECHO_OFF, INFORMATION, Answer, Login, Outcome
from tests.support.pam_world import World
from tests.support.rig import PROGRAM, Rig, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

SUCCESS, AUTH_ERR, NEW_AUTHTOK_REQD, CONV_ERR, AUTHTOK_ERR, AUTHTOK_RECOVERY_ERR, TRY_AGAIN, IGNORE = 0, 7, 12, 19, 20, 21, 24, 25
NEW_PIN, WRONG_PIN = "7654321", "999999"
CHANGE_EXPIRED = "chauthtok:32"
LOGIN = ("authenticate", "acct_mgmt")
NO_COUNTER = "flags-clear:0x70000"
MODULE = "/srv/hostile.so"


@dataclass
class Site:
    """A world with the module, and for each token a configuration and a service that asks pam_sc alone."""

    rig: Rig
    count: int = 0

    def token(self, faults: str, more: str = "") -> str:
        """Make a token of alice's with these peculiarities; return its configuration."""
        self.count += 1
        name = f"token-{self.count}"
        token = self.rig.setup.token(name, [self.rig.setup.authority.issue(common_name="alice", key="p256")])
        changed = f"{token.inside}/tokens/changed"
        environment = {"SOFTHSM2_CONF": token.configuration, "HOSTILE": faults, "HOSTILE_CHANGED": changed}
        return self.rig.setup.configure(name, module=MODULE, environment=environment, more=more)

    def run(self, config: str, *functions: str, answers: tuple[Answer, ...], password: tuple[str, ...] = ()) -> Outcome:
        """Have an application call these functions on one handle. `password`: its lines for chauthtok, if they are others."""
        line = f"required {module_in()} config={config}"
        lines = [f"{group} {line}" for group in ("auth", "account")]
        self.rig.world.pam_service("test", [*lines, *(password or (f"password {line}",))])
        attempt = Login(service="test", user="alice", answers=answers, functions=functions, confdir="/etc/pam.d")
        return attempt.run(lambda argv, text: self.rig.world.run(argv, input=text), program=PROGRAM)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    folder = tmp_path_factory.mktemp("forced")
    built = build_hostile_module(folder)
    with World.create(folder / "world") as world:
        shutil.copy(built, world.path(MODULE))
        world.path(MODULE).chmod(0o755)
        yield Site(Rig(world))


# ---------------------------------------------------------------- a PIN that must be changed


def test_a_pin_that_must_be_changed_is_changed_after_the_login_and_then_the_old_one_is_refused(site: Site) -> None:
    config = site.token("to-be-changed")
    outcome = site.run(
        config, *LOGIN, CHANGE_EXPIRED, "acct_mgmt:0", answers=(PIN, PIN, NEW_PIN, NEW_PIN)
    )
    assert outcome.codes == {
        "authenticate": SUCCESS, "acct_mgmt": NEW_AUTHTOK_REQD, CHANGE_EXPIRED: SUCCESS, "acct_mgmt:0": SUCCESS,
    }, outcome.log  # fmt: skip
    assert outcome.texts(ECHO_OFF)[1:] == (
        "Current PIN for login: ", "New PIN for login: ", "New PIN for login again: "
    )
    assert site.run(config, *LOGIN, answers=(PIN,)).codes["authenticate"] == AUTH_ERR
    again = site.run(config, *LOGIN, answers=(NEW_PIN,))
    assert again.codes == {"authenticate": SUCCESS, "acct_mgmt": SUCCESS}, again.log


def test_the_person_is_told_that_the_pin_must_be_changed(site: Site) -> None:
    outcome = site.run(site.token("to-be-changed"), *LOGIN, answers=(PIN,))
    assert "The PIN of your card must be changed now" in outcome.texts(INFORMATION)


@pytest.mark.parametrize("answers", [
    (PIN, WRONG_PIN, NEW_PIN, NEW_PIN), (PIN, PIN, NEW_PIN, NEW_PIN + "0"), (PIN, PIN, {"fail": CONV_ERR}),
], ids=["wrong", "differs", "cancelled"])  # fmt: skip
def test_a_forced_change_that_fails_leaves_the_account_without_access(site: Site, answers: tuple[Answer, ...]) -> None:
    outcome = site.run(site.token("to-be-changed"), *LOGIN, CHANGE_EXPIRED, "acct_mgmt:0", answers=answers)
    assert outcome.codes[CHANGE_EXPIRED] != SUCCESS
    assert outcome.codes["acct_mgmt:0"] == NEW_AUTHTOK_REQD


@pytest.mark.parametrize("forced", [True, False])
def test_a_card_that_is_taken_out_before_a_forced_change_opens_no_way_to_a_password_instead(
    site: Site, forced: bool
) -> None:
    """The line of etc/pam.d/login, and for pam_unix a module that changes every password. Without force it has its turn."""
    empty = site.rig.setup.configure("no-card", module=MODULE, environment={"HOSTILE": "slots:0"})
    control = "[success=done new_authtok_reqd=done try_again=ignore ignore=ignore default=die]"
    password = (f"password {control} {module_in()} config={empty}", "password required pam_permit.so")
    change = CHANGE_EXPIRED if forced else "chauthtok"
    outcome = site.run(site.token("to-be-changed"), *LOGIN, change, "acct_mgmt:0", answers=(PIN,), password=password)
    assert (outcome.codes["authenticate"], outcome.codes["acct_mgmt:0"]) == (SUCCESS, NEW_AUTHTOK_REQD), outcome.log
    assert outcome.codes[change] == (AUTHTOK_ERR if forced else SUCCESS)


def test_a_pin_that_need_not_be_changed_is_not_asked_for_again(site: Site) -> None:
    outcome = site.run(site.token(""), *LOGIN, CHANGE_EXPIRED, answers=(PIN,))
    assert (outcome.codes["authenticate"], outcome.codes["acct_mgmt"]) == (SUCCESS, SUCCESS)
    assert len(outcome.texts(ECHO_OFF)) == 1


# ---------------------------------------------------------------- a keypad


def test_a_pin_is_changed_on_the_keypad_of_the_reader_and_nobody_is_asked_here(site: Site) -> None:
    config = site.token(f"pinpad:{PIN},pinpad-new:{NEW_PIN}", "[pin]\npinpad = true\n")
    outcome = site.run(config, "chauthtok", answers=())
    assert outcome.code == SUCCESS, outcome.log
    assert outcome.texts(ECHO_OFF) == ()
    assert outcome.texts(INFORMATION) == (
        "Please enter the current and the new PIN for login on the keypad of the reader",
        "The PIN of the card has been changed",
    )


def test_a_keypad_that_is_not_configured_changes_nothing(site: Site) -> None:
    outcome = site.run(site.token(f"pinpad:{PIN},pinpad-new:{NEW_PIN}"), "chauthtok", answers=())
    assert (outcome.code, reason(outcome)) == (TRY_AGAIN, "pinpad-only")


# ---------------------------------------------------------------- wrong PINs that this machine counts


def pin_command(site: Site, config: str, *arguments: str) -> str:
    result = site.rig.world.run([*PAM_SC, "pin", *arguments, "--config", config])
    return result.stdout + result.stderr


def test_wrong_current_pins_are_counted_with_those_of_logins_until_they_are_forgotten(site: Site) -> None:
    config = site.token(NO_COUNTER)
    wrong = site.run(config, "chauthtok", answers=(WRONG_PIN, NEW_PIN, NEW_PIN))
    assert (wrong.code, reason(wrong)) == (AUTHTOK_RECOVERY_ERR, "pin-wrong")
    assert "wrong PINs counted here: 1" in pin_command(site, config, "status")
    assert site.run(config, "authenticate", answers=("888888",)).code == AUTH_ERR
    used = site.run(config, "chauthtok", answers=(PIN, NEW_PIN, NEW_PIN))
    assert (used.code, reason(used)) == (TRY_AGAIN, "pin-tries-used")
    assert used.texts(ECHO_OFF) == ()
    assert "forgotten" in pin_command(site, config, "forget", "--token", "pkcs11:token=login")
    assert "counted" not in pin_command(site, config, "status")
    assert site.run(config, "chauthtok", answers=(PIN, NEW_PIN, NEW_PIN)).code == SUCCESS


def test_a_right_current_pin_ends_the_count(site: Site) -> None:
    config = site.token(NO_COUNTER)
    site.run(config, "chauthtok", answers=(WRONG_PIN, NEW_PIN, NEW_PIN))
    assert site.run(config, "chauthtok", answers=(PIN, NEW_PIN, NEW_PIN)).code == SUCCESS
    assert "counted" not in pin_command(site, config, "status")


def test_a_dialogue_that_is_left_counts_as_no_wrong_pin(site: Site) -> None:
    config = site.token(NO_COUNTER)
    site.run(config, "chauthtok", answers=(WRONG_PIN, NEW_PIN, {"fail": CONV_ERR}))
    site.run(config, "chauthtok", answers=(WRONG_PIN, NEW_PIN, NEW_PIN + "0"))
    assert "counted" not in pin_command(site, config, "status")
