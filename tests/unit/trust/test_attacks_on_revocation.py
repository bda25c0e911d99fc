# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on "good": genuine data that is played off against other genuine data, and sources that are not asked."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509

from pam_sc.decision.evidence import RevocationFinding, Situation, SourceAnswer, ValidPath
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules, RevocationSource
from pam_sc.decision.reasons import Reason
from pam_sc.decision.revocation import judge_revocation
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.choosing import choose_path
from pam_sc.trust.crl import Conditions
from pam_sc.trust.crl_file import FileCrls, by_issuer, load_crls, read_crl
from pam_sc.trust.path import find_path, find_paths
from pam_sc.trust.revocation import CaRules, RevocationSources, combine, find_revocation
from pam_sc.trust.sources import OcspMessage
from tests.support.ocsp_answer import HOUR, Response, Single, ocsp_response
from tests.support.pki import DAY, CertificateAuthority, Issued, Revoked, name_of, now

AT = now()
GOOD, REVOKED, UNKNOWN, NOT_AT_HAND = Situation.GOOD, Situation.REVOKED, Situation.UNKNOWN, Situation.NOT_AT_HAND
OCSP, CRL = RevocationSource.OCSP, RevocationSource.CRL
REASONS = x509.ReasonFlags

ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")


def parsed(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


TRUST = Trust(anchors=(parsed(ROOT.der),), intermediates=(parsed(ISSUING.der),))


class Answers:
    """OCSP answers about the leaf."""

    def __init__(self, *ders: bytes) -> None:
        self.messages = [OcspMessage(der=der, source="http://ocsp.example.test/") for der in ders]

    def about(self, _issuer: PathCertificate, serial: int) -> Sequence[OcspMessage]:
        """Return them for the leaf's serial number."""
        return self.messages if serial == LEAF.serial else ()


def crls_of(*crls: bytes) -> FileCrls:
    read = [read_crl(der, f"{index}.crl") for index, der in enumerate(crls)]
    return FileCrls(by_issuer=by_issuer(read))  # type: ignore[arg-type]


def about_leaf(
    *crls: bytes, ocsp: Sequence[bytes] = (), leaf: Issued = LEAF, rules: RevocationRules | None = None
) -> RevocationFinding:
    """Return what is known about the leaf from these CRLs and OCSP answers."""
    path = find_path(leaf.der, [], TRUST, Policy(), AT)
    assert isinstance(path, ValidPath), path
    sources = RevocationSources(
        crls=(crls_of(*crls),), answers=(Answers(*ocsp),), default=CaRules(rules=rules or RevocationRules())
    )
    return find_revocation(path, sources, Conditions(trust=TRUST, policy=Policy(), at=AT))[0]


# ---------------------------------------------------------------- which CRL is the newest


def complete(*revoked: Issued, days_old: int, number: int | None) -> bytes:
    return ISSUING.crl(revoked, this_update=AT - days_old * DAY, number=number, pem=False)


@pytest.mark.parametrize("number", [None, 1, 7], ids=["without a number", "counting from one again", "the same number"])
def test_an_old_crl_with_a_high_number_does_not_hide_a_newer_one_that_lists(number: int | None) -> None:
    """A CA moved to other software loses count; its old list is current for weeks, and anybody can play it back."""
    old, new = complete(days_old=9, number=7), complete(LEAF, days_old=1, number=number)
    assert about_leaf(old, new).situation is REVOKED
    assert about_leaf(new, old).situation is REVOKED


def test_a_crl_with_a_higher_number_speaks_though_its_date_is_older() -> None:
    assert about_leaf(complete(LEAF, days_old=9, number=7), complete(days_old=1, number=6)).situation is REVOKED


def test_where_number_and_date_agree_the_newest_alone_speaks() -> None:
    assert about_leaf(complete(LEAF, days_old=9, number=6), complete(days_old=1, number=7)).situation is GOOD


def test_an_old_crl_of_long_life_does_not_stand_in_for_a_newer_one_that_is_stale() -> None:
    """The CA once issued lists for a year and now does for a day: the last of the first kind is easy to play back."""
    long_lived = ISSUING.crl(this_update=AT - 100 * DAY, next_update=AT + 265 * DAY, number=1, pem=False)
    stale = ISSUING.crl(this_update=AT - 3 * DAY, next_update=AT - 2 * DAY, number=2, pem=False)
    assert about_leaf(long_lived).situation is GOOD
    assert about_leaf(long_lived, stale).situation is Situation.STALE
    assert about_leaf(stale, long_lived).situation is Situation.STALE


# ---------------------------------------------------------------- a responder that is behind its CA


def good_answer(at: datetime.datetime) -> bytes:
    single = Single(certificate=LEAF, issuer=ISSUING, this_update=at, next_update=AT + HOUR)
    return ocsp_response(Response(singles=(single,), signer=ISSUING, produced_at=at))


@pytest.mark.parametrize("reason", [None, *(each for each in REASONS if each not in (
    REASONS.certificate_hold, REASONS.remove_from_crl,
))])  # fmt: skip
def test_a_newer_good_of_a_responder_takes_no_revocation_back(reason: REASONS | None) -> None:
    lists = ISSUING.crl([Revoked(serial=LEAF.serial, reason=reason)], this_update=AT - DAY, pem=False)
    assert about_leaf(lists, ocsp=[good_answer(AT - HOUR)]).situation is REVOKED


def test_a_newer_good_of_a_responder_ends_a_hold_and_an_older_one_does_not() -> None:
    held = Revoked(serial=LEAF.serial, reason=REASONS.certificate_hold)
    lists = ISSUING.crl([held], this_update=AT - 2 * HOUR, pem=False)
    assert about_leaf(lists, ocsp=[good_answer(AT - HOUR)]).situation is GOOD
    assert about_leaf(lists, ocsp=[good_answer(AT - 3 * HOUR)]).situation is REVOKED


@pytest.mark.parametrize(("reason", "situation"), [("certificateHold", GOOD), ("keyCompromise", REVOKED), (None, REVOKED)])
def test_the_same_holds_of_a_newer_crl_and_an_older_answer(reason: str | None, situation: Situation) -> None:
    good = SourceAnswer(kind=CRL, situation=GOOD, detail="", as_of=AT - HOUR)
    revoked = SourceAnswer(kind=OCSP, situation=REVOKED, detail="", as_of=AT - DAY, reason=reason)
    assert combine([good, revoked])[0] is situation


# ---------------------------------------------------------------- sources that are not asked


ONLY_OCSP = RevocationRules(mode=RevocationMode.NAMED, sources=(OCSP,))


def test_a_certificate_that_names_only_a_crl_names_a_source_where_only_ocsp_is_asked() -> None:
    pointing = ISSUING.issue(key="p256", crl_distribution_points=("http://crl.example.test/issuing.crl",))
    finding = about_leaf(leaf=pointing, rules=ONLY_OCSP)
    assert finding.situation is NOT_AT_HAND
    failure = judge_revocation((finding,), RevocationMode.NAMED)
    assert failure is not None
    assert failure.reason is Reason.REVOCATION_NOT_AT_HAND


def test_a_responder_that_cannot_be_asked_is_a_source_where_only_ocsp_is_asked() -> None:
    naming = ISSUING.issue(key="p256", ocsp=("file:///ocsp",))
    assert about_leaf(leaf=naming, rules=ONLY_OCSP).situation is NOT_AT_HAND


def test_a_certificate_that_names_nothing_has_no_source_where_only_ocsp_is_asked() -> None:
    assert about_leaf(rules=ONLY_OCSP).situation is Situation.NO_SOURCE


# ---------------------------------------------------------------- a lost key has no other path


ONE, OTHER = CertificateAuthority("One"), CertificateAuthority("Other")
UNDER_ONE = ONE.subordinate("Crossed")
UNDER_OTHER = OTHER.subordinate("Crossed", UNDER_ONE.private_key)
CROSSED_LEAF = UNDER_ONE.issue(key="p256")


def judged(folder: Path, reason: REASONS | None, first_anchor: CertificateAuthority, *, from_card: bool) -> Reason | None:
    """Return why a leaf is refused whose issuer One has revoked for this reason, and Other not.

    `first_anchor`: where the path ends that is looked at first. On the card lies what Other has issued.
    """
    folder.mkdir(exist_ok=True)
    entry = Revoked(serial=UNDER_ONE.certificate.serial_number, reason=reason)
    for name, crl in (("one", ONE.crl([entry])), ("other", OTHER.crl()), ("issuing", UNDER_ONE.crl())):
        (folder / f"{name}.crl").write_bytes(crl)
    given = (parsed(UNDER_ONE.der), *(() if from_card else (parsed(UNDER_OTHER.der),)))
    others = (parsed(UNDER_OTHER.der),) if from_card else ()
    trust = Trust(anchors=(parsed(ONE.der), parsed(OTHER.der)), intermediates=given)
    rules = RevocationRules(mode=RevocationMode.REQUIRE)
    sources = RevocationSources(crls=(load_crls(str(folder), frozenset({0, os.getuid()})),), default=CaRules(rules=rules))
    conditions = Conditions(trust=trust, others=others, policy=Policy(), at=AT)
    paths = list(find_paths(CROSSED_LEAF.der, [each.der for each in others], trust, Policy(), AT))
    first = next(each for each in paths if isinstance(each, ValidPath) and each.certificates[-1] == first_anchor.der)
    rest = [each for each in paths if each is not first]
    assert len(rest) == 1
    _path, found = choose_path(first, rest, lambda one: find_revocation(one, sources, conditions), rules.mode)
    failure = judge_revocation(found, rules.mode)
    return None if failure is None else failure.reason


@pytest.mark.parametrize("from_card", [False, True], ids=["cross-certificate on disk", "cross-certificate on the card"])
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (REASONS.key_compromise, Reason.ISSUER_REVOKED),
        (REASONS.ca_compromise, Reason.ISSUER_REVOKED),
        (REASONS.superseded, None),
        (REASONS.cessation_of_operation, None),
        (None, None),
    ],
)
def test_an_issuer_whose_key_is_lost_is_not_reached_by_another_of_its_certificates(
    tmp_path: Path, reason: REASONS | None, expected: Reason | None, from_card: bool
) -> None:
    for first_anchor in (ONE, OTHER):
        assert judged(tmp_path / "crls", reason, first_anchor, from_card=from_card) is expected


def test_a_leaf_that_the_second_path_shows_as_revoked_has_no_third(tmp_path: Path) -> None:
    looked: list[ValidPath] = []
    paths = [ValidPath(certificates=(bytes([number]),), subjects=("leaf",)) for number in range(3)]

    def look(path: ValidPath) -> tuple[RevocationFinding, ...]:
        looked.append(path)
        situation = (UNKNOWN, REVOKED, GOOD)[path.certificates[0][0]]
        return (RevocationFinding(subject="leaf", situation=situation, detail=""),)

    _path, found = choose_path(paths[0], paths[1:], look, RevocationMode.REQUIRE)
    assert (found[0].situation, len(looked)) == (REVOKED, 2)


# ---------------------------------------------------------------- signers of signers of signers


def signers_in_a_row(count: int) -> tuple[Issued, list[bytes], list[Issued]]:
    """Return a leaf, the CRLs, and their signers: the indirect CRL of each is about the one before it.

    That of the last is about itself as well.
    """
    certificates: list[Issued] = []
    crls = [ISSUING.crl([], pem=False, extensions=[(only_authorities(), True)]), ROOT.crl(pem=False)]
    for index in reversed(range(count)):
        following = f"Signer {min(index + 1, count - 1)}"
        certificates.append(ISSUING.issue(
            common_name=f"Signer {index}", key="p384", key_usage=("cRLSign",), extended_key_usage=None,
            extensions=[points_to(following)],
        ))  # fmt: skip
        signer = CertificateAuthority(f"Signer {index}", certificates[-1].key, der=certificates[-1].der)
        crls.append(signer.crl([], pem=False, extensions=[(indirect(), True)]))
    return ISSUING.issue(key="p256", extensions=[points_to("Signer 0")]), crls, certificates


def points_to(name: str) -> tuple[x509.ExtensionType, bool]:
    named = [x509.DirectoryName(name_of(name))]
    point = x509.DistributionPoint(full_name=named, relative_name=None, reasons=None, crl_issuer=named)
    return x509.CRLDistributionPoints([point]), False


def only_authorities() -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(None, None, False, True, None, False, False)


def indirect() -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(None, None, False, False, None, True, False)


@pytest.mark.parametrize(("count", "situation"), [(1, GOOD), (3, GOOD), (8, UNKNOWN), (60, UNKNOWN)])
def test_signers_of_signers_count_to_a_depth_and_never_end_in_an_exception(count: int, situation: Situation) -> None:
    leaf, crls, signers = signers_in_a_row(count)
    trust = Trust(anchors=TRUST.anchors, intermediates=(*TRUST.intermediates, *(parsed(each.der) for each in signers)))
    path = find_path(leaf.der, [], trust, Policy(), AT)
    assert isinstance(path, ValidPath), path
    rules = RevocationRules(mode=RevocationMode.NAMED)
    sources = RevocationSources(crls=(crls_of(*crls),), default=CaRules(rules=rules))
    found = find_revocation(path, sources, Conditions(trust=trust, policy=Policy(), at=AT))[0]
    assert found.situation is situation, found
