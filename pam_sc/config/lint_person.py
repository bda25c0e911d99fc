# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is questionable about what a person meets: PIN, waiting, unlocking, who must and may. Advice only, and pure
but for the names of accounts, which the caller looks up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.model import AccountSettings, Configuration
from pam_sc.decision.policy import Members, Otherwise


def lint_person(configuration: Configuration, find_name: Callable[[str], str | None]) -> Iterator[Finding]:
    """Yield what there is to say, in the order of the file; `find_name` says what an account or "@group" is called here."""
    if configuration.wait_s and configuration.prompt.quiet:
        yield Finding(Weight.WARNING, "wait", "prompt.quiet keeps the person from reading that a card is waited for")
    if configuration.token.login_first:
        yield Finding(Weight.WARNING, "token.login_first", "a card that shows no certificate gets the PIN before anything is"
                      " known about it: one that would be refused costs a try, and a made-up card learns a PIN")
    yield from _lint_members(configuration.account)
    yield from _lint_account_names(configuration.account, find_name)
    yield from _lint_pin(configuration)
    yield from _lint_unlock(configuration)
    if configuration.log.identity:
        yield Finding(Weight.NOTE, "log.identity", "the log holds personal data: who may read it, and for how long is it kept?")


def _lint_members(account: AccountSettings) -> Iterator[Finding]:
    may = account.may_use
    if may is None:
        return
    accounts, groups = account.must_use.accounts - may.accounts, account.must_use.groups - may.groups
    for name in (*sorted(accounts), *(f"@{group}" for group in sorted(groups))):
        yield Finding(Weight.WARNING, "account.may_use", f"does not name {name!a}, who must use a card: whoever is in no other"
                      " group of it cannot log in at all")


def _lint_account_names(account: AccountSettings, find_name: Callable[[str], str | None]) -> Iterator[Finding]:
    lists = (("must_use", account.must_use), ("may_use", account.may_use or Members()), ("must_not_use", account.must_not_use))
    for key, members in lists:
        yield from lint_names(f"account.{key}", members, find_name)


def lint_names(where: str, members: Members, find_name: Callable[[str], str | None]) -> Iterator[Finding]:
    """Yield a finding for each name that nobody has: it would exempt, or keep out, somebody without a word."""
    for name in (*sorted(members.accounts), *(f"@{group}" for group in sorted(members.groups))):
        known = find_name(name)
        if known is None and find_name(f"@{name}") is not None:
            yield Finding(Weight.WARNING, where, f"{name!a} is a group and no account, so it says nothing of anybody; write"
                          f" {f'@{name}'!a}")
        elif known is None:
            kind = "group" if name.startswith("@") else "account"
            yield Finding(Weight.WARNING, where, f"there is no {kind} {name!a} here, so it says nothing of anybody")
        elif known != name and not name.startswith("@"):
            yield Finding(Weight.WARNING, where, f"{name!a} is {known!a} here: names are compared exactly")


def _lint_pin(configuration: Configuration) -> Iterator[Finding]:
    pin = configuration.pin
    if pin.prompts > 1 and pin.allow_last_try:
        yield Finding(Weight.WARNING, "pin.prompts", f"{pin.prompts}, with allow_last_try: one login can lock a card, because"
                      " many cards have only three tries")
    elif pin.prompts > 1:
        yield Finding(Weight.NOTE, "pin.prompts", f"{pin.prompts}: one login can use up all tries but the last of a card that"
                      " has three")
    if pin.allow_no_pin:
        yield Finding(Weight.WARNING, "pin.allow_no_pin", "a card that asks for no PIN logs in whoever holds it")


def _lint_unlock(configuration: Configuration) -> Iterator[Finding]:
    unlock = configuration.unlock
    if not unlock.same_card:
        if unlock.otherwise is not Otherwise.CARD:
            yield Finding(Weight.NOTE, "unlock.otherwise", "counts only with same_card = true")
        return
    if not unlock.services:
        yield Finding(Weight.NOTE, "unlock.same_card", "counts only for GDM, because unlock.services is empty")
    if unlock.otherwise is Otherwise.IGNORE:
        yield Finding(Weight.WARNING, "unlock.otherwise", "ignore: a session that was opened without a card is unlocked by"
                      " whatever else the stack asks for, and not at all where it asks for nothing")


def lint_service(service: str, configuration: Configuration) -> Iterator[Finding]:
    """Yield what is questionable about there being a table for this service."""
    allowed = configuration.account.services
    if allowed is not None and service not in allowed:
        yield Finding(Weight.WARNING, f"service.{service}", f"account.services does not name {service!a}, so that no card"
                      " counts there")
