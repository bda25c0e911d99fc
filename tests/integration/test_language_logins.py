# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person reads the language that the host has set with setlocale, and English where it has set none.

The locales of these hosts lie in the world: copies of C.utf8 under other names, because only the name counts. The verifier
reads its catalogue behind the filter, as an account that owns nothing.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.namespace import is_available
from tests.support.pam_host import Login, Outcome
from tests.support.pam_world import World
from tests.support.pki import now
from tests.support.rig import AUTH_ERR, PROGRAM, SUCCESS, Rig, errors, prompts, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root

LOCALES = "/srv/locales"
C_UTF8 = Path("/usr/lib/locale/C.utf8")
GERMAN = "de_DE.UTF-8"
WRONG = "4321"
SILENT = 0x8000


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world whose hosts can speak German, Brazilian, Chinese, and what is no language."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("languages") / "world") as world:
        for name in (GERMAN, "pt_BR.UTF-8", "zh_CN.UTF-8", "de_DE.UTF-8@..", "deutsch", "ja_JP.UTF-8"):
            shutil.copytree(C_UTF8, world.path(f"{LOCALES}/{name}"))
        yield Rig(world)


@pytest.fixture(scope="module")
def good(rig: Rig) -> str:
    """The configuration of alice's good card."""
    return rig.setup.card("good", [rig.setup.authority.issue()])


@pytest.fixture
def fresh(rig: Rig, request: pytest.FixtureRequest) -> str:
    """The configuration of a good card that nobody has tried yet: wrong PINs are counted for each card."""
    return rig.setup.card(f"fresh-{abs(hash(request.node.name))}", [rig.setup.authority.issue()])


def log_in(rig: Rig, config: str, language: str | None, *arguments: str, answers: Sequence[str] = (PIN,), flags: int = 0,
           env: Mapping[str, str] | None = None, caller: str | None = None) -> Outcome:
    """Log alice in through a host that has set this language."""
    login = Login(service=rig.service(config, *arguments), user="alice", answers=answers, confdir="/etc/pam.d", flags=flags,
                  language=None if language is None else (language, LOCALES))
    return login.run(lambda argv, text: rig.world.run(argv, input=text, env=env, user=caller), program=PROGRAM)


def test_a_german_host_asks_in_german(rig: Rig, good: str) -> None:
    outcome = log_in(rig, good, GERMAN)
    assert outcome.code == SUCCESS
    assert prompts(outcome) == ("PIN für login: ",)


def test_a_german_host_refuses_in_german(rig: Rig, fresh: str) -> None:
    outcome = log_in(rig, fresh, GERMAN, answers=[WRONG])
    assert (outcome.code, reason(outcome)) == (AUTH_ERR, "pin-wrong-few-left")
    assert errors(outcome) == ("Falsche PIN; es bleiben nur noch wenige Versuche",)
    assert prompts(log_in(rig, fresh, GERMAN)) == ("PIN für login (nur noch wenige Versuche): ",)


def test_a_host_that_never_called_setlocale_reads_english(rig: Rig, fresh: str) -> None:
    outcome = log_in(rig, fresh, None, answers=[WRONG])
    assert (outcome.code, reason(outcome)) == (AUTH_ERR, "pin-wrong-few-left")
    assert (prompts(outcome), errors(outcome)) == (("PIN for login: ",), ("Wrong PIN; only a few tries are left",))


def test_the_environment_of_a_host_is_no_language(rig: Rig, good: str) -> None:
    german = dict.fromkeys(("LANGUAGE", "LC_MESSAGES", "LANG"), GERMAN)
    assert prompts(log_in(rig, good, None, env={**german, "LOCPATH": LOCALES})) == ("PIN for login: ",)
    assert prompts(log_in(rig, good, "pt_BR.UTF-8", env={"LANGUAGE": "de"})) == ("PIN de login: ",)


@pytest.mark.parametrize(
    ("language", "prompt"),
    [("pt_BR.UTF-8", "PIN de login: "), ("zh_CN.UTF-8", "login 的 PIN: "), ("C", "PIN for login: "),
     ("ja_JP.UTF-8", "PIN for login: "), ("de_DE.UTF-8@..", "PIN for login: "), ("deutsch", "PIN for login: ")],
)  # fmt: skip
def test_the_name_of_the_locale_picks_the_language(rig: Rig, good: str, language: str, prompt: str) -> None:
    outcome = log_in(rig, good, language)
    assert outcome.code == SUCCESS
    assert prompts(outcome) == (prompt,)


def test_an_expired_certificate_is_told_with_its_date_in_german(rig: Rig) -> None:
    ended = now() - datetime.timedelta(days=1)
    leaf = rig.setup.authority.issue(not_before=ended - datetime.timedelta(days=9), not_after=ended)
    outcome = log_in(rig, rig.setup.card("expired", [leaf]), GERMAN)
    assert (outcome.code, reason(outcome)) == (AUTH_ERR, "certificate-expired")
    assert errors(outcome) == (f"Das Zertifikat auf der Karte ist am {ended:%Y-%m-%d} abgelaufen",)


def test_a_refusal_before_the_configuration_is_read_is_german_too(rig: Rig) -> None:
    outcome = log_in(rig, "/srv/no-such-file.toml", GERMAN)
    assert reason(outcome) == "configuration-unusable"
    assert errors(outcome) == ("Die Anmeldung mit Karte ist nicht richtig eingerichtet",)


def test_a_host_without_privilege_reads_german(rig: Rig, good: str) -> None:
    outcome = log_in(rig, good, GERMAN, caller="alice")
    assert reason(outcome) == "token-hidden"  # her card belongs to the card process of a host with privilege
    assert errors(outcome) == ("Keine Karte gefunden",)


def test_the_words_of_the_configuration_are_shown_in_every_language(rig: Rig) -> None:
    own = '[texts]\npin = "Badge {token}, number: "\npin-wrong-few-left = "Not its number"'
    config = rig.setup.card("own", [rig.setup.authority.issue()], more=own)
    english, german = log_in(rig, config, None), log_in(rig, config, GERMAN, answers=[WRONG])
    assert prompts(english) == prompts(german) == ("Badge login, number: ",)
    assert (errors(english), errors(german)) == ((), ("Not its number",))
    assert reason(german) == "pin-wrong-few-left"


@pytest.mark.parametrize(("arguments", "flags"), [(("quiet",), 0), ((), SILENT)], ids=["quiet", "PAM_SILENT"])
def test_a_silent_login_asks_in_german_and_says_no_more(
    rig: Rig, fresh: str, arguments: tuple[str, ...], flags: int
) -> None:
    outcome = log_in(rig, fresh, GERMAN, *arguments, answers=[WRONG], flags=flags)
    assert (outcome.code, reason(outcome)) == (AUTH_ERR, "pin-wrong-few-left")
    assert (prompts(outcome), errors(outcome)) == (("PIN für login: ",), ())
