# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `krb` beyond its vectors: realms, and what it says about what it passes over."""

from __future__ import annotations

import pytest

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.errors import ConfigError
from tests.support.certificate_spec import issue
from tests.support.mappers import made


def subject_with(*principals: str) -> Subject:
    return read_subject(issue({"san": [{"kind": "krb", "value": each} for each in principals]}).der)


@pytest.mark.parametrize("realm", ["", "A B", "A@B", "\u00c4"])
def test_realm_that_is_no_word_is_refused(realm: str) -> None:
    with pytest.raises(ConfigError, match=f"here: realms holds {realm!r}, expected a realm"):
        made("krb", realms=[realm])


def test_any_realm_false_does_not_stand_for_realms() -> None:
    with pytest.raises(ConfigError, match="set realms or mapfile"):
        made("krb", any_realm=False)


def test_what_it_passes_over_is_explained() -> None:
    subject = subject_with("alice@EXAMPLE.TEST", "alice/admin@EXAMPLE.TEST", "alice@EXAMPLE.ORG")
    mapper = made("krb", realms=["EXAMPLE.TEST"])
    assert mapper.accounts(subject) == ("alice",)
    assert mapper.why(subject, None) == (
        "'alice@EXAMPLE.ORG' is not of one of the realms",
        "'alice/admin@EXAMPLE.TEST' has more than one plain component",
    )


def test_account_with_a_slash_is_never_claimed() -> None:
    subject = subject_with("alice/admin@EXAMPLE.TEST")
    for account in ("alice", "admin", "alice/admin", "alice/admin@EXAMPLE.TEST", ""):
        assert not made("krb", any_realm=True).claims(subject, account)
