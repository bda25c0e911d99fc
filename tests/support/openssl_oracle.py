# SPDX-License-Identifier: LGPL-2.1-or-later
"""What OpenSSL's own path validation says, with its own CRL checking: as a library and as the command.

The library has CRLs only in a store; the command hands them over with the question, which is another way through
OpenSSL's code.
"""

from __future__ import annotations

import datetime
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from OpenSSL import crypto

from tests.support.pki import to_pem

_EXTENDED_CRL_SUPPORT, _USE_DELTAS = 0x1000, 0x2000
_FLAGS = crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.X509_STRICT | _EXTENDED_CRL_SUPPORT | _USE_DELTAS


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSslQuestion:
    """One certificate, its anchor, and what else is at hand, all DER."""

    leaf: bytes = field(repr=False)
    anchor: bytes = field(repr=False)
    others: Sequence[bytes] = field(repr=False)
    crls: Sequence[bytes] = field(repr=False)
    at: datetime.datetime
    check_all: bool = True
    """CRL_CHECK_ALL: the revocation of everybody on the path, and on the paths of those who sign CRLs."""


def ask_library(asked: OpenSslQuestion) -> str | None:
    """Why the library refuses, None if it does not."""
    store = crypto.X509Store()
    store.add_cert(_certificate(asked.anchor))
    store.set_time(asked.at)
    store.set_flags(_FLAGS | (crypto.X509StoreFlags.CRL_CHECK_ALL if asked.check_all else 0))
    for der in asked.crls:
        store.add_crl(x509.load_der_x509_crl(der))
    try:
        crypto.X509StoreContext(
            store, _certificate(asked.leaf), [_certificate(der) for der in asked.others]
        ).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error.errors)
    return None


def _certificate(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def ask_command(asked: OpenSslQuestion, *options: str) -> str | None:
    """Why `openssl verify` refuses, None if it does not."""
    files = {
        "-CAfile": [to_pem(asked.anchor, "CERTIFICATE")],
        "-untrusted": [to_pem(der, "CERTIFICATE") for der in asked.others],
        "-CRLfile": [to_pem(der, "X509 CRL") for der in asked.crls],
    }
    with tempfile.TemporaryDirectory() as folder:
        command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-x509_strict", "-extended_crl", "-use_deltas",
                   "-crl_check_all" if asked.check_all else "-crl_check",
                   "-attime", str(int(asked.at.timestamp())), *options]  # fmt: skip
        for option, found in files.items():
            if found:
                (Path(folder) / option).write_bytes(b"".join(found))
                command += [option, f"{folder}/{option}"]
        (Path(folder) / "leaf").write_bytes(to_pem(asked.leaf, "CERTIFICATE"))
        result = subprocess.run([*command, f"{folder}/leaf"], capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr
