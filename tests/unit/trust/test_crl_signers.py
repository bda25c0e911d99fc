# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may sign a CRL: the issuer in the path, or somebody of its name at the same place under the same anchor."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from cryptography import x509

from pam_sc.decision.evidence import RevocationFinding, Situation, ValidPath
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.crl import Conditions, find_crl_signer
from pam_sc.trust.crl_file import FileCrl, load_crls, read_crl
from pam_sc.trust.path import find_path
from pam_sc.trust.revocation import CaRules, RevocationSources, find_revocation
from tests.support.pki import DAY, CertificateAuthority, Issued, now

AT = now()
TRUSTED = frozenset({0, os.getuid()})
GOOD, REVOKED, UNKNOWN, STALE = Situation.GOOD, Situation.REVOKED, Situation.UNKNOWN, Situation.STALE
CRL_SIGNER = ("cRLSign",)

ROOT = CertificateAuthority("Root")
OTHER_ROOT = CertificateAuthority("Other Root")
ISSUING = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")
RENEWED = ROOT.subordinate("Issuing")
"""The same authority after its key was renewed, certified by the root."""
ROLLED = ISSUING.subordinate("Issuing")
"""The same, certified by its old key: self-issued (RFC 4210, section 4.4, "new with old")."""


def parsed(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


def about_leaf(
    folder: Path,
    *crls: bytes,
    others: tuple[CertificateAuthority, ...] = (),
    anchors: tuple[CertificateAuthority, ...] = (ROOT,),
    leaf: Issued = LEAF,
    issuing: CertificateAuthority = ISSUING,
    mode: RevocationMode = RevocationMode.REQUIRE,
) -> RevocationFinding:
    """Return what is known about the leaf with these CRLs and these further CA certificates at hand."""
    folder.mkdir(exist_ok=True)
    for index, crl in enumerate(crls):
        (folder / f"{index}.crl").write_bytes(crl)
    trust = Trust(
        anchors=tuple(parsed(each.der) for each in anchors),
        intermediates=tuple(parsed(each.der) for each in (issuing, *others)),
    )
    path = find_path(leaf.der, [], trust, Policy(), AT)
    assert isinstance(path, ValidPath), path
    rules = RevocationRules(mode=mode, clock_skew=datetime.timedelta(0))
    sources = RevocationSources(crls=(load_crls(str(folder), TRUSTED),), default=CaRules(rules=rules))
    return find_revocation(path, sources, Conditions(trust=trust, policy=Policy(), at=AT))[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the CRLs lie."""
    return tmp_path / "crls"


# ---------------------------------------------------------------- a renewed CA


@pytest.mark.parametrize("renewed", [RENEWED, ROLLED], ids=["certified by the root", "certified by the old key"])
def test_crl_of_the_renewed_key_counts_for_what_the_old_key_issued(folder: Path, renewed: CertificateAuthority) -> None:
    assert about_leaf(folder, renewed.crl(), ROOT.crl(), others=(renewed,)).situation is GOOD
    assert about_leaf(folder, renewed.crl([LEAF]), ROOT.crl(), others=(renewed,)).situation is REVOKED


def test_crl_of_a_renewed_key_that_nobody_certified_does_not_count(folder: Path) -> None:
    found = about_leaf(folder, RENEWED.crl([LEAF]), ROOT.crl())
    assert found.situation is UNKNOWN
    assert "nobody of its issuer's name with a path to the same anchor has signed it" in found.detail


def test_crl_of_a_renewed_key_does_not_hide_what_the_old_key_lists(folder: Path) -> None:
    """Some authorities list with each key only what that key has issued."""
    found = about_leaf(folder, RENEWED.crl(), ISSUING.crl([LEAF]), ROOT.crl(), others=(RENEWED,))
    assert found.situation is REVOKED


def test_stale_list_of_the_old_key_still_refuses_what_it_lists(folder: Path) -> None:
    old = ISSUING.crl([LEAF], this_update=AT - 9 * DAY, next_update=AT - DAY)
    found = about_leaf(folder, RENEWED.crl(), old, ROOT.crl(), others=(RENEWED,))
    assert found.situation is REVOKED
    assert "though it expired on" in found.detail


def test_stale_list_of_the_old_key_does_not_hide_the_current_one_of_the_new(folder: Path) -> None:
    old = ISSUING.crl(this_update=AT - 9 * DAY, next_update=AT - DAY)
    assert about_leaf(folder, RENEWED.crl(), old, ROOT.crl(), others=(RENEWED,)).situation is GOOD


def test_revoked_renewed_certificate_signs_nothing(folder: Path) -> None:
    revoked = ROOT.crl([RENEWED.certificate.serial_number])
    found = about_leaf(folder, RENEWED.crl(), revoked, others=(RENEWED,))
    assert found.situation is UNKNOWN
    assert "the revocation of its signer's path is 'revoked'" in found.detail


def test_renewed_certificate_of_unknown_status_signs_only_where_unknown_is_accepted(folder: Path) -> None:
    found = about_leaf(folder, RENEWED.crl(), others=(RENEWED,))
    assert (found.situation, "is 'no source'" in found.detail) == (UNKNOWN, True)
    for mode in (RevocationMode.NAMED, RevocationMode.PREFER):
        assert about_leaf(folder, RENEWED.crl(), others=(RENEWED,), mode=mode).situation is GOOD


# ---------------------------------------------------------------- two CAs of one name


def test_crl_of_a_ca_of_the_same_name_under_another_anchor_does_not_count(folder: Path) -> None:
    namesake = OTHER_ROOT.subordinate("Issuing")
    for crl in (namesake.crl(), namesake.crl([LEAF])):
        found = about_leaf(folder, crl, ROOT.crl(), OTHER_ROOT.crl(), others=(namesake,), anchors=(ROOT, OTHER_ROOT))
        assert found.situation is UNKNOWN


def test_crl_of_a_ca_that_another_ca_gave_the_same_name_does_not_count(folder: Path) -> None:
    """Whoever has any CA below the anchor can name what it issues as he likes."""
    squatter = ROOT.subordinate("Squatter")
    namesake = squatter.subordinate("Issuing")
    found = about_leaf(
        folder, namesake.crl(), ROOT.crl(), squatter.crl(), ISSUING.crl([LEAF], this_update=AT - DAY),
        others=(squatter, namesake),
    )  # fmt: skip
    assert found.situation is REVOKED
    (folder / "3.crl").unlink()
    found = about_leaf(folder, namesake.crl(), ROOT.crl(), squatter.crl(), others=(squatter, namesake))
    assert found.situation is UNKNOWN
    assert "another path of names" in found.detail


def test_certificate_of_the_same_name_without_crl_sign_signs_no_crl(folder: Path) -> None:
    namesake = ROOT.subordinate("Issuing", key_usage=("keyCertSign",))
    found = about_leaf(folder, namesake.crl(), ROOT.crl(), others=(namesake,))
    assert (found.situation, "does not allow to sign CRLs" in found.detail) == (UNKNOWN, True)


def test_leaf_of_the_same_name_without_any_ca_right_signs_no_crl(folder: Path) -> None:
    person = ROOT.issue(common_name="Issuing", key="p256", key_usage=("digitalSignature",))
    signer = CertificateAuthority("Issuing", key=person.key)
    found = about_leaf(folder, signer.crl(), ROOT.crl(), others=(_as_authority(person),))
    assert (found.situation, "does not allow to sign CRLs" in found.detail) == (UNKNOWN, True)


def test_separate_certificate_for_signing_crls_counts(folder: Path) -> None:
    signer = ROOT.subordinate("Issuing", key_usage=CRL_SIGNER)
    assert about_leaf(folder, signer.crl(), ROOT.crl(), others=(signer,)).situation is GOOD


def test_expired_certificate_for_signing_crls_does_not_count(folder: Path) -> None:
    signer = ROOT.subordinate("Issuing", key_usage=CRL_SIGNER, not_before=AT - 9 * DAY, not_after=AT - DAY)
    assert about_leaf(folder, signer.crl(), ROOT.crl(), others=(signer,)).situation is UNKNOWN


# ---------------------------------------------------------------- indirect CRLs


def point(issuer: CertificateAuthority, url: str = "http://crl.example.test/all.crl") -> tuple[x509.ExtensionType, bool]:
    """A distribution point whose CRL somebody else issues."""
    names = [x509.DirectoryName(issuer.subject)]
    where = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, names)
    return x509.CRLDistributionPoints([where]), False


def indirect() -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True)]


LISTER = ROOT.subordinate("Lister", key_usage=CRL_SIGNER)
POINTED = ISSUING.issue(key="p256", extensions=[point(LISTER)])


def test_indirect_crl_of_the_named_issuer_counts(folder: Path) -> None:
    found = about_leaf(folder, LISTER.crl(extensions=indirect()), ROOT.crl(), leaf=POINTED, others=(LISTER,))
    assert found.situation is GOOD


def test_crl_of_the_named_issuer_that_is_not_indirect_does_not_count(folder: Path) -> None:
    found = about_leaf(folder, LISTER.crl(), ROOT.crl(), leaf=POINTED, others=(LISTER,))
    assert (found.situation, "its scope does not cover" in found.detail) == (UNKNOWN, True)


def test_indirect_crl_of_somebody_who_is_not_named_is_not_at_hand(folder: Path) -> None:
    found = about_leaf(folder, LISTER.crl(extensions=indirect()), ROOT.crl(), others=(LISTER,))
    assert found.situation is Situation.NO_SOURCE


def test_indirect_crl_under_another_anchor_does_not_count(folder: Path) -> None:
    lister = OTHER_ROOT.subordinate("Lister", key_usage=CRL_SIGNER)
    leaf = ISSUING.issue(key="p256", extensions=[point(lister)])
    found = about_leaf(
        folder, lister.crl(extensions=indirect()), ROOT.crl(), OTHER_ROOT.crl(),
        leaf=leaf, others=(lister,), anchors=(ROOT, OTHER_ROOT),
    )  # fmt: skip
    assert found.situation is UNKNOWN


def test_indirect_crl_may_cover_its_own_signer(folder: Path) -> None:
    """Nobody else speaks about the signer: PKITS 4.14.30."""
    first = ROOT.subordinate("Lister", key_usage=CRL_SIGNER)
    lister = ROOT.subordinate("Lister", first.private_key, key_usage=CRL_SIGNER, extensions=[point(first)])
    found = about_leaf(folder, lister.crl(extensions=indirect()), leaf=POINTED, others=(lister,))
    assert found.situation is GOOD


# ---------------------------------------------------------------- what may be stored


def crl_of(authority: CertificateAuthority, **wishes: object) -> FileCrl:
    found = read_crl(authority.crl(pem=False, **wishes), "test")  # type: ignore[arg-type]
    assert isinstance(found, FileCrl)
    return found


def test_signer_of_a_crl_to_store_needs_a_path_and_the_right() -> None:
    trust = Trust(anchors=(parsed(ROOT.der),), intermediates=(parsed(ISSUING.der),))
    assert find_crl_signer(crl_of(ISSUING), trust, Policy(), AT) == parsed(ISSUING.der)
    assert find_crl_signer(crl_of(ROOT), trust, Policy(), AT) == parsed(ROOT.der)
    unrelated = find_crl_signer(crl_of(RENEWED), trust, Policy(), AT)
    assert unrelated == "no certificate of 'CN=Issuing,O=Example' at hand has signed it"
    assert find_crl_signer(crl_of(RENEWED), trust, Policy(), AT, [parsed(RENEWED.der)]) == parsed(RENEWED.der)


def test_crl_whose_signer_has_no_path_is_not_stored() -> None:
    foreign = OTHER_ROOT.subordinate("Issuing")
    trust = Trust(anchors=(parsed(ROOT.der),), intermediates=(parsed(foreign.der),))
    found = find_crl_signer(crl_of(foreign), trust, Policy(), AT)
    assert isinstance(found, str)
    assert "has no valid path to a trust anchor" in found


def test_crl_whose_signer_may_not_sign_crls_is_not_stored() -> None:
    weak = ROOT.subordinate("Issuing", key_usage=("keyCertSign",))
    trust = Trust(anchors=(parsed(ROOT.der),), intermediates=(parsed(weak.der),))
    found = find_crl_signer(crl_of(weak), trust, Policy(), AT)
    assert isinstance(found, str)
    assert "does not allow to sign CRLs" in found


def _as_authority(issued: Issued) -> CertificateAuthority:
    """A certificate among the intermediates, whatever it is."""
    return CertificateAuthority("unused", issued.key, der=issued.der)
