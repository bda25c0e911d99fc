# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `rules`: SSSD's certmap rules say which certificates count and whose they are.

Every rule that matches counts, not only the first: whether a certificate is an account's is asked of all of them, and
without an account all answers are given. Priorities only say in which order. A rule that cannot be understood makes the
whole mapper unusable, because a rule that is passed over may be the one that was meant to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pam_sc.certmap.grammar import DEFAULT_MATCH, PRIORITY_MAX, MatchRule, parse_match
from pam_sc.certmap.map_grammar import DEFAULT_MAP, MapRule, parse_map
from pam_sc.certmap.matching import MatchResult, match_certificate, without_unmatched_names
from pam_sc.certmap.names import render_name
from pam_sc.certmap.templates import Expanded, NotExpanded, expand
from pam_sc.certmap.values import text_of
from pam_sc.decision.identity import Subject
from pam_sc.decision.parsing import clean
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapfile import unusable_account
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.record import record

if TYPE_CHECKING:
    from pam_sc.rules_directory import RulesDirectory

_KEYS: Mapping[str, type] = {"rule": list, "any_san": bool, "ldap": dict}
_RULE_KEYS: Mapping[str, type] = {"name": str, "priority": int, "match": str, "map": str, "account": str}
_TEXT_MAX = 200


@record(kw_only=True)
class _Rule:
    """One rule. Exactly one of `map` and `account` is there."""

    name: str
    priority: int
    match: MatchRule
    map: MapRule | None
    account: str | None


class RulesMapper(Mapper):
    """Tries every rule."""

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the rules; no server is asked."""
        check_table(table, _KEYS, context.where)
        self._any_san: bool = table.get("any_san", False)
        self._directory = _directory(table, context)
        self._rules = _rules(table.get("rule", []), context.where, with_directory=self._directory is not None)
        if self._directory is not None and not any(_searches(rule) for rule in self._rules):
            raise ConfigError(f"{context.where}: ldap is of no use, because no rule has a search filter as its map")

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for an unknown key, a wrong type, or a rule that cannot be understood."""
        return cls(table, context)

    def problems(self) -> tuple[str, ...]:
        """A server that is not verified."""
        return () if self._directory is None else self._directory.problems()

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """What patterns are matched with, each behind the component that would ask for it."""
        return tuple(_seen(subject))

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The accounts that the matching rules give. A directory that could not answer counts if no rule gave one."""
        found: dict[str, None] = {}
        failures: list[MapperError] = []
        for rule in self._rules:
            try:
                found |= dict.fromkeys(self._accounts_of(rule, subject, None))
            except MapperError as error:
                failures.append(error)
        if failures and not found:
            raise failures[0]
        return tuple(found)

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether a matching rule gives this account. A directory that could not answer counts if none does."""
        failures: list[MapperError] = []
        for rule in self._rules:
            try:
                if account in self._accounts_of(rule, subject, account):
                    return True
            except MapperError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return False

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:
        """Every rule with its elements, in the order of the priorities, and what each matching rule gives."""
        return tuple(line for rule in self._rules for line in self._told(rule, subject, account))

    def _accounts_of(self, rule: _Rule, subject: Subject, account: str | None) -> tuple[str, ...]:
        if not self._matched(rule, subject).matched:
            return ()
        if rule.account is not None:
            return (rule.account,)
        found = self._expanded(rule, subject)
        if isinstance(found, NotExpanded):
            return ()
        if self._directory is not None and _searches(rule):
            return self._directory.accounts(found.texts, account)
        return tuple(name for name in found.texts if unusable_account(name) is None)

    def _matched(self, rule: _Rule, subject: Subject) -> MatchResult:
        return match_certificate(rule.match, subject, any_san=self._any_san)

    def _expanded(self, rule: _Rule, subject: Subject) -> Expanded | NotExpanded:
        if rule.map is None:
            raise MapperError(f"rule {rule.name!r} has no map")
        return expand(rule.map, without_unmatched_names(rule.match, subject) if self._any_san else subject)

    def _told(self, rule: _Rule, subject: Subject, account: str | None) -> Iterator[str]:
        result = self._matched(rule, subject)
        wanted = "all elements are needed" if rule.match.every else "one element is enough"
        yield f"rule {rule.name!r}, priority {rule.priority}: {'matches' if result.matched else 'does not match'} ({wanted})"
        for element in result.elements:
            yield f"  {clean(element.text, _TEXT_MAX)}: {'yes' if element.matched else 'no'}, {element.why}"
        if result.matched:
            yield f"  {self._gives(rule, subject, account)}"

    def _gives(self, rule: _Rule, subject: Subject, account: str | None) -> str:
        expanded = None if rule.map is None else self._expanded(rule, subject)
        if isinstance(expanded, NotExpanded):
            return f"gives no account: {expanded.why}"
        searched = f" for {clean(expanded.texts[0], _TEXT_MAX)}" if expanded is not None and _searches(rule) else ""
        try:
            names = self._accounts_of(rule, subject, account)
        except MapperError as error:
            return f"cannot give an account{searched}: {error}"
        given = f"gives {', '.join(map(repr, names))}" if names else "gives no account that could log in"
        return given + searched + ("" if account is None or account in names else f", not {account!r}")


def _directory(table: Mapping[str, Any], context: MapperContext) -> RulesDirectory | None:
    if "ldap" not in table:
        return None
    from pam_sc.rules_directory import read_directory  # most rules need none

    return read_directory(table["ldap"], context)


def _searches(rule: _Rule) -> bool:
    return rule.map is not None and rule.map.is_filter


def _rules(tables: list[Any], where: str, *, with_directory: bool) -> tuple[_Rule, ...]:
    """The rules, best priority first and else in the order of the file."""
    if not tables:
        raise ConfigError(f"{where}: no rule, expected at least one [[mapper.rule]]: no certificate would ever map")
    rules = [_rule(table, f"{where}: rule {number}", with_directory) for number, table in enumerate(tables, 1)]
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise ConfigError(f"{where}: two rules have the name {rule.name!r}")
        seen.add(rule.name)
    return tuple(sorted(rules, key=lambda rule: rule.priority))


def _rule(table: object, where: str, with_directory: bool) -> _Rule:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: found {table!r:.100}, expected a table: [[mapper.rule]]")
    check_table(table, _RULE_KEYS, where)
    name = table.get("name")
    if not name:
        raise ConfigError(f"{where}: name is missing")
    where = f"{where} ({name!r:.60})"
    priority = table.get("priority", PRIORITY_MAX)
    if not 0 <= priority <= PRIORITY_MAX:
        raise ConfigError(f"{where}: priority is {priority}, expected 0 (the best) to {PRIORITY_MAX}")
    mapping, account = _target(table, where, with_directory)
    if "match" not in table and (mapping is None or mapping.is_fixed):
        raise ConfigError(f"{where}: match is missing, and without it every certificate would be one account's")
    match = parse_match(table.get("match", DEFAULT_MATCH), where)
    return _Rule(name=name, priority=priority, match=match, map=mapping, account=account)


def _target(table: Mapping[str, Any], where: str, with_directory: bool) -> tuple[MapRule | None, str | None]:
    """What the rule gives: a map, or an account by name."""
    if "map" in table and "account" in table:
        raise ConfigError(f"{where}: map and account are two answers, expected one")
    if "map" in table or ("account" not in table and with_directory):
        mapping = parse_map(table.get("map", DEFAULT_MAP), where)
        if mapping.is_filter and not with_directory:
            raise ConfigError(
                f"{where}: map is a search filter, and the mapper has no directory: expected a table [mapper.ldap] with"
                " uri, base and ca, or a map without = that is the account's name"
            )
        return mapping, None
    account = table.get("account", table["name"])
    problem = unusable_account(account)
    if problem is not None:
        raise ConfigError(f"{where}: the account {account!r:.100} {problem}")
    return None, account


def _seen(subject: Subject) -> Iterator[str]:
    for component, distinguished in (("<SUBJECT>", subject.subject), ("<ISSUER>", subject.issuer)):
        text = render_name(distinguished)
        if text is not None:
            yield component + text
    facts = subject.facts
    for component, words in (
        ("<KU>", facts and facts.key_usage), ("<EKU>", facts and facts.extended_key_usage)
    ):  # fmt: skip
        if words:
            yield component + ",".join(sorted(words))
    for name in subject.alternative_names:
        text = text_of(name)
        if text is not None:
            yield f"<SAN:{_SAN_NAMES.get(name.kind.value, name.kind.value)}>{text}"


_SAN_NAMES = {"userPrincipalName": "ntPrincipalName", "KRB5PrincipalName": "pkinitSAN"}
