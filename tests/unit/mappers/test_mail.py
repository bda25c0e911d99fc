# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `mail` beyond its vectors: tables that are refused, and what it says about what it passes over."""

from __future__ import annotations

from typing import Any

import pytest

from pam_sc.decision.alternative_names import NameKind
from pam_sc.errors import ConfigError
from tests.support.mappers import made
from tests.support.subjects import subject_of


@pytest.mark.parametrize("name", ["mail", "upn", "ms"])
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"domains": "example.test"}, "here: domains is 'example.test', expected a list"),
        ({"domains": []}, "here: domains is empty, expected a list of domains"),
        ({"domains": [""]}, "here: domains holds '', expected a domain"),
        ({"domains": ["a b"]}, "here: domains holds 'a b', expected a domain"),
        ({"domains": ["a@b"]}, "here: domains holds 'a@b', expected a domain"),
        ({"domains": ["exämple.test"]}, "here: domains holds 'exämple.test', expected a domain"),
        ({"domains": [7]}, "here: domains holds 7, expected a domain"),
        ({"any_domain": 1}, "here: any_domain is 1, expected true or false"),
        ({"any_domain": True, "domains": ["a"]}, "here: any_domain says that no domain is looked at"),
        ({"unlisted": "same"}, "here: unlisted says what to do with values that a mapfile lacks"),
        ({"domain": ["a"]}, r"here: unknown key 'domain' \(did you mean 'domains'\?\)"),
    ],
)
def test_wrong_table_is_refused(name: str, table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(name, **table)


def test_any_domain_false_is_as_if_it_were_absent() -> None:
    subject = subject_of(names=[(NameKind.MAIL, "alice@example.test")])
    assert made("mail", any_domain=False).accounts(subject) == ("alice@example.test",)
    assert made("mail", any_domain=False, domains=["example.test"]).accounts(subject) == ("alice",)


def test_what_it_passes_over_is_explained() -> None:
    values = ["alice@example.test", "bob@example.org", "carol", "dave x@example.test", "a@b@example.test"]
    subject = subject_of(names=[(NameKind.MAIL, each) for each in values])
    mapper = made("mail", domains=["example.test"])
    assert mapper.accounts(subject) == ("alice",)
    assert mapper.why(subject, None) == (
        "'bob@example.org' is not of one of the domains",
        "'carol' is not local@domain",
        "'dave x@example.test' holds a blank or a character that has to be quoted",
        "'a@b@example.test' is not local@domain",
    )


def test_names_of_other_kinds_do_not_count() -> None:
    kinds = [kind for kind in NameKind if kind is not NameKind.MAIL]
    subject = subject_of("alice@example.test", names=[(kind, "alice@example.test") for kind in kinds])
    assert made("mail").sees(subject) == ()
