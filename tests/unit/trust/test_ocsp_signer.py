# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may sign an OCSP response: the issuer, its delegates, the configured responder, and nobody else."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pytest
from cryptography import x509

from pam_sc.decision.evidence import Situation, SourceAnswer
from pam_sc.decision.policy import Algorithms, Policy, RevocationMode
from pam_sc.errors import TrustError
from pam_sc.trust.anchors import PathCertificate
from tests.support import ocsp_answer as answer
from tests.support.ocsp_answer import NO_CHECK, OCSP_SIGNING, Signer
from tests.support.pki import ANY_PURPOSE, CLIENT_AUTH, CertificateAuthority, Issued, shared_key
from tests.unit.trust.ocsp_question import (
    AT,
    DELEGATE,
    GOOD,
    ISSUERS,
    ISSUING,
    NAMED,
    NAMESAKE,
    NEXT,
    NO_SOURCE,
    NOT_AT_HAND,
    PREFER,
    REQUIRE,
    REVOKED,
    ROOT,
    SECOND,
    STALE,
    UNKNOWN,
    ask,
    delegate,
    expect,
    path_certificate,
    response,
    single,
)

# ---------------------------------------------------------------- signer: the issuer


def test_issuer_by_its_key_hash_counts() -> None:
    expect(ask(response(signer=ISSUING, by_key=True)), GOOD)


def test_issuer_that_carries_its_own_certificate_counts() -> None:
    expect(ask(response(signer=ISSUING, certificates=[ISSUING])), GOOD)


NOBODY = "it names a signer that is neither the issuer nor a responder at hand"
OTHER_KEY = "its signature does not verify with the key of 'CN=Issuing,O=Example'"
NOT_ISSUED = "does not count: it is not issued by the certificate's issuer"


@pytest.mark.parametrize(
    ("by_key", "carried", "detail"),
    [
        (False, (), OTHER_KEY),
        (False, (NAMESAKE,), OTHER_KEY),
        (True, (), NOBODY),
        (True, (NAMESAKE,), NOT_ISSUED),
    ],
)
def test_namesake_of_the_issuer_does_not_count(by_key: bool, carried: Sequence[Signer], detail: str) -> None:
    expect(ask(response(signer=NAMESAKE, by_key=by_key, certificates=carried)), UNKNOWN, detail)


@pytest.mark.parametrize("by_key", [False, True])
def test_issuer_of_the_issuer_does_not_count(by_key: bool) -> None:
    expect(ask(response(signer=ROOT, by_key=by_key)), UNKNOWN, NOBODY)


@pytest.mark.parametrize("status", ["good", "revoked"])
@pytest.mark.parametrize("signer", [ISSUING, DELEGATE])
def test_broken_signature_does_not_count(signer: Signer, status: str) -> None:
    der = response(single(status=status), signer=signer, break_signature=True)
    expect(ask(der), UNKNOWN, "its signature does not verify with the key of")


@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize(
    ("signer", "named", "detail"),
    [
        (ISSUING, DELEGATE, "does not verify with the key of 'CN=Responder,O=Example'"),
        (DELEGATE, ISSUING, OTHER_KEY),
        (ISSUING, ROOT, NOBODY),
    ],
)
def test_responder_id_must_be_that_of_the_signer(signer: Signer, named: Signer, detail: str, by_key: bool) -> None:
    expect(ask(response(signer=signer, responder=named, by_key=by_key, certificates=[DELEGATE])), UNKNOWN, detail)


def test_certificate_of_the_issuers_own_key_may_be_the_delegate() -> None:
    same_key = delegate(key=ISSUING.private_key)
    expect(ask(response(signer=same_key)), GOOD)
    expect(ask(response(signer=delegate(key=ISSUING.private_key, extended_key_usage=None))), UNKNOWN, LACKS_PURPOSE)


# ---------------------------------------------------------------- signer: a delegated responder

LACKS_PURPOSE = "its extendedKeyUsage lacks OCSPSigning"


@pytest.mark.parametrize("by_key", [False, True])
def test_delegate_is_found_among_other_certificates(by_key: bool) -> None:
    expect(ask(response(by_key=by_key, certificates=[ROOT, NEXT, DELEGATE, ISSUING])), GOOD)


def test_delegate_that_is_not_in_the_response_is_not_known() -> None:
    expect(ask(response(certificates=[])), UNKNOWN, NOBODY)


def test_delegate_behind_too_many_certificates_is_not_looked_at() -> None:
    expect(ask(response(certificates=[*[NEXT] * 7, DELEGATE])), GOOD)
    expect(ask(response(certificates=[*[NEXT] * 8, DELEGATE])), UNKNOWN, NOBODY)


UNKNOWN_CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier(answer.UNKNOWN_EXTENSION), b"\x05\x00")


@pytest.mark.parametrize(
    ("wishes", "situation", "detail"),
    [
        ({"authority": ROOT}, UNKNOWN, NOT_ISSUED),
        ({"authority": NAMESAKE}, UNKNOWN, NOT_ISSUED),
        ({"signing_key": ROOT.private_key}, UNKNOWN, NOT_ISSUED),
        ({"authority": CertificateAuthority("Issuing 2", key=ISSUING.private_key)}, UNKNOWN, NOT_ISSUED),
        ({"authority": ROOT.subordinate("Issuing", key=ISSUING.private_key)}, GOOD, ""),
        ({"extended_key_usage": None}, UNKNOWN, LACKS_PURPOSE),
        ({"extended_key_usage": (ANY_PURPOSE,)}, UNKNOWN, LACKS_PURPOSE),
        ({"extended_key_usage": (CLIENT_AUTH,)}, UNKNOWN, LACKS_PURPOSE),
        ({"extended_key_usage": (CLIENT_AUTH, OCSP_SIGNING)}, GOOD, ""),
        ({"not_after": AT}, GOOD, ""),
        ({"not_after": AT - SECOND}, UNKNOWN, "does not count: it expired on"),
        ({"not_before": AT}, GOOD, ""),
        ({"not_before": AT + SECOND}, UNKNOWN, "does not count: it is valid from"),
        ({"key_usage": None}, GOOD, ""),
        ({"key_usage": ("nonRepudiation",)}, GOOD, ""),
        ({"key_usage": ("keyEncipherment", "keyCertSign", "cRLSign")}, UNKNOWN, "neither digitalSignature nor"),
        ({"basic_constraints": False}, GOOD, ""),
        ({"identifiers": False}, GOOD, ""),
        ({"extensions": (NO_CHECK, (UNKNOWN_CRITICAL, True))}, UNKNOWN, "a critical extension that nobody knows"),
        ({"extensions": (NO_CHECK, (UNKNOWN_CRITICAL, False))}, GOOD, ""),
        ({"key": "rsa2048"}, GOOD, ""),
        ({"key": "rsa1024"}, UNKNOWN, "got RSA 1024, expected at least 2048"),
        ({"key": "p192"}, UNKNOWN, "got a key on the curve secp192r1"),
    ],
)
def test_delegate_counts_only_as_its_issuer_made_it(
    wishes: dict[str, object], situation: Situation, detail: str
) -> None:
    expect(ask(response(signer=delegate(**wishes))), situation, detail)


@pytest.mark.parametrize("status", ["good", "revoked"])
def test_what_a_certificate_without_the_purpose_says_never_counts(status: str) -> None:
    expect(ask(response(single(status=status), signer=NEXT)), UNKNOWN, LACKS_PURPOSE)


def test_delegate_with_a_weak_signature_does_not_count() -> None:
    rsa = CertificateAuthority("Old", key="rsa2048")
    leaf, weak, strong = rsa.issue(), delegate(rsa, signature_hash="sha1"), delegate(rsa)
    about = single(certificate=leaf, issuer=rsa)
    issuers = (path_certificate(rsa),)
    expect(ask(response(about, signer=strong), certificate=leaf, issuers=issuers), GOOD)
    found = ask(response(about, signer=weak), certificate=leaf, issuers=issuers)
    expect(found, UNKNOWN, "got a signature with sha1")
    lenient = Policy(algorithms=Algorithms.LEGACY)
    expect(ask(response(about, signer=weak), certificate=leaf, issuers=issuers, policy=lenient), GOOD)


def test_expired_certificate_of_a_delegate_beside_its_renewed_one_does_no_harm() -> None:
    expired = delegate(not_after=AT - SECOND)
    expect(ask(response(signer=DELEGATE, certificates=[expired, DELEGATE])), GOOD)


# ---------------------------------------------------------------- the revocation of a delegated responder

CHECKED = delegate(extensions=())


@pytest.mark.parametrize(
    ("mode", "situation", "expected"),
    [
        *((mode, GOOD, GOOD) for mode in (REQUIRE, NAMED, PREFER)),
        *((mode, REVOKED, UNKNOWN) for mode in (REQUIRE, NAMED, PREFER)),
        (REQUIRE, NO_SOURCE, UNKNOWN),
        (NAMED, NO_SOURCE, GOOD),
        (PREFER, NO_SOURCE, GOOD),
        *((mode, each, UNKNOWN) for mode in (REQUIRE, NAMED) for each in (NOT_AT_HAND, STALE, UNKNOWN)),
        *((PREFER, each, GOOD) for each in (NOT_AT_HAND, STALE, UNKNOWN)),
    ],
)
def test_delegate_without_nocheck_counts_as_far_as_its_own_status_is_known(
    mode: RevocationMode, situation: Situation, expected: Situation
) -> None:
    asked: list[tuple[bytes, tuple[PathCertificate, ...]]] = []

    def judge(signer: PathCertificate, issuers: tuple[PathCertificate, ...]) -> Situation:
        asked.append((signer.der, issuers))
        return situation

    detail = "" if expected is GOOD else "is revoked" if situation is REVOKED else f"not known ({situation.value})"
    expect(ask(response(signer=CHECKED), mode=mode, judge_signer=judge), expected, detail)
    assert asked == [(CHECKED.der, ISSUERS)]


def test_revoked_said_by_a_delegate_of_unknown_status_still_counts() -> None:
    der = response(single(status="revoked"), signer=CHECKED)
    expect(ask(der, judge_signer=lambda *_: UNKNOWN), REVOKED, "though whether its signer")
    expect(ask(der, judge_signer=lambda *_: REVOKED), UNKNOWN, "is revoked")


def test_nobody_is_asked_about_a_signer_that_has_no_right_anyway() -> None:
    expect(ask(response(signer=delegate(ROOT, extensions=()))), UNKNOWN, NOT_ISSUED)
    expect(ask(response(single(certificate=NEXT), signer=CHECKED)), UNKNOWN, "about another certificate")
    expect(ask(response(signer=CHECKED, break_signature=True)), UNKNOWN, "its signature does not verify")


def test_responder_does_not_vouch_for_its_own_certificate() -> None:
    about = single(certificate=CHECKED)
    found = ask(response(about, signer=CHECKED), certificate=CHECKED)
    expect(found, UNKNOWN, "its signer would speak for itself")


def test_what_the_asking_about_a_signer_raises_comes_through() -> None:
    def too_late(signer: PathCertificate, issuers: tuple[PathCertificate, ...]) -> Situation:
        raise TrustError("time is over")

    with pytest.raises(TrustError, match="time is over"):
        ask(response(signer=CHECKED), judge_signer=too_late)


# ---------------------------------------------------------------- signer: the configured responder

STRANGER = CertificateAuthority("Elsewhere")
CONFIGURED = STRANGER.issue(common_name="Our responder", key="p384", extended_key_usage=None)


@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize("certificates", [(), None])
def test_configured_responder_counts_wherever_it_comes_from(by_key: bool, certificates: Sequence[Signer] | None) -> None:
    der = response(signer=CONFIGURED, by_key=by_key, certificates=certificates)
    expect(ask(der, responder=CONFIGURED), GOOD)
    expect(ask(der), UNKNOWN)


def test_configured_responder_counts_by_its_key_and_not_by_its_name() -> None:
    namesake = STRANGER.issue(common_name="Our responder", key="p256", extended_key_usage=None)
    expect(ask(response(signer=namesake), responder=CONFIGURED), UNKNOWN, "does not verify with the key of 'CN=Our")


@pytest.mark.parametrize(
    ("wishes", "situation", "detail"),
    [
        ({"not_after": AT}, GOOD, ""),
        ({"not_after": AT - SECOND}, UNKNOWN, "the configured responder 'CN=Our responder,O=Example': it expired on"),
        ({"not_before": AT + SECOND}, UNKNOWN, "it is valid from"),
        ({"key": "rsa1024"}, UNKNOWN, "got RSA 1024"),
    ],
)
def test_configured_responder_counts_within_its_validity_and_if_strong(
    wishes: dict[str, object], situation: Situation, detail: str
) -> None:
    signer = STRANGER.issue(common_name="Our responder", **wishes)
    expect(ask(response(signer=signer), responder=signer), situation, detail)


def test_configured_responder_does_not_silence_the_issuer_and_its_delegates() -> None:
    expect(ask(response(signer=ISSUING), responder=CONFIGURED), GOOD)
    expect(ask(response(), responder=CONFIGURED), GOOD)


# ---------------------------------------------------------------- signature algorithms


@functools.cache
def authority_with(kind: str) -> tuple[CertificateAuthority, Issued]:
    authority = CertificateAuthority(f"CA {kind}", key=shared_key(kind))
    return authority, authority.issue(key="p256")


def by_key_kind(kind: str, *, policy: Policy | None = None, status: str = "good", **fields: object) -> SourceAnswer:
    authority, leaf = authority_with(kind)
    der = response(single(certificate=leaf, issuer=authority, status=status), signer=authority, **fields)
    return ask(der, certificate=leaf, issuers=(path_certificate(authority),), policy=policy)


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384", "p521", "ed25519", "ed448"])
def test_every_kind_of_key_may_sign(kind: str) -> None:
    expect(by_key_kind(kind), GOOD)
    expect(by_key_kind(kind, break_signature=True), UNKNOWN, "does not verify")


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("pss", [False, True])
def test_rsa_signs_with_pkcs1_and_pss(hash_name: str, pss: bool) -> None:
    expect(by_key_kind("rsa2048", signature_hash=hash_name, pss=pss), GOOD)
    expect(by_key_kind("rsa2048", signature_hash=hash_name, pss=pss, break_signature=True), UNKNOWN, "does not verify")


@pytest.mark.parametrize(("kind", "pss"), [("rsa2048", False), ("rsa2048", True), ("p256", False)])
def test_good_under_sha1_counts_only_where_the_policy_allows_it(kind: str, pss: bool) -> None:
    expect(by_key_kind(kind, pss=pss, signature_hash="sha1"), UNKNOWN, "got a signature with sha1")
    lenient = Policy(algorithms=Algorithms.LEGACY)
    expect(by_key_kind(kind, pss=pss, signature_hash="sha1", policy=lenient), GOOD)


def test_revoked_under_sha1_counts() -> None:
    expect(by_key_kind("rsa2048", signature_hash="sha1", status="revoked"), REVOKED, "though got a signature with sha1")


def test_signature_by_a_kind_of_key_that_the_algorithm_does_not_name_does_not_count() -> None:
    authority, leaf = authority_with("p256")
    about = single(certificate=leaf, issuer=authority)
    rsa_named = response(about, signer=authority_with("rsa2048")[0], responder=authority)
    found = ask(rsa_named, certificate=leaf, issuers=(path_certificate(authority),))
    expect(found, UNKNOWN, "does not verify")
