# SPDX-License-Identifier: LGPL-2.1-or-later
"""The keys of what a person meets: what each becomes, and what two of them cannot say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.config.model import CertificateSettings, LogSettings, PinSettings, PromptSettings
from pam_sc.config.own_texts import own_names, places_of
from pam_sc.decision.policy import CertificateSelector, Members, Otherwise, TokenSelector, UnlockRules
from pam_sc.decision.reasons import REASONS
from pam_sc.texts import TEXTS
from tests.unit.config.files import MINIMAL, load_text, refusal


def with_lines(module: Path, lines: str) -> str:
    """The smallest file with more at its end; the first line of `lines` is line 7."""
    return MINIMAL.format(module=module) + lines + "\n"


def test_every_key_reaches_its_place(file: Path, module: Path) -> None:
    lines = """
[pin]
prompts = 3
min_length = 4
max_length = 8
pattern = "[0-9]+"
pinpad = true
allow_no_pin = true
wrong_max = 5
[certificate]
select = { id = "0aFF", position = 2 }
prefer = [{ label = "Login" }, { position = 1 }]
warn_days = 0
[account]
must_use = ["alice", "@admins"]
may_use = ["alice", "@admins", "@staff"]
must_not_use = ["@guests"]
[unlock]
services = ["vlock"]
same_card = true
otherwise = "refuse"
[prompt]
choose = true
hold = true
[log]
identity = true
"""
    read = load_text(file, "wait = 170\n" + with_lines(module, lines))
    assert read.pin == PinSettings(
        prompts=3, min_length=4, max_length=8, pattern="[0-9]+", pinpad=True, allow_no_pin=True, wrong_max=5
    )
    assert read.certificate == CertificateSettings(
        select=CertificateSelector(text="id 0aff, position 2", object_id=b"\x0a\xff", position=2),
        prefer=(
            CertificateSelector(text="label 'Login'", label="Login"), CertificateSelector(text="position 1", position=1),
        ),
        warn_days=0,
    )  # fmt: skip
    assert read.account.must_use == Members(accounts=frozenset({"alice"}), groups=frozenset({"admins"}))
    assert read.account.may_use == Members(accounts=frozenset({"alice"}), groups=frozenset({"admins", "staff"}))
    assert read.account.must_not_use == Members(groups=frozenset({"guests"}))
    assert read.unlock == UnlockRules(services=frozenset({"vlock"}), same_card=True, otherwise=Otherwise.REFUSE)
    assert (read.prompt, read.log) == (PromptSettings(choose=True, hold=True), LogSettings(identity=True))
    assert read.wait_s == 170


def test_what_is_not_said_is_strict(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module))
    assert (read.pin, read.certificate, read.unlock) == (PinSettings(), CertificateSettings(), UnlockRules())
    assert (read.account.must_use, read.account.may_use, read.account.must_not_use) == (Members(), None, Members())
    assert (read.wait_s, read.texts, read.services, read.log) == (0, {}, (), LogSettings())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('{ label = "login" }', TokenSelector(text="label 'login'", token="login")),
        ('{ serial = "0001" }', TokenSelector(text="serial '0001'", serial="0001")),
        ('{ slot_description = "Reader 1" }', TokenSelector(text="slot_description 'Reader 1'", slot_description="Reader 1")),
        ('{ uri = "pkcs11:token=a", serial = "1" }', TokenSelector(text="pkcs11:token=a, serial '1'", token="a", serial="1")),
    ],
)
def test_a_token_is_selected_by_what_it_and_its_slot_say(
    file: Path, module: Path, written: str, expected: TokenSelector
) -> None:
    assert load_text(file, with_lines(module, f"[token]\nselect = {written}")).token.select == expected


REFUSED = {
    "label twice": ('[token.select]\nuri = "pkcs11:token=a"\nlabel = "b"', "9: token.select.label: found what the uri beside it"
                    " says too, expected only one of the two"),
    "serial twice": ('[token.select]\nuri = "pkcs11:serial=1"\nserial = "1"', "9: token.select.serial: found what the uri beside"
                     " it says too, expected only one of the two"),
    "an empty selector": ("[certificate]\nselect = {}", "8: certificate.select: found an empty table, expected at least one of"
                          " its keys"),
    "an empty preference": ("[certificate]\nprefer = [{ position = 1 }, {}]", "8: certificate.prefer[1]: found an empty table,"
                            " expected at least one of its keys"),
    "an odd id": ('[certificate.select]\nid = "0ab"', "8: certificate.select.id: found '0ab', expected a CKA_ID in hexadecimal"
                  " digits"),
    "lengths that exclude each other": ("[pin]\nmin_length = 6\nmax_length = 5", "9: pin.max_length: found 5 (an integer),"
                                        " expected at least min_length, which is 6"),
    "a pattern that could take long": ('[pin]\npattern = "(a*)*"', None),
    "a pattern that is none": ('[pin]\npattern = "("', None),
    "no length": ("[pin]\nmin_length = 0", "8: pin.min_length: found 0 (an integer) (too small), expected a number of bytes from"
                  " 1 to 512"),
    "four prompts": ("[pin]\nprompts = 4", "8: pin.prompts: found 4 (an integer) (too large), expected a number from 1 to 3"),
    "must and must not": ('[account]\nmust_use = ["@a"]\nmust_not_use = ["@a"]', "9: account.must_not_use: found '@a', expected"
                          " nobody who is in must_use too"),
    "may and must not": ('[account]\nmay_use = ["a"]\nmust_not_use = ["b", "a"]', "9: account.must_not_use: found 'a', expected"
                         " nobody who is in may_use too"),
    "must and may not": ('[account]\nmust_use = ["a"]\nmay_use = ["b"]', "9: account.may_use: found nothing of 'a', expected"
                         " everybody who is in must_use, because nobody else may use a card"),
    "a group of no name": ('[account]\nmust_use = ["@"]', "8: account.must_use[0]: found '@' (no account can have this name),"
                           """ expected the name of an account, or of a group as "@group\""""),
    "one member twice": ('[account]\nmust_use = ["a", "a"]', "8: account.must_use[1]: found 'a' twice, expected an array of names"
                         """ of accounts, and of groups as "@group\""""),
    "an unknown otherwise": ('[unlock]\notherwise = "ignored"', "8: unlock.otherwise: found 'ignored', expected one of card,"
                             " refuse, ignore; did you mean 'ignore'?"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(file: Path, module: Path, name: str) -> None:
    lines, message = REFUSED[name]
    said = refusal(file, with_lines(module, lines))
    if message is None:
        assert said.startswith("FILE:8: pin.pattern: found ")
        assert said.endswith(", expected a regular expression such as [0-9]+")
    else:
        assert said == f"FILE:{message}"


@pytest.mark.parametrize(
    "lines",
    [
        "[pin]\nmin_length = 6\nmax_length = 6",
        '[account]\nmust_use = ["a"]\nmust_not_use = ["@a"]',
        '[account]\nmust_use = ["a"]\nmay_use = ["@b"]',
        '[account]\nmust_use = ["a"]\nmay_use = ["a", "b"]\nmust_not_use = ["c"]',
        '[token.select]\nuri = "pkcs11:token=a"\nserial = "b"',
    ],
)
def test_what_only_looks_like_a_contradiction_is_taken(file: Path, module: Path, lines: str) -> None:
    assert load_text(file, with_lines(module, lines)).source == str(file)


def test_waiting_has_a_limit(file: Path, module: Path) -> None:
    assert refusal(file, "wait = 171\n" + MINIMAL.format(module=module)) == (
        "FILE:1: wait: found 171 (an integer) (too large), expected whole seconds from 0 to 170"
    )


# ---------------------------------------------------------------- texts


def test_texts_of_ones_own_are_taken_by_the_names_of_texts_and_reasons(file: Path, module: Path) -> None:
    lines = '[texts]\npin = "Badge {token}: "\nno-card = ""\npin-locked = "Locked, call 4711"'
    assert load_text(file, with_lines(module, lines)).texts == {
        "pin": "Badge {token}: ", "no-card": "", "pin-locked": "Locked, call 4711",
    }  # fmt: skip


TEXT_REFUSED = {
    "an unknown name": ('no-crad = "x"', "texts.no-crad: found an unknown name, expected the name of a text; docs/messages.md"
                        " lists them; did you mean 'no-card'?"),
    "an unknown place": ('pin = "{tokn}: "', "texts.pin: found '{tokn}', expected of places in braces only {token}; did you mean"
                         " 'token'?"),
    "a place where there is none": ('no-card = "{token}"', "texts.no-card: found '{token}', expected no braces"),
    "half a place": ('pin = "{token: "', "texts.pin: found a brace without its other half, expected of places in braces only"
                     " {token}"),
    "two lines": ('pin = "a\\nb"', "texts.pin: found 'a\\nb' (it holds a character that cannot be printed), expected one line of"
                  " text, of at most 200 characters"),
    "an escape": ('pin = "\\u001b[2J"', "texts.pin: found '\\x1b[2J' (it holds a character that cannot be printed), expected one"
                  " line of text, of at most 200 characters"),
    "no text": ("pin = 5", "texts.pin: found 5 (an integer), expected one line of text, of at most 200 characters"),
    "an empty prompt": ('pin = " "', "texts.pin: found ' ', expected a text, because nobody answers what is not asked"),
    "a table": ('de = { pin = "x" }', "texts.de: found a non-empty table, expected one line of text, of at most 200 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXT_REFUSED)
def test_a_text_that_cannot_be_shown_as_it_is_meant_is_refused(file: Path, module: Path, name: str) -> None:
    line, message = TEXT_REFUSED[name]
    assert refusal(file, with_lines(module, "[texts]\n" + line)) == f"FILE:8: {message}"


def test_a_text_has_at_most_200_characters(file: Path, module: Path) -> None:
    load_text(file, with_lines(module, f'[texts]\npin = "{"ä" * 200}"'))
    assert "it has 201 characters" in refusal(file, with_lines(module, f'[texts]\npin = "{"ä" * 201}"'))


def test_every_text_of_ours_could_be_ones_own_and_no_name_is_there_twice(file: Path, module: Path) -> None:
    assert len(own_names()) == len(TEXTS) + len(REASONS)
    lines = "\n".join(f'{name} = "{text}"' for name, text in own_names().items())
    assert load_text(file, with_lines(module, "[texts]\n" + lines)).texts == own_names()
    assert places_of("{a} {b} {a}") == ("a", "b")
