# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates made to be taken for another one's: what must not become an account, beside what does."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from pam_sc.decision.identity import Subject, read_subject
from tests.support.certmap_strategies import AUTHORITY, upn
from tests.support.mappers import made, mapfile


def subject_named(common_name: str) -> Subject:
    """What a certificate with this commonName says."""
    return read_subject(AUTHORITY.issue(key="p256", common_name=common_name).der)


# ---------------------------------------------------------------- names that compare equal


@pytest.mark.parametrize("written", ["\\XC3\\XA9lodie", "\\xC3\\xA9lodie", "\\Xc3\\Xa9lodie"])
def test_text_that_spells_out_the_octets_of_a_letter_is_not_that_letter_without_regard_to_case(
    tmp_path: Path, written: str
) -> None:
    path = mapfile(tmp_path, "/O=Example/CN=\\xC3\\xA9lodie -> elodie\n")
    subject = made("subject", mapfile=path, ignore_case=True)
    assert subject.accounts(subject_named("\xe9lodie")) == ("elodie",)
    assert subject.accounts(subject_named(written)) == ()
    assert not subject.claims(subject_named(written), "elodie")


def test_name_with_a_backslash_before_a_large_x_has_no_oneline_form() -> None:
    assert subject_named("a\\Xb").subject.oneline is None
    assert subject_named("a\\Xb").subject.rfc4514 == "CN=a\\\\Xb,O=Example"
    assert subject_named("a\\yb").subject.oneline == "/O=Example/CN=a\\yb"


# ---------------------------------------------------------------- values that can be read in two ways


EMPLOYEES = {
    "name": "employees",
    "match": r"<EKU>clientAuth<SAN:rfc822Name>@example\.test$",
    "map": "({subject_rfc822_name.short_name})",
}


@pytest.mark.parametrize(
    ("address", "accounts"),
    [
        ("alice@example.test", ("alice",)),
        ("root@evil@example.test", ()),
        ("root@@example.test", ()),
        ("root@evil.test ,x@example.test", ()),
        ('"root@evil"@example.test', ()),
    ],
)
def test_short_name_of_an_address_with_two_at_signs_is_nobody(address: str, accounts: tuple[str, ...]) -> None:
    name = x509.RFC822Name._init_without_validation(address)
    subject = read_subject(AUTHORITY.issue(key="p256", san=[name]).der)
    assert subject.mails == (address,)
    rules = made("rules", rule=[EMPLOYEES])
    assert rules.accounts(subject) == accounts
    assert rules.claims(subject, "root") is False


@pytest.mark.parametrize("name", ["root@evil@EXAMPLE.TEST", "root@EXAMPLE.TEST@EXAMPLE.TEST"])
def test_short_name_of_a_principal_with_two_at_signs_is_nobody(name: str) -> None:
    rule = {"name": "r", "match": r"<SAN:ntPrincipalName>@EXAMPLE\.TEST$", "map": "{subject_nt_principal.short_name}"}
    subject = read_subject(AUTHORITY.issue(key="p256", san=[upn(name)]).der)
    assert made("rules", rule=[rule]).accounts(subject) == ()
    assert made("rules", rule=[{**rule, "map": "{subject_principal.short_name}"}]).accounts(subject) == ()
    plain = read_subject(AUTHORITY.issue(key="p256", san=[upn("alice@EXAMPLE.TEST")]).der)
    assert made("rules", rule=[rule]).accounts(plain) == ("alice",)
