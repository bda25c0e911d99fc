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
from tests.support.certmap_strategies import COMPONENTS, TEMPLATES, Made, certificates, match_rules
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
    if text is None:
        assert found == ()
    elif text in (b"()", b"(x=)"):  # of "@domain" the short name: no empty value here
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
