# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a certificate says about itself, read strictly, and whether that suits a login. Pure.

Reading never judges and never raises, whatever the bytes are. Judging looks at the certificate alone: whether anybody
trustworthy issued it is for the path, and whether it is revoked for the revocation step. The clock is a parameter.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from pam_sc.decision.algorithms import hash_problem, rsa_problem
from pam_sc.decision.card_report import Failure
from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import CertificateFacts, KeyKind, Unparsable
from pam_sc.decision.parsing import clean, name_text, parse_certificate, read_strictly
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason

T = TypeVar("T", bound=x509.ExtensionType)

CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
SMARTCARD_LOGON = "1.3.6.1.4.1.311.20.2.2"
ANY_PURPOSE = "2.5.29.37.0"
LOGIN_PURPOSES = frozenset({CLIENT_AUTH, SMARTCARD_LOGON, ANY_PURPOSE})

RSA_BITS_MAX = 8192
"""A signature has at most 1 KiB (proof.py)."""
_EXPONENT_BITS_MAX = 256
"""NIST SP 800-56B: e is odd and below 2^256."""

_CURVES = {"secp256r1": KeyKind.P256, "secp384r1": KeyKind.P384, "secp521r1": KeyKind.P521}

_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}

_NO_HASH = frozenset({"1.3.101.112", "1.3.101.113"})
"""Ed25519 and Ed448 (RFC 8410): the algorithm has no separate hash."""


def read_facts(der: bytes) -> CertificateFacts | Unparsable:
    """Return what the certificate says about itself, or Unparsable. Never raises, whatever the bytes are."""
    return read_strictly(lambda: _facts(parse_certificate(der), der))


def _facts(certificate: x509.Certificate, der: bytes) -> CertificateFacts:
    kind, bits, text, public_key_der = read_key(certificate)
    extensions = certificate.extensions
    constraints = _extension(extensions, x509.BasicConstraints)
    return CertificateFacts(
        subject=name_text(certificate.subject),
        issuer=name_text(certificate.issuer),
        serial_number=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_kind=kind,
        key_bits=bits,
        key_text=text,
        signature_hash=signature_hash_of(certificate),
        key_usage=_key_usage(extensions),
        extended_key_usage=_extended_key_usage(extensions),
        is_ca=constraints is not None and constraints.ca,
        sha256=sha256(der),
        public_key_der=public_key_der,
    )


def read_key(certificate: x509.Certificate) -> tuple[KeyKind | None, int, str, bytes]:
    """Return kind (None: no login knows it), bits, text for people and SubjectPublicKeyInfo (empty: unreadable)."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        return None, 0, f"a key that cannot be used: {clean(str(error), 100)}", b""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    match key:
        case rsa.RSAPublicKey():
            return _rsa_kind(key), key.key_size, _rsa_text(key), der
        case ec.EllipticCurvePublicKey():
            kind = _CURVES.get(key.curve.name)
            return kind, key.key_size, kind.value if kind else f"EC {key.curve.name}", der
        case ed25519.Ed25519PublicKey():
            return KeyKind.ED25519, 256, KeyKind.ED25519.value, der
        case ed448.Ed448PublicKey():
            return KeyKind.ED448, 456, KeyKind.ED448.value, der
        case dsa.DSAPublicKey():
            return None, key.key_size, f"DSA {key.key_size}", der
        case _:
            return None, 0, type(key).__name__, der


def _rsa_kind(key: rsa.RSAPublicKey) -> KeyKind | None:
    return KeyKind.RSA if is_sound(key) and key.key_size <= RSA_BITS_MAX else None


def is_sound(key: rsa.RSAPublicKey) -> bool:
    """Say whether modulus and public exponent are odd and the exponent is neither 1 nor absurdly large."""
    numbers = key.public_numbers()
    return numbers.n % 2 == 1 and numbers.e % 2 == 1 and 3 <= numbers.e < 1 << _EXPONENT_BITS_MAX


def _rsa_text(key: rsa.RSAPublicKey) -> str:
    return f"RSA {key.key_size}" if is_sound(key) else f"RSA {key.key_size} with an unsound modulus or public exponent"


def signature_hash_of(certificate: x509.Certificate | x509.CertificateRevocationList) -> str | None:
    """Return the hash of the certificate's own signature, None where its algorithm has none, "oid ..." if unknown."""
    oid = certificate.signature_algorithm_oid.dotted_string
    try:
        algorithm = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return f"oid {oid}"
    if algorithm is None:
        return None if oid in _NO_HASH else f"oid {oid}"
    return algorithm.name


def _extension(extensions: x509.Extensions, kind: type[T]) -> T | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_usage(extensions: x509.Extensions) -> frozenset[str] | None:
    usage = _extension(extensions, x509.KeyUsage)
    if usage is None:
        return None
    found = {rfc for python, rfc in _USAGES.items() if getattr(usage, python)}
    if usage.key_agreement:
        found |= {"encipherOnly"} if usage.encipher_only else set()
        found |= {"decipherOnly"} if usage.decipher_only else set()
    return frozenset(found)


def _extended_key_usage(extensions: x509.Extensions) -> frozenset[str] | None:
    usage = _extension(extensions, x509.ExtendedKeyUsage)
    return None if usage is None else frozenset(oid.dotted_string for oid in usage)


def judge_suitability(facts: CertificateFacts, policy: Policy, at: datetime.datetime) -> Failure | None:
    """Return None if the certificate itself suits a login at `at`, else the first rule it breaks and how."""
    rules: tuple[Callable[[], Failure | None], ...] = (
        lambda: _judge_validity(facts, at),
        lambda: _judge_key_usage(facts, policy),
        lambda: _judge_extended_key_usage(facts, policy.path.purposes),
        lambda: _judge_key(facts, policy),
        lambda: _judge_signature_hash(facts, policy),
    )
    for rule in rules:
        failure = rule()
        if failure is not None:
            return failure
    return None


def time_text(moment: datetime.datetime) -> str:
    """A time for people, in UTC, to the minute."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _judge_validity(facts: CertificateFacts, at: datetime.datetime) -> Failure | None:
    if at < facts.not_before:
        return Failure(Reason.CERTIFICATE_NOT_YET_VALID, f"valid from {time_text(facts.not_before)}")
    if at > facts.not_after:
        return Failure(Reason.CERTIFICATE_EXPIRED, f"expired on {time_text(facts.not_after)}")
    return None


def _judge_key_usage(facts: CertificateFacts, policy: Policy) -> Failure | None:
    if facts.is_ca and policy.path.any_leaf:
        return None
    if facts.is_ca:
        return Failure(
            Reason.KEY_USAGE_UNSUITABLE, "got the certificate of a certificate authority, expected a person's"
        )
    if facts.key_usage is not None and "digitalSignature" not in facts.key_usage:
        return Failure(Reason.KEY_USAGE_UNSUITABLE, f"got {_listed(facts.key_usage)}, expected digitalSignature")
    return None


def _judge_extended_key_usage(facts: CertificateFacts, wanted: frozenset[str] | None) -> Failure | None:
    found = facts.extended_key_usage
    if found is None or found & purposes_that_count(wanted):
        return None
    expected = f"clientAuth {CLIENT_AUTH}, smartcardLogon {SMARTCARD_LOGON} or anyExtendedKeyUsage {ANY_PURPOSE}"
    if wanted is not None:
        expected = f"{_listed(wanted)} or anyExtendedKeyUsage {ANY_PURPOSE}"
    return Failure(Reason.EXTENDED_KEY_USAGE_UNSUITABLE, f"got {_listed(found)}, expected {expected}")


def purposes_that_count(wanted: frozenset[str] | None) -> frozenset[str]:
    """Return of which extended key usages one is enough: a login's or the administrator's; anything stands for all."""
    return LOGIN_PURPOSES if wanted is None else wanted | {ANY_PURPOSE}


def _judge_key(facts: CertificateFacts, policy: Policy) -> Failure | None:
    usable = facts.key_kind is not None or policy.path.any_leaf
    if not usable or not facts.public_key_der:
        expected = ", ".join(kind.value for kind in KeyKind)
        return Failure(Reason.KEY_UNSUPPORTED, f"got {facts.key_text}, expected {expected}")
    weak = rsa_problem(facts.key_bits, policy.algorithms) if facts.key_kind is KeyKind.RSA else None
    return None if weak is None else Failure(Reason.KEY_TOO_WEAK, weak)


def _judge_signature_hash(facts: CertificateFacts, policy: Policy) -> Failure | None:
    weak = weak_hash(facts.signature_hash, policy)
    return None if weak is None else Failure(Reason.ALGORITHM_TOO_WEAK, weak)


def weak_hash(name: str | None, policy: Policy) -> str | None:
    """Return what is wrong with a signature's hash, None if nothing. A hash that nobody knows is wrong."""
    return hash_problem(name, policy.algorithms)


def _listed(values: frozenset[str]) -> str:
    return clean(", ".join(sorted(values)[:16])) or "none"
