# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several ways up: renewed keys, self-issued and cross-signed authorities, and crowds of the same name.

The verdict is the same in whatever order the certificates come, from the card or from disk.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Sequence

import pytest

from pam_sc.decision.evidence import NoPath, PathFinding, ValidPath
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.path import find_path
from tests.support.der import tlv
from tests.support.pki import DAY, CertificateAuthority, Issued, now, rewrite

AT = now()
ROOT, OTHER = CertificateAuthority("Root"), CertificateAuthority("Other Root")
SECONDS_MAX = 2.0


def usable(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


def find(
    leaf: Issued, anchors: Sequence[bytes], card: Sequence[bytes] = (), disk: Sequence[bytes] = ()
) -> PathFinding:
    trust = Trust(anchors=tuple(map(usable, anchors)), intermediates=tuple(map(usable, disk)))
    return find_path(leaf.der, card, trust, Policy(), AT)


def in_every_order(leaf: Issued, anchors: Sequence[bytes], others: Sequence[bytes]) -> set[PathFinding]:
    """The findings with the intermediates on the card and on disk, in every order."""
    found: set[PathFinding] = set()
    for order in itertools.permutations(others):
        found.add(find(leaf, anchors, card=order))
        found.add(find(leaf, anchors, disk=order))
        found.add(find(leaf, anchors, card=order[:1], disk=order[1:]))
    return found


def only(findings: Iterable[PathFinding]) -> tuple[str, ...] | Reason:
    """The one path that all of them are, or the one reason for which there is none."""
    found = {
        tuple(each.removesuffix(",O=Example").removeprefix("CN=") for each in finding.subjects)
        if isinstance(finding, ValidPath)
        else finding.reason
        for finding in findings
    }
    assert len(found) == 1, found
    return found.pop()


def crossed(authority: CertificateAuthority, by: CertificateAuthority, **wishes: object) -> bytes:
    """A certificate for the authority's name and key, issued by another."""
    return by.subordinate(authority.name, authority.private_key, **wishes).der


# ---------------------------------------------------------------- renewed keys


def test_renewed_root_is_trusted_through_its_new_with_old_certificate() -> None:
    renewed = CertificateAuthority("Root")
    leaf, link = renewed.issue(key="p256"), crossed(renewed, ROOT)
    assert only(in_every_order(leaf, [ROOT.der], [link, renewed.der])) == ("alice", "Root", "Root")
    assert only(in_every_order(leaf, [ROOT.der], [renewed.der])) is Reason.UNTRUSTED


def test_leaf_of_the_old_key_is_trusted_through_the_old_with_new_certificate() -> None:
    renewed = CertificateAuthority("Root")
    leaf, link = ROOT.issue(key="p256"), crossed(ROOT, renewed)
    assert only(in_every_order(leaf, [renewed.der], [link, ROOT.der])) == ("alice", "Root", "Root")
    assert only(in_every_order(leaf, [renewed.der], [ROOT.der])) is Reason.UNTRUSTED


def test_link_that_was_signed_by_an_unrelated_key_of_that_name_renews_nothing() -> None:
    stranger = CertificateAuthority("Root")
    renewed = CertificateAuthority("Root")
    assert only(in_every_order(renewed.issue(key="p256"), [ROOT.der], [crossed(renewed, stranger), stranger.der])) is (
        Reason.UNTRUSTED
    )


def test_self_issued_certificate_does_not_count_towards_the_path_length() -> None:
    first = ROOT.subordinate("Issuing", path_length=0)
    second = first.subordinate("Issuing", path_length=0)
    below = second.subordinate("Below")
    cas = [first.der, second.der, below.der]
    assert only(in_every_order(second.issue(key="p256"), [ROOT.der], cas)) == ("alice", "Issuing", "Issuing", "Root")
    assert only(in_every_order(below.issue(key="p256"), [ROOT.der], cas)) is Reason.PATH_INVALID


def test_renewed_certificate_of_the_same_key_replaces_the_expired_one() -> None:
    issuing = ROOT.subordinate("Issuing", not_after=AT - DAY)
    renewed, leaf = crossed(issuing, ROOT), issuing.issue(key="p256")
    assert only(in_every_order(leaf, [ROOT.der], [issuing.der, renewed])) == ("alice", "Issuing", "Root")
    assert only(in_every_order(leaf, [ROOT.der], [issuing.der])) is Reason.PATH_INVALID


# ---------------------------------------------------------------- cross-signed


def test_authority_that_a_trusted_and_an_untrusted_root_certify_is_trusted_in_every_order() -> None:
    issuing = ROOT.subordinate("Issuing")
    leaf = issuing.issue(key="p256")
    others = [issuing.der, crossed(issuing, OTHER), OTHER.der]
    assert only(in_every_order(leaf, [ROOT.der], others)) == ("alice", "Issuing", "Root")
    assert only(in_every_order(leaf, [OTHER.der], [*others[:2], ROOT.der])) == ("alice", "Issuing", "Other Root")
    assert only(in_every_order(leaf, [CertificateAuthority("Third").der], [*others, ROOT.der])) is Reason.UNTRUSTED


def test_root_that_another_root_certifies_is_trusted_under_either() -> None:
    leaf, link = ROOT.issue(key="p256"), crossed(ROOT, OTHER)
    assert only(in_every_order(leaf, [ROOT.der], [link, OTHER.der])) == ("alice", "Root")
    assert only(in_every_order(leaf, [OTHER.der], [link, ROOT.der])) == ("alice", "Root", "Other Root")


@pytest.mark.parametrize("wishes", [
    {"not_after": AT - DAY}, {"ca": False}, {"key_usage": ("cRLSign",)}, {"path_length": 0},
])  # fmt: skip
def test_invalid_cross_certificate_never_hides_the_valid_way(wishes: dict[str, object]) -> None:
    bridge = OTHER.subordinate("Bridge", **wishes)
    issuing = ROOT.subordinate("Issuing")
    leaf = issuing.issue(key="p256")
    others = [issuing.der, crossed(issuing, bridge), bridge.der]
    both = [ROOT.der, OTHER.der]
    assert only(in_every_order(leaf, both, others)) == ("alice", "Issuing", "Root")
    assert only(in_every_order(leaf, [OTHER.der], others)) is Reason.PATH_INVALID


def test_order_of_anchors_does_not_change_the_path() -> None:
    issuing = ROOT.subordinate("Issuing")
    leaf, link = issuing.issue(key="p256"), crossed(issuing, OTHER)
    found = {find(leaf, anchors, card=[issuing.der, link]) for anchors in itertools.permutations([ROOT.der, OTHER.der])}
    assert len(found) == 1


@pytest.mark.parametrize("moment", [b"00000101000000Z", b"99991231235959Z", b"20260230000000Z", b"2026", b""])
def test_authority_with_an_odd_time_on_the_card_hides_no_other(moment: bytes) -> None:
    issuing = ROOT.subordinate("Issuing")
    odd = rewrite(issuing.der, ROOT.private_key, validity=tlv(0x30, tlv(0x18, moment) * 2))
    leaf = issuing.issue(key="p256")
    assert isinstance(find(leaf, [ROOT.der], card=[odd]), NoPath)
    assert only([find(leaf, [ROOT.der], card=[odd, issuing.der])]) == ("alice", "Issuing", "Root")


# ---------------------------------------------------------------- crowds of one name

PLACES = ["card", "disk"]


def crowd(above: CertificateAuthority, count: int = 100, *, same_key: bool, **wishes: object) -> list[CertificateAuthority]:
    """Authorities of one name below another, with one key or each with its own."""
    first = above.subordinate("Issuing", **wishes)
    return [first, *(above.subordinate("Issuing", first.private_key if same_key else "p256", **wishes)
                     for _ in range(count - 1))]  # fmt: skip


def timed(leaf: Issued, place: str, ders: list[bytes]) -> PathFinding:
    """The finding under ROOT with these from the card or from disk, shuffled; an answer must come in time."""
    random.Random(7).shuffle(ders)
    disk = ders if place == "disk" else []
    start = time.monotonic()
    found = find(leaf, [ROOT.der], card=ders if place == "card" else [], disk=disk)
    assert time.monotonic() - start < SECONDS_MAX
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("identifiers", [True, False])
def test_right_one_of_a_hundred_of_one_name_is_found_in_time(place: str, identifiers: bool) -> None:
    strangers = [each.der for each in crowd(OTHER, same_key=False, identifiers=identifiers)]
    issuing = ROOT.subordinate("Issuing")
    leaf = issuing.issue(key="p256")
    assert only([timed(leaf, place, [*strangers, issuing.der])]) == ("alice", "Issuing", "Root")


@pytest.mark.parametrize("place", PLACES)
def test_one_valid_certificate_among_a_hundred_expired_ones_of_its_key_is_found_in_time(place: str) -> None:
    expired = crowd(ROOT, 150, same_key=True, not_after=AT - DAY)
    valid = crossed(expired[0], ROOT)
    leaf = expired[0].issue(key="p256")
    ders = [each.der for each in expired]
    assert only([timed(leaf, place, [*ders, valid])]) == ("alice", "Issuing", "Root")
    assert only([timed(leaf, place, ders)]) is Reason.PATH_INVALID


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("upper_same", [True, False])
@pytest.mark.parametrize("lower_same", [True, False])
@pytest.mark.parametrize("identifiers", [True, False])
def test_two_levels_of_a_hundred_each_get_an_answer_in_time(
    place: str, upper_same: bool, lower_same: bool, identifiers: bool
) -> None:
    """None of them leads to the anchor, so that everything is tried that is tried at all."""
    upper = crowd(CertificateAuthority("Root"), same_key=upper_same, identifiers=identifiers)
    key = CertificateAuthority("Lower").private_key
    lower = [above.subordinate("Lower", key if lower_same else "p256", identifiers=identifiers) for above in upper]
    leaf = lower[0].issue(key="p256", identifiers=identifiers)
    found = timed(leaf, place, [each.der for each in (*upper, *lower)])
    assert isinstance(found, NoPath)
    assert found.reason is Reason.UNTRUSTED


@pytest.mark.parametrize("place", PLACES)
def test_one_valid_way_through_two_levels_of_a_hundred_expired_ones_is_found_in_time(place: str) -> None:
    upper = crowd(ROOT, same_key=True, not_after=AT - DAY)
    lower = [each.subordinate("Lower", upper[0].private_key, not_after=AT - DAY) for each in upper]
    valid = ROOT.subordinate("Issuing", upper[0].private_key)
    below = valid.subordinate("Lower", upper[0].private_key)
    ders = [each.der for each in (*upper, *lower, valid, below)]
    assert only([timed(below.issue(key="p256"), place, ders)]) == ("alice", "Lower", "Issuing", "Root")


@pytest.mark.parametrize("place", PLACES)
def test_two_levels_of_a_hundred_invalid_ways_to_the_anchor_get_an_answer_in_time(place: str) -> None:
    upper = crowd(ROOT, same_key=True, path_length=0)
    lower = [each.subordinate("Lower", upper[0].private_key) for each in upper]
    leaf = lower[0].issue(key="p256")
    assert only([timed(leaf, place, [each.der for each in (*upper, *lower)])]) is Reason.PATH_INVALID
