# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is questionable about what a person meets: each said at its key, and not of its near misses."""

from __future__ import annotations

from typing import Any

import pytest

from pam_sc.config.finding import Weight
from pam_sc.config.lint_person import lint_service
from pam_sc.config.model import AccountSettings, Configuration, LogSettings, PinSettings, PromptSettings
from pam_sc.decision.policy import Members, Otherwise, UnlockRules
from pam_sc.record import replace
from tests.unit.config.findings import findings

ALICE = Members(accounts=frozenset({"alice"}))
ADMINS = Members(groups=frozenset({"admins"}))

FOUND: dict[str, tuple[dict[str, Any], list[tuple[Weight, str, str]]]] = {
    "waiting in silence": (
        {"wait_s": 5, "prompt": PromptSettings(quiet=True)}, [(Weight.WARNING, "wait", "prompt.quiet keeps the person from")]
    ),
    "waiting": ({"wait_s": 5}, []),
    "silence": ({"prompt": PromptSettings(quiet=True)}, []),
    "no PIN": ({"pin": PinSettings(allow_no_pin=True)}, [(Weight.WARNING, "pin.allow_no_pin", "a card that asks for no PIN")]),
    "two prompts": ({"pin": PinSettings(prompts=2)}, [(Weight.NOTE, "pin.prompts", "2: one login can use up all tries but")]),
    "three, and the last try": (
        {"pin": PinSettings(prompts=3, allow_last_try=True)},
        [(Weight.WARNING, "pin.prompts", "3, with allow_last_try: one login can lock a card")],
    ),
    "the last try": ({"pin": PinSettings(allow_last_try=True)}, []),
    "a group that must and may not": (
        {"account": AccountSettings(must_use=ADMINS, may_use=ALICE)},
        [(Weight.WARNING, "account.may_use", "does not name '@admins', who must use a card")],
    ),
    "an account that must, and a group that may": (
        {"account": AccountSettings(must_use=ALICE, may_use=ADMINS)},
        [(Weight.WARNING, "account.may_use", "does not name 'alice', who must use a card")],
    ),
    "who must may": ({"account": AccountSettings(must_use=ALICE, may_use=ALICE)}, []),
    "who must, and anybody may": ({"account": AccountSettings(must_use=ADMINS)}, []),
    "ignored": (
        {"unlock": UnlockRules(same_card=True, otherwise=Otherwise.IGNORE)},
        [(Weight.WARNING, "unlock.otherwise", "ignore: a session that was opened without a card is unlocked by")],
    ),
    "refused": ({"unlock": UnlockRules(same_card=True, otherwise=Otherwise.REFUSE)}, []),
    "otherwise than what": (
        {"unlock": UnlockRules(otherwise=Otherwise.REFUSE)},
        [(Weight.NOTE, "unlock.otherwise", "counts only with same_card = true")],
    ),
    "the same card nowhere": (
        {"unlock": UnlockRules(same_card=True, services=frozenset())},
        [(Weight.NOTE, "unlock.same_card", "counts only for GDM, because unlock.services is empty")],
    ),
    "names in the log": ({"log": LogSettings(identity=True)}, [(Weight.NOTE, "log.identity", "the log holds personal data")]),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_is_questionable_is_said_at_its_key(good: Configuration, name: str) -> None:
    changes, expected = FOUND[name]
    found = findings(replace(good, **changes))
    assert [(each.severity, each.where) for each in found] == [(weight, where) for weight, where, _text in expected]
    assert all(each.text.startswith(text) for each, (_w, _where, text) in zip(found, expected, strict=True))


def test_a_card_that_is_opened_before_it_is_known_is_a_warning(good: Configuration) -> None:
    (found,) = findings(replace(good, token=replace(good.token, login_first=True)))
    assert (found.severity, found.where) == (Weight.WARNING, "token.login_first")
    assert "a made-up card learns a PIN" in found.text


@pytest.mark.parametrize("key", ["must_use", "may_use", "must_not_use"])
@pytest.mark.parametrize(("members", "text"), [
    (ALICE, None),
    (ADMINS, None),
    (Members(accounts=frozenset({"admins"})),
     "'admins' is a group and no account, so it says nothing of anybody; write '@admins'"),
    (Members(accounts=frozenset({"alcie"})), "there is no account 'alcie' here, so it says nothing of anybody"),
    (Members(groups=frozenset({"alice"})), "there is no group '@alice' here, so it says nothing of anybody"),
    (Members(accounts=frozenset({"Alice"})), "'Alice' is 'alice' here: names are compared exactly"),
    (Members(groups=frozenset({"Staff"})), None),
])  # fmt: skip
def test_a_name_that_nobody_has_is_a_warning(good: Configuration, key: str, members: Members, text: str | None) -> None:
    changed: dict[str, Any] = {key: members}
    found = findings(replace(good, account=AccountSettings(**changed)))
    expected = [] if text is None else [(Weight.WARNING, f"account.{key}", text)]
    assert [(each.severity, each.where, each.text) for each in found] == expected


@pytest.mark.parametrize(("allowed", "count"), [(None, 0), ({"sudo"}, 0), ({"login"}, 1)])
def test_the_table_of_a_service_in_which_no_card_counts_is_a_warning(
    good: Configuration, allowed: set[str] | None, count: int
) -> None:
    own = replace(good, account=AccountSettings(services=None if allowed is None else frozenset(allowed)))
    found = list(lint_service("sudo", own))
    assert [(each.severity, each.where) for each in found] == [(Weight.WARNING, "service.sudo")] * count
