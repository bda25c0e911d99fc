# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which hashes, sizes and curves each of the three choices lets count: every row beside its near-misses."""

from __future__ import annotations

import pytest

from pam_sc.decision.algorithms import curve_problem, dsa_problem, hash_problem, rsa_problem
from pam_sc.decision.policy import Algorithms

CURRENT, LEGACY, ANY = Algorithms.CURRENT, Algorithms.LEGACY, Algorithms.ANY


@pytest.mark.parametrize(
    ("name", "accepted_by"),
    [
        (None, {CURRENT, LEGACY, ANY}),
        ("sha224", {CURRENT, LEGACY, ANY}),
        ("sha256", {CURRENT, LEGACY, ANY}),
        ("sha512", {CURRENT, LEGACY, ANY}),
        ("sha3-256", {CURRENT, LEGACY, ANY}),
        ("sha1", {LEGACY, ANY}),
        ("md5", {ANY}),
        ("oid 1.2.840.113549.1.1.2", set()),
    ],
)
def test_hash_of_a_signature_counts_where_the_table_says_so(name: str | None, accepted_by: set[Algorithms]) -> None:
    assert {each for each in Algorithms if hash_problem(name, each) is None} == accepted_by


def test_hash_that_nobody_knows_counts_nowhere_but_in_test_vectors() -> None:
    assert {each for each in Algorithms if hash_problem("whirlpool", each) is None} == {ANY}


@pytest.mark.parametrize(
    ("bits", "accepted_by"),
    [
        (2048, {CURRENT, LEGACY, ANY}),
        (2047, {LEGACY, ANY}),
        (1024, {LEGACY, ANY}),
        (1023, {ANY}),
    ],
)
def test_rsa_key_counts_from_its_size_on(bits: int, accepted_by: set[Algorithms]) -> None:
    assert {each for each in Algorithms if rsa_problem(bits, each) is None} == accepted_by


@pytest.mark.parametrize(("bits", "accepted_by"), [(3072, {LEGACY, ANY}), (1024, {LEGACY, ANY}), (1023, {ANY})])
def test_dsa_counts_in_an_old_pki_only(bits: int, accepted_by: set[Algorithms]) -> None:
    assert {each for each in Algorithms if dsa_problem(bits, each) is None} == accepted_by


@pytest.mark.parametrize(
    ("curve", "accepted_by"),
    [
        ("secp256r1", {CURRENT, LEGACY, ANY}),
        ("secp521r1", {CURRENT, LEGACY, ANY}),
        ("brainpoolP256r1", {CURRENT, LEGACY, ANY}),
        ("secp256k1", {LEGACY, ANY}),
        ("secp224r1", {LEGACY, ANY}),
        ("secp192r1", {LEGACY, ANY}),
        ("sect571r1", {ANY}),
    ],
)
def test_curve_counts_where_the_table_says_so(curve: str, accepted_by: set[Algorithms]) -> None:
    assert {each for each in Algorithms if curve_problem(curve, each) is None} == accepted_by


def test_problem_says_what_was_found_and_what_was_expected() -> None:
    assert hash_problem("md5", LEGACY) == "got a signature with md5, expected SHA-1, SHA-2 or SHA-3"
    assert rsa_problem(1024, CURRENT) == "got RSA 1024, expected at least 2048 bits"
    assert dsa_problem(2048, CURRENT) == "got DSA 2048, expected RSA, EC or EdDSA"
    assert dsa_problem(512, LEGACY) == "got DSA 512, expected at least 1024 bits"
    assert curve_problem("secp224r1", CURRENT) == (
        "got a key on the curve secp224r1, expected one of brainpoolP256r1, brainpoolP384r1, brainpoolP512r1, "
        "secp256r1, secp384r1, secp521r1"
    )
