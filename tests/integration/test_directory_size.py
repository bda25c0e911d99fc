# SPDX-License-Identifier: LGPL-2.1-or-later
"""A directory of 100,000 people: one is found at once, by account and by certificate."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pam_sc.decision.identity import read_subject
from pam_sc.directory_match import HoldsCertificate
from pam_sc.services import DirectorySearch, DirectoryServers
from tests.support.network_process import Network
from tests.support.pki import CertificateAuthority
from tests.support.slapd import PEOPLE, Directory, directory, people, person

pytestmark = pytest.mark.slow

PEOPLE_MAX = 100_000
SOUGHT = 77_777
AT_ONCE_S = 1.0
"""A search that visits every entry takes longer on any machine; one by an index takes some milliseconds."""
FIRST_SERIAL = 1 << 120


def certificate(template: bytes, number: int) -> bytes:
    """The template with another serial number; nothing in a directory looks at signatures."""
    return template.replace(FIRST_SERIAL.to_bytes(16, "big"), (FIRST_SERIAL + number).to_bytes(16, "big"))


@pytest.fixture(scope="module")
def template() -> bytes:
    return CertificateAuthority(key="p256").issue(key="p256", serial=FIRST_SERIAL).der


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, template: bytes) -> Iterator[Directory]:
    entries = (person(f"user{number}", number=10_000 + number, certificates=[certificate(template, number)])
               for number in range(PEOPLE_MAX))
    database = "maxsize 4294967296\nindex objectClass,uid,userCertificate eq\ndbnosync\n"
    with directory(tmp_path_factory.mktemp("large"), people(*entries), database=database) as running:
        yield running


def test_one_of_100_000_is_found_at_once(network: Network, large: Directory, template: bytes) -> None:
    subject = read_subject(certificate(template, SOUGHT))
    by_certificate = f"(&(objectClass=posixAccount)(uid=*){HoldsCertificate('userCertificate').filter(subject)})"
    network.search(wanted(large, "(uid=user0)"))  # the modules of the network process are in memory after that
    for each in (f"(&(objectClass=posixAccount)(uid=user{SOUGHT}))", by_certificate):
        started = time.monotonic()
        (found,) = network.search(wanted(large, each))
        assert found.attributes["uid"] == (f"user{SOUGHT}".encode(),)
        assert time.monotonic() - started < AT_ONCE_S, each


def wanted(directory: Directory, search_filter: str) -> DirectorySearch:
    servers = DirectoryServers(urls=(directory.url(""),))
    return DirectorySearch(servers=servers, base=PEOPLE, filter=search_filter, attributes=("uid",))
