# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `opensc`: the certificate itself, in a list of certificates."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.mappers.opensc import OpenscMapper, read_list
from tests.support.pki import CertificateAuthority
from tests.unit.mappers.homes import Homes, context

AUTHORITY = CertificateAuthority()
ISSUED, RENEWED = AUTHORITY.issue(), AUTHORITY.issue()
SUBJECT = read_subject(ISSUED.der)


def mapper(content: bytes) -> OpenscMapper:
    return OpenscMapper.from_table({}, context(Homes({"alice": content})))


def test_it_sees_the_hash_of_the_whole_certificate() -> None:
    assert mapper(b"").sees(SUBJECT) == (f"SHA-256 {ISSUED.certificate.fingerprint(hash_of()).hex()}",)


def hash_of() -> object:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def test_a_renewed_certificate_of_the_same_key_and_name_is_another_one() -> None:
    assert ISSUED.certificate.public_key() == RENEWED.certificate.public_key()
    assert ISSUED.certificate.subject == RENEWED.certificate.subject
    assert mapper(ISSUED.pem).claims(SUBJECT, "alice")
    assert not mapper(RENEWED.pem).claims(SUBJECT, "alice")


def test_a_list_in_der_is_no_list() -> None:
    assert not mapper(ISSUED.der).claims(SUBJECT, "alice")


def test_a_subject_without_a_certificate_is_in_no_list() -> None:
    empty = b"-----BEGIN CERTIFICATE----------END CERTIFICATE-----"
    assert list(read_list(empty)) == [b""]
    assert not mapper(empty).claims(Subject(facts=SUBJECT.facts), "alice")


@pytest.mark.parametrize("change", [lambda pem: pem.replace(b"\n", b"\r\n"), lambda pem: b"alice\n" + pem + b"bob\n",
                                    lambda pem: RENEWED.pem + pem, lambda pem: pem.replace(b"\n-----END", b"-----END")])
def test_line_ends_and_text_between_the_entries_do_not_matter(change: object) -> None:
    assert mapper(change(ISSUED.pem)).claims(SUBJECT, "alice")  # type: ignore[operator]


def test_it_says_which_entry_it_is_and_which_are_none() -> None:
    content = b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n" + ISSUED.pem + RENEWED.pem
    assert mapper(content).why(SUBJECT, "alice") == ("entry 1 is no certificate in PEM", "entry 2 is the certificate")
    assert mapper(RENEWED.pem).why(SUBJECT, "alice") == ("none of 1 entries is the certificate",)


@hypothesis.given(st.binary(), st.binary())
def test_any_bytes_around_it_never_make_another_certificate_this_one(before: bytes, after: bytes) -> None:
    assert not mapper(before + RENEWED.pem + after).claims(SUBJECT, "alice")


@hypothesis.given(st.binary().filter(lambda text: b"-----BEGIN" not in text), st.binary())
def test_any_bytes_around_it_leave_it_what_it_is(before: bytes, after: bytes) -> None:
    assert mapper(before + b"\n" + ISSUED.pem + after).claims(SUBJECT, "alice")
