# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a certificate matches a matching rule, element by element, each with the reason. Pure."""

from __future__ import annotations

from pam_sc.certmap.grammar import Element, KeyUsageElement, MatchRule, NameElement, PurposeElement, SanElement
from pam_sc.certmap.names import render_name
from pam_sc.certmap.values import concerns, fits
from pam_sc.decision.alternative_names import AlternativeName
from pam_sc.decision.identity import Subject
from pam_sc.decision.parsing import clean
from pam_sc.record import record, replace

_TEXT_MAX = 200


@record
class ElementResult:
    """What came of one element: the element as it is written, whether it matched, and why."""

    text: str
    matched: bool
    why: str


@record
class MatchResult:
    """What came of a rule."""

    matched: bool
    elements: tuple[ElementResult, ...]


def match_certificate(rule: MatchRule, subject: Subject, *, any_san: bool = False) -> MatchResult:
    """Return whether the certificate matches. Of a <SAN:...> all names of the type have to match, or with `any_san` one."""
    results = tuple(_result(each, rule.every, subject, any_san) for each in rule.elements)
    decide = all if rule.every else any
    return MatchResult(decide(each.matched for each in results), results)


def without_unmatched_names(rule: MatchRule, subject: Subject) -> Subject:
    """Return the subject without the alternative names that a rule asks for and that do not match it.

    Where one matching name is enough, another one beside it must not become the account.
    """
    elements = [each for each in rule.elements if isinstance(each, SanElement)]
    decide = all if rule.every else any

    def counts(name: AlternativeName) -> bool:
        asked = [fits(each, name) for each in elements if concerns(each, name)]
        return not asked or decide(asked)

    return replace(subject, alternative_names=tuple(filter(counts, subject.alternative_names)))


def _result(element: Element, every: bool, subject: Subject, any_san: bool) -> ElementResult:
    match element:
        case NameElement():
            matched, why = _name(element, subject)
        case KeyUsageElement():
            matched, why = _key_usage(element, subject)
        case PurposeElement():
            matched, why = _purposes(element, every, subject)
        case SanElement():
            matched, why = _alternative_names(element, subject, any_san)
    return ElementResult(element.text, matched, why)


def _name(element: NameElement, subject: Subject) -> tuple[bool, str]:
    what, name = ("issuer", subject.issuer) if element.issuer else ("subject", subject.subject)
    text = render_name(name)
    if text is None:
        problem = "holds a value that cannot be used" if name.attributes else "is empty"
        return False, f"the {what} {problem}"
    return element.pattern.search(text), f"the {what} is '{clean(text, _TEXT_MAX)}'"


def _key_usage(element: KeyUsageElement, subject: Subject) -> tuple[bool, str]:
    if subject.facts is None:
        return False, "the certificate cannot be read"
    found = subject.facts.key_usage
    if found is None:
        return True, "the certificate has no key usage, which allows every one"
    return element.usages <= found, f"the key usage is {_listed(found)}"


def _purposes(element: PurposeElement, every: bool, subject: Subject) -> tuple[bool, str]:
    found = None if subject.facts is None else subject.facts.extended_key_usage
    if found is None:
        return False, "the certificate has no extended key usage"
    matched = element.purposes <= found if every else bool(element.purposes & found)
    return matched, f"the extended key usage is {_listed(found)}"


def _alternative_names(element: SanElement, subject: Subject, any_san: bool) -> tuple[bool, str]:
    names = [each for each in (*subject.alternative_names, *subject.unusable_names) if concerns(element, each)]
    kind = element.oid or element.type.value
    if not names:
        return False, f"the certificate has no {kind}"
    failing = [each for each in names if not fits(element, each)]
    if any_san and len(failing) < len(names):
        return True, f"{_counted(len(names) - len(failing), len(names))} {kind} matches"
    if failing:
        shown = f"{failing[0].kind.value} '{clean(failing[0].value, _TEXT_MAX)}'"
        problem = "does not match" if failing[0].problem is None else "cannot be used"
        return False, f"{shown} {problem}" + ("" if any_san else ", and all have to match" * (len(names) > 1))
    return True, f"{_counted(len(names), len(names))} {kind} matches"


def _counted(count: int, among: int) -> str:
    return "the only" if among == 1 else f"each of {among}" if count == among else f"{count} of {among}"


def _listed(words: frozenset[str]) -> str:
    return ", ".join(sorted(words)) or "empty"
