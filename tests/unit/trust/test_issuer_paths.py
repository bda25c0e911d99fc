# SPDX-License-Identifier: LGPL-2.1-or-later
"""Paths of those that sign CRLs: every valid one, to any anchor, and no login's rules."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import pytest

from pam_sc.decision.policy import Policy
from pam_sc.errors import DeadlineExceeded
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.path import find_issuer_paths
from tests.support.pki import DAY, SERVER_AUTH, CertificateAuthority, now

AT = now()
ROOT, OTHER = CertificateAuthority("Root"), CertificateAuthority("Other")
ISSUING = ROOT.subordinate("Issuing")
CROSSED = OTHER.subordinate("Issuing", ISSUING.private_key)


def usable(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


def paths(
    signer: bytes, anchors: Sequence[bytes], others: Sequence[bytes] = (), at: datetime.datetime = AT
) -> set[tuple[str, ...]]:
    trust = Trust(anchors=tuple(usable(each) for each in anchors))
    found = find_issuer_paths(usable(signer), trust, Policy(), at, [usable(each) for each in others])
    return {tuple(each.text.removesuffix(",O=Example").removeprefix("CN=") for each in path) for path in found}


def test_anchor_has_the_path_of_itself_alone() -> None:
    assert paths(ROOT.der, [ROOT.der, OTHER.der]) == {("Root",)}


def test_anchor_that_has_expired_has_no_path() -> None:
    assert paths(ROOT.der, [ROOT.der], at=AT + 400 * DAY) == set()


def test_signer_of_a_key_that_two_anchors_certify_has_a_path_to_each() -> None:
    below = ISSUING.issue(common_name="Signer", key="p256", key_usage=("cRLSign",))
    found = paths(below.der, [ROOT.der, OTHER.der], [ISSUING.der, CROSSED.der])
    assert found == {("Signer", "Issuing", "Root"), ("Signer", "Issuing", "Other")}


def test_signer_under_no_anchor_has_no_path() -> None:
    assert paths(ISSUING.der, [OTHER.der], [ROOT.der]) == set()


def test_purposes_are_no_matter_for_a_signer() -> None:
    issuing = ROOT.subordinate("Web", extended_key_usage=[SERVER_AUTH])
    signer = issuing.issue(common_name="Signer", key="p256", extended_key_usage=[SERVER_AUTH])
    assert paths(signer.der, [ROOT.der], [issuing.der]) == {("Signer", "Web", "Root")}


def test_signer_whose_own_signature_is_weak_has_no_path() -> None:
    root = CertificateAuthority("Root", "rsa2048")
    assert paths(root.issue(key="p256", signature_hash="sha1").der, [root.der]) == set()
    assert len(paths(root.issue(key="p256").der, [root.der])) == 1


def test_the_search_for_a_signer_ends_when_the_time_does() -> None:
    def in_time() -> None:
        raise DeadlineExceeded("test")

    trust = Trust(anchors=(usable(ROOT.der),))
    with pytest.raises(DeadlineExceeded):
        list(find_issuer_paths(usable(ISSUING.der), trust, Policy(), AT, (), in_time))
