# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `upn` beyond its vectors: the nickname, and what it says about what it passes over."""

from __future__ import annotations

import pytest

from pam_sc.decision.alternative_names import NameKind
from pam_sc.decision.identity import Subject
from pam_sc.errors import ConfigError
from pam_sc.mappers.upn import UpnMapper
from tests.support.mappers import made
from tests.support.subjects import subject_of


def subject_with(*names: str) -> Subject:
    return subject_of(names=[(NameKind.UPN, each) for each in names])


def test_peers_name_is_an_alias() -> None:
    assert isinstance(made("ms"), UpnMapper)


@pytest.mark.parametrize("nickname", ["", "A/B", "A\\B", "A@B", "-A", "A\n"])
def test_nickname_that_is_no_word_is_refused(nickname: str) -> None:
    with pytest.raises(ConfigError, match="expected the short name of a domain"):
        made("upn", domains=["example.test"], nickname=nickname)


def test_nickname_stands_before_every_name() -> None:
    mapper = made("upn", domains=["example.test"], nickname="EX")
    subject = subject_with("alice@example.test", "bob@example.org", "carol@example.test")
    assert mapper.accounts(subject) == ("EX\\alice", "EX\\carol")
    assert not mapper.claims(subject, "alice")
    assert not mapper.claims(subject, "EX\\bob")


def test_nickname_without_regard_to_case_is_small_but_claimed_in_any_case() -> None:
    mapper = made("upn", any_domain=True, nickname="EX", ignore_case=True)
    assert mapper.accounts(subject_with("Alice@example.test")) == ("ex\\alice",)
    assert mapper.claims(subject_with("Alice@example.test"), "EX\\alice")
    assert not mapper.claims(subject_with("Alice@example.test"), "EY\\alice")


def test_what_it_passes_over_is_explained() -> None:
    subject = subject_with("alice@example.org", "EX\\alice@example.test")
    assert made("upn", domains=["example.test"]).why(subject, "alice") == (
        "'alice@example.org' is not of one of the domains",
        "'EX\\\\alice@example.test' holds a blank or a character that has to be quoted",
    )
