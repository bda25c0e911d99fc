# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on the time of a login: bytes of a server that are cheap to send and must be cheap to refuse."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pam_sc.decision.names import name_key
from pam_sc.decision.policy import RevocationRules, RevocationSource
from pam_sc.errors import DeadlineExceeded
from pam_sc.transfer import Transfer, Transferred
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.fetching import Wanted, with_fetched
from pam_sc.trust.files import CRLS, values_of
from pam_sc.trust.revocation import CaRules, RevocationSources
from tests.support.der import tlv
from tests.support.pki import CertificateAuthority

SECONDS_MAX = 5.0
"""What is linear takes a few hundredths of a second here, what is quadratic minutes."""
URL = "http://crl.example.test/issuing.crl"
ISSUING = CertificateAuthority("Issuing")


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN X509 CRL-----\n" * 40_000 + b"-----END CRL-----\n" * 40_000,
        b"-----BEGIN X509 CRL-----\n" + b"-----BEGIN CRL-----\n" * 80_000 + b"-----END X509 CRL-----\n" * 80_001,
        b"-----BEGIN " * 200_000,
        b"-----BEGIN " + b"A" * 4_000_000,
    ],
    ids=["ends of another kind", "begins in one another", "begins alone", "a label without end"],
)
def test_armour_that_never_closes_is_refused_in_linear_time(content: bytes) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match=r"PEM block|neither PEM nor DER"):
        values_of(content, CRLS)
    assert time.process_time() - before < SECONDS_MAX


def test_several_blocks_with_text_around_them_are_still_read() -> None:
    content = b"text - before\n" + ISSUING.crl() + b"text -- between\n" + ISSUING.crl(number=2) + b"after\n"
    assert len(values_of(content, CRLS)) == 2


# ---------------------------------------------------------------- what a login has fetched


def fetched(body: bytes, in_time: Callable[[], None] = lambda: None) -> int:
    """Return how many CRLs of the issuer a login has after its server sent this."""
    issuer = read_path_certificate(ISSUING.der)
    assert isinstance(issuer, PathCertificate)
    default = CaRules(rules=RevocationRules(), fetch_at_login=True)
    wanted = Wanted(
        transfer=Transfer(url=URL, max_bytes=1 << 20), ca=default, kind=RevocationSource.CRL, issuer=issuer, serial=1
    )
    sources = with_fetched(RevocationSources(default=default), [wanted], [Transferred(body=body)], in_time)
    return len(sources.crls[-1].of_issuer(name_key(ISSUING.certificate.subject)))


class Clock:
    """Raises DeadlineExceeded from the given call on, and counts the calls."""

    def __init__(self, calls_left: int) -> None:
        self.left = calls_left
        self.calls = 0

    def __call__(self) -> None:
        """Count, and raise once the time is over."""
        self.calls += 1
        self.left -= 1
        if self.left < 0:
            raise DeadlineExceeded("over")


def unsigned_crl(entries: int) -> bytes:
    """A CRL that nobody signed, each entry with a critical extension: reading its head walks all of them."""
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    moment = tlv(0x17, b"700101000000Z")
    reason = tlv(0x30, bytes.fromhex("0603551d150101ff04030a0101"))
    entry = tlv(0x30, tlv(0x02, b"\x01") + moment + tlv(0x30, reason))
    tbs = tlv(0x30, tlv(0x02, b"\x01") + algorithm + tlv(0x30, b"") + moment + tlv(0x30, entry * entries))
    return tlv(0x30, tbs + algorithm + tlv(0x03, b"\x00"))


def test_a_fetched_crl_counts_in_der_and_in_pem() -> None:
    assert fetched(ISSUING.crl(pem=False)) == fetched(ISSUING.crl()) == 1


def test_a_server_that_sends_more_than_one_crl_has_sent_none() -> None:
    assert fetched(ISSUING.crl() + ISSUING.crl(number=2)) == 0


def test_time_that_ends_while_an_unsigned_crl_is_walked_ends_the_walk() -> None:
    clock = Clock(calls_left=4)
    with pytest.raises(DeadlineExceeded):
        fetched(unsigned_crl(20_000), clock)
    assert clock.calls <= 6
