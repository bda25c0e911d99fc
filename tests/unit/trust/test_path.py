# SPDX-License-Identifier: LGPL-2.1-or-later
"""Paths from a leaf to an anchor: what is found, what is refused and for which reason, and in what time."""

from __future__ import annotations

import datetime
import itertools
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, NameConstraints
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.certificate import ANY_PURPOSE, CLIENT_AUTH, SMARTCARD_LOGON
from pam_sc.decision.evidence import NoPath, PathFinding, ValidPath
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason
from pam_sc.errors import DeadlineExceeded
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.path import find_path
from tests.support.pki import DAY, CertificateAuthority, Issued, Wish, now, shared_key

AT = now()
SECOND = datetime.timedelta(seconds=1)
ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")


def usable(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


def trust(*anchors: CertificateAuthority, on_disk: Sequence[bytes] = ()) -> Trust:
    return Trust(
        anchors=tuple(usable(each.der) for each in anchors), intermediates=tuple(usable(each) for each in on_disk)
    )


def find(
    leaf: Issued | bytes,
    anchors: Trust,
    from_card: Sequence[bytes] = (),
    at: datetime.datetime = AT,
    policy: Policy | None = None,
) -> PathFinding:
    der = leaf if isinstance(leaf, bytes) else leaf.der
    return find_path(der, from_card, anchors, policy or Policy(), at)


def subjects(finding: PathFinding) -> tuple[str, ...]:
    assert isinstance(finding, ValidPath), finding
    return tuple(each.removesuffix(",O=Example").removeprefix("CN=") for each in finding.subjects)


def refused(finding: PathFinding, reason: Reason, detail: str = "") -> None:
    assert isinstance(finding, NoPath)
    assert finding.reason is reason, finding
    assert detail in finding.detail


# ---------------------------------------------------------------- what is found


def test_leaf_directly_under_an_anchor_has_a_path() -> None:
    assert subjects(find(ROOT.issue(key="p256"), trust(ROOT))) == ("alice", "Root")


def test_intermediate_from_disk_is_used() -> None:
    found = find(LEAF, trust(ROOT, on_disk=[ISSUING.der]))
    assert subjects(found) == ("alice", "Issuing", "Root")
    assert isinstance(found, ValidPath)
    assert found.certificates == (LEAF.der, ISSUING.der, ROOT.der)


def test_intermediate_from_the_card_is_used() -> None:
    assert subjects(find(LEAF, trust(ROOT), [LEAF.der, ISSUING.der])) == ("alice", "Issuing", "Root")


def test_leaf_without_basic_constraints_has_a_path() -> None:
    assert len(subjects(find(ROOT.issue(key="p256", basic_constraints=False), trust(ROOT)))) == 2


def test_intermediate_without_basic_constraints_is_no_authority() -> None:
    issuing = ROOT.subordinate("Issuing", basic_constraints=False)
    refused(find(issuing.issue(key="p256"), trust(ROOT), [issuing.der]), Reason.PATH_INVALID)


def test_missing_intermediate_is_untrusted() -> None:
    refused(find(LEAF, trust(ROOT)), Reason.UNTRUSTED, "no certificate of the issuer")


def test_intermediate_that_is_configured_as_anchor_needs_no_root() -> None:
    assert subjects(find(LEAF, trust(ISSUING))) == ("alice", "Issuing")


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "p256", "p384", "p521", "ed25519", "ed448"])
def test_each_kind_of_authority_is_accepted(kind: str) -> None:
    root = CertificateAuthority("Root", kind)
    issuing = root.subordinate("Issuing", kind)
    leaf = issuing.issue(key="p256")
    assert len(subjects(find(leaf, trust(root), [issuing.der]))) == 3


def test_broken_certificates_on_the_card_do_not_hide_the_good_one() -> None:
    assert len(subjects(find(LEAF, trust(ROOT), [b"", b"junk", LEAF.der[:-1], ISSUING.der]))) == 3


def test_name_in_other_case_and_spacing_is_the_same_issuer() -> None:
    shouting = CertificateAuthority("  ROOT ", key=ROOT.private_key)
    assert len(subjects(find(shouting.issue(key="p256"), trust(ROOT)))) == 2


def test_path_of_ten_certificates_is_found_and_of_eleven_is_not() -> None:
    chain = [ROOT]
    for index in range(9):
        chain.append(chain[-1].subordinate(f"CA {index}"))
    ders = [authority.der for authority in chain[1:]]
    assert len(subjects(find(chain[8].issue(key="p256"), trust(ROOT), ders))) == 10
    refused(find(chain[9].issue(key="p256"), trust(ROOT), ders), Reason.UNTRUSTED)


def test_renewed_authority_of_the_same_name_is_found_by_its_key() -> None:
    renewed = CertificateAuthority("Root")
    assert find(ROOT.issue(key="p256"), trust(ROOT, renewed)) != find(renewed.issue(key="p256"), trust(ROOT, renewed))
    assert len(subjects(find(renewed.issue(key="p256"), trust(ROOT, renewed)))) == 2


def test_authority_without_key_identifiers_is_refused_by_the_strict_rules() -> None:
    old = CertificateAuthority("Old", wish=Wish(ca=True, key_usage=None, extended_key_usage=None, identifiers=False))
    refused(find(old.issue(key="p256", identifiers=False), trust(old)), Reason.PATH_INVALID)


# ---------------------------------------------------------------- who is not trusted


def test_self_signed_leaf_is_untrusted() -> None:
    mallory = CertificateAuthority("root", wish=Wish(ca=False))
    refused(find(mallory.der, trust(ROOT)), Reason.UNTRUSTED, "issued by itself")


def test_self_signed_leaf_that_the_card_offers_as_its_own_issuer_is_untrusted() -> None:
    mallory = CertificateAuthority("root")
    refused(find(mallory.issue(key="p256"), trust(ROOT), [mallory.der]), Reason.UNTRUSTED)


def test_foreign_authority_of_the_same_name_is_untrusted() -> None:
    foreign = CertificateAuthority("Root")
    refused(find(foreign.issue(key="p256"), trust(ROOT), [foreign.der]), Reason.UNTRUSTED, "does not verify")


def test_foreign_authority_of_the_same_name_and_claimed_key_identifier_is_untrusted() -> None:
    forged = ROOT.issue(key="p256", signing_key=CertificateAuthority("x").private_key)
    refused(find(forged, trust(ROOT)), Reason.UNTRUSTED, "does not verify")


def test_foreign_intermediate_of_the_same_name_is_untrusted() -> None:
    foreign = CertificateAuthority("Root").subordinate("Issuing")
    leaf = foreign.issue(key="p256")
    refused(find(leaf, trust(ROOT, on_disk=[ISSUING.der]), [foreign.der]), Reason.UNTRUSTED)


def test_anchor_itself_is_no_leaf() -> None:
    refused(find(ROOT.der, trust(ROOT)), Reason.UNTRUSTED, "itself a trust anchor")


def test_leaf_configured_as_anchor_is_refused() -> None:
    refused(find(LEAF, Trust(anchors=(usable(LEAF.der),))), Reason.UNTRUSTED, "itself a trust anchor")


def test_signature_of_another_certificate_is_untrusted() -> None:
    tampered = bytearray(LEAF.der)
    tampered[tampered.index(b"alice")] ^= 0x02
    refused(find(bytes(tampered), trust(ROOT), [ISSUING.der]), Reason.UNTRUSTED)


def test_unreadable_leaf_is_untrusted() -> None:
    refused(find(b"junk", trust(ROOT)), Reason.UNTRUSTED, "cannot be parsed")


# ---------------------------------------------------------------- which rules a path may break


@pytest.mark.parametrize(
    ("wishes", "detail"),
    [
        ({"not_before": AT - 9 * DAY, "not_after": AT - SECOND}, "expired"),
        ({"not_before": AT + SECOND}, "not yet valid"),
        ({"ca": False, "key_usage": ("digitalSignature",)}, "invalid CA certificate"),
        ({"ca": False}, ""),
        ({"key_usage": ("cRLSign",)}, ""),
        ({"extensions": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]}, "critical"),
    ],
)
def test_intermediate_that_breaks_a_rule_makes_the_path_invalid(wishes: dict[str, Any], detail: str) -> None:
    issuing = ROOT.subordinate("Issuing", **wishes)
    found = find(issuing.issue(key="p256"), trust(ROOT), [issuing.der])
    refused(found, Reason.PATH_INVALID, detail)
    refused(found, Reason.PATH_INVALID, "'CN=Issuing,O=Example' at depth 1")


def test_intermediate_is_valid_to_its_last_second() -> None:
    issuing = ROOT.subordinate("Issuing", not_after=AT)
    leaf = issuing.issue(key="p256")
    assert len(subjects(find(leaf, trust(ROOT), [issuing.der], at=AT))) == 3
    refused(find(leaf, trust(ROOT), [issuing.der], at=AT + SECOND), Reason.PATH_INVALID, "expired")


def test_time_is_the_one_given_in_whatever_zone() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=9))
    issuing = ROOT.subordinate("Issuing", not_after=AT)
    leaf = issuing.issue(key="p256")
    assert len(subjects(find(leaf, trust(ROOT), [issuing.der], at=AT.astimezone(zone)))) == 3


def test_expired_anchor_makes_the_path_invalid() -> None:
    old = CertificateAuthority("Old", wish=Wish(
        ca=True, key_usage=("keyCertSign",), extended_key_usage=None, not_after=AT - SECOND,
    ))
    refused(find(old.issue(key="p256"), trust(old)), Reason.PATH_INVALID, "'CN=Old,O=Example' at depth 1")


def test_unknown_critical_extension_of_the_leaf_makes_the_path_invalid() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
    refused(find(ROOT.issue(key="p256", extensions=[(unknown, True)]), trust(ROOT)), Reason.PATH_INVALID, "critical")
    assert subjects(find(ROOT.issue(key="p256", extensions=[(unknown, False)]), trust(ROOT)))


def test_path_length_is_kept() -> None:
    short = ROOT.subordinate("Short", path_length=0)
    below = short.subordinate("Below")
    assert subjects(find(short.issue(key="p256"), trust(ROOT), [short.der]))
    refused(find(below.issue(key="p256"), trust(ROOT), [short.der, below.der]), Reason.PATH_INVALID, "path length")


def test_name_constraints_are_kept() -> None:
    only = NameConstraints(permitted_subtrees=[DNSName("example.test")], excluded_subtrees=None)
    issuing = ROOT.subordinate("Issuing", extensions=[(only, True)])
    inside = issuing.issue(key="p256", san=[DNSName("a.example.test")])
    outside = issuing.issue(key="p256", san=[DNSName("a.example.org")])
    assert subjects(find(inside, trust(ROOT), [issuing.der]))
    refused(find(outside, trust(ROOT), [issuing.der]), Reason.PATH_INVALID)


def test_person_s_certificate_cannot_issue_another() -> None:
    alice = ROOT.issue(common_name="alice", key="p256")
    impostor = CertificateAuthority("alice", key=alice.key, der=alice.der)
    refused(find(impostor.issue(common_name="root", key="p384"), trust(ROOT), [alice.der]), Reason.PATH_INVALID)


# ---------------------------------------------------------------- what is too weak


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_broken_hash_on_an_intermediate_makes_the_path_too_weak(name: str) -> None:
    root = CertificateAuthority("Root", "rsa2048")
    issuing = root.subordinate("Issuing", signature_hash=name)
    refused(find(issuing.issue(key="p256"), trust(root), [issuing.der]), Reason.PATH_TOO_WEAK, name)


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_broken_hash_on_the_leaf_makes_the_path_too_weak(name: str) -> None:
    root = CertificateAuthority("Root", "rsa2048")
    refused(find(root.issue(key="p256", signature_hash=name), trust(root)), Reason.PATH_TOO_WEAK, name)


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_signature_of_the_anchor_itself_is_not_judged(name: str) -> None:
    usages = ("keyCertSign", "cRLSign")
    root = CertificateAuthority("Root", "rsa2048", wish=Wish(
        ca=True, key_usage=usages, extended_key_usage=None, signature_hash=name,
    ))
    assert len(subjects(find(root.issue(key="p256"), trust(root)))) == 2


def test_weak_key_of_an_intermediate_makes_the_path_too_weak() -> None:
    issuing = ROOT.subordinate("Issuing", shared_key("rsa1024"))
    refused(find(issuing.issue(key="p256"), trust(ROOT), [issuing.der]), Reason.PATH_TOO_WEAK, "got RSA 1024")


def test_weak_key_of_the_anchor_makes_the_path_too_weak() -> None:
    root = CertificateAuthority("Root", shared_key("rsa1024"))
    refused(find(root.issue(key="p256"), trust(root)), Reason.PATH_TOO_WEAK, "got RSA 1024")


def test_foreign_authority_with_a_broken_hash_is_untrusted_rather_than_weak() -> None:
    root, foreign = CertificateAuthority("Root", "rsa2048"), CertificateAuthority("Root", "rsa2048")
    refused(find(foreign.issue(key="p256", signature_hash="sha1"), trust(root)), Reason.UNTRUSTED)


# ---------------------------------------------------------------- several ways, and many


def cross_certified(authority: CertificateAuthority, by: CertificateAuthority, **wishes: object) -> bytes:
    """A certificate for the authority's name and key, issued by another."""
    return by.subordinate(authority.name, authority.private_key, **wishes).der


def test_expired_cross_certificate_does_not_hide_the_valid_one() -> None:
    other = CertificateAuthority("Other Root")
    expired = cross_certified(ISSUING, other, not_after=AT - DAY)
    for order in itertools.permutations([expired, ISSUING.der]):
        assert subjects(find(LEAF, trust(ROOT, other), order)) == ("alice", "Issuing", "Root")


def test_answer_does_not_depend_on_the_order_of_certificates() -> None:
    other = CertificateAuthority("Other Root")
    crossed = cross_certified(ISSUING, other)
    answers = {
        find(LEAF, trust(*anchors), card)
        for anchors in itertools.permutations([ROOT, other])
        for card in itertools.permutations([crossed, ISSUING.der])
    }
    assert len(answers) == 1


def test_authority_with_a_new_key_under_its_own_old_one_is_found() -> None:
    renewed = ISSUING.subordinate("Issuing")
    leaf = renewed.issue(key="p256")
    assert subjects(find(leaf, trust(ROOT), [ISSUING.der, renewed.der])) == ("alice", "Issuing", "Issuing", "Root")


def test_two_authorities_of_one_key_may_stand_on_a_path() -> None:
    second = ISSUING.subordinate("Second", ISSUING.private_key)
    leaf = second.issue(key="p256")
    assert subjects(find(leaf, trust(ROOT), [ISSUING.der, second.der])) == ("alice", "Second", "Issuing", "Root")


def test_missing_key_identifier_is_found_but_breaks_the_strict_rules() -> None:
    refused(find(ROOT.issue(key="p256", identifiers=False), trust(ROOT)), Reason.PATH_INVALID)
    issuing = ROOT.subordinate("Issuing", identifiers=False)
    refused(find(issuing.issue(key="p256"), trust(ROOT), [issuing.der]), Reason.PATH_INVALID)


def test_issuer_with_another_key_identifier_is_not_used() -> None:
    other = (x509.SubjectKeyIdentifier(b"x" * 20), False)
    issuing = ROOT.subordinate("Issuing", identifiers=False, extensions=[other])
    refused(find(issuing.issue(key="p256"), trust(ROOT), [issuing.der]), Reason.UNTRUSTED)


def test_number_of_signatures_that_are_checked_is_bounded() -> None:
    crowd = [ROOT.subordinate("Issuing", identifiers=False).der for _ in range(310)]
    leaf = CertificateAuthority("Issuing").issue(key="p256", identifiers=False)
    refused(find(leaf, trust(ROOT), crowd[:290]), Reason.UNTRUSTED, "does not verify")
    refused(find(leaf, trust(ROOT), crowd), Reason.UNTRUSTED, "within the bounds")


def test_loop_of_cross_certificates_ends() -> None:
    one, two = CertificateAuthority("One"), CertificateAuthority("Two")
    card = [cross_certified(one, two), cross_certified(two, one)]
    refused(find(one.issue(key="p256"), trust(ROOT), card), Reason.UNTRUSTED)


def test_hundred_intermediates_of_the_same_name_do_not_hide_the_right_one() -> None:
    crowd = [CertificateAuthority("Issuing").der for _ in range(100)]
    random.Random(7).shuffle(crowd)
    start = time.monotonic()
    assert len(subjects(find(LEAF, trust(ROOT), [*crowd, ISSUING.der]))) == 3
    assert time.monotonic() - start < 2


def test_hundred_intermediates_of_the_same_name_without_identifiers_get_an_answer_in_time() -> None:
    crowd = [ROOT.subordinate("Issuing", identifiers=False).der for _ in range(100)]
    leaf = CertificateAuthority("Issuing").issue(key="p256", identifiers=False)
    start = time.monotonic()
    refused(find(leaf, trust(ROOT), crowd), Reason.UNTRUSTED)
    assert time.monotonic() - start < 2


def test_hundred_certificates_of_one_key_that_are_all_invalid_get_an_answer_in_time() -> None:
    crowd = [cross_certified(ISSUING, ROOT, not_after=AT - DAY) for _ in range(150)]
    start = time.monotonic()
    refused(find(LEAF, trust(ROOT), crowd), Reason.PATH_INVALID, "expired")
    assert time.monotonic() - start < 2


def test_web_of_authorities_that_all_certify_each_other_gets_an_answer_in_time() -> None:
    web = [CertificateAuthority(f"CA {index}") for index in range(14)]
    crossed = [cross_certified(one, two) for one in web for two in web if one is not two]
    start = time.monotonic()
    refused(find(web[0].issue(key="p256"), trust(ROOT), crossed), Reason.UNTRUSTED, "within the bounds")
    assert time.monotonic() - start < 2


@settings(max_examples=150, deadline=None, database=None)
@given(st.data())
def test_no_mutation_of_leaf_or_intermediate_makes_it_raise_or_be_trusted(data: st.DataObject) -> None:
    ders = [bytearray(LEAF.der), bytearray(ISSUING.der)]
    which = data.draw(st.sampled_from(ders))
    at = data.draw(st.integers(0, len(which) - 1))
    which[at] ^= data.draw(st.integers(1, 255))
    assert isinstance(find(bytes(ders[0]), trust(ROOT), [bytes(ders[1])]), NoPath)


@pytest.mark.parametrize("pieces", [0, 1, 40])
def test_the_search_ends_when_the_time_does(pieces: int) -> None:
    from_card = [ROOT.issue(key="p256").der for _ in range(60)]
    left = iter(range(pieces))

    def in_time() -> None:
        if next(left, None) is None:
            raise DeadlineExceeded("test")

    with pytest.raises(DeadlineExceeded):
        find_path(LEAF.der, from_card, trust(ROOT), Policy(), AT, in_time)


SERVER_AUTH = "1.3.6.1.5.5.7.3.1"


@pytest.mark.parametrize(
    ("purposes", "valid"),
    [(None, True), ([SERVER_AUTH], False), ([SERVER_AUTH, CLIENT_AUTH], True), ([SMARTCARD_LOGON], True), ([ANY_PURPOSE], True)],
)
def test_authority_that_is_limited_to_other_purposes_issues_no_login_certificate(
    purposes: list[str] | None, valid: bool
) -> None:
    issuing = ROOT.subordinate("Limited", extended_key_usage=purposes)
    found = find(issuing.issue(key="p256"), trust(ROOT), [issuing.der])
    assert isinstance(found, ValidPath) == valid
    if isinstance(found, NoPath):
        assert (found.reason, "extendedKeyUsage" in found.detail) == (Reason.PATH_INVALID, True)
