# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSL's X509_STORE through pyOpenSSL: validates one given path, with or without CRLs, under exactly one anchor.

Nothing else is trusted and no other path is accepted than the one that was given. Purpose checks are not OpenSSL's
but ours (decision/certificate.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from OpenSSL import crypto

from pam_sc.record import record

OK = 0
UNABLE_TO_GET_CRL = 3
CRL_SIGNATURE_FAILURE = 8
CRL_NOT_YET_VALID = 11
CRL_HAS_EXPIRED = 12
CERT_REVOKED = 23
CRL_ISSUER_NOT_FOUND = 33
CRL_SIGN_NOT_ALLOWED = 35
CRL_UNKNOWN_CRITICAL = 36
CRL_OTHER_SCOPE = 44
OTHER_PATH = -1
UNUSABLE = -2

USE_DELTAS = 0x2000
NO_CHECK_TIME = 0x200000
CRL_CHECK = crypto.X509StoreFlags.CRL_CHECK
STRICT = crypto.X509StoreFlags.X509_STRICT
"""Every rule of RFC 5280 that OpenSSL knows."""
PARTIAL_CHAIN = crypto.X509StoreFlags.PARTIAL_CHAIN
"""An anchor need not be self-signed: which certificates are anchors is decided in anchors.py alone."""


@record
class OpenSslAnswer:
    """X509_V_ERR_* (0: valid), the place in the path that it is about, and OpenSSL's words."""

    code: int
    depth: int = 0
    text: str = ""


def ask_openssl(
    path: Sequence[bytes],
    at: datetime.datetime,
    *,
    strict: bool = True,
    flags: int = 0,
    crls: Sequence[x509.CertificateRevocationList] = (),
) -> OpenSslAnswer:
    """Validate the path (leaf first, anchor last) at a time. Never raises: what OpenSSL cannot take is UNUSABLE."""
    try:
        certificates = [crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in path]
        store = _store(certificates[-1], at, flags | (STRICT if strict else 0))
        for crl in crls:
            store.add_crl(crl)
        chain = crypto.X509StoreContext(store, certificates[0], certificates[1:-1]).get_verified_chain()
        found = [crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in chain]
    except crypto.X509StoreContextError as error:
        return OpenSslAnswer(int(error.errors[0]), int(error.errors[1]), str(error.errors[2]))
    except (crypto.Error, ValueError) as error:
        return OpenSslAnswer(UNUSABLE, 0, f"OpenSSL cannot use it: {error!r:.200}")
    if found != list(path):
        return OpenSslAnswer(OTHER_PATH, 0, "OpenSSL found another path than the one asked for")
    return OpenSslAnswer(OK)


def _store(anchor: crypto.X509, at: datetime.datetime, flags: int) -> crypto.X509Store:
    store = crypto.X509Store()
    store.add_cert(anchor)
    store.set_time(at.astimezone(datetime.UTC))
    store.set_flags(PARTIAL_CHAIN | flags)
    return store


def is_certificate(der: bytes) -> bool:
    """Say whether OpenSSL takes it for a certificate, usable or not. Never raises."""
    try:
        crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except (crypto.Error, ValueError):
        return False
    return True
