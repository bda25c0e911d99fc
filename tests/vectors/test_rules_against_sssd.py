# SPDX-License-Identifier: LGPL-2.1-or-later
"""Matching rules and mapping rules, held against Debian's libsss_certmap on generated certificates and rules.

Where both can read certificate and rule they agree. Where they do not, the difference is one of docs/mappers/rules.md,
and each of them has a test below that shows both sides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.certmap.grammar import parse_match
from pam_sc.certmap.map_grammar import parse_map
from pam_sc.certmap.matching import match_certificate
from pam_sc.certmap.templates import Expanded, escape, expand
from pam_sc.decision.identity import read_subject
from pam_sc.errors import ConfigError
from tests.support.certmap_strategies import AUTHORITY, COMPONENTS, TEMPLATES, Made, certificates, match_rules
from tests.support.sssd_certmap import Answer, Crashed, Library, RuleError

EXAMPLES = int(os.environ.get("PAM_SC_EXAMPLES", "150"))
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
WHERE = "the test"
ANY = "<ISSUER>."
"""A rule that every certificate matches."""


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    """The library in its process."""
    with Library() as running:
        yield running


def ours_matches(der: bytes, rule: str) -> bool:
    """Whether we say that it matches."""
    return match_certificate(parse_match(rule, WHERE), read_subject(der)).matched


def ours_texts(der: bytes, rule: str) -> tuple[str, ...]:
    """What we make of a mapping rule, empty where it fails."""
    found = expand(parse_map(rule, WHERE), read_subject(der))
    return found.texts if isinstance(found, Expanded) else ()


def theirs(answer: Answer | RuleError | Crashed) -> Answer:
    """The library's answer about a rule that it takes."""
    assert isinstance(answer, Answer), answer
    return answer


@bounded
@given(st.data(), certificates())
def test_both_say_alike_whether_a_certificate_matches(library: Library, data: st.DataObject, made: Made) -> None:
    rule = data.draw(match_rules(made.values))
    answer = theirs(library.ask(made.der, rule, expand=False))
    assert answer.match in (0, 2)
    assert ours_matches(made.der, rule) == (answer.match == 0)


@bounded
@given(made=certificates(), template=st.sampled_from(TEMPLATES), filtered=st.booleans())
def test_both_expand_a_template_alike(library: Library, made: Made, template: str, filtered: bool) -> None:
    rule = f"LDAPU1:(x={template})" if filtered else f"LDAPU1:({template})"
    answer = theirs(library.ask(made.der, ANY, rule))
    text = answer.filtered if filtered else answer.expanded
    found = ours_texts(made.der, rule)
    if text is None or text in (b"()", b"(x=)"):  # the latter: of "@domain" the short name, and no value is empty here
        assert found == ()
    elif made.one_of_each:
        assert found == (text.decode() if filtered else text.decode()[1:-1],)
    else:
        assert (text.decode() if filtered else text.decode()[1:-1]) in found


@bounded
@given(made=certificates(), template=st.sampled_from(COMPONENTS), filtered=st.booleans())
def test_both_find_the_same_component(library: Library, made: Made, template: str, filtered: bool) -> None:
    """The library's value has the backslashes of the whole name, ours has none: a difference with a test of its own."""
    answer = theirs(library.ask(made.der, ANY, f"LDAPU1:({template})"))
    found = ours_texts(made.der, f"LDAPU1:(x={template})" if filtered else f"LDAPU1:({template})")
    if answer.expanded is None:
        assert found == ()
        return
    value = re.sub(r"\\(.)", r"\1", answer.expanded.decode()[1:-1])
    assert found == (f"(x={escape(value)})" if filtered else value,)


PIECES = (
    "a", "b", "ab", ".*", ".", "(a", "(b", "a)", "b)", "|", "*", "+", "?", "{1,2}", "{2}", "{,2}", "{0}", "{1,}", "^", "$", "]",
    "[ab]", "[^a]", "[]a]", "[^]b]", "[a-b]", "[a-]", "[[:alpha:]]", "[[:punct:]]", "[^[:alnum:]]", "[[:space:]b]", "CN=", "-",
    "\\.", "\\*", "\\(", "\\]", "\\{", "\\^", "\\-", "}", " ", "[a^]", "[.]", "[\\]", "[[]", "[+--]", "(^a|b$)", "(a|b)+",
)  # fmt: skip
NAMES = tuple(
    AUTHORITY.issue(common_name=name, key="p256").der for name in ("ab", "aab-b", "a]b", "a.b*", "bbb(a)", "A1 b", "{a}", "^$")
)


@settings(bounded, max_examples=4 * EXAMPLES)
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=7), der=st.sampled_from(NAMES))
def test_a_pattern_that_we_take_matches_as_in_glibc(library: Library, pieces: list[str], der: bytes) -> None:
    rule = "<SUBJECT>" + "".join(pieces)
    if refusal(rule, "") is None:
        assert ours_matches(der, rule) == (theirs(library.ask(der, rule, expand=False)).match == 0)


RULE_PIECES = (
    "<SUBJECT>", "<ISSUER>", "<KU>", "<EKU>", "<SAN>", "<SAN:dNSName>", "<SAN:otherName>", "<SAN:1.2.3>", "<SAN:", "<", ">",
    "&&", "||", "KRB5:", "digitalSignature", "clientAuth", ",", "1.2.3", "=", ":", "eA==", *PIECES,
)  # fmt: skip
MAP_PIECES = (
    "{subject_dn", "{cert", "}", "{", "!", ".", "nss", "ad", "(", ")", "x=", "LDAP:", "LDAPU1:", "{subject_dn}", "hex", "_u",
    "{serial_number", "short_name", "{subject_rfc822_name", "{{", "}}", "&", "|", "{sid", "rid", "{subject_dn_component", "cn",
    "[1]", "[-2]", "sha256", "bin", " ", "_",
)  # fmt: skip
REFUSED_HERE_ALONE = (
    "is not POSIX", "expected an interval", "a ) without its (",
    "an empty alternative or group", "two repetitions in a row", "the list is empty",
    "the rule has no component", "expected <ISSUER>, <SUBJECT>", "goes on behind its last parenthesis", "the rule is empty",
    "the parentheses of the filter", "could be more than one type", "is not base64",
)  # fmt: skip
"""Why we refuse rules that the library takes: rows of the table in docs/mappers/rules.md."""


def refusal(match: str, mapping: str) -> str | None:
    """Why we refuse the one of them that is not empty; None if we take it."""
    try:
        parse_match(match, WHERE) if match else parse_map(mapping, WHERE)
    except ConfigError as error:
        return str(error)
    return None


@settings(bounded, max_examples=4 * EXAMPLES)
@given(pieces=st.lists(st.sampled_from(RULE_PIECES), min_size=1, max_size=6))
def test_both_refuse_the_same_matching_rules(library: Library, pieces: list[str]) -> None:
    rule = "".join(pieces)
    require_same_refusal(refusal(rule, ""), library.ask(NAMES[0], rule, expand=False))


@settings(bounded, max_examples=4 * EXAMPLES)
@given(pieces=st.lists(st.sampled_from(MAP_PIECES), min_size=1, max_size=6))
def test_both_refuse_the_same_mapping_rules(library: Library, pieces: list[str]) -> None:
    rule = "".join(pieces)
    require_same_refusal(refusal("", rule), library.ask(NAMES[0], ANY, rule, expand=False))


def require_same_refusal(ours: str | None, answer: Answer | RuleError | Crashed) -> None:
    """Nothing is taken that the library refuses; the other way round there are known reasons."""
    if isinstance(answer, RuleError):
        assert ours is not None
    else:
        assert ours is None or any(reason in ours for reason in REFUSED_HERE_ALONE)
