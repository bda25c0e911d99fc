# SPDX-License-Identifier: LGPL-2.1-or-later
"""What CRLs say about each certificate of a valid path: which ones count, and why the others do not."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.evidence import RevocationFinding, Situation, ValidPath
from pam_sc.decision.policy import Algorithms, Policy, RevocationMode, RevocationRules
from pam_sc.errors import TrustError
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.crl import Conditions
from pam_sc.trust.crl_file import FileCrls, load_crls
from pam_sc.trust.path import find_path
from pam_sc.trust.revocation import CaRules, RevocationSources, find_revocation
from tests.support.pki import DAY, CertificateAuthority, Issued, Revoked, Wish, now

AT = now()
SECOND = datetime.timedelta(seconds=1)
TRUSTED = frozenset({0, os.getuid()})
GOOD, REVOKED, UNKNOWN = Situation.GOOD, Situation.REVOKED, Situation.UNKNOWN
STALE, NOT_AT_HAND, NO_SOURCE = Situation.STALE, Situation.NOT_AT_HAND, Situation.NO_SOURCE
EXACT = RevocationRules(mode=RevocationMode.REQUIRE, clock_skew=datetime.timedelta(0))

ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")
DISTRIBUTION_POINT = "http://crl.example.test/issuing.crl"
REASONS = x509.ReasonFlags
LISTS_LEAF = ISSUING.crl([LEAF], pem=False)


def path_of(leaf: Issued, root: CertificateAuthority = ROOT, issuing: CertificateAuthority = ISSUING) -> ValidPath:
    anchor = read_path_certificate(root.der)
    assert isinstance(anchor, PathCertificate)
    found = find_path(leaf.der, [issuing.der], Trust(anchors=(anchor,)), Policy(), AT)
    assert isinstance(found, ValidPath), found
    return found


def source(folder: Path, *crls: bytes) -> FileCrls:
    for index, crl in enumerate(crls):
        (folder / f"{index}.crl").write_bytes(crl)
    return load_crls(str(folder), TRUSTED)


def found_on(
    path: ValidPath,
    crls: FileCrls,
    at: datetime.datetime = AT,
    policy: Policy | None = None,
    *,
    rules: RevocationRules = EXACT,
    intermediates: Sequence[bytes] = (),
) -> tuple[RevocationFinding, ...]:
    """Return the findings about a path whose last certificate is the one anchor."""
    anchor, *others = (parsed(der) for der in (path.certificates[-1], *intermediates))
    conditions = Conditions(
        trust=Trust(anchors=(anchor,), intermediates=tuple(others)), policy=policy or Policy(), at=at
    )
    return find_revocation(path, RevocationSources(crls=(crls,), default=CaRules(rules=rules)), conditions)


def parsed(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for CRLs."""
    found = tmp_path / "crls"
    found.mkdir(mode=0o755)
    return found


def about_leaf(
    folder: Path, *crls: bytes, leaf: Issued = LEAF, at: datetime.datetime = AT, policy: Policy | None = None
) -> RevocationFinding:
    found = found_on(path_of(leaf), source(folder, *crls), at, policy)
    assert len(found) == 2
    return found[0]


def expect(finding: RevocationFinding, situation: Situation, detail: str = "") -> None:
    assert finding.situation is situation, finding
    assert detail in finding.detail, finding


# ---------------------------------------------------------------- good and revoked


@pytest.mark.parametrize("pem", [True, False])
def test_certificate_that_a_current_crl_does_not_list_is_good(folder: Path, pem: bool) -> None:
    expect(about_leaf(folder, ISSUING.crl(pem=pem)), GOOD, "0.crl' of ")


@pytest.mark.parametrize("pem", [True, False])
def test_certificate_that_a_current_crl_lists_is_revoked(folder: Path, pem: bool) -> None:
    expect(about_leaf(folder, ISSUING.crl([LEAF], pem=pem)), REVOKED, "lists it")


def test_certificate_with_the_next_serial_number_is_not_revoked(folder: Path) -> None:
    expect(about_leaf(folder, ISSUING.crl([LEAF.serial + 1, LEAF.serial - 1])), GOOD)


def test_each_certificate_but_the_anchor_has_a_finding(folder: Path) -> None:
    found = found_on(path_of(LEAF), source(folder, ISSUING.crl(), ROOT.crl()))
    assert [each.subject for each in found] == ["CN=alice,O=Example", "CN=Issuing,O=Example"]
    assert [each.situation for each in found] == [GOOD, GOOD]


def test_revoked_intermediate_is_found(folder: Path) -> None:
    serial = ISSUING.certificate.serial_number
    found = found_on(path_of(LEAF), source(folder, ISSUING.crl(), ROOT.crl([serial])))
    assert [each.situation for each in found] == [GOOD, REVOKED]


def test_serial_number_on_the_crl_of_another_authority_of_the_path_means_nothing(folder: Path) -> None:
    found = found_on(path_of(LEAF), source(folder, ISSUING.crl(), ROOT.crl([LEAF.serial])))
    assert [each.situation for each in found] == [GOOD, GOOD]


@pytest.mark.parametrize("reason", [REASONS.key_compromise, REASONS.certificate_hold, REASONS.superseded, None])
def test_every_reason_of_a_revocation_counts(folder: Path, reason: x509.ReasonFlags | None) -> None:
    expect(about_leaf(folder, ISSUING.crl([Revoked(serial=LEAF.serial, reason=reason)])), REVOKED)


def test_entry_that_removes_from_the_crl_is_no_revocation(folder: Path) -> None:
    entry = Revoked(serial=LEAF.serial, reason=REASONS.remove_from_crl)
    expect(about_leaf(folder, ISSUING.crl([entry])), GOOD)


def test_entry_that_revokes_counts_beside_one_that_removes(folder: Path) -> None:
    held, removed = (Revoked(serial=LEAF.serial, reason=reason) for reason in (None, REASONS.remove_from_crl))
    expect(about_leaf(folder, ISSUING.crl([removed, held])), REVOKED)
    expect(about_leaf(folder, ISSUING.crl([held, removed])), REVOKED)


def test_several_crls_in_one_file_all_count(folder: Path) -> None:
    found = found_on(path_of(LEAF), source(folder, ROOT.crl() + ISSUING.crl([LEAF])))
    assert [each.situation for each in found] == [REVOKED, GOOD]


def test_newest_of_several_genuine_crls_speaks(folder: Path) -> None:
    older = ISSUING.crl([Revoked(serial=LEAF.serial, reason=REASONS.certificate_hold)], this_update=AT - 3 * DAY)
    newer = ISSUING.crl(this_update=AT - DAY)
    expect(about_leaf(folder, older, newer), GOOD, "1.crl'")
    expect(about_leaf(folder, newer, older), GOOD, "0.crl'")


def test_newest_crl_that_lists_speaks_over_an_older_one_that_does_not(folder: Path) -> None:
    older, newer = ISSUING.crl(this_update=AT - 3 * DAY), ISSUING.crl([LEAF], this_update=AT - DAY)
    expect(about_leaf(folder, newer, older), REVOKED)


def test_of_two_crls_of_the_same_moment_the_one_that_lists_speaks(folder: Path) -> None:
    expect(about_leaf(folder, ISSUING.crl(this_update=AT - DAY), ISSUING.crl([LEAF], this_update=AT - DAY)), REVOKED)


# ---------------------------------------------------------------- freshness


def test_crl_counts_from_its_first_second_to_its_last(folder: Path) -> None:
    crl = ISSUING.crl(this_update=AT - DAY, next_update=AT + DAY)
    expect(about_leaf(folder, crl, at=AT - DAY), GOOD)
    expect(about_leaf(folder, crl, at=AT + DAY - SECOND), GOOD)


def test_crl_one_second_past_its_next_update_is_stale(folder: Path) -> None:
    crl = ISSUING.crl(this_update=AT - 2 * DAY, next_update=AT - DAY)
    expect(about_leaf(folder, crl, at=AT - DAY + SECOND), STALE, "it expired on ")


def test_crl_one_second_before_its_time_is_unknown(folder: Path) -> None:
    crl = ISSUING.crl(this_update=AT + SECOND, next_update=AT + DAY)
    expect(about_leaf(folder, crl), UNKNOWN, "it is from the future")


def test_stale_crl_still_refuses_what_it_lists(folder: Path) -> None:
    crl = ISSUING.crl([LEAF], this_update=AT - 9 * DAY, next_update=AT - DAY)
    expect(about_leaf(folder, crl), REVOKED, "though it expired on ")


def test_stale_forged_crl_revokes_nobody(folder: Path) -> None:
    crl = ISSUING.crl(
        [LEAF], this_update=AT - 9 * DAY, next_update=AT - DAY, signing_key=CertificateAuthority("x").private_key
    )
    expect(about_leaf(folder, crl), UNKNOWN)


def test_fresh_crl_speaks_over_a_stale_one_that_lists(folder: Path) -> None:
    stale = ISSUING.crl([LEAF], this_update=AT - 9 * DAY, next_update=AT - 2 * DAY)
    expect(about_leaf(folder, stale, ISSUING.crl(this_update=AT - DAY)), GOOD)


# ---------------------------------------------------------------- what does not count


@pytest.mark.parametrize("identifiers", [True, False])
def test_crl_of_another_authority_of_the_same_name_does_not_count(folder: Path, identifiers: bool) -> None:
    foreign = ROOT.subordinate("Issuing")
    expect(about_leaf(folder, foreign.crl([LEAF], identifiers=identifiers)), UNKNOWN, "0.crl'")


def test_forged_crl_does_not_hide_a_genuine_one(folder: Path) -> None:
    forged = CertificateAuthority("Issuing").crl(this_update=AT - SECOND, identifiers=False)
    expect(about_leaf(folder, forged, ISSUING.crl([LEAF])), REVOKED)
    expect(about_leaf(folder, ISSUING.crl([LEAF]), forged), REVOKED)


def test_revoked_user_stays_refused_when_the_crl_is_replaced_by_one_of_an_unrelated_key(folder: Path) -> None:
    """The authority was renewed under one name with a new key, and both its certificates are at hand."""
    renewed = ROOT.subordinate("Issuing")
    empty = renewed.crl(signing_key=CertificateAuthority("x").private_key, identifiers=False)
    found = found_on(path_of(LEAF), source(folder, empty))
    expect(found[0], UNKNOWN)


def test_crl_with_a_name_but_for_one_letter_is_not_at_hand(folder: Path) -> None:
    other = CertificateAuthority("Issuinh", key=ISSUING.private_key)
    expect(about_leaf(folder, other.crl()), NO_SOURCE, "no CRL of 'CN=Issuing,O=Example' is at hand")


def test_crl_whose_issuer_may_not_sign_crls_does_not_count(folder: Path) -> None:
    issuing = ROOT.subordinate("Issuing", key_usage=("keyCertSign",))
    path = path_of(issuing.issue(key="p256"), issuing=issuing)
    expect(found_on(path, source(folder, issuing.crl()))[0], UNKNOWN, "CRL")


def test_unknown_critical_extension_of_a_crl_does_not_count(folder: Path) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
    expect(about_leaf(folder, ISSUING.crl(extensions=[(unknown, True)])), UNKNOWN, "critical")


def test_unknown_extension_that_is_not_critical_is_passed_over(folder: Path) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
    expect(about_leaf(folder, ISSUING.crl(extensions=[(unknown, False)])), GOOD)


@pytest.mark.parametrize(
    ("name", "algorithms", "counts"),
    [
        ("sha1", Algorithms.CURRENT, False),
        ("sha1", Algorithms.LEGACY, True),
        ("md5", Algorithms.LEGACY, False),
        ("sha256", Algorithms.CURRENT, True),
    ],
)
def test_crl_signed_with_a_hash_that_the_policy_calls_weak_makes_nothing_good(
    folder: Path, name: str, algorithms: Algorithms, counts: bool
) -> None:
    root, policy = CertificateAuthority("Root", "rsa2048"), Policy(algorithms=algorithms)
    leaf = root.issue(key="p256")
    path = ValidPath(certificates=(leaf.der, root.der), subjects=("alice", "Root"))
    (found,) = found_on(path, source(folder, root.crl(signature_hash=name)), policy=policy)
    expect(found, GOOD if counts else UNKNOWN, "" if counts else f"got a signature with {name}")
    (found,) = found_on(path, source(folder, root.crl([leaf], signature_hash=name)), policy=policy)
    expect(found, REVOKED)


def point(*, user: bool = False, ca: bool = False, indirect: bool = False, url: str | None = None,
          reasons: frozenset[x509.ReasonFlags] | None = None) -> list[tuple[x509.ExtensionType, bool]]:
    """The extension issuingDistributionPoint."""
    name = None if url is None else [x509.UniformResourceIdentifier(url)]
    return [(x509.IssuingDistributionPoint(name, None, user, ca, reasons, indirect, False), True)]


def test_crl_for_user_certificates_counts_for_the_leaf_only(folder: Path) -> None:
    crls = source(folder, ISSUING.crl(extensions=point(user=True)), ROOT.crl(extensions=point(user=True)))
    found = found_on(path_of(LEAF), crls)
    assert [each.situation for each in found] == [GOOD, UNKNOWN]


def test_crl_for_authorities_only_does_not_count_for_the_leaf(folder: Path) -> None:
    expect(about_leaf(folder, ISSUING.crl(extensions=point(ca=True))), UNKNOWN, "scope")


def test_crl_for_some_reasons_only_does_not_count(folder: Path) -> None:
    some = frozenset({REASONS.key_compromise})
    expect(about_leaf(folder, ISSUING.crl(extensions=point(reasons=some))), UNKNOWN, "covers only some reasons")


def test_indirect_crl_of_the_issuer_itself_counts(folder: Path) -> None:
    expect(about_leaf(folder, ISSUING.crl(extensions=point(indirect=True))), GOOD)
    expect(about_leaf(folder, ISSUING.crl([LEAF], extensions=point(indirect=True))), REVOKED)


def test_crl_of_the_certificate_s_own_distribution_point_counts(folder: Path) -> None:
    leaf = ISSUING.issue(key="p256", crl_distribution_points=[DISTRIBUTION_POINT])
    expect(about_leaf(folder, ISSUING.crl(extensions=point(url=DISTRIBUTION_POINT)), leaf=leaf), GOOD)


def test_crl_of_another_distribution_point_does_not_count(folder: Path) -> None:
    leaf = ISSUING.issue(key="p256", crl_distribution_points=[DISTRIBUTION_POINT])
    expect(about_leaf(folder, ISSUING.crl(extensions=point(url=DISTRIBUTION_POINT + "2")), leaf=leaf), UNKNOWN, "scope")


# ---------------------------------------------------------------- deltas


def delta(revoked: list[Revoked], number: int = 2, **wishes: object) -> bytes:
    extensions = [(x509.DeltaCRLIndicator(1), True)]
    return ISSUING.crl(revoked, number=number, extensions=extensions, **wishes)  # type: ignore[arg-type]


def base(revoked: list[Revoked]) -> bytes:
    where = [x509.DistributionPoint([x509.UniformResourceIdentifier(DISTRIBUTION_POINT)], None, None, None)]
    return ISSUING.crl(revoked, extensions=[(x509.FreshestCRL(where), False)])


def test_delta_alone_does_not_count(folder: Path) -> None:
    expect(about_leaf(folder, delta([])), UNKNOWN, "it is a delta CRL")


def test_delta_to_a_complete_crl_revokes(folder: Path) -> None:
    expect(about_leaf(folder, base([]), delta([Revoked(serial=LEAF.serial)])), REVOKED)


def test_complete_crl_with_an_empty_delta_is_good(folder: Path) -> None:
    expect(about_leaf(folder, base([]), delta([])), GOOD)


def test_forged_delta_changes_nothing(folder: Path) -> None:
    forged = delta(
        [Revoked(serial=LEAF.serial, reason=REASONS.remove_from_crl)],
        signing_key=CertificateAuthority("x").private_key,
        identifiers=False,
    )
    expect(about_leaf(folder, base([Revoked(serial=LEAF.serial, reason=REASONS.certificate_hold)]), forged), REVOKED)


def test_forged_delta_does_not_hide_a_genuine_one(folder: Path) -> None:
    own = x509.AuthorityKeyIdentifier.from_issuer_public_key(ISSUING.private_key.public_key())
    forged = ISSUING.crl(
        number=9, signing_key=CertificateAuthority("x").private_key, identifiers=False,
        extensions=[(own, False), (x509.DeltaCRLIndicator(1), True)],
    )
    genuine = delta([Revoked(serial=LEAF.serial)])
    expect(about_leaf(folder, base([]), forged, genuine), REVOKED)
    expect(about_leaf(folder, base([]), genuine, forged), REVOKED)


def test_stale_delta_does_not_hide_a_current_one(folder: Path) -> None:
    stale = delta([], number=2, this_update=AT - 9 * DAY, next_update=AT - 8 * DAY)
    current = delta([Revoked(serial=LEAF.serial)], number=3)
    expect(about_leaf(folder, base([]), stale, current), REVOKED)
    expect(about_leaf(folder, base([]), current, stale), REVOKED)


def test_newest_delta_speaks(folder: Path) -> None:
    held = delta([Revoked(serial=LEAF.serial, reason=REASONS.certificate_hold)], number=2, this_update=AT - 2 * DAY)
    released = delta([Revoked(serial=LEAF.serial, reason=REASONS.remove_from_crl)], number=3, this_update=AT - DAY)
    for files in ((held, released), (released, held)):
        expect(about_leaf(folder, base([]), *files), GOOD)


def test_delta_to_a_newer_complete_crl_hides_no_delta_to_an_older_one(folder: Path) -> None:
    other = ISSUING.crl([], number=9, extensions=[(x509.DeltaCRLIndicator(8), True)])
    expect(about_leaf(folder, base([]), delta([Revoked(serial=LEAF.serial)]), other), REVOKED)


# ---------------------------------------------------------------- whether a source is named


def test_nothing_named_and_nothing_at_hand_is_unknown_without_a_source(folder: Path) -> None:
    expect(about_leaf(folder), NO_SOURCE, "no CRL of 'CN=Issuing,O=Example' is at hand")


@pytest.mark.parametrize(
    "wishes",
    [{"crl_distribution_points": [DISTRIBUTION_POINT]}, {"ocsp": ["http://ocsp.example.test"]}],
)
def test_certificate_that_points_to_a_source_names_one(folder: Path, wishes: dict[str, object]) -> None:
    expect(about_leaf(folder, leaf=ISSUING.issue(key="p256", **wishes)), NOT_AT_HAND)


def test_certificate_that_points_to_its_issuer_only_names_no_source(folder: Path) -> None:
    way = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example.test")
    )
    leaf = ISSUING.issue(key="p256", extensions=[(x509.AuthorityInformationAccess([way]), False)])
    expect(about_leaf(folder, leaf=leaf), NO_SOURCE)


def test_crl_with_the_issuer_s_name_in_other_case_is_a_source(folder: Path) -> None:
    shouting = CertificateAuthority("ISSUING", wish=Wish(ca=True))
    expect(about_leaf(folder, shouting.crl()), UNKNOWN)


@pytest.mark.parametrize("content", [b"", b"junk", ISSUING.crl(pem=False)[:-1], LEAF.pem, ISSUING.crl()[:-9]])
def test_file_that_cannot_be_parsed_is_no_source_and_is_reported(folder: Path, content: bytes) -> None:
    expect(about_leaf(folder, content), NO_SOURCE)
    assert "0.crl'" in source(folder).problems[0]


def test_file_that_cannot_be_parsed_does_not_hide_the_others(folder: Path) -> None:
    expect(about_leaf(folder, b"junk", ISSUING.crl([LEAF])), REVOKED)


# ---------------------------------------------------------------- files


def test_no_configured_path_is_an_empty_source() -> None:
    assert load_crls(None, TRUSTED) == FileCrls()


def test_missing_path_is_an_error(folder: Path) -> None:
    with pytest.raises(TrustError, match="No such file"):
        load_crls(str(folder / "nothing"), TRUSTED)


def test_crl_that_others_can_write_is_an_error(folder: Path) -> None:
    (folder / "loose.crl").write_bytes(ISSUING.crl())
    (folder / "loose.crl").chmod(0o666)
    with pytest.raises(TrustError, match=r"loose.crl': found owner"):
        load_crls(str(folder), TRUSTED)


@settings(max_examples=100, deadline=None, database=None)
@given(st.data())
def test_no_mutation_of_a_crl_makes_it_raise_or_revoke_or_clear(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    crl = bytearray(LISTS_LEAF)
    crl[data.draw(st.integers(0, len(crl) - 1))] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("crls")
    assert about_leaf(folder, bytes(crl)).situation in (UNKNOWN, STALE, NO_SOURCE)


def test_a_crl_file_that_cannot_be_used_may_have_been_the_one_and_counts_as_a_source(folder: Path) -> None:
    broken = source(folder, b"junk")
    sources = RevocationSources(crls=(broken,), default=CaRules(rules=EXACT), problems=lambda: broken.problems)
    path = path_of(LEAF)
    conditions = Conditions(trust=Trust(anchors=(parsed(path.certificates[-1]),)), policy=Policy(), at=AT)
    finding = find_revocation(path, sources, conditions)[0]
    expect(finding, Situation.NOT_AT_HAND, "0.crl'")
