# SPDX-License-Identifier: LGPL-2.1-or-later
"""The parts of a CRL are found in its bytes, as the library finds them."""

from __future__ import annotations

import pytest
from cryptography import x509

from pam_sc.decision.evidence import Unparsable
from pam_sc.trust.crl_der import entries_span, signed_part
from pam_sc.trust.crl_file import read_crl
from tests.support.der import children, tlv
from tests.support.pki import CertificateAuthority
from tests.support.stores import parsed_crl, path_certificate

ROOT = CertificateAuthority("Root")
RSA = CertificateAuthority("Root", "rsa2048")
ED = CertificateAuthority("Root", "ed25519")
ANOTHER_ALGORITHM = tlv(0x30, bytes.fromhex("06082a8648ce3d040303"))


@pytest.mark.parametrize("revoked", [[], [1], list(range(1, 400))])
@pytest.mark.parametrize("authority", [ROOT, RSA, ED], ids=["ecdsa", "rsa", "ed25519"])
def test_the_signed_part_is_what_the_library_signed(authority: CertificateAuthority, revoked: list[int]) -> None:
    der = authority.crl(revoked, pem=False)
    assert bytes(signed_part(der)) == x509.load_der_x509_crl(der).tbs_certlist_bytes
    assert parsed_crl(der).is_signed_by(path_certificate(authority.der))


def test_entries_are_where_the_crl_has_them_and_nowhere_where_it_has_none() -> None:
    der = ROOT.crl([1, 2, 3], pem=False)
    start, end = entries_span(der)
    assert len(children(tlv(0x30, der[start:end]))) == 3
    start, end = entries_span(ROOT.crl([], pem=False))
    assert start == end


def test_a_crl_that_names_another_algorithm_around_than_in_the_signed_part_is_refused() -> None:
    tbs, _algorithm, signature = children(ROOT.crl([1], pem=False))
    forged = tlv(0x30, tbs + ANOTHER_ALGORITHM + signature)
    with pytest.raises(ValueError, match="two signature algorithms"):
        signed_part(forged)
    assert isinstance(read_crl(forged, "forged"), Unparsable)


def test_a_changed_byte_of_an_entry_breaks_the_signature() -> None:
    der = bytearray(ROOT.crl([0x7654321], pem=False))
    at = der.index(bytes.fromhex("07654321"))
    der[at + 3] ^= 1
    assert not parsed_crl(bytes(der)).is_signed_by(path_certificate(ROOT.der))
    der[at + 3] ^= 1
    assert parsed_crl(bytes(der)).is_signed_by(path_certificate(ROOT.der))


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_bytes_that_end_early_are_an_error(size: int) -> None:
    der = ROOT.crl([1], pem=False)[:size]
    with pytest.raises((ValueError, IndexError)):
        signed_part(der)
