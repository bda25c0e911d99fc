# SPDX-License-Identifier: LGPL-2.1-or-later
"""GDM with the shipped etc/pam.d/gdm-smartcard: the card names the account, nothing is begun again and again, all ends."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gdm import (
    ESTABLISH_CRED,
    PASSWORD,
    REINITIALIZE_CRED,
    SMARTCARD,
    Greeter,
    Heard,
    Worker,
)
from tests.support.host_site import PIN, WRONG_PIN, HostSite, host_site, opened_workers
from tests.support.installation import module_in
from tests.support.login_setup import configuration
from tests.support.namespace import is_available
from tests.support.pcscd import opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import DAY, CertificateAuthority, Issued, now

pytestmark = pytest.mark.root

SUCCESS, AUTH_ERR, AUTHINFO_UNAVAIL, USER_UNKNOWN = 0, 7, 9, 10
SESSION = "3"
SHIPPED = Path(__file__).parents[2] / "etc/pam.d/gdm-smartcard"
LOGIN_PASSWORD = "correct horse"
QUIET_S = 1.5
"""For how long nothing must be heard of a refusal that is held; one that is not is there within a few tenths."""
COMMON = {
    "common-auth": "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
    "common-account": "account required pam_unix.so\n",
    # what pam_systemd does: a session has a number, and logind says who leads it
    "common-session": "session required pam_env.so readenv=0 conffile=/srv/session.conf\n"
                      "session required pam_exec.so /srv/logind\n",
    "common-password": "password required pam_unix.so\n",
}  # fmt: skip
LOGIND = f"""#!/bin/sh
mkdir -p /run/systemd/sessions
printf 'UID=4001\\nACTIVE=1\\nREMOTE=0\\nSEAT=seat0\\nLEADER=%s\\n' "$PPID" > /run/systemd/sessions/{SESSION}
"""
NEW_SESSION = [("acct_mgmt", 0), ("setcred", ESTABLISH_CRED), ("open_session", 0)]


@dataclass(slots=True)
class Desk:
    """A machine with GDM: the shipped stack, the configuration that a test wants, the cards that it makes."""

    site: HostSite
    card: VirtualCard
    greeters: list[Greeter]

    def configure(self, more: str = "", top: str = "") -> None:
        """The configuration of README.md, and what a test adds."""
        self.site.world.write_config(configuration(module=opensc_module(), folder=self.site.setup.inside, top=top, more=more))

    def insert(self, **slots: str) -> VirtualCard:
        """Put another card into the reader: the common name of each certificate by its slot."""
        issue = self.site.setup.authority.issue
        names = {int(slot.removeprefix("slot"), 16): name for slot, name in slots.items()}
        return self.swap({slot: issue(common_name=name, key="p256") for slot, name in names.items()})

    def swap(self, certificates: Mapping[int, Issued]) -> VirtualCard:
        """Put a card with these certificates into the reader, in place of the one that is there."""
        self.remove()
        self.card = self.site.pcscd.card(PivApplet(certificates, pin=PIN))
        self.put_in()
        return self.card

    def put_in(self) -> None:
        """Put the card in that was last there."""
        self.card.insert()
        self.site.pcscd.await_insertion()

    def remove(self) -> None:
        """Take the card out."""
        if self.card.is_inserted:
            self.card.remove()
            self.site.pcscd.await_removal()

    def greeter(self, service: str = SMARTCARD, user: str | None = None, session: Sequence[str] = ()) -> Greeter:
        """A screen of GDM's."""
        self.greeters.append(Greeter(self.site.world, service, user, tuple(session)))
        return self.greeters[-1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostSite]:
    """One machine for all of these."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with host_site(tmp_path_factory.mktemp("gdm")) as made:
        world = made.world
        world.put("/etc/pam.d/gdm-smartcard", with_module(SHIPPED.read_text()))
        for name, text in COMMON.items():
            world.put(f"/etc/pam.d/{name}", text)
        world.put("/srv/session.conf", f"XDG_SESSION_ID DEFAULT={SESSION}\n")
        world.put("/srv/logind", LOGIND, mode=0o755)
        world.put("/etc/pam.d/gdm-password", with_module("auth sufficient pam_sc.so\n@include common-auth\n"
                                                         "@include common-account\n@include common-session\n"))  # fmt: skip
        shadow = world.path("/etc/shadow").read_text().replace("alice:*:", f"alice:{hashed(LOGIN_PASSWORD)}:")
        world.put("/etc/shadow", shadow, mode=0o640)
        yield made


def with_module(stack: str) -> str:
    return stack.replace("pam_sc.so", module_in())


@functools.cache
def hashed(password: str) -> str:
    return subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def desk(machine: HostSite) -> Iterator[Desk]:
    """Alice's card is in the reader; afterwards nothing of a login is left, and no PIN stands anywhere."""
    machine.fresh(card=True)
    machine.pcscd.await_insertion()
    made = Desk(machine, machine.card, [])
    made.configure()
    yield made
    for greeter in made.greeters:
        greeter.close()
    made.remove()
    machine.require_no_secret()
    machine.require_nothing_left()


def asked(worker: Worker) -> Heard:
    """The one thing that the worker says: a question for the PIN."""
    heard = worker.hear()
    assert heard.kind == "secret", heard
    assert "PIN" in heard.text
    return heard


def granted(worker: Worker, functions: Sequence[tuple[str, int]] = NEW_SESSION) -> Heard:
    """Type the PIN, and have the session opened."""
    asked(worker)
    worker.answer(PIN)
    authenticated = worker.heard_until("code")[-1]
    assert authenticated.code == SUCCESS
    assert worker.finish(functions) == [SUCCESS] * len(functions)
    return worker.last


def value(heard: Heard, name: str) -> str | None:
    found = dict(each.split("=", 1) for each in heard.environment)
    return found.get(name)


# ---------------------------------------------------------------- the login screen


def test_a_card_brings_up_the_question_for_its_pin_and_names_the_account(desk: Desk) -> None:
    worker = desk.greeter().begin()
    heard = granted(worker)
    assert heard.user == "alice"
    assert value(heard, "PKCS11_LOGIN_TOKEN_NAME") == "alice"
    assert desk.site.world.path(f"/run/pam_sc/sessions/{SESSION}.json").exists()
    assert worker.finish([("close_session", 0)]) == [SUCCESS]


def test_a_user_who_was_picked_is_asked_for_the_pin_of_that_card(desk: Desk) -> None:
    heard = granted(desk.greeter(user="alice").begin())
    assert heard.user == "alice"


def test_before_the_verdict_the_session_knows_of_no_card(desk: Desk) -> None:
    worker = desk.greeter().begin()
    asked(worker)
    worker.answer(WRONG_PIN)
    refused = worker.heard_until("code")
    assert [(each.kind, each.text) for each in refused[:-1]] == [("problem", "Wrong PIN")]
    assert refused[-1].code == AUTH_ERR
    assert value(refused[-1], "PKCS11_LOGIN_TOKEN_NAME") is None


def test_after_a_wrong_pin_gdm_begins_again_and_a_person_is_asked(desk: Desk) -> None:
    greeter = desk.greeter()
    worker = greeter.begin()
    asked(worker)
    worker.answer(WRONG_PIN)
    again = greeter.after(worker.heard_until("code")[-1])
    assert again is not None
    asked(again)
    assert not again.is_heard(QUIET_S)
    assert (greeter.begun, desk.site.verifications) == (2, 1)


def test_without_a_card_the_service_is_given_up_at_once(desk: Desk) -> None:
    desk.remove()
    greeter = desk.greeter()
    heard = greeter.begin().heard_until("code")
    assert [(each.kind, each.text) for each in heard[:-1]] == [("problem", "No card found")]
    assert greeter.after(heard[-1]) is None
    assert (heard[-1].code, greeter.begun, greeter.unavailable) == (AUTHINFO_UNAVAIL, 1, True)


def test_of_two_accounts_on_one_card_one_is_chosen_from_gdms_list(desk: Desk) -> None:
    desk.configure("[prompt]\nchoose = true\n")
    desk.insert(slot9a="alice", slot9c="bob")
    worker = desk.greeter().begin()
    heard = worker.hear()
    assert (heard.kind, sorted(text for _, text in heard.choices)) == ("choice", ["alice", "bob"])
    worker.answer(next(key for key, text in heard.choices if text == "bob"))
    asked(worker)
    worker.answer(PIN)
    assert worker.heard_until("code")[-1].code == SUCCESS
    assert worker.last.user == "bob"


# ---------------------------------------------------------------- never a loop


def expired(desk: Desk) -> VirtualCard:
    """A card of alice's that has had its day."""
    return desk.swap({0x9A: desk.site.setup.authority.issue(common_name="alice", key="p256", not_after=now() - DAY)})


def stranger(desk: Desk) -> VirtualCard:
    return desk.insert(slot9a="nobody-here")


def foreign(desk: Desk) -> VirtualCard:
    return desk.swap({0x9A: CertificateAuthority("Somebody Else").issue(common_name="alice", key="p256")})


def locked(desk: Desk) -> VirtualCard:
    card = desk.insert(slot9a="alice")
    card.applet.tries = 0
    return card


def last_try(desk: Desk) -> VirtualCard:
    card = desk.insert(slot9a="alice")
    card.applet.tries = 1
    return card


@pytest.mark.parametrize(("put", "user"), [
    (expired, None), (stranger, None), (foreign, None), (locked, None), (last_try, None), (expired, "alice"), (stranger, "alice"),
])  # fmt: skip
def test_a_card_that_is_refused_is_one_attempt_until_it_is_taken_out(
    desk: Desk, put: Callable[[Desk], VirtualCard], user: str | None
) -> None:
    put(desk)
    greeter = desk.greeter(user=user)
    worker = greeter.begin()
    heard = worker.hear()
    assert heard.kind == "info"
    assert heard.text.endswith(". Please remove the card")
    assert not worker.is_heard(QUIET_S), "the refusal is not held"
    desk.remove()
    again = greeter.after(worker.heard_until("code")[-1])
    if again is not None:
        assert greeter.after(again.heard_until("code")[-1]) is None
    assert greeter.unavailable
    assert greeter.begun <= 2


def test_where_hold_is_turned_off_nothing_is_held(desk: Desk) -> None:
    desk.configure("[prompt]\nhold = false\n")
    expired(desk)
    worker = desk.greeter().begin()
    assert [each.kind for each in worker.heard_until("code")] == ["problem", "code"]
    assert worker.last.code == AUTH_ERR


def test_a_card_that_is_required_and_not_there_is_one_attempt_until_it_comes(desk: Desk) -> None:
    desk.configure(top='card = "required"')
    desk.remove()
    greeter = desk.greeter()
    worker = greeter.begin()
    assert worker.hear() == Heard("info", "No card found")
    assert not worker.is_heard(QUIET_S), "the refusal is not held"
    desk.put_in()
    refused = worker.heard_until("code")[-1]
    assert refused.code == AUTH_ERR
    again = greeter.after(refused)
    assert again is not None
    asked(again)
    assert greeter.begun == 2


def test_with_quiet_a_refusal_is_held_without_a_word(desk: Desk) -> None:
    desk.configure("[prompt]\nquiet = true\n")
    expired(desk)
    worker = desk.greeter().begin()
    assert not worker.is_heard(QUIET_S)
    desk.remove()
    assert worker.hear().code == AUTH_ERR


def test_another_service_holds_nothing(desk: Desk) -> None:
    expired(desk)
    worker = desk.greeter(PASSWORD, "alice").begin()
    assert [each.kind for each in worker.heard_until("secret")] == ["problem", "secret"]


# ---------------------------------------------------------------- side by side, and given up


def test_the_password_opens_the_session_while_the_card_is_asked_for(desk: Desk) -> None:
    desk.remove()
    password = desk.greeter(PASSWORD, "alice").begin()
    assert password.heard_until("secret")[-1].text == "Password: "
    desk.put_in()
    card = desk.greeter().begin()
    asked(card)
    password.answer(LOGIN_PASSWORD)
    assert password.heard_until("code")[-1].code == SUCCESS
    assert value(password.last, "PKCS11_LOGIN_TOKEN_NAME") is None
    card.kill()
    desk.site.require_nothing_left()


def test_two_conversations_that_want_one_card_both_get_it(desk: Desk) -> None:
    first, second = desk.greeter().begin(), desk.greeter(PASSWORD, "alice").begin()
    asked(first)
    asked(second)
    second.answer(PIN)
    assert second.heard_until("code")[-1].code == SUCCESS
    first.answer(PIN)
    assert first.heard_until("code")[-1].code == SUCCESS
    assert desk.site.verifications == 2
    assert not desk.card.applet.pin_verified


def test_two_conversations_at_the_same_moment_leave_no_pin_behind(desk: Desk) -> None:
    workers = [desk.greeter().begin(), desk.greeter(PASSWORD, "alice").begin()]
    for worker in workers:
        asked(worker)
    for worker in workers:
        worker.answer(PIN)
    codes = [worker.heard_until("code")[-1].code for worker in workers]
    assert SUCCESS in codes
    assert not desk.card.applet.pin_verified


@pytest.mark.parametrize("where", ["at the question", "while it is held"])
def test_a_conversation_that_is_killed_leaves_nothing(desk: Desk, where: str) -> None:
    if where == "while it is held":
        expired(desk)
    worker = desk.greeter().begin()
    assert worker.hear().kind == ("secret" if where == "at the question" else "info")
    processes = opened_workers(desk.site.world)
    assert len(processes) == 3
    worker.kill()
    desk.site.require_end(processes)


# ---------------------------------------------------------------- the locked screen


SAME_CARD = "[unlock]\nsame_card = true\n"


def session_of(desk: Desk) -> tuple[str, ...]:
    """Open alice's session with her card; what GDM gives to a worker that unlocks it."""
    heard = granted(desk.greeter().begin())
    assert desk.site.world.path(f"/run/pam_sc/sessions/{SESSION}.json").exists()
    return heard.environment


def test_the_card_of_the_session_unlocks_it(desk: Desk) -> None:
    desk.configure(SAME_CARD)
    locked_screen = desk.greeter(user="alice", session=session_of(desk))
    granted(locked_screen.begin(), [("acct_mgmt", 0), ("setcred", REINITIALIZE_CRED)])
    assert any("purpose=unlock" in line.text for line in desk.site.world.logged())


@pytest.mark.parametrize("service", [SMARTCARD, PASSWORD])
def test_another_card_of_hers_with_the_same_name_is_told_so(desk: Desk, service: str) -> None:
    desk.configure(SAME_CARD)
    session = session_of(desk)
    desk.insert(slot9a="alice")
    worker = desk.greeter(service, "alice", session).begin()
    assert worker.hear().text.startswith("Please insert the card that you logged in with")
    desk.remove()
    assert worker.heard_until("secret")[-1].kind == ("code" if service == SMARTCARD else "secret")


def test_without_same_card_another_card_of_hers_unlocks(desk: Desk) -> None:
    session = session_of(desk)
    desk.insert(slot9a="alice")
    granted(desk.greeter(user="alice", session=session).begin(), [("acct_mgmt", 0)])


def test_with_same_card_a_new_login_is_no_unlocking(desk: Desk) -> None:
    desk.configure(SAME_CARD)
    session_of(desk)
    desk.insert(slot9a="alice")
    granted(desk.greeter().begin(), [("acct_mgmt", 0)])


