# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `openssl ocsp` says, asked over HTTP on 127.0.0.1, and what every bad answer of a responder comes to."""

from __future__ import annotations

import datetime
import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_sc.decision.evidence import Situation, SourceAnswer
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.ocsp import ask_ocsp, build_ocsp_request
from pam_sc.trust.sources import OcspMessage
from tests.support.ocsp_responder import REASONS, Answer, OcspResponder
from tests.support.pki import CertificateAuthority, now

ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")
GOOD, REVOKED, STALE, UNKNOWN = Situation.GOOD, Situation.REVOKED, Situation.STALE, Situation.UNKNOWN
OPENSSL = (Answer.DELEGATED, Answer.CA_SIGNED)


def path_certificate(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate)
    return found


ISSUERS = (path_certificate(ISSUING.der), path_certificate(ROOT.der))


@pytest.fixture
def responder(tmp_path: Path) -> Iterator[OcspResponder]:
    """A responder of the issuing authority."""
    with OcspResponder(ISSUING, tmp_path / "ocsp") as made:
        yield made


def connect(responder: OcspResponder, timeout_s: float = 20) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", responder.port, timeout=timeout_s)


def post(responder: OcspResponder, body: bytes) -> http.client.HTTPResponse:
    connection = connect(responder)
    connection.request("POST", "/", body, {"Content-Type": "application/ocsp-request"})
    return connection.getresponse()


def fetched(responder: OcspResponder, nonce: bytes | None, hash_name: str, der: bytes = LEAF.der) -> bytes:
    response = post(responder, build_ocsp_request(path_certificate(der), ISSUERS[0], nonce, hash_name))
    with response:
        return response.read()


def ask(
    responder: OcspResponder, answer: Answer = Answer.DELEGATED, *, hash_name: str = "sha1",
    signer: Situation = Situation.NO_SOURCE, nonce_required: bool = True, at: datetime.datetime | None = None,
) -> SourceAnswer:
    """Ask about the leaf with a fresh nonce, and judge what comes."""
    responder.answer = answer
    nonce = os.urandom(32)
    message = OcspMessage(der=fetched(responder, nonce, hash_name), source=responder.url, nonce=nonce)
    return ask_ocsp(
        path_certificate(LEAF.der), ISSUERS, [message], rules=RevocationRules(mode=RevocationMode.REQUIRE),
        policy=Policy(), at=at or now(), responder=None, nonce_required=nonce_required, named=True,
        judge_signer=lambda *_: signer,
    )


def expect(found: SourceAnswer, situation: Situation, detail: str = "") -> None:
    assert found.situation is situation, found
    assert detail in found.detail, found


# ---------------------------------------------------------------- what openssl says


@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("answer", OPENSSL)
def test_openssl_says_good_and_repeats_the_nonce(responder: OcspResponder, answer: Answer, hash_name: str) -> None:
    found = ask(responder, answer, hash_name=hash_name)
    expect(found, GOOD, f"from '{responder.url}' says: good as of")
    assert found.next_update is not None
    assert responder.asked == 1


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize("answer", OPENSSL)
@pytest.mark.parametrize("reason", list(REASONS))
def test_openssl_says_revoked_with_its_reason(
    responder: OcspResponder, answer: Answer, hash_name: str, reason: str
) -> None:
    responder.revoke(LEAF, reason)
    expect(ask(responder, answer, hash_name=hash_name), REVOKED, f"({reason.replace('CAC', 'cAC')})")


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize("answer", OPENSSL)
def test_openssl_says_unknown(responder: OcspResponder, answer: Answer, hash_name: str) -> None:
    responder.forget(LEAF)
    expect(ask(responder, answer, hash_name=hash_name), UNKNOWN, "the responder does not know the certificate")


@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_with_a_bad_signature_says_nothing(responder: OcspResponder, revoked: bool) -> None:
    if revoked:
        responder.revoke(LEAF)
    expect(ask(responder, Answer.BAD_SIGNATURE), UNKNOWN, "its signature does not verify with the key of")


def test_openssl_answer_is_stale_after_its_day(responder: OcspResponder) -> None:
    hours = datetime.timedelta(hours=1)
    expect(ask(responder, at=now() + 23 * hours), GOOD)
    expect(ask(responder, at=now() + 25 * hours), STALE, "it was to be renewed by")
    expect(ask(responder, at=now() - hours), UNKNOWN, "it is from the future")


def test_certificate_is_good_again_after_a_hold(responder: OcspResponder) -> None:
    responder.revoke(LEAF, "certificateHold")
    expect(ask(responder), REVOKED, "(certificateHold)")
    responder.reinstate(LEAF)
    expect(ask(responder), GOOD)


def test_answer_about_the_next_certificate_is_not_about_this_one(responder: OcspResponder) -> None:
    other = ISSUING.issue(key="p256")
    message = OcspMessage(der=fetched(responder, None, "sha1", other.der), source=responder.url)
    found = ask_ocsp(
        path_certificate(LEAF.der), ISSUERS, [message], rules=RevocationRules(), policy=Policy(), at=now(),
        responder=None, nonce_required=False, named=True, judge_signer=lambda *_: GOOD,
    )
    expect(found, UNKNOWN, "it is about another certificate")


# ---------------------------------------------------------------- every bad answer


@pytest.mark.parametrize(
    ("answer", "situation", "detail"),
    [
        (Answer.WRITTEN, GOOD, ""),
        (Answer.STALE, STALE, "it was to be renewed by"),
        (Answer.FUTURE, UNKNOWN, "it is from the future"),
        (Answer.UNDATED, GOOD, ""),
        (Answer.UNKNOWN, UNKNOWN, "does not know the certificate"),
        (Answer.WRONG_ISSUER, UNKNOWN, "it is about another certificate"),
        (Answer.WRONG_SIGNER, UNKNOWN, "it is not issued by the certificate's issuer"),
        (Answer.REPLAYED, UNKNOWN, "its nonce is not the one that was sent"),
        (Answer.NO_NONCE, UNKNOWN, "it does not repeat the nonce"),
        (Answer.TRY_LATER, UNKNOWN, "asked again later"),
        (Answer.UNAUTHORIZED, UNKNOWN, "does not answer for this certificate"),
        (Answer.INTERNAL_ERROR, UNKNOWN, "internal error"),
        (Answer.GARBAGE, UNKNOWN, "it cannot be read"),
        (Answer.EMPTY, UNKNOWN, "it is empty"),
        (Answer.WRONG_CONTENT_TYPE, GOOD, ""),
    ],
)
def test_each_bad_answer_has_its_reason(
    responder: OcspResponder, answer: Answer, situation: Situation, detail: str
) -> None:
    expect(ask(responder, answer), situation, detail)


@pytest.mark.parametrize(
    ("answer", "signer", "situation", "detail"),
    [
        (Answer.CHECKED_SIGNER, GOOD, GOOD, ""),
        (Answer.CHECKED_SIGNER, Situation.NOT_AT_HAND, UNKNOWN, "is not known (not at hand)"),
        (Answer.REVOKED_SIGNER, REVOKED, UNKNOWN, "is revoked"),
    ],
)
def test_signer_without_nocheck_counts_if_it_is_good(
    responder: OcspResponder, answer: Answer, signer: Situation, situation: Situation, detail: str
) -> None:
    expect(ask(responder, answer, signer=signer), situation, detail)


def test_written_answers_know_who_is_revoked(responder: OcspResponder) -> None:
    responder.revoke(LEAF, "superseded")
    expect(ask(responder, Answer.WRITTEN), REVOKED, "(superseded)")
    expect(ask(responder, Answer.STALE), REVOKED, "though it was to be renewed by")


# ---------------------------------------------------------------- the responder for tests itself


def test_responder_serves_files_and_counts(responder: OcspResponder) -> None:
    url = responder.serve("/ca.crl", b"a CRL", "application/pkix-crl", ETag='"1"')
    assert url == f"{responder.url}ca.crl"
    for headers, expected in (({}, (200, b"a CRL")), ({"If-None-Match": '"1"'}, (304, b"")),
                              ({"If-None-Match": '"0"'}, (200, b"a CRL"))):
        connection = connect(responder)
        connection.request("GET", "/ca.crl", headers=headers)
        with connection.getresponse() as response:
            assert (response.status, response.read()) == expected
    assert (responder.fetched("ca.crl"), responder.asked, len(responder.requests)) == (3, 0, 3)


def test_responder_knows_nothing_else(responder: OcspResponder) -> None:
    connection = connect(responder)
    connection.request("GET", "/other.crl")
    with connection.getresponse() as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("answer", "status", "location"),
    [
        (Answer.SERVER_ERROR, 500, None),
        (Answer.REDIRECT_TO_FILE, 302, "file:///etc/passwd"),
        (Answer.REDIRECT_TO_SELF, 302, "{url}"),
    ],
)
def test_responder_answers_as_http_can_go_wrong(
    responder: OcspResponder, answer: Answer, status: int, location: str | None
) -> None:
    responder.answer = answer
    url = responder.misbehave("ca.crl", answer)
    connection = connect(responder)
    connection.request("GET", "/ca.crl")
    for response, here in ((post(responder, b"anything"), responder.url), (connection.getresponse(), url)):
        with response:
            expected = location.format(url=here) if location is not None else None
            assert (response.status, response.getheader("Location")) == (status, expected)


def test_responder_that_hangs_up_says_nothing(responder: OcspResponder) -> None:
    responder.answer = Answer.HANG_UP
    with pytest.raises(http.client.RemoteDisconnected):
        post(responder, b"anything")


@pytest.mark.parametrize("answer", [Answer.HUGE, Answer.ENDLESS])
def test_huge_answer_is_huge(responder: OcspResponder, answer: Answer) -> None:
    responder.answer = answer
    with post(responder, b"anything") as response:
        assert sum(len(part) for part in iter(lambda: response.read(1 << 20), b"")) == 100 << 20


def test_slow_answer_comes_byte_by_byte(responder: OcspResponder) -> None:
    responder.answer = Answer.SLOW
    with post(responder, build_ocsp_request(path_certificate(LEAF.der), ISSUERS[0], None)) as response:
        assert int(response.getheader("Content-Length", "0")) > 300
        assert response.read(1) == b"\x30"


def test_silent_responder_ends_with_the_test(tmp_path: Path) -> None:
    with OcspResponder(ISSUING, tmp_path / "ocsp", Answer.SILENT) as responder:
        connection = connect(responder)
        connection.request("POST", "/", b"anything")
        responder.wait_for_requests(1)
        assert responder.asked == 1
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    connection.close()
