# SPDX-License-Identifier: LGPL-2.1-or-later
"""OCSP responses that somebody has changed, the request, and what the store is told of a response."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.decision.evidence import Situation, Unparsable
from pam_sc.errors import TrustError
from pam_sc.trust.ocsp import AnswerLifetime, answer_lifetime, build_ocsp_request, ocsp_key
from tests.support import ocsp_answer as answer
from tests.support.ocsp_answer import HOUR
from tests.support.pki import CertificateAuthority
from tests.unit.trust.ocsp_question import (
    AT,
    GOOD,
    ISSUERS,
    ISSUING,
    LEAF,
    NAMESAKE,
    NEXT,
    NONCE,
    REVOKED,
    ROOT,
    SINGLE,
    UNKNOWN,
    ask,
    path_certificate,
    response,
    single,
)

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
