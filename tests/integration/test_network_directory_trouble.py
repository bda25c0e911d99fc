# SPDX-License-Identifier: LGPL-2.1-or-later
"""Directories in trouble: dead, hanging, busy, referring elsewhere, or no directory at all; and who answers then."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.reasons import Reason
from tests.support.der import tlv
from tests.support.fake_directory import BIND_OK, DONE, EXTENDED_OK, entry, message, replies, result
from tests.support.network_process import Network
from tests.support.people_directory import ALICE, ASKER, PASSWORD, ldaps, people_directory, plain, search
from tests.support.pki import CertificateAuthority, Issued
from tests.support.server_tls import server_certificate, server_context
from tests.support.slapd import PEOPLE, Directory, directory, people, person, referral
from tests.support.tcp_server import answers, serving

UNREACHABLE, TIMEOUT = Reason.DIRECTORY_UNREACHABLE, Reason.DIRECTORY_TIMEOUT
TLS_FAILED, BIND_REFUSED = Reason.DIRECTORY_TLS_FAILED, Reason.DIRECTORY_BIND_REFUSED
SEVERAL, UNUSABLE, REFERRAL = (
    Reason.DIRECTORY_SEVERAL_ENTRIES, Reason.DIRECTORY_ANSWER_UNUSABLE, Reason.DIRECTORY_REFERRAL)
SHORT = 0.4


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def leaf(authority: CertificateAuthority) -> Issued:
    return authority.issue()


@pytest.fixture(scope="module")
def slapd(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority, leaf: Issued
) -> Iterator[Directory]:
    with people_directory(tmp_path_factory.mktemp("slapd"), authority, leaf) as running:
        yield running


@pytest.fixture
def dead() -> str:
    """The URL of a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"ldap://127.0.0.1:{probe.getsockname()[1]}"


# ---------------------------------------------------------------- servers that fail


def test_dead_server_is_unreachable(network: Network, dead: str) -> None:
    reason, why = network.refusal(search(dead))
    assert (reason, why) == (UNREACHABLE, f"{dead[7:]}: its server refuses connections")


def test_name_without_an_address_is_unreachable(network: Network) -> None:
    reason, why = network.refusal(search("ldap://nowhere.invalid"))
    assert (reason, why) == (UNREACHABLE, "nowhere.invalid: the name of its server cannot be resolved")


@pytest.mark.parametrize("after", [(), (BIND_OK,), (BIND_OK, entry(ALICE, uid=b"alice"))])
def test_server_that_says_nothing_more_is_given_up_in_time(network: Network, after: tuple[bytes, ...]) -> None:
    with serving(replies(*after), reads_head=False) as server:
        started = time.monotonic()
        reason, why = network.refusal(search(f"ldap://127.0.0.1:{server.port}", connect_s=SHORT, search_s=SHORT))
        assert (reason, why) == (TIMEOUT, f"127.0.0.1:{server.port}: it does not answer in time")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_server_that_never_speaks_tls_is_given_up_in_time(
    network: Network, authority: CertificateAuthority, scheme: str
) -> None:
    with serving(replies(EXTENDED_OK) if scheme == "ldap" else replies(), reads_head=False) as server:
        wanted = search(f"{scheme}://127.0.0.1:{server.port}", start_tls=scheme == "ldap", ca_pem=authority.pem, connect_s=SHORT)
        assert network.refusal(wanted)[0] is TIMEOUT


def test_server_that_sends_a_byte_now_and_then_is_given_up_in_time(network: Network) -> None:
    def drip(connection: socket.socket, _head: bytes) -> None:
        for octet in b"\x30\x84\x00\x00\x10\x00" + bytes(4096):
            connection.sendall(bytes([octet]))
            if server.closing.wait(0.05):
                return

    with serving(drip, reads_head=False) as server:
        started = time.monotonic()
        assert network.refusal(search(f"ldap://127.0.0.1:{server.port}", connect_s=SHORT))[0] is TIMEOUT
        assert time.monotonic() - started < 5


def test_end_of_the_time_is_said_in_time_whatever_the_limits_are(network: Network) -> None:
    with serving(replies(), reads_head=False) as server:
        urls = [f"ldap://127.0.0.1:{server.port}"] * 3
        started = time.monotonic()
        reason, why = network.refusal(search(*urls, connect_s=60, search_s=60), seconds=1.5)
        assert reason is TIMEOUT and why.count("it does not answer in time") == 3
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("code", [1, 51, 52, 53, 80])
@pytest.mark.parametrize("asked", ["bind", "search"])
def test_server_in_trouble_is_passed_over(network: Network, slapd: Directory, code: int, asked: str) -> None:
    said = (result(0x61, code),) if asked == "bind" else (BIND_OK, result(0x65, code))
    with serving(replies(*said), reads_head=False) as server:
        troubled = f"ldap://127.0.0.1:{server.port}"
        assert network.search(search(troubled, plain(slapd)))
        expected = BIND_REFUSED if asked == "bind" else UNREACHABLE
        assert network.refusal(search(troubled))[0] is expected


def test_first_server_that_works_answers(
    network: Network, slapd: Directory, dead: str, authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = server_context(tmp_path, server_certificate(authority, "ldap.example.test"))
    with (serving(replies(), reads_head=False) as hanging,
          serving(replies(), reads_head=False, tls=other) as misnamed):
        urls = (dead.replace("ldap:", "ldaps:"), f"ldaps://localhost:{hanging.port}", f"ldaps://localhost:{misnamed.port}")
        asked = {"ca_pem": authority.pem, "connect_s": SHORT}
        assert network.search(search(*urls, ldaps(slapd), **asked))
        reason, why = network.refusal(search(*urls, **asked))
    assert reason is TLS_FAILED, "the reason of the one that came furthest"
    assert [each.partition(": ")[2].split(":")[0] for each in why.split("; ")] == [
        "its server refuses connections", "it does not answer in time", "the certificate of its server is not accepted"]


# ---------------------------------------------------------------- referrals


@pytest.fixture(scope="module")
def referring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    entries = people(person("alice"), referral("elsewhere", f"ldap://127.0.0.1:9/{PEOPLE}"))
    with directory(tmp_path_factory.mktemp("referring"), entries) as running:
        yield running


def test_reference_beside_an_entry_is_refused_unless_it_may_be_passed_over(network: Network, referring: Directory) -> None:
    url = plain(referring)
    assert network.refusal(search(url)) == (REFERRAL, f"localhost:{referring.port}: it sends the search to another server")
    assert network.search(search(url, ignore_references=True))
    assert network.search(search(url, ignore_references=True, wanted="(uid=bob)")) == ()


def test_referral_in_place_of_an_answer_is_refused_always(network: Network, referring: Directory) -> None:
    wanted = search(plain(referring), base=f"cn=elsewhere,{PEOPLE}", ignore_references=True)
    assert network.refusal(wanted)[0] is REFERRAL


def test_referral_of_a_bind_is_refused_and_nobody_sees_the_password(network: Network) -> None:
    with serving(replies(result(0x61, 10)), reads_head=False) as server:
        wanted = search(f"ldap://127.0.0.1:{server.port}", bind_dn=ASKER, password=PASSWORD)
        assert network.refusal(wanted)[0] is REFERRAL


# ---------------------------------------------------------------- servers that are no directory


ENTRY = entry(ALICE, uid=b"alice")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", UNREACHABLE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UNUSABLE),
        (b"\x30\x80\x02\x01\x01\x00\x00", UNUSABLE),
        (b"\x30\x84\xff\xff\xff\xff", UNUSABLE),
        (b"\x30\x00", UNREACHABLE),
        (b"\x30\x03\x02\x01\x01", UNUSABLE),
        (b"\x30\x02\x01\x01", UNUSABLE),
        (b"\x30\x06\x02\x01\x01\x78\x01\x00", UNUSABLE),
    ],
)
def test_server_that_is_no_directory_is_a_failure(network: Network, slapd: Directory, said: bytes, reason: Reason) -> None:
    with serving(answers(said), reads_head=False) as server:
        url = f"ldap://127.0.0.1:{server.port}"
        assert network.refusal(search(url))[0] is reason
        assert network.search(search(url, plain(slapd))), "the next one is asked"


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ((DONE,), None),
        ((ENTRY, DONE), None),
        ((ENTRY, ENTRY, DONE), SEVERAL),
        ((ENTRY, result(0x65, 4)), SEVERAL),
        ((ENTRY, result(0x65, 3)), TIMEOUT),
        ((ENTRY, result(0x65, 11)), UNUSABLE),
        ((ENTRY, result(0x65, 50)), UNUSABLE),
        ((ENTRY, tlv(0x73, tlv(4, b"ldap://127.0.0.1/")), DONE), REFERRAL),
        ((ENTRY,) * 1000, SEVERAL),
        ((tlv(0x64, tlv(4, b"cn=x")), DONE), UNUSABLE),
        ((tlv(0x64, tlv(4, b"cn=x") + tlv(0x30, tlv(0x30, tlv(4, b"uid")))), DONE), UNUSABLE),
        ((tlv(0x64, tlv(4, b"cn=x") + tlv(0x30, tlv(4, b"uid"))), DONE), UNUSABLE),
        ((tlv(0x64, b"\x04\x7f"), DONE), UNUSABLE),
        ((b"\x64\x03\x30\x80\x00", DONE), UNUSABLE),
        ((entry("x", uid=b"a" * 100_000), DONE), UNUSABLE),
        ((entry("x", uid=b"a" * 1_000_000), DONE), UNUSABLE),
        ((entry("x", uïd=b"a"), DONE), UNUSABLE),
        ((BIND_OK,), UNUSABLE),
        ((EXTENDED_OK,), UNUSABLE),
        ((lambda _request: tlv(0x30, b"\2\1\x63" + DONE),), UNUSABLE),
        ((lambda _request: tlv(0x30, b"\2\1\0" + EXTENDED_OK),), UNUSABLE),
        ((lambda request: message(request, DONE)[:-1],), TIMEOUT),
    ],
)
def test_odd_answer_is_refused_for_what_it_is(network: Network, operations: tuple[Any, ...], reason: Reason | None) -> None:
    with serving(replies(BIND_OK, operations), reads_head=False) as server:
        wanted = search(f"ldap://127.0.0.1:{server.port}", search_s=1)
        if reason is None:
            assert len(network.search(wanted)) == operations.count(ENTRY)
        else:
            assert network.refusal(wanted)[0] is reason


def test_endless_entries_are_cut_off(network: Network) -> None:
    def flood(connection: socket.socket, _head: bytes) -> None:
        replies_to = replies(BIND_OK, lambda request: message(request, ENTRY) * 100_000)
        replies_to(connection, b"")

    with serving(flood, reads_head=False) as server:
        assert network.refusal(search(f"ldap://127.0.0.1:{server.port}"))[0] is SEVERAL


def test_process_serves_on_after_each_failure(network: Network, slapd: Directory, dead: str) -> None:
    for _ in range(3):
        network.refusal(search(dead))
        assert network.search(search(plain(slapd)))
        assert network.refusal(search(plain(slapd), wanted="(" * 20_000))[0] is UNUSABLE
        assert "refuses connections" in network.failure(f"{dead}/cn=crl")
