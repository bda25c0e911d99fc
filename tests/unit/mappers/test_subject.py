# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `subject` beyond its vectors: a line for each form, and names made to be taken for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.decision.identity import Subject, read_subject
from tests.support.certificate_spec import issue
from tests.support.mappers import made, mapfile


def subject_named(*pairs: tuple[str, str]) -> Subject:
    return read_subject(issue({"relative_names": [[{"oid": oid, "value": value}] for oid, value in pairs]}).der)


@pytest.mark.parametrize("value", ["alice", "a, b", "a=b", 'a "b"', "a/b", "a+b", "Zoë", "#1", "a\\b", "x -> y"])
@pytest.mark.parametrize("form", [0, 1])
def test_each_form_that_it_sees_is_a_line_that_maps(tmp_path: Path, value: str, form: int) -> None:
    subject = subject_named(("o", "Example"), ("cn", value))
    seen = made("subject", mapfile=mapfile(tmp_path, "")).sees(subject)[form]
    line = f"{seen} -> alice\n" if " -> " not in seen else f"^{seen.replace('->', '.>').replace('/', '.')}$ -> alice\n"
    mapper = made("subject", mapfile=mapfile(tmp_path, line))
    assert mapper.accounts(subject) == ("alice",)
    assert mapper.claims(subject, "alice")
    assert not mapper.claims(subject, "bob")


def test_forms_that_are_listed_for_two_accounts_are_both_given(tmp_path: Path) -> None:
    subject = subject_named(("o", "Example"), ("cn", "alice"))
    mapper = made("subject", mapfile=mapfile(tmp_path, "CN=alice,O=Example -> alice\n/O=Example/CN=alice -> bob\n"))
    assert mapper.accounts(subject) == ("alice", "bob")
