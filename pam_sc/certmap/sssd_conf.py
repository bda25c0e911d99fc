# SPDX-License-Identifier: LGPL-2.1-or-later
"""The certificate rules of an sssd.conf (sssd.conf(5), section CERTIFICATE MAPPING SECTION), as rules of the mapper.

Only sections [certmap/DOMAIN/RULE] are turned into rules; of [domain/DOMAIN] only id_provider is looked at, because it
decides what a rule without a maprule means. What SSSD would skip is skipped, and what cannot mean the same here is said,
each with its line. The text is read, nothing else: no file, no include, no server. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pam_sc.certmap.grammar import PRIORITY_MAX, parse_match
from pam_sc.certmap.map_grammar import DEFAULT_MAP, parse_map
from pam_sc.errors import ConfigError
from pam_sc.record import record

_LOCAL_PROVIDERS = frozenset({"files", "proxy", "local"})
_LOCAL_DOMAINS = frozenset({"implicit_files", "shadowutils"})
_KEYS = frozenset({"matchrule", "maprule", "priority", "domains"})
UNREADABLE = "neither a section nor an option"
_SECTION = re.compile(r"\[([^\]]*)\]\s*")


@record
class Note:
    """What somebody should know about one line of the file."""

    line: int
    text: str


@record
class _Option:
    line: int
    value: str


@record
class _Section:
    name: str
    line: int
    options: Mapping[str, _Option]


def read_certmap_rules(text: str, where: str) -> tuple[tuple[dict[str, Any], ...], tuple[Note, ...]]:
    """Return the rules as tables of [[mapper.rule]], best priority first, and what to know about them.

    The keys of a table are those of the mapper `rules`: name, and priority, match, map, account where they are said.
    `where` names the file in the notes' texts. Never raises, whatever the text is.
    """
    notes: list[Note] = []
    sections = _sections(text, where, notes)
    local = {*_LOCAL_DOMAINS, *_local_domains(sections)}
    found = [rule for each in sections if (rule := _rule(each, local, notes)) is not None]
    found.sort(key=lambda rule: rule.get("priority", PRIORITY_MAX))
    return tuple(_distinct(found)), tuple(sorted(notes, key=lambda note: note.line))


# ---------------------------------------------------------------- the file


def _sections(text: str, where: str, notes: list[Note]) -> tuple[_Section, ...]:
    """The sections that matter; one that comes twice is one, and the last value of an option counts. No line goes on."""
    found: dict[str, tuple[int, dict[str, _Option]]] = {}
    options: dict[str, _Option] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        header = _SECTION.fullmatch(line.rstrip())
        key, equals, value = line.partition("=")
        if header:
            options = found.setdefault(header[1].strip(), (number, {}))[1]
        elif equals and not line.startswith("["):
            options[key.strip().lower()] = _Option(number, value.strip())
        else:
            notes.append(Note(number, f"{where}: {UNREADABLE}, so that SSSD would use no line of the file"))
    return tuple(_Section(name, line, options) for name, (line, options) in found.items())


def _local_domains(sections: tuple[_Section, ...]) -> Iterator[str]:
    for each in sections:
        kind, _slash, domain = each.name.partition("/")
        provider = each.options.get("id_provider")
        if kind.lower() == "domain" and provider is not None and provider.value.lower() in _LOCAL_PROVIDERS:
            yield domain


# ---------------------------------------------------------------- one rule


def _rule(section: _Section, local: set[str], notes: list[Note]) -> dict[str, Any] | None:
    parts = section.name.split("/", 2)
    if parts[0].lower() != "certmap":
        return None
    if len(parts) != 3 or not all(parts):
        notes.append(Note(section.line, f"[{section.name}] is no rule: expected [certmap/DOMAIN/RULE]; SSSD skips it too"))
        return None
    rule: dict[str, Any] = {"name": parts[2]}
    if not _priority(section, rule, notes):
        return None
    match, mapping = (section.options.get(key) for key in ("matchrule", "maprule"))
    if match is not None and match.value:
        rule["match"] = match.value
    if mapping is not None and mapping.value:
        rule["map"] = mapping.value
    elif parts[1] in local:
        rule["account"] = parts[2]
    else:
        rule["map"] = DEFAULT_MAP
    problem = _problem(rule)
    if problem is not None:
        notes.append(Note(section.line, f"[{section.name}]: the rule is left out: {problem}"))
        return None
    notes.extend(_notes(section, parts[1], rule))
    return rule


def _problem(rule: Mapping[str, Any]) -> str | None:
    """Why the mapper would refuse the rule. What SSSD cannot read it skips, so leaving it out changes nothing then."""
    where = f"rule {rule['name']!r}"
    try:
        fixed = "account" in rule or parse_map(rule["map"], where).is_fixed
        if "match" in rule:
            parse_match(rule["match"], where)
    except ConfigError as error:
        return str(error)
    return "without a matchrule it gives every certificate to one account" if fixed and "match" not in rule else None


def _priority(section: _Section, rule: dict[str, Any], notes: list[Note]) -> bool:
    option = section.options.get("priority")
    if option is None or not option.value:
        return True
    if not option.value.isascii() or not option.value.isdigit() or int(option.value[:11]) > PRIORITY_MAX:
        notes.append(Note(
            option.line, f"[{section.name}]: priority is {option.value!r:.40}, expected 0 to {PRIORITY_MAX}:"
            " SSSD skips such a rule, and it is left out",
        ))  # fmt: skip
        return False
    rule["priority"] = int(option.value)
    return True


def _notes(section: _Section, domain: str, rule: Mapping[str, Any]) -> Iterator[Note]:
    for key, option in section.options.items():
        if key == "domains":
            yield Note(option.line, f"[{section.name}]: domains has no meaning here: the rule holds for all accounts")
        elif key not in _KEYS:
            yield Note(option.line, f"[{section.name}]: unknown key {key!r}, which SSSD does not use either")
    yield Note(section.line, f"[{section.name}]: the rule held for accounts of {domain!r}, here it holds for all accounts")
    if "=" in rule.get("map", ""):
        yield Note(section.line, f"[{section.name}]: the rule searches a directory: the mapper needs uri and base")


def _distinct(rules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rules, those of two domains that have one name told apart by a number."""
    seen: set[str] = set()
    for rule in rules:
        name, number = rule["name"], 2
        while rule["name"] in seen:
            rule["name"] = f"{name}-{number}"
            number += 1
        seen.add(rule["name"])
        yield rule
