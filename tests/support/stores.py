# SPDX-License-Identifier: LGPL-2.1-or-later
"""Revocation stores for tests: a folder, CRLs put into it as `pam-sc refresh` does, and CRLs of any size."""

from __future__ import annotations

import os
import random
from pathlib import Path

from pam_sc.decision.evidence import Unparsable
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.crl_file import FileCrl, read_crl
from pam_sc.trust.index import Provenance, index_crl, index_name
from pam_sc.trust.index_format import IndexHeader, Origin
from pam_sc.trust.store import Store, StoredCrl, open_store
from tests.support.der import children, der_integer, tlv
from tests.support.pki import CertificateAuthority, now, sign

TRUSTED = frozenset({0, os.getuid()})
URL = "http://crl.example.test/issuing.crl"


def path_certificate(der: bytes) -> PathCertificate:
    """The certificate, parsed."""
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate), found
    return found


def parsed_crl(der: bytes, source: str = URL) -> FileCrl:
    """The CRL, parsed."""
    found = read_crl(der, source)
    assert not isinstance(found, Unparsable), found
    return found


def put(folder: Path, der: bytes, authority: CertificateAuthority, **provenance: object) -> IndexHeader:
    """Put a CRL into the store, as signed by this authority."""
    where = Provenance(**({"origin": Origin(url=URL)} | provenance))  # type: ignore[arg-type]
    return index_crl(der, parsed_crl(der), path_certificate(authority.der), str(folder), where, now())


def index_path(folder: Path, header: IndexHeader) -> Path:
    """The file of an index."""
    return folder / index_name(header)


def opened(folder: Path) -> Store:
    """The store."""
    return open_store(str(folder), TRUSTED)


def only_crl(folder: Path, der: bytes) -> StoredCrl:
    """The one CRL in the store that has the issuer of this one; nothing was wrong with any file."""
    store = opened(folder)
    (found,) = store.of_issuer(parsed_crl(der).header.issuer)
    assert isinstance(found, StoredCrl)
    assert store.problems == []
    return found


def crl_with_entries(authority: CertificateAuthority, entries: bytes, number: int = 1) -> bytes:
    """A genuine CRL (DER) with these encoded entries."""
    tbs, algorithm, _ = children(authority.crl([1], number=number, pem=False))
    parts = children(tbs)
    parts[-2] = tlv(0x30, entries)
    tbs = tlv(0x30, b"".join(parts))
    return tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + sign(authority.private_key, tbs, "sha256")))


def large_crl(authority: CertificateAuthority, count: int, number: int = 1, listed: tuple[int, ...] = ()) -> bytes:
    """A genuine CRL (DER) of `large_entries`."""
    return crl_with_entries(authority, large_entries(count, listed), number)


def large_entries(count: int, listed: tuple[int, ...] = ()) -> bytes:
    """Encoded entries: `listed`, and random serials of 15 octets up to `count`, with four reasons or none."""
    chance = random.Random(count)
    reasons = [tlv(0x30, tlv(0x30, bytes.fromhex("0603551d1504030a01") + bytes([each]))) for each in (1, 3, 4, 5)]
    serials = [*listed, *(chance.getrandbits(118) | 1 << 118 for _ in range(count - len(listed)))]
    dates = [tlv(0x17, b"25%02d01120000Z" % month) for month in range(1, 13)]
    return b"".join(
        tlv(0x30, der_integer(serial) + chance.choice(dates) + chance.choice([*reasons, b""])) for serial in serials
    )
