# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which OCSP responses count for a certificate, and why the others do not; each rule beside its near-misses."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.decision.evidence import Situation, SourceAnswer, Unparsable
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules, RevocationSource
from pam_sc.errors import TrustError
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.ocsp import AnswerLifetime, answer_lifetime, ask_ocsp, build_ocsp_request, ocsp_key
from pam_sc.trust.sources import OcspMessage
from tests.support import ocsp_answer as answer
from tests.support.der import tlv
from tests.support.ocsp_answer import HOUR, NO_CHECK, OCSP_SIGNING, Response, Signer, Single, ocsp_response
from tests.support.pki import ANY_PURPOSE, CLIENT_AUTH, CertificateAuthority, Issued, name_of, now, shared_key

AT = now()
SECOND = datetime.timedelta(seconds=1)
GOOD, REVOKED, STALE, UNKNOWN = Situation.GOOD, Situation.REVOKED, Situation.STALE, Situation.UNKNOWN
NO_SOURCE, NOT_AT_HAND = Situation.NO_SOURCE, Situation.NOT_AT_HAND
REQUIRE, NAMED, PREFER = RevocationMode.REQUIRE, RevocationMode.NAMED, RevocationMode.PREFER
URL = "http://ocsp.example.test/"
NONCE, OTHER_NONCE = b"n" * 32, b"n" * 31 + b"o"

ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
NAMESAKE = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")
NEXT = ISSUING.issue(key="p256")
SINGLE = Single(certificate=LEAF, issuer=ISSUING, this_update=AT - HOUR, next_update=AT + HOUR)


def delegate(authority: CertificateAuthority = ISSUING, **wishes: object) -> Issued:
    """A responder's certificate as it should be, but for the wishes."""
    return authority.issue(**{
        "common_name": "Responder", "key": "p384", "extended_key_usage": (OCSP_SIGNING,), "extensions": (NO_CHECK,),
        **wishes,
    })


DELEGATE = delegate()


def path_certificate(of: Signer) -> PathCertificate:
    found = read_path_certificate(of.der)
    assert isinstance(found, PathCertificate), found
    return found


ISSUERS = (path_certificate(ISSUING), path_certificate(ROOT))


def single(**changes: object) -> Single:
    return dataclasses.replace(SINGLE, **changes)


def response(*singles: Single, **fields: object) -> bytes:
    """A good response about the leaf by the delegated responder, but for the fields."""
    return ocsp_response(Response(**{
        "singles": singles or (SINGLE,), "signer": DELEGATE, "produced_at": AT - HOUR, **fields,
    }))


def nobody_asks(signer: PathCertificate, issuers: tuple[PathCertificate, ...]) -> Situation:
    raise AssertionError(f"nobody should ask about {signer.text}")


def ask(
    *ders: bytes,
    nonce: bytes | None = None,
    mode: RevocationMode = REQUIRE,
    policy: Policy | None = None,
    responder: Signer | None = None,
    nonce_required: bool = False,
    judge_signer: Callable[[PathCertificate, tuple[PathCertificate, ...]], Situation] = nobody_asks,
    issuers: tuple[PathCertificate, ...] = ISSUERS,
    certificate: Signer = LEAF,
) -> SourceAnswer:
    return ask_ocsp(
        path_certificate(certificate),
        issuers,
        [OcspMessage(der=der, source=f"{URL}{index}", nonce=nonce) for index, der in enumerate(ders)],
        rules=RevocationRules(mode=mode),
        policy=policy or Policy(),
        at=AT,
        responder=None if responder is None else path_certificate(responder),
        nonce_required=nonce_required,
        judge_signer=judge_signer,
        named=True,
    )


def expect(found: SourceAnswer, situation: Situation, detail: str = "") -> None:
    assert found.kind is RevocationSource.OCSP
    assert found.situation is situation, found
    assert detail in found.detail, found


# ---------------------------------------------------------------- what a login sees


def test_good_answer_of_a_delegated_responder_is_good() -> None:
    found = ask(response())
    expect(found, GOOD, f"from '{URL}0' says: good as of ")
    assert (found.source, found.as_of, found.next_update) == (f"{URL}0", AT - HOUR, AT + HOUR)


def test_good_answer_of_the_issuer_is_good() -> None:
    expect(ask(response(signer=ISSUING)), GOOD)


def test_revoked_answer_is_revoked_with_its_reason() -> None:
    expect(ask(response(single(status="revoked", reason=1))), REVOKED, "(keyCompromise)")


def test_certificate_on_hold_is_revoked() -> None:
    expect(ask(response(single(status="revoked", reason=6))), REVOKED, "(certificateHold)")


def test_revocation_for_a_reason_that_does_not_exist_is_revoked() -> None:
    expect(ask(response(single(status="revoked", reason=7))), REVOKED, "revoked since")


def test_certificate_that_was_never_issued_is_revoked() -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    extended = (answer.EXTENDED_REVOKE, False, b"\x05\x00")
    der = response(single(status="revoked", reason=6, revoked_at=epoch), extensions=[extended])
    expect(ask(der), REVOKED, "since 1970-01-01")


def test_unknown_answer_is_unknown() -> None:
    expect(ask(response(single(status="unknown"))), UNKNOWN, "does not count: the responder does not know")


@pytest.mark.parametrize(("named", "situation"), [(True, NOT_AT_HAND), (False, NO_SOURCE)])
def test_without_an_answer_it_matters_whether_a_responder_is_named(named: bool, situation: Situation) -> None:
    found = ask_ocsp(
        path_certificate(LEAF), ISSUERS, [], rules=RevocationRules(), policy=Policy(), at=AT, responder=None,
        nonce_required=True, judge_signer=nobody_asks, named=named,
    )
    expect(found, situation)
    assert (found.source, found.as_of, found.next_update) == (None, None, None)


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (answer.MALFORMED_REQUEST, "found the request malformed"),
        (answer.INTERNAL_ERROR, "has an internal error"),
        (answer.TRY_LATER, "wants to be asked again later"),
        (answer.SIG_REQUIRED, "answers signed requests only"),
        (answer.UNAUTHORIZED, "does not answer for this certificate"),
        (4, "cannot be read"),
        (99, "cannot be read"),
    ],
)
def test_refusing_responder_leaves_it_unknown(status: int, detail: str) -> None:
    expect(ask(answer.ocsp_failure(status)), UNKNOWN, detail)


@pytest.mark.parametrize(
    ("der", "detail"),
    [
        (b"", "it is empty"),
        (b"\0", "it cannot be read"),
        (b"<html>no such page</html>", "it cannot be read"),
        (response() + b"\0", "it cannot be read"),
        (response()[:-1], "it cannot be read"),
        (LEAF.der, "it cannot be read"),
        (answer.ocsp_failure(0), "it cannot be read"),
        (b"\x30\x84\x7f\xff\xff\xff", "it cannot be read"),
        (b"\0" * ((1 << 20) + 1), "it has 1048577 bytes, expected at most 1048576"),
    ],
)
def test_bytes_that_are_no_response_leave_it_unknown(der: bytes, detail: str) -> None:
    expect(ask(der), UNKNOWN, detail)


def test_control_characters_of_a_url_do_not_reach_people() -> None:
    found = ask_ocsp(
        path_certificate(LEAF), ISSUERS, [OcspMessage(der=response(), source="http://a/\x1b[2J")],
        rules=RevocationRules(), policy=Policy(), at=AT, responder=None, nonce_required=False,
        judge_signer=nobody_asks, named=True,
    )
    assert "\x1b" not in found.detail
    assert found.situation is GOOD


def test_certificate_without_an_issuer_on_its_path_is_unknown() -> None:
    expect(ask(response(), issuers=()), UNKNOWN, "has no issuer on this path")


# ---------------------------------------------------------------- CertID


@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_certificate_is_found_under_every_hash(hash_name: str, status: str) -> None:
    expect(ask(response(single(hash_name=hash_name, status=status))), Situation(status))


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": NEXT},
        {"certificate": LEAF.serial + 1},
        {"certificate": -LEAF.serial},
        {"name_of": ROOT},
        {"key_of": NAMESAKE},
        {"issuer": NAMESAKE},
    ],
)
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_answer_counts_only_for_its_own_serial_issuer_name_and_issuer_key(
    changes: dict[str, object], hash_name: str, status: str
) -> None:
    found = ask(response(single(hash_name=hash_name, status=status, **changes)))
    expect(found, UNKNOWN, "it is about another certificate")


def test_cert_id_with_a_hash_that_is_no_choice_is_about_another_certificate() -> None:
    expect(ask(response(single(hash_name="md5"))), UNKNOWN)


def test_response_without_any_answer_is_about_another_certificate() -> None:
    expect(ask(ocsp_response(Response(singles=(), signer=DELEGATE))), UNKNOWN)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_ours_is_picked_among_the_answers_of_one_response(position: int, status: str) -> None:
    others = [single(certificate=NEXT, status="revoked"), single(certificate=LEAF.serial + 2, status="unknown")]
    others.insert(position, single(status=status))
    expect(ask(response(*others)), Situation(status))


def test_several_answers_none_of_which_is_ours_leave_it_unknown() -> None:
    der = response(single(certificate=NEXT), single(certificate=LEAF.serial + 2))
    expect(ask(der), UNKNOWN, "it is about another certificate")


def test_foreign_answer_under_an_unknown_hash_does_not_hide_ours() -> None:
    expect(ask(response(single(certificate=NEXT, hash_name="md5"), SINGLE)), GOOD)


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_answers_about_it_in_one_response_the_one_that_refuses_counts(swap: bool) -> None:
    both = [single(hash_name="sha256"), single(status="revoked")]
    expect(ask(response(*(reversed(both) if swap else both))), REVOKED)


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
        ({"key": "rsa1024"}, UNKNOWN, "got a key of 1024 bits, expected at least 2048"),
        ({"key": "p192"}, UNKNOWN, "got a curve of 192 bits"),
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
    lenient = Policy(weak_hashes=frozenset())
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
        ({"key": "rsa1024"}, UNKNOWN, "got a key of 1024 bits"),
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
    lenient = Policy(weak_hashes=frozenset())
    expect(by_key_kind(kind, pss=pss, signature_hash="sha1", policy=lenient), GOOD)


def test_revoked_under_sha1_counts() -> None:
    expect(by_key_kind("rsa2048", signature_hash="sha1", status="revoked"), REVOKED, "though got a signature with sha1")


def test_signature_by_a_kind_of_key_that_the_algorithm_does_not_name_does_not_count() -> None:
    authority, leaf = authority_with("p256")
    about = single(certificate=leaf, issuer=authority)
    rsa_named = response(about, signer=authority_with("rsa2048")[0], responder=authority)
    found = ask(rsa_named, certificate=leaf, issuers=(path_certificate(authority),))
    expect(found, UNKNOWN, "does not verify")


# ---------------------------------------------------------------- nonce


@pytest.mark.parametrize(
    ("sent", "found", "required", "situation", "detail"),
    [
        (NONCE, NONCE, True, GOOD, ""),
        (NONCE, None, False, GOOD, ""),
        (NONCE, None, True, UNKNOWN, "it does not repeat the nonce that was sent"),
        (NONCE, OTHER_NONCE, False, UNKNOWN, "its nonce is not the one that was sent"),
        (NONCE, NONCE[:-1], False, UNKNOWN, "its nonce is not the one that was sent"),
        (NONCE, b"", False, UNKNOWN, "its nonce is not the one that was sent"),
        (None, OTHER_NONCE, True, GOOD, ""),
        (None, None, True, GOOD, ""),
    ],
)
def test_nonce_is_looked_at_where_one_was_sent(
    sent: bytes | None, found: bytes | None, required: bool, situation: Situation, detail: str
) -> None:
    expect(ask(response(nonce=found), nonce=sent, nonce_required=required), situation, detail)


def test_answer_without_next_update_counts_with_its_nonce_and_not_from_the_store() -> None:
    der = response(single(next_update=None), nonce=NONCE)
    expect(ask(der, nonce=NONCE), GOOD)
    expect(ask(der), STALE, "it has no nextUpdate")


# ---------------------------------------------------------------- times


def test_stale_and_future_answers_do_not_count() -> None:
    minutes = datetime.timedelta(minutes=6)
    expect(ask(response(single(next_update=AT - minutes))), STALE, "does not count: it was to be renewed by")
    expect(ask(response(single(this_update=AT + minutes))), UNKNOWN, "its thisUpdate is")
    expect(ask(response(produced_at=AT + minutes)), UNKNOWN, "its producedAt is")
    expect(ask(response(single(next_update=AT - minutes, status="revoked"))), REVOKED, "though it was to be renewed")


# ---------------------------------------------------------------- extensions


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_critical_unknown_extension_of_the_response_rules_it_out(critical: bool, status: str) -> None:
    extension = (answer.UNKNOWN_EXTENSION, critical, b"\x05\x00")
    found = ask(response(single(status=status), extensions=[extension]))
    expect(found, UNKNOWN if critical else Situation(status), answer.UNKNOWN_EXTENSION if critical else "")


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("status", ["good", "revoked"])
@pytest.mark.parametrize("others", [0, 1])
def test_critical_unknown_extension_of_our_answer_rules_it_out(critical: bool, status: str, others: int) -> None:
    extension = (answer.UNKNOWN_EXTENSION, critical, b"\x05\x00")
    found = ask(response(single(status=status, extensions=[extension]), *[single(certificate=NEXT)] * others))
    expect(found, UNKNOWN if critical else Situation(status), "its answer about the certificate" if critical else "")


@pytest.mark.parametrize("status", ["good", "revoked"])
def test_critical_unknown_extension_of_another_answer_does_no_harm(status: str) -> None:
    extension = (answer.UNKNOWN_EXTENSION, True, b"\x05\x00")
    expect(ask(response(single(certificate=NEXT, extensions=[extension]), single(status=status))), Situation(status))


@pytest.mark.parametrize("next_update", [None, AT + HOUR])
def test_critical_extension_is_found_with_and_without_next_update(next_update: datetime.datetime | None) -> None:
    extension = (answer.UNKNOWN_EXTENSION, True, b"\x05\x00")
    der = response(single(next_update=next_update, extensions=[extension]), nonce=NONCE)
    expect(ask(der, nonce=NONCE), UNKNOWN, "its answer about the certificate")


def test_critical_extensions_that_are_known_do_no_harm() -> None:
    time = tlv(0x18, b"20200101000000Z")
    cutoff, invalidity = ("1.3.6.1.5.5.7.48.1.6", True, time), ("2.5.29.24", True, time)
    expect(ask(response(single(extensions=[cutoff, invalidity]))), GOOD)
    nonce = (answer.NONCE, True, tlv(0x04, NONCE))
    expect(ask(response(extensions=[nonce, (answer.EXTENDED_REVOKE, True, b"\x05\x00")]), nonce=NONCE), GOOD)


def test_certificate_issuer_of_another_authority_rules_an_answer_out() -> None:
    other = tlv(0x30, tlv(0xA4, name_of("Elsewhere").public_bytes()))
    expect(ask(response(single(extensions=[("2.5.29.29", True, other)]))), UNKNOWN, "critical extension")


# ---------------------------------------------------------------- several messages


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "situation", "speaks"),
    [
        (response(single(this_update=AT - HOUR + SECOND)), response(single(status="revoked")), GOOD, 0),
        (response(single(this_update=AT - HOUR - SECOND)), response(single(status="revoked")), REVOKED, 1),
        (response(), response(single(status="revoked")), REVOKED, 1),
        (response(), response(single(status="unknown", this_update=AT)), GOOD, 0),
        (response(), answer.ocsp_failure(answer.TRY_LATER), GOOD, 0),
        (response(), response(single(status="revoked", this_update=AT), break_signature=True), GOOD, 0),
        (response(single(status="revoked")), response(single(this_update=AT), break_signature=True), REVOKED, 0),
        (response(single(next_update=AT - HOUR)), b"", STALE, 0),
        (response(), b"garbage", GOOD, 0),
    ],
)
def test_newest_definite_genuine_answer_speaks(
    one: bytes, other: bytes, situation: Situation, speaks: int, swap: bool
) -> None:
    found = ask(*((other, one) if swap else (one, other)))
    expect(found, situation)
    assert found.source == f"{URL}{1 - speaks if swap else speaks}"


def test_where_none_counts_each_says_why() -> None:
    found = ask(b"", answer.ocsp_failure(answer.TRY_LATER), response(single(certificate=NEXT)))
    expect(found, UNKNOWN, f"from '{URL}0' does not count: it is empty; ")
    assert "asked again later; " in found.detail
    assert found.detail.endswith("it is about another certificate")


# ---------------------------------------------------------------- hostile bytes

BOTH = {"good": response(), "revoked": response(single(status="revoked", reason=1))}


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_change_to_what_is_signed_is_ever_good(data: st.DataObject) -> None:
    der = BOTH["good"]
    signed = answer.response_data_of(der)
    start = der.index(signed)
    at = start + data.draw(st.integers(0, len(signed) - 1))
    changed = der[:at] + bytes([der[at] ^ data.draw(st.integers(1, 255))]) + der[at + 1:]
    assert ask(changed).situation not in (GOOD, REVOKED)


def test_no_flipped_bit_of_what_is_signed_is_ever_good_or_revoked() -> None:
    der = BOTH["revoked"]
    signed = answer.response_data_of(der)
    start = der.index(signed)
    for at in range(start, start + len(signed)):
        changed = der[:at] + bytes([der[at] ^ 1]) + der[at + 1:]
        assert ask(changed).situation not in (GOOD, REVOKED), at


@given(st.sampled_from(sorted(BOTH)), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_change_anywhere_turns_one_answer_into_the_other(status: str, data: st.DataObject) -> None:
    der = BOTH[status]
    begin = data.draw(st.integers(0, len(der)))
    end = data.draw(st.integers(begin, min(len(der), begin + 20)))
    changed = der[:begin] + data.draw(st.binary(max_size=20)) + der[end:]
    assert ask(changed).situation in (Situation(status), UNKNOWN)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything(der: bytes) -> None:
    assert ask(der).situation is UNKNOWN
    assert isinstance(answer_lifetime(der, path_certificate(LEAF), ISSUERS[0]), Unparsable)


# ---------------------------------------------------------------- request, key, lifetime


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize("nonce", [NONCE, None])
def test_request_names_the_certificate_and_carries_the_nonce(hash_name: str, nonce: bytes | None) -> None:
    request = ocsp.load_der_ocsp_request(build_ocsp_request(path_certificate(LEAF), ISSUERS[0], nonce, hash_name))
    expected = ocsp.OCSPRequestBuilder().add_certificate(
        LEAF.certificate, ISSUING.certificate, {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}[hash_name]
    ).build()
    assert request.serial_number == LEAF.serial
    assert request.hash_algorithm.name == hash_name
    assert (request.issuer_name_hash, request.issuer_key_hash) == (
        expected.issuer_name_hash, expected.issuer_key_hash
    )
    assert [each.value.nonce for each in request.extensions] == ([] if nonce is None else [NONCE])


@pytest.mark.parametrize("nonce", [b"", b"n" * 31, b"n" * 33])
def test_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    with pytest.raises(TrustError, match=f"got a nonce of {len(nonce)} bytes, expected 32"):
        build_ocsp_request(path_certificate(LEAF), ISSUERS[0], nonce)


def test_cert_id_hash_that_is_no_choice_is_refused() -> None:
    with pytest.raises(TrustError, match="got hash 'md5', expected one of sha1, sha256, sha384, sha512"):
        build_ocsp_request(path_certificate(LEAF), ISSUERS[0], None, "md5")


def test_key_of_an_answer_is_a_safe_file_name_and_differs_by_serial_name_and_key() -> None:
    key = ocsp_key(ISSUERS[0], LEAF.serial)
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")
    renamed = CertificateAuthority("Issuing 2", key=ISSUING.private_key)
    others = [
        ocsp_key(ISSUERS[0], LEAF.serial + 1),
        ocsp_key(path_certificate(NAMESAKE), LEAF.serial),
        ocsp_key(path_certificate(renamed), LEAF.serial),
    ]
    assert len({key, *others}) == 4


def test_key_of_an_answer_outlives_the_renewal_of_its_authority() -> None:
    renewed = ROOT.subordinate("Issuing", key=ISSUING.private_key)
    assert renewed.der != ISSUING.der
    assert ocsp_key(path_certificate(renewed), LEAF.serial) == ocsp_key(ISSUERS[0], LEAF.serial)


def lifetime(der: bytes) -> AnswerLifetime | Unparsable:
    return answer_lifetime(der, path_certificate(LEAF), ISSUERS[0])


def test_lifetime_is_that_of_the_newest_answer_about_the_certificate() -> None:
    older = single(this_update=AT - 2 * HOUR, next_update=AT + 9 * HOUR)
    other = single(certificate=NEXT, next_update=AT + 5 * HOUR)
    assert lifetime(response(older, SINGLE, other)) == AnswerLifetime(
        key=ocsp_key(ISSUERS[0], LEAF.serial), serial=LEAF.serial, this_update=AT - HOUR, next_update=AT + HOUR,
        produced_at=AT - HOUR,
    )


def test_lifetime_without_next_update_has_no_end() -> None:
    found = lifetime(response(single(next_update=None)))
    assert isinstance(found, AnswerLifetime)
    assert found.next_update is None


@pytest.mark.parametrize("der", [b"", response(single(certificate=NEXT)), answer.ocsp_failure(answer.TRY_LATER)])
def test_what_never_answers_has_no_lifetime(der: bytes) -> None:
    assert isinstance(lifetime(der), Unparsable)


def test_nothing_of_ocsp_is_imported_before_there_is_something_to_look_at() -> None:
    code = "import sys, pam_sc.trust.ocsp; sys.exit('cryptography.x509.ocsp' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
