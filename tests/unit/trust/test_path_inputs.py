# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the administrator may choose for a path: algorithms, strictness, partial paths, purposes, kinds of leaf."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec

from pam_sc.decision.certificate import judge_suitability, read_facts
from pam_sc.decision.evidence import CertificateFacts, NoPath, PathFinding, ValidPath
from pam_sc.decision.policy import Algorithms, PathInputs, Policy
from pam_sc.decision.reasons import Reason
from pam_sc.errors import TrustError
from pam_sc.trust.anchors import PathCertificate, Trust, load_trust, read_path_certificate
from pam_sc.trust.path import find_path
from tests.support.keys import PrivateKey
from tests.support.pki import CLIENT_AUTH, SERVER_AUTH, CertificateAuthority, Issued, Wish, now, shared_key

AT = now()
TRUSTED = frozenset({0, os.getuid()})
EMAIL = "1.3.6.1.5.5.7.3.4"
ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")


def usable(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


def find(leaf: Issued, anchor: CertificateAuthority, policy: Policy, *card: bytes) -> PathFinding:
    return find_path(leaf.der, card, Trust(anchors=(usable(anchor.der),)), policy, AT)


def suitability(leaf: Issued, policy: Policy) -> Reason | None:
    facts = read_facts(leaf.der)
    assert isinstance(facts, CertificateFacts)
    failure = judge_suitability(facts, policy, AT)
    return None if failure is None else failure.reason


# ---------------------------------------------------------------- algorithms


def keys_by_lowest_choice() -> list[tuple[str, PrivateKey, set[Algorithms]]]:
    every = set(Algorithms)
    legacy = every - {Algorithms.CURRENT}
    return [
        ("p256", ec.generate_private_key(ec.SECP256R1()), every),
        ("brainpool", ec.generate_private_key(ec.BrainpoolP384R1()), every),
        ("p224", ec.generate_private_key(ec.SECP224R1()), legacy),
        ("p192", ec.generate_private_key(ec.SECP192R1()), legacy),
        ("rsa2048", shared_key("rsa2048"), every),
        ("rsa1024", shared_key("rsa1024"), legacy),
        ("dsa2048", dsa.generate_private_key(2048), legacy),  # type: ignore[list-item]
    ]


@pytest.mark.parametrize(("kind", "key", "accepted_by"), keys_by_lowest_choice(), ids=lambda each: str(each)[:9])
@pytest.mark.parametrize("place", ["anchor", "intermediate"])
def test_key_of_an_authority_counts_where_the_table_says_so(
    kind: str, key: PrivateKey, accepted_by: set[Algorithms], place: str
) -> None:
    root = CertificateAuthority("Root", key if place == "anchor" else "p256")
    issuing = root.subordinate("Issuing", key if place == "intermediate" else "p256")
    leaf = issuing.issue(key="p256")
    found = {each: find(leaf, root, Policy(algorithms=each), issuing.der) for each in Algorithms}
    assert {each for each, path in found.items() if isinstance(path, ValidPath)} == accepted_by, kind
    assert {path.reason for path in found.values() if isinstance(path, NoPath)} <= {Reason.PATH_TOO_WEAK}


@pytest.mark.parametrize("algorithms", [Algorithms.CURRENT, Algorithms.LEGACY])
def test_certificate_with_md5_and_rsa_1024_is_refused_in_every_place(algorithms: Algorithms) -> None:
    policy, weak = Policy(algorithms=algorithms), shared_key("rsa1024")
    root = CertificateAuthority("Root", "rsa2048")
    leaf = root.issue(key="rsa1024", signature_hash="md5")
    reason = Reason.KEY_TOO_WEAK if algorithms is Algorithms.CURRENT else Reason.ALGORITHM_TOO_WEAK
    assert suitability(leaf, policy) is reason
    issuing = root.subordinate("Issuing", weak, signature_hash="md5")
    for path in (find(leaf, root, policy), find(issuing.issue(key="p256"), root, policy, issuing.der)):
        assert isinstance(path, NoPath)
        assert path.reason is Reason.PATH_TOO_WEAK


def test_sha1_counts_in_an_old_pki_only() -> None:
    root = CertificateAuthority("Root", "rsa2048")
    leaf = root.issue(key="p256", signature_hash="sha1")
    legacy = Policy(algorithms=Algorithms.LEGACY)
    assert suitability(leaf, legacy) is None
    assert isinstance(find(leaf, root, legacy), ValidPath)
    assert suitability(leaf, Policy()) is Reason.ALGORITHM_TOO_WEAK
    found = find(leaf, root, Policy())
    assert isinstance(found, NoPath)
    assert found.reason is Reason.PATH_TOO_WEAK


# ---------------------------------------------------------------- strictness


def test_old_authority_counts_where_strictness_is_off() -> None:
    old = CertificateAuthority("Old", wish=Wish(ca=True, key_usage=None, extended_key_usage=None, identifiers=False))
    leaf = old.issue(key="p256", identifiers=False)
    strict, lax = find(leaf, old, Policy()), find(leaf, old, Policy(path=PathInputs(strict=False)))
    assert isinstance(strict, NoPath)
    assert strict.reason is Reason.PATH_INVALID
    assert isinstance(lax, ValidPath)


@pytest.mark.parametrize("wishes", [{"ca": False}, {"basic_constraints": False}, {"key_usage": ("cRLSign",)}])
def test_what_is_no_authority_is_none_without_strictness_either(wishes: dict[str, object]) -> None:
    issuing = ROOT.subordinate("Issuing", **wishes)
    found = find(issuing.issue(key="p256"), ROOT, Policy(path=PathInputs(strict=False)), issuing.der)
    assert isinstance(found, NoPath)
    assert found.reason is Reason.PATH_INVALID


# ---------------------------------------------------------------- partial paths


@pytest.fixture
def anchors(tmp_path: Path) -> Path:
    """A folder with a root and an authority below it."""
    folder = tmp_path / "anchors"
    folder.mkdir(mode=0o755)
    (folder / "root.pem").write_bytes(ROOT.pem)
    (folder / "issuing.pem").write_bytes(ISSUING.pem)
    return folder


def test_certificate_below_another_authority_is_no_anchor_but_an_intermediate(anchors: Path) -> None:
    trust = load_trust(str(anchors), None, TRUSTED)
    assert [each.text for each in trust.anchors] == ["CN=Root,O=Example"]
    assert [each.text for each in trust.intermediates] == ["CN=Issuing,O=Example"]
    assert trust.problems == (
        f"'CN=Issuing,O=Example' in {str(anchors)!r} is issued by another authority and counts as an intermediate "
        "only: to let paths end there, set [trust] partial_paths = true",
    )
    found = find_path(ISSUING.issue(key="p256").der, (), trust, Policy(), AT)
    assert isinstance(found, ValidPath)
    assert len(found.certificates) == 3


def test_certificate_below_another_authority_is_an_anchor_where_that_is_set(anchors: Path) -> None:
    trust = load_trust(str(anchors), None, TRUSTED, partial=True)
    assert {each.text for each in trust.anchors} == {"CN=Root,O=Example", "CN=Issuing,O=Example"}
    assert (trust.intermediates, trust.problems) == ((), ())
    found = find_path(ISSUING.issue(key="p256").der, (), trust, Policy(), AT)
    assert isinstance(found, ValidPath)
    assert len(found.certificates) == 2


def test_folder_with_nothing_that_may_end_a_path_is_an_error(anchors: Path) -> None:
    (anchors / "root.pem").unlink()
    with pytest.raises(TrustError, match=r"found none that may end a path \(.* set \[trust\] partial_paths = true"):
        load_trust(str(anchors), None, TRUSTED)
    assert load_trust(str(anchors), None, TRUSTED, partial=True).anchors


# ---------------------------------------------------------------- purposes and kinds of leaf


@pytest.mark.parametrize(
    ("purposes", "wanted", "suits"),
    [
        ((SERVER_AUTH,), None, False),
        ((SERVER_AUTH,), {SERVER_AUTH}, True),
        ((CLIENT_AUTH,), {SERVER_AUTH}, False),
        ((CLIENT_AUTH,), {EMAIL, CLIENT_AUTH}, True),
        (("2.5.29.37.0",), {EMAIL}, True),
        (None, {EMAIL}, True),
    ],
)
def test_leaf_needs_one_of_the_wanted_purposes(
    purposes: tuple[str, ...] | None, wanted: set[str] | None, suits: bool
) -> None:
    policy = Policy(path=PathInputs(purposes=None if wanted is None else frozenset(wanted)))
    leaf = ROOT.issue(key="p256", extended_key_usage=purposes)
    assert suitability(leaf, policy) is (None if suits else Reason.EXTENDED_KEY_USAGE_UNSUITABLE)


@pytest.mark.parametrize(("wanted", "valid"), [(None, False), ({SERVER_AUTH}, True), ({EMAIL}, False)])
def test_authority_that_is_limited_to_a_purpose_issues_for_that_purpose(wanted: set[str] | None, valid: bool) -> None:
    policy = Policy(path=PathInputs(purposes=None if wanted is None else frozenset(wanted)))
    issuing = ROOT.subordinate("Web", extended_key_usage=[SERVER_AUTH])
    assert isinstance(find(issuing.issue(key="p256"), ROOT, policy, issuing.der), ValidPath) == valid


def test_authority_s_own_certificate_is_a_leaf_for_test_vectors_only() -> None:
    leaf = Issued(ISSUING.private_key, ISSUING.der)
    assert suitability(leaf, Policy()) is Reason.KEY_USAGE_UNSUITABLE
    assert suitability(leaf, Policy(algorithms=Algorithms.ANY)) is Reason.KEY_USAGE_UNSUITABLE
    assert suitability(leaf, Policy(path=PathInputs(any_leaf=True))) is None


def test_key_that_no_login_knows_is_a_leaf_s_for_test_vectors_only() -> None:
    leaf = ROOT.issue(key=ec.generate_private_key(ec.BrainpoolP256R1()))
    assert suitability(leaf, Policy()) is Reason.KEY_UNSUPPORTED
    assert suitability(leaf, Policy(path=PathInputs(any_leaf=True))) is None
