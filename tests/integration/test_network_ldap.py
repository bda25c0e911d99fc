# SPDX-License-Identifier: LGPL-2.1-or-later
"""CRLs from a directory: the network process in its sandbox, OpenLDAP, and servers that only pretend to be one."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.installation import worker_in
from tests.support.network_process import Network, by_certificate, configured, started
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority
from tests.support.server_tls import certificates_of, server_certificate
from tests.support.slapd import SUFFIX, Directory, crl_entry, directory
from tests.support.tcp_server import answers, serving

SHORT = 0.4
# The answer to the first message of a process.
BIND_OK = bytes.fromhex("300c02010161070a010004000400")


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def crl(authority: CertificateAuthority) -> bytes:
    return authority.crl(range(1, 20001), pem=False)


@pytest.fixture(scope="module")
def ldap(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority, crl: bytes) -> Iterator[Directory]:
    entries = [crl_entry("crl", crl), crl_entry("CRL für alle?", crl), crl_entry("empty"),
               crl_entry("two", crl, authority.crl(pem=False)),
               f"dn: cn=elsewhere,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\ncn: elsewhere\n"
               f"ref: ldap://127.0.0.1:9/cn=crl,{SUFFIX}\n"]
    with directory(tmp_path_factory.mktemp("slapd"), entries) as running:
        yield running


@pytest.mark.parametrize(
    "rest",
    [
        f"cn=crl,{SUFFIX}?certificateRevocationList;binary",
        f"cn=crl,{SUFFIX}?certificateRevocationList",
        f"cn=crl,{SUFFIX}?CERTIFICATEREVOCATIONLIST;BINARY?base?(objectClass=cRLDistributionPoint)",
        f"cn=crl,{SUFFIX}",
        f"CN=crl,{SUFFIX}?certificateRevocationList;binary?base?objectClass=cRLDistributionPoint",
        f"cn%3Dcrl%2C{SUFFIX}????bindname=cn",
        f"{quote('cn=CRL für alle?')},{SUFFIX}??base",
    ],
)
def test_crl_is_fetched_by_what_its_url_names(network: Network, ldap: Directory, crl: bytes, rest: str) -> None:
    assert len(crl) > 4 * 64 * 1024
    assert network.body(ldap.url(rest)) == crl


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (f"cn=nothing,{SUFFIX}", "the directory does not answer the search: noSuchObject"),
        (f"cn=crl,{SUFFIX}?authorityRevocationList;binary", "the directory has 0 values of the attribute, expected one"),
        (f"cn=empty,{SUFFIX}", "the directory has 0 values of the attribute, expected one"),
        (f"cn=two,{SUFFIX}", "the directory has 2 values of the attribute, expected one"),
        (f"cn=crl,{SUFFIX}???(cn=other)", "the directory has 0 values of the attribute, expected one"),
        (f"cn=elsewhere,{SUFFIX}", "the directory does not answer the search: referral"),
        ("not a name".replace(" ", "%20"), "the directory does not answer the search: invalidDNSyntax"),
        (f"cn=crl,{SUFFIX}???(cn=", "the directory cannot be asked: LDAPInvalidFilterError"),
        (f"cn=crl,{SUFFIX}??sub", "the LDAP URL cannot be used: its scope is not base"),
        (f"cn=crl,{SUFFIX}?cn,sn", "the LDAP URL cannot be used: it names more than one attribute"),
    ],
)
def test_what_the_directory_does_not_have_is_a_failure(network: Network, ldap: Directory, rest: str, why: str) -> None:
    assert network.failure(ldap.url(rest)) == why


def test_crl_of_exactly_the_cap_is_fetched_and_one_byte_more_is_not(network: Network, ldap: Directory, crl: bytes) -> None:
    url = ldap.url(f"cn=crl,{SUFFIX}")
    assert network.body(configured(url, max_bytes=len(crl))) == crl
    assert network.failure(configured(url, max_bytes=len(crl) - 1)) == f"the body is larger than {len(crl) - 1} bytes"
    assert network.failure(configured(url, max_bytes=10)) == "the answer of the directory is larger than 10 bytes"


def test_directory_of_a_certificate_is_not_on_this_machine(network: Network, ldap: Directory, crl: bytes) -> None:
    url = ldap.url(f"cn=crl,{SUFFIX}")
    assert network.failure(by_certificate(url)).startswith("the URL leads to a loopback address")
    assert network.body(by_certificate(url), loopback=True) == crl


def test_nothing_is_posted_to_a_directory(network: Network, ldap: Directory) -> None:
    assert network.failure(configured(ldap.url(f"cn=crl,{SUFFIX}"), body=b"x")) == "nothing can be posted to a directory"


def test_directory_that_takes_no_anonymous_bind_is_a_failure(network: Network, tmp_path: Path) -> None:
    with directory(tmp_path / "slapd", [], options="disallow bind_anon") as closed:
        why = network.failure(closed.url(f"cn=crl,{SUFFIX}"))
        assert why == "the directory refuses an anonymous bind: inappropriateAuthentication"


def test_directory_that_has_stopped_is_given_up_in_time(network: Network, ldap: Directory, crl: bytes) -> None:
    ldap.process.send_signal(signal.SIGSTOP)
    try:
        assert network.failure(ldap.url(f"cn=crl,{SUFFIX}"), each_s=SHORT) == "the time for it was over"
    finally:
        ldap.process.send_signal(signal.SIGCONT)
    assert network.body(ldap.url(f"cn=crl,{SUFFIX}")) == crl


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "its server closed the connection early"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "its server's answer is not LDAP"),
        (b"\x30\x80\x02\x01\x01\x00\x00", "its server's answer is not LDAP"),
        (b"\x30\x85\x01\x00\x00\x00\x00", "its server's answer is not LDAP"),
        (b"\x30\x84\xff\xff\xff\xff", "the answer of the directory is larger than 1048576 bytes"),
        (BIND_OK[:8], "its server closed the connection early"),
        (BIND_OK, "its server closed the connection early"),
        (BIND_OK.replace(b"\2\1\1", b"\2\1\7"), "the directory cannot be asked: LDAPSocketReceiveError"),
    ],
)
def test_server_that_is_no_directory_is_a_failure(network: Network, said: bytes, why: str) -> None:
    with serving(answers(said), reads_head=False) as server:
        assert network.failure(server.url(f"/cn=crl,{SUFFIX}", scheme="ldap")) == why


@pytest.mark.parametrize("junk", [b"\x30\x03\x02\x01\x01", b"\x30\x02\x01\x01", BIND_OK.replace(b"\x0a\x01\x00", b"\x0a\x01\x63"),
                                  b"\x30\x00", b"\x30\x06\x02\x01\x01\x78\x01\x00"])
def test_nonsense_in_ldaps_form_is_a_failure(network: Network, junk: bytes) -> None:
    with serving(answers(junk), reads_head=False) as server:
        assert network.failure(f"ldap://127.0.0.1:{server.port}/cn=crl", each_s=5)


def test_answer_of_a_directory_is_limited_whatever_may_be_fetched(network: Network) -> None:
    announced = b"\x30\x84\x04\x01\x00\x01"  # 64 MiB and what may stand beside the value, and a byte
    with serving(answers(announced), reads_head=False) as server:
        wanted = configured(f"ldap://127.0.0.1:{server.port}/cn=crl", max_bytes=256 << 20)
        assert network.failure(wanted) == f"the answer of the directory is larger than {64 << 20} bytes"


def test_endless_entries_are_cut_off(network: Network) -> None:
    entry = bytes.fromhex("300902010264040400") + b"\x30\x00"  # searchResEntry of the root without attributes

    def flood(connection: socket.socket, _head: bytes) -> None:
        connection.recv(100)
        connection.sendall(BIND_OK)
        connection.recv(1000)
        while True:
            connection.sendall(entry * 1000)

    with serving(flood, reads_head=False) as server:
        wanted = configured(f"ldap://127.0.0.1:{server.port}/cn=crl", max_bytes=1000)
        assert network.failure(wanted) == "the answer of the directory is larger than 1000 bytes"


def test_ldaps_server_proves_its_name(
    world: World, authority: CertificateAuthority, crl: bytes, tmp_path: Path
) -> None:
    tls = server_certificate(authority, "localhost")
    with (directory(tmp_path / "slapd", [crl_entry("crl", crl)], tls=tls) as secure,
          started(world.namespace.enter([worker_in(), "network"])) as network):
        url = secure.url(f"cn=crl,{SUFFIX}", scheme="ldaps", host="localhost")
        why = network.failure(url)
        assert why.startswith("the certificate of its server is not accepted: unable to get local issuer")
    with (directory(tmp_path / "slapd2", [crl_entry("crl", crl)], tls=tls) as secure,
          started(world.namespace.enter([worker_in(), "network"])) as network):
        certificates_of(world, authority)
        assert network.body(secure.url(f"cn=crl,{SUFFIX}", scheme="ldaps", host="localhost")) == crl
        why = network.failure(secure.url(f"cn=crl,{SUFFIX}", scheme="ldaps"))
        assert why.startswith("the certificate of its server is not accepted: IP address mismatch")
