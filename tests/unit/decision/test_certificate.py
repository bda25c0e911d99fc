# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates are read strictly and without raising; each rule of suitability has its own reason."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.certificate import judge_suitability, read_facts
from pam_sc.decision.evidence import CertificateFacts, KeyKind, Unparsable
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason
from pam_sc.record import replace
from tests.support.der import der_integer, tlv
from tests.support.pki import (
    ANY_PURPOSE,
    CLIENT_AUTH,
    DAY,
    SERVER_AUTH,
    SMARTCARD_LOGON,
    CertificateAuthority,
    now,
    rewrite,
    shared_key,
)

AT = now()
SECOND = datetime.timedelta(seconds=1)
AUTHORITY = CertificateAuthority(key=shared_key("rsa2048", 1))
GOOD = AUTHORITY.issue(common_name="alice")
RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")


def facts_of(**wishes: object) -> CertificateFacts:
    found = read_facts(AUTHORITY.issue(**wishes).der)
    assert isinstance(found, CertificateFacts)
    return found


def reason_of(facts: CertificateFacts, policy: Policy | None = None, at: datetime.datetime = AT) -> Reason | None:
    failure = judge_suitability(facts, policy or Policy(), at)
    return None if failure is None else failure.reason


def detail_of(facts: CertificateFacts, at: datetime.datetime = AT) -> str:
    failure = judge_suitability(facts, Policy(), at)
    assert failure is not None
    return failure.detail


def rsa_certificate(modulus: int, exponent: int) -> bytes:
    """A certificate whose key has these numbers, signed well."""
    numbers = tlv(0x30, der_integer(modulus) + der_integer(exponent))
    spki = tlv(0x30, RSA_ALGORITHM + tlv(0x03, b"\0" + numbers))
    return rewrite(GOOD.der, AUTHORITY.private_key, public_key=spki)


def modulus() -> int:
    return shared_key("rsa2048").private_numbers().public_numbers.n  # type: ignore[union-attr]


def test_facts_are_what_the_certificate_says() -> None:
    found = facts_of(common_name="alice", serial=77, extended_key_usage=(CLIENT_AUTH, SERVER_AUTH))
    assert found.subject == "CN=alice,O=Example"
    assert found.issuer == "CN=Test Root,O=Example"
    assert found.serial_number == 77
    assert found.key_usage == frozenset({"digitalSignature"})
    assert found.extended_key_usage == frozenset({CLIENT_AUTH, SERVER_AUTH})
    assert (found.key_kind, found.key_bits, found.key_text) == (KeyKind.RSA, 2048, "RSA 2048")
    assert found.signature_hash == "sha256"
    assert not found.is_ca
    assert len(found.sha256) == 32
    assert found.not_before < AT < found.not_after


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rsa2048", KeyKind.RSA),
        ("rsa3072", KeyKind.RSA),
        ("p256", KeyKind.P256),
        ("p384", KeyKind.P384),
        ("p521", KeyKind.P521),
        ("ed25519", KeyKind.ED25519),
        ("ed448", KeyKind.ED448),
    ],
)
def test_each_kind_of_key_of_a_login_is_suitable(kind: str, expected: KeyKind) -> None:
    found = facts_of(key=kind)
    assert found.key_kind is expected
    assert reason_of(found) is None


@pytest.mark.parametrize("kind", ["ed25519", "ed448"])
def test_signature_without_a_separate_hash_is_suitable(kind: str) -> None:
    found = read_facts(CertificateAuthority(key=kind).issue().der)
    assert isinstance(found, CertificateFacts)
    assert found.signature_hash is None
    assert reason_of(found) is None


def test_control_characters_of_a_subject_are_escaped() -> None:
    assert "\n" not in facts_of(common_name="a\nb\x1b[31m").subject


# ---------------------------------------------------------------- bytes that are no certificate


@pytest.mark.parametrize(
    "der",
    [b"", b"\x30", b"\x30\x80", b"\0" * 100, GOOD.der + b"\0", GOOD.der[:-1], b"\x30" * 10_000, GOOD.pem],
    ids=["empty", "half a header", "indefinite", "zeros", "trailing byte", "one byte short", "nested", "PEM"],
)
def test_bytes_that_are_no_certificate_are_unparsable(der: bytes) -> None:
    assert isinstance(read_facts(der), Unparsable)


@pytest.mark.parametrize("serial", [0, -1, -(2**100), 2**160])
def test_serial_number_that_the_standard_forbids_is_unparsable(serial: int) -> None:
    assert isinstance(read_facts(rewrite(GOOD.der, AUTHORITY.private_key, serial=serial)), Unparsable)


@pytest.mark.parametrize("serial", [1, 2**159, 2**160 - 1])
def test_serial_number_of_at_most_twenty_octets_is_read(serial: int) -> None:
    assert isinstance(read_facts(rewrite(GOOD.der, AUTHORITY.private_key, serial=serial)), CertificateFacts)


@pytest.mark.parametrize("version", [0, 1, 3, -1, b""])
def test_version_other_than_three_with_extensions_is_unparsable(version: int | bytes) -> None:
    assert isinstance(read_facts(rewrite(GOOD.der, AUTHORITY.private_key, version=version)), Unparsable)


def test_extension_that_occurs_twice_is_unparsable() -> None:
    subject_key, authority_key = bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d23")
    assert GOOD.der.count(subject_key) == GOOD.der.count(authority_key) == 1
    assert isinstance(read_facts(GOOD.der.replace(authority_key, subject_key)), Unparsable)


@settings(max_examples=300, deadline=None, database=None)
@given(st.data())
def test_no_mutation_makes_reading_raise(data: st.DataObject) -> None:
    der = bytearray(data.draw(st.sampled_from([GOOD.der, AUTHORITY.der])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(der) - 1))
        match data.draw(st.sampled_from(["set", "cut", "add"])):
            case "set":
                der[at] = data.draw(st.integers(0, 255))
            case "cut":
                del der[at : at + data.draw(st.integers(1, 8))]
            case _:
                der[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        if not der:
            break
    found = read_facts(bytes(der))
    if isinstance(found, CertificateFacts):
        judge_suitability(found, Policy(), AT)
    else:
        assert found.why


@settings(max_examples=100, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_reading_raise(der: bytes) -> None:
    assert isinstance(read_facts(der), Unparsable)


# ---------------------------------------------------------------- validity


def test_certificate_is_valid_from_the_first_second_to_the_last() -> None:
    found = facts_of(not_before=AT - DAY, not_after=AT + DAY)
    assert reason_of(found, at=AT - DAY) is None
    assert reason_of(found, at=AT + DAY) is None


def test_certificate_one_second_before_its_time_is_refused() -> None:
    found = facts_of(not_before=AT - DAY, not_after=AT + DAY)
    assert reason_of(found, at=AT - DAY - SECOND) is Reason.CERTIFICATE_NOT_YET_VALID


def test_certificate_one_second_past_its_time_is_refused() -> None:
    end = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
    found = facts_of(not_before=end - DAY, not_after=end)
    assert reason_of(found, at=end + SECOND) is Reason.CERTIFICATE_EXPIRED
    assert detail_of(found, at=end + SECOND) == "expired on 2026-01-02 03:04 UTC"


def test_certificate_is_refused_by_a_clock_at_1970() -> None:
    assert reason_of(facts_of(), at=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) is (
        Reason.CERTIFICATE_NOT_YET_VALID
    )


def test_certificate_without_a_known_end_is_suitable() -> None:
    assert reason_of(facts_of(not_after=datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC))) is None


# ---------------------------------------------------------------- usages


@pytest.mark.parametrize("usages", [None, ("digitalSignature",), ("digitalSignature", "keyEncipherment")])
def test_key_usage_that_allows_signatures_or_is_absent_is_suitable(usages: tuple[str, ...] | None) -> None:
    assert reason_of(facts_of(key_usage=usages)) is None


@pytest.mark.parametrize("usages", [("nonRepudiation",), ("keyEncipherment", "dataEncipherment"), ("keyAgreement",)])
def test_key_usage_without_digital_signature_is_refused(usages: tuple[str, ...]) -> None:
    found = facts_of(key_usage=usages)
    assert reason_of(found) is Reason.KEY_USAGE_UNSUITABLE
    assert detail_of(found) == f"got {', '.join(sorted(usages))}, expected digitalSignature"


def test_certificate_without_basic_constraints_is_a_person_s() -> None:
    found = facts_of(basic_constraints=False)
    assert not found.is_ca
    assert reason_of(found) is None


def test_certificate_of_an_authority_is_refused_as_a_person_s() -> None:
    found = facts_of(ca=True, key_usage=("digitalSignature", "keyCertSign"))
    assert reason_of(found) is Reason.KEY_USAGE_UNSUITABLE
    assert "certificate authority" in detail_of(found)


@pytest.mark.parametrize(
    "purposes",
    [None, (CLIENT_AUTH,), (SMARTCARD_LOGON,), (ANY_PURPOSE,), (SERVER_AUTH, SMARTCARD_LOGON)],
)
def test_extended_key_usage_for_a_login_or_absent_is_suitable(purposes: tuple[str, ...] | None) -> None:
    assert reason_of(facts_of(extended_key_usage=purposes)) is None


@pytest.mark.parametrize("purposes", [(SERVER_AUTH,), ("1.3.6.1.5.5.7.3.4",), ("2.5.29.37",), (CLIENT_AUTH + ".1",)])
def test_extended_key_usage_for_something_else_is_refused(purposes: tuple[str, ...]) -> None:
    found = facts_of(extended_key_usage=purposes)
    assert reason_of(found) is Reason.EXTENDED_KEY_USAGE_UNSUITABLE
    assert purposes[0] in detail_of(found)


# ---------------------------------------------------------------- keys and signatures


def test_rsa_key_one_bit_below_the_least_is_refused() -> None:
    found = facts_of()
    assert isinstance(found, CertificateFacts)
    assert reason_of(replace(found, key_bits=2048)) is None
    assert reason_of(replace(found, key_bits=2047)) is Reason.KEY_TOO_WEAK


def test_rsa_1024_is_refused() -> None:
    found = facts_of(key="rsa1024")
    assert reason_of(found) is Reason.KEY_TOO_WEAK
    assert detail_of(found) == "got RSA 1024, expected at least 2048 bits"


def test_curve_that_a_login_does_not_know_is_refused() -> None:
    found = facts_of(key="secp256k1")
    assert reason_of(found) is Reason.KEY_UNSUPPORTED
    assert "secp256k1" in detail_of(found)


@pytest.mark.parametrize("exponent", [1, 2, 4, 65536, 2**256 + 1])
def test_rsa_exponent_that_is_unsound_is_refused(exponent: int) -> None:
    found = read_facts(rsa_certificate(modulus(), exponent))
    assert isinstance(found, CertificateFacts)
    assert reason_of(found) is Reason.KEY_UNSUPPORTED


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**256 - 1])
def test_rsa_exponent_that_is_odd_and_at_least_three_is_suitable(exponent: int) -> None:
    found = read_facts(rsa_certificate(modulus(), exponent))
    assert isinstance(found, CertificateFacts)
    assert reason_of(found) is None


def test_even_rsa_modulus_is_refused() -> None:
    found = read_facts(rsa_certificate(modulus() + 1, 65537))
    assert isinstance(found, CertificateFacts)
    assert reason_of(found) is Reason.KEY_UNSUPPORTED


def test_rsa_key_whose_signature_would_be_too_long_is_refused() -> None:
    found = read_facts(rsa_certificate(2**8192 + 1, 65537))
    assert isinstance(found, CertificateFacts)
    assert reason_of(found) is Reason.KEY_UNSUPPORTED


def test_rsa_key_of_the_greatest_size_is_suitable() -> None:
    found = read_facts(rsa_certificate(2**8191 + 1, 65537))
    assert isinstance(found, CertificateFacts)
    assert reason_of(found) is None


def test_point_that_is_not_on_its_curve_is_refused() -> None:
    point = b"\x04" + b"\x01" * 64
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    spki = tlv(0x30, algorithm + tlv(0x03, b"\0" + point))
    found = read_facts(rewrite(GOOD.der, AUTHORITY.private_key, public_key=spki))
    assert isinstance(found, CertificateFacts)
    assert reason_of(found) is Reason.KEY_UNSUPPORTED


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_signature_with_a_broken_hash_is_refused(name: str) -> None:
    found = facts_of(signature_hash=name)
    assert found.signature_hash == name
    assert reason_of(found) is Reason.ALGORITHM_TOO_WEAK
    assert detail_of(found) == f"got a signature with {name}, expected SHA-2 or SHA-3"


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_signature_with_a_sound_hash_is_suitable(name: str) -> None:
    assert reason_of(facts_of(signature_hash=name)) is None


def test_signature_with_a_hash_that_nobody_knows_is_refused() -> None:
    assert reason_of(replace(facts_of(), signature_hash="oid 1.2.3.4")) is Reason.ALGORITHM_TOO_WEAK


def test_unknown_critical_extension_does_not_hide_the_other_facts() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    assert facts_of(extensions=[(unknown, True)]).key_usage == frozenset({"digitalSignature"})


def test_several_faults_are_told_in_the_order_of_the_rules() -> None:
    found = facts_of(key="rsa1024", key_usage=("nonRepudiation",), not_before=AT - 2 * DAY, not_after=AT - DAY)
    assert reason_of(found) is Reason.CERTIFICATE_EXPIRED
    assert reason_of(found, at=AT - DAY) is Reason.KEY_USAGE_UNSUITABLE
    assert reason_of(replace(found, key_usage=None), at=AT - DAY) is Reason.KEY_TOO_WEAK
