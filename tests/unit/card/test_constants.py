# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our numbers of PKCS#11 are PyKCS11's, and our mechanisms are the decision's."""

import PyKCS11
import pytest

from pam_sc.card import ckr, constants
from pam_sc.card.mechanisms import MECHANISMS
from pam_sc.decision import challenge


@pytest.mark.parametrize("module", [constants, ckr])
def test_every_number_is_that_of_pykcs11(module: object) -> None:
    ours = {name: value for name, value in vars(module).items() if name.startswith(("CK", "CKR_")) and name != "CKR"}
    assert len(ours) > 10
    assert ours == {name: getattr(PyKCS11, name) for name in ours}


def test_the_mechanisms_are_those_that_the_verifier_may_name() -> None:
    assert set(MECHANISMS) == challenge.MECHANISMS


def test_the_mechanisms_have_the_numbers_of_pykcs11() -> None:
    assert {name: mechanism.number for name, mechanism in MECHANISMS.items()} == {
        name: getattr(PyKCS11, name) for name in MECHANISMS
    }


def test_pss_uses_sha256_with_a_salt_of_the_same_length() -> None:
    pss = {name: mechanism.pss for name, mechanism in MECHANISMS.items() if mechanism.pss is not None}
    assert set(pss) == {"CKM_RSA_PKCS_PSS", "CKM_SHA256_RSA_PKCS_PSS"}
    assert {(p.hash, p.mgf, p.salt) for p in pss.values()} == {(PyKCS11.CKM_SHA256, PyKCS11.CKG_MGF1_SHA256, 32)}


def test_raw_rsa_is_not_among_them() -> None:
    assert PyKCS11.CKM_RSA_X_509 not in {mechanism.number for mechanism in MECHANISMS.values()}
