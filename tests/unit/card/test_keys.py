# SPDX-License-Identifier: LGPL-2.1-or-later
"""The public part of a key is read from its SubjectPublicKeyInfo as key objects have it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.card.constants import CKA_EC_POINT, CKA_MODULUS
from pam_sc.card.keys import public_part

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def spki(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_an_rsa_key_is_told_by_its_modulus() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    part = public_part(spki(key))
    assert part is not None
    assert part.attribute == CKA_MODULUS
    assert part.values == {key.public_numbers().n.to_bytes(256, "big")}


@pytest.mark.parametrize(("curve", "header"), [
    (ec.SECP256R1(), b"\x04\x41"), (ec.SECP384R1(), b"\x04\x61"), (ec.SECP521R1(), b"\x04\x81\x85"),
])
def test_an_ec_key_is_told_by_its_point_with_and_without_its_wrapping(curve: ec.EllipticCurve, header: bytes) -> None:
    key = ec.generate_private_key(curve).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    part = public_part(spki(key))
    assert part is not None
    assert part.attribute == CKA_EC_POINT
    assert part.values == {point, header + point}


def test_an_ed25519_key_is_told_by_its_point() -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    part = public_part(spki(key))
    assert part is not None
    assert part.values == {raw, b"\x04\x20" + raw}


@given(st.binary(max_size=64))
def test_what_is_no_key_is_none_and_never_an_exception(der: bytes) -> None:
    assert public_part(der) is None or der[:1] == b"\x30"


def test_a_key_that_is_cut_off_anywhere_is_none() -> None:
    whole = spki(rsa.generate_private_key(65537, 2048).public_key())
    assert all(public_part(whole[:end]) is None for end in range(len(whole)))


def test_a_key_with_bytes_after_it_is_none() -> None:
    assert public_part(spki(ec.generate_private_key(ec.SECP256R1()).public_key()) + b"\0") is None
