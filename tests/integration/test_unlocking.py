# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session that a card opened is unlocked with that very card, as the configuration says; real PAM, SoftHSM cards.

And a password login by somebody whose reader holds another person's card.
"""

from __future__ import annotations

import functools
import json
import subprocess
from dataclasses import dataclass

import pexpect
import pytest

from tests.support.installation import PAM_SC, module_in
from tests.support.login_setup import LoginSetup
from tests.support.pam_host import Login, Outcome
from tests.support.pam_world import HARNESS, World
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

SUCCESS, AUTH_ERR, AUTHINFO_UNAVAIL = 0, 7, 9
SESSION = "7"
SAME_CARD = "[unlock]\nsame_card = true\n"
LOGIND = f"""#!/bin/sh
mkdir -p /run/systemd/sessions
printf 'UID=4001\\nACTIVE=1\\nREMOTE=0\\nSEAT=seat0\\nLEADER=%s\\n' "$PPID" > /run/systemd/sessions/{SESSION}
"""
"""Writes down what logind would: who leads the session."""
PASSWORD = "correct horse"
HOST = f"{HARNESS}/tests/support/pam_host.py"


@dataclass(slots=True)
class Desk:
    """A machine at which alice opens a session and unlocks it; each card is a configuration."""

    world: World
    setup: LoginSetup

    def card(self, name: str, account: str = "alice", *, more: str = SAME_CARD) -> str:
        """Make a card, and return its configuration."""
        return self.setup.card(name, [Entry(self.setup.authority.issue(common_name=account))], more=more)

    def service(self, name: str, configuration: str, *below: str) -> None:
        """Write a service that asks pam_sc with this configuration and then whatever is below."""
        line = f"{module_in()} config={configuration}"
        control = "sufficient" if below else "required"
        self.world.put("/srv/session.conf", f"XDG_SESSION_ID DEFAULT={SESSION}\n")
        self.world.put("/srv/logind", LOGIND, mode=0o755)
        self.world.pam_service(name, [
            f"auth {control} {line}", *(f"auth {each}" for each in below), "account required pam_permit.so",
            "session required pam_env.so readenv=0 conffile=/srv/session.conf",
            "session required pam_exec.so /srv/logind", f"session required {line}",
        ])  # fmt: skip

    def run(self, service: str, *functions: str, pin: str = PIN) -> Outcome:
        """Have alice log in."""
        login = Login(service=service, user="alice", answers=[pin], functions=["authenticate", *functions])
        return login.run(functools.partial(_run, self.world), program=HOST)

    def open_session(self, configuration: str) -> None:
        """Log alice in with a card, and have logind know her session."""
        self.service("greeter", configuration)
        outcome = self.run("greeter", "open_session")
        assert outcome.codes == {"authenticate": SUCCESS, "open_session": SUCCESS}, outcome.log
        assert self.world.path(f"/run/pam_sc/sessions/{SESSION}.json").exists()

    def unlock(self, configuration: str, *below: str) -> Outcome:
        """Unlock with the card of this configuration."""
        self.service("swaylock", configuration, *below)
        return self.run("swaylock")


def _run(world: World, argv: list[str], text: str) -> subprocess.CompletedProcess[str]:
    return world.run(argv, input=text)


@pytest.fixture
def desk(world: World) -> Desk:
    card = world.account("pam_sc_card")
    return Desk(world, LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid)))


def reason(outcome: Outcome) -> str:
    return next(word for line in outcome.log for word in line.split() if word.startswith("reason="))


def test_the_card_that_opened_the_session_unlocks_it(desk: Desk) -> None:
    card = desk.card("first")
    desk.open_session(card)
    outcome = desk.unlock(card)
    assert outcome.code == SUCCESS, outcome.log
    assert any("purpose=unlock" in line for line in outcome.log)


def test_another_card_of_the_same_person_and_label_does_not_unlock_it(desk: Desk) -> None:
    desk.open_session(desk.card("first"))
    outcome = desk.unlock(desk.card("second"))
    assert (outcome.code, reason(outcome)) == (AUTHINFO_UNAVAIL, "reason=other-card-than-login")
    assert not any("PIN" in said.text for said in outcome.said)


@pytest.mark.parametrize(("card", "said"), [("first", None), ("second", "other-card-than-login")])
def test_explain_knows_the_card_of_the_session_as_the_login_does(desk: Desk, card: str, said: str | None) -> None:
    cards = {each: desk.card(each) for each in ("first", "second")}
    desk.open_session(cards["first"])
    explain = [*PAM_SC, "explain", "alice", "--service", "swaylock", "--json"]
    found = json.loads(desk.world.run([*explain, "--config", cards[card]]).stdout)
    assert (found["verdict"], found.get("reason")) == ("stopped" if said is None else "refused", said)
    desk.service("swaylock", cards[card])
    again = json.loads(desk.world.run(explain).stdout)
    told_the_time = {"paths"}
    assert {key: again[key] for key in again if key not in told_the_time} == {
        key: found[key] for key in found if key not in told_the_time
    }


def test_another_card_unlocks_where_the_same_one_is_not_demanded(desk: Desk) -> None:
    desk.open_session(desk.card("first"))
    assert desk.unlock(desk.card("second", more="")).code == SUCCESS


def test_a_session_that_has_ended_demands_no_card(desk: Desk) -> None:
    desk.open_session(desk.card("first"))
    desk.world.path(f"/run/systemd/sessions/{SESSION}").unlink()
    assert desk.unlock(desk.card("second")).code == SUCCESS


@pytest.mark.parametrize(("otherwise", "below", "code"), [
    ("card", (), SUCCESS),
    ("refuse", (), AUTHINFO_UNAVAIL),
    ("ignore", ("required pam_permit.so",), SUCCESS),
    ("ignore", ("required pam_deny.so",), AUTH_ERR),
])  # fmt: skip
def test_a_session_without_a_card_is_unlocked_as_the_file_says(
    desk: Desk, otherwise: str, below: tuple[str, ...], code: int
) -> None:
    outcome = desk.unlock(desk.card("first", more=f'{SAME_CARD}otherwise = "{otherwise}"\n'), *below)
    assert outcome.code == code, outcome.log
    assert any("PIN" in said.text for said in outcome.said) is (otherwise == "card")


# ---------------------------------------------------------------- a password login beside another person's card


def with_password(desk: Desk) -> None:
    """Give alice a password, and su a stack that takes a card or the password."""
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    shadow = desk.world.path("/etc/shadow").read_text().replace("alice:*:", f"alice:{hashed}:")
    desk.world.put("/etc/shadow", shadow, mode=0o640)
    line = f"sufficient {module_in()} config={desk.card('bobs', 'bob', more='')}"
    desk.world.pam_service("su", [line, "required pam_unix.so"])


@pytest.mark.parametrize(("password", "granted"), [(PASSWORD, True), ("wrong", False)])
def test_another_persons_card_does_not_disturb_a_password_login(desk: Desk, password: str, granted: bool) -> None:
    with_password(desk)
    child = desk.world.spawn(["su", "alice", "-c", 'echo "<$(id -un)>"'], user="bob")
    child.expect("Password: ?")
    before = child.before
    child.sendline(password)
    child.expect(pexpect.EOF)
    assert ("<alice>" in child.before) is granted
    assert before.strip() == "This card does not belong to this account"
