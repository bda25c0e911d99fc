# SPDX-License-Identifier: LGPL-2.1-or-later
"""How often a PIN is asked for and how often a card is tried, in whole logins through libpam: every C_Login is counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import rig as codes
from tests.support.namespace import is_available
from tests.support.pam_host import INFORMATION
from tests.support.pin_site import ASKS_FOR_A_PASSWORD, OTHER_WRONG, WRONG, PinSite, pin_site
from tests.support.pki import CertificateAuthority
from tests.support.rig import errors, prompts, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

FIRST, AGAIN = "PIN for login: ", "Wrong PIN. PIN for login: "
FEW, LAST = "PIN for login (only a few tries are left): ", "PIN for login (this is the last try): "
DISALLOW_NULL_AUTHTOK = 1


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PinSite]:
    """One world; each test has a card of its own."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with pin_site(tmp_path_factory.mktemp("prompts")) as made:
        yield made


# ---------------------------------------------------------------- several prompts


def test_one_prompt_is_the_default_and_one_wrong_pin_is_one_try(site: PinSite) -> None:
    outcome = site.login(site.card(tries=3), answers=[WRONG, PIN])
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "pin-wrong-few-left")
    assert (prompts(outcome), site.logins(), site.tries_left()) == ((FIRST,), 1, 2)


def test_with_two_prompts_the_second_pin_may_be_right(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 2", tries=3), answers=[WRONG, PIN])
    assert outcome.code == codes.SUCCESS
    assert (prompts(outcome), site.logins(), site.tries_left()) == ((FIRST, FEW), 2, 3)


def test_the_last_refusal_is_the_logins(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 2", tries=3), answers=[WRONG, OTHER_WRONG])
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "pin-wrong-one-left")
    assert (prompts(outcome), site.logins(), site.tries_left()) == ((FIRST, FEW), 2, 1)


def test_one_stored_answer_to_every_prompt_is_one_try(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 3", tries=3), answers=[WRONG] * 3)
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "pin-repeated")
    assert (prompts(outcome), site.logins(), site.tries_left()) == ((FIRST, FEW), 1, 2)


def test_the_last_try_is_never_used_unless_allowed(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 3", tries=2), answers=[WRONG, PIN])
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "pin-wrong-one-left")
    assert (site.logins(), site.tries_left()) == (1, 1)
    before = site.login(site.card(tries=1))
    assert (before.code, reason(before)) == (codes.MAXTRIES, "pin-last-try")
    assert (prompts(before), site.logins(), site.tries_left()) == ((), 0, 1)


def test_where_it_is_allowed_the_question_says_so(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 3\nallow_last_try = true", tries=2), answers=[WRONG, PIN])
    assert outcome.code == codes.SUCCESS
    assert (prompts(outcome), site.logins(), site.tries_left()) == ((FEW, LAST), 2, 3)


def test_the_try_that_locks_the_card_is_one_too_many_for_the_application(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 3\nallow_last_try = true", tries=1), answers=[WRONG, PIN])
    assert (outcome.code, reason(outcome)) == (codes.MAXTRIES, "pin-wrong-now-locked")
    assert (site.logins(), site.tries_left()) == (1, 0)
    assert errors(outcome) == ("Wrong PIN; the PIN of the card is now locked",)


def test_an_answer_of_no_fit_form_never_reaches_the_card(site: PinSite) -> None:
    outcome = site.login(site.card(pin="prompts = 2\npattern = '[0-9]+'", tries=3), answers=["pass word", PIN])
    assert outcome.code == codes.SUCCESS
    assert (prompts(outcome), site.logins()) == ((FIRST, AGAIN), 1)
    refused = site.login(site.card(pin="pattern = '[0-9]+'", tries=3), answers=["pass word"])
    assert (refused.code, reason(refused), site.logins()) == (codes.AUTH_ERR, "pin-form", 0)


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        ("", codes.AUTH_ERR, "pin-empty"),
        ({"null": True}, codes.AUTH_ERR, "pin-not-given"),
        ({"fail": 19}, codes.CONV_ERR, "conversation-failed"),
        ({"length": 513}, codes.CONV_ERR, "answer-too-long"),
    ],
)
def test_a_second_prompt_that_is_not_answered_ends_the_login(
    site: PinSite, answer: str | dict[str, object], code: int, why: str
) -> None:
    outcome = site.login(site.card(pin="prompts = 3", tries=3), answers=[WRONG, answer, PIN])
    assert (outcome.code, reason(outcome), site.logins()) == (code, why, 1)


# ---------------------------------------------------------------- a stacked password


def stacked(site: PinSite, config: str, argument: str, *answers: str) -> tuple[int, str | None, int, int]:
    """Code, reason, how often the person was asked for a PIN, how often the card was tried."""
    outcome = site.login(config, argument, answers=answers, before=[ASKS_FOR_A_PASSWORD])
    asked = [text for text in prompts(outcome) if "PIN" in text]
    return outcome.code, reason(outcome), len(asked), site.logins()


@pytest.mark.parametrize("argument", ["try_first_pass", "use_first_pass"])
def test_a_stacked_password_may_be_the_pin(site: PinSite, argument: str) -> None:
    assert stacked(site, site.card(tries=3), argument, PIN) == (codes.SUCCESS, None, 0, 1)


def test_without_these_words_a_stacked_password_is_nothing(site: PinSite) -> None:
    outcome = site.login(site.card(tries=3), answers=[PIN, WRONG], before=[ASKS_FOR_A_PASSWORD])
    assert (outcome.code, site.logins(), site.tries_left()) == (codes.AUTH_ERR, 1, 2)


def test_a_stacked_password_that_cannot_be_a_pin_never_reaches_the_card(site: PinSite) -> None:
    form = "pattern = '[0-9]+'"
    assert stacked(site, site.card(pin=form), "try_first_pass", "a password", PIN) == (codes.SUCCESS, None, 1, 1)
    assert stacked(site, site.card(pin=form), "use_first_pass", "a password", PIN) == (codes.AUTH_ERR, "pin-form", 0, 0)


def test_a_stacked_password_that_cannot_be_a_pin_leaves_all_the_prompts(site: PinSite) -> None:
    config = site.card("flags-clear:0x70000", pin="prompts = 3\nwrong_max = 3\npattern = '[0-9]+'")
    three = "a password", WRONG, OTHER_WRONG, PIN
    assert stacked(site, config, "try_first_pass", *three) == (codes.SUCCESS, None, 3, 3)


def test_a_wrong_stacked_password_is_one_of_the_prompts(site: PinSite) -> None:
    two = site.card(pin="prompts = 2", tries=3)
    assert stacked(site, two, "try_first_pass", WRONG, PIN) == (codes.SUCCESS, None, 1, 2)
    one = site.card(tries=3)
    assert stacked(site, one, "try_first_pass", WRONG, PIN) == (codes.AUTH_ERR, "pin-wrong-few-left", 0, 1)


def test_use_first_pass_never_asks(site: PinSite) -> None:
    config = site.card(pin="prompts = 3", tries=3)
    assert stacked(site, config, "use_first_pass", WRONG, PIN) == (codes.AUTH_ERR, "pin-wrong-few-left", 0, 1)


def test_a_stacked_password_is_never_the_last_try(site: PinSite) -> None:
    allowed = "allow_last_try = true"
    assert stacked(site, site.card(pin=allowed, tries=1), "try_first_pass", WRONG, PIN) == (codes.SUCCESS, None, 1, 1)
    assert stacked(site, site.card(pin=allowed, tries=1), "use_first_pass", PIN) == (codes.MAXTRIES, "pin-last-try", 0, 0)


# ---------------------------------------------------------------- keypads, tokens without a PIN, hidden certificates


def test_a_pin_on_the_reader_is_taken_where_configured(site: PinSite) -> None:
    outcome = site.login(site.card(f"pinpad:{PIN}", pin="pinpad = true"), answers=[])
    assert (outcome.code, site.logins(), prompts(outcome)) == (codes.SUCCESS, 1, ())
    assert outcome.texts(INFORMATION) == ("Please enter the PIN for login on the keypad of the reader",)


def test_elsewhere_a_text_says_that_it_is_not(site: PinSite) -> None:
    outcome = site.login(site.card(f"pinpad:{PIN}"), answers=[])
    assert (outcome.code, reason(outcome), site.logins()) == (codes.AUTH_ERR, "pinpad-only", 0)
    assert len(errors(outcome)) == 1


def test_a_wrong_pin_on_the_reader_is_one_try(site: PinSite) -> None:
    outcome = site.login(site.card(f"pinpad:{WRONG}", pin="pinpad = true", tries=3), answers=[])
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "pin-wrong-few-left")
    assert (site.logins(), site.tries_left()) == (1, 2)


def test_a_signal_that_the_host_catches_ends_the_waiting_for_the_reader(site: PinSite) -> None:
    config = site.card(f"pinpad:{PIN},pinpad-ms:40000", pin="pinpad = true", tries=3)
    outcome = site.login(config, answers=[], interrupted=True)
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "pinpad-cancelled")
    assert outcome.seconds < 20


def test_an_interrupted_host_asks_and_logs_in_all_the_same(site: PinSite) -> None:
    """What the signal cancels is the waiting, and nothing else."""
    assert site.login(site.card(tries=3), interrupted=True).code == codes.SUCCESS


def test_a_card_that_is_still_verified_is_no_login_on_the_reader(site: PinSite) -> None:
    """Where somebody's verification holds, a reader with a keypad lets C_Login pass without asking."""
    outcome = site.login(site.card(f"pinpad:{WRONG},verified", pin="pinpad = true", tries=3), answers=[])
    assert outcome.code == codes.AUTH_ERR


def test_a_token_without_a_pin_is_a_login_only_where_configured(site: PinSite) -> None:
    free = f"flags-clear:0x4,auto-login:{PIN}"
    outcome = site.login(site.card(free), answers=[])
    assert (outcome.code, reason(outcome), site.logins()) == (codes.AUTH_ERR, "pin-not-asked-for", 0)
    outcome = site.login(site.card(free, pin="allow_no_pin = true"), answers=[])
    assert (outcome.code, prompts(outcome)) == (codes.SUCCESS, ())


def test_an_application_that_wants_a_secret_gets_no_login_without_a_pin(site: PinSite) -> None:
    config = site.card(f"flags-clear:0x4,auto-login:{PIN}", pin="allow_no_pin = true")
    outcome = site.login(config, answers=[], flags=DISALLOW_NULL_AUTHTOK)
    assert (outcome.code, reason(outcome), site.logins()) == (codes.AUTH_ERR, "pin-not-asked-for", 0)


def test_a_token_that_works_only_after_a_change_of_its_pin_says_so(site: PinSite) -> None:
    outcome = site.login(site.card("flags:0x80000,rv:C_SignInit:0x101"))
    assert (outcome.code, reason(outcome), site.logins()) == (codes.AUTH_ERR, "pin-to-be-changed", 1)


LOGIN_FIRST = "[token]\nlogin_first = true\n"


def test_a_certificate_that_shows_itself_after_a_login_counts_only_where_configured(site: PinSite) -> None:
    outcome = site.login(site.card(tries=3, hidden=True))
    assert (outcome.code, reason(outcome), site.logins()) == (codes.USER_UNKNOWN, "no-certificate", 0)
    outcome = site.login(site.card(tries=3, hidden=True, more=LOGIN_FIRST))
    assert (outcome.code, prompts(outcome), site.logins()) == (codes.SUCCESS, (FIRST,), 1)


def test_a_wrong_pin_there_is_one_try_and_the_same_rules_hold(site: PinSite) -> None:
    outcome = site.login(site.card(tries=3, hidden=True, more=LOGIN_FIRST), answers=[WRONG, PIN])
    assert (outcome.code, reason(outcome), site.tries_left()) == (codes.AUTH_ERR, "pin-wrong-few-left", 2)
    outcome = site.login(site.card(pin="prompts = 2", tries=3, hidden=True, more=LOGIN_FIRST), answers=[WRONG, PIN])
    assert (outcome.code, site.logins()) == (codes.SUCCESS, 2)
    outcome = site.login(site.card(tries=1, hidden=True, more=LOGIN_FIRST))
    assert (outcome.code, reason(outcome), site.logins()) == (codes.MAXTRIES, "pin-last-try", 0)


def test_a_hidden_certificate_of_a_foreign_authority_is_refused_after_the_pin(site: PinSite) -> None:
    foreign = CertificateAuthority("Foreign CA").issue(key="p256")
    outcome = site.login(site.card(tries=3, hidden=True, more=LOGIN_FIRST, issued=foreign))
    assert (outcome.code, reason(outcome), site.logins()) == (codes.AUTH_ERR, "untrusted", 1)


def test_a_certificate_that_is_shown_before_is_judged_before_any_pin(site: PinSite) -> None:
    foreign = CertificateAuthority("Foreign CA").issue(key="p256")
    outcome = site.login(site.card(tries=3, more=LOGIN_FIRST, issued=foreign))
    assert (outcome.code, reason(outcome), prompts(outcome), site.logins()) == (codes.AUTH_ERR, "untrusted", (), 0)
