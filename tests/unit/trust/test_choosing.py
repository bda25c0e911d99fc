# SPDX-License-Identifier: LGPL-2.1-or-later
"""Of several valid paths of one certificate, one that revocation does not refuse is enough; a revoked leaf has none."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import pytest

from pam_sc.decision.evidence import RevocationFinding, Situation, ValidPath
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.choosing import choose_path
from pam_sc.trust.crl import Conditions
from pam_sc.trust.crl_file import load_crls
from pam_sc.trust.path import find_paths
from pam_sc.trust.revocation import CaRules, RevocationSources, find_revocation
from tests.support.pki import CertificateAuthority, now

AT = now()
ONE, OTHER = CertificateAuthority("One"), CertificateAuthority("Other")
UNDER_ONE = ONE.subordinate("Issuing")
UNDER_OTHER = OTHER.subordinate("Issuing", UNDER_ONE.private_key)
LEAF = UNDER_ONE.issue(key="p256")
ISSUING_CRL = UNDER_ONE.crl()


def parsed(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


def chosen(
    folder: Path, *crls: bytes, mode: RevocationMode = RevocationMode.REQUIRE
) -> tuple[str, tuple[RevocationFinding, ...]]:
    """Return the anchor of the path that is taken, and what is known about that path."""
    folder.mkdir(exist_ok=True)
    for index, crl in enumerate(crls):
        (folder / f"{index}.crl").write_bytes(crl)
    trust = Trust(
        anchors=(parsed(ONE.der), parsed(OTHER.der)),
        intermediates=(parsed(UNDER_ONE.der), parsed(UNDER_OTHER.der)),
    )
    rules = RevocationRules(mode=mode)
    sources = RevocationSources(
        crls=(load_crls(str(folder), frozenset({0, os.getuid()})),), default=CaRules(rules=rules)
    )
    conditions = Conditions(trust=trust, policy=Policy(), at=AT)
    paths = find_paths(LEAF.der, (), trust, Policy(), AT)
    first = next(paths)
    assert isinstance(first, ValidPath)
    path, found = choose_path(first, paths, lambda one: find_revocation(one, sources, conditions), mode)
    return path.subjects[-1], found


def revoked(authority: CertificateAuthority, issuing: CertificateAuthority) -> bytes:
    return authority.crl([issuing.certificate.serial_number])


def test_revoked_cross_certificate_leaves_the_other_path(tmp_path: Path) -> None:
    anchor, found = chosen(tmp_path / "a", ISSUING_CRL, revoked(ONE, UNDER_ONE), OTHER.crl())
    assert (anchor, [each.situation for each in found]) == ("CN=Other,O=Example", [Situation.GOOD, Situation.GOOD])
    anchor, found = chosen(tmp_path / "b", ISSUING_CRL, revoked(OTHER, UNDER_OTHER), ONE.crl())
    assert (anchor, [each.situation for each in found]) == ("CN=One,O=Example", [Situation.GOOD, Situation.GOOD])


def test_path_of_which_too_little_is_known_leaves_the_other(tmp_path: Path) -> None:
    assert chosen(tmp_path / "a", ISSUING_CRL, ONE.crl())[0] == "CN=One,O=Example"
    assert chosen(tmp_path / "b", ISSUING_CRL, OTHER.crl())[0] == "CN=Other,O=Example"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_both_cross_certificates_revoked_is_refused_in_every_order_of_the_files(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    crls = [ISSUING_CRL, revoked(ONE, UNDER_ONE), revoked(OTHER, UNDER_OTHER)]
    _anchor, found = chosen(tmp_path / "crls", *(crls[index] for index in order))
    assert [each.situation for each in found] == [Situation.GOOD, Situation.REVOKED]


def test_revoked_leaf_is_refused_on_every_path(tmp_path: Path) -> None:
    _anchor, found = chosen(tmp_path / "crls", UNDER_ONE.crl([LEAF]), ONE.crl(), OTHER.crl())
    assert found[0].situation is Situation.REVOKED
