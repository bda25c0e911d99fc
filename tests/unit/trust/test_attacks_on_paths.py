# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on "trusted": a card that brings an issuer of its own, and rules for one CA that reach another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.decision.evidence import NoPath, ValidPath
from pam_sc.decision.policy import PathInputs, Policy
from pam_sc.errors import TrustError
from pam_sc.trust.anchors import PathCertificate, Trust, read_authority, read_path_certificate
from pam_sc.trust.path import find_path
from tests.support.pki import CertificateAuthority, now

AT = now()
ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")


def parsed(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


TRUST = Trust(anchors=(parsed(ROOT.der),), intermediates=(parsed(ISSUING.der),))
LAX = Policy(path=PathInputs(strict=False))


# ---------------------------------------------------------------- a person who issues


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("basic_constraints", [True, False], ids=["says it is no CA", "does not say"])
@pytest.mark.parametrize("usage", [("digitalSignature", "keyCertSign"), ("keyCertSign", "cRLSign"), None])
def test_a_certificate_that_does_not_say_it_is_an_authority_issues_nothing(
    usage: tuple[str, ...] | None, basic_constraints: bool, strict: bool
) -> None:
    person = ISSUING.subordinate("mallory", ca=False, basic_constraints=basic_constraints, key_usage=usage)
    forged = person.issue(common_name="root", key="p256")
    found = find_path(forged.der, [person.der], TRUST, Policy(path=PathInputs(strict=strict)), AT)
    assert isinstance(found, NoPath), found


def test_an_authority_without_key_usage_still_issues_where_it_need_not_be_strict() -> None:
    plain = ROOT.subordinate("Plain", key_usage=None)
    leaf = plain.issue(key="p256")
    assert isinstance(find_path(leaf.der, [plain.der], TRUST, LAX, AT), ValidPath)
    assert isinstance(find_path(leaf.der, [plain.der], TRUST, Policy(), AT), NoPath)


# ---------------------------------------------------------------- the file of one CA


def test_a_file_that_holds_the_whole_path_is_not_that_of_one_ca(tmp_path: Path) -> None:
    """What [[revocation.ca]] says would hold for what the root issued as well: the authorities themselves."""
    file = tmp_path / "ca.pem"
    trusted = frozenset({0, os.getuid()})
    renewed = ROOT.subordinate("Issuing")
    file.write_bytes(ISSUING.pem + renewed.pem)
    assert len(read_authority(str(file), trusted)) == 2
    file.write_bytes(ISSUING.pem + ROOT.pem)
    with pytest.raises(TrustError, match=r"of one CA from .* found .* and .*, expected one name"):
        read_authority(str(file), trusted)
