# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `uid` beyond its vectors: one value in both attributes is one account."""

from __future__ import annotations

import pytest

from pam_sc.decision.identity import UNIQUE_IDENTIFIER, USER_ID
from pam_sc.errors import ConfigError
from tests.support.mappers import made
from tests.support.subjects import subject_of


def test_same_value_in_both_attributes_is_seen_once() -> None:
    subject = subject_of(attributes=[(UNIQUE_IDENTIFIER, "alice"), (USER_ID, "bob"), (USER_ID, "alice")])
    assert made("uid").sees(subject) == ("bob", "alice")
    assert made("uid").accounts(subject) == ("bob", "alice")


def test_option_of_another_mapper_is_refused() -> None:
    with pytest.raises(ConfigError, match="here: unknown key 'domains'"):
        made("uid", domains=["example.test"])
