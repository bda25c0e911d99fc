# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc pin` against a machine that is not there: what it shows, what it refuses, and what it never asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pam_sc.cli.main import run
from pam_sc.cli.pin import ACTIONS
from pam_sc.config.model import Configuration, PinSettings
from pam_sc.decision.card_report import CardReport, Failure, ModuleReport, PinState, SlotReport, TokenRef, TokenReport
from pam_sc.decision.reasons import Reason
from pam_sc.errors import PamScError
from pam_sc.record import replace
from pam_sc.texts import Texts
from tests.unit.cli.cards import CONFIGURATION, EVIL, FakeMachine, token

Capture = pytest.CaptureFixture[str]
URI = "pkcs11:token=Card%20A;serial=1;model=M"


@dataclass
class PinMachine(FakeMachine):
    """Some tokens, and a person who does what is asked."""

    tokens: tuple[TokenReport, ...] = (token(label="Card A"),)
    settings: PinSettings = field(default_factory=PinSettings)
    counted: int | None = None
    fails: Failure | None = None
    changed: list[str] = field(default_factory=list)
    forgotten: list[str | None] = field(default_factory=list)
    forgetting_fails: str = ""

    def load_configuration(self, path: str | None, service: str | None = None) -> Configuration:
        return replace(CONFIGURATION, pin=self.settings)

    def read_tokens(self, configuration: Configuration) -> CardReport:
        slots = [SlotReport(slot_id=number, token=replace(one, ref=TokenRef(0, number)))
                 for number, one in enumerate(self.tokens, 1)]  # fmt: skip
        return CardReport((ModuleReport(index=0, path="/m.so", slots=tuple(slots) or (SlotReport(slot_id=1),)),))

    def change_pin(self, configuration: Configuration, choose: Callable[[CardReport], TokenReport]) -> Failure | None:
        self.changed.append(choose(self.read_tokens(configuration)).label)
        return self.fails

    def wrong_pins(self, configuration: Configuration, token: TokenReport) -> int | None:
        return self.counted

    def forget_wrong_pins(self, configuration: Configuration, token: TokenReport | None) -> None:
        if self.forgetting_fails:
            raise PamScError(self.forgetting_fails)
        self.forgotten.append(None if token is None else token.label)

    def texts(self, configuration: Configuration) -> Texts:
        return Texts()


def said(capsys: Capture, machine: FakeMachine, *arguments: str) -> tuple[int, str, str]:
    code = run(("pin", *arguments), machine)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys: Capture, machine: FakeMachine, *arguments: str) -> tuple[int, Any]:
    code, out, err = said(capsys, machine, *arguments, "--json")
    assert err == ""
    return code, json.loads(out)


# ---------------------------------------------------------------- status


@pytest.mark.parametrize(("changes", "code", "words"), [
    ({}, 0, ["ok ", "Card A: a PIN has 4 to 8 bytes; ", URI]),
    ({"pin_state": PinState.COUNT_LOW}, 0, ["few left ", "only a few tries are left"]),
    ({"pin_state": PinState.FINAL_TRY}, 1, ["last try ", "[pin] allow_last_try"]),
    ({"pin_state": PinState.LOCKED}, 1, ["locked ", "pam-sc pin unblock"]),
    ({"pin_state": PinState.NOT_SET}, 1, ["not set ", "its issuer"]),
    ({"to_be_changed": True}, 0, ["ok ", "the PIN must be changed: pam-sc pin change"]),
    ({"protected_authentication_path": True}, 0, ["ok ", "keypad of the reader"]),
    ({"login_required": False}, 0, ["no PIN ", "it asks for no PIN"]),
    ({"pin_min": 0, "pin_max": 0}, 0, ["it names no length of a PIN"]),
])
def test_status_says_in_words_what_a_token_shows(
    capsys: Capture, changes: dict[str, Any], code: int, words: list[str]
) -> None:
    machine = PinMachine(tokens=(token(label="Card A", **changes),))
    found, out, err = said(capsys, machine, "status")
    assert (found, err) == (code, "")
    assert len(out.splitlines()) == 1
    assert all(word in out for word in words)
    assert machine.changed == []


def test_status_says_what_was_counted_and_what_a_new_pin_must_be(capsys: Capture) -> None:
    machine = PinMachine(counted=2, settings=PinSettings(min_length=6, max_length=8, pattern="[0-9]+"))
    _code, out, _err = said(capsys, machine, "status")
    assert "it shows no counter of tries; wrong PINs counted here: 2; its PIN is tried again after" in out
    assert "new PINs  [pin] demands: at least 6 bytes, at most 8 bytes, match [0-9]+" in out


@pytest.mark.parametrize(("counted", "changes", "code", "word"), [
    (2, {}, 1, "used up "), (1, {}, 0, "ok "),
    (2, {"pin_state": PinState.COUNT_LOW}, 0, "few left "),
    (2, {"login_required": False}, 0, "no PIN "),
])
def test_status_says_that_no_login_tries_a_pin_whose_counted_tries_are_used_up(
    capsys: Capture, counted: int, changes: dict[str, Any], code: int, word: str
) -> None:
    machine = PinMachine(tokens=(token(label="Card A", **changes),), counted=counted)
    found, out, _err = said(capsys, machine, "status")
    assert (found, out.startswith(word), "pam-sc pin forget" in out) == (code, True, code == 1)


@pytest.mark.parametrize("counted", [0, None])
def test_status_says_nothing_of_a_count_that_is_none(capsys: Capture, counted: int | None) -> None:
    assert "counted" not in said(capsys, PinMachine(counted=counted), "status")[1]


def test_status_for_programs_has_every_fact(capsys: Capture) -> None:
    locked = token(label="Card A", pin_state=PinState.LOCKED, to_be_changed=True)
    code, found = as_json(capsys, PinMachine(tokens=(locked,), counted=1), "status")
    assert code == 1
    assert found == {
        "tokens": [{
            "label": "Card A", "serial": "1", "manufacturer": "Maker", "model": "M", "uri": URI, "pin": "locked",
            "to_be_changed": True, "pinpad": False, "min_length": 4, "max_length": 8, "wrong_counted_here": 1,
        }],
        "new_pin": {"min_length": 0, "max_length": 0, "pattern": None},
    }  # fmt: skip


def test_a_label_cannot_do_anything_to_the_terminal(capsys: Capture) -> None:
    _code, out, _err = said(capsys, PinMachine(tokens=(token(label=EVIL),)), "status")
    assert "\x1b" not in out
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("action", ["status", "change", "unblock"])
def test_without_a_card_the_command_says_so(capsys: Capture, action: str) -> None:
    machine = PinMachine(tokens=())
    assert said(capsys, machine, action) == (1, "", "pam-sc: No card found: 1 slots, none with a token\n")
    code, found = as_json(capsys, machine, action)
    assert (code, found["done"], found["reason"]) == (1, False, "no-card")


# ---------------------------------------------------------------- change and unblock


def test_change_changes_the_one_token(capsys: Capture) -> None:
    machine = PinMachine()
    assert said(capsys, machine, "change") == (0, "The PIN of the card has been changed\n", "")
    assert machine.changed == ["Card A"]
    assert as_json(capsys, machine, "change")[1]["done"] is True


def test_unblock_unblocks_a_locked_one(capsys: Capture) -> None:
    machine = PinMachine(tokens=(token(label="Card A", pin_state=PinState.LOCKED),))
    assert said(capsys, machine, "unblock") == (0, "The PIN of the card has been unblocked\n", "")


@pytest.mark.parametrize(("action", "changes", "settings", "reason"), [
    ("unblock", {}, PinSettings(), "pin-change-failed"),
    ("change", {"pin_state": PinState.LOCKED}, PinSettings(), "pin-locked"),
    ("change", {"pin_state": PinState.FINAL_TRY}, PinSettings(), "pin-last-try"),
    ("change", {"pin_state": PinState.NOT_SET}, PinSettings(), "pin-not-set"),
    ("change", {"login_required": False}, PinSettings(), "pin-change-unsupported"),
    ("change", {"protected_authentication_path": True}, PinSettings(), "pinpad-only"),
    ("change", {"failure": Failure(Reason.TOKEN_UNREADABLE, "CKR")}, PinSettings(), "token-unreadable"),
])
def test_a_token_whose_pin_cannot_be_changed_is_refused_before_anything_is_asked(
    capsys: Capture, action: str, changes: dict[str, Any], settings: PinSettings, reason: str
) -> None:
    machine = PinMachine(tokens=(token(label="Card A", **changes),), settings=settings)
    code, found = as_json(capsys, machine, action)
    assert (code, found["reason"], machine.changed) == (1, reason, [])


@pytest.mark.parametrize(("changes", "settings"), [
    ({"pin_state": PinState.FINAL_TRY}, PinSettings(allow_last_try=True)),
    ({"protected_authentication_path": True}, PinSettings(pinpad=True)),
    ({"pin_state": PinState.COUNT_LOW}, PinSettings()),
])
def test_what_the_configuration_allows_is_done(
    capsys: Capture, changes: dict[str, Any], settings: PinSettings
) -> None:
    machine = PinMachine(tokens=(token(label="Card A", **changes),), settings=settings)
    assert said(capsys, machine, "change")[0] == 0


def test_what_the_card_refuses_is_said(capsys: Capture) -> None:
    machine = PinMachine(fails=Failure(Reason.PIN_WRONG, "C_Login: CKR_PIN_INCORRECT"))
    assert said(capsys, machine, "change") == (1, "", "pam-sc: Wrong PIN: C_Login: CKR_PIN_INCORRECT\n")
    code, found = as_json(capsys, machine, "change")
    assert (code, found["done"], found["reason"]) == (1, False, "pin-wrong")


TWO = (token(label="Card A"), token(label="Card B", serial="2"))


def test_between_two_tokens_nothing_is_chosen(capsys: Capture) -> None:
    code, out, err = said(capsys, PinMachine(tokens=TWO), "change")
    assert (code, out) == (2, "")
    assert err.startswith("pam-sc: cannot choose between 2 tokens: name one with --token: pkcs11:token=Card%20A;")


def test_a_token_is_named_with_its_uri(capsys: Capture) -> None:
    machine = PinMachine(tokens=TWO)
    assert said(capsys, machine, "change", "--token", "pkcs11:serial=2")[0] == 0
    assert machine.changed == ["Card B"]


@pytest.mark.parametrize(("uri", "code", "error"), [
    ("pkcs11:serial=3", 1, "none of 2 tokens matches pkcs11:serial=3"),
    ("Card B", 2, "in --token"),
    ("pkcs11:pin-value=1234", 2, "pin-value is never read"),
])
def test_a_uri_that_names_none_or_is_wrong_changes_nothing(capsys: Capture, uri: str, code: int, error: str) -> None:
    machine = PinMachine(tokens=TWO)
    found, _out, err = said(capsys, machine, "change", "--token", uri)
    assert (found, machine.changed) == (code, [])
    assert error in err


@pytest.mark.parametrize("arguments", [(), ("change", "1234"), ("change", "--pin", "1234"), ("reset",)])
def test_no_pin_is_taken_from_the_command_line(capsys: Capture, arguments: tuple[str, ...]) -> None:
    machine = PinMachine()
    assert said(capsys, machine, *arguments)[0] == 2
    assert machine.changed == []


def test_every_action_is_explained(capsys: Capture) -> None:
    out = said(capsys, PinMachine(), "--help")[1]
    assert all(f"{action} " in out for action in ACTIONS)


# ---------------------------------------------------------------- forget


def test_forget_needs_no_card_and_forgets_all(capsys: Capture) -> None:
    machine = PinMachine(tokens=())
    assert said(capsys, machine, "forget") == (0, "the wrong PINs counted for all tokens are forgotten\n", "")
    assert machine.forgotten == [None]


def test_forget_with_a_uri_forgets_that_one(capsys: Capture) -> None:
    machine = PinMachine(tokens=TWO)
    assert said(capsys, machine, "forget", "--token", "pkcs11:serial=2")[0] == 0
    assert machine.forgotten == ["Card B"]


def test_forget_that_may_not_says_why(capsys: Capture) -> None:
    machine = PinMachine(forgetting_fails="cannot forget wrong PINs: only root can")
    assert said(capsys, machine, "forget") == (2, "", "pam-sc: cannot forget wrong PINs: only root can\n")
