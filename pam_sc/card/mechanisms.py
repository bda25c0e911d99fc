# SPDX-License-Identifier: LGPL-2.1-or-later
"""The signature mechanisms by their CKM_ names, as numbers and parameters for C_SignInit. No raw RSA, ever.

The names are those of pam_sc.decision.challenge.MECHANISMS; a test holds the two equal.
"""

from __future__ import annotations

from pam_sc.record import record


@record
class PssParameters:
    """CK_RSA_PKCS_PSS_PARAMS: hash (a CKM_), mask generation function (a CKG_), length of the salt."""

    hash: int
    mgf: int
    salt: int


@record
class Mechanism:
    """One CKM_ with its parameters."""

    number: int
    pss: PssParameters | None = None


_PSS_SHA256 = PssParameters(hash=0x250, mgf=2, salt=32)  # CKM_SHA256, CKG_MGF1_SHA256

MECHANISMS: dict[str, Mechanism] = {
    "CKM_RSA_PKCS": Mechanism(0x1),
    "CKM_RSA_PKCS_PSS": Mechanism(0xD, _PSS_SHA256),
    "CKM_SHA256_RSA_PKCS": Mechanism(0x40),
    "CKM_SHA256_RSA_PKCS_PSS": Mechanism(0x43, _PSS_SHA256),
    "CKM_ECDSA": Mechanism(0x1041),
    "CKM_ECDSA_SHA256": Mechanism(0x1044),
    "CKM_ECDSA_SHA384": Mechanism(0x1045),
    "CKM_ECDSA_SHA512": Mechanism(0x1046),
    "CKM_EDDSA": Mechanism(0x1057),
}
